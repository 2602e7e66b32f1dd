package pki

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var noEnrollmentService = &checks.Message{
	Tag:      "none",
	Severity: checks.Notice,
	Text:     "the forest {forest} publishes no enterprise CA that takes requests: certificates are taken to come from elsewhere",
}

var _ = register(&checks.Check{
	ID:       "pki/enrollment-service",
	Title:    "the forest has an enterprise CA that takes requests for certificates",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.PublicKeys},
	Messages: []*checks.Message{noEnrollmentService},
	Run: func(p *checks.Pass) error {
		published, err := facts.PublicKeys.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		if len(published.Services) == 0 {
			p.Report(noEnrollmentService, []evidence.Key{facts.PublicKeys.Key(evidence.None{})}, checks.A("forest", p.Subject.Name))
		}
		return nil
	},
})
