package ad

import (
	"fmt"
	"slices"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

var (
	dcOff = &checks.Message{
		Tag:      "dc-off",
		Severity: checks.Error,
		Text:     "the clock of {dc} is {offset} {side} that of {reference}; Kerberos allows 5 minutes",
		Identity: []string{"dc"},
	}
	dcDrifting = &checks.Message{
		Tag:      "dc-drifting",
		Severity: checks.Warning,
		Text:     "the clock of {dc} is {offset} {side} that of {reference}; at 5 minutes Kerberos fails",
		Identity: []string{"dc"},
	}
	scannerOff = &checks.Message{
		Tag:      "scanner-off",
		Severity: checks.Warning,
		Text:     "the clock of the machine that runs the scan is {offset} {side} that of {reference}",
	}
)

var _ = register(&checks.Check{
	ID:       "ad/dc-clock-skew",
	Title:    "the clocks of the domain controllers agree",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.Controllers, facts.RootDSE, facts.Masters},
	Messages: []*checks.Message{dcOff, dcDrifting, scannerOff},
	Run:      dcClockSkew,
})

// driftLimit is how far a clock may be off before it is worth a warning; clocks within it agree.
const driftLimit = 2 * time.Minute

// clock is that of a domain controller, or our own, whose host is empty.
type clock struct {
	host  string
	ahead time.Duration // of ours
	key   evidence.Key
}

func dcClockSkew(p *checks.Pass) error {
	refs, err := facts.Controllers.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	var questions []facts.DCQuestion
	for _, ref := range refs {
		questions = append(questions, facts.DCQuestion{DC: ref.Ask})
	}
	roots, errs := evidence.GetAll(p.Facts, facts.RootDSE, questions)
	clocks := []clock{{}}
	for i, ref := range refs {
		c, readErr := readClock(ref.Host, roots[i], facts.RootDSE.Key(questions[i]))
		if err = firstError(err, errs[i], readErr); errs[i] == nil && readErr == nil {
			clocks = append(clocks, c)
		}
	}
	if len(clocks) == 1 {
		return err
	}
	right, rightErr := rightClock(p, clocks)
	if rightErr != nil {
		return firstError(err, rightErr)
	}
	for _, c := range clocks {
		judgeClock(p, c, right, clocks)
	}
	return err
}

func readClock(host string, root facts.RootDSEData, key evidence.Key) (clock, error) {
	t, err := ntds.GeneralizedTime(root.Get("currentTime"))
	switch {
	case err != nil:
		return clock{}, evidence.FailAt(evidence.Protocol, host+" gives no readable currentTime: "+err.Error(), key)
	case root.ReadAt.IsZero():
		return clock{}, evidence.FailAt(evidence.NotRecorded, "the recording does not hold when "+host+" told its time", key)
	}
	return clock{host, t.Sub(root.ReadAt), key}, nil
}

func agree(a, b clock) bool { return (a.ahead - b.ahead).Abs() < driftLimit }

// rightClock is that of the domain controllers where they agree. Where they do not, it is the one that agrees with most, ours
// included; where that leaves several, that of the PDC emulator, from which the others take their time, or else ours.
func rightClock(p *checks.Pass, clocks []clock) (clock, error) {
	support := func(c clock) (n int) {
		for _, o := range clocks {
			if agree(c, o) {
				n++
			}
		}
		return n
	}
	best, dcs := clocks[0], clocks[1:]
	if !slices.ContainsFunc(dcs, func(a clock) bool { return slices.ContainsFunc(dcs, func(b clock) bool { return !agree(a, b) }) }) {
		return dcs[0], nil
	}
	for _, c := range dcs {
		if support(c) > support(best) {
			best = c
		}
	}
	if !slices.ContainsFunc(clocks, func(c clock) bool { return support(c) == support(best) && !agree(c, best) }) {
		return best, nil
	}
	masters, err := facts.Masters.Get(p.Facts, evidence.None{})
	if err != nil && !evidence.Excusable(err) {
		return clock{}, err
	}
	p.Excuse(err, "the PDC emulator only decides which of two clocks is the right one")
	for _, c := range dcs {
		if c.host == masters.PDC && support(c) == support(best) {
			return c, nil
		}
	}
	return best, nil
}

// judgeClock judges one clock by the one that is right. Our own is only worth a word where Kerberos would fail.
func judgeClock(p *checks.Pass, c, right clock, clocks []clock) {
	off := c.ahead - right.ahead
	if off.Abs() < driftLimit || c.host == "" && off.Abs() < maxSkew {
		return
	}
	side := "ahead of"
	if off < 0 {
		side = "behind"
	}
	var cites []evidence.Key
	var names []string
	for _, o := range append(clocks[1:len(clocks):len(clocks)], clocks[0]) {
		if agree(o, right) {
			names = append(names, o.name())
		}
		if o.host != "" && (agree(o, right) || o == c) {
			cites = append(cites, o.key)
		}
	}
	m := dcDrifting
	switch {
	case c.host == "":
		m = scannerOff
	case off.Abs() >= maxSkew:
		m = dcOff
	}
	p.Report(m, cites, checks.A("dc", c.name()), checks.A("offset", spell(off.Abs())), checks.A("side", side), checks.A("reference", facts.Few(names, ", ", maxNamed)))
}

func (c clock) name() string {
	if c.host == "" {
		return "the machine that runs the scan"
	}
	return c.host
}

// spell is a duration in words. It is rounded, as currentTime has whole seconds and the answer took its time.
func spell(d time.Duration) string {
	d = d.Round(10 * time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}
