package signin

import (
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var otherVersion = &checks.Message{
	Tag:      "other-version",
	Severity: checks.Notice,
	Text:     "{endpoint} presents itself as {product}, not as OCS 2007 R2",
}

// productR2 is the product in the Server field of OCS 2007 R2, and versionR2 the version in its challenges.
const (
	productR2 = "RTC/3.5"
	versionR2 = "4"
)

var _ = register(&checks.Check{
	ID:       "signin/server-version",
	Title:    "the server presents itself as OCS 2007 R2",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.SIPDomains, facts.Register, facts.Options},
	Messages: []*checks.Message{otherVersion},
	Run: func(p *checks.Pass) error {
		answers, err := registrations(p)
		judged := false
		for _, a := range answers {
			product, isR2, told := presentedAs(a.answer)
			judged = judged || told
			if told && !isR2 {
				reportVersion(p, facts.Register.Key(a.question), product)
				break // the server is the same for every SIP domain
			}
		}
		if judged || err != nil || !slices.ContainsFunc(answers, func(a registration) bool { return !a.answer.NotSIP }) {
			if !judged && err == nil {
				return notTold
			}
			return err
		}
		return judgeOptions(p)
	},
})

var notTold = checks.NotApplicable("the server does not tell its version")

// judgeOptions asks a server that refuses sign-ins, or sends them on, in another way.
func judgeOptions(p *checks.Pass) error {
	q := facts.OptionsQuestion{Endpoint: facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}}
	a, err := facts.Options.Get(p.Facts, q)
	if err != nil {
		return err
	}
	product, isR2, told := presentedAs(a)
	switch {
	case !told:
		return notTold
	case !isR2:
		reportVersion(p, facts.Options.Key(q), product)
	}
	return nil
}

func reportVersion(p *checks.Pass, cite evidence.Key, product string) {
	p.Report(otherVersion, []evidence.Key{cite}, checks.A("endpoint", facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}),
		checks.A("server", p.Subject.Name), checks.A("product", product))
}

// products are those known by the Server field.
var products = map[string]string{
	"RTC/3.0": "OCS 2007", "RTC/4.0": "Lync Server 2010", "RTC/5.0": "Lync Server 2013", "RTC/6.0": "Skype for Business Server",
}

// presentedAs is what a server says of itself: by the Server field if the answer has one, else by the version of its
// challenges, which OCS 2007 has as 3. told is false when there is neither.
func presentedAs(a facts.SIPAnswer) (product string, isR2, told bool) {
	if s := a.Header("Server"); s != "" {
		first, _, _ := strings.Cut(s, " ")
		if name, known := products[first]; known {
			s = name + " (" + s + ")"
		}
		return s, first == productR2, true
	}
	for _, c := range a.Challenges {
		if !ofOCS(c) {
			continue
		}
		version := c.Parameters["version"]
		if version != versionR2 {
			return "a server with version " + orNone(version) + " of the authentication extensions", false, true
		}
		told = true
	}
	return "", told, told
}

// registration is the answer to a sign-in to one SIP domain.
type registration struct {
	question facts.RegisterQuestion
	answer   facts.SIPAnswer
}

// registrations are the answers to a sign-in to each SIP domain; those that there are come beside the error.
func registrations(p *checks.Pass) ([]registration, error) {
	domains, err := facts.SIPDomains.Get(p.Facts, evidence.None{})
	if err != nil {
		return nil, err
	}
	var questions []facts.RegisterQuestion
	for _, d := range domains.List {
		questions = append(questions, question(p, d))
	}
	answers, errs := evidence.GetAll(p.Facts, facts.Register, questions)
	var out []registration
	for i, a := range answers {
		if errs[i] == nil {
			out = append(out, registration{questions[i], a})
		}
	}
	return out, errors.Join(errs...)
}

// ofOCS tells whether a challenge is for one of the schemes of OCS 2007 R2, which [MS-SIPAE] describes.
func ofOCS(c facts.Challenge) bool {
	return strings.EqualFold(c.Scheme, "NTLM") || strings.EqualFold(c.Scheme, "Kerberos")
}
