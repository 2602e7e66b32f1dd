package account

import (
	"errors"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	userNotFound = &checks.Message{
		Tag:      "not-found",
		Severity: checks.Error,
		Text:     "no object of the forest has the SIP address {uri}",
	}
	userNotEnabled = &checks.Message{
		Tag:      "not-enabled",
		Severity: checks.Error,
		Text:     "has a SIP address and is not enabled for OCS: {who}",
	}
	userNoHome = &checks.Message{
		Tag:      "no-home",
		Severity: checks.Error,
		Text:     "enabled for OCS without {lacking}: {who}",
	}
)

var _ = register(&checks.Check{
	ID:       "account/user-enabled",
	Title:    "users are enabled for OCS with a SIP address and a home server",
	Scope:    checks.ScopeUser,
	Phases:   checks.PostInstall,
	After:    checks.Users,
	Needs:    selectNeeds,
	Messages: []*checks.Message{userNotFound, userNotEnabled, userNoHome},
	Run: func(p *checks.Pass) error {
		u, err := selected(p)
		if errors.Is(err, errNotFound) {
			p.Report(userNotFound, []evidence.Key{usersKey}, checks.A("uri", u.one))
			return nil
		}
		if err == nil {
			err = u.readable()
		}
		if err != nil {
			return err
		}
		off := u.where(func(row facts.User) bool { return !enabled(row) }) // of all users, only those enabled are judged
		noHome := u.where(func(row facts.User) bool { return enabled(row) && row.Home < 0 })
		noAddress := u.where(func(row facts.User) bool { return enabled(row) && row.Home >= 0 && row.URI == "" })
		u.report(p, userNotEnabled, off, nil)
		lacking := "a home server"
		if len(noAddress) > 0 {
			lacking = "a home server or a SIP address"
		}
		u.report(p, userNoHome, append(noHome, noAddress...), nil, checks.A("lacking", lacking))
		return nil
	},
})
