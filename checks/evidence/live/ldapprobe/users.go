package ldapprobe

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// The bounds of one table of users.
const (
	userPage     = 1000 // MaxPageSize of the default query policy ([MS-ADTS] 3.1.1.3.4.6)
	maxUsers     = 250_000
	maxUserBytes = 256 << 20 // of the names and values of all answers
	maxDN        = 4096
	maxURI       = 1024
	maxName      = 256
	maxProxies   = 16
)

const userFilter = "(|(msRTCSIP-UserEnabled=TRUE)(msRTCSIP-PrimaryUserAddress=*))"

var userAttributes = []string{
	"objectClass", "sAMAccountName", "mail", "proxyAddresses", "userAccountControl", "lockoutTime", "pwdLastSet", "accountExpires",
	"msRTCSIP-UserEnabled", "msRTCSIP-PrimaryUserAddress", "msRTCSIP-PrimaryHomeServer", "msRTCSIP-OriginatorSid",
}

// Users is ldap.users: it reads page by page and folds each page into the table, so that memory holds the table and one page.
func (c *Client) Users(ctx context.Context, tr *env.Trace, r *evidence.Reader, q facts.UsersQuestion) (facts.UserTable, error) {
	var f fold
	err := c.ask(ctx, tr, r, q.DC, facts.Users.Key(q), func(s *session) error {
		req := ldap.NewSearchRequest(q.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, userFilter, userAttributes, nil)
		s.link.meter.left.Store(maxSearch)
		absent, err := c.pages(ctx, tr, s, req, userPage, func(entries []*ldap.Entry) error {
			s.link.meter.left.Store(maxSearch) // each page is bounded here, all together below
			for _, e := range entries {
				f.add(e)
			}
			if f.full() {
				return evidence.Fail(evidence.Protocol, s.endpoint.String()+" answers with more users than are read")
			}
			return nil
		})
		if err == nil && absent {
			return evidence.Fail(evidence.Protocol, s.endpoint.String()+" has no object "+text(q.Base))
		}
		return err
	})
	if err != nil {
		return facts.UserTable{}, err
	}
	return f.sorted(), nil
}

// fold makes a table out of entries.
type fold struct {
	table          facts.UserTable
	parents, homes map[string]int
	bytes          int
}

// add takes one entry. A value that cannot be read counts as absent.
func (f *fold) add(e *ldap.Entry) {
	f.bytes += len(e.DN)
	values := map[string][]string{}
	for _, a := range e.Attributes {
		values[strings.ToLower(a.Name)] = a.Values
		for _, v := range a.Values {
			f.bytes += len(v)
		}
	}
	first := func(name string, most int) string {
		if v := values[strings.ToLower(name)]; len(v) > 0 {
			return cut(v[0], most)
		}
		return ""
	}
	number := func(name string) (n int64, ok bool) {
		n, err := strconv.ParseInt(first(name, maxName), 10, 64)
		return n, err == nil
	}
	rdn, parent := splitDN(cut(e.DN, maxDN))
	u := facts.User{
		RDN: rdn, Parent: index(&f.parents, parent), Home: -1,
		Account: first("sAMAccountName", maxName), URI: first("msRTCSIP-PrimaryUserAddress", maxURI), Mail: first("mail", maxURI),
		Originator: len(values["msrtcsip-originatorsid"]) > 0,
	}
	if home := first("msRTCSIP-PrimaryHomeServer", maxDN); home != "" {
		u.Home = index(&f.homes, home)
	}
	switch first("msRTCSIP-UserEnabled", maxName) {
	case "TRUE":
		u.Enabled = &yes
	case "FALSE":
		u.Enabled = &no
	}
	for _, v := range values["proxyaddresses"] {
		if len(v) >= 4 && strings.EqualFold(v[:4], "sip:") && len(u.SIPProxy) < maxProxies {
			u.SIPProxy = append(u.SIPProxy, cut(v, maxURI))
		}
	}
	// The attribute is a signed integer of 32 bits ([MS-ADA3] 2.342).
	if n, ok := number("userAccountControl"); ok && n >= math.MinInt32 && n <= math.MaxUint32 {
		u.UAC = uint32(n)
	}
	locked, _ := number("lockoutTime")
	changed, ok := number("pwdLastSet")
	u.Locked, u.MustChange = locked != 0, ok && changed == 0
	if n, ok := number("accountExpires"); ok && n > 0 && n < math.MaxInt64 {
		u.Expires = n
	}
	for _, class := range values["objectclass"] {
		switch strings.ToLower(class) {
		case "user", "inetorgperson":
			u.Person = true
		}
	}
	f.table.Users = append(f.table.Users, u)
}

// full tells that there is more than is read.
func (f *fold) full() bool { return len(f.table.Users) > maxUsers || f.bytes > maxUserBytes }

// yes and no are what Enabled points to.
var yes, no = true, false

// sorted ends the fold.
func (f *fold) sorted() facts.UserTable {
	var parents, homes []int
	f.table.Parents, parents = names(f.parents)
	f.table.Homes, homes = names(f.homes)
	if f.table.Users == nil {
		f.table.Users = []facts.User{}
	}
	for i := range f.table.Users {
		u := &f.table.Users[i]
		u.Parent = parents[u.Parent]
		if u.Home >= 0 {
			u.Home = homes[u.Home]
		}
	}
	slices.SortFunc(f.table.Users, func(a, b facts.User) int {
		return cmp.Or(cmp.Compare(a.URI, b.URI), cmp.Compare(a.RDN, b.RDN), cmp.Compare(a.Parent, b.Parent))
	})
	return f.table
}

// index is the number of a name, a new one when it was not seen before.
func index(m *map[string]int, name string) int {
	if *m == nil {
		*m = map[string]int{}
	}
	i, ok := (*m)[name]
	if !ok {
		i = len(*m)
		(*m)[name] = i
	}
	return i
}

// names are those of an index in order, and where each number went.
func names(m map[string]int) (ordered []string, to []int) {
	ordered = slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(ordered)
	to = make([]int, len(ordered))
	for i, name := range ordered {
		to[m[name]] = i
	}
	return ordered, to
}

// splitDN splits a DN after its first component: at the first comma that no backslash escapes (RFC 4514, section 2.4).
func splitDN(dn string) (rdn, parent string) {
	for i := 0; i < len(dn); i++ {
		switch dn[i] {
		case '\\':
			i++
		case ',':
			return dn[:i], dn[i+1:]
		}
	}
	return dn, ""
}

// cut is at most so many bytes of a value, as valid UTF-8.
func cut(s string, most int) string {
	return text(s[:min(len(s), most)])
}
