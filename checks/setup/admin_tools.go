package setup

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var adminToolsMissing = &checks.Message{
	Tag:      "missing",
	Severity: checks.Notice,
	Text:     "{server} does not have the administrative tools of OCS 2007 R2",
}

var _ = register(&checks.Check{
	ID:       "setup/admin-tools",
	Title:    "the administrative tools of OCS 2007 R2 are on the OCS server",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Setup,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.Registry},
	Messages: []*checks.Message{adminToolsMissing},
	Run: func(p *checks.Pass) error {
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		q := programsQuestion(p.Subject.Name)
		k, err := facts.Registry.Get(p.Facts, q)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(programs(k, ocsPrograms), func(o program) bool { return strings.Contains(o.name, "Administrative Tools") }) {
			p.Report(adminToolsMissing, []evidence.Key{facts.Registry.Key(q)}, checks.A("server", p.Subject.Name), checks.A("generation", w.Generation()))
		}
		return nil
	},
})
