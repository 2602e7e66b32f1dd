package setup

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	rsatMissingBefore = &checks.Message{
		Tag:      "missing-before-setup",
		Severity: checks.Error,
		Text:     "{server}, on which OCS is about to be set up, lacks the administration tools of Active Directory",
	}
	rsatMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Warning,
		Text:     "{server} lacks the administration tools of Active Directory",
	}
)

var _ = register(&checks.Check{
	ID:       "setup/feature-rsat",
	Title:    "the administration tools of Active Directory are installed on the OCS server",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.HostOCS, facts.ServerPhase, facts.Registry, facts.File},
	Messages: []*checks.Message{rsatMissingBefore, rsatMissing},
	Run: func(p *checks.Pass) error {
		return fileMarksFeature(p, `System32\dsa.msc`, "RSAT-ADDS", rsatMissingBefore, rsatMissing)
	},
})

// fileMarksFeature reports a feature as missing, by the phase, when a file that it brings is not there.
func fileMarksFeature(p *checks.Pass, path, name string, before, after *checks.Message) error {
	if err := forFrontEnds(p); err != nil {
		return err
	}
	w, err := facts.HostWindows.Get(p.Facts, server(p))
	if err != nil {
		return err
	}
	exists, cite, err := fileOf(p, w, path)
	if err != nil || exists {
		return err
	}
	early, err := facts.BeforeSetup(p.Facts, server(p))
	if err != nil {
		return err
	}
	m := after
	if early {
		m = before
	}
	reportMissing(p, m, w, []evidence.Key{cite}, name)
	return nil
}
