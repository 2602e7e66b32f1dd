package evidence

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Query is what a kind of fact is asked about. String is its canonical form: equal questions give
// equal strings, different questions different ones, and none holds a line break.
type Query interface{ String() string }

// None is the query of a kind of which there is one fact in a run.
type None struct{}

// String is empty: the key of such a fact is "kind()".
func (None) String() string { return "" }

// Key names one fact: a kind and a question. Its text is "kind(query)", which is what reports cite.
type Key struct{ Kind, Query string }

// String is the text form, "kind(query)".
func (k Key) String() string {
	if k.IsZero() {
		return ""
	}
	return k.Kind + "(" + k.Query + ")"
}

// IsZero tells whether the key names nothing.
func (k Key) IsZero() bool { return k == Key{} }

// MarshalText writes the text form, so that keys read well in JSON.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the text form; an empty text is the zero key.
func (k *Key) UnmarshalText(b []byte) error {
	p, err := ParseKey(string(b))
	*k = p
	return err
}

// ParseKey reads "kind(query)".
func ParseKey(s string) (Key, error) {
	if s == "" {
		return Key{}, nil
	}
	for i := range len(s) {
		if s[i] == '(' && i > 0 && s[len(s)-1] == ')' {
			return Key{s[:i], s[i+1 : len(s)-1]}, nil
		}
	}
	return Key{}, fmt.Errorf("fact key %q is not of the form kind(query)", s)
}

// AnyKind is a kind of fact without its types.
type AnyKind interface {
	KindName() string
	KindDoc() string
	KindNeeds() []AnyKind
	Derived() bool
	derive(r *Reader, q Query) (any, error)
	decode(b json.RawMessage) (any, error)
}

// Kind is a kind of fact: a question type Q and an answer type T. It is a logically constant package variable.
type Kind[Q Query, T any] struct {
	// Name is part of the bundle format ("dns.answer") and is never renamed.
	Name string
	// Doc says what is asked of whom, in one sentence.
	Doc string
	// Needs lists the kinds that its gatherer or derivation may ask for. It is acyclic.
	Needs []AnyKind
	// Derive, if set, computes the fact from others. Such a fact is the same for every source and is never recorded.
	Derive func(*Reader, Q) (T, error)
}

// KindName is the name.
func (k *Kind[Q, T]) KindName() string { return k.Name }

// KindDoc is the documentation.
func (k *Kind[Q, T]) KindDoc() string { return k.Doc }

// KindNeeds lists what the kind may ask for.
func (k *Kind[Q, T]) KindNeeds() []AnyKind { return k.Needs }

// Derived tells whether the kind is computed from other facts.
func (k *Kind[Q, T]) Derived() bool { return k.Derive != nil }

// Key is the key of the fact that answers q.
func (k *Kind[Q, T]) Key(q Q) Key { return Key{k.Name, q.String()} }

// Get returns the fact that answers q. The error is always a *Failure: it could not be looked at.
// Values are shared between callers and must not be changed. Get panics when the reader's owner
// did not declare the kind in its Needs.
func (k *Kind[Q, T]) Get(r *Reader, q Q) (T, error) {
	v, f := r.get(k, q)
	if f != nil {
		var zero T
		return zero, f
	}
	return v.(T), nil
}

func (k *Kind[Q, T]) derive(r *Reader, q Query) (any, error) { return k.Derive(r, q.(Q)) }

func (k *Kind[Q, T]) decode(b json.RawMessage) (any, error) {
	var v T
	err := json.Unmarshal(b, &v)
	return v, err
}

// ValidateKinds tells what is wrong with a list of kinds: a name or documentation missing, a name
// twice, a need that is not in the list, or a cycle.
func ValidateKinds(kinds []AnyKind) error {
	byName := map[string]AnyKind{}
	for _, k := range kinds {
		switch {
		case k.KindName() == "" || k.KindDoc() == "":
			return fmt.Errorf("kind %q: name or documentation missing", k.KindName())
		case byName[k.KindName()] != nil:
			return fmt.Errorf("kind %q: declared twice", k.KindName())
		}
		byName[k.KindName()] = k
	}
	done := map[AnyKind]bool{}
	var visit func(k AnyKind, path []AnyKind) error
	visit = func(k AnyKind, path []AnyKind) error {
		if slices.Contains(path, k) {
			return fmt.Errorf("kind %q: its needs lead back to itself", k.KindName())
		}
		if done[k] {
			return nil
		}
		for _, n := range k.KindNeeds() {
			if byName[n.KindName()] != n {
				return fmt.Errorf("kind %q needs %q, which is not listed", k.KindName(), n.KindName())
			}
			if err := visit(n, append(path, k)); err != nil {
				return err
			}
		}
		done[k] = true
		return nil
	}
	for _, k := range kinds {
		if err := visit(k, nil); err != nil {
			return err
		}
	}
	return nil
}
