package account

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	serviceDisabled = &checks.Message{
		Tag:      "disabled",
		Severity: checks.Critical,
		Text:     "the account {account}, which runs {services}, is disabled",
	}
	serviceLocked = &checks.Message{
		Tag:      "locked",
		Severity: checks.Critical,
		Text:     "the account {account}, which runs {services}, is locked out",
	}
	serviceExpired = &checks.Message{
		Tag:      "expired",
		Severity: checks.Critical,
		Text:     "the account {account}, which runs {services}, expired on {date}",
	}
)

var _ = register(&checks.Check{
	ID:       "account/service-account-usable",
	Title:    "the accounts of the OCS services are enabled, not locked out and not expired",
	Scope:    checks.ScopeAccount,
	Phases:   checks.BothPhases,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.ServiceAccounts},
	Messages: []*checks.Message{serviceDisabled, serviceLocked, serviceExpired},
	Run: func(p *checks.Pass) error {
		a, err := namedAccount(p)
		if err != nil {
			return err
		}
		args := accountArgs(a, checks.A("date", date(a.Expires)))
		if a.Disabled {
			p.Report(serviceDisabled, []evidence.Key{a.Cite}, args...)
		}
		if a.Locked {
			p.Report(serviceLocked, []evidence.Key{a.Cite}, args...)
		}
		if !a.Expires.IsZero() && !p.Now.Before(a.Expires) {
			p.Report(serviceExpired, []evidence.Key{a.Cite}, args...)
		}
		return nil
	},
})
