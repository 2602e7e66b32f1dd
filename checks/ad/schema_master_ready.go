package ad

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var masterSilent = &checks.Message{
	Tag:         "silent",
	Severity:    checks.Error,
	Text:        "{dc}, which holds the role {role}, cannot be reached: {why}",
	Identity:    []string{"role"},
	ExplainedBy: []string{"ad/dc-reachable"},
}

var _ = register(&checks.Check{
	ID:       "ad/schema-master-ready",
	Title:    "the schema master and the PDC emulator answer before the schema is extended",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	Needs:    slices.Concat(reachNeeds, []evidence.AnyKind{facts.ConfigScope, facts.Directory, facts.Masters, facts.Search, facts.Controllers, facts.RootDSE}),
	Messages: []*checks.Message{masterSilent},
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
	dir, err := facts.Directory.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
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
	for _, role := range []struct{ name, host, dn string }{{"schema master", masters.Schema, dir.Schema}, {"PDC emulator", masters.PDC, dir.BaseDN}} {
		if role.host == "" {
			err = firstError(err, judgeHolder(p, dir.DC, role.dn, role.name))
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
				p.Report(masterSilent, []evidence.Key{c.cite}, checks.A("dc", c.host), checks.A("role", strings.Join(names, " and ")), checks.A("why", c.down), checks.A("gone", ""))
			}
		})
	}
	evidence.Parallel(fns...)
	return err
}

// judgeHolder judges a role whose holder is none of the domain controllers that the directory lists.
func judgeHolder(p *checks.Pass, dc, dn, role string) error {
	q := facts.NewSearch(dc, dn, "base", "(objectClass=*)", "fSMORoleOwner")
	found, err := facts.Search.Get(p.Facts, q)
	if err != nil {
		return err
	}
	if len(found.Entries) == 0 || found.Entries[0].Value("fSMORoleOwner") == "" {
		return evidence.FailAt(evidence.Protocol, dc+" does not show the fSMORoleOwner of "+dn, facts.Search.Key(q))
	}
	// CN=NTDS Settings,CN=DC0,CN=Servers,...; of a deleted object a line feed and its GUID follow the name.
	_, holder, _ := strings.Cut(facts.ParentDN(found.Entries[0].Value("fSMORoleOwner")), "=")
	holder, _, _ = strings.Cut(holder, ",")
	holder, _, _ = strings.Cut(holder, `\0A`)
	holder, _, _ = strings.Cut(holder, "\n")
	p.Report(masterSilent, []evidence.Key{facts.Search.Key(q)}, checks.A("dc", holder), checks.A("role", role),
		checks.A("why", "the directory lists no such domain controller any more"), checks.A("gone", "yes"))
	return nil
}
