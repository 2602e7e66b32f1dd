package setup

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var updatesUnfinished = &checks.Message{
	Tag:         "unfinished",
	Severity:    checks.Warning,
	Text:        "{server} has {count} of Windows that an update has not finished: {packages}",
	ExplainedBy: []string{"host/restart-pending"},
}

// judgedAlone are the updates whose states the family patch judges, each for what it does to OCS.
var judgedAlone = []string{facts.KB974571, "KB975858"}

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
			if !slices.ContainsFunc(judgedAlone, func(kb string) bool { return strings.Contains(strings.ToUpper(u.Name), kb) }) {
				names = append(names, u.Name+" is "+u.State.String())
			}
		}
		if len(names) > 0 {
			first, _, _ := strings.Cut(names[0], " ")
			p.Report(updatesUnfinished, []evidence.Key{l.Cite}, checks.A("server", p.Subject.Name), checks.A("count", facts.Count(len(names), "package")),
				checks.A("packages", facts.Few(names, "; ", 3)), checks.A("first", first))
		}
		return nil
	},
})
