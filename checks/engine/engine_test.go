package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	now     = time.Date(2010, 5, 4, 8, 0, 0, 0, time.UTC)
	connect = facts.NetConnect
	needs   = []evidence.AnyKind{facts.NetConnect}
	ep      = facts.Endpoint{Host: "ocs.todorovic.adds", Port: 5061}
)

// recorded is a source of the given scope and of values or failures by key.
func recorded(t *testing.T, scope facts.Scope, values map[evidence.Key]any) *evidence.Store {
	t.Helper()
	scope.Phase = "post-install"
	src := evidence.Recorded{}
	put := func(k evidence.Key, v any) {
		rec := &evidence.Record{Key: k, At: now}
		if f, ok := v.(*evidence.Failure); ok {
			rec.Failure = f
		} else {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			rec.Value = b
		}
		src[k] = rec
	}
	put(facts.ConfigScope.Key(evidence.None{}), scope)
	for k, v := range values {
		put(k, v)
	}
	return evidence.NewStore(t.Context(), src)
}

func message(tag string, s checks.Severity, by ...string) *checks.Message {
	return &checks.Message{Tag: tag, Severity: s, Text: "it is " + tag, ExplainedBy: by}
}

func check(id string, scope checks.Scope, run func(*checks.Pass) error, msgs ...*checks.Message) *checks.Check {
	return &checks.Check{ID: id, Title: id, Scope: scope, Phases: checks.BothPhases, Needs: needs, Messages: msgs, Run: run}
}

// report is a check that reports its first message, citing the connect.
func report(id string, scope checks.Scope, m *checks.Message) *checks.Check {
	return check(id, scope, func(p *checks.Pass) error {
		if _, err := connect.Get(p.Facts, ep); err != nil {
			return err
		}
		p.Report(m, []evidence.Key{connect.Key(ep)})
		return nil
	}, m)
}

var scope = facts.Scope{ADDomain: "todorovic.adds", SIPDomains: []string{"todorovic.fr"}, Servers: []string{"ocs.todorovic.adds"}}

func TestStatusOfACheck(t *testing.T) {
	t.Parallel()
	warn, crit, notice := message("w", checks.Warning), message("c", checks.Critical), message("n", checks.Notice)
	key := connect.Key(ep)
	silent := evidence.FailAt(evidence.Timeout, "silent", facts.AddressKey(ep, "tcp"))
	read := func(p *checks.Pass) error { _, err := connect.Get(p.Facts, ep); return err }
	ignore := func(p *checks.Pass) error { _ = read(p); return nil }
	for name, c := range map[string]struct {
		fact any
		run  func(*checks.Pass) error
		want engine.Status
	}{
		"nothing found":                 {facts.Connect{}, read, engine.StatusPass},
		"a notice":                      {facts.Connect{}, func(p *checks.Pass) error { p.Report(notice, []evidence.Key{key}); return read(p) }, engine.StatusPass},
		"a warning":                     {facts.Connect{}, func(p *checks.Pass) error { p.Report(warn, []evidence.Key{key}); return read(p) }, engine.StatusWarn},
		"a critical finding":            {facts.Connect{}, func(p *checks.Pass) error { p.Report(crit, []evidence.Key{key}); return read(p) }, engine.StatusFail},
		"not applicable":                {facts.Connect{}, func(*checks.Pass) error { return checks.NotApplicable("no edge") }, engine.StatusSkip},
		"could not look":                {silent, read, engine.StatusUnknown},
		"could not look and ignored it": {silent, ignore, engine.StatusUnknown},
		"a warning does not hide that":  {silent, func(p *checks.Pass) error { p.Report(warn, []evidence.Key{key}); return read(p) }, engine.StatusUnknown},
		"a failing finding stands":      {silent, func(p *checks.Pass) error { p.Report(crit, []evidence.Key{key}); return read(p) }, engine.StatusFail},
		"excused":                       {silent, func(p *checks.Pass) error { p.Excuse(read(p), "not needed"); return nil }, engine.StatusPass},
		"a recording's gap cannot be":   {evidence.Fail(evidence.NotRecorded, "gone"), func(p *checks.Pass) error { p.Excuse(read(p), "not needed"); return nil }, engine.StatusUnknown},
		"not configured":                {evidence.Fail(evidence.NotConfigured, "--user"), read, engine.StatusSkip},
		"a bug":                         {facts.Connect{}, func(*checks.Pass) error { return errors.New("oops") }, engine.StatusError},
		"a panic":                       {facts.Connect{}, func(*checks.Pass) error { panic("oops") }, engine.StatusError},
		"an argument is missing":        {facts.Connect{}, func(p *checks.Pass) error { p.Report(message("x", 1), nil); return nil }, engine.StatusError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := recorded(t, scope, map[evidence.Key]any{key: c.fact})
			subject := checks.Subject{Scope: checks.ScopeServer, Name: "ocs.todorovic.adds"}
			r := engine.RunCheck(store, check("net/x", checks.ScopeServer, c.run, warn, crit, notice), subject, now)
			if r.Status != c.want {
				t.Errorf("the status is %s (%s), want %s", r.Status, r.Reason, c.want)
			}
			if r.Status == engine.StatusUnknown && r.Missing.Root.IsZero() {
				t.Error("the unknown has no root")
			}
		})
	}
}

func ids(list []*checks.Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, f.Check.ID+":"+f.Message.Tag)
	}
	return out
}

func TestCauses(t *testing.T) {
	t.Parallel()
	closed := report("net/port", checks.ScopeServer, message("closed", checks.Critical))
	challenge := report("signin/challenge", checks.ScopeServer, message("silent", checks.Critical, "net/port:closed"))
	expired := report("pki/validity", checks.ScopeServer, message("expired", checks.Critical))
	dns := report("dns/srv", checks.ScopeSIPDomain, message("missing", checks.Warning))
	notice := report("dns/old", checks.ScopeSIPDomain, message("old", checks.Notice))
	store := recorded(t, scope, map[evidence.Key]any{connect.Key(ep): facts.Connect{Result: facts.Refused}})
	out := engine.Run(store, []*checks.Check{notice, dns, challenge, expired, closed}, now)
	want := []string{"net/port:closed", "pki/validity:expired", "dns/srv:missing"}
	if got := ids(out.Roots); !slices.Equal(got, want) {
		t.Errorf("the roots are %v, want %v", got, want)
	}
	var order []string
	for _, r := range out.Results {
		order = append(order, r.Check.ID)
	}
	if want := []string{"net/port", "pki/validity", "dns/srv", "signin/challenge", "dns/old"}; !slices.Equal(order, want) {
		t.Errorf("the results are in the order %v, want %v", order, want)
	}
}

// A consequence more severe than its cause lifts the cause above other roots.
func TestARootWeighsWhatFollowsFromIt(t *testing.T) {
	t.Parallel()
	cause := report("patch/kb", checks.ScopeServer, message("there", checks.Warning))
	stopped := report("service/front-end", checks.ScopeServer, message("stopped", checks.Critical, "patch/kb"))
	other := report("dns/srv", checks.ScopeSIPDomain, message("missing", checks.Error))
	store := recorded(t, scope, map[evidence.Key]any{connect.Key(ep): facts.Connect{}})
	out := engine.Run(store, []*checks.Check{other, stopped, cause}, now)
	if got := ids(out.Roots); !slices.Equal(got, []string{"patch/kb:there", "dns/srv:missing"}) {
		t.Errorf("the roots are %v", got)
	}
}

// The message names its cause, but the two findings speak of unrelated things: two roots.
func TestUnrelatedFindingsDoNotExplainEachOther(t *testing.T) {
	t.Parallel()
	two := scope
	two.Servers = []string{"a.todorovic.adds", "b.todorovic.adds"}
	only := func(id, server string, m *checks.Message) *checks.Check {
		key := connect.Key(facts.Endpoint{Host: server, Port: 5061})
		return check(id, checks.ScopeServer, func(p *checks.Pass) error {
			if p.Subject.Name == server {
				p.Report(m, []evidence.Key{key})
			}
			return nil
		}, m)
	}
	cause := only("net/port", "a.todorovic.adds", message("closed", checks.Critical))
	effect := only("signin/challenge", "b.todorovic.adds", message("none", checks.Critical, "net/port"))
	out := engine.Run(recorded(t, two, nil), []*checks.Check{cause, effect}, now)
	if len(out.Roots) != 2 {
		t.Errorf("the roots are %v", ids(out.Roots))
	}
}

// All unknowns that lack the same fact are one problem, shown under the finding that cites the fact.
func TestUnknownsAreShownUnderTheirRoot(t *testing.T) {
	t.Parallel()
	key := connect.Key(ep)
	closed := report("net/port", checks.ScopeServer, message("closed", checks.Critical))
	gone := func(*checks.Pass) error { return evidence.FailAt(evidence.NoTarget, "nothing listens", key) }
	silent := evidence.Key{Kind: "net.address", Query: "dc1:389/tcp"}
	lost := func(*checks.Pass) error { return evidence.FailAt(evidence.Timeout, "silent", silent) }
	m := message("x", checks.Critical)
	store := recorded(t, scope, map[evidence.Key]any{key: facts.Connect{Result: facts.Refused}})
	out := engine.Run(store, []*checks.Check{
		closed, check("pki/a", checks.ScopeServer, gone, m), check("pki/b", checks.ScopeServer, gone, m),
		check("ad/a", checks.ScopeADDomain, lost, m), check("ad/b", checks.ScopeADDomain, lost, m),
	}, now)
	if len(out.Missing) != 2 {
		t.Fatalf("missing are %d facts", len(out.Missing))
	}
	for _, miss := range out.Missing {
		switch miss.Failure.Root {
		case key:
			if miss.Under == nil || miss.Under.Check != closed || len(miss.Results) != 2 {
				t.Errorf("the closed port: %+v", miss)
			}
		case silent:
			if miss.Under != nil || len(miss.Results) != 2 {
				t.Errorf("the silent DC: %+v", miss)
			}
		}
	}
}

func TestNoSelectedCheckIsEverAbsent(t *testing.T) {
	t.Parallel()
	pass := func(*checks.Pass) error { return nil }
	m := message("x", checks.Critical)
	var all []*checks.Check
	for i, s := range []checks.Scope{checks.ScopeForest, checks.ScopeADDomain, checks.ScopeSIPDomain, checks.ScopeServer} {
		all = append(all, check(fmt.Sprintf("x/c%d", i), s, pass, m))
	}
	out := engine.Run(recorded(t, facts.Scope{}, nil), all, now)
	if len(out.Results) != len(all) {
		t.Fatalf("%d results for %d checks", len(out.Results), len(all))
	}
	for _, r := range out.Results {
		if r.Subject.Name != engine.NotDiscovered || r.Status == engine.StatusPass {
			t.Errorf("%s on %q is %s", r.Check.ID, r.Subject.Name, r.Status)
		}
	}
}

func TestChecksOfTheOtherPhaseAreNotSelected(t *testing.T) {
	t.Parallel()
	m := message("x", checks.Critical)
	pre := check("setup/a", checks.ScopeServer, func(*checks.Pass) error { return nil }, m)
	pre.Phases = checks.PreInstall
	post := check("net/a", checks.ScopeServer, func(*checks.Pass) error { return nil }, m)
	post.Phases = checks.PostInstall
	out := engine.Run(recorded(t, scope, nil), []*checks.Check{pre, post}, now)
	if len(out.Results) != 1 || out.Results[0].Check != post {
		t.Errorf("the results are %v", out.Results)
	}
	if len(out.Phases) != 1 || !strings.Contains(out.Phases[0].Why, "--phase") {
		t.Errorf("the reason is not said: %+v", out.Phases)
	}
}

// Every resolver that was given is judged, whatever its view, by its id.
func TestResolversAreTheSubjectsOfTheirScope(t *testing.T) {
	t.Parallel()
	given := facts.Scope{Resolvers: []facts.Resolver{
		{ID: "inside#1", View: facts.Inside, Address: "10.0.0.1:53"}, {ID: "inside#2", View: facts.Inside, Address: "10.0.0.2:53"},
		{ID: "outside#1", View: facts.Outside, Address: "192.0.2.53:53"},
	}}
	c := check("dns/a", checks.ScopeResolver, func(*checks.Pass) error { return nil }, message("m", checks.Error))
	for name, tc := range map[string]struct {
		scope facts.Scope
		want  []string
	}{
		"three": {given, []string{"inside#1", "inside#2", "outside#1"}},
		"none":  {facts.Scope{}, []string{engine.None}},
	} {
		var got []string
		for _, r := range engine.Run(recorded(t, tc.scope, nil), []*checks.Check{c}, now).Results {
			got = append(got, r.Subject.Name)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: the subjects are %q, want %q", name, got, tc.want)
		}
	}
}

// Before services and before update the services are stopped: what takes running ones is not due, and what could not be looked at for it is no
// hole. A crash, and a server that does not say that it is stopped, excuse nothing.
func TestStoppedServicesAreNoFaultBeforeTheyAreStarted(t *testing.T) {
	t.Parallel()
	down := check("service/front-end", checks.ScopeServer, func(p *checks.Pass) error {
		p.Report(p.Check.Messages[0], []evidence.Key{connect.Key(ep)})
		return nil
	}, message("stopped", checks.Critical))
	down.After = checks.Services
	failing := func(root evidence.Key) func(*checks.Pass) error {
		return func(*checks.Pass) error { return evidence.FailAt(evidence.NoTarget, "nothing listens", root) }
	}
	wire := check("pki/validity", checks.ScopeServer, failing(connect.Key(ep)), message("expired", checks.Critical))
	other := check("pki/other", checks.ScopeServer, failing(connect.Key(facts.Endpoint{Host: ep.Host, Port: 443})), message("x", checks.Critical))
	question := facts.ServerQuestion{FQDN: ep.Host}
	for name, c := range map[string]struct {
		before   string
		state    facts.ServiceState
		exitCode uint32
		want     [3]engine.Status // of service/front-end, pki/validity, pki/other
	}{
		"stopped for the update": {"update", facts.ServiceStopped, 0, [3]engine.Status{engine.StatusSkip, engine.StatusSkip, engine.StatusUnknown}},
		"crashed":                {"update", facts.ServiceStopped, 1067, [3]engine.Status{engine.StatusFail, engine.StatusUnknown, engine.StatusUnknown}},
		"running":                {"update", facts.ServiceRunning, 0, [3]engine.Status{engine.StatusFail, engine.StatusUnknown, engine.StatusUnknown}},
		"never started":          {"services", facts.ServiceStopped, 1077, [3]engine.Status{engine.StatusSkip, engine.StatusSkip, engine.StatusUnknown}},
		"not known":              {"services", 0, 0, [3]engine.Status{engine.StatusSkip, engine.StatusUnknown, engine.StatusUnknown}},
		"stopped by now":         {"users", facts.ServiceStopped, 0, [3]engine.Status{engine.StatusFail, engine.StatusUnknown, engine.StatusUnknown}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := scope
			at.Before = c.before
			values := map[evidence.Key]any{facts.Services.Key(question): evidence.Fail(evidence.NotConfigured, "no account")}
			if c.state != 0 {
				values[facts.Services.Key(question)] = facts.ServiceList{Services: []facts.Service{{Name: facts.FrontEndService, State: c.state, ExitCode: c.exitCode}}}
			}
			got := map[string]engine.Status{}
			for _, r := range engine.Run(recorded(t, at, values), []*checks.Check{down, wire, other}, now).Results {
				got[r.Check.ID] = r.Status
			}
			for i, id := range []string{"service/front-end", "pki/validity", "pki/other"} {
				if got[id] != c.want[i] {
					t.Errorf("%s is %q, want %q", id, got[id], c.want[i])
				}
			}
		})
	}
}
