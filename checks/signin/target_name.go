package signin

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	wrong = &checks.Message{
		Tag:      "wrong",
		Severity: checks.Error,
		Text:     "{endpoint} asks for authentication ({schemes}) as {target}; expected is {expected}",
		Identity: []string{"target"},
	}
	wrongRealm = &checks.Message{
		Tag:      "wrong-realm",
		Severity: checks.Warning,
		Text:     "{endpoint} asks for authentication ({schemes}) in the realm {target}; OCS has the realm " + realm,
		Identity: []string{"target"},
	}
)

// realm is that of every challenge of OCS ([MS-SIPAE] 4).
const realm = "SIP Communications Service"

var _ = register(&checks.Check{
	ID:       "signin/target-name",
	Title:    "the OCS server asks for authentication under its own name",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.SIPDomains, facts.Register, facts.ConfigScope, facts.Pools, facts.TLSHandshake, facts.Addresses},
	Messages: []*checks.Message{wrong, wrongRealm},
	Run: func(p *checks.Pass) error {
		answers, err := registrations(p)
		realms, targets := named(answers)
		if len(targets) == 0 && err == nil {
			return checks.NotApplicable("the server asks for no authentication with NTLM or Kerberos")
		}
		for _, n := range realms {
			if n.name != realm {
				n.report(p, wrongRealm, nil, checks.A("expected", realm))
			}
		}
		errs := []error{err}
		for _, n := range targets {
			errs = append(errs, judgeTarget(p, n))
		}
		return errors.Join(errs...)
	},
})

// naming is a name in challenges, once for all schemes and SIP domains that have it.
type naming struct {
	name     string
	schemes  []string
	question facts.RegisterQuestion
}

// named are the distinct realms and targets of the challenges. The target is the FQDN of a server, with "sip/" before it in
// that of Kerberos, which is a service principal name ([MS-SIPAE] 4); one without it stays as it is, in quotes.
func named(answers []registration) (realms, targets []*naming) {
	add := func(list []*naming, name, scheme string, q facts.RegisterQuestion) []*naming {
		i := slices.IndexFunc(list, func(n *naming) bool { return n.name == name })
		if i < 0 {
			i, list = len(list), append(list, &naming{name: name, question: q})
		}
		if !slices.Contains(list[i].schemes, scheme) {
			list[i].schemes = append(list[i].schemes, scheme)
		}
		return list
	}
	for _, a := range answers {
		for _, c := range a.answer.Challenges {
			if !ofOCS(c) {
				continue
			}
			target := facts.Host(c.Parameters["targetname"])
			if strings.EqualFold(c.Scheme, "Kerberos") && target != "" {
				host, ok := strings.CutPrefix(target, "sip/")
				if target = host; !ok {
					target = `"` + host + `"`
				}
			}
			realms = add(realms, c.Parameters["realm"], c.Scheme, a.question)
			targets = add(targets, target, c.Scheme, a.question)
		}
	}
	return realms, targets
}

func (n *naming) report(p *checks.Pass, m *checks.Message, cites []evidence.Key, args ...checks.Arg) {
	p.Report(m, append([]evidence.Key{facts.Register.Key(n.question)}, cites...), append(args, checks.A("endpoint", n.question.Endpoint),
		checks.A("server", p.Subject.Name), checks.A("target", orNone(n.name)), checks.A("schemes", strings.Join(n.schemes, ", ")))...)
}

// judgeTarget compares a target with the server's own name, and if it is another with those that AD allows, or without AD
// with the server's certificate. It need not be the name asked: a Director or a load balancer may stand before the server.
func judgeTarget(p *checks.Pass, n *naming) error {
	if n.name == p.Subject.Name {
		return nil
	}
	scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	if scope.LDAPUser == "" {
		return judgeWithoutAD(p, n)
	}
	pools, err := facts.Pools.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	expected := expectedTargets(pools, p.Subject.Name)
	if !slices.Contains(expected, n.name) {
		n.report(p, wrong, []evidence.Key{pools.Cite}, checks.A("expected", facts.Few(expected, ", ", maxNamed)))
	}
	return nil
}

// expectedTargets are the server's own name and those of its pool and of the pool's front ends. A server that is in no pool
// is a Director or the address of a load balancer: it may stand before any pool.
func expectedTargets(pools facts.PoolList, server string) []string {
	names := func(pools []facts.Pool) []string {
		out := []string{server}
		add := func(name string) {
			if name != "" && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		for _, pool := range pools {
			add(pool.FQDN)
			for _, f := range pool.FrontEnds {
				add(f.Computer)
			}
		}
		return out
	}
	own := slices.DeleteFunc(slices.Clone(pools.Pools), func(pool facts.Pool) bool {
		return pool.FQDN != server && !slices.ContainsFunc(pool.FrontEnds, func(f facts.FrontEnd) bool { return f.Computer == server })
	})
	if len(own) > 0 {
		return names(own)
	}
	return names(pools.Pools)
}

// judgeWithoutAD takes a target that the server's certificate carries. Another one that leads somewhere may be a front end of
// the pool that the server's name stands for; only AD tells.
func judgeWithoutAD(p *checks.Pass, n *naming) error {
	h, err := facts.TLSHandshake.Get(p.Facts, n.question.Endpoint)
	if err != nil {
		return err
	}
	key := facts.TLSHandshake.Key(n.question.Endpoint)
	leaf, ok := h.Leaf()
	switch {
	case !ok:
		return evidence.FailAt(evidence.Protocol, "the certificate on "+n.question.Endpoint.String()+" cannot be read", key)
	case leaf.Carries(n.name) || facts.Host(leaf.CommonName) == n.name:
		return nil
	}
	if facts.IsHostName(n.name) {
		a, err := facts.Addresses.Get(p.Facts, facts.HostQuestion{Host: n.name, View: facts.Inside})
		if err != nil {
			return err
		}
		if len(a.Addresses) > 0 {
			return evidence.FailAt(evidence.NotConfigured, n.question.Endpoint.String()+" asks for authentication as "+n.name+
				", which may be a front end of its pool: give --user, so that the pool can be read in AD", facts.Register.Key(n.question))
		}
	}
	n.report(p, wrong, []evidence.Key{key}, checks.A("expected", p.Subject.Name+" or another name of its certificate ("+leaf.Names()+")"))
	return nil
}

// maxNamed bounds how many names a text lists.
const maxNamed = 5

// orNone stands for a value that is not there.
func orNone(s string) string { return cmp.Or(s, "(none)") }
