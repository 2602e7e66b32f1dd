package main

import (
	"archive/zip"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks/all"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/live"
	"ocsdoctor/fixtures/lab"
)

func unzipped(t *testing.T, name string) string {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	var b strings.Builder
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&b, r); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
	}
	return b.String()
}

// labScan scans the lab in this process and keeps the store.
func labScan(t testing.TB, l *lab.Lab) (*evidence.Store, *engine.Outcome) {
	t.Helper()
	src, err := live.New(live.Options{Scope: l.Scope, Password: l.Password, Lab: l.Map})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	store := evidence.NewStore(ctx, withScope(l.Scope, time.Now(), src))
	return store, engine.Run(store, all.Checks(), time.Now())
}

func startLab(t testing.TB, spec string, o lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.Start(t.Context(), spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

type judged struct{ check, subject string }

// Taking any one fact out of a healthy recording never leaves a check green that rested on it.
func TestKnockOut(t *testing.T) {
	t.Parallel()
	store, out := labScan(t, startLab(t, "todorovic", lab.Options{}))
	restsOn := map[judged]map[evidence.Key]bool{}
	for _, r := range out.Results {
		if r.Status == engine.StatusPass {
			restsOn[judged{r.Check.ID, r.Subject.Name}] = store.Lineage(r.Read)
		}
	}
	records := store.Records()
	if len(restsOn) < 12 || len(records) < 20 {
		t.Fatalf("only %d checks pass on %d facts", len(restsOn), len(records))
	}
	now, rested := time.Now(), 0
	for _, gone := range records {
		rest := evidence.Recorded{}
		for _, r := range records {
			if r != gone {
				rest[r.Key] = r
			}
		}
		replay := engine.Run(evidence.NewStore(t.Context(), rest), all.Checks(), now)
		used := false
		for _, r := range replay.Results {
			lineage := restsOn[judged{r.Check.ID, r.Subject.Name}]
			if !lineage[gone.Key] {
				continue
			}
			used = true
			if r.Status == engine.StatusPass {
				t.Errorf("%s on %s passes without %s", r.Check.ID, r.Subject.Name, gone.Key)
			}
		}
		if used {
			rested++
		}
	}
	if rested < 15 {
		t.Errorf("only %d facts were rested on: the test tests little", rested)
	}
}

// No question is asked twice: each distinct one costs one exchange.
func TestEveryQuestionIsAskedOnce(t *testing.T) {
	t.Parallel()
	l := startLab(t, "todorovic", lab.Options{})
	labScan(t, l)
	queries := l.Queries()
	slices.Sort(queries)
	if len(queries) < 15 {
		t.Fatalf("the lab saw only %v", queries)
	}
	for i, q := range queries {
		if i > 0 && q == queries[i-1] {
			t.Errorf("asked twice: %s", q)
		}
	}
}
