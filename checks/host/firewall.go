package host

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	firewallNoRules = &checks.Message{
		Tag:      "no-rules",
		Severity: checks.Warning,
		Text:     "Windows Firewall is on at {server}, without an exception for {programs}",
	}
	firewallOffBeforeSetup = &checks.Message{
		Tag:      "off-before-setup",
		Severity: checks.Warning,
		Text:     "Windows Firewall is off at {server}, on which OCS is about to be set up ({how})",
	}
	firewallOff = &checks.Message{
		Tag:      "off",
		Severity: checks.Notice,
		Text:     "Windows Firewall is off at {server} ({how})",
	}
)

var _ = register(&checks.Check{
	ID:       "host/firewall",
	Title:    "Windows Firewall runs, with the exceptions that activation makes for the programs of OCS",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.Registry, facts.OCSServices, facts.ServerPhase},
	Messages: []*checks.Message{firewallNoRules, firewallOffBeforeSetup, firewallOff},
	Run: func(p *checks.Pass) error {
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		local := facts.RegistryQuestion{Host: p.Subject.Name, Key: currentControlSet + `\Services\SharedAccess\Parameters\FirewallPolicy`, Depth: 3}
		policy := facts.RegistryQuestion{Host: p.Subject.Name, Key: `HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall`, Depth: 3}
		keys, errs := evidence.GetAll(p.Facts, facts.Registry, []facts.RegistryQuestion{local, policy})
		services, err := facts.OCSServices.Get(p.Facts, server(p))
		for _, err := range append(errs, err) {
			if err != nil {
				return err
			}
		}
		cites := []evidence.Key{facts.Registry.Key(local), facts.Registry.Key(policy), services.Cite}
		f := firewall{windows: w, keys: keys, services: services}
		if how := f.off(); how != "" {
			before, err := facts.BeforeSetup(p.Facts, server(p))
			if err != nil {
				return err
			}
			msg := firewallOff
			if before {
				msg = firewallOffBeforeSetup
			}
			p.Report(msg, cites, checks.A("server", p.Subject.Name), checks.A("how", how), checks.A("service", f.service()))
			return nil
		}
		if missing := f.missing(); len(missing) > 0 {
			p.Report(firewallNoRules, cites, checks.A("server", p.Subject.Name), checks.A("programs", strings.Join(missing, ", ")))
		}
		return nil
	},
})

// firewall is what the registry and the services say of Windows Firewall: keys are its own settings and those of group policies.
type firewall struct {
	windows  facts.Windows
	keys     []facts.RegistryKey
	services facts.OCSServiceList
}

// service is the short name of the service that is the firewall.
func (f firewall) service() string {
	if f.windows.Version == version2003 {
		return "SharedAccess"
	}
	return "MpsSvc"
}

// off says how the firewall is off: its service does not run, or the profile of the domain is switched off, where a policy goes before the
// server's own setting; "" when it is on.
func (f firewall) off() string {
	i := slices.IndexFunc(f.services.Others, func(s facts.Service) bool { return strings.EqualFold(s.Name, f.service()) })
	if i < 0 || f.services.Others[i].State != facts.ServiceRunning {
		return "the service " + f.service() + " does not run"
	}
	if n, set := f.keys[1].Find("DomainProfile").DWord("EnableFirewall"); set {
		if n == 0 {
			return "a group policy switches it off for the domain profile"
		}
		return ""
	}
	if n, set := f.keys[0].Find("DomainProfile").DWord("EnableFirewall"); set && n == 0 {
		return "it is switched off for the domain profile"
	}
	return ""
}

// missing are the programs of OCS services that have no exception. The profile that lets all in needs none.
func (f firewall) missing() []string {
	for _, k := range f.keys {
		if n, set := k.Find("DomainProfile").DWord("DefaultInboundAction"); set && n == 0 {
			return nil
		}
	}
	var missing []string
	for _, s := range f.services.Services {
		program := programName(s.Program)
		served := slices.Contains(facts.ConferencingServices, s.Name) || strings.EqualFold(s.Name, facts.FrontEndService)
		if !served || s.Disabled() || program == "" || slices.Contains(missing, program) || f.allows(program, s.Name) {
			continue
		}
		missing = append(missing, program)
	}
	return missing
}

// programName is the file name at the end of a command line, without its folder and arguments.
func programName(command string) string {
	command = strings.TrimPrefix(command, `"`)
	if i := strings.Index(strings.ToLower(command), ".exe"); i >= 0 {
		command = command[:i+4]
	}
	return command[strings.LastIndex(command, `\`)+1:]
}

// allows tells whether there is an exception for a program: since Windows Server 2008 a rule that lets in what is for that program or service, or for any,
// before it an entry in the list of programs. How rules name their ports is not weighed.
func (f firewall) allows(program, service string) bool {
	for _, k := range f.keys {
		for _, v := range k.Find("FirewallRules").Values {
			if ruleAllows(facts.UTF16(v.Data), program, service) {
				return true
			}
		}
		for _, v := range k.Find(`DomainProfile\AuthorizedApplications\List`).Values {
			if entry := strings.ToLower(facts.UTF16(v.Data)); strings.EqualFold(programName(v.Name), program) && strings.Contains(entry, ":enabled") {
				return true
			}
		}
	}
	return false
}

// ruleAllows reads a rule, "v2.10|Action=Allow|Active=TRUE|Dir=In|App=D:\...\RTCSrv.exe|...|" ([MS-GPFAS] 2.2.2).
func ruleAllows(rule, program, service string) bool {
	fields := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimRight(rule, "\x00"), "|") {
		name, value, _ := strings.Cut(part, "=")
		fields[strings.ToLower(name)] = value
	}
	is := func(name, value string) bool { return strings.EqualFold(fields[name], value) }
	if !is("action", "Allow") || !is("active", "TRUE") || !is("dir", "In") {
		return false
	}
	if app := fields["app"]; app != "" {
		return strings.EqualFold(programName(app), program)
	}
	return is("svc", service)
}
