package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/fixtures/lab"
)

// Each step of a deployment has its gate: before a step, exactly what the earlier ones should have left is demanded, on every
// domain controller, and its lack is one root.
func TestEachStepHasItsGate(t *testing.T) {
	t.Parallel()
	const schema, everywhere, forest, domain = "ad/prep-schema:not-extended", "ad/prep-schema-converged:not-everywhere", "ad/prep-forest:not-prepared", "ad/prep-domain:not-prepared"
	for state, want := range map[string][]string{ // by the step that is about to be taken
		"no-schema-r2":      {"", schema, schema, schema},
		"schema-on-one-dc":  {"", everywhere, everywhere, everywhere},
		"schema-only":       {"", "", forest, forest},
		"schema-and-forest": {"", "", "", domain},
	} {
		for i, root := range want {
			step := []checks.Step{checks.SchemaPrep, checks.ForestPrep, checks.DomainPrep, checks.Setup}[i]
			t.Run(fmt.Sprint(state, " before ", step), func(t *testing.T) {
				t.Parallel()
				r, code := scanJSON(t, "--lab", "todorovic+"+state, "--before", step.String())
				expected, exit := []string{}, 0
				if root != "" {
					expected, exit = []string{root}, 1
				}
				if got := roots(r); !slices.Equal(got, expected) || code != exit || len(r.Missing) > 0 {
					t.Errorf("exit %d, roots %v, missing %+v; want %v", code, got, r.Missing, expected)
				}
				for _, res := range r.Results {
					if res.Check == "ad/prep-domain" && step < checks.Setup && res.Reason != "not due before "+step.String() {
						t.Errorf("ad/prep-domain is %s: %s", res.Status, res.Reason)
					}
				}
			})
		}
	}
}

// A directory with many users is read page by page, with the attributes that are needed and no others.
func TestManyUsersAreReadInPages(t *testing.T) {
	t.Parallel()
	const users, page = 3000, 1000
	l := startLab(t, "todorovic", lab.Options{Users: users})
	_, out := labScan(t, l)
	if len(out.Roots) > 0 || len(out.Missing) > 0 {
		t.Errorf("roots %v, missing %+v", out.Roots, out.Missing)
	}
	pages := 0
	for _, q := range l.Queries() {
		if strings.Contains(q, "msRTCSIP-UserEnabled=TRUE") {
			pages++
			if strings.Contains(q, "nTSecurityDescriptor") || strings.HasSuffix(q, ") ") || strings.HasSuffix(q, "*") {
				t.Errorf("the users are asked for with %s", q)
			}
		}
	}
	if pages < users/page || pages > users/page+1 {
		t.Errorf("the users were read in %d pages", pages)
	}
}

// BenchmarkUsers scans a directory with 100,000 enabled users: the time, and by how much the heap of this process grows,
// that of the lab's directory included.
func BenchmarkUsers(b *testing.B) {
	l := startLab(b, "todorovic", lab.Options{Users: 100_000})
	var most uint64
	for b.Loop() {
		before := heap()
		stop, peak := make(chan struct{}), make(chan uint64, 1)
		go func() {
			var m uint64
			for tick := time.NewTicker(20 * time.Millisecond); ; {
				m = max(m, heap())
				select {
				case <-stop:
					tick.Stop()
					peak <- m
					return
				case <-tick.C:
				}
			}
		}()
		_, out := labScan(b, l)
		close(stop)
		most = max(most, max(<-peak, before)-before)
		if len(out.Roots) > 0 || len(out.Missing) > 0 {
			b.Fatalf("roots %v, missing %+v", out.Roots, out.Missing)
		}
	}
	b.ReportMetric(float64(most)/(1<<20), "heap-MiB")
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
