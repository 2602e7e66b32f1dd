package host

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// waitingUpdate are the findings about KB974571 which say what has to be done before or by a restart.
var waitingUpdate = []string{"patch/kb974571-before-setup:pending", "patch/kb974571-before-setup:removal-pending", "patch/ocsasnfix:breaks-at-next-restart"}

var (
	restartBeforeSetup = &checks.Message{
		Tag:         "before-setup",
		Severity:    checks.Error,
		Text:        "{server}, on which OCS is about to be set up, waits for a restart: {reasons}",
		ExplainedBy: waitingUpdate,
	}
	restartPending = &checks.Message{
		Tag:         "pending",
		Severity:    checks.Warning,
		Text:        "{server} waits for a restart: {reasons}",
		ExplainedBy: waitingUpdate,
	}
)

var _ = register(&checks.Check{
	ID:       "host/restart-pending",
	Title:    "the server does not wait for a restart",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostRestart, facts.ServerPhase},
	Messages: []*checks.Message{restartBeforeSetup, restartPending},
	Run: func(p *checks.Pass) error {
		r, err := facts.HostRestart.Get(p.Facts, server(p))
		if err != nil || len(r.Reasons) == 0 {
			return err
		}
		before, err := facts.BeforeSetup(p.Facts, server(p))
		if err != nil {
			return err
		}
		msg := restartPending
		if before {
			msg = restartBeforeSetup
		}
		var reasons []string
		var cites []evidence.Key
		for _, reason := range r.Reasons {
			reasons = append(reasons, reason.What)
			cites = append(cites, reason.Cite)
		}
		p.Report(msg, cites, checks.A("server", p.Subject.Name), checks.A("reasons", strings.Join(reasons, "; ")))
		return nil
	},
})
