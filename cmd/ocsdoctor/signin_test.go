package main

import (
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ocsdoctor/checks"
	"ocsdoctor/fixtures/lab"
	"ocsdoctor/report"
)

// signinForm is the JSON form as the contract has it; the fields beyond it are named here too, so that none comes unnoticed.
type signinForm struct {
	Schema  string         `json:"schema"`
	URI     string         `json:"uri"`
	Profile string         `json:"profile"`
	Vantage report.Vantage `json:"vantage"`
	Reach   string         `json:"reach"`
	Steps   []struct {
		N          int    `json:"n"`
		What       string `json:"what"`
		Asked      string `json:"asked"`
		Answer     string `json:"answer"`
		DurationMs int64  `json:"durationMs"`
		Outcome    string `json:"outcome"`
		NotTried   string `json:"notTried"`
	} `json:"steps"`
	StoppedAt int                 `json:"stoppedAt"`
	UserSees  *report.UserSees    `json:"userSees"`
	Root      *report.SignInRoot  `json:"root"`
	Next      string              `json:"next"`
	Also      []report.SignInRoot `json:"also"`
}

func signinJSON(t *testing.T, uri string, args ...string) (signinForm, int) {
	t.Helper()
	code, out, errs := call(t, append([]string{"signin", uri, "-o", "json"}, args...)...)
	var s signinForm
	dec := json.NewDecoder(strings.NewReader(out))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		t.Fatalf("signin %s %v: exit %d, %v\n%s", uri, args, code, err, errs)
	}
	return s, code
}

// Whatever is wrong, the walk says where the client stops and names the fault as its root, or goes through and lists it.
func TestASignInThroughEveryFault(t *testing.T) {
	t.Parallel()
	faults, err := lab.Faults()
	if err != nil {
		t.Fatal(err)
	}
	// Where the forest is not prepared no server runs: that is what the client meets.
	elsewhere := map[string]string{
		"no-schema-r2": "net/sip-port:refused", "schema-only": "net/sip-port:refused", "schema-on-one-dc": "net/sip-port:refused", "schema-and-forest": "net/sip-port:refused",
		"sip-domain-missing":  "account/user-enabled:not-found",
		"user-domain-unknown": "ad/sip-domain-defined:missing",
	}
	var mu sync.Mutex
	stopped := map[int]bool{}
	t.Run("faults", func(t *testing.T) { // returns when all of them are done
		for _, f := range faults {
			if f.Deployment == "todorovic-preinstall" {
				continue // nobody signs in before setup
			}
			id, _, _ := strings.Cut(f.Root, ":")
			if !slices.ContainsFunc(signinChecks(), func(c *checks.Check) bool { return c.ID == id }) && elsewhere[f.Name] == "" {
				continue // not looked at in a sign-in
			}
			t.Run(f.Name, func(t *testing.T) {
				t.Parallel()
				user := "sip:alice@todorovic.fr"
				if len(f.CheckUsers) > 0 {
					user = f.CheckUsers[0]
				}
				want := f.Root
				if e := elsewhere[f.Name]; e != "" {
					want = e
				}
				s, code := signinJSON(t, user, "--lab", f.Deployment+"+"+f.Name)
				found := ""
				if s.Root != nil {
					found = s.Root.Check + ":" + s.Root.Tag
				}
				unknown := false
				for i, st := range s.Steps {
					stops := st.Outcome == report.StepStops
					unknown = unknown || st.Outcome == report.StepUnknown
					if st.N != i+1 || st.What == "" || (st.Outcome == report.StepNotTried) != (st.NotTried != "") || st.Outcome != report.StepNotTried && (st.Asked == "" || st.Answer == "") {
						t.Errorf("step %+v", st)
					}
					if stops && s.StoppedAt == 0 || s.StoppedAt > 0 && st.N > s.StoppedAt && st.N < 10 && st.Outcome != report.StepNotTried {
						t.Errorf("the client stops at step %d, and step %d is %s", s.StoppedAt, st.N, st.Outcome)
					}
				}
				mu.Lock()
				stopped[s.StoppedAt] = true
				mu.Unlock()
				listed := slices.ContainsFunc(s.Also, func(r report.SignInRoot) bool { return r.Check+":"+r.Tag == want })
				switch {
				case s.StoppedAt > 0 || unknown:
					if found != want || s.Reach == report.ReachNobody || code != 1 {
						t.Errorf("exit %d, stopped at %d, root %q, reaches %s; want %s", code, s.StoppedAt, found, s.Reach, want)
					}
				case s.Root != nil || !listed || s.Reach != report.ReachNobody || s.UserSees != nil:
					t.Errorf("the walk goes through, root %q, reaches %s, besides %+v; want %s", found, s.Reach, s.Also, want)
				}
				if s.Schema != "ocsdoctor.signin/1" || s.Profile == "" || s.URI != user || len(s.Steps) != 10 || s.Next == "" || strings.Contains(s.Next, "\n") {
					t.Errorf("%s %s %q, %d steps, next %q", s.Schema, s.Profile, s.URI, len(s.Steps), s.Next)
				}
			})
		}
	})
	for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 10} {
		if !stopped[n] {
			t.Errorf("no fault stops a sign-in at step %d", n)
		}
	}
}

// Each client has its own way, and the records on it that exist and lead nobody anywhere are told apart.
func TestASignInOfEveryClient(t *testing.T) {
	t.Parallel()
	const (
		internal, external, tcp = "_sipinternaltls._tcp.todorovic.fr: ", "_sip._tls.todorovic.fr: ", "_sip._tcp.todorovic.fr: "
		sip                     = "sip.todorovic.fr port 5061"
	)
	for _, c := range []struct {
		lab     string
		args    []string
		stopped int
		connect string   // what the connect was asked
		says    []string // parts of the answer of the first step
		silent  []string // what it must not say
	}{
		{"", nil, 0, "TCP sip.todorovic.fr:5061", []string{internal + sip + ", wins", external + sip + ", never reached"}, []string{"outside", "sip.todorovic.fr: 192"}},
		{"+internal-srv-wrong-port", nil, 3, "TCP sip.todorovic.fr:5060", []string{internal + "sip.todorovic.fr port 5060, wins", external + sip + ", never reached"}, []string{"passed over"}},
		{"+internal-srv-wrong-port", []string{"--profile", "pidgin-sipe"}, 0, "TCP sip.todorovic.fr:5061", []string{"port 5060 passed over: refused", external + sip + ", wins"}, []string{"sipexternal"}},
		{"+internal-srv-wrong-port", []string{"--profile", "phone-edition"}, 0, "TCP sip.todorovic.fr:5061", []string{"port 5060 passed over: refused", external + sip + ", wins"}, nil},
		{"+sip-tcp-srv-closed", nil, 0, "TCP sip.todorovic.fr:5061", []string{tcp + "sip.todorovic.fr port 5060, never reached: Communicator 2007 R2 does not ask for it"}, nil},
		{"+sip-tcp-srv-closed", []string{"--profile", "communicator-2007"}, 0, "TCP sip.todorovic.fr:5061", []string{"Communicator 2007 does not ask for it where SIP is allowed over TLS alone"}, nil},
		{"+sip-tcp-srv-closed", []string{"--profile", "communicator-2007", "--transport", "tcp"}, 0, "TCP sip.todorovic.fr:5061", []string{tcp + "sip.todorovic.fr port 5060, never reached"}, []string{"does not ask"}},
		{"+sip-port-refused", []string{"--profile", "pidgin-sipe"}, 6, "TCP sip.todorovic.fr:443", []string{internal + sip + ", port 5061 passed over: refused", "sipexternal.todorovic.fr: leads nowhere", "sip.todorovic.fr: 192.168.1.20, wins"}, nil},
		{"+no-srv-records", []string{"--profile", "pidgin-sipe"}, 6, "TCP sip.todorovic.fr:443", []string{"lyncdiscoverinternal.todorovic.fr: leads nowhere; lyncdiscover.todorovic.fr: leads nowhere; " + internal + "no record"}, nil},
		{"+no-srv-records", []string{"--profile", "phone-edition"}, 0, "TCP sip.todorovic.fr:5061", []string{"sipinternal.todorovic.fr.todorovic.adds: leads nowhere; sip.todorovic.fr: 192.168.1.20, wins"}, nil},
		{"+sip-over-tcp+no-srv-records", []string{"--transport", "tcp"}, 0, "TCP sip.todorovic.fr:5060", []string{"_sipinternal._tcp.todorovic.fr: sip.todorovic.fr port 5060, wins"}, nil},
		{"+sip-over-tcp+no-srv-records", nil, 0, "TCP sip.todorovic.fr:5061", []string{"sip.todorovic.fr: 192.168.1.20, wins; _sipinternal._tcp.todorovic.fr: sip.todorovic.fr port 5060, never reached"}, nil},
		{"+split-dns", nil, 0, "TCP sip.todorovic.fr:5061", []string{"outside: " + internal + "no record; outside: " + external + sip + ", wins", "a client inside goes to " + sip + " at 192.168.1.20, one outside to " + sip + " at 203.0.113.20"}, nil},
		{"+srv-target-of-ad-domain", nil, 0, "TCP ocs.todorovic.adds:5061", []string{"ocs.todorovic.adds is neither todorovic.fr nor directly below it: the client may refuse it unless its policy sets DisableStrictDNSNaming"}, nil},
		{"+no-discovery", []string{"--manual", "ocs.todorovic.adds"}, 0, "TCP ocs.todorovic.adds:5061", []string{"the client is configured by hand with ocs.todorovic.adds:5061"}, []string{"sipinternal"}},
		{"", []string{"--manual", "192.168.1.20"}, 5, "TCP 192.168.1.20:5061", []string{"by hand with 192.168.1.20:5061"}, nil},
		{"+sip-tcp-srv-closed", []string{"--manual", "ocs.todorovic.adds", "--transport", "tcp"}, 3, "TCP ocs.todorovic.adds:5060", []string{"by hand with ocs.todorovic.adds:5060"}, nil},
		{"+pool-host-missing", []string{"--manual", "ocs.todorovic.adds"}, 2, "TCP ocs.todorovic.adds:5061", []string{"by hand with ocs.todorovic.adds:5061"}, nil},
	} {
		s, code := signinJSON(t, "sip:alice@todorovic.fr", append([]string{"--lab", "todorovic" + c.lab}, c.args...)...)
		first := s.Steps[0].Answer
		if s.StoppedAt != c.stopped || s.Steps[2].Asked != c.connect {
			t.Errorf("%s %v: exit %d, stopped at %d, connect %+v; %s", c.lab, c.args, code, s.StoppedAt, s.Steps[2], first)
		}
		for _, part := range c.says {
			if !strings.Contains(first, part) {
				t.Errorf("%s %v: %q is not in %q", c.lab, c.args, part, first)
			}
		}
		for _, part := range c.silent {
			if strings.Contains(first, part) {
				t.Errorf("%s %v: %q is in %q", c.lab, c.args, part, first)
			}
		}
		if pidgin := slices.Contains(c.args, "pidgin-sipe"); pidgin && s.UserSees != nil {
			t.Errorf("%s %v: the user sees %+v, which is Communicator's", c.lab, c.args, s.UserSees)
		}
	}
}

// With clients that were told their server, a scan misses no record; nor is it blind to a server that they cannot find.
func TestClientsConfiguredByHand(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]struct {
		code  int
		roots []string
	}{
		"no-discovery": {0, nil}, "pool-host-missing": {1, []string{"dns/pool-host:missing"}}, "sip-port-refused": {1, []string{"net/sip-port:refused"}},
	} {
		r, code := scanJSON(t, "--lab", "todorovic+"+fault, "--manual", "ocs.todorovic.adds")
		if code != want.code || !slices.Equal(roots(r), want.roots) {
			t.Errorf("%s: exit %d, roots %q", fault, code, roots(r))
		}
	}
	for _, args := range [][]string{
		{"signin", "sip:alice@todorovic.fr", "--lab", "todorovic", "--manual", "a b"}, {"scan", "--lab", "todorovic", "--manual", "ocs..adds/x"},
		{"signin", "sip:alice@todorovic.fr", "--lab", "todorovic", "--profile", "lync"}, {"signin", "sip:alice@todorovic.fr", "--lab", "todorovic", "--transport", "udp"},
	} {
		if code, _, errs := call(t, args...); code != 2 || errs == "" {
			t.Errorf("%v exits %d", args, code)
		}
	}
}

// A certificate that only the web server presents keeps nobody from signing in.
func TestTheCertificateOfAnotherPortStopsNobody(t *testing.T) {
	t.Parallel()
	s, _ := signinJSON(t, "sip:alice@todorovic.fr", "--lab", "todorovic+https-wrong-name")
	if s.StoppedAt != 0 || s.Root != nil {
		t.Errorf("stopped at %d, root %+v", s.StoppedAt, s.Root)
	}
}

func TestASignInFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"", "+untrusted-root", "+service-account-locked"} {
		_, out, _ := call(t, "signin", "sip:alice@todorovic.fr", "--lab", "todorovic"+fault)
		for line := range strings.Lines(out) {
			command := strings.HasPrefix(line, "next: ") || strings.HasPrefix(line, "          ")
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 && !command {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		if !strings.HasPrefix(out[strings.LastIndexByte(strings.TrimSuffix(out, "\n"), '\n')+1:], "next: ocsdoctor ") && fault != "" {
			t.Errorf("the last line is no command:\n%s", out)
		}
	}
}

func TestAddressesOfUsers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"sip:alice@todorovic.fr": "sip:alice@todorovic.fr", " SIP:Alice@Todorovic.FR ": "sip:alice@todorovic.fr",
		"alice@todorovic.fr": "", "sip:alice": "", "sip:@todorovic.fr": "", "sip:alice@": "", "sip:a@b@c": "", "sip:a b@c": "", "sip:a@c..d": "",
		"sip:a@.c": "", "sip:a@c.": "", "sip:a@c;d": "", "sip:a@192.0.2.1": "", "": "", "sip:a@c$(x)": "", "sip:a@c\n": "sip:a@c",
	} {
		uri, domain, ok := sipAddress(in)
		if ok != (want != "") || ok && (uri != want || !strings.HasSuffix(want, "@"+domain)) {
			t.Errorf("%q is %q of %q, %v", in, uri, domain, ok)
		}
	}
}

func TestTheCommandThatWalksAgainIsQuoted(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"sip:alice@todorovic.fr": "sip:alice@todorovic.fr", `TODOROVIC\svc scan`: `'TODOROVIC\svc scan'`, "it's": `'it'\''s'`, "": "''"} {
		if got := quoted(in); got != want {
			t.Errorf("%q is quoted as %s, want %s", in, got, want)
		}
	}
}

// What init writes of a deployment is enough for a scan and for a sign-in: how it is reached, who asks, what is trusted.
func TestInitWritesWhatAScanTakes(t *testing.T) {
	t.Parallel()
	l := startLab(t, "todorovic", lab.Options{})
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	var roots []byte
	for _, der := range l.Scope.Roots {
		roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	config := filepath.Join(dir, "ocsdoctor.yaml")
	args := []string{"init", "-f", config, "--ad-domain", "todorovic.adds", "--user", l.Scope.LDAPUser,
		"--password-file", file("password", []byte(l.Password+"\n")), "--roots", file("roots.pem", roots)}
	for _, r := range l.Scope.Resolvers {
		args = append(args, "--dns", l.Map["udp "+r.Address])
	}
	for _, c := range l.Connects() {
		args = append(args, "--connect", c)
	}
	if code, _, errs := call(t, args...); code != 0 {
		t.Fatalf("init exits %d: %s", code, errs)
	}
	written, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(written), l.Password) {
		t.Error("the file holds the password")
	}
	// The lab's server speaks no SMB: its folder is carried here.
	folder := file("ocs.zip", l.Hosts["ocs.todorovic.adds"])
	r, code := scanJSON(t, "--config", config, "--host-dump", folder)
	if code != 0 || len(r.Roots) > 0 || !slices.Equal(r.Deployment.Servers, []string{"ocs.todorovic.adds"}) || !slices.Equal(r.Deployment.SIPDomains, []string{"todorovic.fr"}) {
		t.Errorf("a scan with it exits %d, finds %v on %+v\n%s", code, r.Roots, r.Deployment, written)
	}
	s, code := signinJSON(t, "sip:alice@todorovic.fr", "--config", config, "--host-dump", folder)
	if code != 0 || s.Steps[9].Outcome != report.StepOK {
		t.Errorf("a sign-in with it exits %d: %+v", code, s)
	}
}
