package host

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var onSystemDrive = &checks.Message{
	Tag:      "system-drive",
	Severity: checks.Notice,
	Text:     "OCS stands on the drive of Windows of {server}: {folder}",
}

var _ = register(&checks.Check{
	ID:       "host/install-drive",
	Title:    "OCS stands on another drive than Windows",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Setup,
	Needs:    []evidence.AnyKind{facts.HostOCS, facts.HostWindows},
	Messages: []*checks.Message{onSystemDrive},
	Run: func(p *checks.Pass) error {
		ocs, err := facts.HostOCS.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		if ocs.InstallDir == "" {
			return checks.NotApplicable("OCS is not installed on the server")
		}
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		drive, _, _ := strings.Cut(ocs.InstallDir, `\`)
		if strings.EqualFold(drive, w.SystemDrive()) {
			p.Report(onSystemDrive, []evidence.Key{ocs.Cite, w.Cite}, checks.A("server", p.Subject.Name), checks.A("folder", ocs.InstallDir), checks.A("drive", drive))
		}
		return nil
	},
})
