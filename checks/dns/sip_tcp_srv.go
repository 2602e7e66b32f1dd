package dns

import (
	"errors"
	"fmt"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	tcpInternal = &checks.Message{
		Tag:      "internal-broken",
		Severity: checks.Warning,
		Text:     "{name} sends clients that may use SIP without TLS to port {port} of {target}: {why}",
		Identity: []string{"target"},
	}
	tcpOthers = &checks.Message{
		Tag:      "broken",
		Severity: checks.Notice,
		Text:     "{name}, which clients other than Communicator 2007 R2 ask for, leads to port {port} of {target}: {why}",
		Identity: []string{"target"},
	}
)

var _ = register(&checks.Check{
	ID:       "dns/sip-tcp-srv",
	Title:    "an SRV record for SIP without TLS leads to a server that listens on port 5060",
	Scope:    checks.ScopeSIPDomain,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.ConfigScope, facts.DNSLookup, facts.Addresses, facts.NetConnect, facts.ADDomain, facts.DomainControllers},
	Messages: []*checks.Message{tcpInternal, tcpOthers},
	Run: func(p *checks.Pass) error {
		var internalErr, othersErr error
		evidence.Parallel(
			func() { internalErr = judgeTCP(p, "_sipinternal._tcp", tcpInternal) },
			func() { othersErr = judgeTCP(p, "_sip._tcp", tcpOthers) },
		)
		return errors.Join(internalErr, othersErr)
	},
})

// judgeTCP judges the records of one service. A target "." says on purpose that there is none (RFC 2782).
func judgeTCP(p *checks.Pass, service string, m *checks.Message) error {
	q := facts.LookupQuestion{Name: facts.SRVName(service, p.Subject.Name), Type: "SRV", View: facts.Inside}
	found, err := facts.DNSLookup.Get(p.Facts, q)
	if err != nil {
		return err
	}
	for _, rr := range found.Records {
		if rr.Target == "" {
			continue
		}
		why, cite, readErr := tcpDefect(p, rr)
		err = errors.Join(err, readErr)
		if why != "" {
			p.Report(m, []evidence.Key{facts.DNSLookup.Key(q), cite}, zoneArgs(p, facts.Inside, checks.A("name", q.Name), checks.A("target", rr.Target),
				checks.A("port", rr.Port), checks.A("why", why))...)
		}
	}
	return err
}

// tcpDefect says why a record leads to no server that takes SIP without TLS, and the fact that shows it.
func tcpDefect(p *checks.Pass, rr facts.Record) (why string, cite evidence.Key, err error) {
	cite = addressKey(rr.Target, facts.Inside)
	a, err := facts.Addresses.Get(p.Facts, facts.HostQuestion{Host: rr.Target, View: facts.Inside})
	switch {
	case err != nil:
		return "", cite, err
	case len(a.Addresses) == 0:
		return a.Absence(), cite, nil
	case rr.Port != facts.SIPTCPPort:
		return fmt.Sprintf("SIP without TLS is on port %d", facts.SIPTCPPort), cite, nil
	}
	e := facts.Endpoint{Host: rr.Target, Port: rr.Port}
	c, err := facts.NetConnect.Get(p.Facts, e)
	switch {
	case err != nil || c.Result == facts.Connected:
		return "", cite, err
	case c.Result == facts.Refused:
		return "the connection is refused, as is usual: a server listens there only when it was told to", facts.NetConnect.Key(e), nil
	}
	return "it does not answer", facts.NetConnect.Key(e), nil
}
