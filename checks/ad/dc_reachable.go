package ad

import (
	"fmt"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	noneAnswers = &checks.Message{
		Tag:      "none-answers",
		Severity: checks.Critical,
		Text:     "no domain controller of {domain} can be reached: {why}",
	}
	ownSiteDCDown = &checks.Message{
		Tag:      "own-site-dc-down",
		Severity: checks.Error,
		Text:     "the domain controller {dc} of the site {site} cannot be reached: {why}",
		Identity: []string{"dc"},
	}
	wrongHost = &checks.Message{
		Tag:      "wrong-host",
		Severity: checks.Error,
		Text:     "the domain controller that answers as {dc} calls itself {host}",
		Identity: []string{"dc"},
	}
)

var _ = register(&checks.Check{
	ID:       "ad/dc-reachable",
	Title:    "every domain controller of the site answers",
	Scope:    checks.ScopeADDomain,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.DomainControllers, facts.Addresses, facts.NetConnect, facts.RootDSE, facts.DNSLookup},
	Messages: []*checks.Message{noneAnswers, ownSiteDCDown, wrongHost},
	Run:      dcReachable,
})

func dcReachable(p *checks.Pass) error {
	dcs, err := facts.DomainControllers.Get(p.Facts, facts.DomainQuestion{Name: p.Subject.Name})
	if err != nil {
		return err
	}
	if len(dcs.List) == 0 {
		p.Report(noneAnswers, []evidence.Key{dcs.Cite}, checks.A("domain", p.Subject.Name), checks.A("dcs", ""),
			checks.A("why", "DNS publishes none"))
		return nil
	}
	contacts := make([]contact, len(dcs.List))
	var fns []func()
	for i, dc := range dcs.List {
		fns = append(fns, func() { contacts[i] = reach(p, dc) })
	}
	evidence.Parallel(fns...)
	var down, up []contact
	for _, c := range contacts {
		switch {
		case c.err != nil:
			err = firstError(err, c.err)
		case c.down != "":
			down = append(down, c)
		default:
			up = append(up, c)
			err = firstError(err, judgeName(p, c))
		}
	}
	if len(down) == len(contacts) {
		reportNone(p, down)
		return nil
	}
	return firstError(err, reportDown(p, down, up))
}

// contact is how an attempt to reach one domain controller ended: it is up, or down says why not, or err
// says why that could not be found out.
type contact struct {
	host string
	port int
	down string
	root facts.RootDSEData
	err  error
	// cite is the fact that shows it.
	cite evidence.Key
}

// ldapPort is the port of LDAP (RFC 4511, section 5.2.1).
const ldapPort = 389

// reach connects to a domain controller and reads its rootDSE, in this order: what is down is not asked further.
func reach(p *checks.Pass, dc string) contact {
	host, port := facts.SplitHostPort(dc, ldapPort)
	e := facts.Endpoint{Host: host, Port: port}
	conn, err := facts.NetConnect.Get(p.Facts, e)
	if err != nil {
		return leadsNowhere(p, host, err)
	}
	if conn.Result != facts.Connected {
		return contact{host: host, down: resultWords(conn.Result, port), cite: facts.NetConnect.Key(e)}
	}
	q := facts.DCQuestion{DC: dc}
	root, err := facts.RootDSE.Get(p.Facts, q)
	return contact{host: host, port: port, root: root, err: err, cite: facts.RootDSE.Key(q)}
}

// leadsNowhere tells whether a connect could not be tried because the name has no address: that is an answer too.
func leadsNowhere(p *checks.Pass, host string, connectErr error) contact {
	a, err := facts.Addresses.Get(p.Facts, facts.HostQuestion{Host: host, View: facts.Inside})
	if err != nil || len(a.Addresses) > 0 {
		return contact{host: host, err: connectErr}
	}
	p.Excuse(connectErr, "that the name leads nowhere is what was to be found out")
	lookup := facts.LookupQuestion{Name: host, Type: "A", View: facts.Inside}
	return contact{host: host, down: a.Absence(), cite: facts.DNSLookup.Key(lookup)}
}

func resultWords(result string, port int) string {
	switch result {
	case facts.Refused:
		return fmt.Sprintf("it refuses the connection on port %d", port)
	case facts.Unreachable:
		return "no way leads to it"
	}
	return fmt.Sprintf("it does not answer on port %d", port)
}

// judgeName compares the name that a domain controller is asked by with the one it gives itself.
func judgeName(p *checks.Pass, c contact) error {
	host := c.root.DNSHostName()
	switch {
	case facts.IsAddress(c.host) || host == c.host:
	case host == "":
		return evidence.FailAt(evidence.Protocol, c.host+" gives no dnsHostName", c.cite)
	default:
		// No password goes to a server with the certificate of another: what could not be searched there follows from this.
		cites := []evidence.Key{c.cite, facts.SessionKey(facts.Endpoint{Host: c.host, Port: c.port})}
		p.Report(wrongHost, cites, checks.A("dc", c.host), checks.A("host", host), checks.A("domain", p.Subject.Name))
	}
	return nil
}

func reportNone(p *checks.Pass, down []contact) {
	var cites []evidence.Key
	var names, why []string
	for _, c := range down {
		cites, names, why = append(cites, c.cite), append(names, c.host), append(why, c.host+": "+c.down)
	}
	p.Report(noneAnswers, cites, checks.A("domain", p.Subject.Name), checks.A("dcs", strings.Join(names, ", ")), checks.A("why", strings.Join(why, "; ")))
}

// reportDown judges those that are down by those that are up. A domain controller that DNS publishes for the
// site of all that answer should answer too; what is in another site, a firewall may rightly keep from us.
func reportDown(p *checks.Pass, down, up []contact) error {
	if len(down) == 0 || len(up) == 0 {
		return nil
	}
	site := up[0].root.Site()
	for _, c := range up {
		if !strings.EqualFold(c.root.Site(), site) {
			site = ""
		}
	}
	if site == "" {
		return evidence.FailAt(evidence.Unreachable, down[0].host+" cannot be reached from here, and which site it is in is not known", down[0].cite)
	}
	q := facts.LookupQuestion{Name: facts.Host("_ldap._tcp." + site + "._sites.dc._msdcs." + p.Subject.Name), Type: "SRV", View: facts.Inside}
	published, err := facts.DNSLookup.Get(p.Facts, q)
	if err != nil {
		return err
	}
	for _, c := range down {
		if !slices.ContainsFunc(published.Records, func(rr facts.Record) bool { return rr.Target == c.host }) {
			err = firstError(err, evidence.FailAt(evidence.Unreachable, c.host+" in another site cannot be reached from here", c.cite))
			continue
		}
		p.Report(ownSiteDCDown, []evidence.Key{c.cite, facts.DNSLookup.Key(q)}, checks.A("dc", c.host), checks.A("site", site),
			checks.A("why", c.down), checks.A("domain", p.Subject.Name))
	}
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
