package account

import (
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	spnMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Warning,
		Text:     "{server} offers Kerberos as {spn}, which no account has as its service principal name",
		Identity: []string{"spn"},
		// A server that calls itself by a wrong name asks for a ticket that nobody, or somebody else, is meant to have.
		ExplainedBy: []string{"signin/target-name:wrong"},
	}
	spnDuplicate = &checks.Message{
		Tag:      "duplicate",
		Severity: checks.Error,
		Text:     "{server} offers Kerberos as {spn}, the service principal name of several accounts: {holders}",
		Identity: []string{"spn"},
	}
	spnWrongAccount = &checks.Message{
		Tag:         "wrong-account",
		Severity:    checks.Error,
		Text:        "{server} offers Kerberos as {spn}, the service principal name of {holders}, which is not an account of the Front-End service",
		Identity:    []string{"spn"},
		ExplainedBy: []string{"signin/target-name:wrong"},
	}
)

var _ = register(&checks.Check{
	ID:       "account/sip-spn",
	Title:    "the name under which the server offers Kerberos belongs to the account of its Front-End service, and to no other",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.SIPDomains, facts.Register, facts.Catalog, facts.Search, facts.Groups, facts.ServiceAccounts, facts.Forest},
	Messages: []*checks.Message{spnMissing, spnDuplicate, spnWrongAccount},
	Run: func(p *checks.Pass) error {
		names, err := targetNames(p)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			return checks.NotApplicable("the server offers no Kerberos")
		}
		var errs []error
		for _, t := range names {
			errs = append(errs, judgeSPN(p, t))
		}
		return errors.Join(errs...)
	},
})

// target is a name under which a server offers Kerberos, and the answer that shows it.
type target struct {
	spn  string
	cite evidence.Key
}

// targetNames are those of the challenges to a sign-in, each once in lower case ([MS-SIPAE] 2.2: targetname is "sip/" and a host name).
func targetNames(p *checks.Pass) ([]target, error) {
	domains, err := facts.SIPDomains.Get(p.Facts, evidence.None{})
	if err != nil {
		return nil, err
	}
	var questions []facts.RegisterQuestion
	for _, d := range domains.List {
		questions = append(questions, facts.RegisterQuestion{Endpoint: facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}, Domain: d})
	}
	answers, errs := evidence.GetAll(p.Facts, facts.Register, questions)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var out []target
	for i, a := range answers {
		key := facts.Register.Key(questions[i])
		for _, c := range a.Challenges {
			spn := strings.ToLower(c.Parameters["targetname"])
			host, isSIP := strings.CutPrefix(spn, "sip/")
			switch {
			case !strings.EqualFold(c.Scheme, "Kerberos"):
			case !isSIP || !facts.IsHostName(host):
				return nil, evidence.FailAt(evidence.Protocol, p.Subject.Name+" offers Kerberos and gives no target name of the form sip/HOST", key)
			case !slices.ContainsFunc(out, func(t target) bool { return t.spn == spn }):
				out = append(out, target{spn, key})
			}
		}
	}
	return out, nil
}

// judgeSPN looks for the accounts of the whole forest that have the name. The right one is what the Front-End service of the server
// logs on as, or, where that could not be read, a member of its group; front ends of one pool share it.
func judgeSPN(p *checks.Pass, t target) error {
	c, err := facts.Catalog.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	q := facts.NewSearch(c.DC, c.Base, "sub", "(servicePrincipalName="+facts.EscapeFilter(t.spn)+")", "sAMAccountName", "objectClass")
	res, err := facts.Search.Get(p.Facts, q)
	if err != nil {
		return err
	}
	groups, err := facts.Groups.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	accounts, err := facts.ServiceAccounts.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	g, _ := groups.Find(frontEndGroup)
	rightful := g.Members
	if runner := frontEndRunner(p, accounts); runner != "" {
		rightful = []string{runner}
	}
	isMember := func(dn string) bool {
		return slices.ContainsFunc(rightful, func(m string) bool { return strings.EqualFold(m, dn) })
	}
	cites := []evidence.Key{t.cite, facts.Search.Key(q)}
	msg := spnDuplicate
	switch {
	case len(res.Entries) == 0:
		msg = spnMissing
	case len(res.Entries) == 1 && isMember(res.Entries[0].DN):
		return nil
	case len(res.Entries) == 1 && len(rightful) == 0:
		return evidence.FailAt(evidence.NoTarget, "which account runs the Front-End service is not known: "+frontEndGroup+" has no member", groups.Cite)
	case len(res.Entries) == 1:
		if frontEndRunner(p, accounts) == "" {
			if _, err := onlyDirect(p, g); err != nil {
				return err
			}
		}
		msg, cites = spnWrongAccount, append(cites, groups.Cite)
	}
	names, wrong, err := holderNames(p, res.Entries, isMember)
	if err != nil {
		return err
	}
	right := frontEndAccount(p, accounts)
	p.Report(msg, cites, checks.A("server", p.Subject.Name), checks.A("spn", t.spn), checks.A("holders", facts.Few(names, ", ", 5)),
		checks.A("wrong", wrong), checks.A("account", right), checks.A("right", mark(right != "")), checks.A("runs", mark(frontEndRunner(p, accounts) != "")))
	return nil
}

// holderNames are the accounts as DOMAIN\NAME, and the first of them that is not the Front-End service's. The name of a computer is without
// its dollar sign, as setspn takes it.
func holderNames(p *checks.Pass, entries []facts.Entry, right func(dn string) bool) (names []string, wrong string, err error) {
	forest, err := facts.Forest.Get(p.Facts, evidence.None{})
	if err != nil {
		return nil, "", err
	}
	for _, e := range entries {
		name := forest.NetBIOS(facts.DomainOfDN(facts.DomainPart(e.DN))) + `\` + strings.TrimSuffix(e.Value("sAMAccountName"), "$")
		names = append(names, name)
		if wrong == "" && !right(e.DN) {
			wrong = name
		}
	}
	return names, wrong, nil
}

// frontEndRunner is the DN of the account that the Front-End service of the server logs on as; "" where its services could not be read.
func frontEndRunner(p *checks.Pass, accounts []facts.ServiceAccount) string {
	for _, a := range accounts {
		if a.Has(p.Subject.Name, facts.FrontEndService) {
			return a.DN
		}
	}
	return ""
}

// frontEndAccount is the name of the account of the Front-End service; "" when its services could not be read and its group has none or several.
func frontEndAccount(p *checks.Pass, accounts []facts.ServiceAccount) string {
	name := ""
	for _, a := range accounts {
		if a.Has(p.Subject.Name, facts.FrontEndService) {
			return a.Name
		}
		if !slices.Contains(a.Groups, frontEndGroup) {
			continue
		}
		if name != "" {
			name = ""
			break
		}
		name = a.Name
	}
	return name
}
