package patch

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var servicesRunning = &checks.Message{
	Tag:      "running",
	Severity: checks.Warning,
	Text:     "{server} is about to get a cumulative update, and {count} of OCS on it are not stopped: {services}",
}

// updated are the services that a cumulative update replaces, in the order in which they are stopped: the Application Host after those that
// depend on it.
var updated = slices.Concat([]string{facts.FrontEndService}, facts.ConferencingServices, facts.ApplicationServices[1:], []string{facts.AppHostService})

var _ = register(&checks.Check{
	ID:       "patch/services-stopped-for-update",
	Title:    "the services of OCS are stopped when a cumulative update is about to be installed",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.ConfigScope, facts.HostWindows, facts.Services},
	Messages: []*checks.Message{servicesRunning},
	Run: func(p *checks.Pass) error {
		scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
		switch {
		case err != nil:
			return err
		case scope.Before != checks.Update.String():
			return checks.NotApplicable("no cumulative update is about to be installed (--before update)")
		}
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		l, err := facts.Services.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		var running []string
		for _, name := range updated {
			if s, ok := l.Find(name); ok && s.State != facts.ServiceStopped {
				running = append(running, name)
			}
		}
		if len(running) > 0 {
			p.Report(servicesRunning, []evidence.Key{facts.Services.Key(server(p))}, checks.A("server", p.Subject.Name), checks.A("generation", w.Generation()),
				checks.A("count", facts.Count(len(running), "service")), checks.A("services", strings.Join(running, ", ")), checks.A("list", strings.Join(running, ",")))
		}
		return nil
	},
})
