package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/spf13/cobra"

	"ocsdoctor/checks"
	"ocsdoctor/checks/all"
	"ocsdoctor/checks/knowledge"
	"ocsdoctor/report"
)

func explainCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "explain X",
		Short: "Explain a check, an error code, an event, an update or a message",
		Long: `explain says what a check of ocsdoctor looks at, why it matters and what mends each of its findings; or what a code or a
message of OCS, Windows or Communicator really means, what decides between its causes, and what to do.

X is a check id, alone or with one of its tags; a fault code in any spelling; the number of an event, of an ms-diagnostics
header or of a Windows error; a KB or bulletin number; or the text of a message. A number that means
several things is explained as each of them, unless its kind is said.`,
		Example: `  ocsdoctor explain dns/sip-tls-srv
  ocsdoctor explain pki/validity:expired
  ocsdoctor explain 0xC3E93C23
  ocsdoctor explain -2146893022
  ocsdoctor explain event 12290
  ocsdoctor explain ms-diagnostics 1010
  ocsdoctor explain KB974571
  ocsdoctor explain "the server is temporarily unavailable" | less`,
		// A code may begin with a minus, which is no flag then.
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			var words []string
			for i, a := range args {
				if a == "--" {
					words = append(words, args[i+1:]...)
					break
				}
				switch {
				case a == "-h" || a == "--help":
					return c.Help()
				case strings.HasPrefix(a, "-") && !negativeNumber.MatchString(a):
					return usage("see ocsdoctor explain --help", "unknown flag: %s", a)
				}
				words = append(words, a)
			}
			query := strings.TrimSpace(strings.Join(words, " "))
			if query == "" {
				return usage("give a check id, a code, an event, a KB number or the text of a message; see ocsdoctor explain --help", "nothing to explain was named")
			}
			text, err := explain(query, all.Checks(), width(s.out))
			if err != nil {
				return err
			}
			_, err = io.WriteString(s.out, text)
			return err
		},
	}
}

var (
	negativeNumber = regexp.MustCompile(`^-[0-9]+$`)
	// likeCheck is the form of a check id, with or without a tag, as somebody may mistype it.
	likeCheck = regexp.MustCompile(`^[A-Za-z]+/[A-Za-z0-9_-]+(:.*)?$`)
)

// explain is the text about a check, or about what the knowledge has, in lines of at most width characters but for commands. What is
// unknown is a usage error.
func explain(query string, list []*checks.Check, width int) (string, error) {
	p := &page{width: width}
	var ids, tags []string
	for _, c := range list {
		ids = append(ids, c.ID)
		for _, m := range c.Messages {
			tags = append(tags, c.ID+":"+m.Tag)
		}
	}
	if id, tag, tagged := strings.Cut(query, ":"); likeCheck.MatchString(query) {
		i := slices.Index(ids, strings.ToLower(id))
		if i < 0 {
			return "", usage(suggestion(id, ids, nil, "ocsdoctor list names the checks"), "no check is called %q", id)
		}
		c := list[i]
		messages := c.Messages
		if tagged {
			m := c.Message(strings.ToLower(tag))
			if m == nil {
				return "", usage(c.ID+" reports "+strings.Join(tagsOf(c), ", "), "%s reports nothing called %q", c.ID, tag)
			}
			messages = []*checks.Message{m}
		}
		if err := p.check(c, messages); err != nil {
			return "", err
		}
		return p.b.String(), nil
	}
	entries := knowledge.Find(query)
	if len(entries) == 0 {
		return "", usage(suggestion(query, ids, tags, "give a check id, a fault code, an event, an ms-diagnostics code, a KB number, or more words of the message"),
			"nothing is known about %q", shortened(query))
	}
	for i, e := range entries {
		if i > 0 {
			p.b.WriteString("\n" + strings.Repeat("-", width) + "\n\n")
		}
		p.entry(e, list)
	}
	return p.b.String(), nil
}

// suggestion is the hint for a name that is not known: the checks of which it is the end, what looks like it, else the words given.
func suggestion(name string, ids, tags []string, otherwise string) string {
	var found []string
	for _, id := range ids {
		if strings.HasSuffix(id, "/"+name) {
			found = append(found, id)
		}
	}
	for _, tag := range tags {
		if strings.HasSuffix(tag, ":"+name) {
			found = append(found, tag)
		}
	}
	if len(found) == 0 {
		found = knowledge.Near(name, ids)
	}
	if len(found) == 0 {
		return otherwise
	}
	return "did you mean " + strings.Join(found[:min(len(found), 3)], " or ") + "?"
}

// shortened keeps the error one line when a whole event was pasted.
func shortened(query string) string {
	r := []rune(query)
	if len(r) <= 60 {
		return query
	}
	return string(r[:60]) + "..."
}

func tagsOf(c *checks.Check) []string {
	var tags []string
	for _, m := range c.Messages {
		tags = append(tags, m.Tag)
	}
	return tags
}

// page is a text for a terminal.
type page struct {
	b     strings.Builder
	width int // in characters
}

// lines writes Markdown, indented by some columns.
func (p *page) lines(indent int, md string) {
	for _, l := range report.RenderMarkdown(md, p.width-indent) {
		if l != "" {
			l = strings.Repeat(" ", indent) + l
		}
		p.b.WriteString(l + "\n")
	}
}

// section writes a heading and its Markdown; nothing where there is none.
func (p *page) section(head, md string) {
	if md == "" {
		return
	}
	p.b.WriteString("\n")
	p.lines(0, head)
	p.lines(2, md)
}

// check writes what the check's own Markdown says, with the fixes of the messages given.
func (p *page) check(c *checks.Check, messages []*checks.Message) error {
	d := c.Doc()
	p.lines(0, fmt.Sprintf("%s: %s", c.ID, c.Title))
	p.lines(0, fmt.Sprintf("(for each %s, %s)", strings.ReplaceAll(string(c.Scope), "-", " "), strings.Join(c.Phases.Names(), " and ")))
	p.section("WHAT", d.What)
	p.section("WHY IT MATTERS", d.Why)
	p.section("HOW IT IS CHECKED", d.How)
	for _, m := range messages {
		fix, err := readableFix(m.Tag, d.Fix[m.Tag])
		if err != nil {
			return fmt.Errorf("explaining %s:%s: %w", c.ID, m.Tag, err)
		}
		p.section(fmt.Sprintf("FIX of %s (%s)", m.Tag, m.Severity), "\""+argument.ReplaceAllString(m.Text, "<$1>")+"\"\n\n"+fix)
	}
	p.section("REFERENCES", d.References)
	return nil
}

var kindNames = map[knowledge.Kind]string{
	knowledge.FaultCode:     "Fault code",
	knowledge.Event:         "Event",
	knowledge.MSDiagnostics: "ms-diagnostics",
	knowledge.KB:            "Microsoft update or article",
	knowledge.Win32:         "Windows error",
	knowledge.Message:       "Message",
}

// entry writes what is known about a code or a message. Checks that this version does not have are left out.
func (p *page) entry(e knowledge.Entry, list []*checks.Check) {
	name := e.ID
	if e.Kind == knowledge.Message {
		name = "\"" + name + "\""
	}
	p.lines(0, fmt.Sprintf("%s %s: %s", kindNames[e.Kind], name, e.Title))
	if e.Where != "" {
		p.lines(0, "("+e.Where+")")
	}
	if forms := append(e.Forms(), e.Also...); len(forms) > 0 {
		p.lines(0, "(also "+strings.Join(forms, ", ")+")")
	}
	p.section("IT SAYS", e.Says)
	if e.French != "" {
		p.section("IN FRENCH", e.French)
	}
	p.b.WriteString("\nWHAT IT CAN MEAN\n")
	for _, c := range e.Means {
		p.lines(2, "- "+c.Cause)
		p.lines(4, "What decides: "+c.Decides)
	}
	p.b.WriteString("\nWHAT TO DO\n")
	for i, d := range e.Do {
		p.lines(2, fmt.Sprintf("%d. %s", i+1, d.Text))
		for _, command := range d.Run {
			// Four blanks make it code, which is not wrapped.
			p.lines(3, "    "+command)
		}
	}
	p.section("NOT CERTAIN", strings.Join(e.Uncertain, "\n\n"))
	var looks strings.Builder
	for _, c := range list {
		if slices.Contains(e.Checks, c.ID) {
			fmt.Fprintf(&looks, "- %s: %s\n", c.ID, c.Title)
		}
	}
	p.section("CHECKS THAT LOOK AT IT", looks.String())
	p.section("SOURCE", e.Source)
}

// argument is a placeholder in the text of a message.
var argument = regexp.MustCompile(`\{([A-Za-z0-9]+)\}`)

// readableFix is the template of a fix for a reader who has no finding: {{.name}} becomes <name>, and of a choice both ways
// are shown, each with its condition.
func readableFix(tag, fix string) (string, error) {
	t, err := template.New(tag).Parse(fix)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := readable(&b, t.Root); err != nil {
		return "", err
	}
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(b.String()), inAnyCase)), nil
}

const inAnyCase = "In any case:"

// readable writes a part of a template. What depends on a condition within a line is put in parentheses, and what has lines of its own is
// put between lines that say when it holds.
func readable(b *strings.Builder, node parse.Node) error {
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			if err := readable(b, child); err != nil {
				return err
			}
		}
	case *parse.TextNode:
		b.Write(n.Text)
	case *parse.ActionNode:
		f, ok := field(n.Pipe)
		if !ok {
			return unreadable(n)
		}
		b.WriteString(f)
	case *parse.IfNode:
		return readableIf(b, n)
	default:
		return unreadable(n)
	}
	return nil
}

// unreadable is a bug in a check's Markdown: it uses more of the template language than explain can say in words.
func unreadable(n parse.Node) error {
	return fmt.Errorf("the template has %s, which cannot be shown", n)
}

func readableIf(b *strings.Builder, n *parse.IfNode) error {
	when, ok := condition(n.Pipe)
	if !ok {
		return unreadable(n.Pipe)
	}
	var yes, no strings.Builder
	if err := readable(&yes, n.List); err != nil {
		return err
	}
	if n.ElseList != nil {
		if err := readable(&no, n.ElseList); err != nil {
			return err
		}
	}
	if !strings.Contains(yes.String()+no.String(), "\n") {
		fmt.Fprintf(b, " (if %s: %s", when, strings.TrimLeft(yes.String(), " ,;."))
		if no.Len() > 0 {
			fmt.Fprintf(b, "; otherwise: %s", strings.TrimLeft(no.String(), " ,;."))
		}
		b.WriteString(")")
		return nil
	}
	fmt.Fprintf(b, "\n\nIf %s:\n\n%s\n\n", when, own(yes.String()))
	if no.Len() > 0 {
		// {{else if}} is a choice within the other branch.
		if choice, ok := strings.CutPrefix(own(no.String()), "If "); ok {
			fmt.Fprintf(b, "Otherwise, if %s\n\n", choice)
		} else {
			fmt.Fprintf(b, "Otherwise:\n\n%s\n\n", own(no.String()))
		}
	}
	b.WriteString(inAnyCase + "\n\n")
	return nil
}

// own is the text of a branch as lines of its own; indentation at its beginning makes it code and stays.
func own(text string) string {
	text = strings.TrimRight(text, " \n")
	text = strings.TrimRight(strings.TrimSuffix(text, inAnyCase), " \n")
	text = strings.TrimLeft(text, "\n")
	if strings.HasPrefix(text, "    ") {
		return text
	}
	return strings.TrimLeft(text, " ")
}

// condition says in words when a branch is taken: <address> is given, <view> is inside, <host> is not <server>, or several of these.
func condition(node parse.Node) (words string, ok bool) {
	if f, ok := field(node); ok {
		return f + " is given", true
	}
	p, ok := node.(*parse.PipeNode)
	if !ok || len(p.Decl) > 0 || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 3 {
		return "", false
	}
	join, say := "", operand
	switch args := p.Cmds[0].Args; args[0].String() {
	case "eq":
		join = " is "
	case "ne":
		join = " is not "
	case "and", "or":
		join, say = " "+args[0].String()+" ", condition
	default:
		return "", false
	}
	left, ok := say(p.Cmds[0].Args[1])
	right, alsoOK := say(p.Cmds[0].Args[2])
	return left + join + right, ok && alsoOK
}

// operand is what is compared: an argument of the finding, or a text.
func operand(node parse.Node) (words string, ok bool) {
	if s, ok := node.(*parse.StringNode); ok {
		return s.Text, true
	}
	return field(node)
}

// field is <name> for .name, alone or as a pipeline of its own.
func field(node parse.Node) (words string, ok bool) {
	if p, ok := node.(*parse.PipeNode); ok && len(p.Decl) == 0 && len(p.Cmds) == 1 && len(p.Cmds[0].Args) == 1 {
		node = p.Cmds[0].Args[0]
	}
	f, ok := node.(*parse.FieldNode)
	if !ok {
		return "", false
	}
	return "<" + strings.Join(f.Ident, ".") + ">", true
}
