package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/fixtures/lab"
	"ocsdoctor/report"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ocsdoctor": main})
}

// TestScripts runs the program as a user would; each script is one story.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Setup: func(e *testscript.Env) error {
		// A resolver that never answers, for the scripts that need a scan to last.
		silent, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		e.Defer(func() { _ = silent.Close() })
		e.Setenv("SILENT", silent.LocalAddr().String())
		return nil
	}})
}

// call runs the program in this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, streams{strings.NewReader(""), &out, &errs})
	return code, out.String(), errs.String()
}

// scanJSON scans and reads the report.
func scanJSON(t *testing.T, args ...string) (*report.Report, int) {
	t.Helper()
	code, out, errs := call(t, append([]string{"scan", "-o", "json"}, args...)...)
	r, err := report.Read(strings.NewReader(out))
	if err != nil {
		t.Fatalf("scan %v: exit %d, %v\n%s", args, code, err, errs)
	}
	if r.ExitCode != code {
		t.Errorf("scan %v exits %d, its report says %d", args, code, r.ExitCode)
	}
	return r, code
}

// roots are the report's roots as "check:tag".
func roots(r *report.Report) []string {
	found := r.Findings()
	out := []string{}
	for _, id := range r.Roots {
		f := found[id]
		out = append(out, f.Result.Check+":"+f.Tag)
	}
	return out
}

// asWritten is the deployment that the seed article builds.
const asWritten = "todorovic-as-written"

// What the seed article builds works: a user signs in, his example without a mailbox too, and a scan gates nothing. It is told of the one
// thing that the article does without, and of nothing else that a healthy deployment is not told of.
func TestTheSeedArticleBuildsWhatWorks(t *testing.T) {
	t.Parallel()
	tags := func(r *report.Report) map[string]string {
		m := map[string]string{}
		for _, f := range r.Findings() {
			m[f.Result.Check+":"+f.Tag] = f.Severity
		}
		return m
	}
	r, code := scanJSON(t, "--lab", asWritten)
	if code != 0 || r.Verdict != "pass" || len(r.Missing) > 0 || !slices.Equal(roots(r), []string{"dns/sip-internal-tls-srv:missing"}) {
		t.Errorf("exit %d, verdict %s, roots %q, missing %+v", code, r.Verdict, roots(r), r.Missing)
	}
	healthy, _ := scanJSON(t, "--lab", "todorovic")
	more := tags(r)
	for tag := range tags(healthy) {
		if more[tag] != "notice" {
			t.Errorf("%s, of the healthy deployment, is %q here", tag, more[tag])
		}
		delete(more, tag)
	}
	if len(more) != 1 || more["dns/sip-internal-tls-srv:missing"] != "warning" {
		t.Errorf("findings beyond those of a healthy deployment: %v", more)
	}
	for _, user := range []string{"sip:alice@todorovic.fr", "sip:no.mail@todorovic.fr"} {
		s, code := signinJSON(t, user, "--lab", asWritten)
		challenge := s.Steps[5]
		if code != 0 || s.StoppedAt != 0 || challenge.Outcome != report.StepOK || !strings.Contains(challenge.Answer, "NTLM ocs.todorovic.adds") {
			t.Errorf("%s: exit %d, stopped at %d, %+v", user, code, s.StoppedAt, challenge)
		}
		if dns := s.Steps[0].Answer; dns != "_sipinternaltls._tcp.todorovic.fr: no record; _sip._tls.todorovic.fr: sip.todorovic.fr port 5061, wins" {
			t.Errorf("%s is led by %s", user, dns)
		}
		if names := s.Steps[4].Answer; !strings.Contains(names, "sip.todorovic.fr, cwa.todorovic.fr, ocs.todorovic.adds") {
			t.Errorf("%s is shown %s", user, names)
		}
	}
}

func TestAHealthyDeploymentIsQuiet(t *testing.T) {
	t.Parallel()
	for _, name := range lab.Names() {
		if name == asWritten {
			continue // it works, and is worth a warning
		}
		r, code := scanJSON(t, "--lab", name)
		if code != 0 || len(r.Roots) > 0 || len(r.Missing) > 0 {
			t.Errorf("%s: exit %d, roots %v, missing %+v", name, code, roots(r), r.Missing)
		}
		// What an ordinary account may not see, what is asked before a certain step only, what takes an outside view, the CA, which
		// lets nobody read its registry, and Communicator Web Access and the Edge Server, which are not used.
		skipped := []string{
			"ad/replication-neighbors", "ad/schema-master-ready", "dns/federation-srv", "dns/split-views", "patch/kb974571-before-setup", "patch/services-stopped-for-update",
			"pki/ca-san-policy", "pki/edge-inside-name", "pki/edge-outside-name", "pki/san-cwa",
		}
		for _, res := range r.Results {
			due := !strings.HasPrefix(res.Reason, "not due before setup") // what setup and activation bring about, where they are still to come
			if res.Status != "pass" && (res.Status != "skip" || due && !slices.Contains(skipped, res.Check)) {
				t.Errorf("%s: %s on %s is %s: %s", name, res.Check, res.Subject.Name, res.Status, res.Reason)
			}
		}
	}
}

// Every fault gives exactly the root that it declares, and exit 1 if that is error or critical.
func TestEveryFaultIsNamed(t *testing.T) {
	t.Parallel()
	faults, err := lab.Faults()
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) < 15 {
		t.Errorf("there are only %d faults", len(faults))
	}
	for _, f := range faults {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			r, code := scanJSON(t, "--lab", f.Deployment+"+"+f.Name)
			if got := roots(r); !slices.Equal(got, []string{f.Root}) {
				t.Fatalf("the roots are %v, want %s", got, f.Root)
			}
			want := 0
			if s := r.Findings()[r.Roots[0]].Severity; s == "error" || s == "critical" {
				want = 1
			}
			if code != want {
				t.Errorf("exit %d, want %d", code, want)
			}
			for _, m := range r.Missing {
				if m.Under == "" {
					t.Errorf("%s is missing (%s) and hangs on no finding", m.Fact, m.Detail)
				}
			}
			for _, f := range r.Findings() {
				if strings.Contains(f.Fix, "could not be made") || f.Fix == "" || f.Explanation == "" {
					t.Errorf("%s has no proper fix or explanation: %q", f.Tag, f.Fix)
				}
			}
		})
	}
}

// noticesOf are a report's findings as "check:tag", each once.
func noticesOf(r *report.Report) []string {
	notices := []string{}
	for _, f := range r.Findings() {
		notices = append(notices, f.Result.Check+":"+f.Tag)
	}
	slices.Sort(notices)
	return slices.Compact(notices)
}

// A healthy deployment of another form is as quiet, but for the notices that it names besides those of the deployment.
func TestEveryVariantIsQuiet(t *testing.T) {
	t.Parallel()
	variants, err := lab.Variants()
	if err != nil {
		t.Fatal(err)
	}
	healthy := map[string]*report.Report{}
	for _, name := range lab.Names() {
		healthy[name], _ = scanJSON(t, "--lab", name)
	}
	for _, v := range variants {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			r, code := scanJSON(t, "--lab", v.Deployment+"+"+v.Name)
			if code != 0 || len(r.Roots) > 0 || len(r.Missing) > 0 {
				t.Errorf("exit %d, roots %v, missing %+v", code, roots(r), r.Missing)
			}
			usual := noticesOf(healthy[v.Deployment])
			notices := slices.DeleteFunc(noticesOf(r), func(n string) bool { return slices.Contains(usual, n) })
			if !slices.Equal(notices, v.Notices) && len(notices)+len(v.Notices) > 0 {
				t.Errorf("the notices are %v, want %v", notices, v.Notices)
			}
		})
	}
}

// The certificates of an Edge Server are judged where it can be had from here. Where it cannot, that is said and held against nobody.
func TestAnEdgeServerIsJudgedWhereItCanBeHad(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ variant, check, status, reason string }{
		{"split-dns", "pki/edge-outside-name", "pass", ""},
		{"edge-outside-filtered", "pki/edge-outside-name", "skip", "203.0.113.20:5061, where clients outside are led for sip.todorovic.fr, takes no connection from here"},
		{"edge-outside-router", "pki/edge-outside-name", "skip", "what answers at 203.0.113.20:443, where clients outside are led for sip.todorovic.fr, speaks no SIP and has a certificate for router"},
		{"edge-server", "pki/edge-inside-name", "pass", ""},
		{"edge-server-filtered", "pki/edge-inside-name", "skip", "edge.todorovic.adds:5061 takes no connection from here"},
	} {
		t.Run(c.variant, func(t *testing.T) {
			t.Parallel()
			r, _ := scanJSON(t, "--lab", "todorovic+"+c.variant, "--only", c.check)
			if len(r.Results) != 1 || r.Results[0].Status != c.status || !strings.Contains(r.Results[0].Reason, c.reason) {
				t.Errorf("%+v; want %s: %s", r.Results, c.status, c.reason)
			}
		})
	}
}

// A host of revocation lists that is a black hole, stalls, drips, or sends what is none costs the answer about those lists, within its time, and
// nothing else.
func TestAHostOfRevocationListsHarmsNothingElse(t *testing.T) {
	t.Parallel()
	const list = "http://ca.todorovic.adds/CertEnroll/Todorovic%20Issuing%20CA.crl"
	about := []string{"pki/revocation-reachable", "pki/revocation-current", "pki/not-revoked"}
	statuses := func(r *report.Report) map[string]string {
		m := map[string]string{}
		for _, res := range r.Results {
			if !slices.Contains(about, res.Check) {
				m[res.Check+" "+res.Subject.Name] = res.Status
			}
		}
		return m
	}
	r, code := scanJSON(t, "--lab", "todorovic+crl-on-the-web-only")
	if code != 0 {
		t.Fatalf("exit %d with the lists on the web", code)
	}
	want := statuses(r)
	for _, fault := range []string{"crl-host-black-hole", "crl-host-stalls", "crl-host-drips"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			r, code := scanJSON(t, "--lab", "todorovic+crl-on-the-web-only+"+fault)
			if took := time.Since(start); took > 2*env.FetchBudget {
				t.Errorf("it took %v", took)
			}
			if code != 3 || len(r.Roots) > 0 {
				t.Errorf("exit %d, roots %v", code, roots(r))
			}
			if got := statuses(r); !maps.Equal(got, want) {
				t.Errorf("the other checks come out otherwise: %v, want %v", got, want)
			}
			for _, res := range r.Results {
				if slices.Contains(about, res.Check) && (res.Status != "unknown" || !strings.Contains(res.Reason, "ca.todorovic.adds:80")) {
					t.Errorf("%s is %s: %s", res.Check, res.Status, res.Reason)
				}
			}
		})
	}
	for _, fault := range []string{"crl-host-huge", "crl-host-html", "crl-redirects-for-ever"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			r, _ := scanJSON(t, "--lab", "todorovic+"+fault)
			named := slices.ContainsFunc(slices.Collect(maps.Values(r.Findings())), func(f report.Located) bool { return strings.Contains(f.Text, list+" (") })
			if got := statuses(r); !named || !maps.Equal(got, want) {
				t.Errorf("the address is named: %v; the other checks are %v, want %v", named, got, want)
			}
		})
	}
}

// Reports of real scans are as the schema says.
func TestReportsAreAsTheSchemaSays(t *testing.T) {
	t.Parallel()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(report.JSONSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{"todorovic", "todorovic+certificate-expired+internal-srv-missing", "todorovic+sip-port-refused", "todorovic+all-dcs-down"} {
		_, out, _ := call(t, "scan", "--lab", spec, "-o", "json")
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestTwoFaultsAreTwoRoots(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string][]string{
		"todorovic+certificate-expired+internal-srv-missing":    {"pki/validity:expired", "dns/sip-internal-tls-srv:missing"},
		"todorovic+certificate-expired+certificate-revoked":     {"pki/not-revoked:revoked", "pki/validity:expired"},
		"todorovic+domain-level-2000+https-refused":             {"ad/domain-functional-level:too-low", "iis/https-443:refused"},
		"todorovic+dns-zone-not-served+sip-host-missing":        {"dns/server-answers:refused", "dns/sip-host:missing"},
		"todorovic+dns-server-silent+srv-target-of-ad-domain":   {"dns/server-answers:silent", "dns/srv-strict-domain:other-domain"},
		"todorovic+pool-host-missing+trusted-server-unresolved": {"dns/pool-host:missing", "ad/trusted-server-resolves:unresolved"},
		// As it was met in the field: neither hides the other.
		"todorovic+kb974571-without-ocsasnfix+service-password-expired":               {"account/service-password-expiry:expired", "patch/ocsasnfix:broken-now"},
		"todorovic-preinstall+preinstall-kb974571+preinstall-no-kb975858":             {"patch/kb974571-before-setup:present", "patch/kb975858:missing-before-setup"},
		"todorovic-preinstall+preinstall-domain-controller+preinstall-update-pending": {"host/restart-pending:before-setup", "setup/not-domain-controller:before-setup"},
	} {
		r, code := scanJSON(t, "--lab", spec)
		if got := roots(r); !slices.Equal(got, want) || code != 1 {
			t.Errorf("%s: exit %d, roots %v, want %v", spec, code, got, want)
		}
	}
}

// A closed 5061 is one root; what could not be asked for that reason is shown under it.
func TestAClosedPortIsOneRootWithWhatFollows(t *testing.T) {
	t.Parallel()
	r, _ := scanJSON(t, "--lab", "todorovic+sip-port-refused")
	if got := roots(r); !slices.Equal(got, []string{"net/sip-port:refused"}) {
		t.Fatalf("the roots are %v", got)
	}
	if len(r.Missing) != 1 || r.Missing[0].Under != r.Roots[0] || !slices.Contains(r.Missing[0].Checks, "signin/challenge") {
		t.Errorf("what follows is %+v", r.Missing)
	}
}

// An update that stopped the Front-End is one root: under it hangs the stopped service, under that the closed port, and what could not be
// asked for it.
func TestAStoppedFrontEndHangsUnderItsUpdate(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string][]string{
		"kb974571-without-ocsasnfix": {"patch/ocsasnfix:broken-now", "service/front-end:evaluation-expired", "net/sip-port:refused"},
		"database-not-upgraded":      {"patch/database-upgraded-first:mismatch", "service/front-end:database-mismatch", "net/sip-port:refused"},
	} {
		r, _ := scanJSON(t, "--lab", "todorovic+"+fault)
		byName := map[string]string{}
		for id, f := range r.Findings() {
			byName[f.Result.Check+":"+f.Tag] = id
		}
		for i, name := range want {
			f, ok := r.Findings()[byName[name]]
			switch {
			case !ok:
				t.Fatalf("%s: %s is missing", fault, name)
			case i == 0 && (len(f.ConsequenceOf) > 0 || !slices.Equal(r.Roots, []string{byName[name]})):
				t.Errorf("%s: the roots are %v", fault, roots(r))
			case i > 0 && !slices.Contains(f.ConsequenceOf, byName[want[i-1]]):
				t.Errorf("%s: %s does not hang under %s", fault, name, want[i-1])
			}
		}
		for _, m := range r.Missing {
			if m.Under == "" {
				t.Errorf("%s: %s is missing and hangs on no finding", fault, m.Fact)
			}
		}
	}
}

// The gate before setup: a server that is ready passes it, and says why it is taken to be before setup.
func TestTheGateBeforeSetup(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--before", "setup"}, {"--phase", "pre-install"}} {
		r, code := scanJSON(t, append([]string{"--lab", "todorovic-preinstall"}, args...)...)
		if code != 0 || r.Phase != "pre-install" || len(r.Roots) > 0 {
			t.Errorf("%v: exit %d, phase %s, roots %v", args, code, r.Phase, roots(r))
		}
		for _, check := range []string{"patch/kb974571-before-setup", "patch/kb975858", "setup/feature-web", "host/restart-pending"} {
			if i := slices.IndexFunc(r.Results, func(res report.Result) bool { return res.Check == check }); i < 0 || r.Results[i].Status != "pass" {
				t.Errorf("%v: %s did not pass", args, check)
			}
		}
	}
	_, out, _ := call(t, "scan", "--lab", "todorovic-preinstall")
	for _, why := range []string{"pre-install (AD was read and holds no RTC objects", "its registry was read", "SIP does not answer"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), why) {
			t.Errorf("the phase is not explained by %q:\n%s", why, out)
		}
	}
}

// With no DNS server left it may be the network as well: nothing is reported, and all that could not be asked hangs on the servers.
func TestWithoutDNSTheServersAreWhatIsMissing(t *testing.T) {
	t.Parallel()
	r, code := scanJSON(t, "--lab", "todorovic+dns-first-server-silent+dns-server-silent")
	if got := roots(r); code != 3 || len(got) > 0 {
		t.Errorf("exit %d, the roots are %v", code, got)
	}
	for _, m := range r.Missing {
		if m.Fact != "net.address(192.168.1.10:53/udp)" && m.Fact != "net.address(192.168.1.11:53/udp)" {
			t.Errorf("%s is missing (%s)", m.Fact, m.Detail)
		}
	}
	if len(r.Missing) == 0 {
		t.Error("nothing is missing")
	}
}

func TestAReplayIsTheSameReport(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"todorovic", "todorovic+sip-port-refused", "todorovic+all-dcs-down"} {
		file := filepath.Join(t.TempDir(), "facts.zip")
		live, _ := scanJSON(t, "--lab", spec, "--save-bundle", file)
		replay, _ := scanJSON(t, "--from", file)
		if a, b := timeless(t, live), timeless(t, replay); a != b {
			t.Errorf("%s: the replay differs:\n%s\n---\n%s", spec, a, b)
		}
	}
}

// timeless is the report's JSON without durations.
func timeless(t *testing.T, r *report.Report) string {
	t.Helper()
	r.DurationMs = 0
	for i := range r.Results {
		r.Results[i].DurationMs = 0
	}
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The password of the lab's account is in no output, whatever the format.
func TestThePasswordIsInNoOutput(t *testing.T) {
	t.Parallel()
	l, err := lab.Start(t.Context(), "todorovic", lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if len(l.Password) < 6 {
		t.Fatal("the lab's account has no password to look for")
	}
	dir := t.TempDir()
	args := []string{"scan", "-v", "--lab", "todorovic+dc-down", "--save-bundle", filepath.Join(dir, "b.zip")}
	for _, f := range formats {
		args = append(args, "-o", f+"="+filepath.Join(dir, f))
	}
	_, out, errs := call(t, args...)
	// A bundle is compressed: what is in it is read by replaying it into a report and by its facts.
	_, replay, _ := call(t, "scan", "--from", filepath.Join(dir, "b.zip"), "-o", "json")
	texts := map[string]string{"stdout": out, "stderr": errs, "replay": replay, "bundle": unzipped(t, filepath.Join(dir, "b.zip"))}
	for _, f := range formats {
		b, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		texts[f] = string(b)
	}
	for name, text := range texts {
		if strings.Contains(text, l.Password) {
			t.Errorf("%s holds the password", name)
		}
	}
}
