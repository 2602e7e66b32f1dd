package account

import (
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// frontEndGroup is the group of the account that runs the Front-End service; componentGroup that of the account of all others.
const (
	frontEndGroup  = "RTCHSUniversalServices"
	componentGroup = "RTCComponentUniversalServices"
)

// namedAccount reads the service account that is judged.
func namedAccount(p *checks.Pass) (facts.ServiceAccount, error) {
	list, err := facts.ServiceAccounts.Get(p.Facts, evidence.None{})
	if err != nil {
		return facts.ServiceAccount{}, err
	}
	i := slices.IndexFunc(list, func(a facts.ServiceAccount) bool { return a.Name == p.Subject.Name })
	if i < 0 {
		return facts.ServiceAccount{}, evidence.FailAt(evidence.NoTarget, "no service of OCS logs on as "+p.Subject.Name+", and it is not a member of the RTC service groups",
			facts.ServiceAccounts.Key(evidence.None{}))
	}
	if list[i].Idle {
		return facts.ServiceAccount{}, checks.NotApplicable("no service of OCS logs on as " + p.Subject.Name)
	}
	return list[i], nil
}

// runsFrontEnd and runsComponents tell what an account runs: by the services that log on as it, or, where the servers could not be read, by the
// groups that it is in.
func runsFrontEnd(a facts.ServiceAccount) bool {
	if len(a.Runs) == 0 {
		return slices.Contains(a.Groups, frontEndGroup)
	}
	return slices.ContainsFunc(a.Runs, isFrontEnd)
}

func runsComponents(a facts.ServiceAccount) bool {
	if len(a.Runs) == 0 {
		return slices.Contains(a.Groups, componentGroup)
	}
	return slices.ContainsFunc(a.Runs, func(r facts.ServiceRun) bool { return !isFrontEnd(r) && !isAgent(r) })
}

func isFrontEnd(r facts.ServiceRun) bool { return strings.EqualFold(r.Service, facts.FrontEndService) }

// isAgent tells the Monitoring Agent, which may run as either account and is worth no word beside what else that runs.
func isAgent(r facts.ServiceRun) bool { return strings.EqualFold(r.Service, facts.MonitorService) }

// services are what an account runs.
func services(a facts.ServiceAccount) string {
	var names []string
	if runsFrontEnd(a) {
		names = append(names, "the Front-End service")
	}
	if runsComponents(a) {
		names = append(names, "the conferencing and application services")
	}
	if len(names) == 0 {
		return "the Monitoring Agent"
	}
	return strings.Join(names, " and ")
}

// accountArgs are the arguments that describe a service account.
func accountArgs(a facts.ServiceAccount, more ...checks.Arg) []checks.Arg {
	return append([]checks.Arg{checks.A("account", a.Name), checks.A("dn", a.DN), checks.A("services", services(a)),
		checks.A("groups", strings.Join(a.Groups, ", ")), checks.A("component", mark(runsComponents(a)))}, more...)
}

// mark is what a condition of a fix reads.
func mark(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// date is the day of a time, in UTC.
func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
