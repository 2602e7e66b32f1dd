package patch

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	earlyPresent = &checks.Message{
		Tag:      "present",
		Severity: checks.Critical,
		Text:     "{server} has the update KB974571, and OCS is not activated on it yet: the activation will fail with 0xC3EC78D8",
	}
	earlyReplaced = &checks.Message{
		Tag:      "replaced",
		Severity: checks.Critical,
		Text:     "{server} has the update KB974571 in a form that cannot be removed by itself ({state}), and OCS is not activated on it yet: the activation will fail with 0xC3EC78D8",
	}
	earlyPending = &checks.Message{
		Tag:      "pending",
		Severity: checks.Critical,
		Text:     "{server} gets the update KB974571 at its next restart, and OCS is not activated on it yet",
	}
	earlyLeaving = &checks.Message{
		Tag:      "removal-pending",
		Severity: checks.Critical,
		Text:     "{server} loses the update KB974571 at its next restart only, and OCS is not activated on it yet",
	}
	earlyFile = &checks.Message{
		Tag:      "newer-file",
		Severity: checks.Warning,
		Text:     "{server} does not list the update KB974571, and has its msasn1.dll or a newer one ({version}); OCS is not activated on it yet",
	}
	earlyBuiltIn = &checks.Message{
		Tag:      "effect-built-in",
		Severity: checks.Warning,
		Text:     "{server} runs {windows}, which is believed to contain the update KB974571 for good, and OCS is not activated on it yet",
	}
)

var _ = register(&checks.Check{
	ID:       "patch/kb974571-before-setup",
	Title:    "the update KB974571 is not in effect while OCS is not activated",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.HostOCS, facts.HostUpdates, facts.Registry, facts.FileVersion},
	Messages: []*checks.Message{earlyPresent, earlyReplaced, earlyPending, earlyLeaving, earlyFile, earlyBuiltIn},
	Run: func(p *checks.Pass) error {
		h, err := readHost(p)
		switch {
		case err != nil:
			return err
		case h.ocs.Activated:
			return checks.NotApplicable("OCS is activated")
		case !affected(h.windows):
			return checks.NotApplicable("the update is none for " + h.windows.Name())
		}
		if h.ocs.Installed {
			service, err := facts.Registry.Get(p.Facts, facts.ServiceConfigQuestion(p.Subject.Name, facts.FrontEndService))
			if err != nil {
				return err
			}
			if !service.Exists {
				return checks.NotApplicable("OCS on it is in a role without the service " + facts.FrontEndService)
			}
		}
		u, effect := h.certificateDecoding()
		var m *checks.Message
		switch {
		case effect == facts.EffectBuiltIn:
			m = earlyBuiltIn
		case effect == facts.EffectPending:
			m = earlyPending
		case effect == facts.EffectLeaving:
			m = earlyLeaving
		case effect == facts.EffectPresent && u.Removable():
			m = earlyPresent
		case effect == facts.EffectPresent:
			m = earlyReplaced
		default:
			return decodesStrictlyAnyway(p, h)
		}
		p.Report(m, append(h.cites(), h.ocs.Cite), h.args(p, u)...)
		return nil
	},
})

// decodesStrictlyAnyway looks whether another update brought the file that KB974571 changes. The builds are not vouched for, so that it only warns;
// and where the file cannot be looked at the list of updates decides alone.
func decodesStrictlyAnyway(p *checks.Pass, h host) error {
	if h.windows.Version != facts.Windows2008R2 {
		return nil
	}
	q := decoderQuestion(p, h.windows)
	file, err := facts.FileVersion.Get(p.Facts, q)
	if err != nil {
		p.Excuse(err, "the list of updates decides")
		return nil
	}
	if decodesStrictly(file.Version) {
		p.Report(earlyFile, append(h.cites(), facts.FileVersion.Key(q)), checks.A("server", p.Subject.Name), checks.A("version", file.Version))
	}
	return nil
}
