package service

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	sqlStopped = &checks.Message{
		Tag:      "stopped",
		Severity: checks.Critical,
		Text:     "SQL Server (MSSQL$RTC), which holds the databases of {server}, is {state}: {why}",
	}
	sqlDisabled = &checks.Message{
		Tag:      "disabled",
		Severity: checks.Critical,
		Text:     "SQL Server (MSSQL$RTC), which holds the databases of {server}, is {state} and disabled",
	}
	sqlManual = &checks.Message{
		Tag:      "manual",
		Severity: checks.Warning,
		Text:     "SQL Server (MSSQL$RTC), which holds the databases of {server}, is started by hand only: after the next restart of Windows OCS has no database",
	}
)

var _ = register(&checks.Check{
	ID:       "service/sql",
	Title:    "the SQL Server instance of a Standard Edition server runs and starts with Windows",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Setup,
	Needs:    []evidence.AnyKind{facts.OCSServices, facts.Pools},
	Messages: []*checks.Message{sqlStopped, sqlDisabled, sqlManual},
	Run: func(p *checks.Pass) error {
		l, err := onServer(p)
		if err != nil {
			return err
		}
		s, ok := l.Find(facts.SQLService)
		if !ok {
			return checks.NotApplicable("the server has no SQL Server instance RTC: an Enterprise pool keeps its databases on a server of their own")
		}
		enterprise, err := inEnterprisePool(p)
		if err != nil {
			return err
		}
		if enterprise {
			return checks.NotApplicable("the server belongs to an Enterprise pool, whose databases are on a server of their own")
		}
		g := group{services: []facts.OCSService{s}, why: why(s)}
		switch {
		case s.Disabled():
			p.Report(sqlDisabled, g.cites(l), g.args(p, l)...)
		case !s.Running():
			p.Report(sqlStopped, g.cites(l), g.args(p, l)...)
		case s.Start == facts.StartManual:
			p.Report(sqlManual, g.cites(l), g.args(p, l)...)
		}
		return nil
	},
})

// inEnterprisePool tells whether AD lists the server as a front end of an Enterprise pool. Where AD cannot be read, an instance of that name is
// what a Standard Edition server has.
func inEnterprisePool(p *checks.Pass) (bool, error) {
	pools, err := facts.Pools.Get(p.Facts, evidence.None{})
	if err != nil {
		if !evidence.Excusable(err) {
			return false, err
		}
		p.Excuse(err, "an instance of that name is what a Standard Edition server has")
		return false, nil
	}
	pool, ok := pools.Of(p.Subject.Name)
	return ok && pool.Type&facts.EnterpriseEdition != 0, nil
}
