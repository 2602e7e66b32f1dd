// Command newcheck writes the three files of a new check, to be filled in:
//
//	go run ./checks/checktest/newcheck dns/srv-single-target
//
// The files do not pass the family's test until they are: that is the list of what is left to do.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const code = `package FAMILY

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var NAMEWrong = &checks.Message{
	Tag:      "wrong",
	Severity: checks.Error,
	Text:     "{domain} is observed to be so",
}

var _ = register(&checks.Check{
	ID:       "ID",
	Title:    "the expectation, as a sentence that is true when all is well",
	Scope:    checks.ScopeSIPDomain,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.Discovery},
	Messages: []*checks.Message{NAMEWrong},
	Run: func(p *checks.Pass) error {
		q := facts.DiscoveryQuestion{Domain: p.Subject.Name, View: facts.Inside}
		w, err := facts.Discovery.Get(p.Facts, q)
		if err != nil {
			return err
		}
		if w.Host == "" {
			p.Report(NAMEWrong, []evidence.Key{facts.Discovery.Key(q)}, checks.A("domain", p.Subject.Name))
		}
		return nil
	},
})
`

const doc = `# ID

## What

## Why it matters

## How it is checked

## Fix

### wrong

## References
`

const example = `Examples of ID.
-- common/subject --
sip-domain todorovic.fr
-- common/config.scope() --
{"name": "todorovic.adds", "sipDomains": ["todorovic.fr"], "phase": "auto", "resolvers": [{"id": "inside#1", "view": "inside", "address": "10.0.0.1:53"}]}
-- healthy/zone(inside) --
_sip._tls.todorovic.fr. SRV 0 0 5061 sip.todorovic.fr.
sip.todorovic.fr. A 10.0.0.5
-- healthy/want --
pass
-- broken/zone(inside) --
www.todorovic.fr. A 10.0.0.9
-- broken/want --
fail
wrong
`

func main() {
	if len(os.Args) != 2 {
		fail("usage: go run ./checks/checktest/newcheck FAMILY/SLUG")
	}
	if err := write("checks", os.Args[1]); err != nil {
		fail(err.Error())
	}
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(2)
}

var idForm = regexp.MustCompile(`^[a-z]+/[a-z0-9]+(-[a-z0-9]+)*$`)

// write writes the files below root, the folder of the families. None that exists is overwritten.
func write(root, id string) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("%q is not of the form family/slug", id)
	}
	family, slug, _ := strings.Cut(id, "/")
	dir, stem := filepath.Join(root, family), strings.ReplaceAll(slug, "-", "_")
	if _, err := os.Stat(filepath.Join(dir, "family.go")); err != nil {
		return fmt.Errorf("there is no family %s: %w", family, err)
	}
	name := ""
	for i, word := range strings.Split(slug, "-") {
		if i > 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		name += word
	}
	fill := strings.NewReplacer("FAMILY", family, "NAME", name, `"ID"`, `"`+id+`"`, "# ID", "# "+id, "of ID.", "of "+id+".")
	for file, text := range map[string]string{
		filepath.Join(dir, stem+".go"): code, filepath.Join(dir, stem+".md"): doc, filepath.Join(dir, "testdata", stem+".txtar"): example,
	} {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		if _, err := f.WriteString(fill.Replace(text)); err != nil {
			_ = f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		fmt.Println(file)
	}
	return nil
}
