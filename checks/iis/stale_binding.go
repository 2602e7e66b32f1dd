package iis

import (
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	staleProperty = &checks.Message{
		Tag:      "stale-property",
		Severity: checks.Warning,
		Text:     "the configuration of IIS on {server} holds the hash {hash} of an earlier certificate at {path} (property 5506), by which the certificate on port 443 can be lost at any time",
		Identity: []string{"path"},
	}
	lostBefore = &checks.Message{
		Tag:      "lost-before",
		Severity: checks.Warning,
		Text: "the certificate on port 443 of {server} was lost on {when} (event 15300), and the configuration of IIS still holds the hash {hash} of an earlier certificate at {path} (property 5506), " +
			"by which it will be lost again",
		Identity: []string{"path"},
	}
	lost = &checks.Message{
		Tag:      "lost",
		Severity: checks.Error,
		Text:     "port 443 of {server} has no certificate{since}, and the configuration of IIS holds the hash {hash} of an earlier one at {path} (property 5506), by which certificates are lost",
		Identity: []string{"path"},
	}
)

// eventDeleted is "SSL Certificate Settings deleted for Port" of Microsoft-Windows-HttpEvent; one of its strings is the address and port.
const eventDeleted = 15300

var _ = register(&checks.Check{
	ID:       "iis/stale-binding",
	Title:    "IIS keeps no hash of an earlier certificate, by which the binding on port 443 would lose its own",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.HostWebServer, facts.Events},
	Messages: []*checks.Message{staleProperty, lostBefore, lost},
	Run: func(p *checks.Pass) error {
		w, err := webServer(p)
		if err != nil {
			return err
		}
		if w.Generation == 6 {
			return checks.NotApplicable("the metabase of IIS 6 is where the property belongs")
		}
		var stale []facts.StaleHash
		for _, s := range w.Stale {
			current := slices.ContainsFunc(w.TLS, func(b facts.TLSBinding) bool { return b.Port == webPort && b.Hash == s.Hash })
			if !current {
				stale = append(stale, s)
			}
		}
		if len(stale) == 0 {
			return nil
		}
		question := facts.EventsQuestion{Host: p.Subject.Name, Log: "System"}
		log, err := facts.Events.Get(p.Facts, question)
		if err != nil {
			p.Excuse(err, "the property alone tells that the certificate can be lost")
		}
		when, since := lastDeleted(log), ""
		msg, cites := staleProperty, []evidence.Key{w.Config, w.HTTP}
		bound := slices.ContainsFunc(w.TLS, func(b facts.TLSBinding) bool { return b.Port == webPort && b.Hash != "" })
		if when != "" {
			msg, since, cites = lostBefore, " since "+when+" (event 15300)", append(cites, facts.Events.Key(question))
		}
		// Without a binding in IIS there is nothing that HTTP.SYS would have a certificate for: iis/binding-443 speaks of that.
		if wanted := slices.ContainsFunc(w.Sites, func(s facts.WebSite) bool { return len(httpsBindings(s)) > 0 }); wanted && !bound {
			msg = lost
		}
		for _, s := range stale {
			p.Report(msg, cites, checks.A("server", p.Subject.Name), checks.A("hash", s.Hash), checks.A("path", s.Path), checks.A("when", when), checks.A("since", since))
		}
		return nil
	},
})

// lastDeleted is when HTTP.SYS last deleted the settings of port 443; "" when the log does not have it.
func lastDeleted(log facts.EventList) string {
	for _, e := range log.Events { // the newest first
		if e.Code() == eventDeleted && strings.Contains(strings.ToLower(e.Source), "httpevent") &&
			slices.ContainsFunc(e.Strings, func(s string) bool { return strings.HasSuffix(s, ":443") }) {
			return e.Time.UTC().Format(time.DateTime) + " UTC"
		}
	}
	return ""
}
