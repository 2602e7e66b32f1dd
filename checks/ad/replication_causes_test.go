package ad

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

const (
	testDomain = "DC=todorovic,DC=adds"
	testConfig = "CN=Configuration," + testDomain
)

// twoDCs is a source: a forest of dc1 and dc2, which replicate with each other.
type twoDCs struct {
	now time.Time
	// ahead is how far a domain controller's clock is ahead of ours.
	ahead map[string]time.Duration
	// down tells which one refuses connections.
	down string
	// inbound is the link of a domain controller from the other, lag the age of its cursor of the other.
	inbound map[string]ntds.Link
	lag     time.Duration
}

func testGUID(kind, host string) ntds.GUID {
	return ntds.GUID(strings.ReplaceAll("00000000-0000-0000-0000-0000000000KN", "KN", kind+host[2:]))
}

// Fetch implements evidence.Source.
func (s twoDCs) Fetch(_ context.Context, req evidence.Request) *evidence.Record {
	rec := &evidence.Record{Key: req.Key, Via: "test"}
	var value any
	switch q := req.Query.(type) {
	case evidence.None:
		value = facts.Scope{ADDomain: "todorovic.adds", LDAPUser: "scan", Phase: facts.PhasePostInstall, Servers: []string{"ocs.todorovic.adds"},
			Resolvers: []facts.Resolver{{ID: "inside#1", View: facts.Inside, Address: "10.0.0.1:53"}}}
	case facts.DNSQuestion:
		a := facts.DNSAnswerData{Rcode: "NOERROR"}
		for _, host := range []string{"dc1", "dc2"} {
			if q.Type == "SRV" {
				a.Records = append(a.Records, facts.Record{Name: q.Name, Type: "SRV", Target: host + ".todorovic.adds"})
			}
		}
		if q.Type == "A" {
			a.Records = []facts.Record{{Name: q.Name, Type: "A", Address: "10.0.0.1"}}
		}
		value = a
	case facts.Endpoint:
		value = facts.Connect{Result: facts.Connected}
		if q.Host == s.down {
			value = facts.Connect{Result: facts.Refused}
		}
	case facts.DCQuestion:
		if q.DC == s.down {
			rec.Failure = evidence.FailAt(evidence.NoTarget, q.DC+" refuses", facts.NetConnect.Key(facts.Endpoint{Host: q.DC, Port: ldapPort}))
			return rec
		}
		value = s.root(q.DC)
	case facts.SearchQuestion:
		if q.DC == s.down {
			rec.Failure = evidence.FailAt(evidence.NoTarget, q.DC+" refuses", facts.NetConnect.Key(facts.Endpoint{Host: q.DC, Port: ldapPort}))
			return rec
		}
		value = s.search(q)
	}
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	rec.Value = b
	return rec
}

func (s twoDCs) root(dc string) facts.RootDSEData {
	host, _, _ := strings.Cut(dc, ".")
	return facts.RootDSEData{ReadAt: s.now, Attributes: map[string][]string{
		"defaultNamingContext": {testDomain}, "rootDomainNamingContext": {testDomain}, "configurationNamingContext": {testConfig},
		"namingContexts": {testDomain}, "dnsHostName": {dc}, "domainFunctionality": {"2"}, "forestFunctionality": {"2"},
		"serverName":  {"CN=" + host + ",CN=Servers,CN=Paris,CN=Sites," + testConfig},
		"currentTime": {s.now.Add(s.ahead[dc]).Format("20060102150405.0Z")},
	}}
}

func (s twoDCs) search(q facts.SearchQuestion) facts.SearchResult {
	entry := func(dn string, pairs ...string) facts.Entry {
		e := facts.Entry{DN: dn, Attributes: map[string][][]byte{}}
		for i := 0; i < len(pairs); i += 2 {
			e.Attributes[pairs[i]] = append(e.Attributes[pairs[i]], []byte(pairs[i+1]))
		}
		return e
	}
	var out facts.SearchResult
	add := func(e facts.Entry) { out.Entries = append(out.Entries, e) }
	switch {
	case strings.HasPrefix(q.Base, "CN=Sites"):
		for _, host := range []string{"dc1", "dc2"} {
			dn := "CN=" + host + ",CN=Servers,CN=Paris,CN=Sites," + testConfig
			add(entry(dn, "objectClass", "server", "dNSHostName", host+".todorovic.adds", "serverReference", "CN="+host+","+testDomain))
			add(entry("CN=NTDS Settings,"+dn, "objectClass", "nTDSDSA", "objectGUID", string(testGUID("a", host).Bytes()),
				"invocationId", string(testGUID("b", host).Bytes()), "hasMasterNCs", testDomain))
		}
	case strings.HasPrefix(q.Base, "CN=Partitions"):
		add(entry("CN=TODOROVIC,"+q.Base, "nCName", testDomain, "dnsRoot", "todorovic.adds", "nETBIOSName", "TODOROVIC"))
	case strings.HasPrefix(q.Base, "CN=Directory Service"):
		add(entry(q.Base, "tombstoneLifetime", "60"))
	case strings.Contains(q.Attributes, "repsFrom"):
		host := map[string]string{"dc1.todorovic.adds": "dc2", "dc2.todorovic.adds": "dc1"}[q.DC]
		l := s.inbound[q.DC]
		l.Source = testGUID("a", host)
		cursors := []ntds.Cursor{{Invocation: testGUID("b", host), Success: s.now.Add(-s.lag)}}
		add(entry(q.Base, "repsFrom", string(l.EncodeRepsFrom()), "replUpToDateVector", string(ntds.EncodeUpToDateVector(cursors))))
	case strings.Contains(q.Attributes, "operatingSystem"):
		add(entry("CN=x,"+q.Base, "operatingSystem", "Windows Server 2008 R2", "operatingSystemVersion", "6.1 (7601)"))
	}
	return out
}

// What is one fault of replication to the administrator is one root.
func TestReplicationRoots(t *testing.T) {
	t.Parallel()
	now := time.Date(2010, 6, 1, 8, 0, 0, 0, time.UTC)
	links := func(age time.Duration, result, failures uint32) map[string]ntds.Link {
		l := ntds.Link{Success: now.Add(-age), Attempt: now, Result: result, Failures: failures}
		return map[string]ntds.Link{"dc1.todorovic.adds": l, "dc2.todorovic.adds": l}
	}
	const day = 24 * time.Hour
	selected := slices.DeleteFunc(Checks(), func(c *checks.Check) bool {
		return !strings.HasPrefix(c.ID, "ad/dc-") && !strings.HasPrefix(c.ID, "ad/replication-")
	})
	for name, tc := range map[string]struct {
		source twoDCs
		want   []string
	}{
		"healthy":                         {twoDCs{inbound: links(time.Minute, 0, 0)}, nil},
		"a cut link, and what lags by it": {twoDCs{inbound: links(3*time.Hour, 1722, 12), lag: 3 * time.Hour}, []string{"ad/replication-repsfrom:failing"}},
		"a link cut for weeks":            {twoDCs{inbound: links(40*day, 1722, 999), lag: 40 * day}, []string{"ad/replication-repsfrom:failing"}},
		"a domain controller that is down": {twoDCs{down: "dc2.todorovic.adds", inbound: links(3*time.Hour, 1722, 12), lag: 3 * time.Hour},
			[]string{"ad/dc-reachable:own-site-dc-down"}},
		"a clock that is off": {twoDCs{ahead: map[string]time.Duration{"dc2.todorovic.adds": 10 * time.Minute}, inbound: links(time.Hour, 5, 4)},
			[]string{"ad/dc-clock-skew:dc-off"}},
		"a clock that is off, and a cut link: two faults": {twoDCs{ahead: map[string]time.Duration{"dc2.todorovic.adds": 10 * time.Minute}, inbound: links(time.Hour, 1722, 4)},
			[]string{"ad/dc-clock-skew:dc-off", "ad/replication-repsfrom:failing"}},
		"only the cursors lag": {twoDCs{inbound: links(time.Minute, 0, 0), lag: 3 * time.Hour}, []string{"ad/replication-latency:lagging"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.source.now = now
			out := engine.Run(evidence.NewStore(t.Context(), tc.source), selected, now)
			var roots []string
			for _, f := range out.Roots {
				roots = append(roots, f.Check.ID+":"+f.Message.Tag)
			}
			if !slices.Equal(roots, tc.want) {
				t.Errorf("the roots are %q, want %q", roots, tc.want)
			}
			for _, m := range out.Missing {
				if m.Under == nil {
					t.Errorf("a missing fact is a problem of its own: %v", fmt.Sprint(m.Failure))
				}
			}
		})
	}
}
