package facts

import (
	"strconv"
	"testing"
	"time"

	"ocsdoctor/checks/evidence/ntds"
)

func TestParentDN(t *testing.T) {
	t.Parallel()
	for dn, want := range map[string]string{
		"CN=Alice,OU=Employes,DC=todorovic,DC=adds": "OU=Employes,DC=todorovic,DC=adds",
		`CN=Martin\, Alice,CN=Users,DC=x`:           "CN=Users,DC=x",
		`CN=back\\,CN=Users`:                        "CN=Users",
		"DC=adds":                                   "",
		"":                                          "",
	} {
		if got := ParentDN(dn); got != want {
			t.Errorf("ParentDN(%q) = %q, not %q", dn, got, want)
		}
	}
}

func TestSiteOfDN(t *testing.T) {
	t.Parallel()
	const sites = "CN=Sites,CN=Configuration,DC=todorovic,DC=adds"
	for dn, want := range map[string]string{
		"CN=DC1,CN=Servers,CN=Lyon," + sites:                               "Lyon",
		"CN=NTDS Settings,CN=DC1,CN=Servers,CN=Paris Nord," + sites:        "Paris Nord",
		`CN=NTDS Settings,CN=DC1,CN=Servers,CN=Saint\-Denis\, 93,` + sites: "Saint-Denis, 93",
		sites: "",
		"":    "",
	} {
		if got := SiteOfDN(dn); got != want {
			t.Errorf("SiteOfDN(%q) = %q, not %q", dn, got, want)
		}
	}
}

func TestDomainPart(t *testing.T) {
	t.Parallel()
	if got := DomainPart("CN=Alice,OU=DC=trap,DC=todorovic,DC=adds"); got != "DC=todorovic,DC=adds" {
		t.Errorf("DomainPart = %q", got)
	}
	if got := DomainPart("CN=Alice"); got != "" {
		t.Errorf("DomainPart = %q", got)
	}
}

func TestClosedMinutes(t *testing.T) {
	t.Parallel()
	always := make([]byte, 188)
	for i := range always {
		always[i] = 0xff
	}
	night := append([]byte(nil), always...)
	for day := range 7 {
		for hour := range 8 { // open from 8 on
			night[20+24*day+hour] = 0xf0
		}
	}
	weekend := append([]byte(nil), always...)
	for hour := range 5 { // closed from Saturday 22:00 to Sunday 03:00, over the end of the week
		weekend[20+(166+hour)%168] = 0
	}
	for name, c := range map[string]struct {
		schedule []byte
		want     int
	}{
		"always": {always, 0}, "by night": {night, 8 * 60}, "over the end of the week": {weekend, 5 * 60},
		"never": {make([]byte, 188), 168 * 60}, "none": {nil, 0}, "cut off": {make([]byte, 100), 0},
	} {
		if got := closedMinutes(c.schedule); got != c.want {
			t.Errorf("%s: %d minutes, not %d", name, got, c.want)
		}
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"-36288000000000": 42 * 24 * time.Hour, "0": 0, "-9223372036854775808": 0, "": 0, "soon": 0, "5": 0,
	} {
		if got := maxAge(text); got != want {
			t.Errorf("maxAge(%q) = %v, not %v", text, got, want)
		}
	}
}

func TestServiceAccount(t *testing.T) {
	t.Parallel()
	set := time.Date(2010, 5, 1, 8, 0, 0, 0, time.UTC)
	account := func(pairs ...string) Entry {
		e := Entry{DN: "CN=RTCService,CN=Users,DC=todorovic,DC=adds", Attributes: map[string][][]byte{"pwdLastSet": {strconv.AppendInt(nil, ntds.ToFileTime(set), 10)}}}
		for i := 0; i < len(pairs); i += 2 {
			e.Attributes[pairs[i]] = [][]byte{[]byte(pairs[i+1])}
		}
		return e
	}
	const age = 42 * 24 * time.Hour
	policy, err := serviceAccount(account("userAccountControl", "512"), age)
	if err != nil || !policy.PasswordExpires.Equal(set.Add(age)) {
		t.Errorf("by the policy it expires %v, %v", policy.PasswordExpires, err)
	}
	computed, err := serviceAccount(account("userAccountControl", "512", "msDS-UserPasswordExpiryTimeComputed", "9223372036854775807"), age)
	if err != nil || !computed.PasswordExpires.IsZero() {
		t.Errorf("a finer policy says never, and it expires %v, %v", computed.PasswordExpires, err)
	}
	never, err := serviceAccount(account("userAccountControl", "66048", "pwdLastSet", "0"), age)
	if err != nil || !never.PasswordNeverExpires || never.MustChange || !never.PasswordExpires.IsZero() {
		t.Errorf("an account whose password never expires reads %+v, %v", never, err)
	}
	locked, err := serviceAccount(account("userAccountControl", "514", "lockoutTime", "129034377000000000"), 0)
	if err != nil || !locked.Locked || !locked.Disabled {
		t.Errorf("a locked and disabled account reads %+v, %v", locked, err)
	}
	// The lockout is over although the time of the last one is still there.
	over, err := serviceAccount(account("userAccountControl", "512", "lockoutTime", "129034377000000000", "msDS-User-Account-Control-Computed", "0"), 0)
	if err != nil || over.Locked {
		t.Errorf("an account that was locked once reads %+v, %v", over, err)
	}
	for name, bad := range map[string]Entry{"no userAccountControl": account(), "no number": account("userAccountControl", "512", "accountExpires", "soon")} {
		if a, err := serviceAccount(bad, age); err == nil {
			t.Errorf("%s reads as %+v", name, a)
		}
	}
}
