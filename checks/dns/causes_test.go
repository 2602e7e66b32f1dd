package dns

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// records is a source: a scope with an inside and an outside resolver, and what these know, by "VIEW NAME TYPE".
type records map[string]facts.Record

// Fetch implements evidence.Source.
func (s records) Fetch(_ context.Context, req evidence.Request) *evidence.Record {
	var value any = facts.Scope{
		Phase: facts.PhasePostInstall, SIPDomains: []string{"todorovic.fr"}, Servers: []string{"ocs.todorovic.adds"}, DCs: []string{"dc1.todorovic.adds"},
		Resolvers: []facts.Resolver{{ID: "inside#1", View: facts.Inside, Address: "10.0.0.1:53"}, {ID: "outside#1", View: facts.Outside, Address: "192.0.2.53:53"}},
	}
	if q, ok := req.Query.(facts.DNSQuestion); ok {
		a := facts.DNSAnswerData{Rcode: "NXDOMAIN"}
		view := q.Server[:len(q.Server)-len("#1")]
		for _, typ := range []string{q.Type, "CNAME"} {
			if rr, ok := s[view+" "+q.Name+" "+typ]; ok {
				rr.Name, rr.Type = q.Name, typ
				a.Rcode, a.Records = "NOERROR", []facts.Record{rr}
				break
			}
		}
		value = a
	}
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return &evidence.Record{Key: req.Key, Via: "test", Value: b}
}

// What is one fault to the administrator is one root, and what are two stay two.
func TestRoots(t *testing.T) {
	t.Parallel()
	var (
		sip      = facts.Record{Target: "sip.todorovic.fr", Port: 5061}
		pool     = facts.Record{Target: "pool.todorovic.fr", Port: 5061}
		ocs      = facts.Record{Address: "10.0.0.5"}
		edge     = facts.Record{Address: "198.51.100.5"}
		dangling = facts.Record{Target: "gone.todorovic.adds"}
		healthy  = records{
			"inside _sipinternaltls._tcp.todorovic.fr SRV": sip, "inside _sip._tls.todorovic.fr SRV": sip, "inside sip.todorovic.fr A": ocs,
			"inside ocs.todorovic.adds A": ocs, "outside _sip._tls.todorovic.fr SRV": sip, "outside sip.todorovic.fr A": edge,
		}
	)
	selected := slices.DeleteFunc(Checks(), func(c *checks.Check) bool { return c.Scope != checks.ScopeSIPDomain })
	for name, tc := range map[string]struct {
		without []string
		with    records
		want    []string
	}{
		"healthy":             {},
		"sip is missing":      {[]string{"inside sip.todorovic.fr A"}, nil, []string{"dns/sip-host:missing"}},
		"sip dangles":         {[]string{"inside sip.todorovic.fr A"}, records{"inside sip.todorovic.fr CNAME": dangling}, []string{"dns/sip-host:dangling-alias"}},
		"sip dangles outside": {[]string{"outside sip.todorovic.fr A"}, records{"outside sip.todorovic.fr CNAME": dangling}, []string{"dns/sip-host:dangling-alias"}},
		"nothing at all inside": {[]string{"inside _sipinternaltls._tcp.todorovic.fr SRV", "inside _sip._tls.todorovic.fr SRV", "inside sip.todorovic.fr A"}, nil,
			[]string{"dns/sip-tls-srv:no-discovery"}},
		"no SRV record inside": {[]string{"inside _sipinternaltls._tcp.todorovic.fr SRV", "inside _sip._tls.todorovic.fr SRV"}, nil, []string{"dns/sip-tls-srv:no-srv"}},
		"nothing outside, and the inside record missing: two faults": {
			[]string{"outside _sip._tls.todorovic.fr SRV", "outside sip.todorovic.fr A", "inside _sipinternaltls._tcp.todorovic.fr SRV"}, nil,
			[]string{"dns/sip-tls-srv:no-discovery", "dns/sip-internal-tls-srv:missing"}},
		"sip is missing outside, and another target inside: two faults": {[]string{"outside sip.todorovic.fr A"}, records{"inside _sipinternaltls._tcp.todorovic.fr SRV": pool},
			[]string{"dns/sip-host:missing", "dns/sip-internal-tls-srv:target-unresolvable"}},
		"another machine": {nil, records{"inside sip.todorovic.fr A": facts.Record{Address: "10.0.0.66"}}, []string{"dns/sip-host:wrong-address"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := records{}
			for k, rr := range healthy {
				if !slices.Contains(tc.without, k) {
					source[k] = rr
				}
			}
			for k, rr := range tc.with {
				source[k] = rr
			}
			out := engine.Run(evidence.NewStore(t.Context(), source), selected, time.Date(2010, 6, 1, 8, 0, 0, 0, time.UTC))
			var roots []string
			for _, f := range out.Roots {
				roots = append(roots, f.Check.ID+":"+f.Message.Tag)
			}
			if !slices.Equal(roots, tc.want) {
				t.Errorf("the roots are %q, want %q", roots, tc.want)
			}
			if len(out.Missing) > 0 {
				t.Errorf("facts are missing: %v", out.Missing)
			}
		})
	}
}
