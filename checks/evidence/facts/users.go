package facts

import (
	"slices"

	"ocsdoctor/checks/evidence"
)

// UsersQuestion asks one domain controller, or a global catalog as FQDN:3268, for all objects below Base that carry a SIP address or are enabled. An
// empty Base is the whole catalog.
type UsersQuestion struct{ DC, Base string }

func (q UsersQuestion) String() string { return fields(q.DC, q.Base) }

// UserTable is all of them in a compact form: a forest may have 100,000.
type UserTable struct {
	// Homes are the distinct values of msRTCSIP-PrimaryHomeServer, sorted; Parents the containers that hold the objects.
	Homes   []string `json:"homes,omitempty"`
	Parents []string `json:"parents,omitempty"`
	// Users are sorted by URI, then by name.
	Users []User `json:"users,omitempty"`
}

// User is one object with a SIP address.
type User struct {
	RDN     string `json:"n"`
	Parent  int    `json:"p"`
	Account string `json:"a,omitempty"` // sAMAccountName
	// URI is msRTCSIP-PrimaryUserAddress; SIPProxy are the sip: values of proxyAddresses.
	URI      string   `json:"u,omitempty"`
	Mail     string   `json:"m,omitempty"`
	SIPProxy []string `json:"s,omitempty"`
	// Home is the index of the home server in Homes, -1 for none.
	Home int `json:"h"`
	// Enabled is msRTCSIP-UserEnabled; nil when it is absent or may not be read.
	Enabled *bool  `json:"e,omitempty"`
	UAC     uint32 `json:"f,omitempty"` // userAccountControl
	// Locked, MustChange and Expires, the end of the account as a FILETIME or 0, are not known of a global catalog.
	Locked     bool  `json:"l,omitempty"`
	MustChange bool  `json:"c,omitempty"`
	Expires    int64 `json:"x,omitempty"`
	// Person is false for contacts, groups and the like; Originator tells that the account proper is in another forest.
	Person     bool `json:"o,omitempty"`
	Originator bool `json:"r,omitempty"`
}

// DN is the user's name in the directory.
func (t UserTable) DN(u User) string { return u.RDN + "," + t.Parents[u.Parent] }

// Hidden tells that the account reads SIP addresses and nothing else of the users: msRTCSIP-UserEnabled and the home server stand in the
// property set RTCPropertySet, which only the RTC groups may read, and come of no object at all.
func (t UserTable) Hidden() bool {
	return len(t.Users) > 0 && !slices.ContainsFunc(t.Users, func(u User) bool { return u.Enabled != nil || u.Home >= 0 })
}

// HomeOf is the DN of the user's home server; "" for none.
func (t UserTable) HomeOf(u User) string {
	if u.Home < 0 {
		return ""
	}
	return t.Homes[u.Home]
}

// Users are the objects of a domain or forest that have to do with OCS.
var Users = &evidence.Kind[UsersQuestion, UserTable]{
	Name:  "ldap.users",
	Doc:   "all objects with a SIP address or enabled for OCS, read page by page from one domain controller or global catalog",
	Needs: []evidence.AnyKind{NetConnect, ConfigScope, Addresses, DNSLookup},
}

// AllUsers is what the users of the whole forest were read with.
var AllUsers = &evidence.Kind[evidence.None, UserTable]{
	Name:  "ad.users",
	Doc:   "the users of the forest that have to do with OCS",
	Needs: []evidence.AnyKind{Catalog, Users},
	Derive: func(r *evidence.Reader, _ evidence.None) (UserTable, error) {
		c, err := Catalog.Get(r, evidence.None{})
		if err != nil {
			return UserTable{}, err
		}
		return Users.Get(r, UsersQuestion{c.DC, c.Base})
	},
}
