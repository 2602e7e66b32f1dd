package dns

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var targetAlias = &checks.Message{
	Tag:      "alias",
	Severity: checks.Notice,
	Text:     "{name}, seen from {view}, leads to {target}, which is an alias (CNAME) of {canonical}",
	Identity: []string{"view", "target"},
}

var _ = register(&checks.Check{
	ID:       "dns/srv-target-not-cname",
	Title:    "the target of the sign-in SRV record is a host record, no alias",
	Scope:    checks.ScopeSIPDomain,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.ConfigScope, facts.Discovery, facts.Addresses, facts.ADDomain, facts.DomainControllers},
	Messages: []*checks.Message{targetAlias},
	Run: func(p *checks.Pass) error {
		return onWinners(p, func(view string, step facts.SRVStep, targets []target) {
			for _, t := range targets {
				if t.Canonical == t.name || len(t.Addresses) == 0 {
					continue // one that leads nowhere is the matter of the check of its record
				}
				p.Report(targetAlias, []evidence.Key{step.Cite, t.cite}, zoneArgs(p, view, checks.A("name", step.Name), checks.A("target", t.name),
					checks.A("canonical", t.Canonical), checks.A("address", firstIPv4(t.Addresses)),
					checks.A("label", labelIn(t.name, p.Subject.Name)))...)
			}
		})
	},
})

// firstIPv4 is the first IPv4 address of a list, "" if there is none: OCS 2007 R2 listens on IPv4 only.
func firstIPv4(addresses []string) string {
	i := slices.IndexFunc(addresses, isIPv4)
	if i < 0 {
		return ""
	}
	return addresses[i]
}
