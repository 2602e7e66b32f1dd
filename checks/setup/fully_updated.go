package setup

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var updatesUnfinished = &checks.Message{
	Tag:      "unfinished",
	Severity: checks.Warning,
	Text:     "{server} has {count} of Windows that an update has not finished: {packages}",
}

var _ = register(&checks.Check{
	ID:       "setup/fully-updated",
	Title:    "no update of Windows on the OCS server is half done",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostUpdates},
	Messages: []*checks.Message{updatesUnfinished},
	Run: func(p *checks.Pass) error {
		l, err := facts.HostUpdates.Get(p.Facts, server(p))
		if err != nil || len(l.Unfinished) == 0 {
			return err
		}
		var names []string
		for _, u := range l.Unfinished {
			names = append(names, u.Name+" is "+u.State.String())
		}
		p.Report(updatesUnfinished, []evidence.Key{l.Cite}, checks.A("server", p.Subject.Name), checks.A("count", facts.Count(len(names), "package")),
			checks.A("packages", facts.Few(names, "; ", 3)), checks.A("first", l.Unfinished[0].Name))
		return nil
	},
})
