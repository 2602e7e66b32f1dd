package service

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	appHostStopped = &checks.Message{
		Tag:      "host-stopped",
		Severity: checks.Warning,
		Text:     "the Application Host (RTCAPPSRV) on {server} is {state}: {why}; {dependants} cannot run without it",
	}
	applicationStopped = &checks.Message{
		Tag:      "stopped",
		Severity: checks.Warning,
		Text:     "of the application services on {server}, {names} {verb} {state}: {why}",
		Identity: []string{"code"},
		// The applications depend on it; the Monitoring Agent does not, and has a message of its own for that.
		ExplainedBy: []string{"service/applications:host-stopped", "service/applications:host-logon-failed"},
	}
	agentStopped = &checks.Message{
		Tag:      "agent-stopped",
		Severity: checks.Warning,
		Text:     "the Monitoring Agent (RtcQmsAgent) on {server} is {state}: {why}",
	}
	appHostLogonFailed = &checks.Message{
		Tag:         "host-logon-failed",
		Severity:    checks.Warning,
		Text:        "the Application Host (RTCAPPSRV) on {server} is {state}: {why}; {dependants} cannot run without it",
		ExplainedBy: badLogon,
	}
	applicationLogonFailed = &checks.Message{
		Tag:         "logon-failed",
		Severity:    checks.Warning,
		Text:        "of the application services on {server}, {names} {verb} {state}: {why}",
		ExplainedBy: badLogon,
	}
)

var _ = register(&checks.Check{
	ID:       "service/applications",
	Title:    "the application services that are activated run",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.OCSServices},
	Messages: []*checks.Message{appHostStopped, applicationStopped, agentStopped, appHostLogonFailed, applicationLogonFailed},
	Run: func(p *checks.Pass) error {
		l, err := onServer(p)
		if err != nil {
			return err
		}
		own := pick(l.Of(facts.ApplicationServices), func(s facts.OCSService) bool { return !s.Disabled() })
		if len(own) == 0 {
			return checks.NotApplicable("no application service is activated here")
		}
		is := func(name string) func(facts.OCSService) bool {
			return func(s facts.OCSService) bool { return down(s) && strings.EqualFold(s.Name, name) }
		}
		report := func(m *checks.Message, g group) {
			g.why = why(g.services[0])
			p.Report(m, g.cites(l), append(g.args(p, l), checks.A("dependants", dependants(own)))...)
		}
		if g, ok := asGroup(pick(own, is(facts.AppHostService))); ok {
			msg := appHostStopped
			if logonFailed(g.services[0]) {
				msg = appHostLogonFailed
			}
			report(msg, g)
		}
		if g, ok := asGroup(pick(own, func(s facts.OCSService) bool { return logonFailed(s) && !is(facts.AppHostService)(s) })); ok {
			report(applicationLogonFailed, g)
		}
		if g, ok := asGroup(pick(own, is(facts.MonitorService))); ok && !logonFailed(g.services[0]) {
			report(agentStopped, g)
		}
		for _, g := range byReason(pick(own, func(s facts.OCSService) bool { return down(s) && isApplication(s) && !logonFailed(s) })) {
			report(applicationStopped, g)
		}
		return nil
	},
})

// isApplication tells whether a service is one that the Application Host hosts.
func isApplication(s facts.OCSService) bool {
	return !strings.EqualFold(s.Name, facts.AppHostService) && !strings.EqualFold(s.Name, facts.MonitorService)
}

// dependants are the labels of the applications among the services.
func dependants(services []facts.OCSService) string {
	var names []string
	for _, s := range pick(services, isApplication) {
		names = append(names, s.Label)
	}
	if len(names) == 0 {
		return "applications"
	}
	return strings.Join(names, ", ")
}
