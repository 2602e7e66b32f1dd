package pki

import (
	"crypto/x509"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var noServerAuth = &checks.Message{
	Tag:      "no-server-auth",
	Severity: checks.Error,
	Text:     "the certificate of {subject} on {endpoints} is for {usages} and not for server authentication",
	Identity: []string{"thumbprint"},
}

var _ = register(&checks.Check{
	ID:       "pki/eku",
	Title:    "the certificates that the OCS server presents are for server authentication",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.NetConnect, facts.TLSHandshake},
	Messages: []*checks.Message{noServerAuth},
	Run: func(p *checks.Pass) error {
		chains, err := presented(p)
		for _, m := range leaves(chains) {
			if usages := extendedKeyUsages(m.certificate); len(usages) > 0 && !mayServe(m.certificate) {
				p.Report(noServerAuth, m.cites, append(m.args(p), checks.A("usages", listed(usages)))...)
			}
		}
		return err
	},
})

// mayServe tells whether one of the extended key usages allows a TLS server (RFC 5280, section 4.2.1.12).
func mayServe(c *x509.Certificate) bool {
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// usageNames are the usages as Windows shows them.
var usageNames = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageClientAuth: "client authentication", x509.ExtKeyUsageCodeSigning: "code signing", x509.ExtKeyUsageEmailProtection: "secure e-mail",
	x509.ExtKeyUsageTimeStamping: "time stamping", x509.ExtKeyUsageOCSPSigning: "OCSP signing",
	x509.ExtKeyUsageIPSECEndSystem: "IP security end system", x509.ExtKeyUsageIPSECTunnel: "IP security tunnel", x509.ExtKeyUsageIPSECUser: "IP security user",
}

// extendedKeyUsages are those of a certificate in words; one without the extension, which is good for all, has none.
func extendedKeyUsages(c *x509.Certificate) []string {
	var out []string
	for _, u := range c.ExtKeyUsage {
		name, known := usageNames[u]
		if !known {
			name = "another purpose"
		}
		out = append(out, name)
	}
	for _, oid := range c.UnknownExtKeyUsage {
		out = append(out, oid.String())
	}
	return out
}
