package pki

import (
	"errors"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

var (
	presentedNotStored = &checks.Message{
		Tag:      "not-in-store",
		Severity: checks.Error,
		Text:     "the certificate {thumbprint} of {subject}, which {endpoint} presents, is not in the store of {server}",
		Identity: []string{"thumbprint"},
	}
	assignedNotStored = &checks.Message{
		Tag:      "assigned-not-in-store",
		Severity: checks.Error,
		Text:     "OCS on {server} is told to use the certificate with the serial number {serial} of {issuer}, which is not in the store of the machine",
		Identity: []string{"serial"},
	}
	presentsAnother = &checks.Message{
		Tag:      "presents-another",
		Severity: checks.Warning,
		Text:     "{endpoint} presents the certificate {presented}, and OCS on {server} is told to use {thumbprint} of {subject}",
	}
)

var _ = register(&checks.Check{
	ID:       "pki/assigned-certificate",
	Title:    "the certificate on port 5061 is the one that is assigned to OCS, and it is in the store of the server",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.HostCertificates, facts.TLSHandshake, facts.SIPListeners},
	Messages: []*checks.Message{presentedNotStored, assignedNotStored, presentsAnother},
	Run: func(p *checks.Pass) error {
		server, e := facts.ServerQuestion{FQDN: p.Subject.Name}, facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}
		stores, err := facts.HostCertificates.Get(p.Facts, server)
		if err != nil {
			return err
		}
		store, unread := parsedStore(stores, facts.StoreMY)
		listeners, err := facts.SIPListeners.Get(p.Facts, server)
		if err != nil {
			p.Excuse(err, "what is presented can be compared with the store")
		}
		a := assignment{p: p, endpoint: e, stores: stores, store: store, unread: unread}
		told, err := a.judgeAssigned(assigned(listeners))
		if err != nil {
			return err
		}
		return a.judgePresented(told)
	},
})

type assignment struct {
	p        *checks.Pass
	endpoint facts.Endpoint
	stores   facts.CertificateStores
	store    []storedCertificate
	// unread counts the entries that cannot be read, one of which may be the one that is looked for.
	unread int
}

// missing is the failure to find a certificate where one of those that cannot be read may be it; nil when all were read.
func (a assignment) missing() error {
	if a.unread == 0 {
		return nil
	}
	return evidence.FailAt(evidence.Protocol, facts.Count(a.unread, "certificate")+" in the store of "+a.p.Subject.Name+" cannot be read", ownStore(a.p))
}

// judgeAssigned looks for what OCS is told to use in the store, and returns what it found there.
func (a assignment) judgeAssigned(listeners []facts.SIPListener) (told []storedCertificate, err error) {
	key := facts.SIPListeners.Key(facts.ServerQuestion{FQDN: a.p.Subject.Name})
	for _, l := range listeners {
		c, ok := certificateOf(l, a.store)
		if ok {
			told = append(told, c)
			continue
		}
		if len(l.TLSCertIssuer) == 0 {
			return nil, evidence.FailAt(evidence.Protocol, "a listener of OCS on "+a.p.Subject.Name+" names a certificate without its issuer", key)
		}
		if err := a.missing(); err != nil {
			return nil, err
		}
		a.p.Report(assignedNotStored, []evidence.Key{key, ownStore(a.p)}, checks.A("server", a.p.Subject.Name), checks.A("serial", serialText(l.TLSCertSN)),
			checks.A("issuer", certs.Name(l.TLSCertIssuer)))
	}
	return told, nil
}

// judgePresented compares what port 5061 presents with what OCS is told to use, or where that is not known with the store. Where nothing
// is presented, net/sip-port and net/tls-handshake speak of it.
func (a assignment) judgePresented(told []storedCertificate) error {
	h, err := handshake(a.p.Facts, a.endpoint)
	var f *evidence.Failure
	if errors.As(err, &f) && f.Reason == evidence.NoTarget && len(told) > 0 {
		a.p.Excuse(err, "what is assigned is in the store")
		return nil
	}
	if err != nil {
		return err
	}
	leaf := h.Chain[0]
	args := []checks.Arg{checks.A("server", a.p.Subject.Name), checks.A("endpoint", a.endpoint)}
	cites := []evidence.Key{facts.TLSHandshake.Key(a.endpoint)}
	if len(told) > 0 {
		for _, c := range told {
			if c.Thumbprint == leaf.Thumbprint {
				return nil
			}
		}
		a.p.Report(presentsAnother, append(cites, facts.SIPListeners.Key(facts.ServerQuestion{FQDN: a.p.Subject.Name})), append(args, checks.A("presented", leaf.Thumbprint),
			checks.A("thumbprint", told[0].Thumbprint), checks.A("subject", certs.Describe(told[0].DER).Subject))...)
		return nil
	}
	if _, ok := a.stores.Find(facts.StoreMY, leaf.Thumbprint); !ok && len(a.p.Findings()) == 0 { // by the thumbprint, unreadable ones are found too
		a.p.Report(presentedNotStored, append(cites, ownStore(a.p)), append(args, checks.A("thumbprint", leaf.Thumbprint), checks.A("subject", leaf.Subject))...)
	}
	return nil
}

// serialText is a serial number as WMI has it, in the order in which Windows shows it: the most significant byte first.
func serialText(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for i := len(b) - 1; i >= 0; i-- {
		s.WriteByte(digits[b[i]>>4])
		s.WriteByte(digits[b[i]&15])
	}
	return s.String()
}
