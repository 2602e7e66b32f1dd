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
	// Cite is the search that read it.
	Cite evidence.Key `json:"cite"`
}

// ServiceGroups are the groups whose members run the services: Front End, and all other components.
var ServiceGroups = []string{"RTCComponentUniversalServices", "RTCHSUniversalServices"}

// ServiceAccounts are the accounts that are direct members of the RTC service groups, computers and groups left out, sorted by name.
// They are never found by the names RTCService and RTCComponentService, which are only defaults.
var ServiceAccounts = &evidence.Kind[evidence.None, []ServiceAccount]{
	Name:   "topology.service-accounts",
	Doc:    "the accounts that OCS services run as: the members of the RTC service groups",
	Needs:  []evidence.AnyKind{Groups, Forest, DomainReader, Search},
	Derive: deriveServiceAccounts,
}

func deriveServiceAccounts(r *evidence.Reader, _ evidence.None) ([]ServiceAccount, error) {
	groups, err := Groups.Get(r, evidence.None{})
	if err != nil {
		return nil, err
	}
	forest, err := Forest.Get(r, evidence.None{})
	if err != nil {
		return nil, err
	}
	memberOf := map[string][]string{}
	for _, name := range ServiceGroups {
		g, _ := groups.Find(name)
		for _, dn := range g.Members {
			memberOf[dn] = append(memberOf[dn], name)
		}
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
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b ServiceAccount) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
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
