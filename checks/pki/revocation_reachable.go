package pki

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
)

var (
	noneUsable = &checks.Message{
		Tag:      "none-usable",
		Severity: checks.Warning,
		Text:     "nobody can find out whether the certificate of {subject}, in the chain on {endpoints}, was revoked: {sources}",
		Identity: []string{"issuer", "addresses"},
	}
	onlyStale = &checks.Message{
		Tag:         "only-stale",
		Severity:    checks.Warning,
		Text:        "of what says whether the certificate of {subject}, in the chain on {endpoints}, was revoked, nothing is in force: {sources}",
		Identity:    []string{"issuer", "addresses"},
		ExplainedBy: []string{"pki/revocation-current:stale"},
	}
	someDead = &checks.Message{
		Tag:      "some-dead",
		Severity: checks.Notice,
		Text:     "whether the certificate of {subject}, in the chain on {endpoints}, was revoked can be found out, but not by way of {sources}",
		Identity: []string{"issuer", "addresses"},
	}
)

var _ = register(&checks.Check{
	ID:       "pki/revocation-reachable",
	Title:    "whether the certificates that the OCS server presents were revoked can be found out",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    revocationNeeds,
	Messages: []*checks.Message{noneUsable, onlyStale, someDead},
	Run: func(p *checks.Pass) error {
		found, err := examine(p)
		errs := []error{err}
		for _, e := range found {
			errs = append(errs, judgeReachable(p, e))
		}
		return gravest(errs...)
	},
})

func judgeReachable(p *checks.Pass, e *examined) error {
	switch {
	case len(e.sources) == 0:
		return namesNone(e)
	case e.decides():
		e.excuse(p, false)
		e.excuse(p, true)
		if slices.ContainsFunc(e.sources, dead) {
			p.Report(someDead, e.asked(), e.args(p, dead)...)
		}
		return nil
	}
	err := e.unread(p, false)
	e.excuse(p, true)
	if err != nil {
		return err
	}
	msg := noneUsable
	if slices.ContainsFunc(e.copies(), func(l *certs.CRL) bool { return ended(l, p.Now) }) {
		msg = onlyStale
	}
	p.Report(msg, e.asked(), e.args(p, func(s *source) bool { return !s.delta && !s.usable() })...)
	return nil
}

// dead tells whether a source is of no use to us. What Active Directory did not answer is a matter of its domain controllers.
func dead(s *source) bool { return s.why != "" || s.web && evidence.Excusable(s.err) }

// namesNone says of a certificate that it has no source; pki/cdp-present speaks of that.
func namesNone(e *examined) error {
	return checks.NotApplicable("the certificate of " + certs.Describe(e.certificate.Raw).Subject + " names neither a CRL nor an OCSP responder")
}
