// Package engine discovers the subjects of a deployment, runs checks over them side by side, and orders
// what they found by cause.
package engine

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// Status is the outcome of a check on a subject.
type Status string

// The statuses, in the order of precedence.
const (
	StatusError   Status = "error"   // a bug in the check
	StatusFail    Status = "fail"    // a finding of severity error or critical
	StatusUnknown Status = "unknown" // tried and could not look
	StatusWarn    Status = "warn"    // the highest finding is a warning
	StatusSkip    Status = "skip"    // not applicable, or not configured
	StatusPass    Status = "pass"    // notices at most
)

// Statuses lists all statuses in the order in which summaries show them.
var Statuses = []Status{StatusPass, StatusWarn, StatusFail, StatusSkip, StatusUnknown, StatusError}

// NotDiscovered is the name of the subject of a check whose subjects could not be discovered; None is
// that of a scope which holds nothing.
const (
	NotDiscovered = "(not discovered)"
	None          = "(none)"
)

// Result is the outcome of one check on one subject.
type Result struct {
	Check   *checks.Check
	Subject checks.Subject
	Status  Status
	// Reason explains a skip, an unknown or an error.
	Reason string
	// Missing is the failure that made the result unknown, an error, or a skip for want of configuration; nil otherwise.
	Missing  *evidence.Failure
	Findings []*checks.Finding
	Took     time.Duration
	// Read are the facts that the check read itself.
	Read []evidence.Key
	// err and failures are what the status was decided from.
	err      error
	failures []*evidence.Failure
}

// NotConfigured tells whether the check was skipped for want of configuration.
func (r *Result) NotConfigured() bool {
	return r.Status == StatusSkip && r.Missing != nil && r.Missing.Reason == evidence.NotConfigured
}

// Outcome is what a run found.
type Outcome struct {
	// Results are in the order of the report: those with roots first, then by severity, check id, subject.
	Results []*Result
	// Roots are the problems to solve, the most severe first. Notices are never roots.
	Roots []*checks.Finding
	// Causes maps a finding to those that explain it.
	Causes map[*checks.Finding][]*checks.Finding
	// Missing are the roots of the unknowns, each once.
	Missing []Missing
	// Phase of the deployment and of each server, with the reason.
	Phase  string
	Phases []ServerPhase
}

// Missing is a fact that could not be looked at and what hangs on it.
type Missing struct {
	Failure *evidence.Failure
	// Under is the finding that cites the fact, nil when the missing fact is a problem of its own.
	Under *checks.Finding
	// Results are those that it made unknown.
	Results []*Result
}

// ServerPhase is the phase a server was taken to be in.
type ServerPhase struct {
	Server string
	facts.PhaseData
}

// topologyNeeds are the kinds that discovery reads.
var topologyNeeds = []evidence.AnyKind{
	facts.ConfigScope, facts.Directory, facts.ADDomain, facts.SIPDomains, facts.ServerNames, facts.ServerPhase, facts.Controllers,
	facts.Forest, facts.Pools, facts.ServiceAccounts, facts.AllUsers, facts.Services,
}

// Run judges: every check over every subject of its scope. now is the time of capture.
// It returns when all are done, or soon after ctx, the store's context, has ended.
func Run(store *evidence.Store, selected []*checks.Check, now time.Time) *Outcome {
	out := &Outcome{Causes: map[*checks.Finding][]*checks.Finding{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	wg.Go(func() { out.Phase, out.Phases = phases(store) })
	for scope, group := range byScope(selected) {
		wg.Go(func() {
			subjects, err := discover(store, scope)
			var inner sync.WaitGroup
			for _, c := range group {
				if err != nil {
					r := undiscovered(c, err)
					mu.Lock()
					out.Results = append(out.Results, r)
					mu.Unlock()
					continue
				}
				for _, s := range subjects {
					inner.Go(func() {
						r := RunCheck(store, c, s, now)
						mu.Lock()
						defer mu.Unlock()
						out.Results = append(out.Results, r)
					})
				}
			}
			inner.Wait()
		})
	}
	wg.Wait()
	// Checks run while the phase is still being decided, so that neither waits for the other; those of the other phase are dropped here.
	out.Results = slices.DeleteFunc(out.Results, func(r *Result) bool { return !out.selected(r) })
	asked := before(store)
	idle := out.idle(store, asked)
	for _, r := range out.Results {
		out.postpone(r, asked, idle)
	}
	out.order(store)
	return out
}

func byScope(selected []*checks.Check) map[checks.Scope][]*checks.Check {
	m := map[checks.Scope][]*checks.Check{}
	for _, c := range selected {
		m[c.Scope] = append(m[c.Scope], c)
	}
	return m
}

// selected tells whether the result's check belongs to the phase of its subject.
func (o *Outcome) selected(r *Result) bool {
	return slices.Contains(r.Check.Phases.Names(), o.phaseOf(r.Subject))
}

// phaseOf is the phase of a subject: a server's own, else that of the deployment.
func (o *Outcome) phaseOf(s checks.Subject) string {
	if s.Scope == checks.ScopeServer {
		for _, p := range o.Phases {
			if p.Server == s.Name {
				return p.Phase
			}
		}
	}
	return o.Phase
}

// before is the step that the user named; 0 for none.
func before(store *evidence.Store) checks.Step {
	scope, err := facts.ConfigScope.Get(store.NewReader(topologyNeeds), evidence.None{})
	if err != nil {
		return 0
	}
	step, _ := checks.ParseStep(scope.Before)
	return step
}

// idle are the servers whose Front-End is stopped because the step that is about to be taken finds it so: before services it has
// not been started yet, and before update it was stopped on purpose. Its exit code tells both from a crash.
func (o *Outcome) idle(store *evidence.Store, asked checks.Step) map[string]bool {
	idle := map[string]bool{}
	if asked != checks.Services && asked != checks.Update {
		return idle
	}
	const neverStarted = 1077 // ERROR_SERVICE_NEVER_STARTED
	r := store.NewReader(topologyNeeds)
	for _, p := range o.Phases {
		if p.Server == NotDiscovered {
			continue
		}
		l, err := facts.Services.Get(r, facts.ServerQuestion{FQDN: p.Server})
		s, ok := l.Find(facts.FrontEndService)
		idle[p.Server] = err == nil && ok && s.State == facts.ServiceStopped && (s.ExitCode == 0 || s.ExitCode == neverStarted)
	}
	return idle
}

// postpone skips what only the step about to be taken, or a later one, brings about. Before setup is where pre-install stands
// unless another step was named. On idle servers it skips too what asks for running services, and what could not be looked at
// because nothing listens on their SIP port.
func (o *Outcome) postpone(r *Result, asked checks.Step, idle map[string]bool) {
	if asked == 0 && o.phaseOf(r.Subject) == facts.PhasePreInstall {
		asked = checks.Setup
	}
	if asked == 0 {
		return
	}
	skip := func() {
		r.Status, r.Reason, r.Missing, r.Findings = StatusSkip, "not due before "+asked.String(), nil, nil
	}
	if r.Check.After >= asked {
		skip()
		return
	}
	still := idle[r.Subject.Name]
	if r.Subject.Scope != checks.ScopeServer {
		still = len(idle) > 0 && !slices.Contains(slices.Collect(maps.Values(idle)), false)
	}
	switch {
	case !still:
	case r.Check.After == checks.Services:
		skip()
		r.Reason += ", for which the services are stopped"
	default:
		if r.forget(silentSIP) && r.Status == StatusPass {
			skip()
			r.Reason += ": the services are stopped"
		}
	}
}

// silentSIP tells whether a fact is missing because no connection to a SIP port came about.
func silentSIP(f *evidence.Failure) bool {
	return f.Root.Kind == facts.NetConnect.Name && strings.HasSuffix(f.Root.Query, ":"+strconv.Itoa(facts.SIPPort))
}

// phases decides the phase of each server; the deployment is post-install when one server is, or when none is known.
func phases(store *evidence.Store) (string, []ServerPhase) {
	r := store.NewReader(topologyNeeds)
	servers, err := facts.ServerNames.Get(r, evidence.None{})
	if err != nil || len(servers.List) == 0 {
		p := facts.PhaseData{Phase: facts.PhasePostInstall, Why: "no server is known", Assumed: true}
		if scope, err := facts.ConfigScope.Get(r, evidence.None{}); err == nil {
			if asked, ok := scope.AskedPhase(); ok {
				p = asked
			}
		}
		return p.Phase, []ServerPhase{{NotDiscovered, p}}
	}
	var questions []facts.ServerQuestion
	for _, s := range servers.List {
		questions = append(questions, facts.ServerQuestion{FQDN: s})
	}
	found, errs := evidence.GetAll(r, facts.ServerPhase, questions)
	list := make([]ServerPhase, len(found))
	for i, p := range found {
		if errs[i] != nil {
			p = facts.PhaseData{Phase: facts.PhasePostInstall, Why: "nothing could be read that decides", Assumed: true}
		}
		list[i] = ServerPhase{servers.List[i], p}
	}
	for _, p := range list {
		if p.Phase == facts.PhasePostInstall {
			return p.Phase, list
		}
	}
	return facts.PhasePreInstall, list
}

// discover lists the subjects of a scope. An empty list is never returned: a scope that holds nothing is the subject None.
func discover(store *evidence.Store, scope checks.Scope) ([]checks.Subject, error) {
	r := store.NewReader(topologyNeeds)
	var subjects []checks.Subject
	add := func(name string, within ...checks.Ref) {
		subjects = append(subjects, checks.Subject{Scope: scope, Name: name, Within: within})
	}
	switch scope {
	case checks.ScopeForest:
		dir, err := facts.Directory.Get(r, evidence.None{})
		if err != nil {
			return nil, err
		}
		add(dir.Forest)
	case checks.ScopeADDomain:
		domains, err := domainsInUse(r)
		if err != nil {
			return nil, err
		}
		for _, d := range domains {
			add(d)
		}
	case checks.ScopeDomainController:
		list, err := facts.Controllers.Get(r, evidence.None{})
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			domain := c.Controller.Domain
			if domain == "" {
				domain = facts.Parent(c.Host)
			}
			add(c.Ask, checks.Ref{Scope: checks.ScopeADDomain, Name: domain})
		}
	case checks.ScopeResolver:
		scope, err := facts.ConfigScope.Get(r, evidence.None{})
		if err != nil {
			return nil, err
		}
		for _, s := range scope.Resolvers {
			add(s.ID)
		}
	case checks.ScopePool:
		list, err := facts.Pools.Get(r, evidence.None{})
		if err != nil {
			return nil, err
		}
		for _, p := range list.Pools {
			add(p.FQDN)
		}
	case checks.ScopeAccount:
		list, err := facts.ServiceAccounts.Get(r, evidence.None{})
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			add(a.Name)
		}
	case checks.ScopeUser:
		scope, err := facts.ConfigScope.Get(r, evidence.None{})
		if err != nil {
			return nil, err
		}
		add(checks.AllUsers)
		for _, uri := range scope.CheckUsers {
			_, domain, _ := strings.Cut(uri, "@")
			add(uri, checks.Ref{Scope: checks.ScopeSIPDomain, Name: facts.Host(domain)})
		}
	case checks.ScopeSIPDomain:
		f, err := facts.SIPDomains.Get(r, evidence.None{})
		if err != nil {
			return nil, err
		}
		for _, d := range f.List {
			add(d)
		}
	case checks.ScopeServer:
		f, err := facts.ServerNames.Get(r, evidence.None{})
		if err != nil {
			return nil, err
		}
		for _, s := range f.List {
			add(s, checks.Ref{Scope: checks.ScopeADDomain, Name: facts.Parent(s)})
		}
	default:
		return nil, fmt.Errorf("no discovery for the scope %q", scope)
	}
	if len(subjects) == 0 {
		add(None)
	}
	return subjects, nil
}

// domainsInUse are the AD domain to judge and the other domains of the forest that hold OCS servers or users enabled for OCS.
func domainsInUse(r *evidence.Reader) ([]string, error) {
	named, err := facts.ADDomain.Get(r, evidence.None{})
	if err != nil {
		return nil, err
	}
	domains := slices.Clone(named.List)
	scope, err := facts.ConfigScope.Get(r, evidence.None{})
	if err != nil || scope.LDAPUser == "" {
		return domains, err
	}
	// What cannot be read here fails as a fact of the checks that judge the other domains.
	forest, err := facts.Forest.Get(r, evidence.None{})
	if err != nil || len(forest.Domains) < 2 {
		return domains, nil
	}
	add := func(domain string) {
		if domain != "" && !slices.Contains(domains, domain) && slices.ContainsFunc(forest.Domains, func(d facts.Domain) bool { return d.Name == domain }) {
			domains = append(domains, domain)
		}
	}
	if pools, err := facts.Pools.Get(r, evidence.None{}); err == nil {
		for _, p := range pools.Pools {
			for _, f := range p.FrontEnds {
				add(facts.Parent(f.Computer))
			}
		}
	}
	if table, err := facts.AllUsers.Get(r, evidence.None{}); err == nil {
		for i, u := range table.Users {
			if u.Enabled != nil && *u.Enabled {
				add(facts.DomainOfDN(facts.DomainPart(table.DN(table.Users[i]))))
			}
		}
	}
	slices.Sort(domains)
	return domains, nil
}

func undiscovered(c *checks.Check, err error) *Result {
	r := &Result{Check: c, Subject: checks.Subject{Scope: c.Scope, Name: NotDiscovered}}
	r.settle(err, nil)
	return r
}

// RunCheck runs one check over one subject and decides the status. A panic is the check's error.
func RunCheck(store *evidence.Store, c *checks.Check, s checks.Subject, now time.Time) *Result {
	start := time.Now()
	r := &Result{Check: c, Subject: s}
	if s.Name == None {
		r.Status, r.Reason = StatusSkip, "no "+string(s.Scope)
		return r
	}
	p := &checks.Pass{Check: c, Subject: s, Now: now, Facts: store.NewReader(c.Needs)}
	err := runGuarded(c, p)
	r.Findings = distinct(p.Findings())
	r.Read = p.Facts.Read()
	r.Took = time.Since(start)
	r.settle(err, p.Unexcused())
	return r
}

func runGuarded(c *checks.Check, p *checks.Pass) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return c.Run(p)
}

// distinct drops findings with an id that was there before, and orders them: severity, tag, id.
func distinct(in []*checks.Finding) []*checks.Finding {
	in = slices.Clone(in)
	slices.SortStableFunc(in, func(a, b *checks.Finding) int {
		if d := int(b.Message.Severity - a.Message.Severity); d != 0 {
			return d
		}
		if d := strings.Compare(a.Message.Tag, b.Message.Tag); d != 0 {
			return d
		}
		return strings.Compare(a.ID(), b.ID())
	})
	return slices.CompactFunc(in, func(a, b *checks.Finding) bool { return a.ID() == b.ID() })
}

// forget decides the status anew without some of the failures, and tells whether there were any.
func (r *Result) forget(some func(*evidence.Failure) bool) bool {
	failures := slices.DeleteFunc(slices.Clone(r.failures), some)
	var f *evidence.Failure
	gone := errors.As(r.err, &f) && some(f)
	if len(failures) == len(r.failures) && !gone {
		return false
	}
	err := r.err
	if gone {
		err = nil
	}
	r.Missing, r.Reason = nil, ""
	r.settle(err, failures)
	return true
}

// settle decides the status from the error of Run, the failures that were not excused, and the findings.
func (r *Result) settle(err error, failures []*evidence.Failure) {
	r.err, r.failures = err, failures
	var f *evidence.Failure
	switch {
	case err == nil || errors.Is(err, checks.ErrNotApplicable):
	case errors.As(err, &f):
		failures = append(slices.Clone(failures), f)
	default:
		failures = []*evidence.Failure{{Reason: evidence.Internal, Detail: err.Error()}}
	}
	highest := checks.Severity(0)
	for _, f := range r.Findings {
		highest = max(highest, f.Message.Severity)
	}
	if len(failures) > 0 {
		r.Missing = slices.MinFunc(failures, compareFailures)
		r.Reason = r.Missing.Detail
	}
	switch {
	case r.Missing != nil && r.Missing.Reason == evidence.Internal:
		r.Status = StatusError
	case highest >= checks.Error:
		r.Status = StatusFail
	case r.Missing != nil && r.Missing.Reason != evidence.NotConfigured:
		r.Status = StatusUnknown
	case highest == checks.Warning:
		r.Status = StatusWarn
	case r.Missing != nil:
		r.Status = StatusSkip
		r.Reason = "not configured: " + r.Missing.Detail
	case err != nil:
		r.Status = StatusSkip
		r.Reason = err.Error()
	default:
		r.Status = StatusPass
	}
}

// compareFailures puts first what the reader should know first: a bug, then what was tried and failed, then
// what was not configured; within these by root, so that two runs agree.
func compareFailures(a, b *evidence.Failure) int {
	rank := func(f *evidence.Failure) int {
		switch f.Reason {
		case evidence.Internal:
			return 0
		case evidence.NotConfigured:
			return 2
		}
		return 1
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return strings.Compare(a.Root.String(), b.Root.String())
}
