package pki

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

var notSent = &checks.Message{
	Tag:         "not-sent",
	Severity:    checks.Warning,
	Text:        "{endpoints} does not send the certificate of {missing}, and each client has to get it by itself: {places}",
	Identity:    []string{"thumbprint"},
	ExplainedBy: []string{"pki/chain-complete:missing-issuer"},
}

var _ = register(&checks.Check{
	ID:       "pki/chain-sent",
	Title:    "the OCS server sends the certificates of the CAs between its own and the root",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    buildingNeeds,
	Messages: []*checks.Message{notSent},
	Run: func(p *checks.Pass) error {
		chains, roads, _, err := buildAll(p)
		if roads == nil {
			return err
		}
		errs := []error{err}
		for i, c := range chains {
			errs = append(errs, judgeSent(p, c, roads[i]))
		}
		return gravest(errs...)
	},
})

// judgeSent judges what is missing of a chain in what the server sends. Where nobody can complete it, pki/chain-trusted speaks of it.
func judgeSent(p *checks.Pass, c *chain, b *built) error {
	missing := certs.Describe(c.leaf.Raw).Issuer
	switch {
	case b.sent.Problem == certs.Trusted:
		return nil
	case b.completed():
		var names []string
		for _, above := range b.Chain[1:] {
			if b.from[string(above.Raw)] != nil {
				names = append(names, certs.Describe(above.Raw).Subject)
			}
		}
		missing = strings.Join(names, ", ")
	case b.sent.At != c.leaf || b.unread() == nil:
		b.excuse(p)
		return checks.NotApplicable("the chain on " + strings.Join(c.endpoints, ", ") + " cannot be completed by anybody: pki/chain-trusted judges it")
	}
	p.Report(notSent, distinct(slices.Concat(c.cites, []evidence.Key{facts.Anchors.Key(evidence.None{})}, b.asked())),
		append(certificateArgs(p, certs.Describe(c.leaf.Raw), strings.Join(c.endpoints, ", ")), checks.A("missing", missing), checks.A("places", b.verdicts()))...)
	if b.completed() {
		return nil
	}
	return b.unread()
}
