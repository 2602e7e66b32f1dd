package dns

import (
	"fmt"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	federationMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Notice,
		Text:     "{name} does not exist outside, so that partners do not find the Access Edge of {domain} by themselves",
	}
	federationWrong = &checks.Message{
		Tag:      "wrong",
		Severity: checks.Notice,
		Text:     "{name}, seen from outside, leads partners to no Access Edge: {why}",
		Identity: []string{"target"},
	}
)

var _ = register(&checks.Check{
	ID:       "dns/federation-srv",
	Title:    "partners find the Access Edge of the SIP domain on port 5061",
	Scope:    checks.ScopeSIPDomain,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.DNSLookup, facts.Discovery, facts.Addresses},
	Messages: []*checks.Message{federationMissing, federationWrong},
	Run: func(p *checks.Pass) error {
		q := facts.LookupQuestion{Name: facts.SRVName("_sipfederationtls._tcp", p.Subject.Name), Type: "SRV", View: facts.Outside}
		found, err := facts.DNSLookup.Get(p.Facts, q)
		if err != nil {
			return err
		}
		cites := []evidence.Key{facts.DNSLookup.Key(q)}
		args := []checks.Arg{checks.A("domain", p.Subject.Name), checks.A("name", q.Name)}
		if len(found.Records) == 0 {
			w, err := facts.Discovery.Get(p.Facts, facts.DiscoveryQuestion{Domain: p.Subject.Name, View: facts.Outside})
			switch {
			case err != nil:
				return err
			case len(w.Addresses) == 0:
				return checks.NotApplicable("nothing outside leads to an Access Edge")
			}
			p.Report(federationMissing, cites, append(args, checks.A("host", w.Host))...)
			return nil
		}
		for _, rr := range found.Records {
			if rr.Target == "" {
				continue // it says on purpose that there is no federation (RFC 2782)
			}
			a, err := facts.Addresses.Get(p.Facts, facts.HostQuestion{Host: rr.Target, View: facts.Outside})
			if err != nil {
				return err
			}
			why := ""
			switch {
			case len(a.Addresses) == 0:
				why = rr.Target + " leads nowhere: " + a.Absence()
			case rr.Port != facts.SIPPort:
				why = fmt.Sprintf("its port is %d instead of %d", rr.Port, facts.SIPPort)
			default:
				continue
			}
			p.Report(federationWrong, append(cites, addressKey(rr.Target, facts.Outside)), append(args, checks.A("target", rr.Target), checks.A("why", why))...)
		}
		return nil
	},
})
