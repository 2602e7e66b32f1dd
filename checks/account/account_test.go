package account

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/checktest"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Run(t, Checks())
}

// A large forest is judged in one pass for each check, and a text names the first few of those it counts.
func TestManyUsers(t *testing.T) {
	t.Parallel()
	const n, homeless = 100_000, 40_000
	yes := true
	table := facts.UserTable{Homes: []string{"CN=gone"}, Parents: []string{"OU=Staff,DC=todorovic,DC=adds"}}
	for i := range n {
		u := facts.User{RDN: fmt.Sprintf("CN=u%05d", i), URI: fmt.Sprintf("sip:u%05d@todorovic.fr", i), Home: 0, Enabled: &yes, UAC: 512, Person: true}
		if i%2 == 1 {
			u.URI = fmt.Sprintf("sip:u%05d@todorovic.fr", i-1)
		}
		if i < homeless {
			u.Home = -1
		}
		table.Users = append(table.Users, u)
	}
	src := evidence.Recorded{}
	put := func(k evidence.Key, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		src[k] = &evidence.Record{Key: k, Value: b}
	}
	const dc, base = "dc1.todorovic.adds", "DC=todorovic,DC=adds"
	dir := facts.DirectoryData{Config: "CN=Configuration," + base}
	put(facts.ConfigScope.Key(evidence.None{}), facts.Scope{ADDomain: "todorovic.adds", DCs: []string{dc}, LDAPUser: "svc-scan"})
	put(facts.RootDSE.Key(facts.DCQuestion{DC: dc}), facts.RootDSEData{Attributes: map[string][]string{
		"defaultNamingContext": {base}, "rootDomainNamingContext": {base}, "configurationNamingContext": {dir.Config},
	}})
	put(facts.Search.Key(facts.NewSearch(dc, "CN=Partitions,"+dir.Config, "one", "(objectClass=crossRef)", "nCName", "dnsRoot", "nETBIOSName")), facts.SearchResult{})
	put(facts.Search.Key(facts.NewSearch(dc, "CN=Sites,"+dir.Config, "sub", "(|(objectClass=server)(objectClass=nTDSDSA)(objectClass=siteLink))",
		"objectClass", "objectGUID", "invocationId", "options", "dNSHostName", "serverReference", "hasMasterNCs", "msDS-hasMasterNCs",
		"msDS-hasFullReplicaNCs", "siteList", "replInterval", "schedule")), facts.SearchResult{})
	put(facts.Users.Key(facts.UsersQuestion{DC: dc, Base: base}), table)
	store := evidence.NewStore(context.Background(), src)
	for id, want := range map[string]string{
		"account/user-enabled":         "enabled for OCS without a home server: 40000 of 100000 enabled users (sip:u00000@todorovic.fr, sip:u00000@todorovic.fr, sip:u00002@todorovic.fr and 39997 more)",
		"account/user-uri-unique":      "; and 49997 more",
		"account/user-proxy-addresses": "100000 of 100000 enabled users",
	} {
		c := named(t, id)
		res := engine.RunCheck(store, c, checks.Subject{Scope: checks.ScopeUser, Name: checks.AllUsers}, time.Date(2010, 6, 1, 8, 0, 0, 0, time.UTC))
		if len(res.Findings) != 1 || !strings.Contains(res.Findings[0].Text(), want) {
			t.Errorf("%s: %s (%s) with %d findings; want one with %q", id, res.Status, res.Reason, len(res.Findings), want)
			continue
		}
		if text := res.Findings[0].Text(); len(text) > 1000 {
			t.Errorf("%s: the text has %d bytes", id, len(text))
		}
	}
}

func named(t *testing.T, id string) *checks.Check {
	t.Helper()
	for _, c := range Checks() {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("there is no check %s", id)
	return nil
}

// What a script wrote into an address may be anything: the domain that is read of it is a part of it, and the form is kept.
func FuzzURIDomain(f *testing.F) {
	for _, seed := range []string{"sip:alice@todorovic.fr", "SIP:alice@todorovic.fr", "sip:a b@c", "sip:a@b@c", "sip:@c", "sip:a@", "sip:a%20b@c", "sip:\xff@c", "sip:é@c", "", "sip:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		domain := uriDomain(uri)
		if domain == "" {
			return
		}
		if !strings.HasPrefix(uri, "sip:") || strings.Count(uri, "@") != 1 || len(uri) > maxURI || strings.ContainsAny(uri, " %\n\x00") {
			t.Errorf("%q passes as an address", uri)
		}
		if !strings.Contains(strings.ToLower(uri), "@"+domain) {
			t.Errorf("%q: the domain %q is no part of it", uri, domain)
		}
	})
}
