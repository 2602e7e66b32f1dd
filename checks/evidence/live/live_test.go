package live

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// rig is a run over a live source whose budgets are short.
type rig struct {
	*Source
	store *evidence.Store
}

// budget is that of an exchange in these tests.
const budget = 400 * time.Millisecond

func newRig(t *testing.T, ctx context.Context, o Options) *rig {
	t.Helper()
	src, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	src.env.Budgets = env.Budgets{DNSAttempt: budget / 4, Connect: budget, Exchange: budget, Fetch: budget}
	v, err := json.Marshal(o.Scope)
	if err != nil {
		t.Fatal(err)
	}
	key := facts.ConfigScope.Key(evidence.None{})
	given := map[evidence.Key]*evidence.Record{key: {Key: key, Value: v}}
	return &rig{src, evidence.NewStore(ctx, evidence.Layered{Given: given, Next: src})}
}

// patient makes the budgets long, for a run in which nothing is silent and a busy machine must not look so.
func (g *rig) patient() *rig {
	g.env.Budgets = env.Budgets{DNSAttempt: 5 * time.Second, Connect: 20 * time.Second, Exchange: 20 * time.Second}
	return g
}

func (g *rig) reader() *evidence.Reader { return g.store.NewReader(facts.All) }

// record is that of a fact that was gathered.
func (g *rig) record(t *testing.T, key evidence.Key) *evidence.Record {
	t.Helper()
	for _, r := range g.store.Records() {
		if r.Key == key {
			return r
		}
	}
	t.Fatalf("%s was not gathered", key)
	return nil
}

// listen serves connections until the test ends.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// closedPort is an address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	// The port of a connection's other end: as long as that lives, no server is given it, as one that was only closed could be.
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().String()
}

// silent reads and never answers.
func silent(c net.Conn) {
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// drip sends a byte now and then, for ever.
func drip(b byte) func(net.Conn) {
	return func(c net.Conn) {
		tick := time.NewTicker(budget / 20)
		defer tick.Stop()
		for range tick.C {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
		}
	}
}

func failure(t *testing.T, err error) *evidence.Failure {
	t.Helper()
	var f *evidence.Failure
	if !errors.As(err, &f) {
		t.Fatalf("the error is %v", err)
	}
	return f
}

func TestConnect(t *testing.T) {
	t.Parallel()
	open := listen(t, silent)
	g := newRig(t, t.Context(), Options{Lab: map[string]string{"tcp 10.0.0.1:80": open, "tcp 10.0.0.1:81": closedPort(t)}})
	for port, want := range map[int]string{80: facts.Connected, 81: facts.Refused} {
		ep := facts.Endpoint{Host: "10.0.0.1", Port: port}
		c, err := facts.NetConnect.Get(g.reader(), ep)
		if err != nil || c.Result != want || !slices.Equal(c.Addresses, []string{"10.0.0.1"}) {
			t.Errorf("port %d: %+v, %v", port, c, err)
		}
		rec := g.record(t, facts.NetConnect.Key(ep))
		if rec.Via != "live" || rec.At.IsZero() || rec.Took <= 0 || rec.Attempts != 1 || len(rec.Log) != 1 || strings.Contains(rec.Log[0], "127.0.0.1") {
			t.Errorf("port %d: the record is %+v", port, rec)
		}
	}
	_, err := facts.NetConnect.Get(g.reader(), facts.Endpoint{Host: "10.0.0.1", Port: 82})
	if f := failure(t, err); f.Reason != evidence.Internal || !strings.Contains(f.Detail, "lab") {
		t.Errorf("what the lab does not serve: %v", f)
	}
	if got := g.Hosts(); !slices.Equal(got, []string{"10.0.0.1:80/tcp", "10.0.0.1:81/tcp"}) {
		t.Errorf("hosts: %v", got)
	}
}

// dnsAnswers are recorded answers in front of a live source.
func dnsAnswers(t *testing.T, scope facts.Scope, answers map[string]facts.DNSAnswerData) map[evidence.Key]*evidence.Record {
	t.Helper()
	given := map[evidence.Key]*evidence.Record{}
	put := func(k evidence.Key, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		given[k] = &evidence.Record{Key: k, Value: b}
	}
	put(facts.ConfigScope.Key(evidence.None{}), scope)
	for q, a := range answers {
		put(evidence.Key{Kind: "dns.answer", Query: q}, a)
	}
	return given
}

func TestConnectGoesToTheAddressesThatDNSHas(t *testing.T) {
	t.Parallel()
	open := listen(t, silent)
	scope := facts.Scope{Resolvers: []facts.Resolver{{ID: "inside#1", View: facts.Inside, Address: "10.0.0.1:53"}}}
	src, err := New(Options{Scope: scope, Lab: map[string]string{"tcp 10.0.0.10:5061": closedPort(t), "tcp 10.0.0.11:5061": open}})
	if err != nil {
		t.Fatal(err)
	}
	a := func(addr string) facts.Record { return facts.Record{Name: "ocs.d", Type: "A", Address: addr} }
	given := dnsAnswers(t, scope, map[string]facts.DNSAnswerData{
		"inside#1 ocs.d A":  {Rcode: "NOERROR", Records: []facts.Record{a("10.0.0.11"), a("10.0.0.10")}},
		"inside#1 gone.d A": {Rcode: "NXDOMAIN"},
	})
	store := evidence.NewStore(t.Context(), evidence.Layered{Given: given, Next: src})
	c, err := facts.NetConnect.Get(store.NewReader(facts.All), facts.Endpoint{Host: "ocs.d", Port: 5061})
	if err != nil || c.Result != facts.Connected || !slices.Equal(c.Addresses, []string{"10.0.0.10", "10.0.0.11"}) {
		t.Errorf("two addresses: %+v, %v", c, err)
	}
	for _, rec := range store.Records() {
		if rec.Key.Kind == "net.connect" && !slices.ContainsFunc(rec.Through, func(k evidence.Key) bool { return k.String() == "dns.addresses(ocs.d inside)" }) {
			t.Errorf("its lineage is %v", rec.Through)
		}
	}
	_, err = facts.NetConnect.Get(store.NewReader(facts.All), facts.Endpoint{Host: "gone.d", Port: 5061})
	if f := failure(t, err); f.Reason != evidence.NoTarget || f.Root.String() != "dns.lookup(gone.d A inside)" || !strings.Contains(f.Detail, "gone.d leads nowhere") {
		t.Errorf("a name that is not: %+v", f)
	}
	_, err = facts.TLSHandshake.Get(store.NewReader(facts.All), facts.Endpoint{Host: "gone.d", Port: 5061})
	if f := failure(t, err); f.Reason != evidence.NoTarget || f.Root.String() != "dns.lookup(gone.d A inside)" {
		t.Errorf("what stands on it: %+v", f)
	}
}

func TestNewTellsAMalformedConnect(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"", "a:1", "a=1.2.3.4:5", "a:1=b:2", "a:0=1.2.3.4:5", "a:*=1.2.3.4:5", "*:*=1.2.3.4", "a:70000=1.2.3.4:5", ":1=1.2.3.4:5", "a:1=1.2.3.4:0"} {
		if _, err := New(Options{Connect: []string{v}}); err == nil || !strings.Contains(err.Error(), "--connect") {
			t.Errorf("%q: %v", v, err)
		}
	}
}

func TestAQuestionThatNoProbeKnows(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.Context(), Options{})
	other := &evidence.Kind[facts.Endpoint, int]{Name: "net.other", Doc: "a kind of somebody else"}
	_, err := other.Get(g.store.NewReader([]evidence.AnyKind{other}), facts.Endpoint{Host: "10.0.0.1", Port: 1})
	if f := failure(t, err); f.Reason != evidence.Internal {
		t.Errorf("%v", f)
	}
}

func TestSystemAnchorsAreReadOrTheReasonIsTold(t *testing.T) {
	t.Parallel()
	l, err := facts.SystemAnchors.Get(newRig(t, t.Context(), Options{}).reader(), evidence.None{})
	if err == nil && len(l.Anchors) == 0 {
		t.Error("no anchors and no reason")
	} else if err != nil && failure(t, err).Reason != evidence.NotConfigured {
		t.Errorf("%v", err)
	}
}
