package iis

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	noBinding = &checks.Message{
		Tag:      "no-binding",
		Severity: checks.Error,
		Text:     "the site {site} of {server}, which carries the directories of OCS, has no https binding on port 443",
	}
	otherAddress = &checks.Message{
		Tag:      "other-address",
		Severity: checks.Error,
		Text:     "the https binding {bindings} of the site {site} is for another address than {addresses}, where clients look for {server}",
	}
	otherHostName = &checks.Message{
		Tag:      "other-host-name",
		Severity: checks.Error,
		Text:     "the https binding {bindings} of the site {site} takes requests for a host name alone that is not {names}",
	}
	oneHostName = &checks.Message{
		Tag:      "one-host-name",
		Severity: checks.Warning,
		Text:     "the https binding {bindings} of the site {site} takes requests for one host name alone",
	}
)

var _ = register(&checks.Check{
	ID:       "iis/binding-443",
	Title:    "the site with the directories of OCS takes HTTPS on port 443 under every name",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    append(slices.Clone(webNeeds), facts.Servers),
	Messages: []*checks.Message{noBinding, otherAddress, otherHostName, oneHostName},
	Run: func(p *checks.Pass) error {
		w, err := webServer(p)
		if err != nil {
			return err
		}
		site, err := ocsSite(p, w)
		if err != nil {
			return err
		}
		found := httpsBindings(site)
		if len(found) == 0 {
			var elsewhere []string
			for _, s := range w.Sites {
				if len(httpsBindings(s)) > 0 {
					elsewhere = append(elsewhere, s.Name)
				}
			}
			p.Report(noBinding, []evidence.Key{w.Config}, siteArgs(p, w, site, checks.A("elsewhere", strings.Join(elsewhere, ", ")))...)
			return nil
		}
		return judgeBindings(p, w, site, found)
	},
})

// judgeBindings is about bindings that are there: the best of them counts.
func judgeBindings(p *checks.Pass, w facts.WebServer, site facts.WebSite, found []facts.WebBinding) error {
	at, err := addresses(p)
	if err != nil {
		return err
	}
	servers, err := facts.Servers.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	server := servers.Find(p.Subject.Name)
	names := []string{server.FQDN}
	if server.Pool != "" && server.Pool != server.FQDN {
		names = append(names, server.Pool)
	}
	var texts []string
	covering, named := false, false
	for _, b := range found {
		texts = append(texts, written(b))
		// Where the name leads nowhere, dns/* speaks of it; no address can be told to be another one then.
		covers := len(at) == 0 || b.Covers(at)
		if covers && b.Host == "" {
			return nil
		}
		covering = covering || covers
		// Where AD was not read the pool is not known, and the name may be that of the pool.
		named = named || covers && (slices.Contains(names, b.Host) || server.Pool == "")
	}
	msg := otherAddress
	switch {
	case named:
		msg = oneHostName
	case covering:
		msg = otherHostName
	}
	p.Report(msg, []evidence.Key{w.Config, facts.Addresses.Key(facts.HostQuestion{Host: p.Subject.Name, View: facts.Inside})}, siteArgs(p, w, site,
		checks.A("bindings", strings.Join(texts, ", ")), checks.A("first", texts[0]), checks.A("addresses", strings.Join(at, ", ")), checks.A("names", strings.Join(names, " or ")))...)
	return nil
}
