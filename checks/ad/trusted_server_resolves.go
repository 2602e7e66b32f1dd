package ad

import (
	"errors"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	trustedUnresolved = &checks.Message{
		Tag:      "unresolved",
		Severity: checks.Warning,
		Text:     "servers that Active Directory lists as trusted lead nowhere in DNS: {servers}",
	}
	// A tag of its own, so that a pool that is missing in DNS does not explain that another server is.
	trustedPoolUnresolved = &checks.Message{
		Tag:         "pool-unresolved",
		Severity:    checks.Warning,
		Text:        "pools whose servers Active Directory lists as trusted lead nowhere in DNS: {servers}",
		ExplainedBy: []string{"dns/pool-host:missing"},
	}
)

var _ = register(&checks.Check{
	ID:       "ad/trusted-server-resolves",
	Title:    "every server that Active Directory lists as trusted has an address",
	Scope:    checks.ScopeForest,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.TrustedServers, facts.Pools, facts.Addresses},
	Messages: []*checks.Message{trustedUnresolved, trustedPoolUnresolved},
	Run: func(p *checks.Pass) error {
		trusted, err := facts.TrustedServers.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		if len(trusted.Entries) == 0 {
			return checks.NotApplicable("Active Directory lists no trusted server")
		}
		var hosts []string
		objects := map[string]string{} // the first object of each FQDN
		for _, t := range trusted.Entries {
			if objects[t.FQDN] == "" {
				hosts, objects[t.FQDN] = append(hosts, t.FQDN), t.DN
			}
		}
		pools, poolsErr := facts.Pools.Get(p.Facts, evidence.None{})
		var others, ofPools []string
		for _, h := range hosts {
			if _, ok := pools.Find(h); ok {
				ofPools = append(ofPools, h)
			} else {
				others = append(others, h)
			}
		}
		judge := func(m *checks.Message, hosts []string) error {
			lost, cites, err := leadNowhere(p, hosts)
			if len(lost) > 0 {
				var names []string
				for _, l := range lost {
					names = append(names, l.host+" ("+l.why+")")
				}
				p.Report(m, append(cites, trusted.Cite), checks.A("servers", facts.Few(names, ", ", 5)),
					checks.A("first", lost[0].host), checks.A("dn", objects[lost[0].host]))
			}
			return err
		}
		var othersErr, ofPoolsErr error
		evidence.Parallel(func() { othersErr = judge(trustedUnresolved, others) }, func() { ofPoolsErr = judge(trustedPoolUnresolved, ofPools) })
		return errors.Join(poolsErr, othersErr, ofPoolsErr)
	},
})

// lostHost is a host that leads nowhere, and why.
type lostHost struct{ host, why string }

// leadNowhere are those of the hosts that have no address, with the lookups that show it. err says which lookup failed.
func leadNowhere(p *checks.Pass, hosts []string) (lost []lostHost, cites []evidence.Key, err error) {
	var names []string
	for _, h := range hosts {
		switch {
		case facts.IsHostName(h):
			names = append(names, h)
		case !facts.IsAddress(h):
			lost = append(lost, lostHost{h, "it is no host name"})
		}
	}
	found, errs := facts.AddressesOf(p.Facts, names, facts.Inside)
	for i, h := range names {
		if errs[i] == nil && len(found[i].Addresses) == 0 {
			lost = append(lost, lostHost{h, found[i].Absence()})
			cites = append(cites, facts.Addresses.Key(facts.HostQuestion{Host: h, View: facts.Inside}))
		}
	}
	return lost, cites, errors.Join(errs...)
}
