package dns

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	internalMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Warning,
		Text:     "{name} does not exist; inside clients, which ask for it first, are led by {winner} instead",
	}
	internalNoSRV = &checks.Message{
		Tag:      "missing-like-all",
		Severity: checks.Warning,
		Text:     "{name} does not exist, nor does any other SRV record by which inside clients find their server",
		// A tag of its own: a view in which there is no SRV record must not explain that only this one is missing in another.
		ExplainedBy: []string{"dns/sip-tls-srv:no-discovery", "dns/sip-tls-srv:no-srv", "dns/sip-tls-srv:wildcard"},
	}
	internalWrongPort = &checks.Message{
		Tag:      "wrong-port",
		Severity: checks.Error,
		Text:     "{name} sends clients to port {port} of {target} instead of {expected}",
		Identity: []string{"target"},
	}
	internalNoTarget = &checks.Message{
		Tag:      "no-target",
		Severity: checks.Error,
		Text:     "{name} has the target \".\", which says that the service is not offered",
	}
	internalTargetUnresolvable = &checks.Message{
		Tag:      "target-unresolvable",
		Severity: checks.Error,
		Text:     "{name} sends clients to {target}, which leads nowhere: {why}",
		Identity: []string{"target"},
	}
	internalFinalDot = &checks.Message{
		Tag:      "final-dot",
		Severity: checks.Error,
		Text:     "{name} sends clients to {target}, which was typed without its final dot and leads somewhere only because a wildcard answers for it",
		Identity: []string{"target"},
	}
	internalSIPHostUnresolvable = &checks.Message{
		Tag:         "sip-host-unresolvable",
		Severity:    checks.Error,
		Text:        "{name} sends clients to {target}, which leads nowhere: {why}",
		ExplainedBy: []string{"dns/sip-host:missing", "dns/sip-host:dangling-alias"},
	}
)

var _ = register(&checks.Check{
	ID:     "dns/sip-internal-tls-srv",
	Title:  "every SIP domain has a _sipinternaltls._tcp SRV record on port 5061, which inside clients prefer",
	Scope:  checks.ScopeSIPDomain,
	Phases: checks.BothPhases,
	Needs:  []evidence.AnyKind{facts.ConfigScope, facts.Discovery, facts.Addresses, facts.ADDomain, facts.DomainControllers},
	Messages: []*checks.Message{internalMissing, internalNoSRV, internalWrongPort, internalNoTarget, internalTargetUnresolvable,
		internalFinalDot, internalSIPHostUnresolvable},
	Run: func(p *checks.Pass) error {
		d, err := facts.Discovery.Get(p.Facts, facts.DiscoveryQuestion{Domain: p.Subject.Name, View: facts.Inside})
		if err != nil {
			return err
		}
		if d.Configured {
			return checks.NotApplicable(byHand)
		}
		step := d.Step(facts.ServiceInternal)
		if len(step.Records) == 0 {
			msg := internalMissing
			if !hasSRV(d) {
				msg = internalNoSRV
			}
			p.Report(msg, []evidence.Key{step.Cite}, zoneArgs(p, facts.Inside, checks.A("name", step.Name), checks.A("winner", d.By))...)
			return nil
		}
		found, err := defects(p, step, facts.Inside)
		for _, d := range found {
			reportSRV(p, facts.Inside, step, d, srvMessages{internalWrongPort, internalNoTarget, internalTargetUnresolvable, internalFinalDot, internalSIPHostUnresolvable})
		}
		return err
	},
})
