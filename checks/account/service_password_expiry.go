package account

import (
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	passwordExpires = &checks.Message{
		Tag:      "expires",
		Severity: checks.Warning,
		Text:     "the password of {account}, which runs {services}, expires on {date}, in {days} days: the services then go on until their next restart only",
	}
	passwordExpiresSoon = &checks.Message{
		Tag:      "expires-soon",
		Severity: checks.Error,
		Text:     "the password of {account}, which runs {services}, expires on {date}, in {days} days: the services then go on until their next restart only",
	}
	passwordExpired = &checks.Message{
		Tag:      "expired",
		Severity: checks.Critical,
		Text:     "the password of {account}, which runs {services}, {state}: the services go on until their next restart and do not start again",
	}
)

// soon is how long before its end a password has to be seen to: two weeks, for a weekend and a change window.
const soon = 14 * day

const day = 24 * time.Hour

var _ = register(&checks.Check{
	ID:       "account/service-password-expiry",
	Title:    "the passwords of the accounts of the OCS services do not run out",
	Scope:    checks.ScopeAccount,
	Phases:   checks.BothPhases,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.ServiceAccounts},
	Messages: []*checks.Message{passwordExpires, passwordExpiresSoon, passwordExpired},
	Run: func(p *checks.Pass) error {
		a, err := namedAccount(p)
		if err != nil {
			return err
		}
		left := a.PasswordExpires.Sub(p.Now)
		var msg *checks.Message
		state := "expired on " + date(a.PasswordExpires)
		switch {
		case a.PasswordNeverExpires:
		case a.MustChange:
			msg, state = passwordExpired, "has to be changed before the next logon"
		case a.PolicyUnread:
			return evidence.FailAt(evidence.Denied, "when the password of "+a.Name+" ends cannot be read: neither pwdLastSet with the domain's maxPwdAge nor msDS-UserPasswordExpiryTimeComputed", a.Cite)
		case a.PasswordExpires.IsZero():
		case left <= 0:
			msg = passwordExpired
		case left < soon:
			msg = passwordExpiresSoon
		default:
			msg = passwordExpires
		}
		if msg != nil {
			p.Report(msg, []evidence.Key{a.Cite}, accountArgs(a, checks.A("date", date(a.PasswordExpires)), checks.A("days", int(left/day)), checks.A("state", state))...)
		}
		return nil
	},
})
