// Package evidence holds what a run knows: kinds of facts, the sources that answer them, the store that
// gathers each fact once, and the lineage that ties a finding to what it rests on. It does no I/O.
package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Reason says why a fact could not be looked at.
type Reason string

// The reasons, and what each means to the reader of a report.
const (
	Timeout       Reason = "timeout"        // it was asked and stayed silent
	Unreachable   Reason = "unreachable"    // no way leads there
	Denied        Reason = "denied"         // it answered that we may not
	Protocol      Reason = "protocol"       // it answered something that is not the protocol
	NoTarget      Reason = "no-target"      // a fact upstream says that there is nothing to ask
	NotConfigured Reason = "not-configured" // it takes a flag that was not given
	NotRecorded   Reason = "not-recorded"   // the recording does not hold it
	Interrupted   Reason = "interrupted"    // the run ended first
	Internal      Reason = "internal"       // a bug
)

// Failure says that a fact could not be looked at. Reason and Detail are those of Root, the fact
// that was missing first. A Failure is never changed once made.
type Failure struct {
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`
	Root   Key    `json:"root"`
}

// Error is the reason and the detail.
func (f *Failure) Error() string { return string(f.Reason) + ": " + f.Detail }

// Fail makes a failure whose root is the fact that is being gathered.
func Fail(reason Reason, detail string) *Failure { return &Failure{Reason: reason, Detail: detail} }

// FailAt makes a failure whose root is another fact: the value upstream that says there is nothing to ask.
func FailAt(reason Reason, detail string, root Key) *Failure {
	return &Failure{Reason: reason, Detail: detail, Root: root}
}

// Rooted is the failure that an error is, with the root that its own has, else with the one given; what is no failure is a bug.
func Rooted(err error, root Key) *Failure {
	var f *Failure
	switch {
	case !errors.As(err, &f):
		return FailAt(Internal, err.Error(), root)
	case f.Root.IsZero():
		return FailAt(f.Reason, f.Detail, root)
	}
	return f
}

// RunEnded is the root of every failure that the end of the run caused, by its deadline or by an interruption: one
// problem, however many facts it cut short. It names no fact of its own.
var RunEnded = Key{Kind: "run.end"}

// asFailure turns what a gatherer returned into a failure with a root; an error that is no Failure is a bug.
func asFailure(err error, self Key) *Failure {
	var f *Failure
	if !errors.As(err, &f) {
		f = &Failure{Reason: Internal, Detail: err.Error()}
	}
	if f.Root.IsZero() {
		f = &Failure{Reason: f.Reason, Detail: f.Detail, Root: self}
	}
	return f
}

// Record is one fact as it was gathered: a value or a failure, with its lineage and the story of how it came about.
type Record struct {
	Key Key `json:"key"`
	// Needs are all gathered facts that it rests on, at first hand or not, and Through the derived ones that lie
	// between; both in the order of their keys. The store fills them in.
	Needs   []Key `json:"needs,omitempty"`
	Through []Key `json:"through,omitempty"`
	// Via names the source: "live", "example", ...
	Via string    `json:"via"`
	At  time.Time `json:"at"`
	// Took is the time spent on the wire, without waiting for a slot or for other facts.
	Took     time.Duration   `json:"took"`
	Attempts int             `json:"attempts,omitempty"`
	Log      []string        `json:"log,omitempty"`
	Value    json.RawMessage `json:"value,omitempty"`
	Failure  *Failure        `json:"failure,omitempty"`
}

// Request asks a source for one fact. Reader reads the facts that the gatherer needs first.
type Request struct {
	Key    Key
	Kind   AnyKind
	Query  Query
	Reader *Reader
}

// Source answers requests. The store calls Fetch at most once per key and run; it never returns nil.
type Source interface {
	Fetch(ctx context.Context, req Request) *Record
}

// Layered asks the first source that knows the key: facts that are given (the scope) before facts that are gathered.
type Layered struct {
	// Given are facts known beforehand.
	Given map[Key]*Record
	// Next is asked for all others.
	Next Source
}

// Fetch implements Source.
func (l Layered) Fetch(ctx context.Context, req Request) *Record {
	if rec, ok := l.Given[req.Key]; ok {
		return rec
	}
	return l.Next.Fetch(ctx, req)
}

// Recorded is a source of recorded facts: replay and examples. A question it does not hold is not-recorded, and so is one
// whose answer rests on a fact that it does not hold.
type Recorded map[Key]*Record

// Fetch implements Source.
func (s Recorded) Fetch(_ context.Context, req Request) *Record {
	missing := func(k Key) *Record {
		return &Record{Key: req.Key, Via: "recorded", Failure: FailAt(NotRecorded, "the recording does not hold "+k.String(), k)}
	}
	rec, ok := s[req.Key]
	if !ok {
		return missing(req.Key)
	}
	for _, k := range rec.Needs {
		if s[k] == nil {
			return missing(k)
		}
	}
	return rec
}
