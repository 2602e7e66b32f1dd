package pki

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

var cnNotInSAN = &checks.Message{
	Tag:      "cn-not-in-san",
	Severity: checks.Error,
	Text:     "the certificate on {endpoints} has the common name {commonName}, and its alternative names are {names} only: clients look at nothing else",
	Identity: []string{"thumbprint"},
	// A common name that is somebody else's has no business among them.
	ExplainedBy: []string{"pki/server-name:wrong-cn"},
}

var _ = register(&checks.Check{
	ID:       "pki/san-present",
	Title:    "the common name of the OCS server's certificates is among their alternative names, where they have any",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.NetConnect, facts.TLSHandshake},
	Messages: []*checks.Message{cnNotInSAN},
	Run: func(p *checks.Pass) error {
		chains, err := presented(p)
		for _, m := range leaves(chains) {
			leaf := certs.Describe(m.certificate.Raw)
			// A common name that is no host name is asked for by nobody; pki/server-name speaks of it.
			cn := facts.Host(leaf.CommonName)
			if len(leaf.DNSNames) == 0 || !facts.IsHostName(cn) || leaf.Matches(cn) {
				continue
			}
			p.Report(cnNotInSAN, m.cites, append(m.args(p), checks.A("commonName", cn), checks.A("names", leaf.Names()))...)
		}
		return err
	},
})
