package account

import (
	"errors"
	"fmt"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

var (
	userUnusable = &checks.Message{
		Tag:      "unusable",
		Severity: checks.Warning,
		Text:     "the account of {who} cannot log on: it {why}",
	}
	someUnusable = &checks.Message{
		Tag:      "some-unusable",
		Severity: checks.Notice,
		Text:     "enabled for OCS with an account that cannot log on: {who}; {kinds}",
	}
)

var _ = register(&checks.Check{
	ID:       "account/user-account-usable",
	Title:    "the accounts of users can log on",
	Scope:    checks.ScopeUser,
	Phases:   checks.PostInstall,
	After:    checks.Users,
	Needs:    append([]evidence.AnyKind{facts.DomainReader, facts.Search}, selectNeeds...),
	Messages: []*checks.Message{userUnusable, someUnusable},
	Run: func(p *checks.Pass) error {
		u, err := selected(p)
		if err != nil {
			return err
		}
		logsOn := func(row facts.User) bool { return row.Person && !row.Originator }
		if u.judged = u.where(logsOn); len(u.judged) == 0 {
			return checks.NotApplicable("nobody logs on with such an account: it is that of a contact, or of a user of another forest")
		}
		if u.one == "" {
			countUnusable(p, u)
			return nil
		}
		var errs []error
		for _, row := range u.judged {
			errs = append(errs, judgeOne(p, u, row))
		}
		return errors.Join(errs...)
	},
})

// judgeOne reads a user's object in his own domain: the table may be that of a global catalog, which knows little of accounts.
func judgeOne(p *checks.Pass, u users, row facts.User) error {
	dn := u.table.DN(row)
	reader, err := facts.DomainReader.Get(p.Facts, facts.DomainQuestion{Name: facts.DomainOfDN(facts.DomainPart(dn))})
	if err != nil {
		return err
	}
	q := facts.AccountQuestion(reader.DC, dn)
	res, err := facts.Search.Get(p.Facts, q)
	if err != nil {
		return err
	}
	key := facts.Search.Key(q)
	if len(res.Entries) == 0 {
		return evidence.FailAt(evidence.NoTarget, reader.DC+" does not give the account "+dn, key)
	}
	a, err := facts.ReadAccount(res.Entries[0])
	if err != nil {
		return evidence.FailAt(evidence.Protocol, reader.DC+" gives no account that can be read of "+dn+": "+err.Error(), key)
	}
	var why []string
	if a.Disabled {
		why = append(why, "is disabled")
	}
	if !a.Expires.IsZero() && !p.Now.Before(a.Expires) {
		why = append(why, "expired on "+date(a.Expires))
	}
	if a.Locked {
		why = append(why, "is locked out")
	}
	switch {
	case a.MustChange:
		why = append(why, "has a password that must be changed at the next logon")
	case !a.PasswordNeverExpires && !a.PasswordExpires.IsZero() && !p.Now.Before(a.PasswordExpires):
		why = append(why, "has a password that expired on "+date(a.PasswordExpires))
	}
	if len(why) > 0 {
		u.report(p, userUnusable, []facts.User{row}, []evidence.Key{key}, checks.A("why", strings.Join(why, " and ")))
	}
	return nil
}

// countUnusable counts each user once, by what has to be put right first.
func countUnusable(p *checks.Pass, u users) {
	kinds := []string{"disabled", "expired", "locked out", "to change the password"}
	counts := make([]int, len(kinds))
	hits := u.where(func(row facts.User) bool {
		end := ntds.FileTime(row.Expires)
		for i, is := range []bool{row.UAC&facts.AccountDisabled != 0, !end.IsZero() && !p.Now.Before(end), row.Locked, row.MustChange} {
			if is {
				counts[i]++
				return true
			}
		}
		return false
	})
	var parts []string
	for i, n := range counts {
		if n > 0 {
			parts = append(parts, fmt.Sprint(n, " ", kinds[i]))
		}
	}
	u.report(p, someUnusable, hits, nil, checks.A("kinds", strings.Join(parts, ", ")))
}
