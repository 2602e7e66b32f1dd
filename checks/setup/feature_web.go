package setup

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var webMissing = &checks.Message{
	Tag:      "missing",
	Severity: checks.Critical,
	Text:     "{server} lacks what the web components of OCS need of IIS: {features}",
}

var _ = register(&checks.Check{
	ID:       "setup/feature-web",
	Title:    "IIS with ASP.NET and Windows authentication is installed on the OCS server",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.HostOCS, facts.Registry},
	Messages: []*checks.Message{webMissing},
	Run: func(p *checks.Pass) error {
		if err := forFrontEnds(p); err != nil {
			return err
		}
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		missing, cite, err := missingFeatures(p, w, []feature{
			{"Web-WebServer", "CoreWebEngine", "iis_www"}, {"Web-Asp-Net", "ASPNET", "aspnet"},
			{"Web-Windows-Auth", "WindowsAuthentication", ""}, // a part of IIS itself on 2003
		})
		if err == nil && len(missing) > 0 {
			reportMissing(p, webMissing, w, []evidence.Key{cite}, missing...)
		}
		return err
	},
})
