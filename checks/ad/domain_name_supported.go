package ad

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	singleLabel = &checks.Message{
		Tag:      "single-label",
		Severity: checks.Error,
		Text:     "the name of the AD domain {domain} has a single label",
	}
	leadingDigit = &checks.Message{
		Tag:      "leading-digit",
		Severity: checks.Error,
		Text:     "the last label of the AD domain {domain} begins with a digit",
	}
	badCharacters = &checks.Message{
		Tag:      "bad-characters",
		Severity: checks.Error,
		Text:     "the name of the AD domain {domain} holds characters other than letters, digits and hyphens: {characters}",
	}
)

var _ = register(&checks.Check{
	ID:       "ad/domain-name-supported",
	Title:    "the AD domain has a name that OCS 2007 R2 supports",
	Scope:    checks.ScopeADDomain,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.ADDomain},
	Messages: []*checks.Message{singleLabel, leadingDigit, badCharacters},
	Run: func(p *checks.Pass) error {
		domain := p.Subject.Name
		// The subject is that domain, or another one of its forest.
		if _, err := facts.ADDomain.Get(p.Facts, evidence.None{}); err != nil {
			return err
		}
		cites := []evidence.Key{facts.ADDomain.Key(evidence.None{})}
		last := domain[strings.LastIndexByte(domain, '.')+1:]
		if last == domain {
			p.Report(singleLabel, cites, checks.A("domain", domain))
		}
		if last != "" && last[0] >= '0' && last[0] <= '9' {
			p.Report(leadingDigit, cites, checks.A("domain", domain))
		}
		bad := strings.Map(func(r rune) rune {
			if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-.", r) || r == '_' { // which is tolerated
				return -1
			}
			return r
		}, domain)
		if bad != "" {
			p.Report(badCharacters, cites, checks.A("domain", domain), checks.A("characters", bad))
		}
		return nil
	},
})
