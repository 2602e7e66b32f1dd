package dns

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var severalTargets = &checks.Message{
	Tag:      "several",
	Severity: checks.Warning,
	Text:     "{name}, seen from {view}, sends clients to different servers: {targets}",
	Identity: []string{"view"},
}

var _ = register(&checks.Check{
	ID:       "dns/srv-single-target",
	Title:    "the sign-in SRV record leads to one server or pool",
	Scope:    checks.ScopeSIPDomain,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.ConfigScope, facts.Discovery, facts.Addresses, facts.ADDomain, facts.DomainControllers},
	Messages: []*checks.Message{severalTargets},
	Run: func(p *checks.Pass) error {
		return onWinners(p, func(view string, step facts.SRVStep, targets []target) {
			var servers []target
			for _, t := range targets {
				if t.first && len(t.Addresses) == 0 {
					continue // the check of the record says that it leads nowhere
				}
				if !slices.ContainsFunc(servers, func(s target) bool { return facts.Leads(s.Addresses, t.Addresses) }) {
					servers = append(servers, t)
				}
			}
			if len(servers) > 1 {
				p.Report(severalTargets, citesOf(step, servers), zoneArgs(p, view, checks.A("name", step.Name), checks.A("targets", namesOf(servers)))...)
			}
		})
	},
})
