package service

import (
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var replicatorFails = &checks.Message{
	Tag:      "fails",
	Severity: checks.Error,
	Text:     "the User Replicator on {server} could not read {domain} at {time} (event 30011: {strings}), and has not finished there since",
	Identity: []string{"domain"},
	// Without domain preparation it may not read the domain (Microsoft KB938290).
	ExplainedBy: []string{"ad/prep-domain", "ad/permission-inheritance"},
}

// The events of the User Replicator: it could not read a domain, and it has finished the first pass over one.
const (
	eventReplicatorFailed = 30011
	eventReplicatorDone   = 30024
)

var _ = register(&checks.Check{
	ID:       "service/user-replicator",
	Title:    "the User Replicator has read every domain that has users of OCS",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.OCSServices, facts.Events, facts.AllUsers},
	Messages: []*checks.Message{replicatorFails},
	Run: func(p *checks.Pass) error {
		l, err := onServer(p)
		if err != nil {
			return err
		}
		if s, ok := l.Find(facts.FrontEndService); !ok || s.Disabled() || l.Edge() {
			return checks.NotApplicable("the User Replicator is part of the Front-End service, which is not activated here")
		}
		q := facts.EventsQuestion{Host: p.Subject.Name, Log: facts.OCSLog}
		events, err := facts.Events.Get(p.Facts, q)
		if err != nil {
			return err
		}
		table, err := facts.AllUsers.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		domains := domainsWithUsers(table)
		if len(domains) == 0 {
			return checks.NotApplicable("no user is enabled for OCS")
		}
		var unknown error
		for _, d := range domains {
			e, ok := lastWord(events, d)
			switch {
			case !ok:
				unknown = evidence.FailAt(evidence.NoTarget, "the log of OCS on "+p.Subject.Name+" no longer tells, or does not tell yet, whether the User Replicator has read "+d, facts.Events.Key(q))
			case e.Code() == eventReplicatorFailed:
				p.Report(replicatorFails, []evidence.Key{facts.Events.Key(q)}, checks.A("server", p.Subject.Name), checks.A("domain", d),
					checks.A("time", e.Time.UTC().Format(time.DateTime)+" UTC"), checks.A("strings", facts.Few(e.Strings, "; ", 4)))
			}
		}
		return unknown
	},
})

// domainsWithUsers are the domains of the users that are enabled for OCS, sorted.
func domainsWithUsers(t facts.UserTable) []string {
	var out []string
	for _, u := range t.Users {
		if u.Enabled == nil || !*u.Enabled {
			continue
		}
		if d := facts.DomainOfDN(facts.DomainPart(t.DN(u))); d != "" && !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return out
}

// lastWord is the newest event of the User Replicator about a domain, which the event names by its DNS name or its DN among its strings.
func lastWord(l facts.EventList, domain string) (facts.Event, bool) {
	for _, e := range l.Events {
		if c := e.Code(); (c == eventReplicatorFailed || c == eventReplicatorDone) && e.From("OCS User Replicator") && names(e, domain) {
			return e, true
		}
	}
	return facts.Event{}, false
}

// names tells whether a string of the event is the domain, or holds it as a word: "emea.contoso.com" is not in a text about "contoso.com".
func names(e facts.Event, domain string) bool {
	dn := "dc=" + strings.ReplaceAll(domain, ".", ",dc=")
	for _, s := range e.Strings {
		s = strings.ToLower(s)
		if hasWord(s, domain) || hasWord(strings.ReplaceAll(s, ", ", ","), dn) {
			return true
		}
	}
	return false
}

// hasWord tells whether a word stands in a text with nothing of a name before or after it.
func hasWord(text, word string) bool {
	part := func(c byte) bool {
		return c == '-' || c == '_' || c == '.' || c == ',' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z'
	}
	for at := 0; ; {
		i := strings.Index(text[at:], word)
		if i < 0 {
			return false
		}
		from, to := at+i, at+i+len(word)
		end := to == len(text) || !part(text[to]) || (text[to] == '.' || text[to] == ',') && (to+1 == len(text) || text[to+1] == ' ')
		if (from == 0 || !part(text[from-1])) && end {
			return true
		}
		at = from + 1
	}
}
