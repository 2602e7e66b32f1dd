package dnsprobe_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/dnsprobe"
	"ocsdoctor/checks/evidence/live/env"
)

// rig asks a resolver that the test serves under the logical address 10.0.0.1:53.
type rig struct {
	env   *env.Env
	store *evidence.Store
}

func newRig(t *testing.T, udp, tcp string) *rig {
	t.Helper()
	scope := facts.Scope{Resolvers: []facts.Resolver{{ID: "inside#1", View: facts.Inside, Address: "10.0.0.1:53"}}}
	e, err := env.New(env.Options{Scope: scope, Lab: map[string]string{"udp 10.0.0.1:53": udp, "tcp 10.0.0.1:53": tcp}})
	if err != nil {
		t.Fatal(err)
	}
	e.Budgets.DNSAttempt = 150 * time.Millisecond
	v, err := json.Marshal(scope)
	if err != nil {
		t.Fatal(err)
	}
	key := facts.ConfigScope.Key(evidence.None{})
	return &rig{e, evidence.NewStore(t.Context(), evidence.Recorded{key: {Key: key, Value: v}})}
}

func (g *rig) ask(ctx context.Context, name, typ string) (facts.DNSAnswerData, *evidence.Record, error) {
	var tr env.Trace
	a, err := dnsprobe.Answer(ctx, g.env, &tr, g.store.NewReader(facts.DNSAnswer.Needs), facts.DNSQuestion{Server: "inside#1", Name: name, Type: typ})
	rec := &evidence.Record{}
	tr.Record(rec)
	return a, rec, err
}

// serve runs a DNS server over UDP and TCP on one port.
func serve(t *testing.T, h dns.HandlerFunc) (udp, tcp string) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return pc.LocalAddr().String(), l.Addr().String()
}

// packets answers each datagram with what answer makes of it: none, one or several.
func packets(t *testing.T, answer func(q *dns.Msg) [][]byte) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, dns.MaxMsgSize)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			for _, b := range answer(q) {
				_, _ = pc.WriteTo(b, from)
			}
		}
	}()
	return pc.LocalAddr().String()
}

func pack(m *dns.Msg) []byte { b, _ := m.Pack(); return b }

func rr(t *testing.T, s string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func failure(t *testing.T, err error) *evidence.Failure {
	t.Helper()
	var f *evidence.Failure
	if !errors.As(err, &f) {
		t.Fatalf("the error is %v", err)
	}
	return f
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	zone := map[string][]dns.RR{
		"_sip._tls.todorovic.fr.SRV": {
			rr(t, "_SIP._tls.Todorovic.fr. 60 IN SRV 10 5 5061 B.todorovic.fr."), rr(t, "_sip._tls.todorovic.fr. 60 IN SRV 0 0 5061 a.todorovic.fr."),
		},
		"sip.todorovic.fr.A":    {rr(t, "sip.todorovic.fr. 60 IN CNAME ocs.todorovic.adds."), rr(t, "ocs.todorovic.adds. 60 IN A 10.0.0.10")},
		"none.todorovic.fr.SRV": {rr(t, "none.todorovic.fr. 60 IN SRV 0 0 0 .")},
		"six.todorovic.fr.AAAA": {rr(t, "six.todorovic.fr. 60 IN AAAA 2001:db8::1")},
	}
	udp, tcp := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.IsEdns0() != nil || !q.RecursionDesired {
			m.Rcode = dns.RcodeFormatError
		} else if q.Question[0].Name == "refused.todorovic.fr." {
			m.Rcode = dns.RcodeRefused
		} else if rrs, ok := zone[q.Question[0].Name+dns.TypeToString[q.Question[0].Qtype]]; ok {
			m.Answer, m.Authoritative = rrs, true
		} else {
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m)
	})
	g := newRig(t, udp, tcp)
	for _, c := range []struct {
		name, typ, rcode string
		want             []facts.Record
	}{
		{"_sip._tls.todorovic.fr", "SRV", "NOERROR", []facts.Record{
			{Name: "_sip._tls.todorovic.fr", Type: "SRV", TTL: 60, Target: "a.todorovic.fr", Port: 5061},
			{Name: "_sip._tls.todorovic.fr", Type: "SRV", TTL: 60, Target: "b.todorovic.fr", Priority: 10, Weight: 5, Port: 5061},
		}},
		{"sip.todorovic.fr", "A", "NOERROR", []facts.Record{
			{Name: "ocs.todorovic.adds", Type: "A", TTL: 60, Address: "10.0.0.10"},
			{Name: "sip.todorovic.fr", Type: "CNAME", TTL: 60, Target: "ocs.todorovic.adds"},
		}},
		{"none.todorovic.fr", "SRV", "NOERROR", []facts.Record{{Name: "none.todorovic.fr", Type: "SRV", TTL: 60}}},
		{"six.todorovic.fr", "AAAA", "NOERROR", []facts.Record{{Name: "six.todorovic.fr", Type: "AAAA", TTL: 60, Address: "2001:db8::1"}}},
		{"absent.todorovic.fr", "A", "NXDOMAIN", nil},
		{"refused.todorovic.fr", "A", "REFUSED", nil},
	} {
		a, rec, err := g.ask(t.Context(), c.name, c.typ)
		if err != nil || a.Rcode != c.rcode || !slices.Equal(a.Records, c.want) || a.TCP || len(a.Raw) == 0 {
			t.Errorf("%s %s: %+v, %v", c.name, c.typ, a, err)
		}
		if rec.Attempts != 1 || rec.Took <= 0 {
			t.Errorf("%s: %d attempts, %v", c.name, rec.Attempts, rec.Took)
		}
	}
	if got := g.env.Contacted(); !slices.Equal(got, []string{"10.0.0.1:53/udp"}) {
		t.Errorf("contacted: %v", got)
	}
}

func TestATruncatedAnswerIsAskedAgainOverTCP(t *testing.T) {
	t.Parallel()
	udp, tcp := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if w.RemoteAddr().Network() == "udp" {
			m.Truncated = true
		} else {
			m.Answer = []dns.RR{rr(t, "a.d. 60 IN A 10.0.0.9")}
		}
		_ = w.WriteMsg(m)
	})
	a, _, err := newRig(t, udp, tcp).ask(t.Context(), "a.d", "A")
	if err != nil || !a.TCP || len(a.Records) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestWhatDoesNotBelongToTheQuestionIsNotListenedTo(t *testing.T) {
	t.Parallel()
	stray := func(q *dns.Msg) [][]byte {
		id, name, query := new(dns.Msg).SetReply(q), new(dns.Msg).SetReply(q), q.Copy()
		id.Id++
		name.Question = []dns.Question{{Name: "other.d.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}
		for _, m := range []*dns.Msg{id, name} {
			m.Answer = []dns.RR{rr(t, "a.d. 60 IN A 192.0.2.66")}
		}
		return [][]byte{{1, 2, 3}, pack(id), pack(name), pack(query), pack(new(dns.Msg).SetReply(q))[:14]}
	}
	honest := packets(t, func(q *dns.Msg) [][]byte {
		m := new(dns.Msg).SetReply(q)
		m.Answer = []dns.RR{rr(t, "a.d. 60 IN A 10.0.0.9")}
		return append(stray(q), pack(m))
	})
	a, _, err := newRig(t, honest, "").ask(t.Context(), "a.d", "A")
	if err != nil || len(a.Records) != 1 || a.Records[0].Address != "10.0.0.9" {
		t.Errorf("%+v, %v", a, err)
	}
	_, _, err = newRig(t, packets(t, stray), "").ask(t.Context(), "a.d", "A")
	if f := failure(t, err); f.Reason != evidence.Protocol {
		t.Errorf("only strays: %v", f)
	}
}

func TestALostQuestionIsSentAgain(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	udp := packets(t, func(q *dns.Msg) [][]byte {
		if n.Add(1) == 1 {
			return nil
		}
		return [][]byte{pack(new(dns.Msg).SetReply(q))}
	})
	a, rec, err := newRig(t, udp, "").ask(t.Context(), "a.d", "A")
	if err != nil || a.Rcode != "NOERROR" || rec.Attempts != 2 {
		t.Errorf("%+v after %d attempts, %v", a, rec.Attempts, err)
	}
}

// However many questions there are for it, a silent resolver costs one budget and is one problem.
func TestASilentResolverCostsOneBudget(t *testing.T) {
	t.Parallel()
	g := newRig(t, packets(t, func(*dns.Msg) [][]byte { return nil }), "")
	start := time.Now()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			_, _, err := g.ask(t.Context(), "a"+string(rune('a'+i%26))+".d", "A")
			var f *evidence.Failure
			if !errors.As(err, &f) || f.Reason != evidence.Timeout || f.Root.String() != "net.address(10.0.0.1:53/udp)" {
				t.Errorf("the failure is %+v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 5*g.env.Budgets.DNSAttempt {
		t.Errorf("it took %v", took)
	}
}

func TestAResolverThatIsNotThereIsUnreachable(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := pc.LocalAddr().String()
	_ = pc.Close()
	_, _, err = newRig(t, addr, "").ask(t.Context(), "a.d", "A")
	if f := failure(t, err); f.Reason != evidence.Unreachable || strings.Contains(f.Detail, "127.0.0.1") {
		t.Errorf("%v", f)
	}
}

func TestTheEndOfTheRun(t *testing.T) {
	t.Parallel()
	g := newRig(t, packets(t, func(*dns.Msg) [][]byte { return nil }), "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := g.ask(ctx, "a.d", "A")
	if f := failure(t, err); f.Reason != evidence.Interrupted {
		t.Errorf("cancelled: %v", f)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err = g.ask(ctx, "a.d", "A")
	if f := failure(t, err); f.Reason != evidence.Timeout || !strings.Contains(f.Detail, "--timeout") {
		t.Errorf("out of time: %v", f)
	}
}

func TestAQuestionThatDNSCannotCarry(t *testing.T) {
	t.Parallel()
	_, _, err := newRig(t, "", "").ask(t.Context(), strings.Repeat("a", 64)+".d", "A")
	if f := failure(t, err); f.Reason != evidence.Protocol {
		t.Errorf("%v", f)
	}
}
