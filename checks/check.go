// Package checks is the contract between the checks and those who run and render them. It does no I/O.
package checks

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ocsdoctor/checks/evidence"
)

// Severity grades a finding by its consequence.
type Severity int

// The severities. Their meaning is the consequence for users, not how bad something looks.
const (
	Notice   Severity = iota + 1 // should be known; a healthy deployment may have it
	Warning                      // breaks under some circumstances or by a known date, or is unsupported
	Error                        // a function is broken now, or everything breaks at the next restart
	Critical                     // users cannot sign in, or setup will fail, now
)

var severityNames = []string{"", "notice", "warning", "error", "critical"}

func (s Severity) String() string { return severityNames[s] }

// ParseSeverity reads "critical", "error", "warning" or "notice".
func ParseSeverity(s string) (Severity, bool) {
	for i, n := range severityNames {
		if i > 0 && n == s {
			return Severity(i), true
		}
	}
	return 0, false
}

// Phase says in which phases of a deployment a check is selected.
type Phase int

// The phases, as bits.
const (
	PreInstall  Phase = 1 << iota // before OCS setup
	PostInstall                   // a running server
	BothPhases  = PreInstall | PostInstall
)

// Names lists the phases' names.
func (p Phase) Names() []string {
	var out []string
	if p&PreInstall != 0 {
		out = append(out, "pre-install")
	}
	if p&PostInstall != 0 {
		out = append(out, "post-install")
	}
	return out
}

// Step is a step of a deployment, in the order in which they are taken.
type Step int

// The steps.
const (
	SchemaPrep Step = iota + 1
	ForestPrep
	DomainPrep
	Setup
	Activation
	Services
	Update
	Users
)

var stepNames = []string{"", "schemaprep", "forestprep", "domainprep", "setup", "activation", "services", "update", "users"}

func (s Step) String() string { return stepNames[s] }

// ParseStep reads the name of a step.
func ParseStep(s string) (Step, bool) {
	i := slices.Index(stepNames, s)
	return Step(max(i, 0)), i > 0
}

// StepNames lists the steps in their order.
func StepNames() []string { return stepNames[1:] }

// Scope is the kind of thing that a check judges.
type Scope string

// The scopes.
const (
	ScopeDeployment       Scope = "deployment"
	ScopeForest           Scope = "forest"
	ScopeADDomain         Scope = "ad-domain"
	ScopeDomainController Scope = "domain-controller"
	ScopeSIPDomain        Scope = "sip-domain"
	ScopeResolver         Scope = "resolver"
	ScopePool             Scope = "pool"
	ScopeServer           Scope = "server"
	ScopeEndpoint         Scope = "endpoint"
	ScopeAccount          Scope = "account"
	ScopeUser             Scope = "user"
)

// AllUsers is the subject of the scope user that stands for all of them; the others are those that were named.
const AllUsers = "(all users)"

// Ref names a subject.
type Ref struct {
	Scope Scope  `json:"scope"`
	Name  string `json:"name"`
}

// Subject is the thing that a check judges. Within lists what contains it; the forest and the deployment contain all.
type Subject struct {
	Scope  Scope  `json:"scope"`
	Name   string `json:"name"`
	Within []Ref  `json:"within,omitempty"`
}

// Ref is the subject's own name.
func (s Subject) Ref() Ref { return Ref{s.Scope, s.Name} }

// Related tells whether one of the subjects is the other or contains it.
func (s Subject) Related(o Subject) bool {
	return s.Ref() == o.Ref() || s.contains(o) || o.contains(s)
}

func (s Subject) contains(o Subject) bool {
	if s.Scope == ScopeForest || s.Scope == ScopeDeployment {
		return true
	}
	for _, w := range o.Within {
		if w == s.Ref() {
			return true
		}
	}
	return false
}

// Check is one expectation about a deployment. It is a logically constant value: a pure function of facts.
type Check struct {
	// ID is "family/slug", permanent.
	ID string
	// Title states the expectation: "every SIP domain has a _sip._tls SRV record on port 5061".
	Title string
	// Scope is what it is run over: once for each subject of that scope.
	Scope Scope
	// Phases are those in which it is selected.
	Phases Phase
	// After is the step that brings about what is judged; before that step is done the check is not due. 0 is always due.
	After Step
	// Needs are the kinds of fact that Run may read; an example shows each to be read.
	Needs []evidence.AnyKind
	// Messages is the closed set of what it can report; an example provokes each.
	Messages []*Message
	// Run judges one subject. It returns nil, ErrNotApplicable (possibly wrapped), a *evidence.Failure, or a bug.
	Run func(*Pass) error

	doc *Doc
}

// Family is the part of the id before the slash.
func (c *Check) Family() string { f, _, _ := strings.Cut(c.ID, "/"); return f }

// Doc is the check's Markdown, in sections.
func (c *Check) Doc() *Doc { return c.doc }

// MaxSeverity is the highest severity that the check can report.
func (c *Check) MaxSeverity() Severity {
	var m Severity
	for _, msg := range c.Messages {
		m = max(m, msg.Severity)
	}
	return m
}

// Message finds a message by its tag; nil if there is none.
func (c *Check) Message(tag string) *Message {
	for _, m := range c.Messages {
		if m.Tag == tag {
			return m
		}
	}
	return nil
}

// Message is one thing that a check can report. One tag has one severity; a conditional severity is two tags.
type Message struct {
	Tag      string
	Severity Severity
	// Text states the observation, with {name} for an argument.
	Text string
	// Identity names the arguments that belong to the finding's id, besides check, tag and subject.
	Identity []string
	// ExplainedBy lists "check:tag" or "check" whose finding can cause exactly this one.
	ExplainedBy []string
}

// Arg is a named argument of a finding.
type Arg struct{ Name, Value string }

// A makes an argument; the value is formatted as by fmt.Sprint.
func A(name string, value any) Arg { return Arg{name, fmt.Sprint(value)} }

// Finding is one message that a check reported about a subject.
type Finding struct {
	Check   *Check
	Message *Message
	Subject Subject
	Args    []Arg
	Cites   []evidence.Key
}

// Arg returns the value of an argument, "" if there is none.
func (f *Finding) Arg(name string) string {
	for _, a := range f.Args {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// ArgMap is the arguments by name.
func (f *Finding) ArgMap() map[string]string {
	m := make(map[string]string, len(f.Args))
	for _, a := range f.Args {
		m[a.Name] = a.Value
	}
	return m
}

// ID is the stable fingerprint: check, tag, subject and the identifying arguments. 12 hexadecimal digits.
func (f *Finding) ID() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s", f.Check.ID, f.Message.Tag, f.Subject.Scope, f.Subject.Name)
	for _, n := range f.Message.Identity {
		fmt.Fprintf(h, "\x00%s\x00%s", n, f.Arg(n))
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// Text is the message with its arguments filled in.
func (f *Finding) Text() string {
	var pairs []string
	for _, a := range f.Args {
		pairs = append(pairs, "{"+a.Name+"}", a.Value)
	}
	// In one pass: a value may hold braces too.
	return strings.NewReplacer(pairs...).Replace(f.Message.Text)
}

// ErrNotApplicable says that the check has nothing to judge on this subject. Wrap it to say why: NotApplicable.
var ErrNotApplicable = errors.New("not applicable")

// NotApplicable is ErrNotApplicable with the reason that the report shows.
func NotApplicable(why string) error { return fmt.Errorf("%w: %s", ErrNotApplicable, why) }

// Pass is one run of a check over one subject. Its methods may be called from several goroutines.
type Pass struct {
	// Check and Subject are what is judged.
	Check   *Check
	Subject Subject
	// Now is the time of capture: a recorded certificate does not rot.
	Now time.Time
	// Facts reads the facts that the check declared.
	Facts *evidence.Reader

	mu       sync.Mutex
	findings []*Finding
	excused  map[*evidence.Failure]string
}

// Report adds a finding. It panics when the message is not the check's own, when the text names an
// argument that is not given, or when nothing is cited: a bug that the examples bring to light.
func (p *Pass) Report(m *Message, cites []evidence.Key, args ...Arg) {
	f := &Finding{Check: p.Check, Message: m, Subject: p.Subject, Args: args, Cites: cites}
	switch {
	case p.Check.Message(m.Tag) != m:
		panic(fmt.Sprintf("%s: message %q is not in Messages", p.Check.ID, m.Tag))
	case len(cites) == 0:
		panic(fmt.Sprintf("%s: %s cites no fact", p.Check.ID, m.Tag))
	}
	given := f.ArgMap()
	for _, name := range append(placeholders(m.Text), m.Identity...) {
		if _, ok := given[name]; !ok {
			panic(fmt.Sprintf("%s: %s needs the argument %q", p.Check.ID, m.Tag, name))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.findings = append(p.findings, f)
}

// Excuse says that the check can judge without the fact that failed with err, and why. What a recording
// lacks, what was interrupted and what is a bug cannot be excused (see evidence.Excusable).
func (p *Pass) Excuse(err error, why string) {
	var f *evidence.Failure
	if !errors.As(err, &f) || !evidence.Excusable(f) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.excused == nil {
		p.excused = map[*evidence.Failure]string{}
	}
	p.excused[f] = why
}

// Findings are those reported so far.
func (p *Pass) Findings() []*Finding {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.findings
}

// Unexcused are the failures met by the check's own reads that it did not excuse.
func (p *Pass) Unexcused() []*evidence.Failure {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*evidence.Failure
	for _, f := range p.Facts.Failures() {
		if _, ok := p.excused[f]; !ok {
			out = append(out, f)
		}
	}
	return out
}

func placeholders(text string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(text, "{")
		if !ok {
			return out
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return out
		}
		out = append(out, name)
		text = after
	}
}
