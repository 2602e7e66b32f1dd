package dns

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// walk is the sign-in discovery of the subject in one view.
type walk struct {
	facts.DiscoveryWalk
	view string
	err  error
}

// walks reads the discovery of a SIP domain inside, and outside too when a resolver there is configured.
func walks(p *checks.Pass) ([]walk, error) {
	scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
	if err != nil {
		return nil, err
	}
	list := []walk{{view: facts.Inside}}
	if len(scope.View(facts.Outside)) > 0 {
		list = append(list, walk{view: facts.Outside})
	}
	var fns []func()
	for i := range list {
		w := &list[i]
		fns = append(fns, func() {
			w.DiscoveryWalk, w.err = facts.Discovery.Get(p.Facts, facts.DiscoveryQuestion{Domain: p.Subject.Name, View: w.view})
		})
	}
	evidence.Parallel(fns...)
	return list, nil
}

// byHand is why there is nothing to judge of records that no client asks for.
const byHand = "the clients are configured by hand (--manual)"

// hasSRV tells whether the client finds any SRV record, and so never asks for the fall-back host names.
func hasSRV(w facts.DiscoveryWalk) bool {
	return slices.ContainsFunc(w.SRV, func(s facts.SRVStep) bool { return len(s.Records) > 0 })
}

// sipHost is the conventional sign-in host name of a SIP domain, and the one fall-back that leads inside and outside.
func sipHost(domain string) string { return "sip." + domain }

// addressKey is the fact to cite about where a host leads. What cannot be asked of a host without an address has it as its root.
func addressKey(host, view string) evidence.Key {
	return facts.DNSLookup.Key(facts.LookupQuestion{Name: host, Type: "A", View: view})
}

// walkKey is the fact to cite when the discovery of a view leads to no server: what would be asked of that server has it as its root.
func walkKey(p *checks.Pass, view string) evidence.Key {
	return facts.Discovery.Key(facts.DiscoveryQuestion{Domain: p.Subject.Name, View: view})
}

// expectedPorts are where a client of a view may be sent over TLS: the front end inside, the Access Edge outside.
func expectedPorts(view string) []int {
	if view == facts.Outside {
		return []int{443, facts.SIPPort}
	}
	return []int{facts.SIPPort}
}

// portWords is the list of ports as a sentence shows it.
func portWords(ports []int) string {
	var words []string
	for _, n := range ports {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, " or ")
}

// defect is what keeps one SRV record from leading a client to a server.
type defect struct {
	kind   defectKind
	record facts.Record
	// absence says why an unresolvable target leads nowhere.
	absence string
	cites   []evidence.Key
}

type defectKind int

const (
	wrongPort defectKind = iota
	noTarget
	unresolvable
	finalDot
)

// defects judges the records of one SRV name that a client tries first: those of the lowest priority, of
// which it takes any (RFC 2782).
func defects(p *checks.Pass, step facts.SRVStep, view string) ([]defect, error) {
	r, domain := p.Facts, p.Subject.Name
	var first []facts.Record
	for _, rr := range step.Records {
		if rr.Priority == step.Records[0].Priority {
			first = append(first, rr)
		}
	}
	targets := make([]facts.HostAddresses, len(first))
	errs := make([]error, len(first))
	var fns []func()
	for i, rr := range first {
		if rr.Target != "" {
			fns = append(fns, func() {
				targets[i], errs[i] = facts.Addresses.Get(r, facts.HostQuestion{Host: rr.Target, View: view})
			})
		}
	}
	evidence.Parallel(fns...)
	var out []defect
	var err error
	for i, rr := range first {
		switch {
		case rr.Target == "":
			out = append(out, defect{kind: noTarget, record: rr, cites: []evidence.Key{step.Cite}})
			continue
		case errs[i] != nil:
			err = errs[i]
		case len(targets[i].Addresses) == 0:
			out = append(out, defect{unresolvable, rr, targets[i].Absence(), []evidence.Key{step.Cite, addressKey(rr.Target, view)}})
		}
		if len(targets[i].Addresses) > 0 && doubled(rr.Target, domain) {
			out = append(out, defect{kind: finalDot, record: rr, cites: []evidence.Key{step.Cite, addressKey(rr.Target, view)}})
		}
		if !slices.Contains(expectedPorts(view), rr.Port) {
			out = append(out, defect{kind: wrongPort, record: rr, cites: []evidence.Key{step.Cite}})
		}
	}
	return out, err
}

// unknownServer stands in a command for the DNS server when none of the resolvers is a domain controller.
const unknownServer = "SERVER-NAME"

// zoneServer names the DNS server for the commands of a fix: the domain controller that the inside view asks.
// No finding hangs on it, so that what cannot be read here is excused.
func zoneServer(p *checks.Pass) string {
	scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
	if err != nil {
		return unknownServer
	}
	for _, resolver := range scope.View(facts.Inside) {
		if host := controllerAt(p, resolver); host != "" {
			return host
		}
	}
	return unknownServer
}

// controllerAt is the domain controller that a resolver is; "" where none is known to be at its address. No finding hangs on it, so
// that what cannot be read here is excused.
func controllerAt(p *checks.Pass, resolver facts.Resolver) string {
	const why = "it only names the DNS server"
	domain, err := facts.ADDomain.Get(p.Facts, evidence.None{})
	if err != nil {
		p.Excuse(err, why)
		return ""
	}
	dcs, err := facts.DomainControllers.Get(p.Facts, facts.DomainQuestion{Name: domain.List[0]})
	p.Excuse(err, why)
	hosts := make([]string, len(dcs.List))
	for i, dc := range dcs.List {
		hosts[i], _ = facts.SplitHostPort(dc, 0)
	}
	leads, errs := facts.AddressesOf(p.Facts, hosts, facts.Inside)
	for _, err := range errs {
		p.Excuse(err, why)
	}
	at, _ := facts.SplitHostPort(resolver.Address, 0)
	for i, host := range hosts {
		if at == host || slices.Contains(leads[i].Addresses, at) {
			return host
		}
	}
	return ""
}

// words says what is wrong with the record.
func (d defect) words(view string) string {
	switch d.kind {
	case wrongPort:
		return "its port is " + strconv.Itoa(d.record.Port) + " instead of " + portWords(expectedPorts(view))
	case finalDot:
		return d.record.Target + " was typed without its final dot"
	case noTarget:
		return `its target is ".", which says that the service is not offered`
	}
	return d.record.Target + " leads nowhere: " + d.absence
}

// srvMessages are a check's messages for the defects of an SRV record.
type srvMessages struct {
	wrongPort, noTarget, unresolvable, finalDot *checks.Message
	// sipHost is for an unresolvable target that dns/sip-host judges.
	sipHost *checks.Message
}

// reportSRV reports a defect of the record that wins.
func reportSRV(p *checks.Pass, view string, step facts.SRVStep, d defect, m srvMessages) {
	msg := map[defectKind]*checks.Message{wrongPort: m.wrongPort, noTarget: m.noTarget, unresolvable: m.unresolvable, finalDot: m.finalDot}[d.kind]
	if d.kind == unresolvable && d.record.Target == sipHost(p.Subject.Name) {
		msg = m.sipHost
	}
	cites := d.cites
	if d.kind == noTarget || d.kind == unresolvable {
		cites = append(cites, walkKey(p, view))
	}
	p.Report(msg, cites, zoneArgs(p, view, checks.A("name", step.Name), checks.A("service", step.Service), checks.A("target", d.record.Target),
		checks.A("port", d.record.Port), checks.A("expected", portWords(expectedPorts(view))), checks.A("why", d.absence))...)
}

// zoneArgs are the arguments that the fix of every message uses, and more.
func zoneArgs(p *checks.Pass, view string, more ...checks.Arg) []checks.Arg {
	server := unknownServer
	if view == facts.Inside {
		server = zoneServer(p)
	}
	return append([]checks.Arg{checks.A("domain", p.Subject.Name), checks.A("view", view), checks.A("dnsServer", server)}, more...)
}

// onWinners judges the targets of the SRV record that wins in each view, side by side. Where no view has one there is nothing to judge.
func onWinners(p *checks.Pass, judge func(view string, step facts.SRVStep, targets []target)) error {
	list, err := walks(p)
	if err != nil {
		return err
	}
	judged := make([]bool, len(list))
	var fns []func()
	for i := range list {
		w := &list[i]
		fns = append(fns, func() {
			step, ok := w.Winner()
			if w.err != nil || !ok {
				return
			}
			judged[i] = true
			var targets []target
			if targets, w.err = targetsOf(p, step, w.view); w.err == nil {
				judge(w.view, step, targets)
			}
		})
	}
	evidence.Parallel(fns...)
	for _, w := range list {
		err = errors.Join(err, w.err)
	}
	if err == nil && !slices.Contains(judged, true) {
		return checks.NotApplicable("no SRV record leads clients of " + p.Subject.Name)
	}
	return err
}

// target is a host that an SRV record names, and where it leads.
type target struct {
	facts.HostAddresses
	name string
	// first tells that clients try it first: its priority is the lowest (RFC 2782).
	first bool
	cite  evidence.Key
}

// targetsOf are the distinct targets of an SRV record in the order in which clients try them.
func targetsOf(p *checks.Pass, step facts.SRVStep, view string) ([]target, error) {
	var list []target
	var hosts []string
	for _, rr := range step.Records {
		if rr.Target != "" && !slices.Contains(hosts, rr.Target) {
			hosts = append(hosts, rr.Target)
			list = append(list, target{name: rr.Target, first: rr.Priority == step.Records[0].Priority, cite: addressKey(rr.Target, view)})
		}
	}
	found, errs := facts.AddressesOf(p.Facts, hosts, view)
	for i := range list {
		list[i].HostAddresses = found[i]
	}
	return list, errors.Join(errs...)
}

// namesOf lists targets in a sentence, and citesOf are the facts that show where they lead.
func namesOf(targets []target) string {
	var names []string
	for _, t := range targets {
		names = append(names, t.name)
	}
	return facts.Few(names, ", ", maxNamed)
}

func citesOf(step facts.SRVStep, targets []target) []evidence.Key {
	cites := []evidence.Key{step.Cite}
	for _, t := range targets {
		cites = append(cites, t.cite)
	}
	return cites
}

// doubled tells whether a host name goes on after the SIP domain: "sip.todorovic.fr.todorovic.fr". That is what becomes of a name typed
// without its final dot; it leads somewhere only where a wildcard answers for all names.
func doubled(host, domain string) bool { return strings.Contains("."+host, "."+domain+".") }

// labelIn is a host name within its zone, as dnscmd takes it; "" when it is not in the zone.
func labelIn(host, zone string) string {
	if host == zone {
		return "@"
	}
	label, ok := strings.CutSuffix(host, "."+zone)
	if !ok {
		return ""
	}
	return label
}
