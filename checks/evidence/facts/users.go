package facts

import (
	"slices"

	"ocsdoctor/checks/evidence"
)

// UsersQuestion asks one domain controller or global catalog (FQDN, or FQDN:3268) for all objects below Base that have a
// SIP address or are enabled for OCS. An empty Base is the whole catalog.
type UsersQuestion struct{ DC, Base string }

func (q UsersQuestion) String() string { return fields(q.DC, q.Base) }

// UserTable is many users in little memory: the names that they share are written once.
type UserTable struct {
	// Homes are the DNs that msRTCSIP-PrimaryHomeServer has, Parents those of the containers that hold the users; both
	// are distinct and sorted.
	Homes   []string `json:"homes"`
	Parents []string `json:"parents"`
	// Users are sorted by URI, then by RDN.
	Users []User `json:"users"`
}

// User is what is kept of one object. The names in JSON are short since there may be 100,000 of these.
type User struct {
	// RDN is the first component of the DN, as in the DN ("CN=Alice Martin").
	RDN string `json:"n"`
	// Parent is an index into Parents.
	Parent int `json:"p"`
	// Account is sAMAccountName.
	Account string `json:"a,omitempty"`
	// URI is the first value of msRTCSIP-PrimaryUserAddress.
	URI  string `json:"u,omitempty"`
	Mail string `json:"m,omitempty"`
	// SIPProxy are the values of proxyAddresses that begin with sip: in any case.
	SIPProxy []string `json:"s,omitempty"`
	// Home is an index into Homes; -1: none.
	Home int `json:"h"`
	// Enabled is msRTCSIP-UserEnabled; nil when it is absent or not readable.
	Enabled *bool `json:"e,omitempty"`
	// UAC is userAccountControl; 0 when it is absent, as for a contact.
	UAC uint32 `json:"f,omitempty"`
	// Locked tells of a lockoutTime that is not 0, MustChange of a pwdLastSet that is 0.
	Locked     bool `json:"l,omitempty"`
	MustChange bool `json:"c,omitempty"`
	// Expires is accountExpires in units of 100 ns since 1601 (FILETIME); 0: never.
	Expires int64 `json:"x,omitempty"`
	// Person tells of the class user or inetOrgPerson, Originator of an msRTCSIP-OriginatorSid.
	Person     bool `json:"o,omitempty"`
	Originator bool `json:"r,omitempty"`
}

// DN is the distinguished name of a user of the table.
func (t UserTable) DN(u User) string {
	if t.Parents[u.Parent] == "" {
		return u.RDN
	}
	return u.RDN + "," + t.Parents[u.Parent]
}

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

// Users are the OCS users that one domain controller or global catalog knows.
var Users = &evidence.Kind[UsersQuestion, UserTable]{
	Name:  "ldap.users",
	Doc:   "all users of OCS that one domain controller or global catalog knows, with the account given",
	Needs: Search.Needs,
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
