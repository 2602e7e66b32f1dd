package iis

import (
	"errors"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// webPort is where clients fetch the address book and expand distribution lists.
const webPort = 443

var (
	refused = &checks.Message{
		Tag:         "refused",
		Severity:    checks.Error,
		Text:        "{endpoint} refuses the connection: nothing listens on the HTTPS port, or a firewall rejects it",
		ExplainedBy: []string{"iis/binding-443:no-binding", "iis/binding-443:other-address", "setup/ocs-installed:not-installed"},
	}
	noAnswer = &checks.Message{
		Tag:      "no-answer",
		Severity: checks.Error,
		Text:     "{endpoint} does not answer ({result} at {address}), though the server is reached on port 5061: a firewall stands between",
	}
	hostSilent = &checks.Message{
		Tag:         "host-silent",
		Severity:    checks.Error,
		Text:        "{endpoint} does not answer ({result} at {address}), and neither does port 5061 of the server",
		ExplainedBy: []string{"net/sip-port:no-answer"},
	}
	noHandshake = &checks.Message{
		Tag:      "no-handshake",
		Severity: checks.Error,
		Text:     "{endpoint} accepts the connection and completes no TLS handshake: {problem}",
		// Besides its own binding: IIS speaks TLS through the same Schannel.
		ExplainedBy: []string{"host/schannel-protocols:tls10-disabled", "host/schannel-protocols:no-cipher",
			"iis/binding-certificate:no-certificate", "iis/binding-certificate:not-in-store", "pki/private-key"},
	}
	nameMismatch = &checks.Message{
		Tag:         "name-mismatch",
		Severity:    checks.Error,
		Text:        "the certificate on {endpoint} is for {names} and not for {expected}",
		ExplainedBy: []string{"iis/binding-443:no-binding", "iis/binding-443:other-address"},
	}
	commonNameOnly = &checks.Message{
		Tag:         "common-name-only",
		Severity:    checks.Error,
		Text:        "the certificate on {endpoint} has {commonName} as its common name and not among its alternative names ({names})",
		ExplainedBy: []string{"pki/san-present:cn-not-in-san"},
	}
)

var _ = register(&checks.Check{
	ID:       "iis/https-443",
	Title:    "the web server answers on HTTPS with a certificate for the OCS server or its pool",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.Servers, facts.SIPDomains, facts.Addresses, facts.NetConnect, facts.TLSHandshake},
	Messages: []*checks.Message{refused, noAnswer, hostSilent, noHandshake, nameMismatch, commonNameOnly},
	Run: func(p *checks.Pass) error {
		e := facts.Endpoint{Host: p.Subject.Name, Port: webPort}
		c, err := facts.NetConnect.Get(p.Facts, e)
		if err != nil {
			return err
		}
		if c.Result != facts.Connected {
			return judgeConnect(p, e, c)
		}
		return judgeHandshake(p, e)
	},
})

// judgeConnect reports a port that does not open. Silence is the port's own only when the server is not silent altogether.
func judgeConnect(p *checks.Pass, e facts.Endpoint, c facts.Connect) error {
	msg, cites := refused, []evidence.Key{facts.NetConnect.Key(e)}
	if c.Result != facts.Refused {
		sip := facts.Endpoint{Host: e.Host, Port: facts.SIPPort}
		other, err := facts.NetConnect.Get(p.Facts, sip)
		if err != nil {
			return err
		}
		msg, cites = noAnswer, append(cites, facts.NetConnect.Key(sip))
		if other.Result != facts.Connected && other.Result != facts.Refused {
			msg = hostSilent
		}
	}
	address := e.Host
	if n := len(c.Addresses); n > 0 {
		address = c.Addresses[n-1]
	}
	p.Report(msg, cites, checks.A("endpoint", e), checks.A("server", e.Host), checks.A("result", c.Result), checks.A("address", address))
	return nil
}

func judgeHandshake(p *checks.Pass, e facts.Endpoint) error {
	h, err := facts.TLSHandshake.Get(p.Facts, e)
	if err != nil {
		return err
	}
	key := facts.TLSHandshake.Key(e)
	if !h.Completed {
		p.Report(noHandshake, []evidence.Key{key}, checks.A("endpoint", e), checks.A("server", e.Host), checks.A("problem", h.Problem()))
		return nil
	}
	leaf, ok := h.Leaf()
	if !ok {
		return evidence.FailAt(evidence.Protocol, "the certificate on "+e.String()+" cannot be read", key)
	}
	return judgeNames(p, e, leaf)
}

// judgeNames compares the certificate with the server's FQDN and with that of its pool, which is the web name of an
// Enterprise pool. A server that is only known by the name that clients sign in with has another name of its own.
func judgeNames(p *checks.Pass, e facts.Endpoint, leaf facts.Certificate) error {
	servers, err := facts.Servers.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	server := servers.Find(e.Host)
	expected := server.FQDN
	if server.Pool != "" && server.Pool != server.FQDN {
		expected += " or " + server.Pool
	}
	if leaf.Matches(server.FQDN) || server.Pool != "" && leaf.Matches(server.Pool) {
		return nil
	}
	key := facts.TLSHandshake.Key(e)
	args := []checks.Arg{
		checks.A("endpoint", e), checks.A("server", e.Host), checks.A("expected", expected), checks.A("names", leaf.Names()),
		checks.A("commonName", leaf.CommonName), checks.A("thumbprint", leaf.Thumbprint),
	}
	if cn := facts.Host(leaf.CommonName); cn == server.FQDN || server.Pool != "" && cn == server.Pool {
		p.Report(commonNameOnly, []evidence.Key{key}, args...)
		return nil
	}
	if servers.Source == "dns" {
		domains, err := facts.SIPDomains.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(domains.List, func(d string) bool { return server.FQDN == "sip."+d }) {
			return evidence.FailAt(evidence.NotConfigured,
				"the server behind "+server.FQDN+" has a name of its own, which is not known: give --server FQDN", servers.Cite)
		}
	}
	if server.Pool == "" {
		may, err := mayBePool(p, leaf)
		if err != nil {
			return err
		}
		if may {
			return evidence.FailAt(evidence.NotConfigured, "the certificate on "+e.String()+" is for "+leaf.Names()+
				", which may be the pool of "+server.FQDN+": give --user, so that its pool can be read in AD", servers.Cite)
		}
	}
	p.Report(nameMismatch, []evidence.Key{key}, args...)
	return nil
}

// maxNames bounds how many names of a certificate are looked up.
const maxNames = 16

// mayBePool tells whether a name of the certificate leads somewhere: where AD was not read the pool is not known, and any
// host of the network may be its name on a load balancer.
func mayBePool(p *checks.Pass, leaf facts.Certificate) (bool, error) {
	names := leaf.DNSNames
	if len(names) == 0 {
		names = []string{leaf.CommonName}
	}
	var hosts []string
	for _, n := range names[:min(len(names), maxNames)] {
		if n = facts.Host(n); facts.IsHostName(n) {
			hosts = append(hosts, n)
		}
	}
	found, errs := facts.AddressesOf(p.Facts, hosts, facts.Inside)
	return slices.ContainsFunc(found, func(a facts.HostAddresses) bool { return len(a.Addresses) > 0 }), errors.Join(errs...)
}
