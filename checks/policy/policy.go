// Package policy decides what findings count: waivers, a baseline, the gate, and the exit code, which is
// decided here and nowhere else.
package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/engine"
)

// The exit codes, the same for every verb and format but nagios.
const (
	ExitOK          = 0
	ExitFindings    = 1
	ExitUsage       = 2
	ExitIncomplete  = 3
	ExitBug         = 4
	ExitInterrupted = 130
)

// The verdicts of a report.
const (
	VerdictPass       = "pass"
	VerdictFail       = "fail"
	VerdictIncomplete = "incomplete"
	VerdictError      = "error"
)

// Waiver accepts a finding until a date. It stays visible.
type Waiver struct {
	Check   string // id or id:tag
	Subject string // glob; empty matches all
	Reason  string
	Until   time.Time // the last day on which it holds
	By      string
}

func (w Waiver) matches(f *checks.Finding) bool {
	id, tag, hasTag := strings.Cut(w.Check, ":")
	if f.Check.ID != id || hasTag && f.Message.Tag != tag {
		return false
	}
	if w.Subject == "" {
		return true
	}
	ok, err := path.Match(strings.ToLower(w.Subject), strings.ToLower(f.Subject.Name))
	return ok && err == nil
}

// expired tells whether the waiver's last day is over.
func (w Waiver) expired(now time.Time) bool { return !now.Before(w.Until.AddDate(0, 0, 1)) }

// Options are what the user asked of the gate.
type Options struct {
	FailOn  checks.Severity
	Strict  bool
	Waivers []Waiver
	// Baseline holds the ids of the findings of an earlier report; nil means there is none.
	Baseline map[string]bool
	// Known are all checks that exist, selected or not: a waiver that names none of them is reported.
	Known []*checks.Check
	// Now decides which waivers have expired: the time of judging, not of capture.
	Now         time.Time
	Interrupted bool
	// Stopped tells that a sign-in that was followed ends at a server or record that keeps the client out, Lost that it could not be
	// followed to its end: that counts whatever the checks say.
	Stopped, Lost bool
}

// Decision is what the options make of an outcome.
type Decision struct {
	Verdict  string
	ExitCode int
	// Waived are the findings that a waiver covers, and the consequences of those alone.
	Waived map[*checks.Finding]*Waiver
	// Notes are what is wrong with the waivers: expired, unused, of an unknown check.
	Notes []string
}

// Decide applies the options.
func Decide(out *engine.Outcome, o Options) Decision {
	d := Decision{Waived: map[*checks.Finding]*Waiver{}}
	d.Notes = d.applyWaivers(out, o)
	gate, incomplete, bug, judged := o.Stopped, o.Lost, false, false
	for _, r := range out.Results {
		switch r.Status {
		case engine.StatusError:
			bug = true
		case engine.StatusPass, engine.StatusWarn, engine.StatusFail:
			judged = true
		}
		for _, f := range r.Findings {
			if d.Waived[f] == nil && !o.Baseline[f.ID()] && f.Message.Severity >= o.FailOn {
				gate = true
			}
		}
		// A result with a failing finding can lack a fact too: what it lacks could have raised more.
		if r.Status == engine.StatusUnknown && r.Check.MaxSeverity() >= o.FailOn && !d.underAccepted(out, r, o.Baseline) {
			incomplete = true
		}
		if o.Strict && (r.Status == engine.StatusUnknown || r.NotConfigured()) {
			gate = true
		}
	}
	incomplete = incomplete || !judged
	switch {
	case bug:
		d.Verdict, d.ExitCode = VerdictError, ExitBug
	case gate:
		d.Verdict, d.ExitCode = VerdictFail, ExitFindings
	case incomplete || o.Interrupted:
		d.Verdict, d.ExitCode = VerdictIncomplete, ExitIncomplete
	default:
		d.Verdict, d.ExitCode = VerdictPass, ExitOK
	}
	if o.Interrupted && !bug {
		d.ExitCode = ExitInterrupted
	}
	return d
}

// underAccepted tells whether the unknown hangs on a finding that is waived or in the baseline.
func (d Decision) underAccepted(out *engine.Outcome, r *engine.Result, baseline map[string]bool) bool {
	for _, m := range out.Missing {
		if m.Under != nil && slices.Contains(m.Results, r) {
			return d.Waived[m.Under] != nil || baseline[m.Under.ID()]
		}
	}
	return false
}

func (d Decision) applyWaivers(out *engine.Outcome, o Options) []string {
	var notes []string
	var all []*checks.Finding
	for _, r := range out.Results {
		all = append(all, r.Findings...)
	}
	for i := range o.Waivers {
		w := &o.Waivers[i]
		switch {
		case !known(w.Check, o.Known):
			notes = append(notes, fmt.Sprintf("the waiver for %s names no check or message that exists", w.Check))
			continue
		case w.expired(o.Now):
			notes = append(notes, fmt.Sprintf("the waiver for %s expired on %s", w.Check, w.Until.Format(time.DateOnly)))
			continue
		}
		used := false
		for _, f := range all {
			if w.matches(f) {
				used = true
				if d.Waived[f] == nil {
					d.Waived[f] = w
				}
			}
		}
		if !used {
			notes = append(notes, fmt.Sprintf("the waiver for %s is not used: nothing was found that it covers", w.Check))
		}
	}
	// A consequence counts as waived when all that explains it is.
	for changed := true; changed; {
		changed = false
		for _, f := range all {
			causes := out.Causes[f]
			if d.Waived[f] != nil || len(causes) == 0 {
				continue
			}
			if !slices.ContainsFunc(causes, func(c *checks.Finding) bool { return d.Waived[c] == nil }) {
				d.Waived[f], changed = d.Waived[causes[0]], true
			}
		}
	}
	return notes
}

func known(ref string, all []*checks.Check) bool {
	id, tag, hasTag := strings.Cut(ref, ":")
	return slices.ContainsFunc(all, func(c *checks.Check) bool {
		return c.ID == id && (!hasTag || c.Message(tag) != nil)
	})
}
