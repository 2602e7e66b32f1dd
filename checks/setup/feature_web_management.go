package setup

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var webManagementMissing = &checks.Message{
	Tag:      "missing",
	Severity: checks.Error,
	Text:     "{server} lacks what setup and activation administer IIS with: {features}",
}

var _ = register(&checks.Check{
	ID:       "setup/feature-web-management",
	Title:    "the management tools of IIS and its compatibility with IIS 6 are installed on the OCS server",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.HostOCS, facts.Registry},
	Messages: []*checks.Message{webManagementMissing},
	Run: func(p *checks.Pass) error {
		if err := forFrontEnds(p); err != nil {
			return err
		}
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		switch {
		case err != nil:
			return err
		case w.Version == facts.Windows2003:
			return checks.NotApplicable("on Windows Server 2003 they are parts of IIS itself")
		}
		missing, cite, err := missingFeatures(p, w, []feature{
			{"Web-Mgmt-Tools", "ManagementConsole", ""}, {"Web-Metabase", "Metabase", ""}, {"Web-WMI", "WMICompatibility", ""},
			{"Web-Lgcy-Scripting", "LegacyScripts", ""}, {"Web-Lgcy-Mgmt-Console", "LegacySnapin", ""},
		})
		if err == nil && len(missing) > 0 {
			reportMissing(p, webManagementMissing, w, []evidence.Key{cite}, missing...)
		}
		return err
	},
})
