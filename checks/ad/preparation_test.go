package ad

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/checktest"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// gate is a source with the step of the deployment that is about to be taken.
type gate struct {
	evidence.Source
	before checks.Step
}

// Fetch implements evidence.Source.
func (g gate) Fetch(ctx context.Context, req evidence.Request) *evidence.Record {
	rec := *g.Source.Fetch(ctx, req) // a store completes the record that it gets, and several share this source
	if req.Key != facts.ConfigScope.Key(evidence.None{}) {
		return &rec
	}
	var scope facts.Scope
	if err := json.Unmarshal(rec.Value, &scope); err != nil {
		panic(err)
	}
	scope.Before = g.before.String()
	value, err := json.Marshal(scope)
	if err != nil {
		panic(err)
	}
	rec.Value = value
	return &rec
}

// Before each step the one thing that has to be done first is the only root.
func TestEachStepWaitsForTheOneBefore(t *testing.T) {
	t.Parallel()
	preparation := slices.DeleteFunc(slices.Clone(Checks()), func(c *checks.Check) bool {
		return !strings.HasPrefix(c.ID, "ad/prep-") && !strings.HasPrefix(c.ID, "ad/sip-domain-")
	})
	sources := checktest.Sources(t, "testdata/preparation.txtar")
	const (
		noSchema      = "ad/prep-schema:not-extended"
		schemaOnOne   = "ad/prep-schema-converged:not-everywhere"
		noForest      = "ad/prep-forest:not-prepared"
		forestOnOne   = "ad/prep-forest-converged:not-everywhere"
		noDomain      = "ad/prep-domain:not-prepared"
		domainOnOne   = "ad/prep-domain-converged:not-everywhere"
		schemaUnknown = "unknown ad/prep-schema-converged"
		forestUnknown = "unknown ad/prep-forest-converged"
		domainUnknown = "unknown ad/prep-domain-converged"
	)
	for name, want := range map[string]map[checks.Step][]string{
		"unprepared":          {checks.SchemaPrep: nil, checks.ForestPrep: {noSchema}, checks.DomainPrep: {noSchema}, checks.Setup: {noSchema}},
		"schema-on-one":       {checks.SchemaPrep: nil, checks.ForestPrep: {schemaOnOne}, checks.DomainPrep: {schemaOnOne}, checks.Setup: {schemaOnOne}},
		"schema":              {checks.SchemaPrep: nil, checks.ForestPrep: nil, checks.DomainPrep: {noForest}, checks.Setup: {noForest}},
		"forest-on-one":       {checks.ForestPrep: nil, checks.DomainPrep: {forestOnOne}, checks.Setup: {forestOnOne}},
		"schema-on-the-other": {checks.ForestPrep: {schemaOnOne}, checks.DomainPrep: {schemaOnOne}, checks.Setup: {schemaOnOne}},
		"forest-on-the-other": {checks.ForestPrep: nil, checks.DomainPrep: {forestOnOne}, checks.Setup: {forestOnOne}},
		"domain-on-the-other": {checks.DomainPrep: nil, checks.Setup: {domainOnOne}},
		"forest":              {checks.ForestPrep: nil, checks.DomainPrep: nil, checks.Setup: {noDomain}},
		"domain-on-one":       {checks.DomainPrep: nil, checks.Setup: {domainOnOne}},
		"prepared":            {checks.SchemaPrep: nil, checks.ForestPrep: nil, checks.DomainPrep: nil, checks.Setup: nil, checks.Activation: nil},
		"silent": {
			checks.SchemaPrep: nil, checks.ForestPrep: {schemaUnknown}, checks.DomainPrep: {forestUnknown, schemaUnknown},
			checks.Setup: {domainUnknown, forestUnknown, schemaUnknown},
		},
	} {
		for before, roots := range want {
			t.Run(name+" before "+before.String(), func(t *testing.T) {
				t.Parallel()
				store := evidence.NewStore(context.Background(), gate{sources[name], before})
				out := engine.Run(store, preparation, time.Date(2010, 6, 1, 8, 0, 0, 0, time.UTC))
				var got []string
				for _, f := range out.Roots {
					got = append(got, f.Check.ID+":"+f.Message.Tag)
				}
				for _, r := range out.Results {
					if r.Status == engine.StatusUnknown || r.Status == engine.StatusError {
						got = append(got, string(r.Status)+" "+r.Check.ID)
					}
				}
				slices.Sort(got)
				if !slices.Equal(got, roots) {
					t.Errorf("roots and unknowns are %q, want %q", got, roots)
				}
			})
		}
	}
}
