package facts_test

import (
	"errors"
	"testing"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

func sipAnswer(status int, headers ...string) facts.SIPAnswer {
	a := facts.SIPAnswer{Status: status}
	for i := 0; i < len(headers); i += 2 {
		a.Headers = append(a.Headers, facts.SIPHeader{Name: headers[i], Value: []byte(headers[i+1])})
	}
	return a
}

func TestContact(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`<sip:pool2.d:5061;transport=TLS>`:   "pool2.d:5061",
		`<sip:pool2.d;transport=tls>;q=1`:    "pool2.d:5061",
		`"b" <sip:alice@POOL2.d.:5070;x;lr>`: "pool2.d:5070",
		`sip:pool2.d`:                        "pool2.d:5061",
		`<sip:pool2.d;transport=tcp>`:        "pool2.d:5060 tcp",
		`<SIPS:pool2.d;transport=tcp>`:       "pool2.d:5061",
		`<sip:[2001:db8::1]:5061>`:           "[2001:db8::1]:5061",
		`<sip:192.0.2.7>`:                    "192.0.2.7:5061",
		``:                                   "",
		`*`:                                  "",
		`<tel:+33>`:                          "",
		`<sip:>`:                             "",
		`<sip:a b:5061>`:                     "",
		"<sip:evil.d\x1b[2J:5061>":           "",
		`<sip:pool2.d:0>`:                    "",
	} {
		e, tcp, ok := sipAnswer(301, "Contact", value).Contact(false)
		got := ""
		if ok {
			if got = e.String(); tcp {
				got += " tcp"
			}
		}
		if got != want {
			t.Errorf("%q leads to %q, not to %q", value, got, want)
		}
	}
	if e, tcp, ok := sipAnswer(301, "Contact", "<sip:pool2.d>").Contact(true); !ok || !tcp || e.Port != facts.SIPTCPPort {
		t.Errorf("over TCP it leads to %s, %v, %v", e, tcp, ok)
	}
}

func TestDiagnosticsID(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`1010;reason="x";source="y"`: "1010", ` 4004 `: "4004", `reason="x";1010`: "", ``: "", `x1;`: "",
	} {
		if got := sipAnswer(403, "ms-diagnostics-public", value).DiagnosticsID(); got != want {
			t.Errorf("%q is %q", value, got)
		}
	}
}

// Redirects are followed to the server that asks for credentials, for as long as they lead anywhere.
func TestRedirection(t *testing.T) {
	t.Parallel()
	to := func(host string) facts.SIPAnswer {
		return sipAnswer(301, "Contact", "<sip:"+host+":5061;transport=tls>")
	}
	dead := evidence.FailAt(evidence.NoTarget, "b.d:5061: the connection is refused", facts.NetConnect.Key(facts.Endpoint{Host: "b.d", Port: 5061}))
	for name, c := range map[string]struct {
		answers   map[string]any
		end, kind string
		problem   string
		hops      int
	}{
		"none":            {map[string]any{"a.d": sipAnswer(401)}, "a.d:5061", "", "", 0},
		"to another pool": {map[string]any{"a.d": to("b.d"), "b.d": sipAnswer(401)}, "b.d:5061", "", "", 1},
		"to itself":       {map[string]any{"a.d": to("A.d")}, "a.d:5061", facts.RedirectLoop, "it leads back to a.d:5061", 1},
		"round and round": {map[string]any{"a.d": to("b.d"), "b.d": to("c.d"), "c.d": to("b.d")}, "b.d:5061", facts.RedirectLoop, "it leads back to b.d:5061", 3},
		"on and on": {map[string]any{"a.d": to("b.d"), "b.d": to("c.d"), "c.d": to("d.d"), "d.d": to("e.d"), "e.d": to("f.d"), "f.d": to("g.d"), "g.d": to("h.d")},
			"g.d:5061", facts.RedirectLong, "after 5 redirects it goes on", 6},
		"nowhere":        {map[string]any{"a.d": sipAnswer(302)}, ":0", facts.RedirectEmpty, "the answer says nothing of where to go", 1},
		"to a dead pool": {map[string]any{"a.d": to("b.d"), "b.d": dead}, "b.d:5061", facts.RedirectDead, "b.d:5061: the connection is refused", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := func(host string) facts.RegisterQuestion {
				return facts.RegisterQuestion{Endpoint: facts.Endpoint{Host: host, Port: 5061}, Domain: "d"}
			}
			w := world{other: map[evidence.Key]any{}}
			for host, a := range c.answers {
				w.other[facts.Register.Key(q(host))] = a
			}
			d, err := facts.Redirected.Get(w.reader(t), q("a.d"))
			if err != nil || d.End.Endpoint.String() != c.end || d.ProblemKind != c.kind || d.Problem != c.problem || len(d.Hops) != c.hops {
				t.Errorf("%+v, %v", d, err)
			}
			if c.kind == facts.RedirectDead && d.Root.String() != "net.connect(b.d:5061)" {
				t.Errorf("the root is %s", d.Root)
			}
			if (c.problem == "") != (d.Answer.Status == 401) {
				t.Errorf("the last answer is %d", d.Answer.Status)
			}
		})
	}
}

// What is asked first and fails is a failure; so is a server on the way that stays silent.
func TestRedirectionThatCannotBeRead(t *testing.T) {
	t.Parallel()
	q := func(host string) facts.RegisterQuestion {
		return facts.RegisterQuestion{Endpoint: facts.Endpoint{Host: host, Port: 5061}, Domain: "d"}
	}
	for name, other := range map[string]map[evidence.Key]any{
		"at once": {facts.Register.Key(q("a.d")): evidence.Fail(evidence.NoTarget, "refused")},
		"on the way": {facts.Register.Key(q("a.d")): sipAnswer(301, "Contact", "<sip:b.d>"),
			facts.Register.Key(q("b.d")): evidence.Fail(evidence.Timeout, "silent")},
	} {
		var f *evidence.Failure
		if _, err := facts.Redirected.Get(world{other: other}.reader(t), q("a.d")); !errors.As(err, &f) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
