package service

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	logonRefused = &checks.Message{
		Tag:      "logon-failed",
		Severity: checks.Error,
		Text:     "{names} on {server} could not log on as {account}: {reason}",
		Identity: []string{"account"},
		// What AD says of the account; without a domain controller nobody logs on.
		ExplainedBy: []string{"account/service-account-usable", "account/service-password-expiry:expired", "service/logon-account:no-such-account",
			"ad/dc-reachable:none-answers"},
	}
	logonNoRight = &checks.Message{
		Tag:      "no-right",
		Severity: checks.Error,
		Text:     "{names} on {server} could not log on as {account}: the account does not have the right to log on as a service there",
		Identity: []string{"account"},
	}
	noSuchAccount = &checks.Message{
		Tag:      "no-such-account",
		Severity: checks.Error,
		Text:     "{names} on {server} logs on as {account}, and Active Directory has no such account",
		Identity: []string{"account"},
	}
	notOfDomain = &checks.Message{
		Tag:      "not-of-domain",
		Severity: checks.Error,
		Text:     "{names} on {server} logs on as {account}, which is no account of Active Directory",
		Identity: []string{"account"},
	}
	notInGroup = &checks.Message{
		Tag:         "not-in-group",
		Severity:    checks.Error,
		Text:        "{names} on {server} logs on as {account}, which is not a member of {group}",
		Identity:    []string{"account", "group"},
		ExplainedBy: []string{"ad/prep-groups:missing", "account/service-account-groups:empty-group"},
	}
)

// The groups by which an account may do what its services do: that of the Front-End service, and that of all other services.
const (
	frontEndGroup  = "RTCHSUniversalServices"
	componentGroup = "RTCComponentUniversalServices"
)

var _ = register(&checks.Check{
	ID:       "service/logon-account",
	Title:    "the services of OCS log on, each with an account that Active Directory holds for it",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.OCSServices, facts.Events, facts.ServiceAccounts, facts.Forest, facts.Groups},
	Messages: []*checks.Message{logonRefused, logonNoRight, noSuchAccount, notOfDomain, notInGroup},
	Run: func(p *checks.Pass) error {
		l, err := onServer(p)
		if err != nil {
			return err
		}
		activated := pick(l.Services, func(s facts.OCSService) bool { return !s.Disabled() && !strings.EqualFold(s.Name, facts.SQLService) })
		if len(activated) == 0 {
			return checks.NotApplicable("no service of OCS is activated here")
		}
		byAccount := groupByAccount(activated)
		if l.Edge() { // it is in no domain, or in one of its own
			return judgeLogons(p, l, byAccount, nil)
		}
		accounts, accountsErr := facts.ServiceAccounts.Get(p.Facts, evidence.None{})
		if err := judgeLogons(p, l, byAccount, accounts); err != nil {
			return err
		}
		if accountsErr != nil {
			return accountsErr
		}
		return judgeAccounts(p, l, byAccount, accounts)
	},
})

// groupByAccount groups services by the account that they log on as.
func groupByAccount(services []facts.OCSService) []group {
	var out []group
	for _, s := range services {
		i := slices.IndexFunc(out, func(g group) bool { return strings.EqualFold(g.services[0].Account, s.Account) })
		if i < 0 {
			i = len(out)
			out = append(out, group{})
		}
		out[i].services = append(out[i].services, s)
	}
	return out
}

// judgeLogons reports the accounts as which services could not log on. The reason is the event's own, where there is one.
func judgeLogons(p *checks.Pass, l facts.OCSServiceList, byAccount []group, accounts []facts.ServiceAccount) error {
	for _, all := range byAccount {
		g, failed := asGroup(pick(all.services, logonFailed))
		if !failed {
			continue
		}
		q := facts.EventsQuestion{Host: p.Subject.Name, Log: facts.SystemLog}
		events, err := facts.Events.Get(p.Facts, q)
		if err != nil {
			if !evidence.Excusable(err) {
				return err
			}
			p.Excuse(err, "the exit code says that the logon failed; the event says why")
		}
		cites := g.cites(l)
		code, found := logonError(events, g)
		if found {
			cites = append(cites, facts.Events.Key(q))
		}
		for _, a := range accounts {
			if a.Has(p.Subject.Name, g.services[0].Name) {
				cites = append(cites, a.Cite)
			}
		}
		msg := logonRefused
		if code == errLogonTypeNotGranted {
			msg = logonNoRight
		}
		p.Report(msg, cites, append(g.args(p, l), checks.A("reason", logonReason(code)), checks.A("pool", mark(usesComponents(g))), checks.A("host", mark(g.has(facts.AppHostService))))...)
	}
	return nil
}

// The events of the service control manager about a logon that failed: their strings are the service, the account, and the error as "%%1326".
const (
	eventLogonFailed       = 7038
	eventLogonNoRight      = 7041
	errLogonTypeNotGranted = 1385
)

// logonErrors are the Windows errors of a logon ([MS-ERREF] 2.2).
var logonErrors = map[uint32]string{
	1311: "no domain controller could be asked",
	1326: "the name is unknown or the password is wrong",
	1327: "a restriction on the account forbids it",
	1330: "its password has expired",
	1331: "it is disabled",
	1385: "it does not have the right to log on as a service",
	1793: "it has expired",
	1907: "its password has to be changed first",
	1909: "it is locked out",
}

// logonError is the error of the newest event about the logon of one of the services; an event of the kind that says so itself has 1385.
func logonError(l facts.EventList, g group) (code uint32, ok bool) {
	for _, e := range l.Events {
		if !e.From(facts.ServiceManager) || len(e.Strings) < 2 || !g.has(e.Strings[0]) {
			continue
		}
		switch e.Code() {
		case eventLogonNoRight:
			return errLogonTypeNotGranted, true
		case eventLogonFailed:
			n, _ := strconv.ParseUint(strings.TrimLeft(e.Strings[len(e.Strings)-1], "%"), 10, 32)
			return uint32(n), true
		}
	}
	return 0, false
}

// has tells whether a service of that short or displayed name is in the group.
func (g group) has(name string) bool {
	return slices.ContainsFunc(g.services, func(s facts.OCSService) bool {
		return strings.EqualFold(s.Name, name) || strings.EqualFold(s.DisplayName, name)
	})
}

func logonReason(code uint32) string {
	switch text, ok := logonErrors[code]; {
	case ok:
		return fmt.Sprintf("%s (error %d, 0x%X)", text, code, code)
	case code != 0:
		return fmt.Sprintf("error %d, 0x%X", code, code)
	}
	return "error 1069, 0x42D, which does not say why"
}

// usesComponents tells whether an account runs more than the Front-End service: then the application pool of the web components runs as it too.
func usesComponents(g group) bool {
	return slices.ContainsFunc(g.services, func(s facts.OCSService) bool { return !strings.EqualFold(s.Name, facts.FrontEndService) })
}

// judgeAccounts compares what the services log on as with AD.
func judgeAccounts(p *checks.Pass, l facts.OCSServiceList, byAccount []group, accounts []facts.ServiceAccount) error {
	forest, err := facts.Forest.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	for _, g := range byAccount {
		// What the Monitoring Agent is meant to run as is not documented.
		g.services = pick(g.services, func(s facts.OCSService) bool { return !strings.EqualFold(s.Name, facts.MonitorService) })
		if len(g.services) == 0 {
			continue
		}
		name := g.services[0].Account
		i := slices.IndexFunc(accounts, func(a facts.ServiceAccount) bool { return a.Has(p.Subject.Name, g.services[0].Name) })
		switch {
		case isLocal(name, p.Subject.Name):
			p.Report(notOfDomain, g.cites(l), g.args(p, l)...)
		case forest.LogonDomain(name) == "":
			err = evidence.FailAt(evidence.NoTarget, "the domain of "+name+", as which "+g.short()+" logs on, is not in the forest", g.services[0].Cite)
		case i < 0:
			p.Report(noSuchAccount, append(g.cites(l), facts.ServiceAccounts.Key(evidence.None{})), g.args(p, l)...)
		default:
			if bad := judgeMembership(p, l, g, accounts[i], accounts); bad != nil {
				err = bad
			}
		}
	}
	return err
}

// isLocal tells whether a name that a service logs on as is one of Windows itself, or of the server alone.
func isLocal(name, server string) bool {
	domain, _, ok := strings.Cut(name, `\`)
	computer, _, _ := strings.Cut(server, ".")
	if !ok {
		return !strings.Contains(name, "@") // LocalSystem, or nothing, which is the same
	}
	return domain == "." || strings.EqualFold(domain, computer) || strings.EqualFold(domain, "NT AUTHORITY") || strings.EqualFold(domain, "NT SERVICE")
}

// judgeMembership reports an account that is not in the group of what it runs. Who is a member through another group is not followed.
func judgeMembership(p *checks.Pass, l facts.OCSServiceList, g group, a facts.ServiceAccount, accounts []facts.ServiceAccount) error {
	for _, name := range []string{frontEndGroup, componentGroup} {
		concerned, any := asGroup(pick(g.services, func(s facts.OCSService) bool {
			return strings.EqualFold(s.Name, facts.FrontEndService) == (name == frontEndGroup)
		}))
		if !any || slices.Contains(a.Groups, name) {
			continue
		}
		groups, err := facts.Groups.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		found, exists := groups.Find(name)
		if !exists {
			continue // ad/prep-groups
		}
		for _, member := range found.Members {
			if !slices.ContainsFunc(accounts, func(a facts.ServiceAccount) bool { return strings.EqualFold(a.DN, member) }) {
				return evidence.FailAt(evidence.NoTarget, "who is a member of "+name+" through "+member+" is not followed", groups.Cite)
			}
		}
		p.Report(notInGroup, append(concerned.cites(l), a.Cite, groups.Cite), append(concerned.args(p, l), checks.A("group", name), checks.A("dn", a.DN))...)
	}
	return nil
}
