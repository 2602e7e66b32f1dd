package setup

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var notInstalled = &checks.Message{
	Tag:      "not-installed",
	Severity: checks.Critical,
	Text:     "{server} holds no component of OCS",
}

var _ = register(&checks.Check{
	ID:       "setup/ocs-installed",
	Title:    "OCS is set up on the server",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	After:    checks.Setup,
	Needs:    []evidence.AnyKind{facts.HostOCS},
	Messages: []*checks.Message{notInstalled},
	Run: func(p *checks.Pass) error {
		ocs, err := facts.HostOCS.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		if !ocs.Installed {
			p.Report(notInstalled, []evidence.Key{ocs.Cite}, checks.A("server", p.Subject.Name))
		}
		return nil
	},
})
