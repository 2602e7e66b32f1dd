package dns

import (
	"errors"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	tlsWrongPort = &checks.Message{
		Tag:      "wrong-port",
		Severity: checks.Error,
		Text:     "{name}, seen from {view}, sends clients to port {port} of {target} instead of {expected}",
		Identity: []string{"view", "name", "target"},
	}
	tlsNoTarget = &checks.Message{
		Tag:      "no-target",
		Severity: checks.Error,
		Text:     "{name}, seen from {view}, has the target \".\", which says that the service is not offered",
		Identity: []string{"view", "name"},
	}
	tlsTargetUnresolvable = &checks.Message{
		Tag:      "target-unresolvable",
		Severity: checks.Error,
		Text:     "{name}, seen from {view}, sends clients to {target}, which leads nowhere: {why}",
		Identity: []string{"view", "name", "target"},
	}
	tlsFinalDot = &checks.Message{
		Tag:      "final-dot",
		Severity: checks.Error,
		Text:     "{name}, seen from {view}, sends clients to {target}, which was typed without its final dot and leads somewhere only because a wildcard answers for it",
		Identity: []string{"view", "name", "target"},
	}
	tlsSIPHostUnresolvable = &checks.Message{
		Tag:      "sip-host-unresolvable",
		Severity: checks.Error,
		Text:     "{name}, seen from {view}, sends clients to {target}, which leads nowhere: {why}",
		Identity: []string{"view", "name"},
		// Only for the target that dns/sip-host judges, so that no other target's absence hides behind it.
		ExplainedBy: []string{"dns/sip-host:missing", "dns/sip-host:dangling-alias"},
	}
	tlsNoSRV = &checks.Message{
		Tag:      "no-srv",
		Severity: checks.Warning,
		Text:     "seen from {view}, {domain} has no SRV record for sign-in; clients go to {host} because they guess that name",
		Identity: []string{"view"},
	}
	tlsWildcard = &checks.Message{
		Tag:      "wildcard",
		Severity: checks.Error,
		Text:     "seen from {view}, {domain} has no SRV record for sign-in, and clients go to {host} at {addresses} because a wildcard answers for every name of the domain",
		Identity: []string{"view"},
	}
	tlsNoDiscovery = &checks.Message{
		Tag:      "no-discovery",
		Severity: checks.Critical,
		Text:     "seen from {view}, {domain} has no record by which a client finds its server: no SRV record, and none of sipinternal, sip and sipexternal leads anywhere",
		Identity: []string{"view"},
	}
	tlsByHandUnresolvable = &checks.Message{
		Tag:      "by-hand-unresolvable",
		Severity: checks.Critical,
		Text:     "clients of {domain} are configured by hand to go to {host}, which leads nowhere: {why}",
		// Related by what both cite: the lookup of the host.
		ExplainedBy: []string{"dns/pool-host:missing", "dns/sip-host:dangling-alias"},
	}
	tlsShadowed = &checks.Message{
		Tag:      "shadowed",
		Severity: checks.Notice,
		Text:     "{name}, seen from {view}, is wrong, but {winner} comes before it and clients never use it: {why}",
		Identity: []string{"view", "name", "target"},
	}
)

var _ = register(&checks.Check{
	ID:     "dns/sip-tls-srv",
	Title:  "automatic sign-in of every SIP domain leads to a server, by an SRV record",
	Scope:  checks.ScopeSIPDomain,
	Phases: checks.BothPhases,
	Needs: []evidence.AnyKind{facts.ConfigScope, facts.Discovery, facts.Addresses, facts.Servers, facts.ADDomain, facts.DomainControllers,
		facts.NetConnect, facts.TLSHandshake},
	Messages: []*checks.Message{tlsWrongPort, tlsNoTarget, tlsTargetUnresolvable, tlsFinalDot, tlsSIPHostUnresolvable, tlsNoSRV, tlsWildcard, tlsNoDiscovery,
		tlsByHandUnresolvable, tlsShadowed},
	Run: func(p *checks.Pass) error {
		list, err := walks(p)
		if err != nil {
			return err
		}
		var fns []func()
		for i := range list {
			w := &list[i]
			fns = append(fns, func() {
				if w.err == nil {
					w.err = judgeDiscovery(p, *w)
				}
			})
		}
		evidence.Parallel(fns...)
		for _, w := range list {
			err = errors.Join(err, w.err)
		}
		return err
	},
})

// judgeDiscovery judges where a client of one view is led.
func judgeDiscovery(p *checks.Pass, w walk) error {
	switch {
	case w.Configured:
		return judgeByHand(p, w)
	case hasSRV(w.DiscoveryWalk):
		return judgeSRVs(p, w)
	case w.Host == "":
		p.Report(tlsNoDiscovery, append(w.Cites(), walkKey(p, w.view)), zoneArgs(p, w.view)...)
	default:
		wild, err := wildcard(p, w)
		if err != nil {
			return err
		}
		if wild {
			p.Report(tlsWildcard, append(w.Cites(), addressKey(w.Host, w.view)), zoneArgs(p, w.view, checks.A("host", w.Host),
				checks.A("addresses", facts.Few(w.Addresses, ", ", maxNamed)))...)
			return nil
		}
		p.Report(tlsNoSRV, w.Cites(), zoneArgs(p, w.view, checks.A("host", w.Host))...)
	}
	return nil
}

// judgeByHand judges where clients that do not ask for SRV records go. Outside, a client by hand has another server.
func judgeByHand(p *checks.Pass, w walk) error {
	if w.view == facts.Outside {
		return nil
	}
	a, err := facts.Addresses.Get(p.Facts, facts.HostQuestion{Host: w.Host, View: w.view})
	if err == nil && len(a.Addresses) == 0 {
		p.Report(tlsByHandUnresolvable, []evidence.Key{addressKey(a.Canonical, w.view), addressKey(w.Host, w.view), walkKey(p, w.view)},
			zoneArgs(p, w.view, checks.A("host", w.Host), checks.A("why", a.Absence()))...)
	}
	return err
}

// noSuchHost is a name that nobody gives a host: what answers for it answers for every name (RFC 4592).
const noSuchHost = "ocsdoctor-no-such-host"

// wildcard tells whether a fall-back name leads somewhere only because every name of the domain does, and not to a server that takes sign-ins.
func wildcard(p *checks.Pass, w walk) (bool, error) {
	a, err := facts.Addresses.Get(p.Facts, facts.HostQuestion{Host: noSuchHost + "." + p.Subject.Name, View: w.view})
	if err != nil || !slices.Equal(a.Addresses, w.Addresses) {
		return false, err
	}
	if w.view == facts.Outside {
		return true, nil
	}
	own, err := ownAddresses(p)
	if err != nil || facts.Leads(own, w.Addresses) {
		return false, err
	}
	serves, err := servesSignIn(p, w.Host)
	return err == nil && !serves, err
}

// judgeSRVs judges the SRV record that wins, and those that it keeps from being used. Inside,
// _sipinternaltls is the matter of dns/sip-internal-tls-srv.
func judgeSRVs(p *checks.Pass, w walk) error {
	var errs []error
	var winner facts.SRVStep
	for _, step := range w.SRV {
		if len(step.Records) == 0 {
			continue
		}
		wins := step.Name == w.By
		if wins {
			winner = step
			if w.view == facts.Inside && step.Service == facts.ServiceInternal {
				continue
			}
		}
		found, err := defects(p, step, w.view)
		errs = append(errs, err)
		for _, d := range found {
			if wins {
				reportSRV(p, w.view, step, d, srvMessages{tlsWrongPort, tlsNoTarget, tlsTargetUnresolvable, tlsFinalDot, tlsSIPHostUnresolvable})
				continue
			}
			p.Report(tlsShadowed, append(d.cites, winner.Cite), zoneArgs(p, w.view, checks.A("name", step.Name), checks.A("winner", winner.Name),
				checks.A("target", d.record.Target), checks.A("why", d.words(w.view)))...)
		}
	}
	return errors.Join(errs...)
}
