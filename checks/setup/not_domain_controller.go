package setup

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	dcBeforeSetup = &checks.Message{
		Tag:      "before-setup",
		Severity: checks.Error,
		Text:     "{server}, on which OCS is about to be set up, is a domain controller",
	}
	dcWithOCS = &checks.Message{
		Tag:      "installed",
		Severity: checks.Warning,
		Text:     "{server}, on which OCS is installed, is a domain controller",
	}
)

var _ = register(&checks.Check{
	ID:       "setup/not-domain-controller",
	Title:    "no OCS server is a domain controller",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.ServerPhase},
	Messages: []*checks.Message{dcBeforeSetup, dcWithOCS},
	Run: func(p *checks.Pass) error {
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil || !w.DomainController {
			return err
		}
		before, err := facts.BeforeSetup(p.Facts, server(p))
		if err != nil {
			return err
		}
		m := dcWithOCS
		if before {
			m = dcBeforeSetup
		}
		p.Report(m, []evidence.Key{w.Cite}, checks.A("server", p.Subject.Name), checks.A("domain", facts.Parent(p.Subject.Name)))
		return nil
	},
})
