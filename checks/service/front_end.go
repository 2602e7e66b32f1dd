package service

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// noDatabase explains that what needs the database does not run.
var noDatabase = []string{"service/sql:stopped", "service/sql:disabled"}

var (
	frontEndStopped = &checks.Message{
		Tag:         "stopped",
		Severity:    checks.Critical,
		Text:        "the service {names} on {server} is stopped: {why}",
		ExplainedBy: noDatabase,
	}
	frontEndLogonFailed = &checks.Message{
		Tag:         "logon-failed",
		Severity:    checks.Critical,
		Text:        "the service {names} on {server} is stopped: {why}; it logs on as {account}",
		ExplainedBy: badLogon,
	}
	frontEndEvaluation = &checks.Message{
		Tag:         "evaluation-expired",
		Severity:    checks.Critical,
		Text:        "the service {names} on {server} is stopped: {why}",
		ExplainedBy: []string{"patch/ocsasnfix:broken-now", "patch/ocsasnfix:trial-over"},
	}
	frontEndMismatch = &checks.Message{
		Tag:         "database-mismatch",
		Severity:    checks.Critical,
		Text:        "the service {names} on {server} is stopped: {why}",
		ExplainedBy: []string{"patch/database-upgraded-first"},
	}
	frontEndNoCertificate = &checks.Message{
		Tag:      "no-certificate",
		Severity: checks.Critical,
		Text:     "the service {names} on {server} is stopped: {why}",
		ExplainedBy: []string{"pki/revocation-reachable", "pki/revocation-current", "pki/validity", "pki/chain-trusted", "pki/not-revoked",
			"pki/private-key", "pki/assigned-certificate:assigned-not-in-store"},
	}
	frontEndPending = &checks.Message{
		Tag:      "pending",
		Severity: checks.Error,
		Text:     "the service {names} on {server} is {state}: it neither runs nor has it stopped",
	}
	frontEndDisabled = &checks.Message{
		Tag:      "disabled",
		Severity: checks.Critical,
		Text:     "the service {names} on {server} is {state} and disabled: nobody can start it",
	}
	frontEndMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Critical,
		Text:     "{server} has no service RtcSrv, though Active Directory lists it as a front end of {pool}",
	}
	frontEndManual = &checks.Message{
		Tag:      "manual",
		Severity: checks.Warning,
		Text:     "the service {names} on {server} runs and is started by hand only: it stays down after the next restart of Windows",
	}
)

var _ = register(&checks.Check{
	ID:     "service/front-end",
	Title:  "the Front-End service, or the Access Edge on an Edge server, runs and starts with Windows",
	Scope:  checks.ScopeServer,
	Phases: checks.PostInstall,
	After:  checks.Services,
	Needs:  []evidence.AnyKind{facts.OCSServices, facts.Pools},
	Messages: []*checks.Message{frontEndStopped, frontEndLogonFailed, frontEndEvaluation, frontEndMismatch, frontEndNoCertificate, frontEndPending,
		frontEndDisabled, frontEndMissing, frontEndManual},
	Run: func(p *checks.Pass) error {
		l, err := onServer(p)
		if err != nil {
			return err
		}
		s, ok := l.Find(facts.FrontEndService)
		if !ok {
			return noFrontEnd(p, l)
		}
		g := group{services: []facts.OCSService{s}, why: why(s)}
		if msg := frontEndVerdict(s); msg != nil {
			p.Report(msg, g.cites(l), append(g.args(p, l), checks.A("dependencies", strings.Join(s.DependsOn, "/")), checks.A("edge", mark(l.Edge())))...)
		}
		return nil
	},
})

// frontEndVerdict is nil for a service that runs and starts with Windows.
func frontEndVerdict(s facts.OCSService) *checks.Message {
	switch {
	case s.Running() && s.Start == facts.StartManual:
		return frontEndManual
	case s.Running() && !s.Disabled():
		return nil
	case s.Disabled():
		return frontEndDisabled
	case s.State != facts.ServiceStopped:
		return frontEndPending
	case logonFailed(s):
		return frontEndLogonFailed
	case specific(s) == codeEvaluationExpired || specific(s) == codeVersionUnread:
		return frontEndEvaluation
	case specific(s) == codeDatabaseMismatch:
		return frontEndMismatch
	case specific(s) == codeNoCertificate:
		return frontEndNoCertificate
	}
	return frontEndStopped
}

// noFrontEnd judges a server without the service: it is amiss only where AD lists the server as a front end.
func noFrontEnd(p *checks.Pass, l facts.OCSServiceList) error {
	none := checks.NotApplicable("the server has no Front-End service")
	pools, err := facts.Pools.Get(p.Facts, evidence.None{})
	if err != nil {
		if !evidence.Excusable(err) {
			return err
		}
		p.Excuse(err, "without AD nothing says that the server is a front end")
		return none
	}
	if pool, ok := pools.Of(p.Subject.Name); ok {
		p.Report(frontEndMissing, []evidence.Key{l.Cite, pools.Cite}, checks.A("server", p.Subject.Name), checks.A("pool", pool.FQDN))
		return nil
	}
	return none
}

// mark is what a condition of a fix reads.
func mark(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
