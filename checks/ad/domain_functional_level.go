package ad

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var domainLevelTooLow = &checks.Message{
	Tag:      "too-low",
	Severity: checks.Critical,
	Text:     "the functional level of the domain {name} is {level} according to {dcs}; OCS 2007 R2 needs Windows Server 2003 or higher",
}

var _ = register(&checks.Check{
	ID:       "ad/domain-functional-level",
	Title:    "the AD domain has the functional level Windows Server 2003 or higher",
	Scope:    checks.ScopeADDomain,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.DomainControllers, facts.RootDSE},
	Messages: []*checks.Message{domainLevelTooLow},
	Run: func(p *checks.Pass) error {
		return judgeLevel(p, p.Subject.Name, domainLevelTooLow, "domainFunctionality", "defaultNamingContext")
	},
})
