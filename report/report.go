// Package report is the model of a scan's result and its JSON form, schema ocsdoctor.report/1. The formats
// are written from the model alone, so a report that was read back renders like one that was just made.
package report

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/policy"
)

// Schema is the value of the field "schema".
const Schema = "ocsdoctor.report/1"

// JSONSchema is the JSON Schema (draft 2020-12) of the report.
//
//go:embed schema.json
var JSONSchema []byte

// Report is the result of one scan.
type Report struct {
	Schema     string         `json:"schema"`
	Tool       Tool           `json:"tool"`
	Deployment Deployment     `json:"deployment"`
	Phase      string         `json:"phase"`
	Phases     []Phase        `json:"phases"`
	Vantage    Vantage        `json:"vantage"`
	StartedAt  time.Time      `json:"startedAt"`
	DurationMs int64          `json:"durationMs"`
	Verdict    string         `json:"verdict"`
	ExitCode   int            `json:"exitCode"`
	FailOn     string         `json:"failOn"`
	Summary    map[string]int `json:"summary"`
	// Roots are finding ids, the most severe first.
	Roots   []string  `json:"roots"`
	Missing []Missing `json:"missing"`
	Results []Result  `json:"results"`
	// Notes are remarks on the run itself: waivers that expired or were not used, folders that were collected long ago.
	Notes []string `json:"notes"`
}

// Tool names the program that made the report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Deployment is what was judged.
type Deployment struct {
	Name       string   `json:"name"`
	ADDomain   string   `json:"adDomain"`
	SIPDomains []string `json:"sipDomains"`
	Servers    []string `json:"servers"`
}

// Phase is the phase that a server was taken to be in, and why.
type Phase struct {
	Server  string `json:"server"`
	Phase   string `json:"phase"`
	Why     string `json:"why"`
	Assumed bool   `json:"assumed"`
}

// Vantage is where the questions were asked from.
type Vantage struct {
	Host string   `json:"host"`
	User string   `json:"user"`
	DNS  []string `json:"dns"`
	// Collected are the folders that answered for servers in their place.
	Collected []Collected `json:"collected,omitempty"`
}

// Collected is a folder that collect.cmd wrote on a server.
type Collected struct {
	Server string `json:"server"`
	Folder string `json:"folder"`
	// At is when it was written; nil if it does not say.
	At *time.Time `json:"at,omitempty"`
}

// words is the server with its folder.
func (c Collected) words() string {
	if c.At == nil {
		return c.Server + ": " + c.Folder
	}
	return c.Server + ": " + c.Folder + ", written " + c.At.UTC().Format(dateForm)
}

// collected are all of them in one line.
func (v Vantage) collected() string {
	var words []string
	for _, c := range v.Collected {
		words = append(words, c.words())
	}
	return strings.Join(words, "; ")
}

// Missing is a fact that could not be looked at: the root of unknowns.
type Missing struct {
	Fact   string `json:"fact"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	// Under is the id of the finding that cites the fact; empty when it is a problem of its own.
	Under  string   `json:"under"`
	Checks []string `json:"checks"`
}

// Subject is what a result speaks of.
type Subject struct {
	Scope string `json:"scope"`
	Name  string `json:"name"`
}

// Result is the outcome of one check on one subject.
type Result struct {
	Check      string    `json:"check"`
	Title      string    `json:"title"`
	Subject    Subject   `json:"subject"`
	Status     string    `json:"status"`
	Reason     string    `json:"reason,omitempty"`
	RootFact   string    `json:"rootFact,omitempty"`
	DurationMs int64     `json:"durationMs"`
	Findings   []Finding `json:"findings"`
}

// Finding is one observation with its proof and its mending.
type Finding struct {
	ID            string            `json:"id"`
	Tag           string            `json:"tag"`
	Severity      string            `json:"severity"`
	Text          string            `json:"text"`
	Args          map[string]string `json:"args"`
	Cites         []string          `json:"cites"`
	Explanation   string            `json:"explanation"`
	Fix           string            `json:"fix"`
	ConsequenceOf []string          `json:"consequenceOf"`
	Waiver        *Waiver           `json:"waiver,omitempty"`
	// InBaseline tells that an earlier report had it: it does not count for the gate.
	InBaseline bool `json:"inBaseline,omitempty"`
}

// Waiver is the waiver that covers a finding.
type Waiver struct {
	Reason string `json:"reason"`
	Until  string `json:"until"`
	By     string `json:"by,omitempty"`
}

// Meta is what a report says of its run besides the outcome.
type Meta struct {
	Version  string
	Scope    facts.Scope
	Host     string
	Started  time.Time
	Duration time.Duration
	FailOn   checks.Severity
	Baseline map[string]bool
}

// New makes the report of an outcome. servers and domains that were discovered come from the store.
func New(store *evidence.Store, out *engine.Outcome, d policy.Decision, m Meta) *Report {
	r := &Report{
		Schema:     Schema,
		Tool:       Tool{"ocsdoctor", m.Version},
		Deployment: deployment(store, m.Scope),
		Phase:      out.Phase,
		Vantage:    vantage(m.Host, m.Scope),
		StartedAt:  m.Started.UTC().Truncate(time.Millisecond),
		DurationMs: m.Duration.Milliseconds(),
		Verdict:    d.Verdict,
		ExitCode:   d.ExitCode,
		FailOn:     m.FailOn.String(),
		Summary:    map[string]int{"waived": len(d.Waived)},
		Roots:      []string{},
		Missing:    []Missing{},
		Results:    []Result{},
		Notes:      append(old(m), d.Notes...),
		Phases:     []Phase{},
	}
	for _, p := range out.Phases {
		r.Phases = append(r.Phases, Phase{p.Server, p.Phase, p.Why, p.Assumed})
	}
	for _, s := range engine.Statuses {
		r.Summary[string(s)] = 0
	}
	for _, f := range out.Roots {
		r.Roots = append(r.Roots, f.ID())
	}
	for _, miss := range out.Missing {
		e := Missing{Fact: miss.Failure.Root.String(), Reason: string(miss.Failure.Reason), Detail: miss.Failure.Detail, Checks: []string{}}
		if miss.Under != nil {
			e.Under = out.Root(miss.Under).ID()
		}
		for _, res := range miss.Results {
			if !slices.Contains(e.Checks, res.Check.ID) {
				e.Checks = append(e.Checks, res.Check.ID)
			}
		}
		r.Missing = append(r.Missing, e)
	}
	for _, res := range out.Results {
		r.Summary[string(res.Status)]++
		r.Results = append(r.Results, result(res, out, d, m.Baseline))
	}
	return r
}

// longAgo is how old a collected folder may be before the report says so: Windows gets its updates once a month and is restarted for them,
// and a week is what a folder takes to be carried about.
const longAgo = 7 * 24 * time.Hour

// old names the collected folders that are.
func old(m Meta) []string {
	notes := []string{}
	for _, d := range m.Scope.HostDumps {
		if d.At == nil {
			continue
		}
		if age := m.Started.Sub(*d.At); age > longAgo {
			notes = append(notes, fmt.Sprintf("what is known of %s itself is %s old: %s was collected on %s", d.Server, facts.Count(int(age.Hours()/24), "day"), d.Name, d.At.UTC().Format(dateForm)))
		}
	}
	return notes
}

func vantage(host string, scope facts.Scope) Vantage {
	v := Vantage{Host: host, User: scope.LDAPUser, DNS: []string{}}
	for _, r := range scope.Resolvers {
		v.DNS = append(v.DNS, r.ID+"="+r.Address)
	}
	for _, d := range scope.HostDumps {
		v.Collected = append(v.Collected, Collected{d.Server, d.Name, d.At})
	}
	return v
}

func deployment(store *evidence.Store, scope facts.Scope) Deployment {
	d := Deployment{Name: scope.Name, ADDomain: scope.ADDomain, SIPDomains: []string{}, Servers: []string{}}
	reader := store.NewReader([]evidence.AnyKind{facts.ADDomain, facts.SIPDomains, facts.ServerNames})
	if f, err := facts.ADDomain.Get(reader, evidence.None{}); err == nil {
		d.ADDomain = strings.Join(f.List, ", ")
	}
	if f, err := facts.SIPDomains.Get(reader, evidence.None{}); err == nil {
		d.SIPDomains = append(d.SIPDomains, f.List...)
	}
	if f, err := facts.ServerNames.Get(reader, evidence.None{}); err == nil {
		d.Servers = append(d.Servers, f.List...)
	}
	if d.Name == "" {
		d.Name = d.ADDomain
	}
	return d
}

func result(res *engine.Result, out *engine.Outcome, d policy.Decision, baseline map[string]bool) Result {
	r := Result{
		Check: res.Check.ID, Title: res.Check.Title,
		Subject:  Subject{string(res.Subject.Scope), res.Subject.Name},
		Status:   string(res.Status),
		Reason:   res.Reason,
		Findings: []Finding{}, DurationMs: res.Took.Milliseconds(),
	}
	if res.Missing != nil {
		r.RootFact = res.Missing.Root.String()
	}
	for _, f := range res.Findings {
		fix, err := f.Fix()
		if err != nil {
			fix = "The text of this fix could not be made: " + err.Error()
		}
		e := Finding{
			ID: f.ID(), Tag: f.Message.Tag, Severity: f.Message.Severity.String(), Text: f.Text(), Args: f.ArgMap(),
			Cites: []string{}, Explanation: f.Explanation(), Fix: fix, ConsequenceOf: []string{}, InBaseline: baseline[f.ID()],
		}
		for _, k := range f.Cites {
			e.Cites = append(e.Cites, k.String())
		}
		for _, c := range out.Causes[f] {
			e.ConsequenceOf = append(e.ConsequenceOf, c.ID())
		}
		if w := d.Waived[f]; w != nil {
			e.Waiver = &Waiver{w.Reason, w.Until.Format(time.DateOnly), w.By}
		}
		r.Findings = append(r.Findings, e)
	}
	return r
}

// WriteJSON writes the report, indented, with a final line break.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// maxReport bounds a report that is read, in bytes.
const maxReport = 64 << 20

// Read reads a JSON report. The error says what is wrong with it.
func Read(in io.Reader) (*Report, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxReport+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxReport {
		return nil, fmt.Errorf("it is larger than %d MiB", maxReport>>20)
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("it is not JSON as a report is: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("its schema is %q, not %q", r.Schema, Schema)
	}
	if !slices.Contains([]string{policy.VerdictPass, policy.VerdictFail, policy.VerdictIncomplete, policy.VerdictError}, r.Verdict) {
		return nil, errors.New("it has no verdict")
	}
	return &r, r.consistent()
}

// consistent tells whether severities and statuses are known and whatever names a finding names one that is there.
func (r *Report) consistent() error {
	if _, ok := checks.ParseSeverity(r.FailOn); !ok {
		return fmt.Errorf("its failOn is %q", r.FailOn)
	}
	for _, res := range r.Results {
		if !slices.Contains(engine.Statuses, engine.Status(res.Status)) {
			return fmt.Errorf("the check %s on %s has the status %q", res.Check, res.Subject.Name, res.Status)
		}
	}
	found := r.Findings()
	ids := slices.Clone(r.Roots)
	for _, m := range r.Missing {
		if m.Under != "" {
			ids = append(ids, m.Under)
		}
	}
	for id, f := range found {
		if _, ok := checks.ParseSeverity(f.Severity); !ok {
			return fmt.Errorf("the finding %s has the severity %q", id, f.Severity)
		}
		ids = append(ids, f.ConsequenceOf...)
	}
	for _, id := range ids {
		if _, ok := found[id]; !ok {
			return fmt.Errorf("it speaks of a finding %q that it does not hold", id)
		}
	}
	return nil
}

// Located is a finding with the result it belongs to.
type Located struct {
	*Finding
	Result *Result
}

// Findings are all findings by id.
func (r *Report) Findings() map[string]Located {
	m := map[string]Located{}
	for i := range r.Results {
		res := &r.Results[i]
		for j := range res.Findings {
			m[res.Findings[j].ID] = Located{&res.Findings[j], res}
		}
	}
	return m
}
