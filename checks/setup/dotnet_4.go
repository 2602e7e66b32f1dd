package setup

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var dotnet4Present = &checks.Message{
	Tag:      "present",
	Severity: checks.Warning,
	Text:     "{server} has the .NET Framework {version}, and OCS is not installed yet",
}

var _ = register(&checks.Check{
	ID:       "setup/dotnet-4",
	Title:    "the .NET Framework 4 is not installed before OCS",
	Scope:    checks.ScopeServer,
	Phases:   checks.PreInstall,
	Needs:    []evidence.AnyKind{facts.HostOCS, facts.Registry},
	Messages: []*checks.Message{dotnet4Present},
	Run: func(p *checks.Pass) error {
		ocs, err := facts.HostOCS.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		if ocs.Installed {
			return checks.NotApplicable("OCS is installed already")
		}
		q := facts.RegistryQuestion{Host: p.Subject.Name, Key: frameworks + `\v4`, Depth: 1, Values: []string{"Install", "Version"}}
		v4, err := facts.Registry.Get(p.Facts, q)
		if err != nil {
			return err
		}
		for _, profile := range []string{"Full", "Client"} { // the whole of it, and the part that programs of clients need
			k := v4.Find(profile)
			if installed, _ := k.DWord("Install"); installed == 1 {
				version := k.Text("Version")
				if version == "" {
					version = "4"
				}
				p.Report(dotnet4Present, []evidence.Key{facts.Registry.Key(q)}, checks.A("server", p.Subject.Name), checks.A("version", version))
				return nil
			}
		}
		return nil
	},
})

// frameworks is the key of the versions of the .NET Framework.
const frameworks = `HKLM\SOFTWARE\Microsoft\NET Framework Setup\NDP`
