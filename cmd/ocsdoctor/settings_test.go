package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/keytab"
)

func TestTheTicketCacheIsWhereKinitPutIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		uid  int
		want string
	}{
		{"", 1000, "/tmp/krb5cc_1000"}, {"", -1, "error"}, {"FILE:/run/tickets", 0, "/run/tickets"}, {"/run/tickets", 0, "/run/tickets"},
		{`C:\tickets`, -1, `C:\tickets`}, {"KCM:1000", 1000, "error"}, {"KEYRING:persistent:0", 0, "error"}, {"DIR:/run/x", 0, "error"},
	} {
		got, err := ticketCache(c.name, c.uid)
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%q of %d: %s", c.name, c.uid, got)
		}
	}
}

// What proves the account is read before anything is asked, and what is wrong with it is told.
func TestKerberosCredentialsThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	k := keytab.New()
	if err := k.AddEntry("reader", "TODOROVIC.ADDS", "Correct-Horse-7", time.Unix(1e9, 0), 1, etypeID.RC4_HMAC); err != nil {
		t.Fatal(err)
	}
	b, err := k.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	keys, wreck := write("keys", b), write("wreck", []byte("no keytab"))
	for name, c := range map[string]struct {
		cache string
		args  []string
		want  string
	}{
		"both":                      {"", []string{"--kerberos", "--keytab", keys, "--user", "reader@d"}, "choose one"},
		"an account beside tickets": {"", []string{"--kerberos", "--user", "reader@d"}, "leave --user out"},
		"no cache":                  {filepath.Join(dir, "none"), []string{"--kerberos"}, "run kinit"},
		"a wreck of a cache":        {wreck, []string{"--kerberos"}, "no ticket cache of version 3 or 4"},
		"a cache in memory":         {"KCM:0", []string{"--kerberos"}, "of the kind KCM is not read"},
		"a keytab without account":  {"", []string{"--keytab", keys}, "give --user U@REALM"},
		"no realm":                  {"", []string{"--keytab", keys, "--user", `TODOROVIC\reader`}, "give --user U@REALM"},
		"no keytab":                 {"", []string{"--keytab", wreck, "--user", "reader@d"}, "it is no keytab"},
		"another account":           {"", []string{"--keytab", keys, "--user", "writer@todorovic.adds"}, "has no key of writer@TODOROVIC.ADDS"},
		"beside a lab":              {"", []string{"--lab", "todorovic", "--kerberos"}, "--kerberos beside"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KRB5CCNAME", c.cache)
			args := append([]string{"scan", "--dns", "127.0.0.1"}, c.args...)
			if name == "beside a lab" {
				args = append([]string{"scan"}, c.args...)
			} else {
				args = append(args, "--ad-domain", "todorovic.adds")
			}
			code, _, stderr := call(t, args...)
			if code != 2 || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d: %s", code, stderr)
			}
		})
	}
	// The name of the account is known without a network, and its realm is upper case as in the directory.
	code, out, errs := call(t, "scan", "--dry-run", "--dns", "127.0.0.1", "--ad-domain", "todorovic.adds", "--keytab", keys, "--user", "reader@todorovic.adds")
	if code != 0 || !strings.Contains(out, "ldap.search") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
