package report

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fatih/color"

	"ocsdoctor/checks/policy"
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
// be looked at, what was not checked, notices, what is accepted, the counts, and the verdict on the last line.
func (r *Report) WriteConsole(w io.Writer, o ConsoleOptions) error {
	c := &console{view: r.view(), o: o, width: cmp.Or(o.Width, 80)}
	if o.Quiet {
		c.quiet()
	} else {
		c.whole()
	}
	_, err := io.WriteString(w, c.b.String())
	return err
}

type console struct {
	*view
	o     ConsoleOptions
	width int
	b     strings.Builder
}

// symbols stand beside the word, so that neither colour nor symbol is needed to understand a line.
var symbols = map[string]string{"critical": "✗", "error": "✗", "warning": "!", "notice": "i"}

var colors = map[string]color.Attribute{
	"critical": color.FgHiRed, "error": color.FgRed, "warning": color.FgYellow, "notice": color.FgCyan,
	policy.VerdictPass: color.FgGreen, policy.VerdictFail: color.FgRed, policy.VerdictIncomplete: color.FgYellow,
	"head": color.Bold,
}

func (c *console) paint(kind, text string) string {
	if !c.o.Color {
		return text
	}
	p := color.New(colors[kind])
	p.EnableColor()
	return p.Sprint(text)
}

// painted are the sequences that paint writes; nothing else can, since text from outside is made printable.
var painted = regexp.MustCompile("\x1b\\[[0-9;]*m")

// line writes a line as it is.
func (c *console) line(text string) { c.b.WriteString(text + "\n") }

// text writes a text from outside wrapped, its first line after first and the others after rest.
func (c *console) text(first, rest, text string) {
	columns := func(lead string) int {
		return c.width - utf8.RuneCountInString(painted.ReplaceAllString(lead, ""))
	}
	lead := first
	for _, l := range wrap(Printable(text), columns(first), columns(rest)) {
		c.line(lead + l)
		lead = rest
	}
}

// item writes a text as an item of a list, indented by some columns.
func (c *console) item(indent int, text string) {
	margin := strings.Repeat(" ", indent)
	c.text(margin+"- ", margin+"  ", text)
}

// head writes a heading after an empty line.
func (c *console) head(text string) {
	c.line("")
	c.line(c.paint("head", text))
}

// quiet writes one line for each problem, whatever its length, and the verdict.
func (c *console) quiet() {
	for _, p := range c.Problems {
		c.line(c.label(p.Severity) + " " + Printable(p.Where()+": "+p.Text+marked(p.Located)))
	}
	c.verdict()
}

func (c *console) whole() {
	c.vantage()
	for i, p := range c.Problems {
		c.problem(i+1, p)
	}
	c.broken()
	c.unknown()
	c.notConfigured()
	c.others()
	c.accepted()
	if c.o.Verbose {
		c.results()
	}
	c.table()
	if len(c.Notes) > 0 {
		c.head("Notes")
		for _, n := range c.Notes {
			c.item(2, n)
		}
	}
	c.line("")
	c.text("", "", c.counts())
	c.verdict()
}

// vantage says what was judged, and from where.
func (c *console) vantage() {
	d := c.Deployment
	c.line(c.paint("head", Printable(cmp.Or(d.Name, "(no name)"))))
	row := func(name, text string) {
		if text != "" {
			c.text(fmt.Sprintf("  %-11s ", name), strings.Repeat(" ", 14), text)
		}
	}
	row("AD domain", d.ADDomain)
	row("SIP domains", strings.Join(d.SIPDomains, ", "))
	row("servers", strings.Join(d.Servers, ", "))
	if len(c.Phases) == 1 {
		row("phase", c.Phases[0].words())
	} else {
		row("phase", c.Phase)
		for _, p := range c.Phases {
			row("", p.Server+": "+p.words())
		}
	}
	row("asked from", c.Vantage.Host+" as "+cmp.Or(c.Vantage.User, anonymous))
	row("resolvers", cmp.Or(strings.Join(c.Vantage.DNS, ", "), "none"))
	row("collected", c.Vantage.collected())
	row("at", c.StartedAt.UTC().Format(dateForm))
}

// dateForm is how a date is shown to a person.
const dateForm = "2006-01-02 15:04 MST"

// anonymous stands for the account where none was given.
const anonymous = "no account (anonymous)"

// words is the phase with what makes it so.
func (p Phase) words() string {
	if p.Assumed {
		return p.Phase + " (assumed: " + p.Why + ")"
	}
	return p.Phase + " (" + p.Why + ")"
}

// label is symbol and word of a severity.
func (c *console) label(severity string) string {
	return c.paint(severity, symbols[severity]+" "+strings.ToUpper(severity))
}

// marked is a finding's mark, to stand after its text.
func marked(l Located) string {
	if m := l.Mark(); m != "" {
		return " [" + m + "]"
	}
	return ""
}

// problem writes one problem to solve: what, the proof, what follows from it, and what mends it.
func (c *console) problem(n int, p problem) {
	c.line("")
	c.text(c.paint("head", strconv.Itoa(n)+".")+" "+c.label(p.Severity)+"  ", "   ", p.Where())
	c.text("   ", "   ", p.Text+marked(p.Located))
	c.text("   proof: ", "          ", strings.Join(p.Cites, "; "))
	if len(p.Follows)+len(p.NotSeen) > 0 {
		c.line("   follows from it:")
		c.follows(5, p)
	}
	if p.Fix != "" {
		c.line("   " + c.paint("head", "fix:"))
		for _, l := range RenderMarkdown(p.Fix, c.width-6) {
			if l != "" {
				l = "      " + l
			}
			c.line(l)
		}
	}
}

// follows writes the consequences of a problem and what could not be looked at because of it.
func (c *console) follows(indent int, p problem) {
	for _, f := range p.Follows {
		c.item(indent, f.Text+" ("+f.Where()+")"+marked(f))
	}
	for _, m := range p.NotSeen {
		c.item(indent, "unknown for that reason: "+strings.Join(m.Checks, ", ")+" ("+m.Detail+")")
	}
}

// broken writes the checks that have a bug.
func (c *console) broken() {
	if len(c.Broken) == 0 {
		return
	}
	c.head("Broken (a bug in ocsdoctor, not in the deployment)")
	for _, res := range c.Broken {
		c.item(2, res.Check+" on "+res.Subject.Name+": "+res.Reason)
	}
}

// unknown writes what could not be looked at and is not shown under a problem.
func (c *console) unknown() {
	if len(c.Unknown) == 0 {
		return
	}
	c.head("Could not look (unknown, which is not a pass)")
	for _, m := range c.Unknown {
		c.text("  ? ", "    ", m.Detail+" ["+m.Reason+"]")
		c.text("    fact: ", "          ", m.Fact)
		c.text("    not judged: ", "                ", strings.Join(m.Checks, ", "))
	}
}

// notConfigured writes what was skipped for want of a flag.
func (c *console) notConfigured() {
	if len(c.NotConfigured) == 0 {
		return
	}
	c.head("Not checked")
	for _, s := range c.NotConfigured {
		c.item(2, strings.Join(s.Checks, ", ")+": "+s.Why)
	}
}

// others writes the notices.
func (c *console) others() {
	if len(c.Others) == 0 {
		return
	}
	c.head("Other findings")
	for _, f := range c.Others {
		c.text("  "+c.label(f.Severity)+"  ", "    ", f.Text+" ("+f.Where()+")"+marked(f))
	}
}

// accepted writes the problems that do not count.
func (c *console) accepted() {
	if len(c.Accepted) == 0 {
		return
	}
	c.head("Accepted (does not count)")
	for _, p := range c.Accepted {
		c.text("  "+c.label(p.Severity)+"  ", "    ", p.Text+" ("+p.Where()+")"+marked(p.Located))
		c.follows(4, p)
	}
}

// results writes a line for each check.
func (c *console) results() {
	c.head("All checks")
	for _, res := range c.Results {
		why := res.Why()
		if why != "" {
			why = ": " + why
		}
		c.text(fmt.Sprintf("  %-8s", res.Status), "          ", res.Check+" on "+res.Subject.Name+why)
	}
}

// table writes how many checks of each family had which outcome; outcomes that none had are left out.
func (c *console) table() {
	if len(c.Families) == 0 {
		return
	}
	name := len("checks")
	for _, f := range c.Families {
		name = max(name, utf8.RuneCountInString(Printable(f.Name)))
	}
	head := fmt.Sprintf("%-*s", name, "checks")
	for _, s := range statuses {
		if c.Summary[s.key] > 0 {
			head += fmt.Sprintf("  %7s", s.key)
		}
	}
	c.head(head)
	for _, f := range c.Families {
		row := fmt.Sprintf("%-*s", name, Printable(f.Name))
		for _, s := range statuses {
			if c.Summary[s.key] > 0 {
				row += fmt.Sprintf("  %7s", dash(f.Counts[s.key]))
			}
		}
		c.line(row)
	}
}

// dash is a count, with a dash for none.
func dash(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// verdict is the last line, whatever its length.
func (c *console) verdict() {
	word, rest, _ := strings.Cut(Printable(c.sentence()), ":")
	c.line(c.paint(c.Verdict, word+":") + rest)
}
