package dns

import (
	"errors"

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
	tlsNoDiscovery = &checks.Message{
		Tag:      "no-discovery",
		Severity: checks.Critical,
		Text:     "seen from {view}, {domain} has no record by which a client finds its server: no SRV record, and none of sipinternal, sip and sipexternal leads anywhere",
		Identity: []string{"view"},
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
	Needs:  []evidence.AnyKind{facts.ConfigScope, facts.Discovery, facts.Addresses, facts.ADDomain, facts.DomainControllers},
	Messages: []*checks.Message{tlsWrongPort, tlsNoTarget, tlsTargetUnresolvable, tlsSIPHostUnresolvable, tlsNoSRV, tlsNoDiscovery,
		tlsShadowed},
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
	case hasSRV(w.DiscoveryWalk):
		return judgeSRVs(p, w)
	case w.Host == "":
		p.Report(tlsNoDiscovery, append(w.Cites(), walkKey(p, w.view)), zoneArgs(p, w.view)...)
	default:
		p.Report(tlsNoSRV, w.Cites(), zoneArgs(p, w.view, checks.A("host", w.Host))...)
	}
	return nil
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
		found, err := defects(p.Facts, step, w.view)
		errs = append(errs, err)
		for _, d := range found {
			if wins {
				reportSRV(p, w.view, step, d, srvMessages{tlsWrongPort, tlsNoTarget, tlsTargetUnresolvable, tlsSIPHostUnresolvable})
				continue
			}
			p.Report(tlsShadowed, append(d.cites, winner.Cite), zoneArgs(p, w.view, checks.A("name", step.Name), checks.A("winner", winner.Name),
				checks.A("target", d.record.Target), checks.A("why", d.words(w.view)))...)
		}
	}
	return errors.Join(errs...)
}
