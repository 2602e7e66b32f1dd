package checks

import (
	"cmp"
	"embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// Family is a group of checks that live in one package, with their Markdown beside them.
type Family struct {
	Name   string
	docs   embed.FS
	checks []*Check
}

// NewFamily makes a family; docs holds a file STEM.md for each check.
func NewFamily(name string, docs embed.FS) *Family { return &Family{Name: name, docs: docs} }

// Add registers a check of the family. It panics on a missing or malformed Markdown file.
func (f *Family) Add(c *Check) *Check {
	b, err := f.docs.ReadFile(c.Stem() + ".md")
	if err != nil {
		panic(fmt.Sprintf("%s: %v", c.ID, err))
	}
	if c.doc, err = parseDoc(string(b)); err != nil {
		panic(fmt.Sprintf("%s: %v", c.ID, err))
	}
	f.checks = append(f.checks, c)
	return c
}

// Checks are the family's checks in the order of their ids.
func (f *Family) Checks() []*Check {
	out := slices.Clone(f.checks)
	slices.SortFunc(out, func(a, b *Check) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Stem is the name that a check's three files share: "sip_tls_srv" for "dns/sip-tls-srv".
func (c *Check) Stem() string {
	_, slug, _ := strings.Cut(c.ID, "/")
	return strings.ReplaceAll(slug, "-", "_")
}

// Doc is a check's Markdown: the only source of what explain, the reports and the catalogue say about it.
type Doc struct {
	What, Why, How, References string
	// Fix is the text for each tag: a template over the finding's arguments.
	Fix map[string]string
}

var docSections = []string{"What", "Why it matters", "How it is checked", "Fix", "References"}

// parseDoc reads the sections "## What", "## Why it matters", "## How it is checked", "## Fix" with one "### tag" for each message, "## References".
func parseDoc(text string) (*Doc, error) {
	sections, order := splitHeadings(text, "## ")
	if !slices.Equal(order, docSections) {
		return nil, fmt.Errorf("the sections are %q, they must be %q", order, docSections)
	}
	d := &Doc{What: sections["What"], Why: sections["Why it matters"], How: sections["How it is checked"], References: sections["References"]}
	d.Fix, _ = splitHeadings(sections["Fix"], "### ")
	return d, nil
}

func splitHeadings(text, mark string) (map[string]string, []string) {
	out, order, name, fenced := map[string]string{}, []string(nil), "", false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if h, ok := strings.CutPrefix(line, mark); ok && !fenced {
			name = strings.TrimSpace(h)
			order = append(order, name)
			continue
		}
		if name != "" {
			out[name] += line
		}
	}
	for k, v := range out {
		out[k] = strings.TrimSpace(v)
	}
	return out, order
}

// Explanation is why the finding matters, in Markdown.
func (f *Finding) Explanation() string { return f.Check.doc.Why }

// Fix is the Markdown of the finding's tag with the deployment's own names filled in. An error is a bug
// in the Markdown, which the examples bring to light.
func (f *Finding) Fix() (string, error) {
	t, err := template.New(f.Message.Tag).Option("missingkey=error").Parse(f.Check.doc.Fix[f.Message.Tag])
	if err != nil {
		return "", err
	}
	args := f.ArgMap()
	for name, value := range args {
		// A value from the network must not begin a line: indented, it would be a command to copy.
		value = strings.NewReplacer("\n", `\x0a`, open, "", shut, "").Replace(value)
		if strings.ContainsAny(value, shellSigns) {
			value = open + value + shut
		}
		args[name] = value
	}
	var b strings.Builder
	if err := t.Execute(&b, args); err != nil {
		return "", err
	}
	return disarm(strings.TrimSpace(b.String())), nil
}

// shellSigns are the characters by which a value would end one command and begin another, in cmd or in a Unix shell.
const shellSigns = "&|<>^%!\"'`;$()"

// open and shut stand around a value with such characters while the text is put together; they are private-use characters.
const open, shut = "\ue000", "\ue001"

// disarm puts a question mark for each shell sign of a value that stands in a line of code, so that no name from DNS or from
// a certificate adds to a command that a reader copies. In prose the value stays as it is.
func disarm(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		code := strings.HasPrefix(line, "    ")
		for {
			before, rest, ok := strings.Cut(line, open)
			b.WriteString(before)
			if !ok {
				break
			}
			value, after, _ := strings.Cut(rest, shut)
			if code {
				value = strings.Map(func(r rune) rune {
					if strings.ContainsRune(shellSigns, r) {
						return '?'
					}
					return r
				}, value)
			}
			b.WriteString(value)
			line = after
		}
	}
	return b.String()
}

var (
	idForm  = regexp.MustCompile(`^[a-z]+/[a-z0-9]+(-[a-z0-9]+)*$`)
	tagForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// Validate tells all that is wrong with a set of checks: ids, tags, severities, documentation, and
// ExplainedBy that names nothing or leads back to itself.
func Validate(all []*Check) []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	byID := map[string]*Check{}
	for _, c := range all {
		if byID[c.ID] != nil {
			bad("%s: registered twice", c.ID)
		}
		byID[c.ID] = c
	}
	for _, c := range all {
		switch {
		case !idForm.MatchString(c.ID):
			bad("%s: the id is not of the form family/slug", c.ID)
		case c.Title == "" || c.Scope == "" || c.Phases == 0 || c.Run == nil || len(c.Needs) == 0 || len(c.Messages) == 0:
			bad("%s: title, scope, phases, needs, messages or run missing", c.ID)
		}
		if d := c.doc; d == nil || d.What == "" || d.Why == "" || d.How == "" || d.References == "" {
			bad("%s: a section of the Markdown is empty", c.ID)
		}
		seen := map[string]bool{}
		for _, m := range c.Messages {
			if !tagForm.MatchString(m.Tag) || seen[m.Tag] || m.Text == "" || m.Severity < Notice || m.Severity > Critical {
				bad("%s: message %q: tag malformed or twice, or text or severity missing", c.ID, m.Tag)
			}
			seen[m.Tag] = true
			if c.doc != nil && c.doc.Fix[m.Tag] == "" {
				bad("%s: the Markdown has no section ### %s under Fix", c.ID, m.Tag)
			}
			for _, e := range m.ExplainedBy {
				id, tag, hasTag := strings.Cut(e, ":")
				switch other := byID[id]; {
				case other == nil || hasTag && other.Message(tag) == nil:
					bad("%s: %s is explained by %q, which does not exist", c.ID, m.Tag, e)
				case other == c && (!hasTag || tag == m.Tag):
					bad("%s: %s is explained by itself", c.ID, m.Tag)
				}
			}
		}
		if c.doc != nil {
			for tag := range c.doc.Fix {
				if !seen[tag] {
					bad("%s: the Markdown has a fix for %q, which is no message", c.ID, tag)
				}
			}
		}
	}
	return append(errs, explanationCycles(all)...)
}

// explanationCycles finds messages that explain each other in a circle, by which a root would be lost.
func explanationCycles(all []*Check) []error {
	edges := map[string][]string{}
	tags := map[string][]string{}
	for _, c := range all {
		for _, m := range c.Messages {
			tags[c.ID] = append(tags[c.ID], c.ID+":"+m.Tag)
		}
	}
	for _, c := range all {
		for _, m := range c.Messages {
			for _, e := range m.ExplainedBy {
				if strings.Contains(e, ":") {
					edges[c.ID+":"+m.Tag] = append(edges[c.ID+":"+m.Tag], e)
				} else {
					edges[c.ID+":"+m.Tag] = append(edges[c.ID+":"+m.Tag], tags[e]...)
				}
			}
		}
	}
	var errs []error
	state := map[string]int{}
	var visit func(string)
	visit = func(n string) {
		state[n] = 1
		for _, e := range edges[n] {
			switch state[e] {
			case 0:
				visit(e)
			case 1:
				errs = append(errs, fmt.Errorf("%s and %s explain each other", n, e))
			}
		}
		state[n] = 2
	}
	for _, id := range slices.Sorted(maps.Keys(edges)) {
		if state[id] == 0 {
			visit(id)
		}
	}
	return errs
}
