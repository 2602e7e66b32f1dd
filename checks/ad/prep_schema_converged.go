package ad

import (
	"cmp"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var schemaNotEverywhere = &checks.Message{
	Tag:         "not-everywhere",
	Severity:    checks.Error,
	Text:        "the schema of {product} is on {have}, but has not reached {lack}",
	ExplainedBy: brokenReplication,
}

// brokenReplication are the checks whose findings keep a change from reaching every domain controller.
var brokenReplication = []string{"ad/replication-neighbors", "ad/replication-repsfrom"}

var _ = register(&checks.Check{
	ID:       "ad/prep-schema-converged",
	Title:    "the OCS schema has reached every domain controller",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	After:    checks.SchemaPrep,
	Needs:    []evidence.AnyKind{facts.Directory, facts.Controllers, facts.SchemaVersion},
	Messages: []*checks.Message{schemaNotEverywhere},
	Run: func(p *checks.Pass) error {
		dir, marks, err := readSchema(p.Facts)
		if err != nil {
			return err
		}
		known := marks.known()
		if len(known) == 0 {
			return marks.failure()
		}
		best := slices.MaxFunc(known, func(a, b held[facts.SchemaMark]) int { return cmp.Compare(a.value.Upper, b.value.Upper) }).value
		var have, lack []string
		for _, h := range known {
			switch {
			case h.value == best:
				have = append(have, h.dc)
			case h.value.Found:
				lack = append(lack, h.dc+" ("+schemaProduct(h.value.Upper)+")")
			default:
				lack = append(lack, h.dc+" (none)")
			}
		}
		if len(lack) > 0 {
			p.Report(schemaNotEverywhere, schemaCites(known, dir), checks.A("product", schemaProduct(best.Upper)),
				checks.A("have", facts.Few(have, ", ", maxNamed)), checks.A("lack", facts.Few(lack, ", ", maxNamed)), checks.A("source", have[0]))
		}
		switch err := marks.failure(); {
		case err != nil:
			return err
		case len(marks) == 1:
			return errOneController
		case !best.Found:
			return checks.NotApplicable("no domain controller has an OCS schema yet")
		}
		return nil
	},
})
