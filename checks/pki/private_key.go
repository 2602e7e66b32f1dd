package pki

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

var (
	noPrivateKey = &checks.Message{
		Tag:      "missing",
		Severity: checks.Error,
		Text:     "the certificate of {subject}, in use at {at}, stands in the store of {server} without a private key",
		Identity: []string{"thumbprint"},
	}
	userKey = &checks.Message{
		Tag:      "user-key",
		Severity: checks.Error,
		Text:     "the private key of the certificate of {subject}, in use at {at}, is in the profile of a user of {server}, where no service finds it",
		Identity: []string{"thumbprint"},
	}
	nextGenerationKey = &checks.Message{
		Tag:      "key-storage-provider",
		Severity: checks.Error,
		Text:     "the private key of the certificate of {subject}, in use at {at}, is kept by {provider}, a key storage provider, which OCS 2007 R2 does not know",
		Identity: []string{"thumbprint"},
	}
)

var _ = register(&checks.Check{
	ID:       "pki/private-key",
	Title:    "the server has the private keys of its certificates where services find them",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.HostCertificates, facts.TLSHandshake, facts.HostWebServer, facts.SIPListeners},
	Messages: []*checks.Message{noPrivateKey, userKey, nextGenerationKey},
	Run: func(p *checks.Pass) error {
		stores, err := facts.HostCertificates.Get(p.Facts, facts.ServerQuestion{FQDN: p.Subject.Name})
		if err != nil {
			return err
		}
		store, unread := parsedStore(stores, facts.StoreMY)
		for _, u := range used(p, store) {
			entry, ok := stores.Find(facts.StoreMY, u.thumbprint)
			if !ok || entry.Problem != "" {
				continue // not in the store at all, of which pki/assigned-certificate and iis/binding-certificate speak, or unreadable
			}
			msg := keyProblem(entry, u)
			if msg == nil {
				continue
			}
			c := certs.Describe(entry.DER)
			p.Report(msg, append(u.cites, ownStore(p)), checks.A("server", p.Subject.Name), checks.A("subject", c.Subject), checks.A("thumbprint", u.thumbprint),
				checks.A("at", strings.Join(u.at, ", ")), checks.A("provider", entry.Provider), checks.A("sip", word(u.sip)))
		}
		if unread > 0 {
			return evidence.FailAt(evidence.Protocol, facts.Count(unread, "certificate")+" in the store of "+p.Subject.Name+" cannot be read", ownStore(p))
		}
		return nil
	},
})

// keyProblem says what keeps a service from using the key; nil if nothing does. IIS of 2008 can use a key storage provider, OCS cannot.
func keyProblem(entry facts.StoredCertificate, u usage) *checks.Message {
	switch {
	case !entry.HasKey:
		return noPrivateKey
	case !entry.MachineKey:
		return userKey
	case entry.NextGeneration && u.sip:
		return nextGenerationKey
	}
	return nil
}

// word is a condition in a template of a fix.
func word(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
