package ad

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence/facts"
)

var forestNotEverywhere = &checks.Message{
	Tag:         "not-everywhere",
	Severity:    checks.Error,
	Text:        "the settings of OCS in the {place} container of the forest have not reached every domain controller; missing on {lack}",
	Identity:    []string{"place"},
	ExplainedBy: append([]string{"ad/prep-schema-converged:not-everywhere"}, brokenReplication...),
}

var _ = register(&checks.Check{
	ID:       "ad/prep-forest-converged",
	Title:    "the preparation of the forest has reached every domain controller",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	After:    checks.ForestPrep,
	Needs:    settingsNeeds,
	Messages: []*checks.Message{forestNotEverywhere},
	Run: func(p *checks.Pass) error {
		s, err := readSettings(p.Facts)
		if err != nil {
			return err
		}
		found := false
		for _, name := range []string{facts.InConfiguration, facts.InSystem} {
			var items copies[[]string]
			for _, h := range s.known() {
				if name == facts.InSystem && !slices.Contains(s.rooted, h.dc) {
					continue // it does not hold that place
				}
				at, _ := place(h.value, name)
				items = append(items, held[[]string]{dc: h.dc, value: settingsItems(at)})
				found = found || len(at.Classes) > 0
			}
			c := compareCopies(items)
			if len(c.lack) == 0 {
				continue
			}
			source := ""
			if len(c.have) > 0 {
				source = c.have[0]
			}
			p.Report(forestNotEverywhere, s.cites(), checks.A("place", name), checks.A("lack", facts.Few(c.lack, ", ", maxNamed)),
				checks.A("have", facts.Few(c.have, ", ", maxNamed)), checks.A("source", source))
		}
		switch err := s.failure(); {
		case err != nil:
			return err
		case len(s.copies) == 1:
			return errOneController
		case !found:
			return checks.NotApplicable("no domain controller holds settings of OCS yet")
		}
		return nil
	},
})

// settingsItems are the things that have to be the same everywhere, in words.
func settingsItems(p facts.SettingsPlace) []string {
	var out []string
	for _, class := range facts.ForestClasses {
		if p.Has(class) {
			out = append(out, "the container "+containerNames[class])
		}
	}
	for _, d := range p.Domains {
		out = append(out, "the SIP domain "+d.Name)
		if d.Default {
			out = append(out, d.Name+" as the default")
		}
	}
	return out
}
