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
	hostMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Error,
		Text:     "{host}, seen from {view}, leads nowhere, and {srv} sends clients there: {why}",
		Identity: []string{"view"},
	}
	hostFallbackMissing = &checks.Message{
		Tag:         "fallback-missing",
		Severity:    checks.Error,
		Text:        "{host}, seen from {view}, leads nowhere, and there is no SRV record that would spare clients from asking for it: {why}",
		Identity:    []string{"view"},
		ExplainedBy: []string{"dns/sip-tls-srv:no-discovery"},
	}
	hostDanglingAlias = &checks.Message{
		Tag:      "dangling-alias",
		Severity: checks.Error,
		Text:     "{host}, seen from {view}, is an alias of {target}, which leads nowhere: {why}",
		Identity: []string{"view"},
		// Related by what both cite: the lookup of the target.
		ExplainedBy: []string{"dns/pool-host:missing"},
	}
	hostWrongAddress = &checks.Message{
		Tag:      "wrong-address",
		Severity: checks.Error,
		Text:     "sign-in leads to {host} at {addresses}, which is no address of the OCS servers: {expected}",
	}
	hostUnusedMissing = &checks.Message{
		Tag:      "unused-missing",
		Severity: checks.Notice,
		Text:     "{host}, seen from {view}, leads nowhere; clients of today do not need it",
		Identity: []string{"view"},
	}
)

var _ = register(&checks.Check{
	ID:     "dns/sip-host",
	Title:  "sip.SIP-DOMAIN leads to the server where sign-in depends on it",
	Scope:  checks.ScopeSIPDomain,
	Phases: checks.BothPhases,
	Needs: []evidence.AnyKind{facts.ConfigScope, facts.Discovery, facts.Addresses, facts.Servers, facts.ADDomain, facts.DomainControllers,
		facts.NetConnect, facts.TLSHandshake},
	Messages: []*checks.Message{hostMissing, hostFallbackMissing, hostDanglingAlias, hostWrongAddress, hostUnusedMissing},
	Run: func(p *checks.Pass) error {
		list, err := walks(p)
		if err != nil {
			return err
		}
		for _, w := range list {
			if w.err == nil {
				w.err = judgeSIPHost(p, w)
			}
			err = errors.Join(err, w.err)
		}
		return err
	},
})

// judgeSIPHost judges sip.SIP-DOMAIN in one view.
func judgeSIPHost(p *checks.Pass, w walk) error {
	q := facts.HostQuestion{Host: sipHost(p.Subject.Name), View: w.view}
	host, err := facts.Addresses.Get(p.Facts, q)
	if err != nil {
		return err
	}
	cites := []evidence.Key{addressKey(q.Host, q.View)}
	if len(host.Addresses) > 0 {
		if w.view == facts.Inside && w.Host == q.Host {
			return judgeAddress(p, q.Host, host.Addresses, cites)
		}
		return nil
	}
	if w.Configured && w.Host != q.Host && host.Canonical == q.Host {
		return nil // clients go elsewhere, and never ask for it
	}
	if len(w.Addresses) == 0 {
		cites = append(cites, walkKey(p, w.view))
	}
	args := func(more ...checks.Arg) []checks.Arg {
		server, address := ocsServer(p)
		more = append(more, checks.A("host", q.Host), checks.A("why", host.Absence()), checks.A("server", server), checks.A("address", address))
		return zoneArgs(p, w.view, more...)
	}
	srv := slices.IndexFunc(w.SRV, func(s facts.SRVStep) bool {
		return slices.ContainsFunc(s.Records, func(rr facts.Record) bool { return rr.Target == q.Host })
	})
	switch {
	case host.Canonical != q.Host:
		if _, err := facts.Addresses.Get(p.Facts, facts.HostQuestion{Host: host.Canonical, View: w.view}); err != nil {
			p.Excuse(err, "what the resolver said of the alias shows that its target has no address")
		}
		p.Report(hostDanglingAlias, append(cites, addressKey(host.Canonical, w.view)), args(checks.A("target", host.Canonical))...)
	case srv >= 0:
		p.Report(hostMissing, append(cites, w.SRV[srv].Cite), args(checks.A("srv", w.SRV[srv].Name))...)
	case w.Configured: // dns/sip-tls-srv says so
	case w.By == "":
		p.Report(hostFallbackMissing, append(cites, w.Cites()...), args()...)
	default:
		p.Report(hostUnusedMissing, cites, args()...)
	}
	return nil
}

// judgeAddress compares the addresses that sign-in leads to with those of the OCS servers and their pools.
// Where the servers themselves were only found by following sign-in, there is nothing to compare.
func judgeAddress(p *checks.Pass, host string, addresses []string, cites []evidence.Key) error {
	servers, err := facts.Servers.Get(p.Facts, evidence.None{})
	if err != nil || servers.Source == "dns" {
		return err
	}
	names := serverNames(servers)
	known, errs := facts.AddressesOf(p.Facts, names, facts.Inside)
	var words []string
	for i, name := range names {
		if facts.Leads(addresses, known[i].Addresses) {
			for _, err := range errs {
				p.Excuse(err, "the address was found to be another server's")
			}
			return nil
		}
		if len(known[i].Addresses) > 0 {
			words = append(words, name+" is at "+strings.Join(known[i].Addresses, ", "))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(words) == 0 {
		return evidence.FailAt(evidence.NoTarget, "no address of an OCS server is known: "+strings.Join(names, ", ")+" leads nowhere",
			addressKey(names[0], facts.Inside))
	}
	if !slices.ContainsFunc(servers.List, func(s facts.Server) bool { return s.Pool != "" }) {
		served, err := servesSignIn(p, host)
		if err != nil || served {
			return err
		}
	}
	server, address := ocsServer(p)
	// Only what is wrong is cited, not the servers' own addresses: a fault of a server must not be laid to this record.
	p.Report(hostWrongAddress, cites, zoneArgs(p, facts.Inside, checks.A("host", host), checks.A("addresses", strings.Join(addresses, ", ")),
		checks.A("expected", strings.Join(words, "; ")), checks.A("server", server), checks.A("address", address))...)
	return nil
}

// servesSignIn tells whether what the host leads to takes sign-ins under that name. Where AD was not read the pool is not known,
// and the address may be that of its load balancer or of a Director.
func servesSignIn(p *checks.Pass, host string) (bool, error) {
	e := facts.Endpoint{Host: host, Port: facts.SIPPort}
	c, err := facts.NetConnect.Get(p.Facts, e)
	if err != nil || c.Result != facts.Connected {
		return false, err
	}
	h, err := facts.TLSHandshake.Get(p.Facts, e)
	if err != nil {
		return false, err
	}
	leaf, ok := h.Leaf()
	return ok && leaf.Matches(host), nil
}

// ocsServer names the host that a fix lets sip.SIP-DOMAIN lead to and its IPv4 address; empty where they are
// not known otherwise than by sign-in itself. No finding hangs on it, so that what cannot be read here is excused.
func ocsServer(p *checks.Pass) (name, address string) {
	const why = "it only names the server in the commands of a fix"
	servers, err := facts.Servers.Get(p.Facts, evidence.None{})
	p.Excuse(err, why)
	if err != nil || servers.Source == "dns" || len(servers.List) == 0 {
		return "", ""
	}
	name = servers.List[0].FQDN
	if pool := servers.List[0].Pool; pool != "" {
		name = pool
	}
	a, err := facts.Addresses.Get(p.Facts, facts.HostQuestion{Host: name, View: facts.Inside})
	p.Excuse(err, why)
	return name, firstIPv4(a.Addresses)
}
