package ad

import (
	"errors"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	settingsInSystem = &checks.Message{
		Tag:      "system",
		Severity: checks.Notice,
		Text:     "the global settings of OCS are in the System container of {forest}, below {dn}",
	}
	settingsBothUnused = &checks.Message{
		Tag:      "both-unused",
		Severity: checks.Warning,
		Text:     "the global settings of OCS are there twice, below {used} and below {other}; nothing refers to the second",
	}
	settingsBothUsed = &checks.Message{
		Tag:      "both-used",
		Severity: checks.Error,
		Text:     "the global settings of OCS are there twice, below {used} and below {other}, and both are in use: {references}",
	}
)

var _ = register(&checks.Check{
	ID:       "ad/prep-forest-location",
	Title:    "the global settings of OCS are in one place, the configuration",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	After:    checks.ForestPrep,
	Needs:    append([]evidence.AnyKind{facts.Pools, facts.AllUsers}, settingsNeeds...),
	Messages: []*checks.Message{settingsInSystem, settingsBothUnused, settingsBothUsed},
	Run: func(p *checks.Pass) error {
		s, err := readSettings(p.Facts)
		if err != nil {
			return err
		}
		if err := s.systemUnread(); err != nil {
			return err
		}
		s.excuse(p)
		dns := map[string]string{}
		for _, h := range s.known() {
			for _, place := range h.value {
				dns[place.Place] = place.DN
			}
		}
		configuration, system := dns[facts.InConfiguration], dns[facts.InSystem]
		switch {
		case configuration != "" && system != "":
			return judgeBothPlaces(p, s, configuration, system)
		case system != "":
			p.Report(settingsInSystem, s.cites(), checks.A("forest", p.Subject.Name), checks.A("dn", system))
		case configuration == "":
			return checks.NotApplicable("the forest holds no settings of OCS")
		}
		return nil
	},
})

// judgeBothPlaces looks to which of the two places the pools and the users' home servers belong.
func judgeBothPlaces(p *checks.Pass, s forestSettings, configuration, system string) error {
	var pools facts.PoolList
	var users facts.UserTable
	var poolsErr, usersErr error
	evidence.Parallel(func() {
		pools, poolsErr = facts.Pools.Get(p.Facts, evidence.None{})
	}, func() {
		users, usersErr = facts.AllUsers.Get(p.Facts, evidence.None{})
	})
	if err := errors.Join(poolsErr, usersErr); err != nil {
		return err
	}
	references := map[string][]string{}
	refer := func(dn, what string) {
		for _, place := range []string{configuration, system} {
			if strings.HasSuffix(strings.ToLower(dn), ","+strings.ToLower(place)) {
				references[place] = append(references[place], what)
			}
		}
	}
	for _, pool := range pools.Pools {
		refer(pool.DN, "the pool "+pool.FQDN)
	}
	for _, home := range users.Homes {
		refer(home, "the home server "+home)
	}
	m, used, other := settingsBothUnused, configuration, system
	switch {
	case len(references[configuration]) > 0 && len(references[system]) > 0:
		m = settingsBothUsed
	case len(references[system]) > 0:
		used, other = system, configuration
	}
	var in []string
	for _, place := range []string{used, other} {
		in = append(in, references[place]...)
	}
	p.Report(m, append(s.cites(), pools.Cite), checks.A("forest", p.Subject.Name), checks.A("used", used), checks.A("other", other),
		checks.A("references", facts.Few(in, ", ", maxNamed)))
	return nil
}
