package ad

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var poolNameDiffers = &checks.Message{
	Tag:      "differs",
	Severity: checks.Error,
	Text:     "the Standard Edition pool {pool} runs on the computer {computer}, whose name it should have",
}

var _ = register(&checks.Check{
	ID:       "ad/pool-name",
	Title:    "a Standard Edition pool has the name of its server",
	Scope:    checks.ScopePool,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.Pools},
	Messages: []*checks.Message{poolNameDiffers},
	Run: func(p *checks.Pass) error {
		pool, list, err := namedPool(p)
		if err != nil {
			return err
		}
		computers := poolComputers(pool)
		switch {
		case pool.Type&anyEnterprise != 0:
			return checks.NotApplicable("an Enterprise pool has a name of its own")
		case len(computers) == 0:
			return noFrontEnds
		case pool.Type&anyStandard == 0 && pool.Version >= 0 && pool.Version < facts.VersionR2:
			return checks.NotApplicable("it is a pool of an older product, which does not say of which edition it is")
		case pool.Type&anyStandard == 0:
			return evidence.FailAt(evidence.Protocol, "AD gives no readable msRTCSIP-PoolType of the pool "+pool.FQDN, list.Cite)
		}
		if !slices.Contains(computers, pool.FQDN) {
			p.Report(poolNameDiffers, []evidence.Key{list.Cite}, checks.A("pool", pool.FQDN), checks.A("computer", facts.Few(computers, ", ", 5)), checks.A("dn", pool.DN))
		}
		return nil
	},
})

// The bits of msRTCSIP-PoolType that tell the edition: that of the users, and that of the applications.
const (
	anyStandard   = facts.StandardEdition | 4
	anyEnterprise = facts.EnterpriseEdition | 8
)
