package ad

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	sipDomainMissing = &checks.Message{
		Tag:         "missing",
		Severity:    checks.Critical,
		Text:        "the SIP domain {domain} is not defined in the forest {forest}; defined: {defined}",
		Identity:    []string{"domain"},
		ExplainedBy: undefinedSIPDomains,
	}
	noDefaultSIPDomain = &checks.Message{
		Tag:         "no-default",
		Severity:    checks.Critical,
		Text:        "no SIP domain of the forest {forest} is the default; defined: {defined}",
		ExplainedBy: undefinedSIPDomains,
	}
	severalDefaultSIPDomains = &checks.Message{
		Tag:         "several-defaults",
		Severity:    checks.Critical,
		Text:        "several SIP domains of the forest {forest} are marked as the default: {defaults}",
		ExplainedBy: undefinedSIPDomains,
	}
)

// undefinedSIPDomains are the findings that leave a forest without SIP domains.
var undefinedSIPDomains = append([]string{"ad/prep-forest:not-prepared"}, unpreparedSchema...)

var _ = register(&checks.Check{
	ID:       "ad/sip-domain-defined",
	Title:    "the SIP domains are defined in Active Directory, and one of them is the default",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	After:    checks.ForestPrep,
	Needs:    append([]evidence.AnyKind{facts.ConfigScope}, settingsNeeds...),
	Messages: []*checks.Message{sipDomainMissing, noDefaultSIPDomain, severalDefaultSIPDomains},
	Run: func(p *checks.Pass) error {
		scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		s, err := readSettings(p.Facts)
		if err != nil {
			return err
		}
		// The domain controller that is best off counts: whether the others follow is judged by ad/prep-forest-converged.
		var best sipDomains
		for i, h := range s.known() {
			if d := readSIPDomains(h.value, scope.SIPDomains); i == 0 || d.faults() < best.faults() {
				best = d
			}
		}
		if best.faults() > 0 {
			if err := s.systemUnread(); err != nil {
				return err
			}
		}
		s.excuse(p)
		report := func(m *checks.Message, domain string) {
			p.Report(m, s.cites(), checks.A("domain", domain), checks.A("forest", p.Subject.Name), checks.A("defined", listedOrNone(best.defined)),
				checks.A("defaults", facts.Few(best.defaults, ", ", maxNamed)))
		}
		for _, d := range best.missing {
			report(sipDomainMissing, d)
		}
		switch {
		case len(best.defaults) > 1:
			report(severalDefaultSIPDomains, "")
		case len(best.defaults) == 0 && (len(best.defined) > 0 || len(best.missing) == 0):
			report(noDefaultSIPDomain, "")
		}
		return nil
	},
})

// sipDomains is what a domain controller holds of SIP domains.
type sipDomains struct {
	defined, defaults []string
	// missing are those that were asked for and are not defined.
	missing []string
}

func readSIPDomains(places []facts.SettingsPlace, asked []string) sipDomains {
	var d sipDomains
	for _, place := range places {
		var defaults []string
		for _, domain := range place.Domains {
			if !slices.Contains(d.defined, domain.Name) {
				d.defined = append(d.defined, domain.Name)
			}
			if domain.Default {
				defaults = append(defaults, domain.Name)
			}
		}
		if len(defaults) > len(d.defaults) { // that each place has its own is no fault of the SIP domains
			d.defaults = defaults
		}
	}
	for _, domain := range asked {
		if !slices.Contains(d.defined, domain) {
			d.missing = append(d.missing, domain)
		}
	}
	return d
}

// faults counts what is wrong.
func (d sipDomains) faults() int {
	n := len(d.missing)
	if len(d.defaults) != 1 {
		n++
	}
	return n
}

func listedOrNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return facts.Few(names, ", ", maxNamed)
}
