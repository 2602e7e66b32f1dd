package ad

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

var inheritanceBlocked = &checks.Message{
	Tag:      "blocked",
	Severity: checks.Warning,
	Text:     "organizational units of {domain} inherit no permissions and grant the groups of OCS none: {ous}",
}

var _ = register(&checks.Check{
	ID:     "ad/permission-inheritance",
	Title:  "the organizational units of users, service accounts and servers take over the permissions of OCS",
	Scope:  checks.ScopeADDomain,
	Phases: checks.PostInstall,
	After:  checks.DomainPrep,
	Needs: []evidence.AnyKind{
		facts.Groups, facts.DomainReader, facts.AllUsers, facts.ServiceAccounts, facts.Pools, facts.Search,
	},
	Messages: []*checks.Message{inheritanceBlocked},
	Run: func(p *checks.Pass) error {
		groups, err := facts.Groups.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		if len(groups.Groups) == 0 {
			return checks.NotApplicable("there are no groups of OCS")
		}
		reader, err := facts.DomainReader.Get(p.Facts, facts.DomainQuestion{Name: p.Subject.Name})
		if err != nil {
			return err
		}
		contents, err := readContents(p.Facts)
		if err != nil {
			return err
		}
		q := facts.NewSearch(reader.DC, reader.BaseDN, "sub", "(objectClass=organizationalUnit)", "nTSecurityDescriptor")
		found, err := facts.Search.Get(p.Facts, q)
		if err != nil {
			return err
		}
		units := map[string]facts.Entry{}
		for _, ou := range found.Entries {
			units[strings.ToLower(ou.DN)] = ou
		}
		blocked := map[string][]string{} // what is in it, by the DN of the unit
		var unread error
		for _, dn := range slices.Sorted(maps.Keys(contents)) {
			if !strings.EqualFold(facts.DomainPart(dn), reader.BaseDN) {
				continue // it is in another domain
			}
			unit, err := blockedBy(dn, units, groups)
			switch {
			case err != nil:
				unread = firstError(unread, evidence.FailAt(err.Reason, q.DC+": "+err.Detail, facts.Search.Key(q)))
			case unit != "":
				blocked[unit] = append(blocked[unit], contents[dn]...)
			}
		}
		if len(blocked) > 0 {
			reportBlocked(p, facts.Search.Key(q), blocked)
		}
		return unread
	},
})

// blockedBy is the DN of the organizational unit that keeps the permissions of OCS from a container, going up from it; "" when none
// does. The permissions of a unit show those that it inherits too, so a unit with one of OCS has what it needs.
func blockedBy(container string, units map[string]facts.Entry, groups facts.GroupList) (string, *evidence.Failure) {
	for dn := container; dn != ""; dn = facts.ParentDN(dn) {
		unit, ok := units[dn]
		if !ok && !strings.HasPrefix(dn, "ou=") {
			continue
		}
		raw := unit.Values("nTSecurityDescriptor")
		if len(raw) == 0 {
			return "", evidence.Fail(evidence.Denied, "the account may not read the permissions (nTSecurityDescriptor) of "+dn)
		}
		d, err := ntds.ParseDescriptor(raw[0])
		switch {
		case err != nil:
			return "", evidence.Fail(evidence.Protocol, "malformed nTSecurityDescriptor of "+unit.DN+": "+err.Error())
		case slices.ContainsFunc(d.ACEs, func(a ntds.ACE) bool {
			return a.Allow && slices.ContainsFunc(groups.Groups, func(g facts.Group) bool { return g.SID == a.Trustee })
		}):
			return "", nil
		case d.Protected:
			return unit.DN, nil
		}
	}
	return "", nil
}

// contents are what OCS has to read in each container, whose DN is in lower case.
type contents map[string][]string

// The object types as CreateLcsOuPermissions names them.
const (
	holdsUsers     = "User"
	holdsComputers = "Computer"
)

func readContents(r *evidence.Reader) (contents, error) {
	var users facts.UserTable
	var accounts []facts.ServiceAccount
	var pools facts.PoolList
	var usersErr, accountsErr, poolsErr error
	evidence.Parallel(func() {
		users, usersErr = facts.AllUsers.Get(r, evidence.None{})
	}, func() {
		accounts, accountsErr = facts.ServiceAccounts.Get(r, evidence.None{})
	}, func() {
		pools, poolsErr = facts.Pools.Get(r, evidence.None{})
	})
	c := contents{}
	for _, u := range users.Users {
		if u.Enabled != nil && *u.Enabled {
			c.add(users.Parents[u.Parent], holdsUsers)
		}
	}
	for _, a := range accounts {
		c.add(facts.ParentDN(a.DN), holdsUsers)
	}
	for _, pool := range pools.Pools {
		for _, f := range pool.FrontEnds {
			c.add(f.DN, holdsComputers)
		}
	}
	return c, errors.Join(usersErr, accountsErr, poolsErr)
}

func (c contents) add(dn, what string) {
	if key := strings.ToLower(dn); !slices.Contains(c[key], what) {
		c[key] = append(c[key], what)
	}
}

func reportBlocked(p *checks.Pass, cite evidence.Key, blocked map[string][]string) {
	units := slices.Sorted(maps.Keys(blocked))
	first := units[0]
	types := slices.Compact(slices.Sorted(slices.Values(blocked[first])))
	// CreateLcsOuPermissions wants the name without that of the domain.
	within := strings.TrimSuffix(first, ","+facts.DomainPart(first))
	p.Report(inheritanceBlocked, []evidence.Key{cite}, checks.A("domain", p.Subject.Name), checks.A("ous", facts.Few(units, ", ", maxNamed)), checks.A("first", first),
		checks.A("ou", within), checks.A("type", types[0]), checks.A("types", strings.Join(types, " and ")))
}
