package pki

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var wildcard = &checks.Message{
	Tag:      "wildcard",
	Severity: checks.Error,
	Text:     "the certificate on {endpoint} has the wildcard {wildcards}, which OCS does not support",
}

var _ = register(&checks.Check{
	ID:       "pki/no-wildcard",
	Title:    "the certificate on port 5061 of the OCS server has no wildcard in its names",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.TLSHandshake},
	Messages: []*checks.Message{wildcard},
	Run: func(p *checks.Pass) error {
		e := facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}
		h, err := handshake(p.Facts, e)
		if err != nil {
			return err
		}
		leaf := h.Chain[0]
		var names []string
		for _, n := range append(slices.Clone(leaf.DNSNames), leaf.CommonName) {
			if isWildcard(n) && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		if len(names) > 0 {
			p.Report(wildcard, []evidence.Key{facts.TLSHandshake.Key(e)}, checks.A("endpoint", e), checks.A("server", p.Subject.Name),
				checks.A("wildcards", listed(names)), checks.A("names", leaf.Names()), checks.A("commonName", leaf.CommonName), checks.A("thumbprint", leaf.Thumbprint))
		}
		return nil
	},
})

func isWildcard(name string) bool { return strings.HasPrefix(strings.TrimSpace(name), "*.") }
