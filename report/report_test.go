package report_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	diff "github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ocsdoctor/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func base() *report.Report {
	collected := time.Date(2010, 5, 3, 17, 30, 0, 0, time.UTC)
	return &report.Report{
		Schema: report.Schema, Tool: report.Tool{Name: "ocsdoctor", Version: "0.1.0"},
		Deployment: report.Deployment{Name: "todorovic.adds", ADDomain: "todorovic.adds", SIPDomains: []string{"todorovic.fr"}, Servers: []string{"ocs.todorovic.adds"}},
		Phase:      "post-install", Phases: []report.Phase{{Server: "ocs.todorovic.adds", Phase: "post-install", Why: "SIP answers on its port 5061"}},
		Vantage: report.Vantage{Host: "admin-pc", User: `TODOROVIC\svc`, DNS: []string{"inside#1=192.168.1.10:53"},
			Collected: []report.Collected{{Server: "ocs.todorovic.adds", Folder: "ocs.zip", At: &collected}}},
		StartedAt: time.Date(2010, 5, 4, 8, 0, 0, 0, time.UTC), DurationMs: 412, Verdict: "pass", FailOn: "error",
		Summary: map[string]int{"pass": 0, "warn": 0, "fail": 0, "skip": 0, "unknown": 0, "error": 0, "waived": 0},
		Roots:   []string{}, Missing: []report.Missing{}, Results: []report.Result{}, Notes: []string{},
	}
}

func add(r *report.Report, status, check, subject, reason string, findings ...report.Finding) {
	if findings == nil {
		findings = []report.Finding{}
	}
	res := report.Result{Check: check, Title: "an expectation of " + check, Subject: report.Subject{Scope: "server", Name: subject}, Status: status, Reason: reason, Findings: findings, DurationMs: 12}
	if status == "unknown" {
		res.RootFact = "net.connect(ocs.todorovic.adds:5061)"
	}
	r.Results = append(r.Results, res)
	r.Summary[status]++
}

func finding(id, tag, severity, text string, of ...string) report.Finding {
	if of == nil {
		of = []string{}
	}
	return report.Finding{
		ID: id, Tag: tag, Severity: severity, Text: text, Args: map[string]string{"server": "ocs.todorovic.adds"}, ConsequenceOf: of,
		Cites: []string{"net.connect(ocs.todorovic.adds:5061)"}, Explanation: "Users cannot sign in.",
		Fix: "Start the service on `ocs.todorovic.adds`; it interrupts nobody, since nobody is signed in while it is stopped:\n\n    net start RtcSrv\n\n- Then look again with this same scan.\n- It worked when port 5061 answers.",
	}
}

func healthy() *report.Report {
	r := base()
	add(r, "pass", "ad/dc-reachable", "todorovic.adds", "")
	add(r, "pass", "dns/sip-host", "todorovic.fr", "", finding("00000000000a", "unused-missing", "notice", "sip.todorovic.fr leads nowhere; clients of today do not need it"))
	add(r, "skip", "pki/chain-trusted", "ocs.todorovic.adds", "not configured: no trust anchors are known: give --roots FILE.pem")
	return r
}

func broken() *report.Report {
	r := base()
	add(r, "fail", "net/sip-port", "ocs.todorovic.adds", "", finding("000000000001", "refused", "critical", "ocs.todorovic.adds:5061 refuses the connection: the host is up and nothing listens on the port, or a firewall rejects it"))
	add(r, "fail", "pki/validity", "ocs.todorovic.adds", "", finding("000000000002", "expired", "critical", "the certificate CN=ocs.todorovic.adds on ocs.todorovic.adds:443 expired on 2010-05-01"))
	add(r, "fail", "signin/other", "ocs.todorovic.adds", "", finding("000000000003", "gone", "error", "sign-in does not work", "000000000001"))
	add(r, "unknown", "signin/challenge", "ocs.todorovic.adds", "ocs.todorovic.adds:5061: the connection is refused")
	add(r, "unknown", "ad/dc-reachable", "todorovic.adds", "dc1.todorovic.adds:389/tcp stays silent")
	waived := finding("000000000004", "refused", "error", "ocs.todorovic.adds:443 refuses the connection")
	waived.Waiver = &report.Waiver{Reason: "the web server moves", Until: "2010-06-01", By: "m.t"}
	add(r, "fail", "iis/https-443", "ocs.todorovic.adds", "", waived)
	add(r, "warn", "dns/sip-internal-tls-srv", "todorovic.fr", "", finding("000000000005", "missing", "warning", "_sipinternaltls._tcp.todorovic.fr does not exist"))
	r.Roots = []string{"000000000001", "000000000002", "000000000004", "000000000005"}
	r.Missing = []report.Missing{
		{Fact: "net.address(dc1.todorovic.adds:389/tcp)", Reason: "timeout", Detail: "dc1.todorovic.adds:389/tcp stays silent", Checks: []string{"ad/dc-reachable"}},
		{Fact: "net.connect(ocs.todorovic.adds:5061)", Reason: "no-target", Detail: "the connection is refused", Under: "000000000001", Checks: []string{"signin/challenge"}},
	}
	r.Notes = []string{"the waiver for dns/sip-host is not used: nothing was found that it covers"}
	r.Verdict, r.ExitCode, r.Summary["waived"] = "fail", 1, 1
	return r
}

// blind is the report of a scan that reached nothing.
func blind() *report.Report {
	r := base()
	add(r, "unknown", "dns/sip-tls-srv", "todorovic.fr", "192.168.1.10:53/udp stays silent")
	add(r, "unknown", "dns/sip-host", "todorovic.fr", "192.168.1.10:53/udp stays silent")
	r.Missing = []report.Missing{{Fact: "net.address(192.168.1.10:53/udp)", Reason: "timeout", Detail: "192.168.1.10:53/udp stays silent", Checks: []string{"dns/sip-host", "dns/sip-tls-srv"}}}
	r.Verdict, r.ExitCode = "incomplete", 3
	return r
}

const evil = "a\x1b[31mred\x07 <script>alert(1)</script> ]]> \u202eevil\u2028 \xff \ufffe \r\n{{.x}} ![i](http://evil.example/i.png) "

func hostile() *report.Report {
	r := base()
	f := finding("000000000001", "refused", "critical", evil+strings.Repeat("x", 10_000))
	f.Cites, f.Fix, f.Explanation = []string{evil}, evil+"\n\n    "+evil+"\n\n<img src=x onerror=y> [a](javascript:b)", evil
	add(r, "fail", "net/sip-port", evil, "", f)
	add(r, "unknown", "ad/dc-reachable", "todorovic.adds", evil)
	r.Missing = []report.Missing{{Fact: evil, Reason: "timeout", Detail: evil, Checks: []string{"ad/dc-reachable"}}}
	r.Roots, r.Notes, r.Deployment.Name, r.Vantage.Host, r.Vantage.User = []string{f.ID}, []string{evil}, evil, evil, evil
	r.Verdict, r.ExitCode = "fail", 1
	return r
}

var samples = map[string]func() *report.Report{"healthy": healthy, "broken": broken, "blind": blind, "hostile": hostile}

func written(t *testing.T, r *report.Report, format string) string {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch format {
	case "json":
		err = r.WriteJSON(&b)
	case "junit":
		err = r.WriteJUnit(&b)
	case "html":
		err = r.WriteHTML(&b)
	case "console":
		err = r.WriteConsole(&b, report.ConsoleOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func console(t *testing.T, r *report.Report, o report.ConsoleOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteConsole(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"healthy", "broken"} {
		for _, format := range []string{"console", "html", "junit"} {
			got := written(t, samples[name](), format)
			file := filepath.Join("testdata", name+"."+format)
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := diff.Diff(string(want), got); diff != "" {
				t.Errorf("%s differs (run with -update and read the change):\n%s", file, diff)
			}
		}
	}
}

func TestConsoleFitsItsWidth(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() *report.Report{"healthy": healthy, "broken": broken, "blind": blind} {
		for _, o := range []report.ConsoleOptions{{}, {Width: 60}, {Verbose: true}} {
			for _, line := range strings.Split(console(t, make(), o), "\n") {
				if n := utf8.RuneCountInString(line); n > cmp.Or(o.Width, 80) && len(strings.Fields(line)) > 1 {
					t.Errorf("%s: %d characters: %s", name, n, line)
				}
			}
		}
	}
}

// A command must stay one line, to be copied.
func TestConsoleNeverWrapsACommand(t *testing.T) {
	t.Parallel()
	r := broken()
	command := "dnscmd dc1.todorovic.adds /recordadd todorovic.fr _sipinternaltls._tcp SRV 0 0 5061 sip.todorovic.fr."
	r.Results[0].Findings[0].Fix = "Add it:\n\n    " + command
	if !strings.Contains(written(t, r, "console"), "    "+command+"\n") {
		t.Error("the command was broken")
	}
}

func TestConsoleColoursOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	plain, coloured := console(t, broken(), report.ConsoleOptions{}), console(t, broken(), report.ConsoleOptions{Color: true})
	if strings.Contains(plain, "\x1b") {
		t.Error("there is colour in the plain form")
	}
	stripped := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(coloured, "")
	if diff := diff.Diff(plain, stripped); diff != "" || !strings.Contains(coloured, "\x1b[") {
		t.Errorf("colour changes more than colour:\n%s", diff)
	}
}

func TestQuietIsTheRootsAndTheVerdict(t *testing.T) {
	t.Parallel()
	got := console(t, broken(), report.ConsoleOptions{Quiet: true, Width: 40})
	var firsts []string
	for line := range strings.Lines(got) {
		first, _, _ := strings.Cut(line, ":")
		firsts = append(firsts, first)
	}
	want := []string{"✗ CRITICAL net/sip-port", "✗ CRITICAL pki/validity", "! WARNING dns/sip-internal-tls-srv", "FAIL"}
	if !slices.Equal(firsts, want) {
		t.Errorf("the lines begin with %q, want %q", firsts, want)
	}
}

func TestVerboseAddsALineForEachCheck(t *testing.T) {
	t.Parallel()
	got := console(t, broken(), report.ConsoleOptions{Verbose: true})
	for _, want := range []string{"\n  fail    net/sip-port on ocs.todorovic.adds\n", "\n  unknown ad/dc-reachable on todorovic.adds: dc1.todorovic.adds:389/tcp stays\n          silent\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(written(t, broken(), "console"), "All checks") {
		t.Error("it does so without being asked")
	}
}

func TestAHealthyReportFitsAScreen(t *testing.T) {
	t.Parallel()
	if n := strings.Count(written(t, healthy(), "console"), "\n"); n > 24 {
		t.Errorf("%d lines", n)
	}
}

// A reader must be able to tell these apart by the last line alone.
func TestTheLastLineIsTheVerdict(t *testing.T) {
	t.Parallel()
	strict := healthy()
	strict.Verdict, strict.ExitCode = "fail", 1
	interrupted := blind()
	interrupted.ExitCode = 130
	none := base()
	none.Verdict, none.ExitCode = "incomplete", 3
	bug := base()
	add(bug, "error", "dns/sip-host", "todorovic.fr", "panic: index out of range")
	bug.Verdict, bug.ExitCode = "error", 4
	part := blind()
	add(part, "pass", "dns/other", "todorovic.fr", "")
	below := broken()
	below.FailOn, below.Verdict, below.ExitCode = "critical", "pass", 0
	below.Roots, below.Results = []string{"000000000005"}, below.Results[6:]
	for _, c := range []struct {
		r    *report.Report
		want string
	}{
		{healthy(), "PASS: nothing at or above error (exit 0)"},
		{broken(), "FAIL: 2 problems at or above error, 1 below (exit 1)"},
		{below, "PASS: nothing at or above critical, 1 problem below critical (exit 0)"},
		{strict, "FAIL: what was not judged counts too (--strict) (exit 1)"},
		{part, "INCOMPLETE: not all could be looked at (exit 3)"},
		{interrupted, "INCOMPLETE: nothing was judged; the scan was interrupted (exit 130)"},
		{none, "INCOMPLETE: nothing was judged (exit 3)"},
		{bug, "BROKEN: a check or the tool has a bug (exit 4)"},
	} {
		for _, quiet := range []bool{false, true} {
			got := console(t, c.r, report.ConsoleOptions{Quiet: quiet, Width: 100})
			if lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n"); lines[len(lines)-1] != c.want {
				t.Errorf("the last line is %q, want %q", lines[len(lines)-1], c.want)
			}
		}
	}
	for _, format := range []string{"console", "html"} {
		if got := written(t, bug, format); !strings.Contains(got, "dns/sip-host on todorovic.fr: panic: index out of range") {
			t.Errorf("%s does not say which check broke:\n%s", format, got)
		}
	}
}

// With everything unknown there is no problem to solve, and nothing looks like a pass.
func TestEverythingUnknown(t *testing.T) {
	t.Parallel()
	got := written(t, blind(), "console")
	for _, want := range []string{"Could not look", "192.168.1.10:53/udp stays silent [timeout]", "not judged: dns/sip-host, dns/sip-tls-srv", "2 check results: 2 unknown\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "fix:") || strings.Contains(got, "pass ") {
		t.Errorf("there is nothing to mend and nothing passed:\n%s", got)
	}
}

// The reason of a result that failed is not why it failed, but what it could not see besides.
func TestAFindingWithSomethingMissing(t *testing.T) {
	t.Parallel()
	r := base()
	add(r, "fail", "pki/validity", "ocs.todorovic.adds", "port 5061: refused", finding("00000000000a", "expired", "critical", "expired on port 443"))
	r.Roots, r.Verdict, r.ExitCode = []string{"00000000000a"}, "fail", 1
	for name, text := range map[string]string{
		"console": console(t, r, report.ConsoleOptions{Verbose: true, Width: 200}), "html": written(t, r, "html"), "junit": written(t, r, "junit"),
	} {
		if !strings.Contains(text, "not all could be looked at: port 5061: refused") {
			t.Errorf("%s does not say what was not seen", name)
		}
	}
}

// What follows from a problem stands under it and nowhere else, however far away it is, and under each of two causes.
func TestConsequencesStandUnderTheirRoots(t *testing.T) {
	t.Parallel()
	r := base()
	add(r, "fail", "service/rtcsrv", "ocs.todorovic.adds", "", finding("00000000000a", "stopped", "error", "RtcSrv is stopped"))
	add(r, "fail", "net/sip-port", "ocs.todorovic.adds", "", finding("00000000000b", "refused", "critical", "5061 is closed", "00000000000a"))
	add(r, "fail", "signin/walk", "ada@todorovic.fr", "", finding("00000000000c", "no-server", "critical", "ada cannot sign in", "00000000000b", "00000000000d"))
	add(r, "warn", "dns/sip-tls-srv", "todorovic.fr", "", finding("00000000000d", "missing", "warning", "no SRV record"))
	r.Roots, r.Verdict, r.ExitCode = []string{"00000000000a", "00000000000d"}, "fail", 1
	first, second, ok := strings.Cut(written(t, r, "console"), "\n2. ")
	if !ok {
		t.Fatal("there is no second problem")
	}
	if !strings.Contains(first, "- 5061 is closed") || !strings.Contains(first, "- ada cannot sign in") || !strings.Contains(second, "- ada cannot sign in") {
		t.Errorf("a consequence is missing:\n%s\n2. %s", first, second)
	}
	if strings.Contains(first+second, "Other findings") || strings.Contains(second, "5061 is closed") {
		t.Errorf("a consequence is shown elsewhere:\n%s\n2. %s", first, second)
	}
}

// A waived root with a consequence that still counts is a problem still.
func TestAcceptedProblems(t *testing.T) {
	t.Parallel()
	make := func(waiver *report.Waiver) *report.Report {
		r := base()
		root := finding("00000000000a", "stopped", "error", "RtcSrv is stopped")
		root.InBaseline = true
		follows := finding("00000000000b", "refused", "critical", "5061 is closed", "00000000000a")
		follows.Waiver = waiver
		add(r, "fail", "service/rtcsrv", "ocs.todorovic.adds", "", root)
		add(r, "fail", "net/sip-port", "ocs.todorovic.adds", "", follows)
		r.Roots = []string{"00000000000a"}
		return r
	}
	open := written(t, make(nil), "console")
	if !strings.Contains(open, "\n1. ✗ ERROR  service/rtcsrv:stopped") || !strings.Contains(open, "RtcSrv is stopped [in the baseline]") || strings.Contains(open, "Accepted") {
		t.Errorf("it is no problem:\n%s", open)
	}
	closed := written(t, make(&report.Waiver{Reason: "as planned", Until: "2011-01-01"}), "console")
	_, accepted, ok := strings.Cut(closed, "Accepted (does not count)")
	if !ok || strings.Contains(closed, "\n1. ") || !strings.Contains(accepted, "5061 is closed (net/sip-port:refused on ocs.todorovic.adds) [waived until\n      2011-01-01: as planned]") {
		t.Errorf("it is not accepted, or what follows is not shown:\n%s", closed)
	}
}

// Text from the network reaches no reader as anything but text.
func TestHostileTextIsShownNotSent(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"console", "html", "junit"} {
		out := written(t, hostile(), format)
		bad := []string{"\x1b", "\x07", "\u202e", "\u2028", "\ufffe", "\r", "\xff", "\ufffd"}
		if format != "console" {
			bad = append(bad, "<script", "<img", "<a ")
		}
		for _, bad := range bad {
			if format == "html" && bad == "<a " {
				out = strings.Replace(out, `<a class="skip" href="#problems">`, "", 1)
			}
			if strings.Contains(out, bad) {
				t.Errorf("%s sends %q", format, bad)
			}
		}
		if !strings.Contains(out, `\x1b`) || !strings.Contains(out, `\u202e`) {
			t.Errorf("%s does not show what it holds back", format)
		}
		if !utf8.ValidString(out) {
			t.Errorf("%s is not UTF-8", format)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain é 日本": "plain é 日本", "a\tb\n": `a\x09b\x0a`, "\x7f\u0085": `\x7f\x85`, "\U000e0041": `\U000e0041`, "\uffff": `\uffff`, "\xffx": `\xffx`, "\u202ex": `\u202ex`, "�": "�",
	} {
		if got := report.Printable(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestJSONIsAsItsSchemaSays(t *testing.T) {
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
	for name, make := range samples {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(written(t, make(), "json")))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(string) string{
		"another verdict":  func(s string) string { return strings.Replace(s, `"verdict": "fail"`, `"verdict": "fine"`, 1) },
		"another severity": func(s string) string { return strings.Replace(s, `"severity": "critical"`, `"severity": "bad"`, 1) },
		"another status":   func(s string) string { return strings.Replace(s, `"status": "warn"`, `"status": "odd"`, 1) },
		"another reason":   func(s string) string { return strings.Replace(s, `"reason": "timeout"`, `"reason": "slow"`, 1) },
		"another exit":     func(s string) string { return strings.Replace(s, `"exitCode": 1`, `"exitCode": 2`, 1) },
		"an unknown field": func(s string) string { return strings.Replace(s, `"tag":`, `"extra": 1, "tag":`, 1) },
		"no roots":         func(s string) string { return strings.Replace(s, `"roots":`, `"causes":`, 1) },
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(spoil(written(t, broken(), "json"))))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(v) == nil {
			t.Errorf("the schema takes %s", name)
		}
	}
}

func TestAReportIsReadBackWhole(t *testing.T) {
	t.Parallel()
	text := written(t, broken(), "json")
	back, err := report.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := diff.Diff(text, written(t, back, "json")); diff != "" {
		t.Error(diff)
	}
	for name, text := range map[string]string{"no JSON": "hello", "another schema": `{"schema": "x"}`, "no verdict": `{"schema": "ocsdoctor.report/1"}`,
		"another gate":   strings.Replace(text, `"failOn": "error"`, `"failOn": "never"`, 1),
		"another status": strings.Replace(text, `"status": "fail"`, `"status": "odd"`, 1),
		"a lost finding": strings.Replace(text, `"id": "000000000001"`, `"id": "00000000000f"`, 1),
	} {
		if _, err := report.Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// junitNode is an element with all its attributes and children.
type junitNode struct {
	XMLName  xml.Name
	Attrs    []xml.Attr  `xml:",any,attr"`
	Children []junitNode `xml:",any"`
	Text     string      `xml:",chardata"`
}

func (n junitNode) attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (n junitNode) count(name string) int {
	c := 0
	for _, ch := range n.Children {
		if ch.XMLName.Local == name {
			c++
		}
	}
	return c
}

// The rules of the strict schema: what each element must and may hold, in which order, and counts that are true.
func TestJUnitIsStrict(t *testing.T) {
	t.Parallel()
	required := map[string][]string{
		"testsuite": {"name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time"},
		"testcase":  {"name", "classname", "time"}, "failure": {"type", "message"}, "error": {"type", "message"}, "skipped": {"message"},
	}
	var attributes func(t *testing.T, n junitNode)
	attributes = func(t *testing.T, n junitNode) {
		var got []string
		for _, a := range n.Attrs {
			got = append(got, a.Name.Local)
		}
		if want := required[n.XMLName.Local]; want != nil && !slices.Equal(got, want) {
			t.Errorf("%s has the attributes %v, want %v", n.XMLName.Local, got, want)
		}
		for _, c := range n.Children {
			attributes(t, c)
		}
	}
	for name, make := range samples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := make()
			var root junitNode
			if err := xml.Unmarshal([]byte(written(t, r, "junit")), &root); err != nil {
				t.Fatal(err)
			}
			attributes(t, root)
			cases, seen := 0, map[string]bool{}
			for i, s := range root.Children {
				if s.XMLName.Local != "testsuite" || s.attr("id") != strconv.Itoa(i) || s.attr("package") != "ocsdoctor" {
					t.Errorf("child %d is %s, id %s", i, s.XMLName.Local, s.attr("id"))
				}
				if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$`).MatchString(s.attr("timestamp")) {
					t.Errorf("timestamp %q", s.attr("timestamp"))
				}
				var order []string
				counts := map[string]int{}
				for _, ch := range s.Children {
					if ch.XMLName.Local != "testcase" || len(order) == 0 || order[len(order)-1] != "testcase" {
						order = append(order, ch.XMLName.Local)
					}
					if ch.XMLName.Local != "testcase" {
						continue
					}
					cases++
					id := ch.attr("classname") + " " + ch.attr("name")
					if seen[id] {
						t.Errorf("%s is there twice", id)
					}
					seen[id] = true
					if len(ch.Children) > 1 {
						t.Errorf("%s has %d outcomes", id, len(ch.Children))
					}
					for _, outcome := range ch.Children {
						counts[outcome.XMLName.Local]++
					}
				}
				if want := []string{"properties", "testcase", "system-out", "system-err"}; !slices.Equal(order, want) {
					t.Errorf("the order is %v", order)
				}
				for attr, element := range map[string]string{"failures": "failure", "errors": "error", "skipped": "skipped"} {
					if s.attr(attr) != strconv.Itoa(counts[element]) {
						t.Errorf("%s says %s, there are %d", attr, s.attr(attr), counts[element])
					}
				}
				if s.attr("tests") != strconv.Itoa(s.count("testcase")) {
					t.Errorf("tests says %s", s.attr("tests"))
				}
			}
			if cases != len(r.Results)+1 {
				t.Errorf("%d cases for %d results and the run", cases, len(r.Results))
			}
		})
	}
}

// outcomes is each case's outcome by its check: "passed", or the element and its message.
func outcomes(t *testing.T, r *report.Report) map[string]string {
	t.Helper()
	var root junitNode
	if err := xml.Unmarshal([]byte(written(t, r, "junit")), &root); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range root.Children {
		for _, c := range s.Children {
			if c.XMLName.Local == "testcase" {
				outcome := "passed"
				if len(c.Children) > 0 {
					outcome = c.Children[0].XMLName.Local + " " + c.Children[0].attr("message")
				}
				check, _, _ := strings.Cut(c.attr("name"), " ")
				got[check] = outcome
			}
		}
	}
	return got
}

func TestJUnitOutcomes(t *testing.T) {
	t.Parallel()
	waiver := &report.Waiver{Reason: "moves", Until: "2010-06-01"}
	waived := func(id, severity string) report.Finding {
		f := finding(id, "refused", severity, severity+" one")
		f.Waiver = waiver
		return f
	}
	r := broken()
	add(r, "fail", "net/half-waived", "a", "", waived("00000000000a", "critical"), finding("00000000000b", "other", "error", "open one"))
	add(r, "fail", "net/waived-above", "a", "", waived("00000000000c", "error"), finding("00000000000d", "other", "warning", "open one"))
	add(r, "warn", "net/waived-below", "a", "", waived("00000000000e", "warning"))
	add(r, "error", "net/bug", "a", "panic: x")
	add(r, "skip", "net/none", "a", "no pool")
	known := finding("00000000000f", "refused", "critical", "old one")
	known.InBaseline = true
	add(r, "fail", "net/known", "a", "", known)
	got := outcomes(t, r)
	for check, want := range map[string]string{
		"net/sip-port": "failure ocs.todorovic.adds:5061 refuses", "signin/challenge": "error ocs.todorovic.adds:5061",
		"iis/https-443": "skipped waived until 2010-06-01 by m.t", "dns/sip-internal-tls-srv": "passed", "run": "passed",
		"net/half-waived": "failure open one", "net/waived-above": "skipped waived until 2010-06-01: moves", "net/waived-below": "passed",
		"net/bug": "error panic: x", "net/none": "skipped no pool", "net/known": "passed",
	} {
		if !strings.HasPrefix(got[check], want) {
			t.Errorf("%s is %q, want %q", check, got[check], want)
		}
	}
	text := written(t, r, "junit")
	for _, want := range []string{"old one (net/known:refused on a) [in the baseline]", "warning one (net/waived-below:refused on a) [waived", "follows from: net/sip-port:refused on ocs.todorovic.adds"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// A file in which every case is green must not come from a scan that did not exit 0.
func TestJUnitIsGreenOnlyWhenTheScanPassed(t *testing.T) {
	t.Parallel()
	strict, interrupted, none := healthy(), healthy(), base()
	strict.Verdict, strict.ExitCode = "fail", 1
	interrupted.Verdict, interrupted.ExitCode = "incomplete", 130
	none.Verdict, none.ExitCode = "incomplete", 3
	for want, r := range map[string]*report.Report{
		"error FAIL: what was not judged":              strict,
		"error INCOMPLETE: not all could be looked at": interrupted,
		"error INCOMPLETE: nothing was judged":         none,
		"passed":                                       healthy(),
	} {
		if got := outcomes(t, r)["run"]; !strings.HasPrefix(got, want) {
			t.Errorf("the run is %q, want %q", got, want)
		}
	}
}

func TestHTMLStandsAlone(t *testing.T) {
	t.Parallel()
	page := written(t, broken(), "html")
	for _, bad := range []string{"<script", "src=", "@import", "url(", "http://", "<link"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, want := range []string{`lang="en"`, "<title>todorovic.adds", "<h1>", "<caption>", `scope="col"`, "<main>", "net start RtcSrv", "CRITICAL", "Could not look", "waived until", "What follows from it", `id="f-000000000001"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	if len(style) != 2 {
		t.Fatal("there is no style")
	}
	sum := sha256.Sum256([]byte(style[1]))
	if want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(page, want) {
		t.Errorf("the policy does not allow the style as it is: %s is missing", want)
	}
	if first, second := strings.Index(page, "refuses the connection"), strings.Index(page, "expired on"); first < 0 || second < first {
		t.Error("the roots are not in order")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// Two runs over the same report give the same bytes, for maps have no order.
func TestTheOrderIsStable(t *testing.T) {
	t.Parallel()
	for name, make := range samples {
		for _, format := range []string{"console", "html", "junit", "json"} {
			first := written(t, make(), format)
			for range 5 {
				if written(t, make(), format) != first {
					t.Fatalf("%s differs from run to run as %s", name, format)
				}
			}
		}
	}
}

func TestAWriteErrorIsReturned(t *testing.T) {
	t.Parallel()
	r := broken()
	for name, err := range map[string]error{
		"console": r.WriteConsole(fullDisk{}, report.ConsoleOptions{}), "json": r.WriteJSON(fullDisk{}), "junit": r.WriteJUnit(fullDisk{}), "html": r.WriteHTML(fullDisk{}),
	} {
		if err == nil {
			t.Errorf("%s says nothing", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	b, err := json.Marshal(broken())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"schema":"ocsdoctor.report/1","verdict":"pass","roots":["x"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := report.Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, format := range []string{"json", "junit", "html", "console"} {
			written(t, r, format)
		}
	})
}
