package host

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	onSystemDrive = &checks.Message{
		Tag:      "system-drive",
		Severity: checks.Notice,
		Text:     "OCS stands on the drive of Windows of {server}: {folder}",
	}
	dataOnSystemDrive = &checks.Message{
		Tag:      "database-on-system-drive",
		Severity: checks.Notice,
		Text:     "SQL Server keeps the data of its instance RTC on the drive of Windows of {server}: {folder}",
	}
)

// sqlServers are where instances of SQL Server stand in the registry: those of 64 bits, and those of 32, as the Express edition of 2005 is.
var sqlServers = []string{`HKLM\SOFTWARE\Microsoft\Microsoft SQL Server`, `HKLM\SOFTWARE\Wow6432Node\Microsoft\Microsoft SQL Server`}

var _ = register(&checks.Check{
	ID:       "host/install-drive",
	Title:    "OCS stands on another drive than Windows",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Setup,
	Needs:    []evidence.AnyKind{facts.HostOCS, facts.HostWindows, facts.Registry},
	Messages: []*checks.Message{onSystemDrive, dataOnSystemDrive},
	Run: func(p *checks.Pass) error {
		ocs, err := facts.HostOCS.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		if ocs.InstallDir == "" {
			return checks.NotApplicable("OCS is not installed on the server")
		}
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		report := func(m *checks.Message, folder string, cites ...evidence.Key) {
			if drive, _, _ := strings.Cut(folder, `\`); strings.EqualFold(drive, w.SystemDrive()) {
				p.Report(m, append(cites, w.Cite), checks.A("server", p.Subject.Name), checks.A("folder", folder), checks.A("drive", drive))
			}
		}
		report(onSystemDrive, ocs.InstallDir, ocs.Cite)
		folder, cite, err := dataFolder(p)
		if err != nil {
			return err
		}
		report(dataOnSystemDrive, folder, cite)
		return nil
	},
})

// dataFolder is where the instance RTC, which Standard Edition has for its databases, keeps its data; empty where there is no such instance.
func dataFolder(p *checks.Pass) (folder string, cite evidence.Key, err error) {
	var questions []facts.RegistryQuestion
	for _, key := range sqlServers {
		questions = append(questions, facts.RegistryQuestion{Host: p.Subject.Name, Key: key + `\Instance Names\SQL`, Values: []string{"RTC"}})
	}
	instances, errs := evidence.GetAll(p.Facts, facts.Registry, questions)
	for i, names := range instances {
		if errs[i] != nil {
			return "", evidence.Key{}, errs[i]
		}
		id := names.Text("RTC")
		if id == "" {
			continue
		}
		q := facts.RegistryQuestion{Host: p.Subject.Name, Key: sqlServers[i] + `\` + id + `\Setup`, Values: []string{"SQLDataRoot"}}
		setup, err := facts.Registry.Get(p.Facts, q)
		return setup.Text("SQLDataRoot"), facts.Registry.Key(q), err
	}
	return "", evidence.Key{}, nil
}
