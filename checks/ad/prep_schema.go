package ad

import (
	"cmp"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	schemaNotExtended = &checks.Message{
		Tag:      "not-extended",
		Severity: checks.Critical,
		Text:     "the schema of the forest {forest} has not been extended for OCS, according to {dcs}",
	}
	schemaOlder = &checks.Message{
		Tag:      "older",
		Severity: checks.Critical,
		Text:     "the schema of the forest {forest} is that of {product} (rangeUpper {upper}), not yet that of OCS 2007 R2 (1008), according to {dcs}",
	}
	schemaNewer = &checks.Message{
		Tag:      "newer",
		Severity: checks.Notice,
		Text:     "the schema of the forest {forest} was extended for {product} (rangeUpper {upper}), which contains what OCS 2007 R2 needs",
	}
)

// unpreparedSchema are the findings of ad/prep-schema from which it follows that the later steps have not been taken.
var unpreparedSchema = []string{"ad/prep-schema:not-extended", "ad/prep-schema:older"}

var _ = register(&checks.Check{
	ID:       "ad/prep-schema",
	Title:    "the schema of the forest is extended for OCS 2007 R2",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	After:    checks.SchemaPrep,
	Needs:    []evidence.AnyKind{facts.Directory, facts.Controllers, facts.SchemaVersion, facts.Masters},
	Messages: []*checks.Message{schemaNotExtended, schemaOlder, schemaNewer},
	Run: func(p *checks.Pass) error {
		dir, marks, err := readSchema(p.Facts)
		if err != nil {
			return err
		}
		known := marks.known()
		if len(known) == 0 {
			return marks.failure()
		}
		marks.excuse(p)
		best := slices.MaxFunc(known, func(a, b held[facts.SchemaMark]) int { return cmp.Compare(a.value.Upper, b.value.Upper) }).value
		m := schemaNotExtended
		switch {
		case best.Found && best.Upper == facts.SchemaR2:
			return nil
		case best.Found && best.Upper > facts.SchemaR2:
			m = schemaNewer
		case best.Found:
			m = schemaOlder
		}
		master := ""
		if m != schemaNewer {
			roles, err := facts.Masters.Get(p.Facts, evidence.None{})
			p.Excuse(err, wantedForFix)
			master = roles.Schema
		}
		p.Report(m, schemaCites(known, dir), checks.A("forest", p.Subject.Name), checks.A("dcs", facts.Few(known.names(), ", ", maxNamed)),
			checks.A("product", schemaProduct(best.Upper)), checks.A("upper", best.Upper), checks.A("master", master))
		return nil
	},
})

// readSchema reads the mark of schema preparation on every domain controller.
func readSchema(r *evidence.Reader) (facts.DirectoryData, copies[facts.SchemaMark], error) {
	dir, err := facts.Directory.Get(r, evidence.None{})
	if err != nil {
		return dir, nil, err
	}
	dcs, err := forestControllers(r)
	if err != nil {
		return dir, nil, err
	}
	return dir, readCopies(r, facts.SchemaVersion, dcs), nil
}

func schemaCites(known copies[facts.SchemaMark], dir facts.DirectoryData) []evidence.Key {
	var keys []evidence.Key
	for _, h := range known {
		keys = append(keys, facts.Search.Key(facts.SchemaQuestion(h.dc, dir)))
	}
	return keys
}

// schemaProduct is the product that extended the schema so far.
func schemaProduct(upper int) string {
	switch upper {
	case 1006:
		return "Live Communications Server 2005"
	case 1007:
		return "OCS 2007"
	case facts.SchemaR2:
		return "OCS 2007 R2"
	case 1100:
		return "Lync Server 2010"
	case 1150:
		return "Lync Server 2013 or a later product"
	}
	return "a product that is not known here"
}
