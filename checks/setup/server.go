package setup

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// server is the question about the subject.
func server(p *checks.Pass) facts.ServerQuestion { return facts.ServerQuestion{FQDN: p.Subject.Name} }

// beforeSetup tells whether the server is about to get OCS, which decides how grave a finding is.
func beforeSetup(p *checks.Pass) (bool, error) {
	phase, err := facts.ServerPhase.Get(p.Facts, server(p))
	return phase.Phase == facts.PhasePreInstall, err
}

// windowsAndPhase are what most checks of the family need to word a finding.
func windowsAndPhase(p *checks.Pass) (w facts.Windows, before bool, err error) {
	var windowsErr, phaseErr error
	evidence.Parallel(func() { w, windowsErr = facts.HostWindows.Get(p.Facts, server(p)) }, func() { before, phaseErr = beforeSetup(p) })
	if windowsErr != nil {
		return w, before, windowsErr
	}
	return w, before, phaseErr
}

// program is an entry of the list of installed programs.
type program struct{ name, version, day string }

// programsQuestion asks for the installed programs, of 64 bits.
func programsQuestion(host string) facts.RegistryQuestion {
	return facts.RegistryQuestion{
		Host: host, Key: `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`, Depth: 1,
		Values: []string{"DisplayName", "DisplayVersion", "InstallDate"},
	}
}

// programs are the installed ones whose name begins with prefix.
func programs(k facts.RegistryKey, prefix string) []program {
	var out []program
	for _, sub := range k.Keys {
		if name := sub.Text("DisplayName"); strings.HasPrefix(strings.ToLower(name), strings.ToLower(prefix)) {
			out = append(out, program{name, sub.Text("DisplayVersion"), sub.Text("InstallDate")})
		}
	}
	return out
}

// ocsPrograms begins the name of every program of OCS 2007 R2.
const ocsPrograms = "Microsoft Office Communications Server 2007 R2"
