package pki

import (
	"crypto/x509"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

var rootAbsent = &checks.Message{
	Tag:      "absent",
	Severity: checks.Notice,
	Text:     "the root {root} of the certificate on {endpoint} is not published in Active Directory",
}

var _ = register(&checks.Check{
	ID:       "pki/root-published-in-ad",
	Title:    "the root of the OCS server's certificate is published in Active Directory",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.TLSHandshake, facts.PublicKeys, facts.Directory, facts.Anchors},
	Messages: []*checks.Message{rootAbsent},
	Run: func(p *checks.Pass) error {
		e := facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}
		c, err := chainAt(p.Facts, e)
		if err != nil {
			return err
		}
		published, err := facts.PublicKeys.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		dir, err := facts.Directory.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		known, err := facts.Anchors.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		roots, unread := parseAll(published.Roots)
		pool, _ := parseAll(published.Intermediates)
		pool = append(pool, c.above...)
		var trusted, public []*x509.Certificate // other anchors of the scan, and those that this machine trusts by itself
		for _, a := range known.Anchors {
			if parsed, err := certs.Parse(a.DER); err == nil {
				trusted = append(trusted, parsed)
				if a.Store != facts.StoreAD && a.Store != facts.StoreGiven {
					public = append(public, parsed)
				}
			}
		}
		if certs.Chains(c.leaf, pool, roots).Problem == certs.Trusted {
			return nil
		}
		if certs.Chains(c.leaf, pool, public).Problem == certs.Trusted {
			return checks.NotApplicable("the machine that scans trusts the root by itself: it is taken for a public one")
		}
		key := facts.Search.Key(facts.RootsQuestion(dir))
		if unread > 0 {
			return evidence.FailAt(evidence.Protocol, facts.Count(unread, "root certificate")+" published in AD cannot be read", key)
		}
		root := rootOf(certs.Chains(c.leaf, pool, trusted), c.leaf)
		if root == "" {
			return checks.NotApplicable("no chain to a root is known: pki/chain-trusted judges it")
		}
		p.Report(rootAbsent, append(c.cites, key), checks.A("root", root), checks.A("endpoint", e), checks.A("server", p.Subject.Name), checks.A("forest", dir.Forest))
		return nil
	},
})

// parseAll reads certificates and counts those that cannot be read.
func parseAll(ders [][]byte) (list []*x509.Certificate, unread int) {
	for _, der := range ders {
		c, err := certs.Parse(der)
		if err != nil {
			unread++
			continue
		}
		list = append(list, c)
	}
	return list, unread
}

// rootOf is the name of the root that a chain leads to; "" when it breaks off before one is known. Windows does not send the root: what the last CA
// names as its issuer is taken for it.
func rootOf(res certs.Result, leaf *x509.Certificate) string {
	switch {
	case res.Problem == certs.Trusted:
		return certs.Describe(res.Chain[len(res.Chain)-1].Raw).Subject
	case res.Problem == certs.UntrustedRoot:
		return certs.Describe(res.At.Raw).Subject
	case res.Problem == certs.NoIssuer && res.At != leaf:
		return certs.Describe(res.At.Raw).Issuer
	}
	return ""
}
