// Package knowledge explains the codes, events, updates and messages that an administrator of Office
// Communications Server 2007 R2 meets: what each claims, what it really is, and what decides between causes.
package knowledge

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

// Kind is the sort of thing that an entry explains. One number may be of several kinds.
type Kind string

// The kinds. Each has a data file of its name.
const (
	FaultCode     Kind = "fault-code"     // an HRESULT of OCS, its setup, or Windows security
	Event         Kind = "event"          // a Windows event; Where says of which log and source
	MSDiagnostics Kind = "ms-diagnostics" // an id of the SIP header ms-diagnostics ([MS-OCER])
	KB            Kind = "kb"             // a Microsoft update or knowledge base article
	Win32         Kind = "win32"          // a Windows error of a service, a socket or a replication link
	Message       Kind = "message"        // a text that a program shows
)

var kinds = []Kind{FaultCode, Event, MSDiagnostics, KB, Win32, Message}

// Entry explains one thing. All texts are plain, without markup; <name> stands for what the reader has to fill in.
type Entry struct {
	// Kind is that of the file the entry stands in.
	Kind Kind `yaml:"-"`
	// ID is the code as it is usually written: "0xC3E93C23", "12290", "KB974571", or the core of a message.
	ID string `yaml:"id"`
	// Also are other codes that are explained by the same text. Other spellings of one number are not listed: see Forms.
	Also []string `yaml:"also"`
	// Where says in which log, and from which source, an event stands; empty for the other kinds.
	Where string `yaml:"where"`
	// Title says in one line what it comes down to.
	Title string `yaml:"title"`
	// Says is what the program claims, which may mislead.
	Says string `yaml:"says"`
	// French is what the French version of the program claims, where a source gives it.
	French string `yaml:"french"`
	// Heard are other wordings, in English and French, by which the entry is found. They are never shown, for no source
	// gives them as the products' own.
	Heard []string `yaml:"heard"`
	// Means are the possible causes, the most likely first.
	Means []Cause `yaml:"means"`
	// Do are the steps to take, in order.
	Do []Step `yaml:"do"`
	// Uncertain are statements for which no good source is known. Nothing in Do rests on them.
	Uncertain []string `yaml:"uncertain"`
	// Checks are the ids of the checks that look at the causes; some may not exist in this version.
	Checks []string `yaml:"checks"`
	// Source names where the statements come from.
	Source string `yaml:"source"`
}

// Cause is one thing that an entry may come from, and the evidence that decides whether it is this one.
type Cause struct {
	Cause   string `yaml:"cause"`
	Decides string `yaml:"decides"`
}

// Step is something to do; Run are commands, a line each, exactly as they are typed.
type Step struct {
	Text string   `yaml:"text"`
	Run  []string `yaml:"run"`
}

// Forms are the other spellings of the entry's own code: a fault code is shown by some programs as a decimal
// number, and by others as a negative one. Other kinds have none.
func (e Entry) Forms() []string {
	n, ok := number(e.ID)
	if e.Kind != FaultCode || !ok {
		return nil
	}
	return []string{strconv.FormatUint(uint64(n), 10), strconv.FormatInt(int64(int32(n)), 10)}
}

// codes are the numbers, and the names in lower case, that the entry answers to.
func (e Entry) codes() (numbers []uint32, names []string) {
	for _, c := range append([]string{e.ID}, e.Also...) {
		names = append(names, strings.ToLower(c))
		if n, ok := number(strings.TrimPrefix(c, "KB")); ok && e.Kind != Message {
			numbers = append(numbers, n)
		}
	}
	return numbers, names
}

//go:embed data/*.yaml
var data embed.FS

// All are the entries: fault codes, events, ms-diagnostics codes, updates, Windows errors, messages, each in the
// order of its file. The slice is shared and must not be changed.
var All = sync.OnceValue(func() []Entry {
	all, err := read(data)
	if err != nil {
		// The data is part of the program; a test reads it.
		panic(err)
	}
	return all
})

// read reads data/KIND.yaml for every kind. A field that no entry has is an error.
func read(files fs.FS) ([]Entry, error) {
	var all []Entry
	for _, k := range kinds {
		name := path.Join("data", string(k)+".yaml")
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("reading the knowledge: %w", err)
		}
		var entries []Entry
		if err := yaml.UnmarshalWithOptions(b, &entries, yaml.Strict()); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		for i := range entries {
			entries[i].Kind = k
		}
		all = append(all, entries...)
	}
	return all, nil
}

// Near are at most three names that look like the query, the nearest first: ids of entries, and the other names given.
func Near(query string, others []string) []string {
	type near struct {
		name     string
		distance int
	}
	query = strings.ToLower(clip(strings.TrimSpace(query)))
	var found []near
	add := func(name string) {
		// A third of the letters wrong is still a slip; more is another word.
		if d := distance(query, strings.ToLower(name)); d <= len(query)/3 {
			found = append(found, near{name, d})
		}
	}
	for _, o := range others {
		add(o)
	}
	for _, e := range All() {
		add(e.ID)
	}
	slices.SortStableFunc(found, func(a, b near) int { return cmp.Compare(a.distance, b.distance) })
	var names []string
	for _, f := range found {
		// What is twice as far as the best is no suggestion beside it.
		if len(names) < 3 && f.distance <= 2*max(1, found[0].distance) && !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return names
}

// distance is the number of letters to insert, remove or replace to make one word the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
