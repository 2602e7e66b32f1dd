package pki

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	wrongCN = &checks.Message{
		Tag:      "wrong-cn",
		Severity: checks.Error,
		Text:     "the certificate on {endpoint} has the common name {commonName}, not {expected}",
	}
	missingAskedName = &checks.Message{
		Tag:      "missing-asked-name",
		Severity: checks.Critical,
		Text:     "clients of {domain} ask {endpoint} for {name}; its certificate is for {names}",
		Identity: []string{"name", "endpoint"},
		// Only where sign-in leads to a host that is no OCS server: see askedOf.
		ExplainedBy: []string{"dns/sip-host:wrong-address", "dns/sip-tls-srv:wildcard", "dns/sip-tls-srv:final-dot", "dns/sip-internal-tls-srv:final-dot",
			"dns/split-views:inside-leads-out"},
	}
	// The two below are of the server's own certificate, which the checks that explain them judge.
	wildcardOnly = &checks.Message{
		Tag:         "wildcard-only",
		Severity:    checks.Critical,
		Text:        "clients of {domain} ask {endpoint} for {name}; its certificate has that only as a wildcard ({names})",
		Identity:    []string{"name", "endpoint"},
		ExplainedBy: []string{"pki/no-wildcard:wildcard"},
	}
	commonNameOnly = &checks.Message{
		Tag:         "common-name-only",
		Severity:    checks.Critical,
		Text:        "clients of {domain} ask {endpoint} for {name}; its certificate has that as its common name and not among its alternative names ({names})",
		Identity:    []string{"name", "endpoint"},
		ExplainedBy: []string{"pki/san-present:cn-not-in-san"},
	}
	wildcardCN = &checks.Message{
		Tag:         "wildcard-cn",
		Severity:    checks.Error,
		Text:        "the certificate on {endpoint} has the common name {commonName}, not {expected}",
		ExplainedBy: []string{"pki/no-wildcard:wildcard"},
	}
	unusedMissing = &checks.Message{
		Tag:      "unused-missing",
		Severity: checks.Notice,
		Text:     "the certificate on {endpoint} does not carry {name}, which no client of {domain} asks of this server today",
		Identity: []string{"name"},
	}
)

var _ = register(&checks.Check{
	ID:       "pki/server-name",
	Title:    "the certificate of the OCS server carries the names that clients and servers ask for",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.Servers, facts.SIPDomains, facts.Discovery, facts.Addresses, facts.TLSHandshake},
	Messages: []*checks.Message{wrongCN, wildcardCN, missingAskedName, wildcardOnly, commonNameOnly, unusedMissing},
	Run: func(p *checks.Pass) error {
		servers, err := facts.Servers.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		n := &naming{p: p, servers: servers, server: servers.Find(p.Subject.Name), endpoint: facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}}
		if err := n.read(); err != nil {
			return err
		}
		errs := []error{n.judgeCommonName()}
		for _, s := range n.signIns {
			errs = append(errs, n.judgeSignIn(s))
		}
		return errors.Join(errs...)
	},
})

// naming is what is known for judging the names of one server's certificate.
type naming struct {
	p        *checks.Pass
	servers  facts.ServerList
	server   facts.Server
	endpoint facts.Endpoint
	leaf     facts.Certificate
	signIns  []signIn
	// own are the addresses of the server and of its pool; others those of the other servers and their pools, and beside those of
	// servers that are not judged.
	own, others, beside []string
}

// signIn is where automatic sign-in leads the inside clients of a SIP domain.
type signIn struct {
	domain string
	walk   facts.DiscoveryWalk
	key    evidence.Key
}

// sipHost is the name that clients fall back to, and that the certificate wizard adds for each SIP domain.
func (s signIn) sipHost() string { return "sip." + s.domain }

// read reads the certificate, the ways of sign-in and the addresses of all servers side by side.
func (n *naming) read() error {
	r := n.p.Facts
	var handshakeErr, walkErr, addressErr error
	evidence.Parallel(func() {
		var h facts.Handshake
		if h, handshakeErr = handshake(r, n.endpoint); handshakeErr == nil {
			n.leaf = h.Chain[0]
		}
	}, func() {
		var domains facts.Found
		if domains, walkErr = facts.SIPDomains.Get(r, evidence.None{}); walkErr != nil {
			return
		}
		var questions []facts.DiscoveryQuestion
		for _, d := range domains.List {
			questions = append(questions, facts.DiscoveryQuestion{Domain: d, View: facts.Inside})
		}
		walks, errs := evidence.GetAll(r, facts.Discovery, questions)
		for i, w := range walks {
			n.signIns = append(n.signIns, signIn{domains.List[i], w, facts.Discovery.Key(questions[i])})
		}
		walkErr = errors.Join(errs...)
	}, func() {
		addressErr = n.readAddresses()
	})
	return errors.Join(handshakeErr, walkErr, addressErr)
}

func (n *naming) readAddresses() error {
	var hosts []string
	isOwn := map[string]bool{n.server.FQDN: true, n.server.Pool: true}
	add := func(list []facts.Server) {
		for _, s := range list {
			for _, h := range []string{s.FQDN, s.Pool} {
				if h != "" && !slices.Contains(hosts, h) {
					hosts = append(hosts, h)
				}
			}
		}
	}
	add(n.servers.List)
	judged := len(hosts)
	add(n.servers.Beside)
	found, errs := facts.AddressesOf(n.p.Facts, hosts, facts.Inside)
	for i, h := range hosts {
		switch {
		case isOwn[h]:
			n.own = append(n.own, found[i].Addresses...)
		case i < judged:
			n.others = append(n.others, found[i].Addresses...)
		default:
			n.beside = append(n.beside, found[i].Addresses...)
		}
	}
	return errors.Join(errs...)
}

// judgeCommonName compares the common name with the server's FQDN and with its pool's. Where AD does not say
// which pool the server is in, a name that clients are sent to, or that leads to the server, may be the pool's.
func (n *naming) judgeCommonName() error {
	cn := facts.Host(n.leaf.CommonName)
	if cn == n.server.FQDN || n.server.Pool != "" && cn == n.server.Pool {
		return nil
	}
	if n.server.Pool == "" && facts.IsHostName(cn) && !n.isSIPHost(cn) {
		if slices.ContainsFunc(n.signIns, func(s signIn) bool { return s.walk.Host == cn }) {
			return nil
		}
		a, err := facts.Addresses.Get(n.p.Facts, facts.HostQuestion{Host: cn, View: facts.Inside})
		if err != nil {
			return err
		}
		switch {
		case facts.Leads(a.Addresses, n.own):
			return nil
		case len(a.Addresses) > 0:
			return evidence.FailAt(evidence.NotConfigured, "the certificate on "+n.endpoint.String()+" has the common name "+cn+
				", which may be the pool of "+n.server.FQDN+": give --user, so that its pool can be read in AD", n.servers.Cite)
		}
	}
	if n.nameUnknown() {
		return evidence.FailAt(evidence.NotConfigured, "the server behind "+n.server.FQDN+" has a name of its own, which is not known: give --server FQDN", n.servers.Cite)
	}
	msg := wrongCN
	if covers(cn, n.server.FQDN) || n.server.Pool != "" && covers(cn, n.server.Pool) {
		msg = wildcardCN
	}
	n.report(msg, []evidence.Key{facts.TLSHandshake.Key(n.endpoint)}, n.endpoint, n.leaf)
	return nil
}

// nameUnknown tells that the server is only known by the name that clients sign in with.
func (n *naming) nameUnknown() bool { return n.servers.Source == "dns" && n.isSIPHost(n.server.FQDN) }

func (n *naming) isSIPHost(name string) bool {
	return slices.ContainsFunc(n.signIns, func(s signIn) bool { return name == s.sipHost() })
}

// judgeSignIn judges the name that clients of one SIP domain ask for: of this server, and, with the first of the servers, of
// a host that is none of them, such as a load balancer.
func (n *naming) judgeSignIn(s signIn) error {
	host := s.walk.Host
	asked, cites := n.askedOf(s)
	if asked {
		n.judgeName(s, host, n.endpoint, n.leaf, cites)
	}
	if name := s.sipHost(); (!asked || host != name) && !n.leaf.Carries(name) {
		n.report(unusedMissing, cites, n.endpoint, n.leaf, checks.A("domain", s.domain), checks.A("name", name))
	}
	elsewhere := len(s.walk.Addresses) > 0 && !facts.Leads(s.walk.Addresses, n.own) && !facts.Leads(s.walk.Addresses, n.others)
	if !elsewhere || n.servers.List[0] != n.server {
		return nil
	}
	e := facts.Endpoint{Host: host, Port: s.walk.Port}
	h, err := handshake(n.p.Facts, e)
	if err != nil {
		return err
	}
	n.judgeName(s, host, e, h.Chain[0], []evidence.Key{facts.TLSHandshake.Key(e), s.key})
	return nil
}

// askedOf tells whether the clients of a SIP domain ask this server for the host of their sign-in, and which facts say so.
// They do when the host leads here. sip.DOMAIN is asked of the only server there is even while it leads elsewhere (but not to a
// Director or another pool) or nowhere, for it will be once DNS is put right; the walk is not cited then, lest the fault in DNS pass for the reason.
func (n *naming) askedOf(s signIn) (bool, []evidence.Key) {
	key := facts.TLSHandshake.Key(n.endpoint)
	if facts.Leads(s.walk.Addresses, n.own) {
		return true, []evidence.Key{key, s.key}
	}
	return len(n.servers.List) == 1 && s.walk.Host == s.sipHost() && !facts.Leads(s.walk.Addresses, n.beside), []evidence.Key{key}
}

func (n *naming) judgeName(s signIn, name string, e facts.Endpoint, leaf facts.Certificate, cites []evidence.Key) {
	if leaf.Carries(name) {
		return
	}
	msg := missingAskedName
	switch {
	case e != n.endpoint:
	case leaf.Matches(name):
		msg = wildcardOnly
	case facts.Host(leaf.CommonName) == name:
		msg = commonNameOnly
	}
	address := "" // clients that are configured by hand may have one; no certificate of OCS is for it
	if _, err := netip.ParseAddr(name); err == nil {
		address = name
	}
	n.report(msg, cites, e, leaf, checks.A("domain", s.domain), checks.A("name", name), checks.A("address", address))
}

// covers tells whether a name is a wildcard for another.
func covers(pattern, name string) bool {
	parent, ok := strings.CutPrefix(pattern, "*.")
	return ok && parent == facts.Parent(name)
}

// report adds the arguments that every fix uses: the names that the certificate has and those that a new one should have.
func (n *naming) report(m *checks.Message, cites []evidence.Key, e facts.Endpoint, leaf facts.Certificate, args ...checks.Arg) {
	subject := cmp.Or(n.server.Pool, n.server.FQDN)
	expected := subject
	if n.nameUnknown() {
		subject = n.leaf.CommonName
	}
	if n.server.Pool != "" && n.server.Pool != n.server.FQDN {
		expected = n.server.FQDN + " or " + n.server.Pool
	}
	wanted := []string{subject}
	for _, s := range n.signIns {
		names := []string{s.sipHost()}
		if len(s.walk.Addresses) > 0 {
			names = append(names, s.walk.Host)
		}
		for _, name := range names {
			if !slices.Contains(wanted, name) {
				wanted = append(wanted, name)
			}
		}
	}
	n.p.Report(m, cites, append(args, checks.A("endpoint", e), checks.A("host", e.Host), checks.A("server", n.server.FQDN), checks.A("subject", subject),
		checks.A("expected", expected), checks.A("commonName", cmp.Or(leaf.CommonName, "(none)")), checks.A("names", leaf.Names()),
		checks.A("thumbprint", leaf.Thumbprint), checks.A("wanted", strings.Join(wanted, ", ")))...)
}
