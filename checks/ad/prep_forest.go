package ad

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	forestNotPrepared = &checks.Message{
		Tag:         "not-prepared",
		Severity:    checks.Critical,
		Text:        "the forest {forest} has not been prepared for OCS: there are no global settings, according to {dcs}",
		ExplainedBy: schemaNotReady,
	}
	forestR1Only = &checks.Message{
		Tag:         "r1-only",
		Severity:    checks.Critical,
		Text:        "the forest {forest} has been prepared for an OCS before 2007 R2 only: the containers {missing} are missing below {dn}",
		ExplainedBy: schemaNotReady,
	}
	forestIncomplete = &checks.Message{
		Tag:         "incomplete",
		Severity:    checks.Critical,
		Text:        "the preparation of the forest {forest} is incomplete: {missing} missing below {dn}",
		ExplainedBy: schemaNotReady,
	}
)

// schemaNotReady are the findings by which ForestPrep has to wait, or fails when it does not.
var schemaNotReady = append([]string{"ad/prep-schema-converged:not-everywhere"}, unpreparedSchema...)

// unpreparedForest are the findings of ad/prep-forest.
var unpreparedForest = []string{"ad/prep-forest:not-prepared", "ad/prep-forest:r1-only", "ad/prep-forest:incomplete"}

var _ = register(&checks.Check{
	ID:       "ad/prep-forest",
	Title:    "the forest is prepared for OCS 2007 R2",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	After:    checks.ForestPrep,
	Needs:    append([]evidence.AnyKind{facts.ConfigScope}, settingsNeeds...),
	Messages: []*checks.Message{forestNotPrepared, forestR1Only, forestIncomplete},
	Run: func(p *checks.Pass) error {
		scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		s, err := readSettings(p.Facts)
		if err != nil {
			return err
		}
		state, best := noSettings, facts.SettingsPlace{Place: facts.InConfiguration}
		for _, h := range s.known() {
			for _, place := range h.value {
				if n := stateOf(place); n > state {
					state, best = n, place
				}
			}
		}
		if state < settingsComplete {
			if err := s.systemUnread(); err != nil {
				return err
			}
		}
		s.excuse(p)
		m := map[settingsState]*checks.Message{noSettings: forestNotPrepared, settingsOfR1: forestR1Only, settingsIncomplete: forestIncomplete}[state]
		if m == nil {
			return nil
		}
		sip := ""
		if len(scope.SIPDomains) > 0 {
			sip = scope.SIPDomains[0]
		}
		p.Report(m, s.cites(), checks.A("forest", p.Subject.Name), checks.A("dcs", facts.Few(s.known().names(), ", ", maxNamed)), checks.A("sipDomain", sip),
			checks.A("missing", strings.Join(missingContainers(best), ", ")), checks.A("dn", best.DN), checks.A("global", strings.ToLower(best.Place)))
		return nil
	},
})

// settingsState tells how far forest preparation has come at one place.
type settingsState int

const (
	noSettings         settingsState = iota // CN=RTC Service or the global settings are missing
	settingsOfR1                            // none of the containers that are new in R2
	settingsIncomplete                      // some of them
	settingsComplete
)

func stateOf(p facts.SettingsPlace) settingsState {
	switch missing := missingContainers(p); {
	case !p.Has(facts.ClassService) || !p.Has(facts.ClassGlobal):
		return noSettings
	case len(missing) == 0:
		return settingsComplete
	case len(missing) == len(containersOfR2):
		return settingsOfR1
	}
	return settingsIncomplete
}

// containersOfR2 are the classes of the containers that only the preparation for OCS 2007 R2 makes.
var containersOfR2 = []string{facts.ClassContacts, facts.ClassMappings, facts.ClassConference}

func missingContainers(p facts.SettingsPlace) []string {
	var out []string
	for _, class := range containersOfR2 {
		if !slices.Contains(p.Classes, class) {
			out = append(out, containerNames[class])
		}
	}
	return out
}
