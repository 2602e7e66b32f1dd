package host

import (
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	eventStartupFailed = &checks.Message{
		Tag:         "startup-failed",
		Severity:    checks.Warning,
		Text:        "{server}: event 12326, the protocol stack did not start; {times}",
		ExplainedBy: []string{"service/front-end", "patch/ocsasnfix", "patch/database-upgraded-first"},
	}
	eventOutgoing = &checks.Message{
		Tag:         "tls-outgoing",
		Severity:    checks.Warning,
		Text:        "{server}: event 14428, connections to other servers fail by their certificates; {times}: {strings}",
		ExplainedBy: []string{"pki/chain-trusted", "pki/validity", "pki/server-name", "pki/not-revoked", "ad/trusted-server-resolves"},
	}
	eventPending = &checks.Message{
		Tag:         "startup-pending",
		Severity:    checks.Warning,
		Text:        "{server}: event 30232, the Front-End waits for applications of its own; {times}: {strings}",
		ExplainedBy: []string{"service/front-end", "service/applications"},
	}
	eventHealth = &checks.Message{
		Tag:         "health-update",
		Severity:    checks.Warning,
		Text:        "{server}: event 32068, the state of conferencing services could not be written to the database; {times}",
		ExplainedBy: []string{"service/sql", "service/conferencing"},
	}
	eventTerminated = &checks.Message{
		Tag:         "service-terminated",
		Severity:    checks.Warning,
		Text:        "{server}: event 7024, the service {service} ended with an error of its own; {times}: {strings}",
		Identity:    []string{"service"},
		ExplainedBy: []string{"service/front-end", "service/conferencing", "service/applications", "patch/ocsasnfix", "patch/database-upgraded-first"},
	}
	eventLogonFailed = &checks.Message{
		Tag:         "logon-failed",
		Severity:    checks.Warning,
		Text:        "{server}: event 7038, the service {service} could not log on; {times}: {strings}",
		Identity:    []string{"service"},
		ExplainedBy: []string{"service/logon-account", "account/service-account-usable", "account/service-password-expiry:expired"},
	}
	eventBinding = &checks.Message{
		Tag:         "binding-deleted",
		Severity:    checks.Warning,
		Text:        "{server}: event 15300, the certificate bound to a port was taken away and none was bound since; {times}: {strings}",
		ExplainedBy: []string{"iis/https-443", "iis/binding-443", "iis/binding-certificate", "iis/stale-binding"},
	}
)

// badEvent is an event that tells of trouble.
type badEvent struct {
	msg *checks.Message
	log string
	id  uint32
	// source is a part of that of the event.
	source string
	// least is how many there have to be within the last day; 1 for any since the last start.
	least int
}

// badEvents are those that the management pack of the product and the field know as bad. One failed connection to another server is
// nothing; some in a day are.
var badEvents = []badEvent{
	{eventStartupFailed, facts.OCSLog, 12326, "OCS", 1},
	{eventOutgoing, facts.OCSLog, 14428, "OCS", 5},
	{eventPending, facts.OCSLog, 30232, "OCS", 1},
	{eventHealth, facts.OCSLog, 32068, "OCS", 1},
	{eventTerminated, facts.SystemLog, 7024, facts.ServiceManager, 1},
	{eventLogonFailed, facts.SystemLog, 7038, facts.ServiceManager, 1},
	{eventBinding, facts.SystemLog, eventBindingDeleted, "Http", 1},
}

// The events of HTTP.SYS: the certificate of a port was taken away, and one was bound.
const (
	eventBindingDeleted = 15300
	eventBindingCreated = 15301
)

var _ = register(&checks.Check{
	ID:     "host/ocs-events",
	Title:  "the event logs tell of no known trouble since OCS was last started",
	Scope:  checks.ScopeServer,
	Phases: checks.PostInstall,
	After:  checks.Services,
	Needs:  []evidence.AnyKind{facts.OCSServices, facts.HostStarts, facts.Events},
	Messages: []*checks.Message{eventStartupFailed, eventOutgoing, eventPending, eventHealth, eventTerminated, eventLogonFailed,
		eventBinding},
	Run: func(p *checks.Pass) error {
		services, err := facts.OCSServices.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		if len(services.Services) == 0 {
			return checks.NotApplicable("the server has no service of OCS")
		}
		starts, err := lastStart(p)
		if err != nil {
			return err
		}
		since := starts.Start
		if !starts.Installed || since.How == "" {
			since = starts.Boot
		}
		if since.NotAfter.IsZero() {
			return evidence.FailAt(evidence.NoTarget, "when OCS was last started is not known: which events are over cannot be told", starts.Cites[len(starts.Cites)-1])
		}
		logs := map[string]facts.EventList{}
		keys := map[string]evidence.Key{}
		for _, log := range []string{facts.SystemLog, facts.OCSLog} {
			if logs[log], keys[log], err = eventLog(p, log); err != nil {
				return err
			}
		}
		for _, bad := range badEvents {
			reportEvents(p, bad, logs[bad.log], []evidence.Key{keys[bad.log]}, since.NotAfter, services)
		}
		return nil
	},
})

// reportEvents reports the events of one kind since the last start: for those of the service control manager, by service, and of services of OCS only.
func reportEvents(p *checks.Pass, bad badEvent, l facts.EventList, cites []evidence.Key, since time.Time, services facts.OCSServiceList) {
	found := map[string][]facts.Event{}
	var order []string
	bound := false
	for _, e := range l.Events { // the newest first
		if !strings.Contains(strings.ToLower(e.Source), strings.ToLower(bad.source)) || !e.Time.After(since) {
			continue
		}
		bound = bound || e.Code() == eventBindingCreated
		if e.Code() != bad.id || bad.id == eventBindingDeleted && bound || bad.least > 1 && p.Now.Sub(e.Time) > 24*time.Hour {
			continue
		}
		name, ofOCS := serviceOf(e, services)
		if bad.source == facts.ServiceManager && !ofOCS {
			continue
		}
		if found[name] == nil {
			order = append(order, name)
		}
		found[name] = append(found[name], e)
	}
	slices.Sort(order)
	for _, name := range order {
		events := found[name]
		if len(events) < bad.least {
			continue
		}
		p.Report(bad.msg, cites, checks.A("server", p.Subject.Name), checks.A("service", name), checks.A("strings", facts.Few(events[0].Strings, "; ", 4)),
			checks.A("times", facts.Count(len(events), "time")+", last at "+spellTime(events[0].Time)))
	}
}

// serviceOf is the service of OCS that an event of the service control manager speaks of, by its short or its displayed name.
func serviceOf(e facts.Event, l facts.OCSServiceList) (name string, ok bool) {
	if len(e.Strings) == 0 {
		return "", false
	}
	for _, s := range l.Services {
		if strings.EqualFold(e.Strings[0], s.Name) || strings.EqualFold(e.Strings[0], s.DisplayName) {
			return s.Name, true
		}
	}
	return "", false
}
