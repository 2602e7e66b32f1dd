package patch

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	tlsHotfixMissingBefore = &checks.Message{
		Tag:      "missing-before-setup",
		Severity: checks.Error,
		Text:     "{server}, on which OCS is about to be set up, runs {windows} without the TLS hotfix KB975858",
	}
	tlsHotfixMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Warning,
		Text:     "{server} runs {windows} without the TLS hotfix KB975858",
	}
	tlsHotfixPending = &checks.Message{
		Tag:         "pending",
		Severity:    checks.Warning,
		Text:        "{server} gets the TLS hotfix KB975858 at its next restart only",
		ExplainedBy: []string{"host/restart-pending"},
	}
	tlsHotfixBuiltIn = &checks.Message{
		Tag:      "in-service-pack",
		Severity: checks.Notice,
		Text:     "{server} runs {windows}, which is believed to contain the TLS hotfix KB975858",
	}
)

const kb975858 = "KB975858"

var _ = register(&checks.Check{
	ID:       "patch/kb975858",
	Title:    "an OCS server on Windows Server 2008 R2 has the TLS hotfix KB975858",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.HostUpdates, facts.ServerPhase},
	Messages: []*checks.Message{tlsHotfixMissingBefore, tlsHotfixMissing, tlsHotfixPending, tlsHotfixBuiltIn},
	Run: func(p *checks.Pass) error {
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		switch {
		case err != nil:
			return err
		case w.Version != facts.Windows2008R2:
			return checks.NotApplicable("the hotfix is one for Windows Server 2008 R2")
		}
		l, err := facts.HostUpdates.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		h := host{windows: w, updates: l}
		u := l.Find(kb975858)
		report := func(m *checks.Message) { p.Report(m, h.cites(), h.args(p, u)...) }
		switch facts.EffectOf(u, w) {
		case facts.EffectBuiltIn:
			report(tlsHotfixBuiltIn)
		case facts.EffectPending:
			report(tlsHotfixPending)
		case facts.EffectAbsent:
			phase, err := facts.ServerPhase.Get(p.Facts, server(p))
			if err != nil {
				return err
			}
			if phase.Phase == facts.PhasePreInstall {
				report(tlsHotfixMissingBefore)
			} else {
				report(tlsHotfixMissing)
			}
		}
		return nil
	},
})
