package signin

import (
	"cmp"
	"errors"
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
)

var _ = register(&checks.Check{
	ID:       "signin/challenge",
	Title:    "the OCS server asks a client that signs in to authenticate with NTLM or Kerberos",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.SIPDomains, facts.Register},
	Messages: []*checks.Message{noScheme, ntlmOnly, kerberosOnly, notSIP, refused},
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
		answers, errs := evidence.GetAll(p.Facts, facts.Register, questions)
		for i, d := range domains.List {
			if errs[i] == nil {
				judge(p, d, answers[i])
			}
		}
		return errors.Join(errs...)
	},
})

func question(p *checks.Pass, domain string) facts.RegisterQuestion {
	return facts.RegisterQuestion{Endpoint: facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}, Domain: domain}
}

// judge reports what is wrong with the answer to a sign-in to one SIP domain. The schemes are the server's and the same for
// every domain: such a finding has no domain in its identity, so that it appears once.
func judge(p *checks.Pass, domain string, a facts.SIPAnswer) {
	msg := verdict(a)
	if msg == nil {
		return
	}
	q := question(p, domain)
	p.Report(msg, []evidence.Key{facts.Register.Key(q)},
		checks.A("endpoint", q.Endpoint), checks.A("server", p.Subject.Name), checks.A("domain", domain), checks.A("schemes", schemes(a)),
		checks.A("status", a.Status), checks.A("phrase", a.Phrase), checks.A("diagnostics", diagnostics(a)))
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

// diagnostics is the server's own reason (TechNet bb964037), which outside parties get under another name.
func diagnostics(a facts.SIPAnswer) string {
	if d := cmp.Or(a.Header("ms-diagnostics"), a.Header("ms-diagnostics-public")); d != "" {
		return "ms-diagnostics: " + d
	}
	return "no ms-diagnostics header"
}
