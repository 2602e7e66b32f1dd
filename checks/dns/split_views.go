package dns

import (
	"errors"
	"net/netip"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	outsideLeadsIn = &checks.Message{
		Tag:      "outside-leads-in",
		Severity: checks.Warning,
		Text:     "seen from outside, sign-in of {domain} leads to {host} at {addresses}, {why}",
	}
	insideLeadsOut = &checks.Message{
		Tag:      "inside-leads-out",
		Severity: checks.Warning,
		Text:     "seen from inside, sign-in of {domain} leads to {host} at {addresses}, where clients outside are led too",
		// An address of sip.SIP-DOMAIN that is no OCS server's is reported as that.
		ExplainedBy: []string{"dns/sip-host:wrong-address"},
	}
)

var _ = register(&checks.Check{
	ID:       "dns/split-views",
	Title:    "inside clients are led to the pool, outside clients to the Access Edge",
	Scope:    checks.ScopeSIPDomain,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.ConfigScope, facts.Discovery, facts.Addresses, facts.Servers, facts.ADDomain, facts.DomainControllers},
	Messages: []*checks.Message{outsideLeadsIn, insideLeadsOut},
	Run: func(p *checks.Pass) error {
		questions := []facts.DiscoveryQuestion{{Domain: p.Subject.Name, View: facts.Inside}, {Domain: p.Subject.Name, View: facts.Outside}}
		found, errs := evidence.GetAll(p.Facts, facts.Discovery, questions)
		if err := errs[1]; err != nil {
			return errors.Join(err, errs[0])
		}
		inside, outside := found[0], found[1]
		if outside.Configured {
			return checks.NotApplicable(byHand)
		}
		leadsIn := func(why string) {
			p.Report(outsideLeadsIn, viewCites(outside, facts.Outside), zoneArgs(p, facts.Outside, checks.A("host", outside.Host),
				checks.A("addresses", facts.Few(outside.Addresses, ", ", maxNamed)), checks.A("why", why))...)
		}
		if slices.ContainsFunc(outside.Addresses, isPrivate) {
			leadsIn("which is no address on the Internet")
			return errs[0]
		}
		if err := errs[0]; err != nil || !facts.Leads(inside.Addresses, outside.Addresses) {
			return err
		}
		own, err := ownAddresses(p)
		switch {
		case err != nil:
			return err
		case facts.Leads(own, outside.Addresses):
			leadsIn("the address of an OCS server or pool inside")
		default:
			p.Report(insideLeadsOut, viewCites(inside, facts.Inside), zoneArgs(p, facts.Inside, checks.A("host", inside.Host), checks.A("by", inside.By),
				checks.A("addresses", facts.Few(inside.Addresses, ", ", maxNamed)))...)
		}
		return nil
	},
})

// viewCites are the record that decides in a view and where it leads.
func viewCites(w facts.DiscoveryWalk, view string) []evidence.Key {
	return append(w.Cites(), addressKey(w.Host, view))
}

// isPrivate tells an address that is not routed on the Internet: RFC 1918, RFC 4193, RFC 3927, loopback.
func isPrivate(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast())
}

func isIPv4(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && a.Is4()
}

// ownAddresses are the inside addresses of the OCS servers and their pools, as far as they are known otherwise than by sign-in itself.
func ownAddresses(p *checks.Pass) ([]string, error) {
	servers, err := facts.Servers.Get(p.Facts, evidence.None{})
	if err != nil || servers.Source == "dns" {
		return nil, err
	}
	found, errs := facts.AddressesOf(p.Facts, serverNames(servers), facts.Inside)
	var out []string
	for _, a := range found {
		out = append(out, a.Addresses...)
	}
	return out, errors.Join(errs...)
}

// serverNames are the FQDNs of servers and of their pools, each once: first those that are judged, then the deployment's others, such as a Director.
func serverNames(servers facts.ServerList) []string {
	var names []string
	for _, s := range slices.Concat(servers.List, servers.Beside) {
		for _, name := range []string{s.FQDN, s.Pool} {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
