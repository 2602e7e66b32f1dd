package evidence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// grace is how long Get waits for a gatherer after the run ended, for libraries that ignore their context.
const grace = 2 * time.Second

// Store gathers each fact of a run at most once and remembers what it rests on.
type Store struct {
	ctx     context.Context
	src     Source
	mu      sync.Mutex
	entries map[Key]*entry
}

type entry struct {
	done    chan struct{}
	derived bool
	rec     *Record // nil for a derived fact
	value   any
	fail    *Failure
	needs   []Key
}

// NewStore makes the store of one run. ctx is the run's: when it ends, every gathering ends.
func NewStore(ctx context.Context, src Source) *Store {
	return &Store{ctx: ctx, src: src, entries: map[Key]*entry{}}
}

// NewReader makes a reader that may ask for the kinds in needs.
func (s *Store) NewReader(needs []AnyKind) *Reader {
	return &Reader{store: s, needs: needs}
}

// Records are the gathered facts in the order of their keys, without derived ones.
func (s *Store) Records() []*Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Record
	for _, e := range s.entries {
		select {
		case <-e.done:
			if e.rec != nil {
				out = append(out, e.rec)
			}
		default:
		}
	}
	slices.SortFunc(out, func(a, b *Record) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	return out
}

// Lineage is the set of all facts that the given ones rest on, themselves included.
func (s *Store) Lineage(keys []Key) map[Key]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[Key]bool{}
	var visit func(Key)
	visit = func(k Key) {
		if seen[k] {
			return
		}
		seen[k] = true
		if e, ok := s.entries[k]; ok {
			select {
			case <-e.done:
				for _, n := range e.needs {
					visit(n)
				}
			default:
			}
		}
	}
	for _, k := range keys {
		visit(k)
	}
	return seen
}

// split sorts a lineage into gathered and derived facts.
func (s *Store) split(lineage map[Key]bool) (gathered, derived []Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range sortKeys(slices.Collect(maps.Keys(lineage))) {
		if e := s.entries[k]; e != nil && e.derived {
			derived = append(derived, k)
		} else {
			gathered = append(gathered, k)
		}
	}
	return gathered, derived
}

func sortKeys(keys []Key) []Key {
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

func (s *Store) entry(kind AnyKind, q Query, key Key) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok {
		e = &entry{done: make(chan struct{}), derived: kind.Derived()}
		s.entries[key] = e
		go s.gather(e, kind, q, key)
	}
	return e
}

// gather fills an entry. It runs on the run's context, not on that of the caller who came first.
func (s *Store) gather(e *entry, kind AnyKind, q Query, key Key) {
	defer close(e.done)
	r := s.NewReader(kind.KindNeeds())
	defer func() {
		if p := recover(); p != nil {
			e.value, e.fail = nil, &Failure{Internal, fmt.Sprintf("panic: %v\n%s", p, debug.Stack()), key}
			e.needs = r.Read()
		}
	}()
	if kind.Derived() {
		v, err := kind.derive(r, q)
		e.needs = r.Read()
		if err != nil {
			e.fail = asFailure(err, key)
			return
		}
		e.value = v
		return
	}
	rec := s.src.Fetch(s.ctx, Request{Key: key, Kind: kind, Query: q, Reader: r})
	if read := r.Read(); len(read) > 0 { // a replay reads nothing: what the fact rests on is recorded
		rec.Needs, rec.Through = s.split(s.Lineage(read))
	}
	e.rec, e.needs = rec, slices.Concat(rec.Needs, rec.Through)
	if rec.Failure != nil {
		if rec.Failure.Root.IsZero() {
			rec.Failure = asFailure(rec.Failure, key)
		}
		e.fail = rec.Failure
		return
	}
	v, err := kind.decode(rec.Value)
	if err != nil {
		e.fail = &Failure{Protocol, "the recorded value does not decode: " + err.Error(), key}
		return
	}
	e.value = v
}

func (s *Store) get(kind AnyKind, q Query, key Key) (any, *Failure) {
	e := s.entry(kind, q, key)
	select {
	case <-e.done:
		return e.value, e.fail
	default:
	}
	select {
	case <-e.done:
	case <-s.ctx.Done():
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-e.done:
		case <-t.C:
			return nil, FailAt(Interrupted, "the run ended before it was answered", RunEnded)
		}
	}
	return e.value, e.fail
}

// Reader reads facts on behalf of one check, gatherer or derivation and remembers what it read.
type Reader struct {
	store *Store
	needs []AnyKind
	mu    sync.Mutex
	read  []Key
	fails []*Failure
}

func (r *Reader) get(kind AnyKind, q Query) (any, *Failure) {
	if !slices.Contains(r.needs, kind) {
		panic(fmt.Sprintf("evidence: %s is read but not declared in Needs", kind.KindName()))
	}
	key := Key{kind.KindName(), q.String()}
	v, f := r.store.get(kind, q, key)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.read, key) {
		r.read = append(r.read, key)
	}
	if f != nil {
		r.fails = append(r.fails, f)
	}
	return v, f
}

// Read lists the facts read so far, in the order of their keys, so that two runs agree however their gathering interleaved.
func (r *Reader) Read() []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sortKeys(slices.Clone(r.read))
}

// Failures lists the failures met so far.
func (r *Reader) Failures() []*Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.fails)
}

// Excusable tells whether another fact may stand in for one that failed like this. What a live server
// refused or did not say can be made good by another server's answer; what a recording lacks cannot,
// or taking a fact out of a bundle could leave a check green.
func Excusable(err error) bool {
	var f *Failure
	if !errors.As(err, &f) {
		return false
	}
	return f.Reason != NotRecorded && f.Reason != Interrupted && f.Reason != Internal
}

// GetAll asks several questions of one kind at the same time; answers and errors are in the order of the questions.
func GetAll[Q Query, T any](r *Reader, k *Kind[Q, T], questions []Q) ([]T, []error) {
	answers, errs := make([]T, len(questions)), make([]error, len(questions))
	var fns []func()
	for i, q := range questions {
		fns = append(fns, func() { answers[i], errs[i] = k.Get(r, q) })
	}
	Parallel(fns...)
	return answers, errs
}

// Parallel runs the functions at the same time and returns when all have: facts that do not wait for
// each other are asked side by side. A panic in one is re-raised by the caller's goroutine.
func Parallel(fns ...func()) {
	var wg sync.WaitGroup
	panics := make(chan any, len(fns))
	for _, fn := range fns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() {
				if p := recover(); p != nil {
					panics <- p
				}
			}()
			fn()
		}()
	}
	wg.Wait()
	select {
	case p := <-panics:
		panic(p)
	default:
	}
}
