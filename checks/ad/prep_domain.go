package ad

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence/facts"
)

var (
	domainNotPrepared = &checks.Message{
		Tag:         "not-prepared",
		Severity:    checks.Critical,
		Text:        "the domain {domain} has not been prepared for OCS: its head grants the groups of OCS nothing, according to {dcs}",
		ExplainedBy: forestNotReady,
	}
	domainPartial = &checks.Message{
		Tag:         "partial",
		Severity:    checks.Critical,
		Text:        "the preparation of the domain {domain} is incomplete: its head lacks {lack}, according to {dcs}",
		ExplainedBy: forestNotReady,
	}
)

// forestNotReady are the findings by which DomainPrep has to wait, or fails when it does not.
var forestNotReady = slices.Concat(unpreparedForest, []string{"ad/prep-forest-converged:not-everywhere", "ad/prep-groups:missing"}, unpreparedSchema)

var _ = register(&checks.Check{
	ID:       "ad/prep-domain",
	Title:    "the AD domain is prepared for OCS",
	Scope:    checks.ScopeADDomain,
	Phases:   checks.BothPhases,
	After:    checks.DomainPrep,
	Needs:    domainNeeds,
	Messages: []*checks.Message{domainNotPrepared, domainPartial},
	Run: func(p *checks.Pass) error {
		d, err := readDomain(p)
		if err != nil {
			return err
		}
		d.excuse(p)
		var best []string
		for _, h := range d.known() {
			if len(h.value) > len(best) {
				best = h.value
			}
		}
		lack := slices.DeleteFunc([]string{replicateEntry, readEntry}, func(e string) bool { return slices.Contains(best, e) })
		dcs := "the directory, which lacks the groups of OCS or their property set"
		if names := d.known().names(); len(names) > 0 {
			dcs = facts.Few(names, ", ", maxNamed)
		}
		m := domainPartial
		switch len(lack) {
		case 0:
			return nil
		case 2:
			m = domainNotPrepared
		}
		p.Report(m, d.cites, checks.A("domain", p.Subject.Name), checks.A("lack", strings.Join(lack, " and ")), checks.A("dcs", dcs))
		return nil
	},
})
