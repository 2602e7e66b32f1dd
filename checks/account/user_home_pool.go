package account

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var homeGone = &checks.Message{
	Tag:      "gone",
	Severity: checks.Error,
	Text:     "homed on what is no pool of the forest any more: {who}",
}

var _ = register(&checks.Check{
	ID:       "account/user-home-pool",
	Title:    "the home servers of users are pools that exist",
	Scope:    checks.ScopeUser,
	Phases:   checks.PostInstall,
	After:    checks.Users,
	Needs:    append([]evidence.AnyKind{facts.Pools}, selectNeeds...),
	Messages: []*checks.Message{homeGone},
	Run: func(p *checks.Pass) error {
		u, err := selected(p)
		if err == nil {
			err = u.readable()
		}
		if err != nil {
			return err
		}
		pools, err := facts.Pools.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		gone := goneHomes(u.table.Homes, pools)
		lost := u.where(func(row facts.User) bool { return row.Home >= 0 && gone[row.Home] })
		home := ""
		if len(lost) > 0 {
			home = u.table.HomeOf(lost[0])
		}
		var names []string
		for _, pool := range pools.Pools {
			names = append(names, pool.FQDN)
		}
		u.report(p, homeGone, lost, []evidence.Key{pools.Cite}, checks.A("home", home), checks.A("pools", facts.Few(names, ", ", 5)))
		return nil
	},
})

// goneHomes tells of each home server whether it is none of the pools: neither a pool nor its service object, nor, as in the products before OCS 2007, one of its
// servers. The name of a deleted object holds a line feed and "DEL:" ([MS-ADTS] 3.1.1.5.5).
func goneHomes(homes []string, pools facts.PoolList) []bool {
	alive := map[string]bool{}
	for _, pool := range pools.Pools {
		alive[strings.ToLower(pool.DN)], alive[strings.ToLower(pool.Service)] = true, true
		for _, f := range pool.FrontEnds {
			alive[strings.ToLower(f.DN)] = true
		}
	}
	gone := make([]bool, len(homes))
	for i, home := range homes {
		home = strings.ToLower(home)
		gone[i] = !alive[home] || strings.Contains(home, `\0adel:`) || strings.Contains(home, "\ndel:")
	}
	return gone
}
