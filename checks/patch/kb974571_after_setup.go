package patch

import (
	"strconv"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var lateMissing = &checks.Message{
	Tag:      "missing",
	Severity: checks.Warning,
	Text:     "{server} does not have the security update KB974571 (MS09-056), although OCS is activated",
}

var _ = register(&checks.Check{
	ID:       "patch/kb974571-after-setup",
	Title:    "the security update KB974571 is installed once OCS is activated",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Update,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.HostOCS, facts.HostUpdates, facts.FileVersion},
	Messages: []*checks.Message{lateMissing},
	Run: func(p *checks.Pass) error {
		h, err := readHost(p)
		switch {
		case err != nil:
			return err
		case !h.ocs.Activated:
			return checks.NotApplicable("OCS is not activated")
		case !affected(h.windows):
			return checks.NotApplicable("the update is none for " + h.windows.Name())
		}
		u, effect := h.certificateDecoding()
		if effect != facts.EffectAbsent { // one that comes at the next restart is judged by patch/ocsasnfix
			return nil
		}
		cites := h.cites()
		if h.windows.Version == facts.Windows2008R2 {
			q := decoderQuestion(p, h.windows)
			file, err := facts.FileVersion.Get(p.Facts, q)
			if err != nil {
				return err
			}
			if decodesStrictly(file.Version) {
				return nil
			}
			cites = append(cites, facts.FileVersion.Key(q))
		}
		p.Report(lateMissing, cites, h.args(p, u)...)
		return nil
	},
})

// decoderQuestion asks for the file that KB974571 changes.
func decoderQuestion(p *checks.Pass, w facts.Windows) facts.FileQuestion {
	return facts.FileQuestion{Host: p.Subject.Name, Path: w.SystemRoot + `\System32\msasn1.dll`}
}

// decodesStrictly tells whether msasn1.dll of Windows Server 2008 R2 without a service pack has the fix, as when a later update brought it that
// does not name this one. Files of the branch of hotfixes are numbered from 20000 on. The builds are not vouched for by Microsoft: they
// clear and warn, and never convict.
func decodesStrictly(version string) bool {
	const general, hotfixes, firstHotfix = 16415, 20518, 20000
	rest, ok := strings.CutPrefix(version, "6.1.7600.")
	n, err := strconv.Atoi(rest)
	return ok && err == nil && (n >= hotfixes || n >= general && n < firstHotfix)
}
