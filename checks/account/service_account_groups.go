package account

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var emptyGroup = &checks.Message{
	Tag:         "empty-group",
	Severity:    checks.Error,
	Text:        "no user account is a member of {groups}, though OCS is activated in {pools}",
	ExplainedBy: []string{"ad/prep-groups:missing"},
}

var _ = register(&checks.Check{
	ID:       "account/service-account-groups",
	Title:    "the RTC service groups have the accounts of the OCS services as members",
	Scope:    checks.ScopeForest,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.Pools, facts.Groups, facts.ServiceAccounts, facts.Catalog, facts.Search},
	Messages: []*checks.Message{emptyGroup},
	Run: func(p *checks.Pass) error {
		pools, server, cite, err := livePools(p)
		if err != nil {
			return err
		}
		if len(pools) == 0 {
			return checks.NotApplicable("Active Directory has no pool of OCS with a front end")
		}
		groups, err := facts.Groups.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		accounts, err := facts.ServiceAccounts.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		cites := []evidence.Key{groups.Cite, cite}
		var empty []string
		for _, name := range facts.ServiceGroups {
			if slices.ContainsFunc(accounts, func(a facts.ServiceAccount) bool { return slices.Contains(a.Groups, name) }) {
				continue
			}
			if g, ok := groups.Find(name); ok {
				key, err := onlyDirect(p, g)
				if err != nil {
					return err
				}
				cites = append(cites, key)
			}
			empty = append(empty, name)
		}
		if len(empty) > 0 {
			p.Report(emptyGroup, cites, checks.A("groups", strings.Join(empty, " and ")), checks.A("pools", facts.Few(pools, ", ", 5)), checks.A("server", server),
				checks.A("frontEnd", mark(slices.Contains(empty, frontEndGroup))), checks.A("component", mark(slices.Contains(empty, componentGroup))))
		}
		return nil
	},
})

// livePools are the pools with front ends whose services run with domain accounts, the first of those servers, and what shows them. From Lync on
// services run as the computer itself.
func livePools(p *checks.Pass) (pools []string, server string, cite evidence.Key, err error) {
	list, err := facts.Pools.Get(p.Facts, evidence.None{})
	if err != nil {
		return nil, "", list.Cite, err
	}
	for _, pool := range list.Pools {
		if pool.Version > facts.VersionR2 {
			continue
		}
		for _, f := range pool.FrontEnds {
			if f.Computer == "" {
				continue
			}
			if server == "" {
				server = f.Computer
			}
			if !slices.Contains(pools, pool.FQDN) {
				pools = append(pools, pool.FQDN)
			}
		}
	}
	return pools, server, list.Cite, nil
}

// onlyDirect fails when a group has other groups as members: the accounts in those are members too and are not followed.
func onlyDirect(p *checks.Pass, g facts.Group) (evidence.Key, error) {
	c, err := facts.Catalog.Get(p.Facts, evidence.None{})
	if err != nil {
		return evidence.Key{}, err
	}
	q := facts.NewSearch(c.DC, c.Base, "sub", "(&(objectClass=group)(memberOf="+facts.EscapeFilter(g.DN)+"))", "sAMAccountName")
	key := facts.Search.Key(q)
	res, err := facts.Search.Get(p.Facts, q)
	if err != nil {
		return key, err
	}
	if len(res.Entries) > 0 {
		return key, evidence.FailAt(evidence.NoTarget, "who is a member of "+g.Name+" through the group "+res.Entries[0].DN+" is not followed", key)
	}
	return key, nil
}
