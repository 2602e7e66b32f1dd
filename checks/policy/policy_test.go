package policy_test

import (
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/policy"
)

var (
	day      = time.Date(2027, 1, 31, 23, 0, 0, 0, time.UTC)
	critical = &checks.Message{Tag: "broken", Severity: checks.Critical}
	warning  = &checks.Message{Tag: "old", Severity: checks.Warning}
	hard     = &checks.Check{ID: "net/sip-port", Messages: []*checks.Message{critical}}
	soft     = &checks.Check{ID: "dns/old", Messages: []*checks.Message{warning}}
	subject  = checks.Subject{Scope: checks.ScopeServer, Name: "fe1.branch.example"}
)

func result(c *checks.Check, status engine.Status, findings ...*checks.Finding) *engine.Result {
	r := &engine.Result{Check: c, Subject: subject, Status: status, Findings: findings}
	if status == engine.StatusUnknown {
		r.Missing = evidence.FailAt(evidence.Timeout, "silent", evidence.Key{Kind: "a", Query: "b"})
	}
	return r
}

func finding(c *checks.Check, m *checks.Message) *checks.Finding {
	return &checks.Finding{Check: c, Message: m, Subject: subject}
}

func outcome(results ...*engine.Result) *engine.Outcome {
	return &engine.Outcome{Results: results, Causes: map[*checks.Finding][]*checks.Finding{}}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	ok := result(soft, engine.StatusPass)
	skipped := &engine.Result{Check: hard, Status: engine.StatusSkip, Missing: evidence.Fail(evidence.NotConfigured, "--user")}
	for name, c := range map[string]struct {
		results []*engine.Result
		opts    policy.Options
		code    int
		verdict string
	}{
		"all well":                             {[]*engine.Result{ok}, policy.Options{}, 0, "pass"},
		"a critical finding":                   {[]*engine.Result{ok, result(hard, engine.StatusFail, finding(hard, critical))}, policy.Options{}, 1, "fail"},
		"a warning is below the gate":          {[]*engine.Result{result(soft, engine.StatusWarn, finding(soft, warning))}, policy.Options{}, 0, "pass"},
		"unless it is lowered":                 {[]*engine.Result{result(soft, engine.StatusWarn, finding(soft, warning))}, policy.Options{FailOn: checks.Warning}, 1, "fail"},
		"an unknown that could be critical":    {[]*engine.Result{ok, result(hard, engine.StatusUnknown)}, policy.Options{}, 3, "incomplete"},
		"an unknown that could warn at most":   {[]*engine.Result{ok, result(soft, engine.StatusUnknown)}, policy.Options{}, 0, "pass"},
		"strict counts it":                     {[]*engine.Result{ok, result(soft, engine.StatusUnknown)}, policy.Options{Strict: true}, 1, "fail"},
		"strict counts not configured":         {[]*engine.Result{ok, skipped}, policy.Options{Strict: true}, 1, "fail"},
		"not configured is else no matter":     {[]*engine.Result{ok, skipped}, policy.Options{}, 0, "pass"},
		"nothing could be judged":              {[]*engine.Result{skipped}, policy.Options{}, 3, "incomplete"},
		"a finding wins over an unknown":       {[]*engine.Result{result(hard, engine.StatusFail, finding(hard, critical)), result(hard, engine.StatusUnknown)}, policy.Options{}, 1, "fail"},
		"a sign-in that stops":                 {[]*engine.Result{ok}, policy.Options{Stopped: true}, 1, "fail"},
		"a sign-in that cannot be followed":    {[]*engine.Result{ok}, policy.Options{Lost: true}, 3, "incomplete"},
		"a bug wins over all":                  {[]*engine.Result{result(hard, engine.StatusFail, finding(hard, critical)), result(hard, engine.StatusError)}, policy.Options{Interrupted: true}, 4, "error"},
		"interrupted wins over a finding":      {[]*engine.Result{result(hard, engine.StatusFail, finding(hard, critical))}, policy.Options{Interrupted: true}, 130, "fail"},
		"interrupted is never a pass":          {[]*engine.Result{ok}, policy.Options{Interrupted: true}, 130, "incomplete"},
		"what the baseline has does not count": {[]*engine.Result{result(hard, engine.StatusFail, finding(hard, critical))}, policy.Options{Baseline: map[string]bool{finding(hard, critical).ID(): true}}, 0, "pass"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.opts.FailOn == 0 {
				c.opts.FailOn = checks.Error
			}
			d := policy.Decide(outcome(c.results...), c.opts)
			if d.ExitCode != c.code || d.Verdict != c.verdict {
				t.Errorf("exit %d, %s; want %d, %s", d.ExitCode, d.Verdict, c.code, c.verdict)
			}
		})
	}
}

func TestWaivers(t *testing.T) {
	t.Parallel()
	until := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	waiver := policy.Waiver{Check: "net/sip-port", Subject: "*.branch.example", Reason: "moves", Until: until}
	with := func(change func(*policy.Waiver)) policy.Waiver { w := waiver; change(&w); return w }
	for name, c := range map[string]struct {
		waiver policy.Waiver
		now    time.Time
		code   int
		note   string
	}{
		"covers on its last day": {waiver, day, 0, ""},
		"not on the day after":   {waiver, day.Add(2 * time.Hour), 1, "expired on 2027-01-31"},
		"by tag":                 {with(func(w *policy.Waiver) { w.Check = "net/sip-port:broken" }), day, 0, ""},
		"another subject":        {with(func(w *policy.Waiver) { w.Subject = "*.other" }), day, 1, "not used"},
		"a check that is not":    {with(func(w *policy.Waiver) { w.Check = "net/sip" }), day, 1, "names no check"},
		"a message that is not":  {with(func(w *policy.Waiver) { w.Check = "net/sip-port:x" }), day, 1, "names no check"},
		"without subject any":    {with(func(w *policy.Waiver) { w.Subject = "" }), day, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cause := finding(hard, critical)
			effect := &checks.Finding{Check: soft, Message: &checks.Message{Tag: "e", Severity: checks.Critical}, Subject: subject}
			unknown := result(hard, engine.StatusUnknown)
			out := outcome(result(hard, engine.StatusFail, cause), result(soft, engine.StatusFail, effect), unknown)
			out.Causes[effect] = []*checks.Finding{cause}
			out.Missing = []engine.Missing{{Failure: unknown.Missing, Under: cause, Results: []*engine.Result{unknown}}}
			d := policy.Decide(out, policy.Options{FailOn: checks.Error, Waivers: []policy.Waiver{c.waiver}, Known: []*checks.Check{hard, soft}, Now: c.now})
			if d.ExitCode != c.code {
				t.Errorf("exit %d, want %d", d.ExitCode, c.code)
			}
			if c.code == 0 && (d.Waived[cause] == nil || d.Waived[effect] == nil) {
				t.Error("the finding and its consequence are not both marked as waived")
			}
			if got := strings.Join(d.Notes, "\n"); !strings.Contains(got, c.note) || (c.note == "") != (got == "") {
				t.Errorf("the notes are %q, want %q", got, c.note)
			}
		})
	}
}
