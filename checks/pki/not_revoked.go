package pki

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence/certs"
)

var (
	revoked = &checks.Message{
		Tag:      "revoked",
		Severity: checks.Critical,
		Text:     "{issuer} revoked the certificate of {subject}, in the chain on {endpoints}{reason}; so say {sources}",
		Identity: []string{"thumbprint"},
	}
	// notKnown is no unknown: all sources were looked at, and nobody else would learn more from them.
	notKnown = &checks.Message{
		Tag:         "not-known",
		Severity:    checks.Warning,
		Text:        "nothing says whether {issuer} revoked the certificate of {subject}, in the chain on {endpoints}: {sources}",
		Identity:    []string{"thumbprint"},
		ExplainedBy: []string{"pki/revocation-reachable:none-usable", "pki/revocation-reachable:only-stale", "pki/revocation-current:stale"},
	}
)

// reasons are those of a revocation (RFC 5280, section 5.3.1); 0 is unspecified.
var reasons = map[int]string{
	1: "key compromise", 2: "CA compromise", 3: "affiliation changed", 4: "superseded", 5: "cessation of operation", 6: "certificate hold",
	9: "privilege withdrawn", 10: "AA compromise",
}

var _ = register(&checks.Check{
	ID:       "pki/not-revoked",
	Title:    "none of the certificates that the OCS server presents was revoked",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    revocationNeeds,
	Messages: []*checks.Message{revoked, notKnown},
	Run: func(p *checks.Pass) error {
		found, err := examine(p)
		errs := []error{err}
		for _, e := range found {
			errs = append(errs, judgeStanding(p, e))
		}
		return gravest(errs...)
	},
})

func judgeStanding(p *checks.Pass, e *examined) error {
	if len(e.sources) == 0 {
		return namesNone(e)
	}
	var lists []*certs.CRL
	var responses []*certs.OCSP
	for _, s := range e.sources {
		lists = append(lists, s.lists...)
		if s.response != nil {
			responses = append(responses, s.response)
		}
	}
	switch certs.Judge(e.certificate, e.issuer, lists, responses, p.Now) {
	case certs.IsRevoked:
		reason := ""
		for _, l := range lists {
			if code, ok := l.Revoked(e.certificate.SerialNumber); ok && reasons[code] != "" {
				reason = ", for the reason " + reasons[code]
			}
		}
		p.Report(revoked, e.asked(), append(e.args(p, e.saysRevoked), checks.A("reason", reason))...)
		return nil
	case certs.NotRevoked:
		e.excuse(p, false)
		if slices.ContainsFunc(e.sources, func(s *source) bool { return s.delta && s.usable() }) {
			e.excuse(p, true)
		}
		return e.unread(p, true) // a delta may revoke what its base does not
	}
	if err := gravest(e.unread(p, false), e.unread(p, true)); err != nil {
		return err
	}
	p.Report(notKnown, e.asked(), e.args(p, func(s *source) bool { return !s.usable() })...)
	return nil
}

func (e *examined) saysRevoked(s *source) bool {
	return s.response != nil && s.response.Status == certs.Revoked || slices.ContainsFunc(s.lists, func(l *certs.CRL) bool {
		_, ok := l.Revoked(e.certificate.SerialNumber)
		return ok
	})
}
