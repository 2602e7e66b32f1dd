package setup

import (
	"cmp"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// feature is a role service or feature of Windows Server, and the marks by which it is known to be installed.
type feature struct {
	// name is what the Server Manager of 2008 and 2008 R2 calls it in commands.
	name string
	// component is its value below InetStp\Components; subcomponent the one of Windows Server 2003 below Oc Manager\Subcomponents, empty
	// where that Windows needs nothing for it. Both are 1 when it is installed.
	component, subcomponent string
}

// forFrontEnds is NotApplicable on a server on which OCS is in another role, such as Edge or Mediation, that needs none of the features: it
// has no service for instant messages. Before setup nobody knows the role, and the server is taken for a front end to be.
func forFrontEnds(p *checks.Pass) error {
	var ocs facts.Product
	var service facts.RegistryKey
	var errs [2]error
	evidence.Parallel(
		func() { ocs, errs[0] = facts.HostOCS.Get(p.Facts, server(p)) },
		func() {
			service, errs[1] = facts.Registry.Get(p.Facts, facts.ServiceConfigQuestion(p.Subject.Name, facts.ConferencingServices[0]))
		},
	)
	if err := cmp.Or(errs[:]...); err != nil {
		return err
	}
	if ocs.Installed && !service.Exists {
		return checks.NotApplicable("OCS on it is no front end")
	}
	return nil
}

// componentsQuestion asks for the parts of IIS that are installed.
func componentsQuestion(host string, w facts.Windows) facts.RegistryQuestion {
	key := `HKLM\SOFTWARE\Microsoft\InetStp\Components`
	if w.Version == facts.Windows2003 {
		key = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\Oc Manager\Subcomponents`
	}
	return facts.RegistryQuestion{Host: host, Key: key}
}

// missingFeatures are the names of those of the features that are not installed, with the fact that says so.
func missingFeatures(p *checks.Pass, w facts.Windows, features []feature) (missing []string, cite evidence.Key, err error) {
	q := componentsQuestion(p.Subject.Name, w)
	k, err := facts.Registry.Get(p.Facts, q)
	if err != nil {
		return nil, evidence.Key{}, err
	}
	for _, f := range features {
		value := f.component
		if w.Version == facts.Windows2003 {
			value = f.subcomponent
		}
		if n, _ := k.DWord(value); n != 1 && value != "" {
			missing = append(missing, f.name)
		}
	}
	return missing, facts.Registry.Key(q), nil
}

// reportMissing reports features that are missing, with what a fix needs to name them for each Windows.
func reportMissing(p *checks.Pass, m *checks.Message, w facts.Windows, cites []evidence.Key, missing ...string) {
	p.Report(m, cites, checks.A("server", p.Subject.Name), checks.A("generation", w.Generation()), checks.A("features", strings.Join(missing, ", ")),
		checks.A("list", strings.Join(missing, ",")), checks.A("words", strings.Join(missing, " ")))
}

// fileOf tells whether a file below the folder of Windows is there, by which a feature is known.
func fileOf(p *checks.Pass, w facts.Windows, path string) (exists bool, cite evidence.Key, err error) {
	q := facts.FileQuestion{Host: p.Subject.Name, Path: strings.TrimSuffix(w.SystemRoot, `\`) + `\` + path}
	f, err := facts.File.Get(p.Facts, q)
	return f.Exists, facts.File.Key(q), err
}
