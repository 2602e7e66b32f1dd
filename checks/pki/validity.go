package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
)

// outlivesIssuer is not that of a leaf alone: a CA may outlive its root.
var outlivesIssuer = &checks.Message{
	Tag:      "outlives-issuer",
	Severity: checks.Warning,
	Text:     "the certificate of {subject} on {endpoints} is valid until {notAfter}, and that of its issuer {issuer} ends before, on {issuerNotAfter}",
	Identity: []string{"thumbprint"},
}

const day = 24 * time.Hour

// dates are the messages on the dates of a kind of certificate. soon is how long before its end a renewal is due.
type dates struct {
	expired, notYetValid, expiresSoon *checks.Message
	soon                              time.Duration
}

func datesMessage(tag string, severity checks.Severity, text string) *checks.Message {
	return &checks.Message{Tag: tag, Severity: severity, Text: text, Identity: []string{"thumbprint"}}
}

var (
	leafDates = dates{
		expired:     datesMessage("expired", checks.Critical, "the certificate of {subject} on {endpoints} expired on {notAfter}"),
		notYetValid: datesMessage("not-yet-valid", checks.Critical, "the certificate of {subject} on {endpoints} is not valid before {notBefore}"),
		expiresSoon: datesMessage("expires-soon", checks.Warning, "the certificate of {subject} on {endpoints} expires on {notAfter}, in {days} days"),
		soon:        30 * day, // time to request a certificate and to choose when to assign it
	}
	caDates = dates{
		expired:     datesMessage("ca-expired", checks.Critical, "the CA certificate of {subject}, above the certificate on {endpoints}, expired on {notAfter}"),
		notYetValid: datesMessage("ca-not-yet-valid", checks.Critical, "the CA certificate of {subject}, above the certificate on {endpoints}, is not valid before {notBefore}"),
		expiresSoon: datesMessage("ca-expires-soon", checks.Warning, "the CA certificate of {subject}, above the certificate on {endpoints}, expires on {notAfter}, in {days} days"),
		soon:        90 * day, // a renewed CA has to reach every machine before it issues
	}
)

var _ = register(&checks.Check{
	ID:     "pki/validity",
	Title:  "the certificates that the OCS server presents, and the CAs above them, are within their dates",
	Scope:  checks.ScopeServer,
	Phases: checks.PostInstall,
	After:  checks.Activation,
	Needs:  buildingNeeds,
	Messages: []*checks.Message{
		leafDates.expired, leafDates.notYetValid, leafDates.expiresSoon, caDates.expired, caDates.notYetValid, caDates.expiresSoon, outlivesIssuer,
	},
	Run: func(p *checks.Pass) error {
		chains, roads, known, err := buildAll(p)
		var f *evidence.Failure
		if errors.As(err, &f) && roads == nil && f.Reason == evidence.NotConfigured {
			p.Excuse(err, "what the server presents is judged; the root that it does not present is pki/chain-trusted's matter")
			chains, err = presented(p)
		}
		errs := []error{err}
		for i, b := range roads {
			if b.completed() {
				chains[i].above = append(chains[i].above, b.Chain[1:]...)
			}
			errs = append(errs, b.unread())
		}
		all := func(c *chain) []*x509.Certificate { return issuers(c, known.list, p.Now) }
		for _, m := range members(chains, all) {
			judgeDates(p, m)
		}
		for _, c := range chains {
			judgeOutlived(p, c, all(c))
		}
		return gravest(errs...)
	},
})

// issuers are the CA certificates that a client depends on: those of the trusted chain, or all that were sent when none
// is found. Of a CA that was renewed with its key, the certificate in force counts: Windows takes that one.
func issuers(c *chain, known []*x509.Certificate, now time.Time) []*x509.Certificate {
	above := c.above
	if res := certs.Chains(c.leaf, c.above, known); res.Problem == certs.Trusted {
		above = res.Chain[1:]
	}
	out := make([]*x509.Certificate, len(above))
	for i, issuer := range above {
		out[i] = issuer
		for _, other := range slices.Concat(c.above, known) {
			same := bytes.Equal(other.RawSubject, issuer.RawSubject) && bytes.Equal(other.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo)
			if same && inForce(other, now) && (!inForce(out[i], now) || other.NotAfter.After(out[i].NotAfter)) {
				out[i] = other
			}
		}
	}
	return out
}

func inForce(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && !now.After(c.NotAfter)
}

func judgeDates(p *checks.Pass, m *member) {
	c, d := m.certificate, caDates
	if m.leaf {
		d = leafDates
	}
	left := c.NotAfter.Sub(p.Now)
	var msg *checks.Message
	switch {
	case p.Now.Before(c.NotBefore):
		msg = d.notYetValid
	case left < 0:
		msg = d.expired
	case left < d.soon:
		msg = d.expiresSoon
	default:
		return
	}
	p.Report(msg, m.cites, append(m.args(p), checks.A("days", int(left/day)))...)
}

// judgeOutlived compares the end of each certificate of a chain with that of its issuer. One that has ended, or does soon, has a message of its own.
func judgeOutlived(p *checks.Pass, c *chain, issuers []*x509.Certificate) {
	for _, m := range members([]*chain{c}, func(*chain) []*x509.Certificate { return issuers }) {
		for _, issuer := range issuers {
			if !bytes.Equal(m.certificate.RawIssuer, issuer.RawSubject) || issuer.Equal(m.certificate) || certs.CheckSignature(m.certificate, issuer) != nil {
				continue
			}
			if inForce(issuer, p.Now.Add(caDates.soon)) && m.certificate.NotAfter.After(issuer.NotAfter) {
				p.Report(outlivesIssuer, m.cites, append(m.args(p), checks.A("issuerNotAfter", date(issuer.NotAfter)))...)
			}
		}
	}
}

// date writes a point in time as the fields of a certificate have it, to the minute and in UTC.
func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
