package dns

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var notStrict = &checks.Message{
	Tag:      "other-domain",
	Severity: checks.Warning,
	Text:     "{name}, seen from {view}, sends clients to {targets}, a name that is neither {domain} nor directly below it",
	Identity: []string{"view"},
}

var _ = register(&checks.Check{
	ID:       "dns/srv-strict-domain",
	Title:    "the sign-in SRV record leads to a host whose name belongs to the SIP domain",
	Scope:    checks.ScopeSIPDomain,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.ConfigScope, facts.Discovery, facts.Addresses, facts.ADDomain, facts.DomainControllers},
	Messages: []*checks.Message{notStrict},
	Run: func(p *checks.Pass) error {
		return onWinners(p, func(view string, step facts.SRVStep, targets []target) {
			var others []target
			for _, t := range targets {
				// One that leads nowhere, or where only a wildcard leads, is the matter of the check of its record.
				if len(t.Addresses) > 0 && !facts.StrictlyIn(t.name, p.Subject.Name) && !doubled(t.name, p.Subject.Name) {
					others = append(others, t)
				}
			}
			if len(others) > 0 {
				p.Report(notStrict, citesOf(step, others), zoneArgs(p, view, checks.A("name", step.Name), checks.A("service", step.Service),
					checks.A("targets", namesOf(others)))...)
			}
		})
	},
})
