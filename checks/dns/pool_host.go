package dns

import (
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	poolMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Error,
		Text:     "the pool {pool} has no IPv4 address in DNS: {why}",
	}
	poolWrongAddress = &checks.Message{
		Tag:      "wrong-address",
		Severity: checks.Error,
		Text:     "the pool {pool} is at {addresses} in DNS, where no front end of it is and nothing takes connections on port 5061: {expected}",
	}
	poolIPv6 = &checks.Message{
		Tag:      "ipv6",
		Severity: checks.Notice,
		Text:     "the pool {pool} has IPv6 addresses in DNS ({addresses}), on which OCS 2007 R2 does not listen",
	}
)

var _ = register(&checks.Check{
	ID:     "dns/pool-host",
	Title:  "DNS leads from the name of every pool to its servers",
	Scope:  checks.ScopePool,
	Phases: checks.PostInstall,
	After:  checks.Services,
	Needs: []evidence.AnyKind{facts.ConfigScope, facts.Pools, facts.SIPDomains, facts.Discovery, facts.DNSLookup, facts.Addresses, facts.NetConnect,
		facts.ADDomain, facts.DomainControllers},
	Messages: []*checks.Message{poolMissing, poolWrongAddress, poolIPv6},
	Run: func(p *checks.Pass) error {
		list, err := facts.Pools.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		pool, ok := list.Find(p.Subject.Name)
		if !ok {
			return evidence.FailAt(evidence.NoTarget, "AD lists no pool "+p.Subject.Name, list.Cite)
		}
		questions := []facts.LookupQuestion{{Name: pool.FQDN, Type: "A", View: facts.Inside}, {Name: pool.FQDN, Type: "AAAA", View: facts.Inside}}
		found, errs := evidence.GetAll(p.Facts, facts.DNSLookup, questions)
		if err := errors.Join(errs...); err != nil {
			return err
		}
		v4, v6 := addressesIn(found[0]), addressesIn(found[1])
		cites := []evidence.Key{facts.DNSLookup.Key(questions[0])}
		args := func(more ...checks.Arg) []checks.Arg {
			zone := facts.Parent(pool.FQDN)
			return zoneArgs(p, facts.Inside, append(more, checks.A("pool", pool.FQDN), checks.A("zone", zone), checks.A("label", labelIn(pool.FQDN, zone)))...)
		}
		if len(v4) == 0 {
			why := facts.HostAddresses{Rcode: found[0].Rcode}.Absence()
			if len(v6) > 0 {
				why = "it has IPv6 addresses only"
			}
			p.Report(poolMissing, cites, args(checks.A("why", why))...)
			return nil
		}
		if len(v6) > 0 {
			p.Report(poolIPv6, []evidence.Key{facts.DNSLookup.Key(questions[1])}, args(checks.A("addresses", facts.Few(v6, ", ", maxNamed)))...)
		}
		expected, err := strayPool(p, pool, v4)
		if err == nil && expected != "" {
			p.Report(poolWrongAddress, append(cites, facts.NetConnect.Key(poolEndpoint(pool))), args(checks.A("addresses", facts.Few(v4, ", ", maxNamed)),
				checks.A("expected", expected))...)
		}
		return err
	},
})

func poolEndpoint(pool facts.Pool) facts.Endpoint {
	return facts.Endpoint{Host: pool.FQDN, Port: facts.SIPPort}
}

func addressesIn(l facts.Lookup) []string {
	var out []string
	for _, rr := range l.Records {
		out = append(out, rr.Address)
	}
	return out
}

// strayPool says where the front ends are when the pool's name leads neither to one of them nor to a load balancer; "" when it does.
// The address to which sign-in leads is not judged here: whether a server answers there is the matter of net/sip-port.
func strayPool(p *checks.Pass, pool facts.Pool, addresses []string) (expected string, err error) {
	var names []string
	for _, f := range pool.FrontEnds {
		if f.Computer == pool.FQDN {
			return "", nil
		}
		if f.Computer != "" {
			names = append(names, f.Computer)
		}
	}
	found, errs := facts.AddressesOf(p.Facts, names, facts.Inside)
	var words []string
	for i, a := range found {
		if facts.Leads(a.Addresses, addresses) {
			for _, err := range errs {
				p.Excuse(err, "the address was found to be another front end's")
			}
			return "", nil
		}
		if len(a.Addresses) > 0 {
			words = append(words, names[i]+" is at "+strings.Join(a.Addresses, ", "))
		}
	}
	if err := errors.Join(errs...); err != nil || len(words) == 0 {
		return "", err
	}
	if leads, err := signInLeadsTo(p, addresses); err != nil || leads {
		return "", err
	}
	c, err := facts.NetConnect.Get(p.Facts, poolEndpoint(pool))
	if err != nil || c.Result == facts.Connected {
		return "", err
	}
	return facts.Few(words, "; ", maxNamed), nil
}

// signInLeadsTo tells whether the sign-in of a SIP domain leads to one of the addresses.
func signInLeadsTo(p *checks.Pass, addresses []string) (bool, error) {
	domains, err := facts.SIPDomains.Get(p.Facts, evidence.None{})
	if err != nil {
		return false, err
	}
	var questions []facts.DiscoveryQuestion
	for _, d := range domains.List {
		questions = append(questions, facts.DiscoveryQuestion{Domain: d, View: facts.Inside})
	}
	found, errs := evidence.GetAll(p.Facts, facts.Discovery, questions)
	if slices.ContainsFunc(found, func(w facts.DiscoveryWalk) bool { return facts.Leads(w.Addresses, addresses) }) {
		return true, nil
	}
	return false, errors.Join(errs...)
}
