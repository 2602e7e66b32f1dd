package ad

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var forestLevelTooLow = &checks.Message{
	Tag:      "too-low",
	Severity: checks.Critical,
	Text:     "the functional level of the forest {name} is {level} according to {dcs}; OCS 2007 R2 needs Windows Server 2003 or higher",
}

var _ = register(&checks.Check{
	ID:       "ad/forest-functional-level",
	Title:    "the AD forest has the functional level Windows Server 2003 or higher",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.ADDomain, facts.DomainControllers, facts.RootDSE},
	Messages: []*checks.Message{forestLevelTooLow},
	Run: func(p *checks.Pass) error {
		domain, err := facts.ADDomain.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		return judgeLevel(p, domain.List[0], forestLevelTooLow, "forestFunctionality", "rootDomainNamingContext")
	},
})
