package checktest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ocsdoctor/checks"
	"ocsdoctor/checks/dns"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

// subject is a real check with real Markdown, on which the harness is tried.
func subject(t *testing.T) *checks.Check {
	t.Helper()
	list := dns.Checks()
	i := slices.IndexFunc(list, func(c *checks.Check) bool { return c.ID == "dns/sip-internal-tls-srv" })
	if i < 0 {
		t.Fatal("dns/sip-internal-tls-srv is gone; take another check to try the harness on")
	}
	c := *list[i]
	return &c
}

const goodCase = `
-- common/subject --
sip-domain todorovic.fr
-- common/config.scope() --
{"name": "todorovic.fr", "phase": "auto", "resolvers": [{"id": "inside#1", "view": "inside", "address": "10.0.0.1:53"}]}
-- good/zone(inside) --
_sipinternaltls._tcp.todorovic.fr. SRV 0 0 5060 sip.todorovic.fr.
sip.todorovic.fr. A 10.0.0.5
-- good/want --
fail
wrong-port: port 5060
> set *Port number* to 5061
`

func judgeText(t *testing.T, c *checks.Check, text string) []string {
	t.Helper()
	cases, err := parseCases([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var sum coverage
	var problems []string
	for _, ex := range cases {
		problems = append(problems, sum.judge(c, ex)...)
	}
	return problems
}

func TestJudgeIsContentWithAGoodCase(t *testing.T) {
	t.Parallel()
	if problems := judgeText(t, subject(t), goodCase); len(problems) > 0 {
		t.Errorf("problems: %q", problems)
	}
}

func TestJudgeFindsWhatDoesNotComeOutAsWanted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ old, new, want string }{
		"another status":      {"\nfail\n", "\npass\n", "the status is fail"},
		"another reason":      {"\nfail\n", "\nfail: because\n", `it should be fail ("because")`},
		"another tag":         {"\nwrong-port", "\nno-target", "the finding \"no-target: port 5060\" is missing"},
		"another text":        {"port 5060\n>", "port 5062\n>", "the finding \"wrong-port: port 5062\" is missing"},
		"a finding more":      {"wrong-port: port 5060\n> set *Port number* to 5061\n", "", "there is one finding more: wrong-port"},
		"another fix":         {"to 5061", "to 5064", "does not hold \"set *Port number* to 5064\""},
		"a fact never read":   {"-- good/want --", "-- good/net.connect(ocs:5061) --\n{}\n-- good/want --", "nothing reads net.connect(ocs:5061)"},
		"a fact not recorded": {"-- good/zone(inside) --", "-- good/zone(outside) --", "does not hold dns.answer("},
		"another scope":       {"sip-domain todo", "server todo", "the subject has the scope server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(goodCase, tc.old, tc.new, 1)
			if text == goodCase {
				t.Fatalf("%q is not in the case", tc.old)
			}
			problems := strings.Join(judgeText(t, subject(t), text), "\n")
			if !strings.Contains(problems, tc.want) {
				t.Errorf("problems:\n%s\nwant one with %q", problems, tc.want)
			}
		})
	}
}

func TestJudgeFindsAPanic(t *testing.T) {
	t.Parallel()
	c := subject(t)
	c.Run = func(*checks.Pass) error { panic("no such luck") }
	if p := strings.Join(judgeText(t, c, goodCase), "\n"); !strings.Contains(p, "the status is error") || !strings.Contains(p, "no such luck") {
		t.Errorf("problems: %s", p)
	}
}

func TestJudgeFindsAFixThatLacksAnArgument(t *testing.T) {
	t.Parallel()
	c := subject(t)
	c.Run = func(p *checks.Pass) error {
		_, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
		p.Report(c.Message("wrong-port"), []evidence.Key{facts.ConfigScope.Key(evidence.None{})},
			checks.A("name", "n"), checks.A("port", 5060), checks.A("target", "t"), checks.A("expected", 5061))
		return err
	}
	if p := strings.Join(judgeText(t, c, goodCase), "\n"); !strings.Contains(p, "the fix of wrong-port: ") || !strings.Contains(p, "dnsServer") {
		t.Errorf("problems: %s", p)
	}
}

// careless is derived from a fact whose absence it swallows, as no kind should.
var careless = &evidence.Kind[evidence.None, bool]{
	Name: "test.careless", Doc: "whether the scope can be read", Needs: []evidence.AnyKind{facts.ConfigScope},
	Derive: func(r *evidence.Reader, _ evidence.None) (bool, error) {
		_, err := facts.ConfigScope.Get(r, evidence.None{})
		return err == nil, nil
	},
}

func TestJudgeFindsAFactThatIsNotMissed(t *testing.T) {
	t.Parallel()
	c := subject(t)
	c.Needs = []evidence.AnyKind{careless}
	c.Run = func(p *checks.Pass) error {
		_, err := careless.Get(p.Facts, evidence.None{})
		return err
	}
	problems := judgeText(t, c, goodCase[:strings.Index(goodCase, "-- good/want")]+"-- good/want --\npass\n")
	if !slices.Contains(problems, "the check passes although config.scope() was taken away") {
		t.Errorf("problems: %q", problems)
	}
}

func TestGaps(t *testing.T) {
	t.Parallel()
	c := subject(t)
	cases, err := parseCases([]byte(goodCase))
	if err != nil {
		t.Fatal(err)
	}
	var sum coverage
	sum.judge(c, cases[0])
	gaps := sum.gaps(c)
	for _, want := range []string{"no case passes", "no case provokes missing"} {
		if !slices.Contains(gaps, want) {
			t.Errorf("gaps %q lack %q", gaps, want)
		}
	}
	if slices.Contains(gaps, "no case provokes wrong-port") {
		t.Errorf("gaps %q name a message that was provoked", gaps)
	}
	c.Needs = append(slices.Clone(c.Needs), facts.RootDSE)
	if gaps := sum.gaps(c); !slices.Contains(gaps, "no case makes the check read ldap.rootdse, which is in Needs") {
		t.Errorf("gaps %q do not name the kind that is never read", gaps)
	}
}

func TestDocumentationNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := subject(t)
	if p := documentation(c); len(p) > 0 {
		t.Errorf("problems with complete Markdown: %q", p)
	}
	c.Messages = append(slices.Clone(c.Messages), &checks.Message{Tag: "new-tag"})
	if p := documentation(c); len(p) != 1 || !strings.Contains(p[0], "nothing stands under ### new-tag") {
		t.Errorf("problems: %q", p)
	}
	if p := documentation(&checks.Check{ID: "a/b"}); len(p) != 1 || !strings.Contains(p[0], "no Markdown") {
		t.Errorf("problems: %q", p)
	}
}

func TestParseCasesRejects(t *testing.T) {
	t.Parallel()
	const head = "-- a/subject --\nserver x\n-- a/want --\npass\n"
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":                {"", "no case"},
		"only common":            {"-- common/subject --\nserver x\n", "no case"},
		"a file of no case":      {"-- subject --\nserver x\n", "not of the form CASE/FILE"},
		"a file twice":           {head + "-- a/want --\nfail\n", "is there twice"},
		"no subject":             {"-- a/want --\npass\n", "no subject"},
		"no want":                {"-- a/subject --\nserver x\n", "no want"},
		"a subject without name": {"-- a/subject --\nserver\n", "SCOPE NAME"},
		"an unknown status":      {"-- a/subject --\nserver x\n-- a/want --\nfine\n", `"fine" is no status`},
		"a fix of no finding":    {"-- a/subject --\nserver x\n-- a/want --\nfail\n> x\n", "stands under no finding"},
		"an unknown kind":        {head + "-- a/dns.anser(x) --\n{}\n", "no such kind"},
		"a derived kind":         {head + "-- a/topology.servers() --\n{}\n", "is derived"},
		"no key":                 {head + "-- a/facts --\n{}\n", "not of the form kind(query)"},
		"no JSON":                {head + "-- a/config.scope() --\n{\n", "unexpected end"},
		"no record":              {head + "-- a/zone(inside) --\nsip A\n", "NAME TYPE DATA"},
		"a type unknown":         {head + "-- a/zone(inside) --\nsip MX 10 x\n", "no A, AAAA, CNAME, NS or SRV"},
		"a port too high":        {head + "-- a/zone(inside) --\nsip SRV 0 0 65536 x\n", "out of range"},
		"a certificate unknown":  {head + "-- a/tls.handshake(x:1) --\n{\"chain\": [\"@cert leaf\"]}\n", `no certificate "leaf" is made`},
		"an issuer unknown": {head + "-- a/certificates --\n" + `[{"name": "leaf", "issuer": "ca", "from": "2009-01-01", "to": "2011-01-01"}]` + "\n",
			`its issuer "ca" does not stand before it`},
		"a list unknown":                {head + "-- a/http.fetch(http://ca/ direct \"\") --\n{\"body\": \"@crl list\"}\n", `no list "list" is made`},
		"a list unknown in a directory": {head + "-- a/directory --\ndn: CN=a\ncertificateRevocationList: @crl list\n", `no list "list" is made`},
		"a list of nobody":              {head + "-- a/lists --\n" + `[{"name": "list", "issuer": "ca"}]` + "\n", `its issuer "ca" is not made`},
		"a manifest that is none":       {head + "-- a/host(ocs.d)/manifest.txt --\nregistry=perhaps registry.reg HKLM\n", `host(ocs.d): manifest.txt: line 11: "perhaps" is no exit code`},
		"a time that is none":           {head + "-- a/host(ocs.d)/registry.reg --\n{{low \"soon\"}}\n", "host(ocs.d): "},
		"no time":                       {head + "-- a/now --\nyesterday\n", "parsing time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := parseCases([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

// A case's registry changes the common one, and times count from its now.
func TestServers(t *testing.T) {
	t.Parallel()
	const text = `-- common/subject --
server ocs.d
-- common/host(ocs.d)/registry.reg --
Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\A]
"Left"=dword:00000001
"High"=dword:{{high "-1h"}}
-- a/now --
2009-10-14T01:00:00Z
-- a/host(ocs.d)/registry.reg --
[HKEY_LOCAL_MACHINE\SOFTWARE\A]
"Left"=dword:00000002
-- a/want --
pass
`
	cases, err := parseCases([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r := evidence.NewStore(t.Context(), cases[0]).NewReader(facts.All)
	k, err := facts.Registry.Get(r, facts.RegistryQuestion{Host: "ocs.d", Key: `HKLM\SOFTWARE\A`})
	left, _ := k.DWord("Left")
	high, _ := k.DWord("High")
	if err != nil || left != 2 || int64(high) != ntds.ToFileTime(time.Date(2009, 10, 14, 0, 0, 0, 0, time.UTC))>>32 {
		t.Errorf("%+v, %v", k, err)
	}
	var f *evidence.Failure
	if _, err := facts.Services.Get(r, facts.ServerQuestion{FQDN: "other.d"}); !errors.As(err, &f) || f.Reason != evidence.NotRecorded {
		t.Errorf("a server without a folder: %v", err)
	}
}

func TestCasesOverrideCommonFiles(t *testing.T) {
	t.Parallel()
	cases, err := parseCases([]byte("-- common/now --\n2010-01-01T00:00:00Z\n-- common/subject --\n" +
		`{"scope": "server", "name": "ocs", "within": [{"scope": "pool", "name": "p"}]}` + "\n-- a/want --\npass\n-- b/now --\n2012-01-01T00:00:00Z\n-- b/want --\nskip: why\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := []int{cases[0].now.Year(), cases[1].now.Year()}; !slices.Equal(got, []int{2010, 2012}) {
		t.Errorf("the years are %v", got)
	}
	if w := cases[0].subject.Within; len(w) != 1 || w[0].Name != "p" {
		t.Errorf("the subject is within %v", w)
	}
}

func TestZoneAnswers(t *testing.T) {
	t.Parallel()
	z, err := parseZone(`
sip.todorovic.fr. CNAME ocs.todorovic.adds.
ocs.todorovic.adds. A 10.0.0.5
old.todorovic.fr. CNAME gone.todorovic.adds.
loop.todorovic.fr. CNAME loop.todorovic.fr.
_sip._tls.todorovic.fr. SRV 0 5 5061 sip.todorovic.fr.
`)
	if err != nil {
		t.Fatal(err)
	}
	alias := facts.Record{Name: "sip.todorovic.fr", Type: "CNAME", TTL: 3600, Target: "ocs.todorovic.adds"}
	loop := facts.Record{Name: "loop.todorovic.fr", Type: "CNAME", TTL: 3600, Target: "loop.todorovic.fr"}
	for name, tc := range map[string]struct {
		name, typ string
		want      facts.DNSAnswerData
	}{
		"an alias is followed": {"sip.todorovic.fr", "A", facts.DNSAnswerData{Rcode: "NOERROR",
			Records: []facts.Record{alias, {Name: "ocs.todorovic.adds", Type: "A", TTL: 3600, Address: "10.0.0.5"}}}},
		"an alias itself can be asked for": {"sip.todorovic.fr", "CNAME", facts.DNSAnswerData{Rcode: "NOERROR", Records: []facts.Record{alias}}},
		"an alias to nothing": {"old.todorovic.fr", "A", facts.DNSAnswerData{Rcode: "NXDOMAIN",
			Records: []facts.Record{{Name: "old.todorovic.fr", Type: "CNAME", TTL: 3600, Target: "gone.todorovic.adds"}}}},
		"an alias to itself ends": {"loop.todorovic.fr", "A", facts.DNSAnswerData{Rcode: "NOERROR", Records: slices.Repeat([]facts.Record{loop}, maxAliases)}},
		"another type":            {"ocs.todorovic.adds", "AAAA", facts.DNSAnswerData{Rcode: "NOERROR"}},
		"a name between":          {"_tls.todorovic.fr", "A", facts.DNSAnswerData{Rcode: "NOERROR"}},
		"no such name":            {"www.todorovic.fr", "A", facts.DNSAnswerData{Rcode: "NXDOMAIN"}},
		"a service": {"_sip._tls.todorovic.fr", "SRV", facts.DNSAnswerData{Rcode: "NOERROR",
			Records: []facts.Record{{Name: "_sip._tls.todorovic.fr", Type: "SRV", TTL: 3600, Target: "sip.todorovic.fr", Weight: 5, Port: 5061}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got facts.DNSAnswerData
			if err := json.Unmarshal(z.answer(facts.DNSQuestion{Server: "inside#1", Name: tc.name, Type: tc.typ}), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("the answer differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCertificatesAreDescribed(t *testing.T) {
	t.Parallel()
	made, err := makeCertificates(`[
		{"name": "root", "cn": "Todorovic Root CA", "ca": true, "from": "2009-01-01", "to": "2029-01-01"},
		{"name": "leaf", "issuer": "root", "cn": "ocs.todorovic.adds", "dns": ["sip.todorovic.fr"], "from": "2010-01-01", "to": "2012-01-01"}]`, "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := made.expand([]byte(`{"completed": true, "chain": ["@cert leaf", {"der": "@der root"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var h facts.Handshake
	if err := json.Unmarshal(b, &h); err != nil {
		t.Fatal(err)
	}
	leaf, ok := h.Leaf()
	if !ok || leaf.CommonName != "ocs.todorovic.adds" || !leaf.Matches("sip.todorovic.fr") || leaf.SelfSigned || leaf.CA ||
		leaf.Issuer != "CN=Todorovic Root CA" || !leaf.NotAfter.Equal(time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC)) || len(leaf.Thumbprint) != 40 {
		t.Errorf("the leaf is described as %+v", leaf)
	}
	if string(h.Chain[1].DER) != string(made.certificates["root"].cert.Raw) {
		t.Error("@der does not give the bytes of the certificate")
	}
	root, err := describe(made.certificates["root"].cert.Raw)
	if err != nil || !root.SelfSigned || !root.CA {
		t.Errorf("the root is described as %+v, %v", root, err)
	}
}
