package setup

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence/facts"
)

// server is the question about the subject.
func server(p *checks.Pass) facts.ServerQuestion { return facts.ServerQuestion{FQDN: p.Subject.Name} }

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
