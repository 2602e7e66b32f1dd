package env

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

func newEnv(t *testing.T, o Options) *Env {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// One question must not cost more than the next step of the same check, and a chain of them must fit into the default
// --timeout with room for a second.
func TestTheOrderOfTheBudgets(t *testing.T) {
	t.Parallel()
	const wholeScan = 60 * time.Second
	question := DNSAttempts * DNSAttempt
	if DNSAttempt >= ConnectBudget || ConnectBudget >= ExchangeBudget || question >= ExchangeBudget {
		t.Errorf("attempt %v, connect %v, question %v, exchange %v", DNSAttempt, ConnectBudget, question, ExchangeBudget)
	}
	if chain := question + ConnectBudget + 3*ExchangeBudget; 2*chain > wholeScan { // name, connect, both TLS offers, REGISTER
		t.Errorf("a chain takes %v", chain)
	}
}

func TestTheMostExactConnectWins(t *testing.T) {
	t.Parallel()
	e := newEnv(t, Options{Connect: []string{"OCS.d:5061=127.0.0.1:1", "ocs.d:*=127.0.0.2", "*:5061=127.0.0.3:3", "[fd00::1]:80=[::1]:4"}})
	for ep, want := range map[facts.Endpoint]string{
		{Host: "ocs.d", Port: 5061}: "127.0.0.1:1", {Host: "ocs.d", Port: 443}: "127.0.0.2:443", {Host: "dc1.d", Port: 5061}: "127.0.0.3:3",
		{Host: "fd00::1", Port: 80}: "[::1]:4", {Host: "10.0.0.1", Port: 53}: "10.0.0.1:53",
	} {
		targets, err := e.Targets(nil, "tcp", ep)
		if err != nil || len(targets) != 1 || targets[0].Real != want {
			t.Errorf("%s: %+v, %v", ep, targets, err)
		}
	}
}

func TestTheLabIsClosed(t *testing.T) {
	t.Parallel()
	e := newEnv(t, Options{Lab: map[string]string{}})
	target, err := e.Target(nil, "tcp", facts.Endpoint{Host: "127.0.0.1", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Connect(t.Context(), target)
	var f *evidence.Failure
	if !errors.As(err, &f) || f.Reason != evidence.Internal || !strings.Contains(f.Detail, "the lab does not serve tcp 127.0.0.1:1") {
		t.Errorf("%v", err)
	}
	if len(e.Contacted()) != 0 {
		t.Errorf("contacted %v", e.Contacted())
	}
}

var place = Target{Endpoint: facts.Endpoint{Host: "ocs.d", Port: 5061}, Network: "tcp", Real: "127.0.0.1:1"}

func hang(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Those that wait for a slot fail as soon as the address is known to be dead, not one budget each.
func TestOneBudgetForADeadAddress(t *testing.T) {
	t.Parallel()
	e := newEnv(t, Options{})
	const budget = 100 * time.Millisecond
	var ran atomic.Int64
	var mu sync.Mutex
	failures := map[*evidence.Failure]int{}
	start := time.Now()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			target := place
			target.Endpoint.Host = fmt.Sprintf("host%d.d", i)
			err := e.Exchange(t.Context(), &Trace{}, target, budget, func(ctx context.Context) error {
				ran.Add(1)
				return hang(ctx)
			})
			var f *evidence.Failure
			errors.As(err, &f)
			mu.Lock()
			defer mu.Unlock()
			failures[f]++
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 5*budget {
		t.Errorf("it took %v", took)
	}
	if n := ran.Load(); n > slots {
		t.Errorf("%d exchanges at the same time", n)
	}
	if len(failures) != 1 {
		t.Errorf("%d different failures", len(failures))
	}
	for f := range failures {
		if f == nil || f.Reason != evidence.Timeout || f.Root.Kind != "net.address" {
			t.Errorf("%+v", f)
		}
	}
}

func TestAnAddressThatAnsweredIsNotDead(t *testing.T) {
	t.Parallel()
	e := newEnv(t, Options{})
	do := func(fn func(context.Context) error) error {
		return e.Exchange(t.Context(), &Trace{}, place, 20*time.Millisecond, fn)
	}
	if err := do(func(context.Context) error { return evidence.Fail(evidence.Protocol, "odd") }); err == nil {
		t.Error("the failure is lost")
	}
	var f *evidence.Failure
	if err := do(hang); !errors.As(err, &f) || f.Reason != evidence.Timeout || !f.Root.IsZero() {
		t.Errorf("%+v", err)
	}
	if err := do(func(context.Context) error { return nil }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestWhatAnErrorAmountsTo(t *testing.T) {
	t.Parallel()
	e := newEnv(t, Options{})
	for name, c := range map[string]struct {
		err  error
		want evidence.Reason
	}{
		"closed":   {net.ErrClosed, evidence.Protocol},
		"deadline": {os.ErrDeadlineExceeded, evidence.Timeout},
		"dial":     {&net.OpError{Op: "dial", Err: errors.New("no route")}, evidence.Unreachable},
	} {
		target := place
		target.Real = name
		err := e.Exchange(t.Context(), &Trace{}, target, time.Minute, func(context.Context) error { return c.err })
		var f *evidence.Failure
		if !errors.As(err, &f) || f.Reason != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The end of the run is no silence of the server's.
func TestTheEndOfTheRunKillsNoAddress(t *testing.T) {
	t.Parallel()
	e := newEnv(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := e.Exchange(ctx, &Trace{}, place, time.Minute, func(ctx context.Context) error {
		cancel()
		return hang(ctx)
	})
	var f *evidence.Failure
	if !errors.As(err, &f) || f.Reason != evidence.Interrupted {
		t.Errorf("%v", err)
	}
	if err := e.Exchange(t.Context(), &Trace{}, place, time.Minute, func(context.Context) error { return nil }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestATraceTellsTheStory(t *testing.T) {
	t.Parallel()
	e := newEnv(t, Options{})
	var tr Trace
	for range 2 {
		_ = e.Exchange(t.Context(), &tr, place, time.Minute, func(context.Context) error { tr.Log("said"); return nil })
	}
	var rec evidence.Record
	tr.Record(&rec)
	if rec.Attempts != 2 || rec.Took <= 0 || !slices.Equal(rec.Log, []string{"said", "said"}) {
		t.Errorf("%+v", rec)
	}
}
