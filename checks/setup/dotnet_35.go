package setup

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	dotnet35Missing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Critical,
		Text:     "{server} does not have the .NET Framework 3.5",
	}
	dotnet35WithoutSP1 = &checks.Message{
		Tag:      "without-sp1",
		Severity: checks.Critical,
		Text:     "{server} has the .NET Framework {version} without its Service Pack 1",
	}
)

var _ = register(&checks.Check{
	ID:       "setup/dotnet-35",
	Title:    "the OCS server has the .NET Framework 3.5 with Service Pack 1",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.Registry},
	Messages: []*checks.Message{dotnet35Missing, dotnet35WithoutSP1},
	Run: func(p *checks.Pass) error {
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		q := facts.RegistryQuestion{Host: p.Subject.Name, Key: frameworks + `\v3.5`, Values: []string{"Install", "SP", "Version"}}
		k, err := facts.Registry.Get(p.Facts, q)
		if err != nil {
			return err
		}
		report := func(m *checks.Message, args ...checks.Arg) {
			p.Report(m, []evidence.Key{facts.Registry.Key(q)}, append(args, checks.A("server", p.Subject.Name), checks.A("generation", w.Generation()))...)
		}
		if installed, _ := k.DWord("Install"); installed != 1 {
			report(dotnet35Missing)
		} else if pack, _ := k.DWord("SP"); pack < 1 {
			report(dotnet35WithoutSP1, checks.A("version", k.Text("Version")))
		}
		return nil
	},
})
