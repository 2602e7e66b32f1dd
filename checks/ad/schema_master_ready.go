package ad

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	masterSilent = &checks.Message{
		Tag:         "silent",
		Severity:    checks.Error,
		Text:        "{dc}, which holds the role {role}, cannot be reached: {why}",
		Identity:    []string{"role"},
		ExplainedBy: []string{"ad/dc-reachable"},
	}
	masterRemoved = &checks.Message{
		Tag:      "removed",
		Severity: checks.Error,
		Text:     "the role {role} is held by a domain controller that was removed from the directory",
		Identity: []string{"role"},
	}
)

var _ = register(&checks.Check{
	ID:       "ad/schema-master-ready",
	Title:    "the schema master and the PDC emulator answer before the schema is extended",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	Needs:    slices.Concat(reachNeeds, []evidence.AnyKind{facts.ConfigScope, facts.Masters, facts.Controllers, facts.RootDSE}),
	Messages: []*checks.Message{masterSilent, masterRemoved},
	Run:      schemaMasterReady,
})

func schemaMasterReady(p *checks.Pass) error {
	scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	if scope.Before != checks.SchemaPrep.String() {
		return checks.NotApplicable("asked before schemaprep only")
	}
	masters, err := facts.Masters.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	refs, err := facts.Controllers.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	roles := map[string][]string{}
	for _, role := range []struct {
		name, seize, host string
		gone              bool
	}{{"schema master", "schema master", masters.Schema, masters.SchemaGone}, {"PDC emulator", "PDC", masters.PDC, masters.PDCGone}} {
		if role.gone {
			p.Report(masterRemoved, []evidence.Key{facts.Masters.Key(evidence.None{})}, checks.A("role", role.name), checks.A("seize", role.seize), checks.A("dc", heir(refs)))
			continue
		}
		if role.host == "" {
			err = firstError(err, evidence.FailAt(evidence.NoTarget, "the domain controller that holds the role "+role.name+" is not known: "+
				"it is none of those that the directory lists", facts.Masters.Key(evidence.None{})))
			continue
		}
		ask := role.host
		if i := slices.IndexFunc(refs, func(ref facts.ControllerRef) bool { return ref.Host == role.host }); i >= 0 {
			ask = refs[i].Ask
		}
		roles[ask] = append(roles[ask], role.name)
	}
	var fns []func()
	for ask, names := range roles {
		fns = append(fns, func() {
			// What could not be found out is a failure of a fact.
			if c := reach(p, ask); c.down != "" {
				p.Report(masterSilent, []evidence.Key{c.cite}, checks.A("dc", c.host), checks.A("role", strings.Join(names, " and ")), checks.A("why", c.down))
			}
		})
	}
	evidence.Parallel(fns...)
	return err
}

// heir is a domain controller that could take a role over: the first that the directory lists and that is not read-only.
func heir(refs []facts.ControllerRef) string {
	for _, ref := range refs {
		if ref.Listed && !ref.Controller.ReadOnly {
			return ref.Host
		}
	}
	return "DC-NAME"
}
