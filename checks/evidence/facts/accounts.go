package facts

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/ntds"
)

// The bits of userAccountControl that matter here ([MS-ADTS] 2.2.16).
const (
	AccountDisabled      = 0x2
	PasswordNeverExpires = 0x10000
)

// ServiceAccount is an account that OCS services run as.
type ServiceAccount struct {
	// Name is DOMAIN\sAMAccountName with the NetBIOS name of the domain.
	Name string `json:"name"`
	DN   string `json:"dn"`
	// Groups are the RTC service groups that it is a member of, sorted.
	Groups []string `json:"groups"`
	// Disabled and Locked say what they say; Expires is the end of the account, zero for never.
	Disabled bool      `json:"disabled,omitempty"`
	Locked   bool      `json:"locked,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`
	// PasswordNeverExpires is what the account says itself. PasswordExpires is when the domain's policy ends the password,
	// zero for never; MustChange says that it has to be changed before the next logon.
	PasswordNeverExpires bool      `json:"passwordNeverExpires,omitempty"`
	PasswordExpires      time.Time `json:"passwordExpires,omitzero"`
	MustChange           bool      `json:"mustChange,omitempty"`
	// PolicyUnread tells that when the password ends is not known: neither the domain controller's computation nor the age of
	// the password and the policy of the domain could be read.
	PolicyUnread bool `json:"policyUnread,omitempty"`
	// SPNs are its service principal names.
	SPNs []string `json:"spns,omitempty"`
	// Runs are the services that log on as it, on the servers that could be read.
	Runs []ServiceRun `json:"runs,omitempty"`
	// Idle tells that the services of all servers of OCS were read and that none logs on as it, though it is in a group.
	Idle bool `json:"idle,omitempty"`
	// Cite is the search that read it.
	Cite evidence.Key `json:"cite"`
}

// ServiceRun is a service on a server.
type ServiceRun struct {
	Server  string `json:"server"`
	Service string `json:"service"`
}

// Has tells whether the account runs a service on a server.
func (a ServiceAccount) Has(server, service string) bool {
	return slices.ContainsFunc(a.Runs, func(r ServiceRun) bool { return r.Server == server && strings.EqualFold(r.Service, service) })
}

// ServiceGroups are the groups whose members run the services: Front End, and all other components.
var ServiceGroups = []string{"RTCComponentUniversalServices", "RTCHSUniversalServices"}

// ServiceAccounts are the accounts of AD that OCS services log on as, where the servers could be read, and the direct members of the RTC
// service groups, computers and groups left out, sorted by name. They are never found by the names RTCService and RTCComponentService, which are
// only defaults.
var ServiceAccounts = &evidence.Kind[evidence.None, []ServiceAccount]{
	Name:   "topology.service-accounts",
	Doc:    "the accounts that OCS services run as: those that the services log on as, and the members of the RTC service groups",
	Needs:  []evidence.AnyKind{Groups, Forest, DomainReader, Search, ServerNames, OCSServices, Pools},
	Derive: deriveServiceAccounts,
}

func deriveServiceAccounts(r *evidence.Reader, _ evidence.None) ([]ServiceAccount, error) {
	var groups GroupList
	var forest ForestData
	var used logons
	var groupsErr, forestErr, usedErr error
	evidence.Parallel(
		func() { groups, groupsErr = Groups.Get(r, evidence.None{}) },
		func() { forest, forestErr = Forest.Get(r, evidence.None{}) },
		func() { used, usedErr = readLogons(r) },
	)
	for _, err := range []error{groupsErr, forestErr, usedErr} {
		if err != nil {
			return nil, err
		}
	}
	memberOf := map[string][]string{}
	for _, name := range ServiceGroups {
		g, _ := groups.Find(name)
		for _, dn := range g.Members {
			memberOf[dn] = append(memberOf[dn], name)
		}
	}
	runs, err := used.find(r, forest, memberOf)
	if err != nil {
		return nil, err
	}
	var questions []SearchQuestion
	ages := map[string]time.Duration{}
	for _, dn := range sortedKeys(memberOf) {
		domain := DomainOfDN(DomainPart(dn))
		reader, err := DomainReader.Get(r, DomainQuestion{domain})
		if err != nil {
			return nil, err
		}
		head := NewSearch(reader.DC, reader.BaseDN, "base", "(objectClass=*)", "maxPwdAge")
		res, err := Search.Get(r, head)
		if err != nil {
			return nil, err
		}
		if len(res.Entries) > 0 && res.Entries[0].Value("maxPwdAge") != "" {
			ages[domain] = maxAge(res.Entries[0].Value("maxPwdAge"))
		}
		questions = append(questions, AccountQuestion(reader.DC, dn))
	}
	found, errs := evidence.GetAll(r, Search, questions)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var out []ServiceAccount
	for i, q := range questions {
		for _, e := range found[i].Entries {
			domain := DomainOfDN(DomainPart(e.DN))
			age, hasPolicy := ages[domain]
			a, err := serviceAccount(e, age)
			if err != nil {
				return nil, evidence.FailAt(evidence.Protocol, q.DC+" gives a malformed value of "+e.DN+": "+err.Error(), Search.Key(q))
			}
			a.Name = forest.NetBIOS(domain) + `\` + e.Value("sAMAccountName")
			computed, set := e.Value("msDS-UserPasswordExpiryTimeComputed"), e.Value("pwdLastSet")
			a.PolicyUnread = !a.PasswordNeverExpires && computed == "" && (set == "" || !hasPolicy)
			a.Groups, a.Cite = sorted(memberOf[q.Base]), Search.Key(q)
			a.Runs = runs[q.Base]
			a.Idle = used.complete && len(a.Runs) == 0
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b ServiceAccount) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// logons are what the services of OCS log on as, by that name in lower case.
type logons struct {
	runs map[string][]ServiceRun
	// complete tells that no service of OCS is left that could log on as something else: those of all servers were read, and these are all
	// the front ends that AD lists.
	complete bool
}

// readLogons reads the services of the servers. One that cannot be read is left out: its accounts are then found by their groups.
func readLogons(r *evidence.Reader) (logons, error) {
	l := logons{runs: map[string][]ServiceRun{}}
	servers, err := ServerNames.Get(r, evidence.None{})
	if err != nil {
		return l, unlessExcusable(err)
	}
	var questions []ServerQuestion
	for _, s := range servers.List {
		questions = append(questions, ServerQuestion{s})
	}
	found, errs := evidence.GetAll(r, OCSServices, questions)
	l.complete = len(servers.List) > 0
	for i, q := range questions {
		if errs[i] != nil {
			if err := unlessExcusable(errs[i]); err != nil {
				return l, err
			}
			l.complete = false
		}
		l.complete = l.complete && len(found[i].Services) > 0
		for _, s := range found[i].Services {
			name := strings.ToLower(s.Account)
			l.runs[name] = append(l.runs[name], ServiceRun{q.FQDN, s.Name})
		}
	}
	if !l.complete {
		return l, nil
	}
	pools, err := Pools.Get(r, evidence.None{})
	if err != nil {
		l.complete = false
		return l, unlessExcusable(err)
	}
	for _, p := range pools.Pools {
		for _, f := range p.FrontEnds {
			l.complete = l.complete && (f.Computer == "" || slices.Contains(servers.List, f.Computer))
		}
	}
	return l, nil
}

func unlessExcusable(err error) error {
	if evidence.Excusable(err) {
		return nil
	}
	return err
}

// find looks the names up in AD and gives what each account runs, by its DN. Accounts that are in no RTC service group are added to memberOf.
// The accounts of Windows itself and of the server alone are not in AD.
func (l logons) find(r *evidence.Reader, forest ForestData, memberOf map[string][]string) (map[string][]ServiceRun, error) {
	var names []string
	var questions []SearchQuestion
	for _, name := range sortedKeys(l.runs) {
		domain, filter := forest.logonName(name)
		if domain == "" {
			continue
		}
		reader, err := DomainReader.Get(r, DomainQuestion{domain})
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		questions = append(questions, NewSearch(reader.DC, reader.BaseDN, "sub", filter, "sAMAccountName"))
	}
	found, errs := evidence.GetAll(r, Search, questions)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	runs := map[string][]ServiceRun{}
	for i, name := range names {
		for _, e := range found[i].Entries {
			dn := e.DN
			for member := range memberOf { // as the group spells it
				if strings.EqualFold(member, dn) {
					dn = member
				}
			}
			if _, known := memberOf[dn]; !known {
				memberOf[dn] = nil
			}
			runs[dn] = append(runs[dn], l.runs[name]...)
		}
	}
	return runs, nil
}

// LogonDomain is the AD domain of the name that a service logs on as, DOMAIN\USER or USER@DOMAIN; "" for an account of Windows itself or of the server
// alone, and for a domain that is not in the forest.
func (f ForestData) LogonDomain(name string) string {
	domain, _ := f.logonName(name)
	return domain
}

func (f ForestData) logonName(name string) (domain, filter string) {
	prefix, user, ok := strings.Cut(name, `\`)
	attribute, value := "sAMAccountName", user
	if !ok {
		_, prefix, ok = strings.Cut(name, "@")
		attribute, value = "userPrincipalName", name
	}
	if !ok || user == "" && attribute == "sAMAccountName" {
		return "", ""
	}
	for _, d := range f.Domains {
		if strings.EqualFold(d.NetBIOS, prefix) || strings.EqualFold(d.Name, prefix) {
			return d.Name, "(&(objectClass=user)(" + attribute + "=" + EscapeFilter(value) + "))"
		}
	}
	return "", ""
}

// AccountQuestion asks a domain controller for all that ReadAccount reads. A computer or a group gives no entry.
func AccountQuestion(dc, dn string) SearchQuestion {
	return NewSearch(dc, dn, "base", "(&(objectClass=user)(!(objectClass=computer)))",
		"sAMAccountName", "userAccountControl", "lockoutTime", "accountExpires", "pwdLastSet", "msDS-UserPasswordExpiryTimeComputed",
		"msDS-User-Account-Control-Computed", "servicePrincipalName")
}

// ReadAccount reads the state of an account from the answer to an AccountQuestion. When its password ends is known only where the domain
// controller computes it. The error names the attribute that is malformed or missing.
func ReadAccount(e Entry) (ServiceAccount, error) { return serviceAccount(e, 0) }

// lockedOut is the bit of msDS-User-Account-Control-Computed that says so ([MS-ADTS] 3.1.1.4.5.17).
const lockedOut = 0x10

// serviceAccount reads an account. maxAge is how long a password of its domain is good, 0 for ever; the domain controller's own
// computation, which knows of finer policies, goes before it (Windows Server 2008 and later).
func serviceAccount(e Entry, maxAge time.Duration) (ServiceAccount, error) {
	var err error
	number := func(attribute string) (int64, bool) {
		text := e.Value(attribute)
		if text == "" {
			return 0, false
		}
		v, bad := strconv.ParseInt(text, 10, 64)
		if bad != nil {
			err = errors.New(attribute + " is no number")
		}
		return v, bad == nil
	}
	uac, known := number("userAccountControl")
	if !known && err == nil {
		err = errors.New("userAccountControl is missing")
	}
	a := ServiceAccount{DN: e.DN, Disabled: uac&AccountDisabled != 0, PasswordNeverExpires: uac&PasswordNeverExpires != 0}
	if computed, ok := number("msDS-User-Account-Control-Computed"); ok {
		a.Locked = computed&lockedOut != 0
	} else if lockout, ok := number("lockoutTime"); ok {
		a.Locked = lockout != 0
	}
	expires, _ := number("accountExpires")
	a.Expires = ntds.FileTime(expires)
	set, isSet := number("pwdLastSet")
	a.MustChange = isSet && set == 0 && !a.PasswordNeverExpires
	if end, ok := number("msDS-UserPasswordExpiryTimeComputed"); ok {
		a.PasswordExpires = ntds.FileTime(end)
	} else if !a.PasswordNeverExpires && maxAge > 0 && set > 0 {
		a.PasswordExpires = ntds.FileTime(set).Add(maxAge)
	}
	for _, v := range e.Values("servicePrincipalName") {
		a.SPNs = append(a.SPNs, string(v))
	}
	slices.Sort(a.SPNs)
	return a, err
}

// maxAge reads maxPwdAge, a negative number of 100 ns units; 0 and the least number mean that passwords do not expire ([MS-SAMR] 3.1.5.14.7).
func maxAge(s string) time.Duration {
	v, err := strconv.ParseInt(s, 10, 64)
	const longest = -(1 << 63) / 100
	if err != nil || v >= 0 || v <= longest {
		return 0
	}
	return time.Duration(-v) * 100
}
