package pki

import (
	"errors"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var cwaMissing = &checks.Message{
	Tag:      "missing",
	Severity: checks.Notice,
	Text:     "DNS leads {missing} to {server}, and the certificate on {endpoint} does not carry that: it is for {names}",
}

var _ = register(&checks.Check{
	ID:       "pki/san-cwa",
	Title:    "the certificate of the web server carries the names of Communicator Web Access that lead to it",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.SIPDomains, facts.Addresses, facts.NetConnect, facts.TLSHandshake},
	Messages: []*checks.Message{cwaMissing},
	Run: func(p *checks.Pass) error {
		asked, err := cwaNames(p)
		if err != nil {
			return err
		}
		if len(asked) == 0 {
			return checks.NotApplicable("no name of Communicator Web Access leads to " + p.Subject.Name)
		}
		e := facts.Endpoint{Host: p.Subject.Name, Port: webPort}
		c, err := facts.NetConnect.Get(p.Facts, e)
		if err != nil {
			return err
		}
		if c.Result != facts.Connected {
			return checks.NotApplicable(e.String() + " takes no connection")
		}
		h, err := handshake(p.Facts, e)
		if err != nil {
			return err
		}
		var missing []string
		for _, name := range asked {
			if !h.Chain[0].Matches(name) {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			p.Report(cwaMissing, []evidence.Key{facts.TLSHandshake.Key(e), facts.Addresses.Key(facts.HostQuestion{Host: missing[0], View: facts.Inside})},
				checks.A("server", p.Subject.Name), checks.A("endpoint", e), checks.A("missing", listed(missing)), checks.A("names", h.Chain[0].Names()),
				checks.A("all", strings.Join(asked, ", ")))
		}
		return nil
	},
})

// cwaNames are the names under which browsers come to Communicator Web Access, as far as DNS leads them to the server: of the site itself, and
// of the two by which it shares desktops.
func cwaNames(p *checks.Pass) ([]string, error) {
	domains, err := facts.SIPDomains.Get(p.Facts, evidence.None{})
	if err != nil {
		return nil, err
	}
	hosts := []string{p.Subject.Name}
	for _, d := range domains.List {
		hosts = append(hosts, "cwa."+d, "as.cwa."+d, "download.cwa."+d)
	}
	found, errs := facts.AddressesOf(p.Facts, hosts, facts.Inside)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var names []string
	for i, a := range found[1:] {
		if facts.Leads(a.Addresses, found[0].Addresses) {
			names = append(names, hosts[i+1])
		}
	}
	return names, nil
}
