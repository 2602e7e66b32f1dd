package account

import (
	"maps"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	uriMalformed = &checks.Message{
		Tag:      "malformed",
		Severity: checks.Error,
		Text:     "SIP address not of the form sip:user@domain: {who}",
	}
	uriUnknownDomain = &checks.Message{
		Tag:         "unknown-domain",
		Severity:    checks.Error,
		Text:        "SIP address in a domain that is not a SIP domain of the forest ({domains}): {who}",
		ExplainedBy: []string{"ad/sip-domain-consistent"},
	}
)

var _ = register(&checks.Check{
	ID:       "account/user-uri-form",
	Title:    "the SIP addresses of users are well-formed and in a SIP domain of the forest",
	Scope:    checks.ScopeUser,
	Phases:   checks.PostInstall,
	After:    checks.Users,
	Needs:    append([]evidence.AnyKind{facts.Directory, facts.ForestSettings}, selectNeeds...),
	Messages: []*checks.Message{uriMalformed, uriUnknownDomain},
	Run: func(p *checks.Pass) error {
		u, err := selected(p)
		if err != nil {
			return err
		}
		u.report(p, uriMalformed, u.where(func(row facts.User) bool { return row.URI != "" && uriDomain(row.URI) == "" }), nil)
		defined, cites, err := definedDomains(p)
		if err != nil {
			return err
		}
		foreign := map[string]bool{}
		strangers := u.where(func(row facts.User) bool {
			domain := uriDomain(row.URI)
			if domain == "" || slices.Contains(defined, domain) {
				return false
			}
			foreign[domain] = true
			return true
		})
		u.report(p, uriUnknownDomain, strangers, cites, checks.A("domains", facts.Few(slices.Sorted(maps.Keys(foreign)), ", ", 5)), checks.A("defined", facts.Few(defined, ", ", 5)))
		return nil
	},
})

// maxURI is the greatest length of a SIP address in OCS.
const maxURI = 454

// uriDomain is the domain of a well-formed address, "sip:user@domain" in printable ASCII without escapes; "" for any other.
func uriDomain(uri string) string {
	rest, ok := strings.CutPrefix(uri, "sip:")
	user, domain, at := strings.Cut(rest, "@")
	unfit := func(r rune) bool { return r <= ' ' || r > '~' || r == '%' }
	if !ok || !at || user == "" || strings.Contains(domain, "@") || len(uri) > maxURI || strings.ContainsFunc(rest, unfit) {
		return ""
	}
	return facts.Host(domain)
}

// definedDomains are the SIP domains of the forest, at either place of its settings, with the searches that show them.
func definedDomains(p *checks.Pass) ([]string, []evidence.Key, error) {
	dir, err := facts.Directory.Get(p.Facts, evidence.None{})
	if err != nil {
		return nil, nil, err
	}
	places, err := facts.ForestSettings.Get(p.Facts, facts.DCQuestion{DC: dir.DC})
	if err != nil {
		return nil, nil, err
	}
	key := facts.Search.Key(facts.SettingsQuestions(dir.DC, dir)[0])
	var names []string
	for _, place := range places {
		for _, d := range place.Domains {
			names = append(names, d.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil, evidence.FailAt(evidence.NoTarget, dir.DC+" holds no SIP domain of the forest, by which addresses could be judged", key)
	}
	return names, []evidence.Key{key}, nil
}
