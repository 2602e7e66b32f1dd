package account

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence/facts"
)

var mailDiffers = &checks.Message{
	Tag:      "differs",
	Severity: checks.Notice,
	Text:     "SIP address that is not the mail address: {who}",
}

var _ = register(&checks.Check{
	ID:       "account/user-uri-equals-mail",
	Title:    "the SIP address of a user is his mail address",
	Scope:    checks.ScopeUser,
	Phases:   checks.PostInstall,
	After:    checks.Users,
	Needs:    selectNeeds,
	Messages: []*checks.Message{mailDiffers},
	Run: func(p *checks.Pass) error {
		u, err := selected(p)
		if err != nil {
			return err
		}
		differing := u.where(func(row facts.User) bool {
			return row.URI != "" && row.Mail != "" && !strings.EqualFold(row.URI, "sip:"+row.Mail)
		})
		mail := ""
		if len(differing) > 0 {
			mail = differing[0].Mail
		}
		u.report(p, mailDiffers, differing, nil, checks.A("mail", mail))
		return nil
	},
})
