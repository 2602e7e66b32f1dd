package account

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// users are those that a check judges, of all in the table: one who was named, or all who are enabled and were not named.
type users struct {
	table  facts.UserTable
	judged []facts.User
	// one is the address of the user who is judged by himself; "" where all are counted.
	one string
}

// usersKey is what findings on users cite.
var usersKey = facts.AllUsers.Key(evidence.None{})

// selectNeeds are the kinds that selected reads.
var selectNeeds = []evidence.AnyKind{facts.ConfigScope, facts.AllUsers}

// errNotFound says why a named user is not judged further; account/user-enabled reports it.
var errNotFound = checks.NotApplicable("no object of the forest has this SIP address")

// selected reads the users to judge. An address may stand on several objects: then all are judged.
func selected(p *checks.Pass) (users, error) {
	table, err := facts.AllUsers.Get(p.Facts, evidence.None{})
	if err != nil {
		return users{}, err
	}
	u := users{table: table}
	if p.Subject.Name != checks.AllUsers {
		u.one = p.Subject.Name
		for _, row := range table.Users {
			if strings.EqualFold(row.URI, u.one) {
				u.judged = append(u.judged, row)
			}
		}
		if len(u.judged) == 0 {
			return u, errNotFound
		}
		return u, nil
	}
	if err := u.readable(); err != nil {
		return u, err
	}
	scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
	if err != nil {
		return u, err
	}
	named := map[string]bool{}
	for _, uri := range scope.CheckUsers {
		named[strings.ToLower(uri)] = true
	}
	for _, row := range table.Users {
		if enabled(row) && !named[strings.ToLower(row.URI)] {
			u.judged = append(u.judged, row)
		}
	}
	if len(u.judged) == 0 {
		return u, checks.NotApplicable("no user is enabled for OCS besides those judged by themselves")
	}
	return u, nil
}

func enabled(u facts.User) bool { return u.Enabled != nil && *u.Enabled }

// readable fails when the account that scans may not read who is enabled, and where he is homed.
func (u users) readable() error {
	if !u.table.Hidden() {
		return nil
	}
	return evidence.FailAt(evidence.Denied, "the account may not read msRTCSIP-UserEnabled and msRTCSIP-PrimaryHomeServer of any user: make it a member of RTCUniversalReadOnlyAdmins", usersKey)
}

// where are the users judged for which bad holds.
func (u users) where(bad func(facts.User) bool) []facts.User {
	return slices.DeleteFunc(slices.Clone(u.judged), func(row facts.User) bool { return !bad(row) })
}

// maxUsers is how many users a text names.
const maxUsers = 3

// report adds a finding on some of the users judged, if there are any. Its argument who reads as "sip:alice@todorovic.fr" for one who was named, and as "2 of
// 100 enabled users (sip:a@todorovic.fr, sip:b@todorovic.fr)" otherwise; dn is the first of their objects.
func (u users) report(p *checks.Pass, m *checks.Message, hits []facts.User, cites []evidence.Key, more ...checks.Arg) {
	if len(hits) == 0 {
		return
	}
	var names []string
	for _, row := range hits[:min(len(hits), maxUsers)] {
		names = append(names, u.name(row))
	}
	list := strings.Join(names, ", ")
	if n := len(hits) - len(names); n > 0 {
		list += fmt.Sprintf(" and %d more", n)
	}
	who := list
	if u.one == "" {
		who = fmt.Sprintf("%d of %s (%s)", len(hits), facts.Count(len(u.judged), "enabled user"), list)
	}
	args := []checks.Arg{
		checks.A("who", who), checks.A("users", list), checks.A("count", len(hits)), checks.A("total", len(u.judged)),
		checks.A("uri", hits[0].URI), checks.A("dn", u.table.DN(hits[0])), checks.A("only", onlyFlags(u.one)),
	}
	p.Report(m, append(cites, usersKey), append(args, more...)...)
}

// name is what a text calls a user: his address, or the name of his object where he has none.
func (u users) name(row facts.User) string { return cmp.Or(row.URI, u.table.DN(row)) }

// onlyFlags is the flag of a scan that judges the one user again.
func onlyFlags(uri string) string {
	if uri == "" {
		return ""
	}
	return " --check-user " + uri
}
