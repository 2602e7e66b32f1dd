package service

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// The Windows errors that a service which does not run may have as its exit code ([MS-ERREF] 2.2).
const (
	errLogonFailed     = 1069
	errServiceSpecific = 1066
)

// exitCodes explain them.
var exitCodes = map[uint32]string{
	0:    "it was stopped, or stopped by itself without an error",
	1053: "it did not answer the start in time",
	1058: "it is disabled, or one that it depends on is",
	1067: "its process ended unexpectedly",
	1068: "a service that it depends on did not start",
	1069: "it could not log on with its account",
	1077: "nobody has tried to start it since Windows was started",
}

// The codes of OCS's own that a service may stop with.
const (
	codeEvaluationExpired = 0xC3E93C23
	codeNoCertificate     = 0xC3E93C62
	codeDatabaseMismatch  = 0xC3EE78F8
	codeVersionUnread     = 0xC3EC78D8
)

var ownCodes = map[uint32]string{
	codeEvaluationExpired: "it takes its evaluation period to be over, which usually is KB974571",
	codeNoCertificate:     "it has no default certificate for outgoing connections that it accepts",
	codeDatabaseMismatch:  "the stored procedures of its database have another version than itself",
	codeVersionUnread:     "it cannot read its version information, which usually is KB974571",
}

// why says in words why a service does not run, with its exit code as the service control manager and the event log write it.
func why(s facts.OCSService) string {
	switch {
	case s.State != facts.ServiceStopped:
		return "it neither runs nor has it stopped"
	case s.ExitCode == errServiceSpecific:
		own := cmp.Or(ownCodes[s.SpecificExitCode], "the code is its own")
		return fmt.Sprintf("%s (error 1066, service-specific code %d, 0x%X)", own, s.SpecificExitCode, s.SpecificExitCode)
	case s.ExitCode == 0:
		return exitCodes[0] + " (exit code 0)"
	}
	return fmt.Sprintf("%s (error %d, 0x%X)", cmp.Or(exitCodes[s.ExitCode], "Windows gives an error"), s.ExitCode, s.ExitCode)
}

// code tells exit codes apart.
func code(s facts.OCSService) string {
	if s.ExitCode == errServiceSpecific {
		return fmt.Sprintf("0x%X", s.SpecificExitCode)
	}
	return fmt.Sprint(s.ExitCode)
}

// logonFailed tells whether a service does not run because it could not log on.
func logonFailed(s facts.OCSService) bool {
	return s.State == facts.ServiceStopped && s.ExitCode == errLogonFailed
}

// specific is the code of OCS's own that a stopped service ended with; 0 for none.
func specific(s facts.OCSService) uint32 {
	if s.State != facts.ServiceStopped || s.ExitCode != errServiceSpecific {
		return 0
	}
	return s.SpecificExitCode
}

// onServer reads the services of the server that is judged.
func onServer(p *checks.Pass) (facts.OCSServiceList, error) {
	return facts.OCSServices.Get(p.Facts, facts.ServerQuestion{FQDN: p.Subject.Name})
}

// brokenDependencies are the services that one depends on and that do not run; "" when all do.
func brokenDependencies(l facts.OCSServiceList, s facts.OCSService) string {
	var names []string
	for _, name := range s.DependsOn {
		state := facts.ServiceState(0)
		if on, ok := l.Find(name); ok {
			state = on.State
		}
		for _, o := range l.Others {
			if strings.EqualFold(o.Name, name) {
				state = o.State
			}
		}
		if state != 0 && state != facts.ServiceRunning {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// group is several services that do not run for the same reason.
type group struct {
	services []facts.OCSService
	why      string
}

// names are "IM Conferencing (RTCIMMCU), Web Conferencing (RTCDATAMCU)".
func (g group) names() string {
	var out []string
	for _, s := range g.services {
		out = append(out, s.Label+" ("+s.Name+")")
	}
	return strings.Join(out, ", ")
}

// short are the short names, as a command takes them.
func (g group) short() string {
	var out []string
	for _, s := range g.services {
		out = append(out, s.Name)
	}
	return strings.Join(out, " ")
}

// verb is "is" or "are", for as many as there are.
func (g group) verb() string {
	if len(g.services) == 1 {
		return "is"
	}
	return "are"
}

// cites are the list of services and how those of the group are configured.
func (g group) cites(l facts.OCSServiceList) []evidence.Key {
	cites := []evidence.Key{l.Cite}
	for _, s := range g.services {
		cites = append(cites, s.Cite)
	}
	return cites
}

// args describe the group for a message and its fix.
func (g group) args(p *checks.Pass, l facts.OCSServiceList) []checks.Arg {
	first := g.services[0]
	return []checks.Arg{
		checks.A("server", p.Subject.Name), checks.A("names", g.names()), checks.A("services", g.short()), checks.A("verb", g.verb()),
		checks.A("why", g.why), checks.A("state", first.State), checks.A("code", code(first)), checks.A("account", first.Account),
		checks.A("broken", brokenDependencies(l, first)),
	}
}

// byReason groups services by why they do not run, in the order of the first of each.
func byReason(services []facts.OCSService) []group {
	var out []group
	for _, s := range services {
		reason := why(s)
		i := slices.IndexFunc(out, func(g group) bool { return g.why == reason })
		if i < 0 {
			i = len(out)
			out = append(out, group{why: reason})
		}
		out[i].services = append(out[i].services, s)
	}
	return out
}

// pick are the services for which a condition holds.
func pick(services []facts.OCSService, holds func(facts.OCSService) bool) []facts.OCSService {
	var out []facts.OCSService
	for _, s := range services {
		if holds(s) {
			out = append(out, s)
		}
	}
	return out
}

// asGroup makes one group of services for one message; ok is false when there is none.
func asGroup(services []facts.OCSService) (g group, ok bool) {
	return group{services: services}, len(services) > 0
}

func down(s facts.OCSService) bool { return !s.Disabled() && !s.Running() }
