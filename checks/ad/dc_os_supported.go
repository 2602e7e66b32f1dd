package ad

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	osTooOld = &checks.Message{
		Tag:      "too-old",
		Severity: checks.Warning,
		Text:     "{dc} runs {system}; OCS 2007 R2 supports domain controllers from Windows Server 2003 with Service Pack 1 on",
	}
	osNewer = &checks.Message{
		Tag:      "newer",
		Severity: checks.Warning,
		Text:     "{dc} runs {system}, which is newer than any system that OCS 2007 R2 supports on a domain controller",
	}
	osNotWindows = &checks.Message{
		Tag:      "not-windows",
		Severity: checks.Notice,
		Text:     "{dc} runs {system}, which is not Windows",
	}
)

var _ = register(&checks.Check{
	ID:       "ad/dc-os-supported",
	Title:    "every domain controller runs a system that OCS 2007 R2 supports",
	Scope:    checks.ScopeDomainController,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.RootDSE, facts.Search},
	Messages: []*checks.Message{osTooOld, osNewer, osNotWindows},
	Run:      dcOSSupported,
})

func dcOSSupported(p *checks.Pass) error {
	dc := facts.DCQuestion{DC: p.Subject.Name}
	root, err := facts.RootDSE.Get(p.Facts, dc)
	if err != nil {
		return err
	}
	host := root.DNSHostName()
	if !facts.IsHostName(host) {
		return evidence.FailAt(evidence.Protocol, p.Subject.Name+" gives no readable dnsHostName", facts.RootDSE.Key(dc))
	}
	asked, _ := facts.SplitHostPort(p.Subject.Name, ldapPort)
	if err := anotherAnswers(asked, root, dc); err != nil {
		return err
	}
	q := facts.NewSearch(p.Subject.Name, root.Get("defaultNamingContext"), "sub", "(&(objectClass=computer)(dNSHostName="+host+"))",
		"operatingSystem", "operatingSystemVersion", "operatingSystemServicePack")
	res, err := facts.Search.Get(p.Facts, q)
	if err != nil {
		return err
	}
	if len(res.Entries) == 0 {
		return evidence.FailAt(evidence.NoTarget, p.Subject.Name+" shows no computer object of "+host, facts.Search.Key(q))
	}
	e := res.Entries[0]
	system, version, pack := e.Value("operatingSystem"), e.Value("operatingSystemVersion"), e.Value("operatingSystemServicePack")
	report := func(m *checks.Message) {
		p.Report(m, []evidence.Key{facts.Search.Key(q)}, checks.A("dc", host), checks.A("domain", facts.DomainOfDN(q.Base)),
			checks.A("system", strings.Join(strings.Fields(system+" "+version+" "+pack), " ")))
	}
	if system == "" && isSamba(root) {
		system = "Samba" // one that joined as a domain controller does not write it down
	}
	if system != "" && !strings.Contains(strings.ToLower(system), "windows") {
		report(osNotWindows)
		return nil
	}
	number, ok := osVersion(version)
	switch {
	case !ok:
		return evidence.FailAt(evidence.Protocol, fmt.Sprintf("%s gives no readable operatingSystemVersion of %s: %.40q", p.Subject.Name, e.DN, version), facts.Search.Key(q))
	case number.compare(server2003) < 0 || number == server2003 && pack == "":
		report(osTooOld)
	case number.compare(server2008R2) > 0:
		report(osNewer)
	}
	return nil
}

// windowsVersion is the number of a Windows version: {5, 2} is Windows Server 2003.
type windowsVersion struct{ major, minor int }

// The oldest and the newest version that OCS 2007 R2 supports on a domain controller.
var server2003, server2008R2 = windowsVersion{5, 2}, windowsVersion{6, 1}

func (v windowsVersion) compare(o windowsVersion) int {
	return cmp.Or(cmp.Compare(v.major, o.major), cmp.Compare(v.minor, o.minor))
}

// osVersion reads operatingSystemVersion, "6.1 (7601)".
func osVersion(s string) (windowsVersion, bool) {
	number, _, _ := strings.Cut(s, " ")
	first, second, _ := strings.Cut(number, ".")
	major, err := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(second)
	return windowsVersion{major, minor}, err == nil && err2 == nil
}
