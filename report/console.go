package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/fatih/color"
)

// ConsoleOptions say how a report is shown to a person.
type ConsoleOptions struct {
	// Color uses ANSI colours.
	Color bool
	// Width is where lines are wrapped, in characters; 0 means 80. Commands are never wrapped.
	Width int
	// Verbose adds a line for each check; Quiet leaves only the roots and the verdict.
	Verbose, Quiet bool
}

// WriteConsole writes the report for a person at a terminal: the roots with proof and mending, then what could not
// be looked at, what was not checked, notices, and the verdict on the last line.
func (r *Report) WriteConsole(w io.Writer, o ConsoleOptions) error {
	c := &console{r: r, o: o, width: cmp.Or(o.Width, 80), findings: r.Findings()}
	c.write()
	_, err := io.WriteString(w, c.b.String())
	return err
}

type console struct {
	r        *Report
	o        ConsoleOptions
	width    int
	findings map[string]Located
	b        strings.Builder
}

// symbols stand beside the word, so that neither colour nor symbol is needed to understand a line.
var symbols = map[string]string{"critical": "✗", "error": "✗", "warning": "!", "notice": "i"}

var colors = map[string]color.Attribute{
	"critical": color.FgHiRed, "error": color.FgRed, "warning": color.FgYellow, "notice": color.FgCyan,
	"good": color.FgGreen, "bad": color.FgRed, "head": color.Bold, "dim": color.Faint,
}

func (c *console) paint(kind, text string) string {
	if !c.o.Color {
		return text
	}
	p := color.New(colors[kind])
	p.EnableColor()
	return p.Sprint(text)
}

// line writes a line as it is.
func (c *console) line(text string) { c.b.WriteString(text + "\n") }

// text writes a text wrapped, its first line after first and the others after rest.
func (c *console) text(first, rest, text string) {
	lead := first
	for _, l := range wrap(Printable(text), c.width-len([]rune(rest))) {
		c.line(lead + l)
		lead = rest
	}
}

// head writes a heading after an empty line.
func (c *console) head(text string) {
	c.line("")
	c.line(c.paint("head", text))
}

func (c *console) write() {
	if c.o.Quiet {
		for _, id := range c.r.Roots {
			f := c.findings[id]
			c.text(c.label(f.Finding)+" ", "  ", f.Result.Subject.Name+": "+f.Text)
		}
		c.verdict()
		return
	}
	c.vantage()
	for i, id := range c.r.Roots {
		c.root(i+1, id)
	}
	c.unknowns()
	c.notConfigured()
	c.others()
	if c.o.Verbose {
		c.all()
	}
	if len(c.r.Notes) > 0 {
		c.head("Notes")
		for _, n := range c.r.Notes {
			c.text("  - ", "    ", n)
		}
	}
	c.line("")
	c.verdict()
}

// vantage says what was judged, and from where.
func (c *console) vantage() {
	d := c.r.Deployment
	c.line(c.paint("head", Printable(cmp.Or(d.Name, "(no name)"))))
	row := func(name, text string) {
		if text != "" {
			c.text(fmt.Sprintf("  %-11s ", name), strings.Repeat(" ", 14), text)
		}
	}
	row("AD domain", d.ADDomain)
	row("SIP domains", strings.Join(d.SIPDomains, ", "))
	row("servers", strings.Join(d.Servers, ", "))
	phase := c.r.Phase
	for _, p := range c.r.Phases {
		assumed := ""
		if p.Assumed {
			assumed = "assumed, "
		}
		phase += fmt.Sprintf("; %s: %s (%s%s)", p.Server, p.Phase, assumed, p.Why)
	}
	if len(c.r.Phases) == 1 {
		_, phase, _ = strings.Cut(phase, ": ")
	}
	row("phase", phase)
	user := cmp.Or(c.r.Vantage.User, "no account (anonymous)")
	row("asked from", c.r.Vantage.Host+" as "+user+", resolvers "+cmp.Or(strings.Join(c.r.Vantage.DNS, ", "), "none"))
	row("at", c.r.StartedAt.Format("2006-01-02 15:04 MST"))
}

// label is symbol and word of a severity.
func (c *console) label(f *Finding) string {
	return c.paint(f.Severity, symbols[f.Severity]+" "+strings.ToUpper(f.Severity))
}

// root writes one problem to solve: what, the proof, what follows from it, and what mends it.
func (c *console) root(n int, id string) {
	f := c.findings[id]
	c.line("")
	c.line(c.paint("head", fmt.Sprintf("%d. ", n)) + c.label(f.Finding) + "  " + Printable(f.Result.Check+" on "+f.Result.Subject.Name))
	if m := mark(f.Finding); m != "" {
		c.text("   ", "   ", m)
	}
	c.text("   ", "   ", f.Text)
	c.text("   proof: ", "          ", strings.Join(f.Cites, ", "))
	var follows []string
	for _, id := range c.consequences(id) {
		g := c.findings[id]
		follows = append(follows, fmt.Sprintf("%s (%s on %s)", g.Text, g.Result.Check, g.Result.Subject.Name))
	}
	for _, m := range c.r.Missing {
		if m.Under == id {
			follows = append(follows, "could not be looked at: "+strings.Join(m.Checks, ", ")+" ("+m.Detail+")")
		}
	}
	if len(follows) > 0 {
		c.line("   follows from it:")
		for _, t := range follows {
			c.text("     - ", "       ", t)
		}
	}
	c.line("   " + c.paint("head", "fix:"))
	for _, l := range RenderMarkdown(f.Fix, c.width-6) {
		if l != "" {
			l = "      " + l
		}
		c.line(l)
	}
}

// mark says of a finding that it does not count.
func mark(f *Finding) string {
	switch {
	case f.Waiver != nil:
		return fmt.Sprintf("[waived until %s: %s]", f.Waiver.Until, f.Waiver.Reason)
	case f.InBaseline:
		return "[in the baseline]"
	}
	return ""
}

// consequences are all findings that follow from one, in the order of the report.
func (c *console) consequences(id string) []string {
	under := map[string]bool{id: true}
	var out []string
	for changed := true; changed; {
		changed = false
		for _, res := range c.r.Results {
			for _, f := range res.Findings {
				if !under[f.ID] && slices.ContainsFunc(f.ConsequenceOf, func(c string) bool { return under[c] }) {
					under[f.ID], changed = true, true
					out = append(out, f.ID)
				}
			}
		}
	}
	return out
}

// unknowns writes what could not be looked at and is not shown under a root.
func (c *console) unknowns() {
	var own []Missing
	for _, m := range c.r.Missing {
		if m.Under == "" {
			own = append(own, m)
		}
	}
	if len(own) == 0 {
		return
	}
	c.head("Could not look (unknown, which is not a pass)")
	for _, m := range own {
		c.text("  ? ", "    ", m.Detail+" ["+m.Reason+"]")
		c.text("    fact: ", "          ", m.Fact)
		c.text("    not judged: ", "                ", strings.Join(m.Checks, ", "))
	}
}

// notConfigured writes what was skipped for want of a flag.
func (c *console) notConfigured() {
	byReason := map[string][]string{}
	for _, res := range c.r.Results {
		if why, ok := strings.CutPrefix(res.Reason, "not configured: "); ok && res.Status == "skip" && !slices.Contains(byReason[why], res.Check) {
			byReason[why] = append(byReason[why], res.Check)
		}
	}
	if len(byReason) == 0 {
		return
	}
	c.head("Not checked")
	for _, why := range slices.Sorted(maps.Keys(byReason)) {
		c.text("  - ", "    ", strings.Join(byReason[why], ", ")+": "+why)
	}
}

// others writes the notices.
func (c *console) others() {
	var lines []string
	for _, res := range c.r.Results {
		for _, f := range res.Findings {
			if f.Severity == "notice" {
				lines = append(lines, fmt.Sprintf("%s (%s on %s)", f.Text, res.Check, res.Subject.Name))
			}
		}
	}
	if len(lines) == 0 {
		return
	}
	c.head("Good to know")
	for _, l := range lines {
		c.text("  "+c.paint("notice", "i")+" ", "    ", l)
	}
}

// all writes a line for each check.
func (c *console) all() {
	c.head("All checks")
	for _, res := range c.r.Results {
		why := ""
		if res.Reason != "" {
			why = ": " + res.Reason
		}
		c.text(fmt.Sprintf("  %-8s", res.Status), "          ", res.Check+" on "+res.Subject.Name+why)
	}
}

// verdict is the last line: the counts, and what the exit code says.
func (c *console) verdict() {
	s := c.r.Summary
	counts := fmt.Sprintf("%d passed", s["pass"])
	for _, n := range []struct{ key, word string }{
		{"warn", "with warnings"}, {"fail", "failed"}, {"unknown", "unknown"}, {"skip", "skipped"}, {"error", "broken"},
	} {
		if s[n.key] > 0 {
			counts += fmt.Sprintf(", %d %s", s[n.key], n.word)
		}
	}
	if s["waived"] > 0 {
		counts += ", " + plural(s["waived"], "finding") + " waived"
	}
	total := 0
	for k, n := range s {
		if k != "waived" {
			total += n
		}
	}
	words := c.r.sentence()
	kind := "bad"
	if c.r.Verdict == "pass" {
		kind = "good"
	}
	line := fmt.Sprintf("%s. %s: %s (exit %d)", words, plural(total, "check result"), counts, c.r.ExitCode)
	for i, l := range wrap(line, c.width) {
		if head, rest, ok := strings.Cut(l, ":"); ok && i == 0 {
			l = c.paint(kind, head) + ":" + rest
		}
		c.line(l)
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// sentence is the verdict in words.
func (r *Report) sentence() string {
	words := map[string]string{
		"pass":       "PASS: nothing at or above " + r.FailOn,
		"fail":       "FAIL: findings at or above " + r.FailOn,
		"incomplete": "INCOMPLETE: not all could be looked at",
		"error":      "BROKEN: a check or the tool has a bug",
	}[r.Verdict]
	open := 0
	found := r.Findings()
	for _, id := range r.Roots {
		if mark(found[id].Finding) == "" {
			open++
		}
	}
	if r.Verdict == "fail" && open > 0 {
		words = fmt.Sprintf("FAIL: %s to solve", plural(open, "root problem"))
	}
	if r.ExitCode == 130 {
		words += " (interrupted)"
	}
	return words
}
