package setup

import (
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	osNot64 = &checks.Message{
		Tag:      "not-x64",
		Severity: checks.Error,
		Text:     "{server} runs {windows} for 32-bit processors; the server roles of OCS 2007 R2 are 64-bit programs only",
	}
	osTooOld = &checks.Message{
		Tag:      "too-old",
		Severity: checks.Error,
		Text:     "{server} runs {windows}; OCS 2007 R2 needs Windows Server 2003 with Service Pack 2 or later",
	}
	osNewer = &checks.Message{
		Tag:      "newer",
		Severity: checks.Error,
		Text:     "{server} runs {windows}, which is newer than any Windows on which OCS 2007 R2 is supported",
	}
	osNotServer = &checks.Message{
		Tag:      "not-a-server",
		Severity: checks.Error,
		Text:     "{server} runs {windows}, which is no Windows Server",
	}
	osUpgraded = &checks.Message{
		Tag:      "upgraded-in-place",
		Severity: checks.Warning,
		Text:     "{server} got {windows} on {upgraded}, after OCS, which is there since {installed}: Windows was upgraded under OCS (KB982020)",
	}
	osConditions = &checks.Message{
		Tag:      "conditions-apply",
		Severity: checks.Notice,
		Text:     "{server} runs {windows}: OCS 2007 R2 is supported on it under the conditions of KB982021",
	}
)

var _ = register(&checks.Check{
	ID:       "setup/os-supported",
	Title:    "the OCS server runs a Windows on which OCS 2007 R2 is supported",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.Registry},
	Messages: []*checks.Message{osNot64, osTooOld, osNewer, osNotServer, osUpgraded, osConditions},
	Run:      osSupported,
})

func osSupported(p *checks.Pass) error {
	w, err := facts.HostWindows.Get(p.Facts, server(p))
	if err != nil {
		return err
	}
	report := func(m *checks.Message) {
		p.Report(m, []evidence.Key{w.Cite}, checks.A("server", p.Subject.Name), checks.A("windows", w.Name()))
	}
	switch {
	case olderThan(w.Version, facts.Windows2003), w.Version == facts.Windows2003 && w.ServicePack < 2:
		report(osTooOld)
	case olderThan(facts.Windows2008R2, w.Version):
		report(osNewer)
	case w.Product != "" && !strings.Contains(strings.ToLower(w.Product), "server"):
		report(osNotServer)
	case !w.X64:
		report(osNot64)
	case w.Version == facts.Windows2008R2:
		report(osConditions)
		return upgradedUnderOCS(p, w)
	}
	return nil
}

// olderThan compares two versions of Windows: "5.2", "10.0". One that is none is older than all.
func olderThan(a, b string) bool {
	number := func(s string) string { // so that they compare as texts
		major, minor, _ := strings.Cut(s, ".")
		return strings.Repeat("0", max(0, 5-len(major))) + major + "." + strings.Repeat("0", max(0, 5-len(minor))) + minor
	}
	return number(a) < number(b)
}

// upgradedUnderOCS compares the day on which Windows was installed, which an upgrade renews, with that of the oldest program of OCS. Where
// the installer wrote down no day, nothing can be said, and nothing is.
func upgradedUnderOCS(p *checks.Pass, w facts.Windows) error {
	questions := []facts.RegistryQuestion{
		{Host: p.Subject.Name, Key: `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, Values: []string{"InstallDate"}},
		programsQuestion(p.Subject.Name),
	}
	keys, errs := evidence.GetAll(p.Facts, facts.Registry, questions)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	seconds, _ := keys[0].DWord("InstallDate")
	var first time.Time
	for _, o := range programs(keys[1], ocsPrograms) {
		if day, err := time.Parse("20060102", o.day); err == nil && (first.IsZero() || day.Before(first)) {
			first = day
		}
	}
	// Days are those of the server's own clock: one of them may be that of the other.
	if upgraded := time.Unix(int64(seconds), 0).UTC(); seconds > 0 && !first.IsZero() && upgraded.After(first.Add(48*time.Hour)) {
		p.Report(osUpgraded, []evidence.Key{facts.Registry.Key(questions[0]), facts.Registry.Key(questions[1])}, checks.A("server", p.Subject.Name),
			checks.A("windows", w.Name()), checks.A("upgraded", upgraded.Format(time.DateOnly)), checks.A("installed", first.Format(time.DateOnly)))
	}
	return nil
}
