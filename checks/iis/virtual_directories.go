package iis

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	directoryMissing = &checks.Message{
		Tag:         "not-found",
		Severity:    checks.Warning,
		Text:        "{endpoint} knows no {paths}",
		ExplainedBy: []string{"iis/binding-443"},
	}
	directoryUnavailable = &checks.Message{
		Tag:      "unavailable",
		Severity: checks.Warning,
		Text:     "{endpoint} answers {answers}: the application behind does not run",
	}
	directoryForbidden = &checks.Message{
		Tag:      "forbidden",
		Severity: checks.Warning,
		Text:     "{endpoint} answers {answers}, and does not ask who one is",
	}
	directoryScheme = &checks.Message{
		Tag:      "no-windows-authentication",
		Severity: checks.Warning,
		Text:     "{endpoint} does not ask for Windows authentication: {answers}",
	}
	// directoryRefuses is what a site does with requests for another host name than that of its binding.
	directoryRefuses = &checks.Message{
		Tag:         "bad-request",
		Severity:    checks.Warning,
		Text:        "{endpoint} answers {answers}: it does not take requests for this name",
		ExplainedBy: []string{"iis/binding-443"},
	}
)

// page is a path of the web components that can be asked without credentials, and what a healthy server makes of that.
type page struct {
	path, directory, purpose string
	// authenticated tells that it asks for Windows authentication; the others are for everyone, and any answer but an error is as good.
	authenticated bool
}

var pages = []page{
	{"/Abs/Int/Handler", facts.AddressBookPath, "address book", true},
	{"/GroupExpansion/Int/service.asmx", facts.GroupExpansionPath, "group expansion", true},
	{"/Conf/Int/", facts.ConferencePath, "web conferences", false},
	{"/PhoneConferencing/Int/", facts.PhoneConferencingPath, "dial-in page", false},
}

var _ = register(&checks.Check{
	ID:       "iis/virtual-directories",
	Title:    "the directories of OCS answer over HTTPS, those with data of the company after Windows authentication",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.WebPage, facts.HostWebServer},
	Messages: []*checks.Message{directoryMissing, directoryUnavailable, directoryForbidden, directoryScheme, directoryRefuses},
	Run: func(p *checks.Pass) error {
		e := facts.Endpoint{Host: p.Subject.Name, Port: webPort}
		var questions []facts.PageQuestion
		for _, page := range pages {
			questions = append(questions, facts.PageQuestion{Endpoint: e, Path: page.path})
		}
		found, errs := evidence.GetAll(p.Facts, facts.WebPage, questions)
		byMessage := map[*checks.Message]*directoryFinding{}
		for i, page := range pages {
			if errs[i] != nil {
				continue
			}
			if found[i].Problem != "" {
				errs[i] = evidence.FailAt(evidence.Protocol, e.String()+page.path+": "+found[i].Problem, facts.WebPage.Key(questions[i]))
				continue
			}
			msg := judgePage(page, found[i])
			if msg == nil {
				continue
			}
			f := byMessage[msg]
			if f == nil {
				f = &directoryFinding{}
				byMessage[msg] = f
			}
			f.add(page, found[i], facts.WebPage.Key(questions[i]))
		}
		if len(byMessage) > 0 {
			configured(p, byMessage)
		}
		for _, msg := range p.Check.Messages {
			if f := byMessage[msg]; f != nil {
				p.Report(msg, f.cites, checks.A("endpoint", e), checks.A("server", e.Host), checks.A("paths", strings.Join(f.directories, ", ")), checks.A("purposes", strings.Join(f.purposes, ", ")),
					checks.A("answers", strings.Join(f.answers, ", ")), checks.A("site", f.site), checks.A("absent", strings.Join(f.absent, ", ")), checks.A("pools", strings.Join(f.pools, ", ")),
					checks.A("ssl", f.ssl))
			}
		}
		return errors.Join(errs...)
	},
})

// judgePage compares an answer with what is expected; nil when all is well. A redirect leads to somebody who is not judged.
func judgePage(p page, a facts.Page) *checks.Message {
	has := func(scheme string) bool {
		return slices.ContainsFunc(a.Schemes, func(s string) bool { return strings.EqualFold(s, scheme) })
	}
	switch {
	case a.Status == 404:
		return directoryMissing
	case a.Status == 400:
		return directoryRefuses
	case a.Status >= 500:
		return directoryUnavailable
	case !p.authenticated || a.Status >= 300 && a.Status < 400:
		return nil
	case a.Status == 403:
		return directoryForbidden
	case a.Status == 401 && (has("Negotiate") || has("NTLM")):
		return nil
	case a.Status == 401 || a.Status == 200:
		return directoryScheme
	}
	return nil
}

// directoryFinding gathers the directories of which the same is to be said.
type directoryFinding struct {
	directories, purposes, answers []string
	cites                          []evidence.Key
	// site is the one that carries the directories; absent are those that it has not, pools who the pools of the others run as.
	site          string
	absent, pools []string
	// ssl tells that a certificate of the client is asked for, or TLS, although it is spoken.
	ssl string
}

func (f *directoryFinding) add(p page, a facts.Page, key evidence.Key) {
	f.directories, f.purposes, f.cites = append(f.directories, p.directory), append(f.purposes, p.purpose), append(f.cites, key)
	answer := fmt.Sprint(a.Status)
	if a.SubStatus > 0 {
		answer += fmt.Sprint(".", a.SubStatus)
	}
	if a.Status == 401 {
		answer += " with " + schemeNames(a.Schemes)
	}
	f.answers = append(f.answers, answer+" for "+p.directory)
	if a.Status == 403 && (a.SubStatus == 4 || a.SubStatus == 5 || a.SubStatus == 7) {
		f.ssl = "yes"
	}
}

func schemeNames(schemes []string) string {
	if len(schemes) == 0 {
		return "no scheme"
	}
	return strings.Join(schemes, ", ")
}

// configured adds to the findings what the server's own configuration says of the directories, where it can be read.
func configured(p *checks.Pass, findings map[*checks.Message]*directoryFinding) {
	w, err := facts.HostWebServer.Get(p.Facts, facts.ServerQuestion{FQDN: p.Subject.Name})
	if err != nil {
		p.Excuse(err, "the answers stand for themselves")
		return
	}
	site, ok := w.OCS()
	for _, f := range findings {
		f.site = site.Name
		for _, path := range f.directories {
			d, there := site.Directory(path)
			pool, known := w.Pool(d.Pool)
			switch {
			case !ok || !there:
				f.absent = append(f.absent, path)
			case known && pool.Identity != "" && !slices.Contains(f.pools, pool.Name+" runs as "+pool.Identity):
				f.pools = append(f.pools, pool.Name+" runs as "+pool.Identity)
			}
		}
	}
}
