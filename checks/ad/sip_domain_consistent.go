package ad

import (
	"maps"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	undefinedInUse = &checks.Message{
		Tag:         "undefined-in-use",
		Severity:    checks.Error,
		Text:        "the SIP domain {domain} of users enabled for OCS is not defined in the forest ({count}: {users}); defined: {defined}",
		Identity:    []string{"domain"},
		ExplainedBy: []string{"ad/prep-forest:not-prepared"},
	}
	askedUndefinedInUse = &checks.Message{
		Tag:         "asked-undefined-in-use",
		Severity:    checks.Error,
		Text:        "the SIP domain {domain}, which was asked for, is that of users enabled for OCS and is not defined in the forest ({count}: {users}); defined: {defined}",
		Identity:    []string{"domain"},
		ExplainedBy: []string{"ad/prep-forest:not-prepared", "ad/sip-domain-defined:missing"},
	}
)

var _ = register(&checks.Check{
	ID:       "ad/sip-domain-consistent",
	Title:    "the SIP domains of the users are defined in Active Directory",
	Scope:    checks.ScopeForest,
	Phases:   checks.PostInstall,
	After:    checks.Users,
	Needs:    append([]evidence.AnyKind{facts.ConfigScope, facts.AllUsers}, settingsNeeds...),
	Messages: []*checks.Message{undefinedInUse, askedUndefinedInUse},
	Run: func(p *checks.Pass) error {
		scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		users, err := facts.AllUsers.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		s, err := readSettings(p.Facts)
		if err != nil {
			return err
		}
		var defined []string
		for _, h := range s.known() {
			defined = append(defined, readSIPDomains(h.value, nil).defined...)
		}
		slices.Sort(defined)
		defined = slices.Compact(defined)
		uses := map[string][]string{} // URIs by SIP domain
		for _, u := range users.Users {
			if domain := sipDomainOf(u.URI); u.Enabled != nil && *u.Enabled && domain != "" && !slices.Contains(defined, domain) {
				uses[domain] = append(uses[domain], u.URI)
			}
		}
		if len(uses) > 0 {
			if err := s.systemUnread(); err != nil {
				return err
			}
		}
		s.excuse(p)
		for _, domain := range slices.Sorted(maps.Keys(uses)) {
			m := undefinedInUse
			if slices.Contains(scope.SIPDomains, domain) {
				m = askedUndefinedInUse
			}
			p.Report(m, s.cites(), checks.A("domain", domain), checks.A("forest", p.Subject.Name), checks.A("count", len(uses[domain])),
				checks.A("users", facts.Few(uses[domain], ", ", maxNamed)), checks.A("defined", listedOrNone(defined)))
		}
		return nil
	},
})

// sipDomainOf is the domain of a SIP URI; "" where it has another form, which account/user-uri-form judges.
func sipDomainOf(uri string) string {
	const scheme = "sip:"
	if len(uri) < len(scheme) || !strings.EqualFold(uri[:len(scheme)], scheme) {
		return ""
	}
	_, domain, _ := strings.Cut(uri[len(scheme):], "@")
	if strings.ContainsAny(domain, "@;?: ") {
		return ""
	}
	return facts.Host(domain)
}
