package facts_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// world is a set of recorded facts: DNS answers by "server name type", everything else by key.
type world struct {
	scope facts.Scope
	dns   map[string]facts.DNSAnswerData
	other map[evidence.Key]any
}

func (w world) reader(t *testing.T) *evidence.Reader {
	t.Helper()
	src := evidence.Recorded{}
	put := func(k evidence.Key, v any) {
		rec := &evidence.Record{Key: k}
		if f, ok := v.(*evidence.Failure); ok {
			rec.Failure = f
		} else {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			rec.Value = b
		}
		src[k] = rec
	}
	put(facts.ConfigScope.Key(evidence.None{}), w.scope)
	for q, a := range w.dns {
		put(evidence.Key{Kind: "dns.answer", Query: q}, a)
	}
	for k, v := range w.other {
		put(k, v)
	}
	return evidence.NewStore(t.Context(), src).NewReader(facts.All)
}

func inside(n int) []facts.Resolver {
	var out []facts.Resolver
	for i := range n {
		out = append(out, facts.Resolver{ID: "inside#" + string(rune('1'+i)), View: facts.Inside, Address: "192.0.2.1:53"})
	}
	return out
}

func answer(rr ...facts.Record) facts.DNSAnswerData {
	return facts.DNSAnswerData{Rcode: "NOERROR", Records: rr}
}

var nxdomain = facts.DNSAnswerData{Rcode: "NXDOMAIN"}

func a(name, address string) facts.Record {
	return facts.Record{Name: name, Type: "A", Address: address}
}

func alias(name, target string) facts.Record {
	return facts.Record{Name: name, Type: "CNAME", Target: target}
}

func srv(name, target string, port int) facts.Record {
	return facts.Record{Name: name, Type: "SRV", Target: target, Port: port}
}

func TestAddressesFollowAliases(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dns       map[string]facts.DNSAnswerData
		addresses []string
		canonical string
		rcode     string
	}{
		"an A record": {map[string]facts.DNSAnswerData{
			"inside#1 sip.d A": answer(a("sip.d", "192.0.2.9"), a("sip.d", "192.0.2.8")),
		}, []string{"192.0.2.8", "192.0.2.9"}, "sip.d", "NOERROR"},
		"an alias in one answer": {map[string]facts.DNSAnswerData{
			"inside#1 sip.d A": answer(alias("sip.d", "ocs.ad"), a("ocs.ad", "192.0.2.8")),
		}, []string{"192.0.2.8"}, "ocs.ad", "NOERROR"},
		"an alias into a zone that is asked anew": {map[string]facts.DNSAnswerData{
			"inside#1 sip.d A": answer(alias("sip.d", "ocs.ad")), "inside#1 ocs.ad A": answer(a("ocs.ad", "192.0.2.8")),
		}, []string{"192.0.2.8"}, "ocs.ad", "NOERROR"},
		"IPv6 only": {map[string]facts.DNSAnswerData{
			"inside#1 sip.d A": answer(), "inside#1 sip.d AAAA": answer(facts.Record{Name: "sip.d", Type: "AAAA", Address: "2001:db8::1"}),
		}, []string{"2001:db8::1"}, "sip.d", "NOERROR"},
		"a name that is not": {map[string]facts.DNSAnswerData{"inside#1 sip.d A": nxdomain}, nil, "sip.d", "NXDOMAIN"},
		"an alias that dangles": {map[string]facts.DNSAnswerData{
			"inside#1 sip.d A": answer(alias("sip.d", "old.ad")), "inside#1 old.ad A": nxdomain,
		}, nil, "old.ad", "NXDOMAIN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := world{scope: facts.Scope{Resolvers: inside(1)}, dns: c.dns}.reader(t)
			h, err := facts.Addresses.Get(r, facts.HostQuestion{Host: "sip.d", View: facts.Inside})
			if err != nil || !slices.Equal(h.Addresses, c.addresses) || h.Canonical != c.canonical || h.Rcode != c.rcode {
				t.Errorf("%+v, %v", h, err)
			}
		})
	}
}

func TestAnAliasLoopEnds(t *testing.T) {
	t.Parallel()
	r := world{scope: facts.Scope{Resolvers: inside(1)}, dns: map[string]facts.DNSAnswerData{
		"inside#1 a.d A": answer(alias("a.d", "b.d"), alias("b.d", "a.d")), "inside#1 b.d A": answer(alias("b.d", "a.d")),
		"inside#1 a.d AAAA": answer(alias("a.d", "b.d"), alias("b.d", "a.d")), "inside#1 b.d AAAA": answer(alias("b.d", "a.d")),
	}}.reader(t)
	h, err := facts.Addresses.Get(r, facts.HostQuestion{Host: "a.d", View: facts.Inside})
	if err != nil || len(h.Addresses) > 0 {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestTheFirstResolverThatAnswersCounts(t *testing.T) {
	t.Parallel()
	q := facts.LookupQuestion{Name: "sip.d", Type: "A", View: facts.Inside}
	first := facts.DNSAnswer.Key(facts.DNSQuestion{Server: "inside#1", Name: "sip.d", Type: "A"})
	good := map[string]facts.DNSAnswerData{"inside#2 sip.d A": answer(a("sip.d", "192.0.2.8"))}
	two := facts.Scope{Resolvers: inside(2)}
	for name, c := range map[string]struct {
		first  any
		server string
		reason evidence.Reason
	}{
		"silent":              {evidence.FailAt(evidence.Timeout, "silent", first), "inside#2", ""},
		"server failure":      {facts.DNSAnswerData{Rcode: "SERVFAIL"}, "inside#2", ""},
		"refused":             {facts.DNSAnswerData{Rcode: "REFUSED"}, "inside#2", ""},
		"says it is not":      {nxdomain, "inside#1", ""},
		"missing from a file": {evidence.Fail(evidence.NotRecorded, "gone"), "", evidence.NotRecorded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := world{scope: two, dns: good, other: map[evidence.Key]any{first: c.first}}.reader(t)
			l, err := facts.DNSLookup.Get(r, q)
			var f *evidence.Failure
			if errors.As(err, &f) && f.Reason != c.reason || err == nil && c.reason != "" || l.Server != c.server {
				t.Errorf("%+v, %v", l, err)
			}
		})
	}
	t.Run("none is given", func(t *testing.T) {
		t.Parallel()
		_, err := facts.DNSLookup.Get(world{}.reader(t), q)
		var f *evidence.Failure
		if !errors.As(err, &f) || f.Reason != evidence.NotConfigured {
			t.Errorf("%v", err)
		}
	})
}

func TestTheWalkOfCommunicator(t *testing.T) {
	t.Parallel()
	const internal, external = "_sipinternaltls._tcp.d", "_sip._tls.d"
	none := map[string]facts.DNSAnswerData{
		"inside#1 " + internal + " SRV": nxdomain, "inside#1 " + external + " SRV": nxdomain,
		"inside#1 sipinternal.d A": nxdomain, "inside#1 sip.d A": nxdomain, "inside#1 sipexternal.d A": nxdomain,
	}
	with := func(more map[string]facts.DNSAnswerData) map[string]facts.DNSAnswerData {
		m := map[string]facts.DNSAnswerData{}
		for k, v := range none {
			m[k] = v
		}
		for k, v := range more {
			m["inside#1 "+k] = v
		}
		return m
	}
	host := answer(a("sip.d", "192.0.2.8"))
	for name, c := range map[string]struct {
		dns      map[string]facts.DNSAnswerData
		by, host string
		port     int
		leads    bool
	}{
		"nothing at all":                          {none, "", "", 0, false},
		"the internal record":                     {with(map[string]facts.DNSAnswerData{internal + " SRV": answer(srv(internal, "sip.d", 5061)), external + " SRV": answer(srv(external, "edge.d", 443)), "sip.d A": host}), internal, "sip.d", 5061, true},
		"the external record":                     {with(map[string]facts.DNSAnswerData{external + " SRV": answer(srv(external, "sip.d", 443)), "sip.d A": host}), external, "sip.d", 443, true},
		"a record that dangles wins all the same": {with(map[string]facts.DNSAnswerData{internal + " SRV": answer(srv(internal, "sip.d", 5061))}), internal, "sip.d", 5061, false},
		"declared absent":                         {with(map[string]facts.DNSAnswerData{internal + " SRV": answer(srv(internal, "", 0))}), internal, "", 0, false},
		"the fall-back":                           {with(map[string]facts.DNSAnswerData{"sip.d A": host}), "sip.d", "sip.d", 5061, true},
		"the first fall-back":                     {with(map[string]facts.DNSAnswerData{"sip.d A": host, "sipinternal.d A": answer(a("sipinternal.d", "192.0.2.7"))}), "sipinternal.d", "sipinternal.d", 5061, true},
		"the lowest priority":                     {with(map[string]facts.DNSAnswerData{internal + " SRV": answer(facts.Record{Name: internal, Type: "SRV", Target: "old.d", Port: 5061, Priority: 9}, srv(internal, "sip.d", 5061)), "sip.d A": host}), internal, "sip.d", 5061, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := world{scope: facts.Scope{Resolvers: inside(1)}, dns: c.dns}.reader(t)
			w, err := facts.Discovery.Get(r, facts.DiscoveryQuestion{Domain: "d", View: facts.Inside})
			if err != nil || w.By != c.by || w.Host != c.host || w.Port != c.port || (len(w.Addresses) > 0) != c.leads {
				t.Errorf("%+v, %v", w, err)
			}
		})
	}
}

func TestThePhaseOfAServer(t *testing.T) {
	t.Parallel()
	server := facts.Endpoint{Host: "ocs.ad.example", Port: 5061}
	register := facts.Register.Key(facts.RegisterQuestion{Endpoint: server, Domain: "d"})
	refused := evidence.FailAt(evidence.NoTarget, "refused", facts.NetConnect.Key(server))
	rootDSE := facts.RootDSEData{Attributes: map[string][]string{
		"defaultNamingContext": {"DC=ad,DC=example"}, "rootDomainNamingContext": {"DC=ad,DC=example"}, "configurationNamingContext": {"CN=Configuration,DC=ad,DC=example"},
	}}
	computer := facts.Search.Key(facts.NewSearch("dc1.ad.example", "DC=ad,DC=example", "sub", "(&(objectClass=computer)(dNSHostName=ocs.ad.example))", "dNSHostName"))
	objects := facts.Search.Key(facts.NewSearch("dc1.ad.example", "CN=OCS,DC=ad,DC=example", "sub", "(|(objectClass=msRTCSIP-Server)(objectClass=msRTCSIP-WebComponents)(objectClass=msRTCSIP-MCU))", "objectClass"))
	found := facts.SearchResult{Entries: []facts.Entry{{DN: "CN=OCS,DC=ad,DC=example"}}}
	products := facts.Registry.Key(facts.RegistryQuestion{Host: server.Host, Key: `HKLM\SOFTWARE\Microsoft\Real-Time Communications`, Depth: 1})
	service := func(name string) evidence.Key {
		return facts.Registry.Key(facts.ServiceConfigQuestion(server.Host, name))
	}
	frontEnd, conferencing, applications := service("RtcSrv"), service("RTCIMMCU"), service("RTCAPPSRV")
	denied := evidence.Fail(evidence.Denied, "access denied")
	directory := func(o facts.SearchResult, host any) map[evidence.Key]any {
		return map[evidence.Key]any{
			register: refused, computer: found, objects: o, products: host, frontEnd: host, conferencing: host, applications: host,
			facts.RootDSE.Key(facts.DCQuestion{DC: "dc1.ad.example"}): rootDSE,
		}
	}
	noKey := facts.RegistryKey{}
	for name, c := range map[string]struct {
		user    string
		phase   string
		facts   map[evidence.Key]any
		want    string
		assumed bool
	}{
		"SIP answers":                         {"", "auto", map[evidence.Key]any{register: facts.SIPAnswer{Status: 401}}, "post-install", false},
		"something else answers":              {"", "auto", map[evidence.Key]any{register: facts.SIPAnswer{NotSIP: true}}, "post-install", true},
		"nothing can be read":                 {"", "auto", map[evidence.Key]any{register: refused}, "post-install", true},
		"AD holds its objects":                {"svc", "auto", directory(found, denied), "post-install", false},
		"AD holds none":                       {"svc", "auto", directory(facts.SearchResult{}, denied), "pre-install", false},
		"asked for":                           {"", "pre-install", nil, "pre-install", false},
		"neither AD nor the server holds any": {"svc", "auto", directory(facts.SearchResult{}, noKey), "pre-install", false},
		"only the server was read":            {"svc", "auto", map[evidence.Key]any{register: refused, products: noKey, frontEnd: noKey, conferencing: noKey, applications: noKey, facts.RootDSE.Key(facts.DCQuestion{DC: "dc1.ad.example"}): denied}, "pre-install", false},
		"OCS is on the server":                {"svc", "auto", directory(facts.SearchResult{}, facts.RegistryKey{Exists: true}), "post-install", false},
		"the recording lacks the server":      {"svc", "auto", map[evidence.Key]any{register: refused, computer: found, objects: facts.SearchResult{}, facts.RootDSE.Key(facts.DCQuestion{DC: "dc1.ad.example"}): rootDSE}, "post-install", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world{scope: facts.Scope{Phase: c.phase, LDAPUser: c.user, SIPDomains: []string{"d"}, DCs: []string{"dc1.ad.example"}, ADDomain: "ad.example"}, other: c.facts}
			p, err := facts.ServerPhase.Get(w.reader(t), facts.ServerQuestion{FQDN: "ocs.ad.example"})
			if err != nil || p.Phase != c.want || p.Assumed != c.assumed || p.Why == "" {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

func TestCertificateNamesMatchAsWindowsDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cert facts.Certificate
		name string
		want bool
	}{
		{facts.Certificate{CommonName: "OCS.ad"}, "ocs.ad", true},
		{facts.Certificate{CommonName: "ocs.ad", DNSNames: []string{"sip.d"}}, "ocs.ad", false},
		{facts.Certificate{DNSNames: []string{"sip.d", "ocs.ad"}}, "ocs.ad", true},
		{facts.Certificate{CommonName: "*.d"}, "sip.d", true},
		{facts.Certificate{CommonName: "*.d"}, "a.sip.d", false},
		{facts.Certificate{CommonName: "*.d"}, "d", false},
	} {
		if got := c.cert.Matches(c.name); got != c.want {
			t.Errorf("%+v for %s: %v", c.cert, c.name, got)
		}
		if want := c.want && !strings.Contains(c.cert.CommonName, "*"); c.cert.Carries(c.name) != want {
			t.Errorf("%+v carries %s: %v", c.cert, c.name, !want)
		}
	}
}

func TestQueriesHaveOneCanonicalForm(t *testing.T) {
	t.Parallel()
	x := facts.NewSearch("dc1", "", "base", "(a=b c)", "b", "a", "a")
	y := facts.NewSearch("dc1", "", "base", "(a=b c)", "a", "b")
	if x != y || x.String() != `dc1 "" base "(a=b c)" a,b` {
		t.Errorf("%q, %q", x, y)
	}
	if z := facts.NewSearch("dc1", "x\ny", "base", "", "a"); z.String() != `dc1 "x\ny" base "" a` {
		t.Errorf("a line break stays in %q", z)
	}
}

func TestNamesOfHosts(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"DC1.Todorovic.ADDS.": "dc1.todorovic.adds:389", "dc1:3268": "dc1:3268", "[2001:db8::1]:636": "[2001:db8::1]:636", "2001:db8::1": "[2001:db8::1]:389"} {
		host, port := facts.SplitHostPort(in, 389)
		if got := facts.JoinHostPort(host, port); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
	if got := facts.DomainOfDN("DC=Todorovic,DC=adds"); got != "todorovic.adds" {
		t.Errorf("%q", got)
	}
	if got := facts.DomainOfDN("CN=Configuration,DC=adds"); got != "" {
		t.Errorf("%q", got)
	}
	if got := facts.EscapeFilter("a*b(c)\\\x00"); got != `a\2ab\28c\29\5c\00` {
		t.Errorf("%q", got)
	}
	d := facts.RootDSEData{Attributes: map[string][]string{"serverName": {"CN=DC1,CN=Servers,CN=Paris,CN=Sites,CN=Configuration,DC=x"}, "domainfunctionality": {"2"}}}
	if level, ok := d.Level("domainFunctionality"); d.Site() != "Paris" || level != 2 || !ok {
		t.Errorf("%q, %d, %v", d.Site(), level, ok)
	}
}
