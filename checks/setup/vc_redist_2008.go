package setup

import (
	"strconv"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	vcMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Warning,
		Text:     "{server} does not have the Visual C++ 2008 redistributable for 64-bit programs",
	}
	vcTooOld = &checks.Message{
		Tag:      "too-old",
		Severity: checks.Warning,
		Text:     "{server} has the Visual C++ 2008 redistributable for 64-bit programs in the version {version}, older than 9.0.21022",
	}
)

// vcOldest is the first release of the redistributable, with which OCS 2007 R2 was built.
var vcOldest = []int{9, 0, 21022}

var _ = register(&checks.Check{
	ID:       "setup/vc-redist-2008",
	Title:    "the Visual C++ 2008 redistributable for 64-bit programs is installed on the OCS server",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.Registry},
	Messages: []*checks.Message{vcMissing, vcTooOld},
	Run: func(p *checks.Pass) error {
		q := programsQuestion(p.Subject.Name)
		k, err := facts.Registry.Get(p.Facts, q)
		if err != nil {
			return err
		}
		report := func(m *checks.Message, args ...checks.Arg) {
			p.Report(m, []evidence.Key{facts.Registry.Key(q)}, append(args, checks.A("server", p.Subject.Name))...)
		}
		newest := ""
		for _, vc := range programs(k, "Microsoft Visual C++ 2008 Redistributable - x64") {
			if !lower(vc.version, vcOldest) {
				return nil
			}
			newest = vc.version
		}
		if newest == "" {
			report(vcMissing)
		} else {
			report(vcTooOld, checks.A("version", newest))
		}
		return nil
	},
})

// lower tells whether a version, "9.0.30729.17", is lower than another; one that cannot be read is not.
func lower(version string, than []int) bool {
	parts := strings.Split(version, ".")
	for i, want := range than {
		if i == len(parts) {
			return true
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil || n > want {
			return false
		}
		if n < want {
			return true
		}
	}
	return false
}
