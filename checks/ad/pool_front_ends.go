package ad

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	noneFrontEnd = &checks.Message{
		Tag:      "none",
		Severity: checks.Error,
		Text:     "the pool {pool} has no front end; homed on it: {count}",
	}
	deadComputer = &checks.Message{
		Tag:      "dead-computer",
		Severity: checks.Error,
		Text:     "the pool {pool} has front ends whose computer is not in Active Directory any more: {frontEnds}",
	}
)

var _ = register(&checks.Check{
	ID:       "ad/pool-front-ends",
	Title:    "every pool has a front end, and every front end a computer",
	Scope:    checks.ScopePool,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.Pools, facts.AllUsers},
	Messages: []*checks.Message{noneFrontEnd, deadComputer},
	Run: func(p *checks.Pass) error {
		pool, list, err := namedPool(p)
		if err != nil {
			return err
		}
		if len(pool.FrontEnds) == 0 {
			return judgeOrphan(p, pool, list.Cite)
		}
		var dead []string
		for _, f := range pool.FrontEnds {
			if f.Computer == "" {
				dead = append(dead, f.DN)
			}
		}
		if len(dead) > 0 {
			p.Report(deadComputer, []evidence.Key{list.Cite}, checks.A("pool", pool.FQDN), checks.A("frontEnds", facts.Few(dead, ", ", 5)),
				checks.A("alive", facts.Few(poolComputers(pool), ", ", 5)))
		}
		return nil
	},
})

// judgeOrphan judges a pool without front ends by its users: a Director's pool, a pool that is still being built and a remnant have none.
func judgeOrphan(p *checks.Pass, pool facts.Pool, cite evidence.Key) error {
	table, err := facts.AllUsers.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	key := facts.AllUsers.Key(evidence.None{})
	if table.Hidden() {
		return evidence.FailAt(evidence.Denied, "the account may not read the home servers of the users (msRTCSIP-PrimaryHomeServer): make it a member of RTCUniversalReadOnlyAdmins", key)
	}
	homed := 0
	for _, u := range table.Users {
		if home := table.HomeOf(u); home != "" && (strings.EqualFold(home, pool.Service) || strings.EqualFold(home, pool.DN)) {
			homed++
		}
	}
	if homed == 0 {
		return checks.NotApplicable("the pool has neither front ends nor users")
	}
	p.Report(noneFrontEnd, []evidence.Key{cite, key}, checks.A("pool", pool.FQDN), checks.A("dn", pool.DN), checks.A("count", facts.Count(homed, "user")))
	return nil
}
