package account

import (
	"fmt"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence/facts"
)

var (
	uriDuplicate = &checks.Message{
		Tag:      "duplicate",
		Severity: checks.Error,
		Text:     "one SIP address on several objects of the forest: {objects}",
	}
	uriInProxy = &checks.Message{
		Tag:      "in-proxy-addresses",
		Severity: checks.Error,
		Text:     "SIP address that stands among the proxyAddresses of somebody else who has another one: {objects}",
		// Only where the other one's proxyAddresses lack his own address: see stale.
		ExplainedBy: []string{"account/user-proxy-addresses:differs"},
	}
)

var _ = register(&checks.Check{
	ID:       "account/user-uri-unique",
	Title:    "no two objects of the forest have the same SIP address",
	Scope:    checks.ScopeUser,
	Phases:   checks.PostInstall,
	After:    checks.Users,
	Needs:    selectNeeds,
	Messages: []*checks.Message{uriDuplicate, uriInProxy},
	Run: func(p *checks.Pass) error {
		u, err := selected(p)
		if err != nil {
			return err
		}
		claims := u.claims()
		var shared, inProxy []facts.User // the first of those who share an address
		seen := map[string]bool{}
		for _, row := range u.judged {
			uri := strings.ToLower(row.URI)
			switch {
			case seen[uri] || len(claims[uri]) < 2:
			case u.stale(uri, claims[uri]):
				inProxy = append(inProxy, row)
			default:
				shared = append(shared, row)
			}
			seen[uri] = true
		}
		u.report(p, uriDuplicate, shared, nil, checks.A("objects", u.holders(shared, claims)))
		u.report(p, uriInProxy, inProxy, nil, checks.A("objects", u.holders(inProxy, claims)))
		return nil
	},
})

// claims are the objects, as indexes into the table, that have the address of a user judged: as their own, or among their proxyAddresses.
func (u users) claims() map[string][]int {
	claims := make(map[string][]int, len(u.judged))
	for _, row := range u.judged {
		if row.URI != "" {
			claims[strings.ToLower(row.URI)] = nil
		}
	}
	claim := func(uri string, i int) {
		uri = strings.ToLower(uri)
		if list, ok := claims[uri]; ok && !slices.Contains(list, i) {
			claims[uri] = append(list, i)
		}
	}
	for i, row := range u.table.Users {
		claim(row.URI, i)
		for _, proxy := range row.SIPProxy {
			claim(proxy, i)
		}
	}
	return claims
}

// stale tells whether an address is one user's own and stands otherwise only among proxyAddresses that account/user-proxy-addresses reports as differing.
func (u users) stale(uri string, rows []int) bool {
	owners := 0
	for _, i := range rows {
		row := u.table.Users[i]
		switch {
		case strings.EqualFold(row.URI, uri):
			owners++
		case !enabled(row) || !proxiesDiffer(row):
			return false
		}
	}
	return owners == 1
}

// holders names the objects that share the addresses of some users: "sip:alice@todorovic.fr (CN=Alice,DC=a and CN=Bob,DC=a)".
func (u users) holders(hits []facts.User, claims map[string][]int) string {
	var out []string
	for _, row := range hits[:min(len(hits), maxUsers)] {
		var names []string
		rows := claims[strings.ToLower(row.URI)]
		for _, i := range rows[:min(len(rows), maxUsers)] {
			names = append(names, u.table.DN(u.table.Users[i]))
		}
		if n := len(rows) - len(names); n > 0 {
			names = append(names, fmt.Sprintf("%d more", n))
		}
		out = append(out, row.URI+" ("+strings.Join(names, " and ")+")")
	}
	if n := len(hits) - len(out); n > 0 {
		out = append(out, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(out, "; ")
}
