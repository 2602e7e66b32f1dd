package setup

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	desktopMissingBefore = &checks.Message{
		Tag:      "missing-before-setup",
		Severity: checks.Error,
		Text:     "{server}, on which OCS is about to be set up, lacks the feature Desktop Experience",
	}
	desktopMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Warning,
		Text:     "{server} lacks the feature Desktop Experience",
	}
)

var _ = register(&checks.Check{
	ID:       "setup/feature-desktop-experience",
	Title:    "the feature Desktop Experience is installed on the OCS server",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.HostOCS, facts.ServerPhase, facts.Registry, facts.File},
	Messages: []*checks.Message{desktopMissingBefore, desktopMissing},
	Run: func(p *checks.Pass) error {
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		switch {
		case err != nil:
			return err
		case w.Version == facts.Windows2003:
			return checks.NotApplicable("Windows Server 2003 has no such feature; Windows Media Player is a part of it")
		}
		return fileMarksFeature(p, `System32\wmp.dll`, "Desktop-Experience", desktopMissingBefore, desktopMissing)
	},
})
