package ad

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence/facts"
)

var domainNotEverywhere = &checks.Message{
	Tag:         "not-everywhere",
	Severity:    checks.Error,
	Text:        "the preparation of the domain {domain} has not reached every domain controller; missing on {lack}",
	ExplainedBy: append([]string{"ad/prep-forest-converged:not-everywhere"}, brokenReplication...),
}

var _ = register(&checks.Check{
	ID:       "ad/prep-domain-converged",
	Title:    "the preparation of the AD domain has reached each of its domain controllers",
	Scope:    checks.ScopeADDomain,
	Phases:   checks.BothPhases,
	After:    checks.DomainPrep,
	Needs:    domainNeeds,
	Messages: []*checks.Message{domainNotEverywhere},
	Run: func(p *checks.Pass) error {
		d, err := readDomain(p)
		if err != nil {
			return err
		}
		known := d.known()
		c := compareCopies(known)
		if len(c.lack) > 0 {
			source := ""
			if len(c.have) > 0 {
				source = c.have[0]
			}
			p.Report(domainNotEverywhere, d.cites, checks.A("domain", p.Subject.Name), checks.A("lack", facts.Few(c.lack, ", ", maxNamed)), checks.A("source", source))
		}
		found := false
		for _, h := range known {
			found = found || len(h.value) > 0
		}
		switch err := d.failure(); {
		case err != nil:
			return err
		case len(d.copies) == 1:
			return errOneController
		case !found:
			return checks.NotApplicable("no domain controller has the permissions of OCS yet")
		}
		return nil
	},
})
