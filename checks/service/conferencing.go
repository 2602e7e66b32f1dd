package service

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// badLogon explains that a service could not log on.
var badLogon = []string{"service/logon-account:logon-failed", "service/logon-account:no-right", "service/logon-account:no-such-account"}

var (
	conferencingStopped = &checks.Message{
		Tag:      "stopped",
		Severity: checks.Error,
		Text:     "of the conferencing services on {server}, {names} {verb} {state}: {why}",
		Identity: []string{"code"},
	}
	conferencingLogonFailed = &checks.Message{
		Tag:         "logon-failed",
		Severity:    checks.Error,
		Text:        "of the conferencing services on {server}, {names} {verb} {state}: {why}",
		ExplainedBy: badLogon,
	}
	conferencingManual = &checks.Message{
		Tag:      "manual",
		Severity: checks.Warning,
		Text:     "of the conferencing services on {server}, {names} {verb} started by hand only: after the next restart of Windows there is no such conferencing",
	}
	conferencingDisabled = &checks.Message{
		Tag:      "disabled",
		Severity: checks.Notice,
		Text:     "of the conferencing services on {server}, {names} {verb} disabled",
	}
)

var _ = register(&checks.Check{
	ID:       "service/conferencing",
	Title:    "the conferencing services that are activated run and start with Windows",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.OCSServices},
	Messages: []*checks.Message{conferencingStopped, conferencingLogonFailed, conferencingManual, conferencingDisabled},
	Run: func(p *checks.Pass) error {
		l, err := onServer(p)
		if err != nil {
			return err
		}
		own := l.Of(facts.ConferencingServices)
		activated := pick(own, func(s facts.OCSService) bool { return !s.Disabled() })
		if len(activated) == 0 {
			return checks.NotApplicable("no conferencing service is activated here, as on a Director or an Edge server")
		}
		reportDown(p, l, own, conferencingStopped, conferencingLogonFailed)
		if g, ok := asGroup(pick(own, func(s facts.OCSService) bool { return s.Running() && s.Start == facts.StartManual })); ok {
			p.Report(conferencingManual, g.cites(l), g.args(p, l)...)
		}
		if g, ok := asGroup(pick(own, facts.OCSService.Disabled)); ok {
			p.Report(conferencingDisabled, g.cites(l), g.args(p, l)...)
		}
		return nil
	},
})

// reportDown reports the services that do not run though they are not disabled: those that could not log on by one message, the others by
// another one for each reason.
func reportDown(p *checks.Pass, l facts.OCSServiceList, services []facts.OCSService, stopped, logon *checks.Message) {
	for _, g := range byReason(pick(services, down)) {
		msg := stopped
		if logonFailed(g.services[0]) {
			msg = logon
		}
		p.Report(msg, g.cites(l), g.args(p, l)...)
	}
}
