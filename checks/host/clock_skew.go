package host

import (
	"fmt"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

var (
	clockOff = &checks.Message{
		Tag:      "off",
		Severity: checks.Error,
		Text:     "the clock of {server} is {offset} {side} that of {reference}; Kerberos allows 5 minutes",
		// When the domain controllers do not agree, the server may follow one that is wrong.
		ExplainedBy: []string{"ad/dc-clock-skew:dc-off"},
	}
	clockDiffers = &checks.Message{
		Tag:      "differs",
		Severity: checks.Warning,
		Text:     "the clock of {server} is {offset} {side} that of the machine that runs the scan; which one is wrong is not known, as no domain controller told its time",
	}
)

var _ = register(&checks.Check{
	ID:       "host/clock-skew",
	Title:    "the clock of the OCS server agrees with those of the domain controllers",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.SIPDomains, facts.Register, facts.Controllers, facts.RootDSE},
	Messages: []*checks.Message{clockOff, clockDiffers},
	Run: func(p *checks.Pass) error {
		own, key, err := sipClock(p)
		if err != nil {
			return err
		}
		clocks, keys, err := dcClocks(p)
		if err != nil {
			return err
		}
		if len(clocks) == 0 {
			if own.Abs() >= maxSkew {
				p.Report(clockDiffers, []evidence.Key{key}, clockArgs(p, own, "")...)
			}
			return nil
		}
		// One that agrees is enough: then another domain controller is wrong, which ad/dc-clock-skew tells.
		nearest := 0
		for i := range clocks {
			if (own - clocks[i].ahead).Abs() < (own - clocks[nearest].ahead).Abs() {
				nearest = i
			}
		}
		if off := own - clocks[nearest].ahead; off.Abs() >= maxSkew {
			p.Report(clockOff, append([]evidence.Key{key}, keys...), clockArgs(p, off, clocks[nearest].host)...)
		}
		return nil
	},
})

// maxSkew is how far clocks may differ for Kerberos, by the policy that a domain has at first.
const maxSkew = 5 * time.Minute

// sipDate is the form of the header Date (RFC 3261, section 25.1: SIP-date).
const sipDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// sipClock is how far the server's clock is ahead of ours, by the Date of its answer to a sign-in.
func sipClock(p *checks.Pass) (ahead time.Duration, key evidence.Key, err error) {
	domains, err := facts.SIPDomains.Get(p.Facts, evidence.None{})
	if err != nil {
		return 0, key, err
	}
	if len(domains.List) == 0 {
		return 0, key, checks.NotApplicable("there is no SIP domain to sign in to, and so no answer with a date")
	}
	q := facts.RegisterQuestion{Endpoint: facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}, Domain: domains.List[0]}
	key = facts.Register.Key(q)
	a, err := facts.Register.Get(p.Facts, q)
	if err != nil {
		return 0, key, err
	}
	date := a.Header("Date")
	if date == "" {
		return 0, key, evidence.FailAt(evidence.NoTarget, "the answer of "+p.Subject.Name+" to a sign-in has no Date", key)
	}
	t, err := time.Parse(sipDate, date)
	switch {
	case err != nil:
		return 0, key, evidence.FailAt(evidence.Protocol, fmt.Sprintf("the answer of %s to a sign-in has no readable Date: %.40q", p.Subject.Name, date), key)
	case a.ReadAt.IsZero():
		return 0, key, evidence.FailAt(evidence.NotRecorded, "the recording does not hold when "+p.Subject.Name+" told its time", key)
	}
	return t.Sub(a.ReadAt), key, nil
}

// dcClock is how far the clock of a domain controller is ahead of ours.
type dcClock struct {
	host  string
	ahead time.Duration
}

// dcClocks are those of the domain controllers that told their time, with what shows them. There may be none.
func dcClocks(p *checks.Pass) (clocks []dcClock, keys []evidence.Key, err error) {
	refs, err := facts.Controllers.Get(p.Facts, evidence.None{})
	if err != nil {
		if !evidence.Excusable(err) {
			return nil, nil, err
		}
		p.Excuse(err, "without a domain controller our own clock is the only other one")
		return nil, nil, nil
	}
	var questions []facts.DCQuestion
	for _, ref := range refs {
		questions = append(questions, facts.DCQuestion{DC: ref.Ask})
	}
	roots, errs := evidence.GetAll(p.Facts, facts.RootDSE, questions)
	for i, ref := range refs {
		if errs[i] != nil {
			if !evidence.Excusable(errs[i]) {
				return nil, nil, errs[i]
			}
			p.Excuse(errs[i], "the clock of another domain controller will do")
			continue
		}
		t, bad := ntds.GeneralizedTime(roots[i].Get("currentTime"))
		if bad != nil || roots[i].ReadAt.IsZero() {
			continue // ad/dc-clock-skew
		}
		clocks = append(clocks, dcClock{ref.Host, t.Sub(roots[i].ReadAt)})
		keys = append(keys, facts.RootDSE.Key(questions[i]))
	}
	return clocks, keys, nil
}

func clockArgs(p *checks.Pass, off time.Duration, reference string) []checks.Arg {
	side := "ahead of"
	if off < 0 {
		side = "behind"
	}
	return []checks.Arg{checks.A("server", p.Subject.Name), checks.A("offset", spell(off.Abs())), checks.A("side", side), checks.A("reference", reference),
		checks.A("domain", facts.Parent(p.Subject.Name))}
}

// spell is a duration in words. It is rounded, as the header has whole seconds and the answer took its time.
func spell(d time.Duration) string {
	d = d.Round(10 * time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}

// spellTime is a time to the second, in UTC.
func spellTime(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }
