package patch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	fixBroken = &checks.Message{
		Tag:      "broken-now",
		Severity: checks.Critical,
		Text:     "the Front-End of {server} takes its licence for an expired trial, as it does after the update KB974571 without ocsasnfix: {evidence}",
	}
	fixAtRestart = &checks.Message{
		Tag:      "breaks-at-next-restart",
		Severity: checks.Error,
		Text:     "the Front-End of {server} may not come back from the next restart: {evidence}",
	}
	fixTrialOver = &checks.Message{
		Tag:      "trial-over",
		Severity: checks.Critical,
		Text:     "OCS on {server} was installed as an evaluation edition ({licence}), and its time is over: {evidence}",
	}
)

var _ = register(&checks.Check{
	ID:       "patch/ocsasnfix",
	Title:    "where KB974571 is in effect, ocsasnfix has been run before the Front-End was started again",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.HostOCS, facts.HostUpdates, facts.HostStarts, facts.Services, facts.Events, facts.Registry},
	Messages: []*checks.Message{fixBroken, fixAtRestart, fixTrialOver},
	Run:      ocsasnfix,
})

// ocsasnfix leaves no mark of its own. That the Front-End was started after the update and did not take its licence for an expired trial is
// the proof that it was run.
func ocsasnfix(p *checks.Pass) error {
	h, err := readHost(p)
	switch {
	case err != nil:
		return err
	case !h.ocs.Activated:
		return checks.NotApplicable("OCS is not activated")
	}
	s, err := readService(p)
	if err != nil {
		return err
	}
	u, effect := h.certificateDecoding()
	cites := append([]evidence.Key{h.updates.Cite}, s.cites...)
	report := func(m *checks.Message, why string) {
		p.Report(m, cites, append(h.args(p, u), checks.A("evidence", why), checks.A("licence", s.licence),
			checks.A("removable", u.Removable() && effect == facts.EffectPresent))...)
	}
	expired := s.expired()
	switch {
	case expired != "" && s.evaluation():
		report(fixTrialOver, expired)
		return nil
	case effect == facts.EffectAbsent:
		return nil
	case expired != "" && effect.There():
		report(fixBroken, expired)
		return nil
	case effect == facts.EffectPending:
		report(fixAtRestart, "the update KB974571 is "+u.State.String())
		return nil
	case effect == facts.EffectLeaving:
		report(fixAtRestart, "the update KB974571 is "+u.State.String()+", and the Front-End has not been started without it since")
		return nil
	}
	return s.sinceUpdate(h, u, effect, report)
}

// sinceUpdate judges by what came after what, where the Front-End says nothing of its licence.
func (s service) sinceUpdate(h host, u facts.Update, effect facts.Effect, report func(*checks.Message, string)) error {
	running := s.now.State != facts.ServiceStopped
	if effect == facts.EffectBuiltIn {
		// A service pack is completed by a restart: what was started since has been started with it. That it contains the update is not
		// certain, so that a service which does not run for another reason proves nothing.
		if running || s.starts.Start.After(s.starts.Boot.NotAfter) {
			return nil
		}
		return evidence.FailAt(evidence.NoTarget, "the Front-End has not run since the restart, so that nothing shows whether it comes up with "+h.windows.Name(), s.cites[1])
	}
	at, start := u.At, s.starts.Start
	switch {
	case at != (facts.Moment{}) && start.After(at.NotAfter):
		return nil // fixed: started since the update, and no word of an expired trial since that start
	case !running:
		report(fixBroken, "the service is stopped, and was not running since the update was installed")
		return nil
	case !at.NotBefore.IsZero() && start.Before(at.NotBefore):
		report(fixAtRestart, fmt.Sprintf("it was started %s, and the update KB974571 was installed %s", started(start), when(at)))
		return nil
	case at == (facts.Moment{}):
		return evidence.FailAt(evidence.NoTarget, "the server does not say when KB974571 was installed", h.updates.Cite)
	}
	return evidence.FailAt(evidence.NoTarget, "the event logs do not say whether the Front-End was started before or after KB974571 was installed", s.cites[1])
}

// started is when the Front-End was started, and by what that is known.
func started(m facts.Moment) string {
	if m.Exact() {
		return "at " + day(m.NotBefore)
	}
	return "before " + day(m.NotAfter) + " (" + m.How + ")"
}

// when is the time of an update for people, or the day where it is known no better.
func when(m facts.Moment) string {
	if m.Exact() {
		return "at " + day(m.NotBefore)
	}
	return "between " + day(m.NotBefore) + " and " + day(m.NotAfter)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

// service is the Front-End, and what it and the service control manager say of it.
type service struct {
	now    facts.Service
	starts facts.StartTimes
	// licence is how the installed edition calls itself.
	licence string
	system  facts.EventList
	own     facts.EventList
	cites   []evidence.Key
}

// serverProduct is the key of the server components, with the type of licence.
const serverProduct = `HKLM\SOFTWARE\Microsoft\Real-Time Communications\{A593FD00-64F1-4288-A6F4-E699ED9DCA35}`

func readService(p *checks.Pass) (service, error) {
	var s service
	host := p.Subject.Name
	system, own := facts.EventsQuestion{Host: host, Log: facts.SystemLog}, facts.EventsQuestion{Host: host, Log: facts.OCSLog}
	licence := facts.RegistryQuestion{Host: host, Key: serverProduct, Values: []string{"Type"}}
	var list facts.ServiceList
	var k facts.RegistryKey
	var errs [5]error
	evidence.Parallel(
		func() { list, errs[0] = facts.Services.Get(p.Facts, server(p)) },
		func() {
			s.starts, errs[1] = facts.HostStarts.Get(p.Facts, facts.StartsQuestion{Host: host, Service: facts.FrontEndService})
		},
		func() { s.system, errs[2] = facts.Events.Get(p.Facts, system) },
		func() { s.own, errs[3] = facts.Events.Get(p.Facts, own) },
		func() { k, errs[4] = facts.Registry.Get(p.Facts, licence) },
	)
	for _, err := range errs {
		if err != nil {
			return s, err
		}
	}
	s.licence = k.Text("Type")
	s.cites = []evidence.Key{facts.Services.Key(server(p)), facts.Events.Key(system), facts.Events.Key(own), facts.Registry.Key(licence)}
	var ok bool
	if s.now, ok = list.Find(facts.FrontEndService); !ok {
		return s, evidence.FailAt(evidence.NoTarget, host+" has no service "+facts.FrontEndService+", although its registry configures one", s.cites[0])
	}
	return s, nil
}

// The exit code by which a service says that its own code follows, and the Front-End's "evaluation period has expired".
const (
	serviceSpecific = 1066
	licenceExpired  = 0xC3E93C23
)

// expired is how the Front-End says since its last start that its evaluation period is over; "" when it does not.
func (s service) expired() string {
	if s.now.State == facts.ServiceStopped && s.now.ExitCode == serviceSpecific && s.now.SpecificExitCode == licenceExpired {
		return "the service is stopped with 3286842403 (0xC3E93C23)"
	}
	const trialOver, serviceEnded = 12290, 7024
	// Of a Front-End that runs, what may be older than its start does not count; one that does not run is given no such benefit.
	since := func(e facts.Event) bool {
		if s.now.State == facts.ServiceStopped {
			return !s.starts.Start.After(e.Time)
		}
		return s.starts.Start.Before(e.Time)
	}
	for _, e := range s.own.Events {
		if e.Code() == trialOver && e.From("OCS Server") && since(e) {
			return "event 12290 was written at " + day(e.Time)
		}
	}
	for _, e := range s.system.Events {
		if e.Code() == serviceEnded && e.From(facts.ServiceManager) && since(e) && slices.ContainsFunc(e.Strings, saysExpired) {
			return "it ended with 3286842403 (0xC3E93C23) at " + day(e.Time)
		}
	}
	return ""
}

// saysExpired tells whether a string of event 7024 is the Front-End's code, as a number of either sign or in hexadecimal.
func saysExpired(s string) bool {
	s = strings.ToUpper(s)
	return strings.Contains(s, "3286842403") || strings.Contains(s, "-1008124893") || strings.Contains(s, "C3E93C23")
}

// evaluation tells whether the edition that was installed calls itself one for a trial.
func (s service) evaluation() bool {
	l := strings.ToLower(s.licence)
	return strings.Contains(l, "eval") || strings.Contains(l, "trial")
}
