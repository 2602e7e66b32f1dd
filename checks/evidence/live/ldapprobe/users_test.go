package ldapprobe

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"ocsdoctor/checks/evidence/facts"
)

func TestUsersAreFoldedIntoATable(t *testing.T) {
	t.Parallel()
	const (
		ou   = "OU=Sales,DC=todorovic,DC=adds"
		home = "CN=LC Services,CN=Microsoft,CN=pool,CN=Pools,CN=RTC Service,CN=Services,CN=Configuration,DC=todorovic,DC=adds"
	)
	var f fold
	for _, e := range []*ldap.Entry{
		ldap.NewEntry(`CN=Martin\, Alice,`+ou, map[string][]string{
			"objectClass": {"top", "person", "organizationalPerson", "user"}, "sAMAccountName": {"alice"}, "mail": {"alice@todorovic.fr"},
			"PROXYADDRESSES": {"SMTP:alice@todorovic.fr", "SIP:alice@todorovic.fr"}, "userAccountControl": {"514"},
			"lockoutTime": {"132500000000000000"}, "pwdLastSet": {"0"}, "accountExpires": {"133000000000000000"},
			"msRTCSIP-UserEnabled": {"TRUE"}, "msRTCSIP-PrimaryUserAddress": {"sip:alice@todorovic.fr"}, "msRTCSIP-PrimaryHomeServer": {home},
		}),
		ldap.NewEntry("CN=Bob,OU=Contacts,DC=todorovic,DC=adds", map[string][]string{
			"objectClass": {"top", "person", "organizationalPerson", "contact"}, "msRTCSIP-UserEnabled": {"FALSE"},
			"msRTCSIP-PrimaryUserAddress": {"sip:bob@todorovic.fr"}, "msRTCSIP-OriginatorSid": {"\x01\x05"},
		}),
		ldap.NewEntry("CN=Zoe,"+ou, map[string][]string{
			"objectClass": {"inetOrgPerson"}, "userAccountControl": {"512"}, "lockoutTime": {"0"}, "pwdLastSet": {"132500000000000000"},
			"accountExpires": {"9223372036854775807"}, "msRTCSIP-UserEnabled": {"TRUE"}, "msRTCSIP-PrimaryHomeServer": {home},
		}),
	} {
		f.add(e)
	}
	want := facts.UserTable{
		Homes: []string{home}, Parents: []string{"OU=Contacts,DC=todorovic,DC=adds", ou},
		Users: []facts.User{
			{RDN: "CN=Zoe", Parent: 1, Home: 0, Enabled: &yes, UAC: 512, Person: true},
			{
				RDN: `CN=Martin\, Alice`, Parent: 1, Account: "alice", URI: "sip:alice@todorovic.fr", Mail: "alice@todorovic.fr", SIPProxy: []string{"SIP:alice@todorovic.fr"},
				Home: 0, Enabled: &yes, UAC: 514, Locked: true, MustChange: true, Expires: 133000000000000000, Person: true,
			},
			{RDN: "CN=Bob", Parent: 0, URI: "sip:bob@todorovic.fr", Home: -1, Enabled: &no, Originator: true},
		},
	}
	got := f.sorted()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if dn := got.DN(got.Users[1]); dn != `CN=Martin\, Alice,`+ou {
		t.Errorf("its DN is %s", dn)
	}
}

func TestAMalformedUserCountsAsBare(t *testing.T) {
	t.Parallel()
	var f fold
	f.add(ldap.NewEntry("", map[string][]string{
		"userAccountControl": {"0x200"}, "lockoutTime": {"never"}, "pwdLastSet": {""}, "accountExpires": {"99999999999999999999"},
		"msRTCSIP-UserEnabled": {"yes"}, "proxyAddresses": {"", "si", "sip"}, "objectClass": {}, "msRTCSIP-PrimaryHomeServer": {""},
	}))
	if diff := cmp.Diff([]facts.User{{Home: -1}}, f.sorted().Users); diff != "" {
		t.Error(diff)
	}
	f = fold{}
	f.add(ldap.NewEntry("CN=x", map[string][]string{
		"msRTCSIP-PrimaryUserAddress": {"sip:" + strings.Repeat("a", 5000)}, "userAccountControl": {"-2147483136"},
		"proxyAddresses": slices.Repeat([]string{"sip:a@b"}, 100),
	}))
	u := f.sorted().Users[0]
	if len(u.URI) != maxURI || len(u.SIPProxy) != maxProxies || u.UAC != 0x80000200 {
		t.Errorf("%d bytes of URI, %d proxy addresses, userAccountControl %x", len(u.URI), len(u.SIPProxy), u.UAC)
	}
}

func TestATableIsBoundedByUsersAndByBytes(t *testing.T) {
	t.Parallel()
	var many, large fold
	e := ldap.NewEntry("CN=a,DC=d", map[string][]string{"sAMAccountName": {"a"}})
	for range maxUsers {
		many.add(e)
	}
	if many.full() {
		t.Error("full before its bound")
	}
	if many.add(e); !many.full() {
		t.Error("not full with more users than its bound")
	}
	wide := ldap.NewEntry("CN=a,DC=d", map[string][]string{"mail": {strings.Repeat("m", 1<<20)}})
	for range maxUserBytes >> 20 {
		large.add(wide)
	}
	if !large.full() {
		t.Error("not full with more bytes than its bound")
	}
}

func FuzzSplitDN(f *testing.F) {
	for _, s := range []string{"", "CN=a", `CN=a\,b,DC=c`, `CN=a\2c,DC=c`, `CN=\`, ",", `CN=\\,DC=c`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, dn string) {
		rdn, parent := splitDN(dn)
		table := facts.UserTable{Parents: []string{parent}}
		if got := table.DN(facts.User{RDN: rdn}); got != dn && got+"," != dn {
			t.Errorf("%q is split into %q and %q", dn, rdn, parent)
		}
	})
}
