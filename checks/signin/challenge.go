package signin

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	noScheme = &checks.Message{
		Tag:      "no-scheme",
		Severity: checks.Critical,
		Text:     "{endpoint} asks for authentication with neither NTLM nor Kerberos; it offers {schemes}",
	}
	ntlmOnly = &checks.Message{
		Tag:      "ntlm-only",
		Severity: checks.Notice,
		Text:     "{endpoint} offers NTLM and not Kerberos ({schemes})",
	}
	kerberosOnly = &checks.Message{
		Tag:      "kerberos-only",
		Severity: checks.Warning,
		Text:     "{endpoint} offers Kerberos and not NTLM ({schemes})",
	}
	notSIP = &checks.Message{
		Tag:      "not-sip",
		Severity: checks.Critical,
		Text:     "what answers on {endpoint} does not speak SIP",
	}
	refused = &checks.Message{
		Tag:      "refused",
		Severity: checks.Critical,
		Text:     "{endpoint} answers a sign-in to {domain} with {status} {phrase} instead of asking who it is ({diagnostics})",
		Identity: []string{"domain"},
		// 503 with ms-diagnostics 5000: the Front-End waits for applications of its own.
		ExplainedBy: []string{"service/front-end:pending", "service/applications:host-stopped", "service/applications:host-logon-failed"},
	}
	redirectLoop = &checks.Message{
		Tag:      "redirect-loop",
		Severity: checks.Critical,
		Text:     "{endpoint} sends a client that signs in to {domain} on to {next}, and {why}",
		Identity: []string{"domain"},
	}
	redirectDead = &checks.Message{
		Tag:         "redirect-dead",
		Severity:    checks.Critical,
		Text:        "{endpoint} sends a client that signs in to {domain} on to {next}, where nobody can sign in: {why}",
		Identity:    []string{"domain"},
		ExplainedBy: []string{"net/sip-port", "dns/pool-host"},
	}
)

var _ = register(&checks.Check{
	ID:       "signin/challenge",
	Title:    "the OCS server asks a client that signs in to authenticate with NTLM or Kerberos",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.SIPDomains, facts.Redirected, facts.ServerNames},
	Messages: []*checks.Message{noScheme, ntlmOnly, kerberosOnly, notSIP, refused, redirectLoop, redirectDead},
	Run: func(p *checks.Pass) error {
		domains, err := facts.SIPDomains.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		if len(domains.List) == 0 {
			return checks.NotApplicable("there is no SIP domain to sign in to")
		}
		var questions []facts.RegisterQuestion
		for _, d := range domains.List {
			questions = append(questions, question(p, d))
		}
		ends, errs := evidence.GetAll(p.Facts, facts.Redirected, questions)
		for i, d := range ends {
			if errs[i] == nil {
				errs[i] = judge(p, d)
			}
		}
		return errors.Join(errs...)
	},
})

func question(p *checks.Pass, domain string) facts.RegisterQuestion {
	return facts.RegisterQuestion{Endpoint: facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}, Domain: domain}
}

// judge reports what is wrong with the answer to a sign-in to one SIP domain. The schemes are the server's and the same for
// every domain: such a finding has no domain in its identity, so that it appears once. To be sent on to another server is usual, for a
// Director does nothing else; that one is judged here unless it is judged by itself.
func judge(p *checks.Pass, d facts.Redirection) error {
	switch d.ProblemKind {
	case facts.RedirectLoop, facts.RedirectLong:
		reportRedirect(p, redirectLoop, d)
		return nil
	case facts.RedirectDead:
		reportRedirect(p, redirectDead, d)
		return nil
	}
	asked := d.End
	if d.ProblemKind == facts.RedirectEmpty {
		asked = d.Hops[len(d.Hops)-1]
	}
	msg := verdict(d.Answer)
	if msg == nil {
		return nil
	}
	if asked.Endpoint.Host != p.Subject.Name {
		names, err := facts.ServerNames.Get(p.Facts, evidence.None{})
		if err != nil || slices.Contains(names.List, asked.Endpoint.Host) {
			return err
		}
	}
	p.Report(msg, []evidence.Key{facts.Register.Key(asked)},
		checks.A("endpoint", asked.Endpoint), checks.A("server", asked.Endpoint.Host), checks.A("domain", asked.Domain), checks.A("schemes", schemes(d.Answer)),
		checks.A("status", d.Answer.Status), checks.A("phrase", d.Answer.Phrase), checks.A("diagnostics", diagnostics(d.Answer)))
	return nil
}

// reportRedirect reports a redirect that leads to no server, with all servers on the way.
func reportRedirect(p *checks.Pass, m *checks.Message, d facts.Redirection) {
	var cites []evidence.Key
	var way []string
	for i, h := range d.Hops {
		cites = append(cites, facts.Register.Key(h))
		if i > 0 {
			way = append(way, h.Endpoint.String())
		}
	}
	if !slices.Contains(cites, d.Root) {
		cites = append(cites, d.Root)
	}
	if d.ProblemKind == facts.RedirectDead || len(way) == 0 {
		way = append(way, d.End.Endpoint.String())
	}
	p.Report(m, cites, checks.A("endpoint", d.Hops[0].Endpoint), checks.A("server", p.Subject.Name), checks.A("domain", d.End.Domain),
		checks.A("next", strings.Join(way, ", then ")), checks.A("target", d.End.Endpoint.Host), checks.A("why", d.Problem))
}

// verdict is nil for a healthy answer: a challenge with both schemes, or a 200 that asks for nothing.
func verdict(a facts.SIPAnswer) *checks.Message {
	ntlm, kerberos := a.Offers("NTLM"), a.Offers("Kerberos")
	switch {
	case a.NotSIP:
		return notSIP
	case a.Status == 200:
		return nil
	case a.Status != 401 && a.Status != 407:
		return refused
	case !ntlm && !kerberos:
		return noScheme
	case !kerberos:
		return ntlmOnly
	case !ntlm:
		return kerberosOnly
	}
	return nil
}

// schemes lists the schemes of the challenges in the order of the message.
func schemes(a facts.SIPAnswer) string {
	var names []string
	for _, c := range a.Challenges {
		names = append(names, c.Scheme)
	}
	return cmp.Or(strings.Join(names, ", "), "no scheme")
}

// diagnostics is the server's own reason in words.
func diagnostics(a facts.SIPAnswer) string {
	if d := a.Diagnostics(); d != "" {
		return "ms-diagnostics: " + d
	}
	return "no ms-diagnostics header"
}
