package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/report"
)

// progress shows on standard error what is being asked: one changing line on a terminal, a line per fact with -v.
type progress struct {
	w       io.Writer
	verbose bool
	line    bool

	mu    sync.Mutex
	count int
	open  map[evidence.Key]time.Time
	last  time.Time
}

func newProgress(w io.Writer, verbose, terminal bool) *progress {
	return &progress{w: w, verbose: verbose, line: terminal && !verbose, open: map[evidence.Key]time.Time{}}
}

// watch wraps a source.
func (p *progress) watch(next evidence.Source) evidence.Source { return watched{next, p} }

type watched struct {
	next evidence.Source
	p    *progress
}

// Fetch implements evidence.Source.
func (w watched) Fetch(ctx context.Context, req evidence.Request) *evidence.Record {
	w.p.begin(req.Key)
	rec := w.next.Fetch(ctx, req)
	w.p.end(rec)
	return rec
}

func (p *progress) begin(k evidence.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[k] = time.Now()
	p.show(k)
}

func (p *progress) end(rec *evidence.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, rec.Key)
	p.count++
	if p.verbose {
		outcome := "answered"
		if rec.Failure != nil {
			outcome = rec.Failure.Error()
		}
		fmt.Fprintf(p.w, "%6d ms  %s: %s\n", rec.Took.Milliseconds(), report.Printable(rec.Key.String()), report.Printable(outcome))
		for _, l := range rec.Log {
			fmt.Fprintf(p.w, "           %s\n", report.Printable(l))
		}
		return
	}
	for k := range p.open {
		p.show(k)
		return
	}
}

// show redraws the line, at most ten times a second. The caller holds the lock.
func (p *progress) show(k evidence.Key) {
	if !p.line || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	text := fmt.Sprintf("%d answered, %d open: %s", p.count, len(p.open), report.Printable(k.String()))
	if r := []rune(text); len(r) > 78 {
		text = string(r[:77]) + "…"
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", text)
}

// done clears the line.
func (p *progress) done() {
	if p.line {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// asked is a source that answers nothing and notes what was asked.
type asked struct {
	mu   sync.Mutex
	keys []string
}

// Fetch implements evidence.Source.
func (a *asked) Fetch(_ context.Context, req evidence.Request) *evidence.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = append(a.keys, req.Key.String())
	return &evidence.Record{Key: req.Key, Via: "dry-run", Failure: evidence.Fail(evidence.NotRecorded, "a dry run asks nothing")}
}

func (a *asked) questions() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(slices.Values(a.keys))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
