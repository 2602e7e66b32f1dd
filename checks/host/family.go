// Package host checks the Windows that a server of OCS runs on: its policies, its clock, what it is made of.
package host

import (
	"embed"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

//go:embed *.md
var docs embed.FS

var family = checks.NewFamily("host", docs)

func register(c *checks.Check) *checks.Check { return family.Add(c) }

// Checks are the family's checks.
func Checks() []*checks.Check { return family.Checks() }

// server is the question about the subject.
func server(p *checks.Pass) facts.ServerQuestion { return facts.ServerQuestion{FQDN: p.Subject.Name} }

// mark is what a condition of a fix reads.
func mark(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

const (
	currentControlSet = `HKLM\SYSTEM\CurrentControlSet`
	// version2003 is the version of Windows Server 2003.
	version2003 = "5.2"
)

// schannelQuestion asks for the settings of Schannel.
func schannelQuestion(p *checks.Pass) facts.RegistryQuestion {
	return facts.RegistryQuestion{Host: p.Subject.Name, Key: currentControlSet + `\Control\SecurityProviders\SCHANNEL`, Depth: 3,
		Values: []string{"DisabledByDefault", "Enabled", "SendTrustedIssuerList"}}
}

// lsaQuestion asks for one setting of the logon, which stands in the key Lsa or in one below it. The others are not read along: some keys
// below Lsa hold what no scan and no collected folder takes.
func lsaQuestion(p *checks.Pass, below, value string) facts.RegistryQuestion {
	return facts.RegistryQuestion{Host: p.Subject.Name, Key: currentControlSet + `\Control\Lsa` + below, Values: []string{value}}
}

// lastStart is when the Front-End service was last started, or, where that is not known, Windows: what an event before it tells is over.
func lastStart(p *checks.Pass) (facts.StartTimes, error) {
	return facts.HostStarts.Get(p.Facts, facts.StartsQuestion{Host: p.Subject.Name, Service: facts.FrontEndService})
}

// eventLog reads the newest records of a log of the server.
func eventLog(p *checks.Pass, log string) (facts.EventList, evidence.Key, error) {
	q := facts.EventsQuestion{Host: p.Subject.Name, Log: log}
	l, err := facts.Events.Get(p.Facts, q)
	return l, facts.Events.Key(q), err
}
