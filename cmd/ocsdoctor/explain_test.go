package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ocsdoctor/checks"
	"ocsdoctor/checks/all"
	"ocsdoctor/checks/knowledge"
)

// explained is what explain prints; it must succeed, and say nothing to standard error.
func explained(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := call(t, append([]string{"explain"}, args...)...)
	if code != 0 || errs != "" {
		t.Fatalf("explain %q: exit %d, %s", args, code, errs)
	}
	return out
}

// lacks reports what a text should say and does not.
func lacks(t *testing.T, text string, parts ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(text), " ")
	for _, p := range parts {
		if !strings.Contains(flat, p) {
			t.Errorf("%q is missing in\n%s", p, text)
		}
	}
}

func TestExplainACheck(t *testing.T) {
	t.Parallel()
	c := all.Checks()[0]
	text := explained(t, c.ID)
	lacks(t, text, c.ID+": "+strings.Join(strings.Fields(c.Title), " "), "WHAT ", "WHY IT MATTERS", "HOW IT IS CHECKED", "REFERENCES")
	for _, m := range c.Messages {
		lacks(t, text, "FIX of "+m.Tag+" ("+m.Severity.String()+")")
	}
	if got := explained(t, strings.ToUpper(c.ID)); got != text {
		t.Error("the id in capitals gives another text")
	}
}

func TestExplainOneTag(t *testing.T) {
	t.Parallel()
	text := explained(t, "pki/validity:expired")
	lacks(t, text, "FIX of expired (critical)", "WHY IT MATTERS")
	if strings.Contains(text, "FIX of not-yet-valid") {
		t.Error("the fix of another tag is shown")
	}
}

// Every fix can be read without a finding: no template is left, commands are whole, and text fits the width.
func TestEveryCheckCanBeExplained(t *testing.T) {
	t.Parallel()
	for _, c := range all.Checks() {
		text, err := explain(c.ID, all.Checks(), 80)
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		for _, leftover := range []string{"{{", "}}", "<no value>", "\n\n\n"} {
			if strings.Contains(text, leftover) {
				t.Errorf("%s: the text has %q", c.ID, leftover)
			}
		}
		fits(t, c.ID, text)
	}
}

func TestEveryEntryCanBeExplained(t *testing.T) {
	t.Parallel()
	for _, e := range knowledge.All() {
		text, err := explain(e.ID, all.Checks(), 80)
		if err != nil {
			t.Errorf("%s: %v", e.ID, err)
			continue
		}
		lacks(t, text, e.ID, strings.Join(strings.Fields(e.Title), " "), "WHAT IT CAN MEAN", "WHAT TO DO", "SOURCE")
		for _, s := range e.Do {
			for _, command := range s.Run {
				if !strings.Contains(text, "\n       "+command+"\n") {
					t.Errorf("%s: the command %q is not on a line of its own", e.ID, command)
				}
			}
		}
		fits(t, e.ID, text)
	}
}

// fits complains of lines longer than 80 characters that are neither code nor one long word.
func fits(t *testing.T, name, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if utf8.RuneCountInString(line) > 80 && !strings.HasPrefix(line, "      ") && len(strings.Fields(line)) > 2 {
			t.Errorf("%s: %d characters: %s", name, utf8.RuneCountInString(line), line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%s: blanks at the end of %q", name, line)
		}
	}
}

func TestExplainCodesAndTexts(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"0xC3E93C23"}, {"3286842403"}, {"-1008124893"}, {"--", "-1008124893"}} {
		lacks(t, explained(t, args...), "Fault code 0xC3E93C23", "KB974571", "ocsasnfix.exe", "7038")
	}
	lacks(t, explained(t, "event", "12290"), "Event 12290", "source OCS Server")
	lacks(t, explained(t, "1010"), "ms-diagnostics 1010", "CHECKS THAT LOOK AT IT", "- pki/server-name:")
	lacks(t, explained(t, "kb974571"), "KB974571", "NOT CERTAIN", "believed")
	lacks(t, explained(t, "The server is temporarily unavailable"), `Message "server temporarily unavailable"`, "- dns/sip-tls-srv:")
	lacks(t, explained(t, "problème", "de", "certificat"), `Message "problem verifying the certificate"`)
}

// A check that this version does not have is not shown as if it had.
func TestChecksThatDoNotExistAreNotNamed(t *testing.T) {
	t.Parallel()
	text, err := explain("12290", nil, 80)
	if err != nil || strings.Contains(text, "CHECKS THAT LOOK AT IT") || strings.Contains(text, "patch/ocsasnfix") {
		t.Errorf("%v\n%s", err, text)
	}
	text, err = explain("12290", []*checks.Check{{ID: "patch/ocsasnfix", Title: "the fix was run"}}, 80)
	if err != nil || !strings.Contains(text, "- patch/ocsasnfix: the fix was run") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestWhatCannotBeExplainedIsAUsageError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
		hint string
	}{
		"a slip in a check id":    {[]string{"dns/sip-tls-serv"}, `no check is called "dns/sip-tls-serv"`, "did you mean dns/sip-tls-srv?"},
		"a check of no family":    {[]string{"foo/bar"}, `no check is called "foo/bar"`, "ocsdoctor list"},
		"a slug without a family": {[]string{"sip-tls-srv"}, `nothing is known about "sip-tls-srv"`, "dns/sip-tls-srv"},
		"a tag alone":             {[]string{"no-discovery"}, `nothing is known about "no-discovery"`, "dns/sip-tls-srv:no-discovery"},
		"an unknown tag":          {[]string{"pki/validity:foo"}, `pki/validity reports nothing called "foo"`, "expired"},
		"an unknown code":         {[]string{"0xC3E93C24"}, `nothing is known about "0xC3E93C24"`, "0xC3E93C23"},
		"an unknown text":         {[]string{"my printer is on fire"}, "nothing is known about", "a check id, a fault code"},
		"nothing":                 {nil, "nothing to explain was named", "explain --help"},
		"blanks":                  {[]string{" "}, "nothing to explain was named", "explain --help"},
		"a flag":                  {[]string{"--json", "12290"}, "unknown flag: --json", "explain --help"},
		"hostile text":            {[]string{"\x1b]0;x\u202e"}, `\x1b]0;x\u202e`, "hint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := call(t, append([]string{"explain"}, c.args...)...)
			if code != 2 || out != "" || !strings.Contains(errs, c.want) || !strings.Contains(errs, c.hint) || strings.Count(errs, "\n") != 2 {
				t.Errorf("exit %d, output %q, errors\n%swant %q and %q", code, out, errs, c.want, c.hint)
			}
		})
	}
}

func TestExplainHelp(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-h", "--help"} {
		lacks(t, explained(t, flag), "Examples:", "ocsdoctor explain 0xC3E93C23", "ocsdoctor explain -2146893022")
	}
}

func TestReadableFix(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ fix, want string }{
		"an argument":           {"Look at `{{.host}}`.", "Look at `<host>`."},
		"a choice within words": {"Open it{{if .web}}; then run `iisreset`{{end}}.", "Open it (if <web> is given: then run `iisreset`)."},
		"two ways within words": {"Set it to {{if .a}}{{.a}}{{else}}the name{{end}}.", "Set it to  (if <a> is given: <a>; otherwise: the name)."},
		"lines of their own": {"{{if eq .view \"inside\"}}In DNS:\n\n    dnscmd\n{{else}}    code\n\nafter.\n{{end}}\nDone.",
			"If <view> is inside:\n\nIn DNS:\n\n    dnscmd\n\nOtherwise:\n\n    code\n\nafter.\n\nIn any case:\n\n\nDone."},
		"a choice in a choice": {"{{if ne .a .b}}x\n{{else if .c}}y\n{{else}}z\n{{end}}",
			"If <a> is not <b>:\n\nx\n\nOtherwise, if <c> is given:\n\ny\n\nOtherwise:\n\nz"},
		"two conditions": {"{{if and (eq .view \"inside\") .address}}x\n{{end}}", "If <view> is inside and <address> is given:\n\nx"},
	} {
		got, err := readableFix("tag", c.fix)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, got, c.want)
		}
	}
	for _, fix := range []string{"{{range .a}}x{{end}}", "{{.a | len}}", "{{if not .a}}x{{end}}", "{{if .a}}", "{{$x := .a}}"} {
		if got, err := readableFix("tag", fix); err == nil {
			t.Errorf("%s is shown as %q", fix, got)
		}
	}
}
