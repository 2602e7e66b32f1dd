package dns

import (
	"errors"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	serverSilent = &checks.Message{
		Tag:      "silent",
		Severity: checks.Error,
		Text:     "the DNS server {server} ({resolver}) does not answer: {why}",
		// Related by the connect to the domain controller that the DNS server is, where it is one.
		ExplainedBy: []string{"ad/dc-reachable:own-site-dc-down", "ad/dc-reachable:none-answers"},
	}
	serverRefuses = &checks.Message{
		Tag:      "refused",
		Severity: checks.Error,
		Text:     "the DNS server {server} ({resolver}) does not serve {domains}: {why}",
	}
	serversDisagree = &checks.Message{
		Tag:      "disagrees",
		Severity: checks.Warning,
		Text:     "the DNS server {server} ({resolver}) says something else of {domain} than {reference} ({first}) does: {names}",
		Identity: []string{"domain"},
		// When the server that is asked first is the one that is wrong, its record is reported by these.
		ExplainedBy: []string{"dns/sip-tls-srv", "dns/sip-internal-tls-srv", "dns/sip-host"},
	}
)

var _ = register(&checks.Check{
	ID:       "dns/server-answers",
	Title:    "every DNS server answers for the AD domain and the SIP domains, and says the same",
	Scope:    checks.ScopeResolver,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.ConfigScope, facts.ADDomain, facts.SIPDomains, facts.DNSAnswer, facts.DNSLookup, facts.DomainControllers, facts.Addresses, facts.NetConnect},
	Messages: []*checks.Message{serverSilent, serverRefuses, serversDisagree},
	Run: func(p *checks.Pass) error {
		scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(scope.Resolvers, func(r facts.Resolver) bool { return r.ID == p.Subject.Name })
		if i < 0 {
			return evidence.FailAt(evidence.NoTarget, "no DNS server "+p.Subject.Name+" is given", facts.ConfigScope.Key(evidence.None{}))
		}
		s := server{p: p, scope: scope, resolver: scope.Resolvers[i]}
		served, err := s.ask()
		err = errors.Join(err, s.silence(served))
		s.report(served)
		var fns []func()
		errs := make([]error, len(served))
		for i, d := range served {
			if d.sip && d.fault == "" {
				fns = append(fns, func() { errs[i] = s.compare(d.name) })
			}
		}
		evidence.Parallel(fns...)
		return errors.Join(append(errs, err)...)
	},
})

// server is the DNS server that is judged.
type server struct {
	p        *checks.Pass
	scope    facts.Scope
	resolver facts.Resolver
}

// service is how the server answers for one domain.
type service struct {
	name string
	sip  bool
	// silent tells why nothing came, if nothing did; fault what came instead of yes or no; cites show it.
	silent *evidence.Failure
	fault  string
	cites  []evidence.Key
}

// ask asks for the names of each domain that are asked of the server: by members of the AD domain inside, by Communicator in both views.
func (s server) ask() ([]service, error) {
	var list []service
	var adErr error
	if s.resolver.View == facts.Inside {
		var ad facts.Found
		ad, adErr = facts.ADDomain.Get(s.p.Facts, evidence.None{})
		for _, d := range ad.List {
			list = append(list, service{name: d})
		}
	}
	sip, sipErr := facts.SIPDomains.Get(s.p.Facts, evidence.None{})
	for _, d := range sip.List {
		list = append(list, service{name: d, sip: true})
	}
	if len(list) > 0 {
		for _, err := range []error{adErr, sipErr} {
			if notConfigured(err) {
				s.p.Excuse(err, "the server is judged by the domains that are known")
			}
		}
	}
	errs := make([]error, len(list))
	var fns []func()
	for i := range list {
		fns = append(fns, func() { errs[i] = s.serves(&list[i]) })
	}
	evidence.Parallel(fns...)
	for _, err := range []error{adErr, sipErr} {
		if !notConfigured(err) || len(list) == 0 {
			errs = append(errs, err)
		}
	}
	return list, errors.Join(errs...)
}

func notConfigured(err error) bool {
	var f *evidence.Failure
	return errors.As(err, &f) && f.Reason == evidence.NotConfigured
}

// serves asks the names of one domain. A server that has one of the records serves it, whatever it says of the other names: it may hold
// zones for single names only (pin-point zones).
func (s server) serves(d *service) error {
	srv, hosts := []string{"_ldap._tcp.dc._msdcs." + d.name}, []string(nil)
	if d.sip {
		srv, hosts = facts.DiscoveryNames(d.name)
	}
	found, err := s.answered(d, "SRV", srv)
	if err != nil || found || len(hosts) == 0 {
		return err
	}
	_, err = s.answered(d, "A", hosts)
	return err
}

// answered asks names and tells whether one of them has a record, which makes up for what was wrong with others.
func (s server) answered(d *service, typ string, names []string) (found bool, err error) {
	var questions []facts.DNSQuestion
	for _, name := range names {
		questions = append(questions, facts.DNSQuestion{Server: s.resolver.ID, Name: facts.Host(name), Type: typ})
	}
	said, errs := evidence.GetAll(s.p.Facts, facts.DNSAnswer, questions)
	for i, a := range said {
		if len(a.Records) > 0 && errs[i] == nil {
			found = true
		}
	}
	for i, a := range said {
		key := facts.DNSAnswer.Key(questions[i])
		var f *evidence.Failure
		switch {
		case errors.As(errs[i], &f) && f.Root != evidence.RunEnded && (f.Reason == evidence.Timeout || f.Reason == evidence.Unreachable):
			d.silent, d.fault, d.cites = f, f.Detail, append(d.cites, key, f.Root)
		case errs[i] != nil:
			err = errors.Join(err, errs[i])
		case !answers(a) && d.silent == nil:
			d.fault, d.cites = "it answers "+a.Rcode+" for "+questions[i].Name, append(d.cites, key)
		}
	}
	if found {
		if d.silent != nil {
			s.p.Excuse(d.silent, "the server answers for another name of the domain")
		}
		d.silent, d.fault, d.cites = nil, "", nil
	}
	return found, err
}

// silence is a finding where another server answers. Where none does, the fault may be as well the network of the machine that asks: then
// the answer is not known, and no domain is reported silent.
func (s server) silence(served []service) error {
	var lost error
	i := slices.IndexFunc(served, func(d service) bool { return d.silent != nil })
	if i < 0 {
		return nil
	}
	var questions []facts.DNSQuestion
	for _, r := range s.scope.Resolvers {
		if r.ID != s.resolver.ID {
			questions = append(questions, facts.DNSQuestion{Server: r.ID, Name: "_ldap._tcp.dc._msdcs." + served[i].name, Type: "SRV"})
		}
	}
	_, errs := evidence.GetAll(s.p.Facts, facts.DNSAnswer, questions)
	another := slices.Contains(errs, nil)
	for _, err := range errs {
		s.p.Excuse(err, "it only tells whether another server answers")
	}
	for i, d := range served {
		switch {
		case d.silent == nil:
		case another:
			s.p.Excuse(d.silent, "that the server does not answer is what was to be found out")
		default:
			lost = errors.Join(lost, d.silent)
			served[i].silent, served[i].fault = nil, ""
		}
	}
	return lost
}

// report reports a silent server once, and one that does not serve some domains once.
func (s server) report(served []service) {
	var silent, refusing service
	var domains []string
	for _, d := range served {
		switch {
		case d.silent != nil:
			silent.fault, silent.cites = d.fault, append(silent.cites, d.cites...)
		case d.fault != "":
			domains = append(domains, d.name)
			refusing.fault, refusing.cites = d.fault, append(refusing.cites, d.cites...)
		}
	}
	args := func(more ...checks.Arg) []checks.Arg {
		address, _ := facts.SplitHostPort(s.resolver.Address, 0)
		return append(more, checks.A("resolver", s.resolver.ID), checks.A("view", s.resolver.View), checks.A("server", serverWords(s.p, s.resolver)),
			checks.A("address", address))
	}
	if silent.fault != "" {
		s.p.Report(serverSilent, append(distinctKeys(silent.cites), s.host()...), args(checks.A("why", silent.fault))...)
	}
	if len(domains) > 0 {
		s.p.Report(serverRefuses, distinctKeys(refusing.cites), args(checks.A("why", refusing.fault), checks.A("domains", facts.Few(domains, ", ", maxNamed)),
			checks.A("domain", domains[0]))...)
	}
}

// host is the fact that shows the domain controller down which the silent server is; none where it is up, or none.
func (s server) host() []evidence.Key {
	dc := controllerAt(s.p, s.resolver)
	if dc == "" {
		return nil
	}
	const ldapPort = 389
	e := facts.Endpoint{Host: dc, Port: ldapPort}
	c, err := facts.NetConnect.Get(s.p.Facts, e)
	s.p.Excuse(err, "it only tells whether the host is down as a whole")
	if err != nil || c.Result == facts.Connected {
		return nil
	}
	return []evidence.Key{facts.NetConnect.Key(e)}
}

// serverWords names a resolver in a sentence: the domain controller that it is, and its address.
func serverWords(p *checks.Pass, r facts.Resolver) string {
	address, _ := facts.SplitHostPort(r.Address, 0)
	if r.View == facts.Inside {
		if host := controllerAt(p, r); host != "" && host != address {
			return host + " at " + address
		}
	}
	return "at " + address
}

// compare compares what the server says of the names of the sign-in with what the first server of its view that answers says.
func (s server) compare(domain string) error {
	srv, hosts := facts.DiscoveryNames(domain)
	var questions []facts.LookupQuestion
	for _, name := range srv {
		questions = append(questions, facts.LookupQuestion{Name: name, Type: "SRV", View: s.resolver.View})
	}
	for _, name := range hosts {
		questions = append(questions, facts.LookupQuestion{Name: name, Type: "A", View: s.resolver.View})
	}
	found, errs := evidence.GetAll(s.p.Facts, facts.DNSLookup, questions)
	var names []string
	var cites []evidence.Key
	var other string
	var err error
	for i, q := range questions {
		var f *evidence.Failure
		switch {
		case errors.As(errs[i], &f) && (f.Reason == evidence.Denied || f.Reason == evidence.Protocol):
			s.p.Excuse(f, "no server of the view answers for the name: there is nothing to compare")
			continue
		case errs[i] != nil || found[i].Server == s.resolver.ID:
			err = errors.Join(err, errs[i])
			continue
		}
		mine, theirs := facts.DNSQuestion{Server: s.resolver.ID, Name: q.Name, Type: q.Type}, facts.DNSQuestion{Server: found[i].Server, Name: q.Name, Type: q.Type}
		both, readErrs := evidence.GetAll(s.p.Facts, facts.DNSAnswer, []facts.DNSQuestion{mine, theirs})
		if readErr := errors.Join(readErrs...); readErr != nil {
			err = errors.Join(err, readErr)
			continue
		}
		if answers(both[0]) && !slices.Equal(ownRecords(both[0], q.Name), ownRecords(both[1], q.Name)) {
			other, names = found[i].Server, append(names, q.Name)
			cites = append(cites, facts.DNSLookup.Key(q), facts.DNSAnswer.Key(mine), facts.DNSAnswer.Key(theirs))
		}
	}
	if len(names) > 0 {
		first := s.scope.Resolvers[slices.IndexFunc(s.scope.Resolvers, func(r facts.Resolver) bool { return r.ID == other })]
		address, _ := facts.SplitHostPort(s.resolver.Address, 0)
		firstAddress, _ := facts.SplitHostPort(first.Address, 0)
		s.p.Report(serversDisagree, cites, checks.A("resolver", s.resolver.ID), checks.A("view", s.resolver.View), checks.A("first", other), checks.A("domain", domain),
			checks.A("server", serverWords(s.p, s.resolver)), checks.A("reference", serverWords(s.p, first)), checks.A("address", address),
			checks.A("firstAddress", firstAddress), checks.A("names", facts.Few(names, ", ", maxNamed)), checks.A("name", names[0]))
	}
	return err
}

// answers tells whether a response says yes or no: the two codes that a resolver may give for a name that it serves (RFC 1035, section 4.1.1).
func answers(a facts.DNSAnswerData) bool { return a.Rcode == "NOERROR" || a.Rcode == "NXDOMAIN" }

// ownRecords are the records of the name itself, without their time to live: what an alias leads to need not be known to both servers.
func ownRecords(a facts.DNSAnswerData, name string) []facts.Record {
	var out []facts.Record
	for _, rr := range a.Records {
		if rr.Name == name {
			rr.TTL = 0
			out = append(out, rr)
		}
	}
	return out
}
