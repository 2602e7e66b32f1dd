package dns

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	updatesMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Notice,
		Text:     "{host}, which a phone on which nobody has signed in yet asks for its update server, leads nowhere: {why}",
	}
	updatesElsewhere = &checks.Message{
		Tag:      "elsewhere",
		Severity: checks.Notice,
		Text:     "{host}, where a phone on which nobody has signed in yet looks for updates, is at {addresses}, which is no address of an OCS server or pool",
	}
)

var _ = register(&checks.Check{
	ID:       "dns/phone-updates",
	Title:    "new phones find the server of their updates",
	Scope:    checks.ScopeADDomain,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.ConfigScope, facts.Addresses, facts.Servers, facts.ADDomain, facts.DomainControllers},
	Messages: []*checks.Message{updatesMissing, updatesElsewhere},
	Run: func(p *checks.Pass) error {
		q := facts.HostQuestion{Host: "ucupdates-r2." + p.Subject.Name, View: facts.Inside}
		a, err := facts.Addresses.Get(p.Facts, q)
		if err != nil {
			return err
		}
		cites := []evidence.Key{addressKey(q.Host, q.View)}
		args := func(more ...checks.Arg) []checks.Arg {
			server, address := ocsServer(p)
			return zoneArgs(p, facts.Inside, append(more, checks.A("host", q.Host), checks.A("server", server), checks.A("address", address))...)
		}
		if len(a.Addresses) == 0 {
			p.Report(updatesMissing, cites, args(checks.A("why", a.Absence()))...)
			return nil
		}
		own, err := ownAddresses(p)
		if err == nil && len(own) > 0 && !facts.Leads(own, a.Addresses) {
			p.Report(updatesElsewhere, cites, args(checks.A("addresses", facts.Few(a.Addresses, ", ", maxNamed)))...)
		}
		return err
	},
})
