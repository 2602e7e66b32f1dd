package net

import (
	"errors"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// wrongHost explains that a port is closed where sign-in leads to another machine than the server.
// It is related by what both cite, so that it never explains the server's own port.
var wrongHost = []string{"dns/sip-host:wrong-address", "dns/sip-tls-srv:wildcard", "dns/sip-tls-srv:final-dot", "dns/sip-internal-tls-srv:final-dot",
	"dns/split-views:inside-leads-out"}

// frontEndDown explains that nothing listens on the server: the service that would does not run.
var frontEndDown = []string{"service/front-end:stopped", "service/front-end:logon-failed", "service/front-end:evaluation-expired",
	"service/front-end:database-mismatch", "service/front-end:no-certificate", "service/front-end:pending", "service/front-end:disabled", "service/front-end:missing",
	"setup/ocs-installed:not-installed"}

// noCertificate explains that the Front-End service takes no TLS connections: it does not find its certificate, or the private key of that.
var noCertificate = []string{"pki/private-key", "pki/assigned-certificate:assigned-not-in-store"}

var (
	refused = &checks.Message{
		Tag:         "refused",
		Severity:    checks.Critical,
		Text:        "{endpoint} refuses the connection: the host is up and nothing listens on the port, or a firewall rejects it",
		Identity:    []string{"endpoint"},
		ExplainedBy: slices.Concat(wrongHost, frontEndDown, noCertificate),
	}
	noAnswer = &checks.Message{
		Tag:         "no-answer",
		Severity:    checks.Critical,
		Text:        "{endpoint} does not answer ({result} at {address}): the host is down, or a firewall stands between",
		Identity:    []string{"endpoint"},
		ExplainedBy: slices.Concat(wrongHost, []string{"host/firewall:no-rules"}),
	}
	deadAddress = &checks.Message{
		Tag:      "dead-address",
		Severity: checks.Warning,
		Text:     "{endpoint} leads to several addresses: it takes connections at {address}, and not at {dead}",
		Identity: []string{"endpoint"},
	}
)

var _ = register(&checks.Check{
	ID:       "net/sip-port",
	Title:    "the OCS server accepts connections on the SIP port 5061",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.NetConnect, facts.SIPDomains, facts.Servers, facts.Discovery, facts.Addresses},
	Messages: []*checks.Message{refused, noAnswer, deadAddress},
	Run:      func(p *checks.Pass) error { return onSIPPorts(p, judge) },
})

// judge connects to an endpoint. The facts cited are those beside the connect by which the endpoint was found.
func judge(p *checks.Pass, e facts.Endpoint, cites ...evidence.Key) error {
	c, err := facts.NetConnect.Get(p.Facts, e)
	if err != nil || c.Result == facts.Connected && len(c.Dead) == 0 {
		return err
	}
	address := e.Host
	if n := len(c.Addresses); n > 0 {
		address = c.Addresses[n-1]
	}
	msg := noAnswer
	switch c.Result {
	case facts.Refused:
		msg = refused
	case facts.Connected:
		msg = deadAddress
	}
	p.Report(msg, append([]evidence.Key{facts.NetConnect.Key(e)}, cites...), checks.A("endpoint", e), checks.A("result", c.Result),
		checks.A("address", address), checks.A("host", e.Host), checks.A("server", p.Subject.Name), checks.A("port", e.Port),
		checks.A("dead", facts.Few(c.Dead, ", ", maxDead)))
	return nil
}

// onSIPPorts judges the port 5061 of the server and of each of the hosts of signInHosts side by side.
func onSIPPorts(p *checks.Pass, judge func(*checks.Pass, facts.Endpoint, ...evidence.Key) error) error {
	var ownErr, hostsErr error
	var errs []error
	evidence.Parallel(func() {
		ownErr = judge(p, facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort})
	}, func() {
		var hosts []string
		hosts, hostsErr = signInHosts(p)
		errs = make([]error, len(hosts))
		var fns []func()
		for i, h := range hosts {
			fns = append(fns, func() {
				q := facts.LookupQuestion{Name: h, Type: "A", View: facts.Inside}
				errs[i] = judge(p, facts.Endpoint{Host: h, Port: facts.SIPPort}, facts.DNSLookup.Key(q))
			})
		}
		evidence.Parallel(fns...)
	})
	return errors.Join(append(append([]error{ownErr}, errs...), hostsErr)...)
}

// maxDead is how many addresses a text lists.
const maxDead = 5

// signInHosts are the hosts on port 5061 that sign-in leads to and that are none of the OCS servers, such as
// the address of a load balancer, or that have an address beside the servers'. They belong to the deployment and are judged with its first server.
func signInHosts(p *checks.Pass) ([]string, error) {
	domains, err := facts.SIPDomains.Get(p.Facts, evidence.None{})
	var f *evidence.Failure
	if errors.As(err, &f) && f.Reason == evidence.NotConfigured {
		p.Excuse(err, "without a SIP domain there is no sign-in to follow: the server's own port is all there is to judge")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	servers, err := facts.Servers.Get(p.Facts, evidence.None{})
	if err != nil {
		return nil, err
	}
	if len(servers.List) == 0 || servers.List[0].FQDN != p.Subject.Name {
		return nil, nil
	}
	taken, err := serverAddresses(p, servers.List)
	if err != nil {
		return nil, err
	}
	var questions []facts.DiscoveryQuestion
	for _, d := range domains.List {
		questions = append(questions, facts.DiscoveryQuestion{Domain: d, View: facts.Inside})
	}
	walks, errs := evidence.GetAll(p.Facts, facts.Discovery, questions)
	var hosts []string
	for _, w := range walks {
		foreign := slices.ContainsFunc(w.Addresses, func(a string) bool { return !slices.Contains(taken, a) })
		if w.Port == facts.SIPPort && foreign && !slices.Contains(hosts, w.Host) {
			hosts = append(hosts, w.Host)
		}
	}
	return hosts, errors.Join(errs...)
}

// serverAddresses are the addresses of all OCS servers.
func serverAddresses(p *checks.Pass, servers []facts.Server) ([]string, error) {
	var names []string
	for _, s := range servers {
		names = append(names, s.FQDN)
	}
	found, errs := facts.AddressesOf(p.Facts, names, facts.Inside)
	var out []string
	for _, a := range found {
		out = append(out, a.Addresses...)
	}
	return out, errors.Join(errs...)
}
