package ad

import (
	"errors"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var trustedUnresolved = &checks.Message{
	Tag:      "unresolved",
	Severity: checks.Warning,
	Text:     "servers that Active Directory lists as trusted lead nowhere in DNS: {servers}",
}

var _ = register(&checks.Check{
	ID:       "ad/trusted-server-resolves",
	Title:    "every server that Active Directory lists as trusted has an address",
	Scope:    checks.ScopeForest,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.TrustedServers, facts.Addresses},
	Messages: []*checks.Message{trustedUnresolved},
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
		lost, cites, err := leadNowhere(p, hosts)
		if len(lost) > 0 {
			var names []string
			for _, l := range lost {
				names = append(names, l.host+" ("+l.why+")")
			}
			p.Report(trustedUnresolved, append(cites, trusted.Cite), checks.A("servers", facts.Few(names, ", ", 5)),
				checks.A("first", lost[0].host), checks.A("dn", objects[lost[0].host]))
		}
		return err
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
