package signin

import (
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	otherForest = &checks.Message{
		Tag:      "other-forest",
		Severity: checks.Warning,
		Text:     "{endpoint} says that its domain {domain} is of the forest {told}; the Active Directory that is judged is of the forest {forest}",
		Identity: []string{"told"},
	}
	otherServer = &checks.Message{
		Tag:         "other-server",
		Severity:    checks.Warning,
		Text:        "{endpoint} calls itself {told} where it lets users log on; expected is {expected}",
		Identity:    []string{"told"},
		ExplainedBy: []string{"signin/target-name:wrong"},
	}
	weakNTLM = &checks.Message{
		Tag:      "no-128-bit",
		Severity: checks.Warning,
		Text:     "{endpoint} offers NTLM without 128-bit session security",
	}
)

var _ = register(&checks.Check{
	ID:     "signin/ntlm-info",
	Title:  "the server that lets users log on is one of this forest, and offers them 128-bit security",
	Scope:  checks.ScopeServer,
	Phases: checks.PostInstall,
	After:  checks.Services,
	Needs: []evidence.AnyKind{
		facts.SIPDomains, facts.Register, facts.NTLM, facts.Directory, facts.ConfigScope, facts.Pools,
	},
	Messages: []*checks.Message{otherForest, otherServer, weakNTLM},
	Run: func(p *checks.Pass) error {
		domains, err := facts.SIPDomains.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		if len(domains.List) == 0 {
			return checks.NotApplicable("there is no SIP domain to sign in to")
		}
		q := question(p, domains.List[0]) // the server is the same for every SIP domain
		first, err := facts.Register.Get(p.Facts, q)
		if err != nil {
			return err
		}
		offer, ok := first.Find("NTLM")
		if !ok {
			return checks.NotApplicable("the server offers no NTLM")
		}
		info, err := facts.NTLM.Get(p.Facts, q)
		if err != nil {
			return err
		}
		if info.Problem != "" { // sign-in may well work: the server need not tell it to a client that has no account
			return evidence.FailAt(evidence.Protocol, q.Endpoint.String()+": "+info.Problem, facts.NTLM.Key(q))
		}
		if !info.Has("128") {
			reportNTLM(p, weakNTLM, q, nil)
		}
		return errors.Join(judgeForest(p, q, info), judgeComputer(p, q, info, facts.Host(offer.Parameters["targetname"])))
	},
})

func reportNTLM(p *checks.Pass, m *checks.Message, q facts.RegisterQuestion, cites []evidence.Key, args ...checks.Arg) {
	p.Report(m, append([]evidence.Key{facts.NTLM.Key(q)}, cites...), append(args, checks.A("endpoint", q.Endpoint), checks.A("server", p.Subject.Name))...)
}

// judgeForest compares the forest, which is public in Active Directory too. A server that is in no domain names none.
func judgeForest(p *checks.Pass, q facts.RegisterQuestion, info facts.NTLMInfo) error {
	dir, err := facts.Directory.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	if info.Forest != "" && info.Forest != dir.Forest {
		reportNTLM(p, otherForest, q, []evidence.Key{facts.Directory.Key(evidence.None{})}, checks.A("told", info.Forest), checks.A("domain", orNone(info.DNSDomain)),
			checks.A("forest", dir.Forest))
	}
	return nil
}

// judgeComputer compares the server's name with those that AD allows, as signin/target-name does, or without AD with the name of its challenge.
func judgeComputer(p *checks.Pass, q facts.RegisterQuestion, info facts.NTLMInfo, target string) error {
	if info.DNSComputer == "" || info.DNSComputer == p.Subject.Name {
		return nil
	}
	scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	expected, cites := []string{p.Subject.Name, target}, []evidence.Key{facts.Register.Key(q)}
	if scope.LDAPUser != "" {
		pools, err := facts.Pools.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		expected, cites = expectedTargets(pools, p.Subject.Name), []evidence.Key{pools.Cite}
	}
	expected = slices.DeleteFunc(slices.Compact(expected), func(s string) bool { return strings.TrimSpace(s) == "" })
	if !slices.Contains(expected, info.DNSComputer) {
		reportNTLM(p, otherServer, q, cites, checks.A("told", info.DNSComputer), checks.A("expected", facts.Few(expected, ", ", maxNamed)))
	}
	return nil
}
