package evidence_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ocsdoctor/checks/evidence"
)

type query string

func (q query) String() string { return string(q) }

var (
	number = &evidence.Kind[query, int]{Name: "test.number", Doc: "a number"}
	double = &evidence.Kind[query, int]{
		Name: "test.double", Doc: "twice a number", Needs: []evidence.AnyKind{number},
		Derive: func(r *evidence.Reader, q query) (int, error) {
			n, err := number.Get(r, q)
			return 2 * n, err
		},
	}
	broken = &evidence.Kind[query, int]{
		Name: "test.broken", Doc: "panics",
		Derive: func(*evidence.Reader, query) (int, error) { panic("boom") },
	}
)

// source answers a number for each letter of the query and counts how often it was asked.
type source struct {
	asked atomic.Int64
	fetch func(ctx context.Context, req evidence.Request) *evidence.Record
}

func (s *source) Fetch(ctx context.Context, req evidence.Request) *evidence.Record {
	s.asked.Add(1)
	if s.fetch != nil {
		return s.fetch(ctx, req)
	}
	v, _ := json.Marshal(len(req.Key.Query))
	return &evidence.Record{Key: req.Key, Value: v}
}

func TestAFactIsGatheredOnceWhoeverAsks(t *testing.T) {
	t.Parallel()
	src := &source{}
	store := evidence.NewStore(t.Context(), src)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			r := store.NewReader([]evidence.AnyKind{number, double})
			if n, err := double.Get(r, "four"); n != 8 || err != nil {
				t.Errorf("double is %d, %v", n, err)
			}
			if n, err := number.Get(r, "four"); n != 4 || err != nil {
				t.Errorf("number is %d, %v", n, err)
			}
		})
	}
	wg.Wait()
	if n := src.asked.Load(); n != 1 {
		t.Errorf("the source was asked %d times", n)
	}
	records := store.Records()
	if len(records) != 1 || records[0].Key.String() != "test.number(four)" {
		t.Errorf("recorded is %v: a derived fact is never recorded", records)
	}
	lineage := store.Lineage([]evidence.Key{double.Key("four")})
	if !lineage[number.Key("four")] || len(lineage) != 2 {
		t.Errorf("the lineage is %v", lineage)
	}
}

func TestAFailureKeepsItsRootThroughTheChain(t *testing.T) {
	t.Parallel()
	root := evidence.Key{Kind: "net.address", Query: "dc1:389/tcp"}
	src := &source{fetch: func(_ context.Context, req evidence.Request) *evidence.Record {
		return &evidence.Record{Key: req.Key, Failure: evidence.FailAt(evidence.Timeout, "silent", root)}
	}}
	store := evidence.NewStore(t.Context(), src)
	_, err := double.Get(store.NewReader([]evidence.AnyKind{double}), "x")
	var f *evidence.Failure
	if !errors.As(err, &f) || f.Root != root || f.Reason != evidence.Timeout || f.Detail != "silent" {
		t.Errorf("the failure is %+v", err)
	}
}

func TestAPanicInADerivationIsItsOwnFailure(t *testing.T) {
	t.Parallel()
	store := evidence.NewStore(t.Context(), &source{})
	_, err := broken.Get(store.NewReader([]evidence.AnyKind{broken}), "x")
	var f *evidence.Failure
	if !errors.As(err, &f) || f.Reason != evidence.Internal || !strings.Contains(f.Detail, "boom") {
		t.Errorf("the failure is %v", err)
	}
}

func TestReadingAnUndeclaredKindPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if p := recover(); p == nil {
			t.Error("nothing happened")
		}
	}()
	store := evidence.NewStore(t.Context(), &source{})
	_, _ = number.Get(store.NewReader(nil), "x")
}

// A library that ignores its context must not hold the run up.
func TestGetReturnsSoonAfterTheRunEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		src := &source{fetch: func(_ context.Context, req evidence.Request) *evidence.Record {
			<-release
			return &evidence.Record{Key: req.Key, Value: json.RawMessage("1")}
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		store := evidence.NewStore(ctx, src)
		start := time.Now()
		_, err := number.Get(store.NewReader([]evidence.AnyKind{number}), "x")
		var f *evidence.Failure
		if !errors.As(err, &f) || f.Reason != evidence.Interrupted {
			t.Errorf("the failure is %v", err)
		}
		if took := time.Since(start); took != 12*time.Second {
			t.Errorf("it took %v", took)
		}
		close(release)
	})
}

// What a live server did not say another may; what a recording lacks nothing can replace.
func TestWhatIsExcusable(t *testing.T) {
	t.Parallel()
	for reason, want := range map[evidence.Reason]bool{
		evidence.Timeout: true, evidence.Denied: true, evidence.NotConfigured: true, evidence.NoTarget: true,
		evidence.NotRecorded: false, evidence.Interrupted: false, evidence.Internal: false,
	} {
		if got := evidence.Excusable(evidence.Fail(reason, "x")); got != want {
			t.Errorf("%s: %v", reason, got)
		}
	}
}

func TestKeysAreReadBackAsWritten(t *testing.T) {
	t.Parallel()
	for _, k := range []evidence.Key{{}, {Kind: "a", Query: ""}, {Kind: "ldap.search", Query: `dc1 "" base (objectClass=*) "a b"`}} {
		b, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back evidence.Key
		if err := back.UnmarshalText(b); err != nil || back != k {
			t.Errorf("%q came back as %v, %v", b, back, err)
		}
	}
	if _, err := evidence.ParseKey("no brackets"); err == nil {
		t.Error("a key without brackets was taken")
	}
}

func TestKindsAreValidated(t *testing.T) {
	t.Parallel()
	a := &evidence.Kind[query, int]{Name: "a", Doc: "a"}
	b := &evidence.Kind[query, int]{Name: "b", Doc: "b", Needs: []evidence.AnyKind{a}}
	if err := evidence.ValidateKinds([]evidence.AnyKind{a, b}); err != nil {
		t.Errorf("a sound list: %v", err)
	}
	a.Needs = []evidence.AnyKind{b}
	for name, list := range map[string][]evidence.AnyKind{
		"cycle": {a, b}, "unlisted": {b}, "twice": {number, number}, "no doc": {&evidence.Kind[query, int]{Name: "x"}},
	} {
		if evidence.ValidateKinds(list) == nil {
			t.Errorf("%s: nothing was found", name)
		}
	}
}

func TestParallelRunsAll(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []int
	add := func(n int) func() {
		return func() {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, n)
		}
	}
	evidence.Parallel(add(1), add(2), add(3))
	slices.Sort(got)
	if !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("ran %v", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("the panic was lost")
		}
	}()
	evidence.Parallel(func() { panic("boom") })
}
