package dns

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	ntpMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Notice,
		Text:     "no SRV record leads phones to a time server: {names}",
	}
	ntpWrong = &checks.Message{
		Tag:      "wrong",
		Severity: checks.Notice,
		Text:     "{name} leads phones to no time server: {why}",
		Identity: []string{"name"},
	}
)

// ntpPort is the port of NTP (RFC 5905, section 7.2).
const ntpPort = 123

var _ = register(&checks.Check{
	ID:       "dns/phone-ntp",
	Title:    "phones find a time server",
	Scope:    checks.ScopeADDomain,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.ConfigScope, facts.SIPDomains, facts.DNSLookup, facts.Addresses, facts.ADDomain, facts.DomainControllers},
	Messages: []*checks.Message{ntpMissing, ntpWrong},
	Run: func(p *checks.Pass) error {
		domains := []string{p.Subject.Name}
		sip, err := facts.SIPDomains.Get(p.Facts, evidence.None{})
		var f *evidence.Failure
		if errors.As(err, &f) && f.Reason == evidence.NotConfigured {
			p.Excuse(err, "without a SIP domain the AD domain is all that phones can ask for")
		} else if err != nil {
			return err
		}
		for _, d := range sip.List {
			if !slices.Contains(domains, d) {
				domains = append(domains, d)
			}
		}
		var questions []facts.LookupQuestion
		var names []string
		var cites []evidence.Key
		for _, d := range domains {
			q := facts.LookupQuestion{Name: facts.SRVName("_ntp._udp", d), Type: "SRV", View: facts.Inside}
			questions, names, cites = append(questions, q), append(names, q.Name), append(cites, facts.DNSLookup.Key(q))
		}
		found, errs := evidence.GetAll(p.Facts, facts.DNSLookup, questions)
		if err := errors.Join(errs...); err != nil {
			return err
		}
		exists := false
		for i, l := range found {
			why, err := ntpDefect(p, l)
			if err != nil {
				return err
			}
			exists = exists || len(l.Records) > 0
			if why != "" {
				p.Report(ntpWrong, cites[i:i+1], zoneArgs(p, facts.Inside, checks.A("name", names[i]), checks.A("why", why))...)
			}
		}
		if !exists {
			p.Report(ntpMissing, cites, zoneArgs(p, facts.Inside, checks.A("names", facts.Few(names, " and ", maxNamed)+" do not exist"))...)
		}
		return nil
	},
})

// ntpDefect says why none of the records of a name leads to a time server; "" when one does, or when there is none.
func ntpDefect(p *checks.Pass, l facts.Lookup) (string, error) {
	var why []string
	for _, rr := range l.Records {
		if rr.Target == "" {
			why = append(why, `its target is "."`)
			continue
		}
		a, err := facts.Addresses.Get(p.Facts, facts.HostQuestion{Host: rr.Target, View: facts.Inside})
		switch {
		case err != nil:
			return "", err
		case len(a.Addresses) == 0:
			why = append(why, rr.Target+" leads nowhere: "+a.Absence())
		case rr.Port != ntpPort:
			why = append(why, fmt.Sprintf("its port is %d instead of %d", rr.Port, ntpPort))
		default:
			return "", nil
		}
	}
	return strings.Join(why, "; "), nil
}
