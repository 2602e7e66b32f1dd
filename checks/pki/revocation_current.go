package pki

import (
	"slices"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence/certs"
)

var (
	stale = &checks.Message{
		Tag:      "stale",
		Severity: checks.Error,
		Text:     "every copy of the CRL of {issuer} that can be read is out of date, the last since {nextUpdate}: {sources}",
		Identity: []string{"issuer", "addresses"},
	}
	listExpiresSoon = &checks.Message{
		Tag:      "expires-soon",
		Severity: checks.Warning,
		Text:     "the CRL of {issuer} of {thisUpdate} is in force until {nextUpdate} only, and no newer one is published: {sources}",
		Identity: []string{"issuer", "addresses"},
	}
	staleCopy = &checks.Message{
		Tag:      "stale-copy",
		Severity: checks.Notice,
		Text:     "a copy of the CRL of {issuer} is out of date: {sources}",
		Identity: []string{"issuer", "addresses"},
	}
)

// soonShare is the part of a list's life at whose end a newer one is due.
const soonShare = 10

var _ = register(&checks.Check{
	ID:       "pki/revocation-current",
	Title:    "the CRLs of the certificates that the OCS server presents are in force",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    revocationNeeds,
	Messages: []*checks.Message{stale, listExpiresSoon, staleCopy},
	Run: func(p *checks.Pass) error {
		found, err := examine(p)
		errs := []error{err}
		for _, e := range found {
			errs = append(errs, judgeLists(p, e))
		}
		return gravest(errs...)
	},
})

func judgeLists(p *checks.Pass, e *examined) error {
	e.excuse(p, true) // a delta only adds to its base
	copies := e.copies()
	fresh := inForceLast(copies, e, p.Now)
	var unread error
	if fresh == nil || expires(fresh, p.Now) {
		unread = e.unread(p, false) // it may hold a newer list
	} else {
		e.excuse(p, false)
	}
	isStale := func(s *source) bool {
		return slices.ContainsFunc(s.lists, func(l *certs.CRL) bool { return ended(l, p.Now) })
	}
	report := func(msg *checks.Message, l *certs.CRL, which func(*source) bool) {
		p.Report(msg, e.asked(), append(e.args(p, which), checks.A("thisUpdate", date(l.ThisUpdate)), checks.A("nextUpdate", date(l.NextUpdate)))...)
	}
	switch last := lastEnded(copies, p.Now); {
	case fresh == nil && unread == nil && last != nil:
		report(stale, last, isStale)
		return nil
	case fresh != nil && unread == nil && expires(fresh, p.Now):
		report(listExpiresSoon, fresh, func(s *source) bool { return slices.Contains(s.lists, fresh) })
	}
	if slices.ContainsFunc(e.sources, isStale) {
		p.Report(staleCopy, e.asked(), e.args(p, isStale)...)
	}
	if unread == nil && fresh == nil {
		return checks.NotApplicable("no CRL of " + certs.Describe(e.certificate.Raw).Issuer + " could be read, whose dates could be judged")
	}
	return unread
}

// lastEnded is the list that went out of date last; nil if there is none.
func lastEnded(copies []*certs.CRL, now time.Time) *certs.CRL {
	var best *certs.CRL
	for _, l := range copies {
		if ended(l, now) && (best == nil || l.NextUpdate.After(best.NextUpdate)) {
			best = l
		}
	}
	return best
}

// inForceLast is the list in force that is so the longest; nil if there is none.
func inForceLast(copies []*certs.CRL, e *examined, now time.Time) *certs.CRL {
	var best *certs.CRL
	for _, l := range copies {
		if _, ok := l.Usable(e.certificate, e.issuer, now); ok && (best == nil || !best.NextUpdate.IsZero() && (l.NextUpdate.IsZero() || l.NextUpdate.After(best.NextUpdate))) {
			best = l
		}
	}
	return best
}

// expires tells whether a list is in the last part of its life, and its CA ought to have published the next one by now. With weekly lists
// a CA of Windows does so twelve hours before the end, and says it in the list.
func expires(l *certs.CRL, now time.Time) bool {
	return !l.NextUpdate.IsZero() && l.NextUpdate.Sub(now) < l.NextUpdate.Sub(l.ThisUpdate)/soonShare && now.After(l.NextPublish)
}
