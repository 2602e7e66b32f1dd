package patch

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var databaseMismatch = &checks.Message{
	Tag:      "mismatch",
	Severity: checks.Critical,
	Text:     "the programs of OCS on {server} are newer than its database: {evidence}",
}

var _ = register(&checks.Check{
	ID:       "patch/database-upgraded-first",
	Title:    "the database was upgraded before the programs of OCS",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.HostOCS, facts.HostStarts, facts.Services, facts.Events},
	Messages: []*checks.Message{databaseMismatch},
	Run:      databaseUpgradedFirst,
})

// The Front-End's own exit code, and the event, that say that the stored procedures are of another version.
const (
	databaseMismatched = 0xC3EE78F8
	proceduresDiffer   = 30968
)

func databaseUpgradedFirst(p *checks.Pass) error {
	ocs, err := facts.HostOCS.Get(p.Facts, server(p))
	switch {
	case err != nil:
		return err
	case !ocs.Activated:
		return checks.NotApplicable("OCS is not activated")
	}
	own := facts.EventsQuestion{Host: p.Subject.Name, Log: facts.OCSLog}
	var list facts.ServiceList
	var starts facts.StartTimes
	var events facts.EventList
	var errs [3]error
	evidence.Parallel(
		func() { list, errs[0] = facts.Services.Get(p.Facts, server(p)) },
		func() {
			starts, errs[1] = facts.HostStarts.Get(p.Facts, facts.StartsQuestion{Host: p.Subject.Name, Service: facts.FrontEndService})
		},
		func() { events, errs[2] = facts.Events.Get(p.Facts, own) },
	)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	cites := []evidence.Key{facts.Services.Key(server(p)), facts.Events.Key(own)}
	report := func(why string) {
		p.Report(databaseMismatch, cites, checks.A("server", p.Subject.Name), checks.A("evidence", why))
	}
	s, _ := list.Find(facts.FrontEndService)
	stopped := s.State == facts.ServiceStopped
	if stopped && s.ExitCode == serviceSpecific && s.SpecificExitCode == databaseMismatched {
		report("the Front-End is stopped with 3287185656 (0xC3EE78F8)")
		return nil
	}
	for _, e := range events.Events {
		if e.Code() != proceduresDiffer || !e.From("Live Communications User Services") && !e.From("OCS User Services") {
			continue
		}
		// As with the licence: what may be older than the start of a Front-End that runs does not count.
		if starts.Start.Before(e.Time) || stopped && !starts.Start.After(e.Time) {
			report("event 30968 was written at " + day(e.Time))
			return nil
		}
	}
	return nil
}
