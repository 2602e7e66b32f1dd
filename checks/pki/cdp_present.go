package pki

import (
	"crypto/x509"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	noCDP = &checks.Message{
		Tag:      "no-cdp",
		Severity: checks.Warning,
		Text:     "the certificate of {subject}, in the chain on {endpoints}, names no CRL distribution point",
		Identity: []string{"thumbprint"},
	}
	noHTTP = &checks.Message{
		Tag:      "no-http",
		Severity: checks.Notice,
		Text:     "the CRL of {subject}, in the chain on {endpoints}, is published at {urls}; machines outside the domain can fetch none of these",
		Identity: []string{"thumbprint"},
	}
)

var _ = register(&checks.Check{
	ID:       "pki/cdp-present",
	Title:    "the certificates that the OCS server presents say where their CRL is",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.NetConnect, facts.TLSHandshake},
	Messages: []*checks.Message{noCDP, noHTTP},
	Run: func(p *checks.Pass) error {
		chains, err := presented(p)
		for _, m := range belowRoot(chains) {
			urls := crlAddresses(m.certificate)
			switch {
			case len(urls) == 0:
				p.Report(noCDP, m.cites, m.args(p)...)
			case !slices.ContainsFunc(urls, isHTTP):
				p.Report(noHTTP, m.cites, append(m.args(p), checks.A("urls", listed(urls)))...)
			}
		}
		return err
	},
})

// crlAddresses are the URLs of the CRL distribution points (RFC 5280, section 4.2.1.13).
func crlAddresses(c *x509.Certificate) []string {
	var out []string
	for _, u := range c.CRLDistributionPoints {
		out = append(out, strings.ToValidUTF8(u, "\uFFFD"))
	}
	return out
}

func isHTTP(url string) bool {
	scheme, _, _ := strings.Cut(url, "://")
	return strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
}
