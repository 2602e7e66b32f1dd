package account

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence/facts"
)

var (
	proxyDiffers = &checks.Message{
		Tag:      "differs",
		Severity: checks.Warning,
		Text:     "SIP address among proxyAddresses differs from the one for OCS: {who}",
	}
	proxyAbsent = &checks.Message{
		Tag:      "absent",
		Severity: checks.Notice,
		Text:     "no SIP address among proxyAddresses: {who}",
	}
)

var _ = register(&checks.Check{
	ID:       "account/user-proxy-addresses",
	Title:    "the SIP address among a user's proxyAddresses is the one for OCS",
	Scope:    checks.ScopeUser,
	Phases:   checks.PostInstall,
	After:    checks.Users,
	Needs:    selectNeeds,
	Messages: []*checks.Message{proxyDiffers, proxyAbsent},
	Run: func(p *checks.Pass) error {
		u, err := selected(p)
		if err != nil {
			return err
		}
		differing := u.where(proxiesDiffer)
		has := ""
		if len(differing) > 0 {
			has = facts.Few(differing[0].SIPProxy, ", ", maxUsers)
		}
		u.report(p, proxyDiffers, differing, nil, checks.A("has", has))
		u.report(p, proxyAbsent, u.where(func(row facts.User) bool { return row.URI != "" && len(row.SIPProxy) == 0 }), nil)
		return nil
	},
})

// proxiesDiffer tells whether a user has SIP addresses among his proxyAddresses and none is his own.
func proxiesDiffer(u facts.User) bool {
	own := func(proxy string) bool { return strings.EqualFold(proxy, u.URI) }
	return u.URI != "" && len(u.SIPProxy) > 0 && !slices.ContainsFunc(u.SIPProxy, own)
}
