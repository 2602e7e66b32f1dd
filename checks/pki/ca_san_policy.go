package pki

import (
	"errors"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	takesAttribute = &checks.Message{
		Tag:      "takes-attribute",
		Severity: checks.Notice,
		Text:     "the CA {ca} on {host} takes alternative names from an attribute of a request, by which whoever may ask for a certificate can ask for one in another's name",
		Identity: []string{"ca"},
	}
	ignoresAttribute = &checks.Message{
		Tag:      "ignores-attribute",
		Severity: checks.Notice,
		Text:     "the CA {ca} on {host} ignores alternative names that stand in an attribute of a request, as the certificate wizard of OCS sends them to a CA",
		Identity: []string{"ca"},
	}
)

// subjectAltNameFlag is EDITF_ATTRIBUTESUBJECTALTNAME2 of EditFlags ([MS-WCCE] 3.2.1.1.4).
const subjectAltNameFlag = 0x40000

var _ = register(&checks.Check{
	ID:       "pki/ca-san-policy",
	Title:    "it is known whether the enterprise CA takes alternative names from an attribute of a request",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.PublicKeys, facts.Registry},
	Messages: []*checks.Message{takesAttribute, ignoresAttribute},
	Run: func(p *checks.Pass) error {
		published, err := facts.PublicKeys.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		var questions []facts.RegistryQuestion
		var services []facts.EnrollmentService
		for _, s := range published.Services {
			if s.Host != "" && !strings.ContainsAny(s.Name, `\`) {
				services, questions = append(services, s), append(questions, policyQuestion(s))
			}
		}
		if len(services) == 0 {
			return checks.NotApplicable("the forest publishes no enterprise CA")
		}
		found, errs := evidence.GetAll(p.Facts, facts.Registry, questions)
		read := 0
		for i, s := range services {
			if errs[i] != nil {
				p.Excuse(errs[i], "the CA need not be readable; what it issues is judged by its certificates")
				continue
			}
			flags, ok := found[i].DWord("EditFlags")
			if !ok {
				continue // another policy module than that of Windows
			}
			read++
			msg := ignoresAttribute
			if flags&subjectAltNameFlag != 0 {
				msg = takesAttribute
			}
			p.Report(msg, []evidence.Key{facts.Registry.Key(questions[i])}, checks.A("ca", s.Name), checks.A("host", s.Host))
		}
		if read == 0 {
			return errors.Join(append(unexcusable(errs), checks.NotApplicable("the registry of no enterprise CA can be read"))...)
		}
		return errors.Join(unexcusable(errs)...)
	},
})

// unexcusable are the errors that no other fact can stand in for.
func unexcusable(errs []error) []error {
	var out []error
	for _, err := range errs {
		if err != nil && !evidence.Excusable(err) {
			out = append(out, err)
		}
	}
	return out
}

// policyQuestion asks for the flags of a CA's policy module.
func policyQuestion(s facts.EnrollmentService) facts.RegistryQuestion {
	return facts.RegistryQuestion{
		Host: s.Host, Key: `HKLM\SYSTEM\CurrentControlSet\Services\CertSvc\Configuration\` + s.Name + `\PolicyModules\CertificateAuthority_MicrosoftDefault.Policy`,
		Values: []string{"EditFlags"},
	}
}
