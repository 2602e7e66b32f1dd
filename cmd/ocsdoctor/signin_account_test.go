package main

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live"
	"ocsdoctor/fixtures/lab"
	"ocsdoctor/report"
)

const (
	aliceURI  = "sip:alice@todorovic.fr"
	aliceUser = `TODOROVIC\alice`
)

// passwordFile is a file with a password.
func passwordFile(t *testing.T, password string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(name, []byte(password+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// With a test account the walk goes on to where the user is signed in, and out again.
func TestASignInWithTheTestAccount(t *testing.T) {
	t.Parallel()
	wrong := []string{"--sip-password-file", passwordFile(t, "Not-The-Password")}
	for name, c := range map[string]struct {
		uri, lab string
		args     []string
		stopped  int
		code     int
		answers  map[int]string // by number of the step
		notTried map[int]string
		root     string
		sees     bool
		next     string
	}{
		"the right password": {
			uri: aliceURI, lab: "todorovic",
			answers: map[int]string{7: "NTLM 200 OK; signed by the server", 8: "it is not sent on", 9: "200 OK, the registration is removed"},
		},
		"a wrong password": {
			uri: aliceURI, lab: "todorovic", args: wrong, stopped: 7, code: 1, sees: true, next: `ocsdoctor explain "ms-diagnostics 1000"`,
			answers:  map[int]string{7: "NTLM 401 Unauthorized; ms-diagnostics 1000;"},
			notTried: map[int]string{8: "the client stops at step 7", 9: "the client stops at step 7"},
		},
		"somebody else's address": {
			uri: "sip:bruno@todorovic.fr", lab: "todorovic", stopped: 7, code: 1, sees: true, next: `ocsdoctor explain "ms-diagnostics 4004"`,
			answers: map[int]string{7: "NTLM 403 Forbidden; signed by the server that knows the account; ms-diagnostics 4004;"},
		},
		"a user who is not enabled": {
			uri: "sip:bruno@todorovic.fr", lab: "todorovic+user-not-enabled", args: []string{"--sip-user", `TODOROVIC\bruno`}, stopped: 7, code: 1, sees: true, root: "account/user-enabled:not-enabled",
			answers: map[int]string{7: "NTLM 404 Not Found"},
		},
		"a home pool elsewhere": {
			uri: aliceURI, lab: "todorovic+second-pool",
			answers: map[int]string{
				7: "NTLM 301 Redirect request to Home Server; signed by the server", 8: "the certificate of ocs2.todorovic.adds: it is for ocs2.todorovic.adds, sip.todorovic.fr, valid until",
				9: "200 OK, the registration is removed",
			},
		},
		"a certificate that has expired": {
			uri: aliceURI, lab: "todorovic+certificate-expired", stopped: 5, code: 1, sees: true, root: "pki/validity:expired",
			notTried: map[int]string{7: "the client stops at step 5", 8: "the client stops at step 5", 9: "the client stops at step 5"},
		},
		"a certificate that nobody trusts": {
			uri: aliceURI, lab: "todorovic+untrusted-root", stopped: 5, code: 1, sees: true, root: "pki/chain-trusted:untrusted-root",
			notTried: map[int]string{6: "the client stops at step 5", 7: "the client stops at step 5"},
		},
		"no account": {
			uri: aliceURI, lab: "todorovic", args: []string{"--sip-user="},
			notTried: map[int]string{7: "no test account was given (--sip-user)", 8: "no test account was given (--sip-user)", 9: "no test account was given (--sip-user)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, code := signinJSON(t, c.uri, append([]string{"--lab", c.lab, "--sip-user", aliceUser}, c.args...)...)
			root := ""
			if s.Root != nil {
				root = s.Root.Check + ":" + s.Root.Tag
			}
			if code != c.code || s.StoppedAt != c.stopped || root != c.root || (s.UserSees != nil) != c.sees || c.next != "" && s.Next != c.next {
				t.Errorf("exit %d, stopped at %d, root %q, sees %+v, next %q; %+v", code, s.StoppedAt, root, s.UserSees, s.Next, s.Steps)
			}
			for n, want := range c.answers {
				if got := s.Steps[n-1]; !strings.Contains(got.Answer, want) || got.Outcome == report.StepNotTried || got.DurationMs < 0 {
					t.Errorf("step %d is %+v, want %q", n, got, want)
				}
			}
			for n, want := range c.notTried {
				if got := s.Steps[n-1]; got.NotTried != want {
					t.Errorf("step %d is %+v, want %q", n, got, want)
				}
			}
		})
	}
}

// walkLab walks the sign-in of Alice in a lab with a password, over the lab's addresses with changes.
func walkLab(t *testing.T, l *lab.Lab, password string, changes map[string]string) (*report.SignIn, *evidence.Store) {
	t.Helper()
	scope, addresses := l.Scope, maps.Clone(l.Map)
	maps.Copy(addresses, changes)
	scope.SIPUser, scope.UserAgent, scope.CheckUsers, scope.Phase = aliceUser, defaultUserAgent, []string{aliceURI}, facts.PhasePostInstall
	src, err := live.New(live.Options{Scope: scope, Password: l.Password, SIPPassword: password, Lab: addresses})
	if err != nil {
		t.Fatal(err)
	}
	store := evidence.NewStore(t.Context(), withScope(scope, time.Now(), src))
	walk := report.NewSignIn(store, report.SignInMeta{URI: aliceURI, Scope: scope, Now: time.Now(), Means: means})
	walk.Judge(store, engine.Run(store, signinChecks(), time.Now()), sees)
	return walk, store
}

// A password is proved once, nothing of it is recorded, and the account is not left signed in.
func TestASignInLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for right, want := range map[bool]int{true: 3, false: 2} { // the empty token, the proof, the end
		l := startLab(t, "todorovic", lab.Options{})
		password := "Not-The-Password"
		if right {
			password = l.SIPPasswords["alice"]
		}
		walk, store := walkLab(t, l, password, nil)
		if stopped := walk.StoppedAt == 7; stopped == right {
			t.Errorf("stopped at %d", walk.StoppedAt)
		}
		with, signedIn := 0, 0
		for _, q := range l.Queries() {
			switch q {
			case "sip 192.168.1.20:5061 REGISTER sip:todorovic.fr with NTLM":
				with++
			case "sip 192.168.1.20:5061 alice signs in":
				signedIn++
			}
		}
		if with != want+1 || (signedIn == 1) != right || len(l.Registered()) > 0 { // one more is the empty token of signin/ntlm-info
			t.Errorf("%d requests with NTLM, %d sign-ins, registered %v", with, signedIn, l.Registered())
		}
		b, err := json.Marshal(store.Records())
		if err != nil || strings.Contains(string(b), password) || strings.Contains(string(b), base64.StdEncoding.EncodeToString([]byte("NTLMSSP\x00\x03"))) {
			t.Errorf("the password, or what proves it, is recorded: %v", err)
		}
	}
}

// The home pool is asked under its own name: one that is down, or shows another's certificate, stops the client there.
func TestAHomePoolThatCannotBeHad(t *testing.T) {
	t.Parallel()
	l := startLab(t, "todorovic+second-pool", lab.Options{})
	closed := startLab(t, "todorovic+sip-port-refused", lab.Options{}).Map["tcp 192.168.1.20:5061"]
	for at, c := range map[string]struct{ answer, sees string }{
		closed:                         {"the connection is refused", "temporarily unavailable"},
		l.Map["tcp 192.168.1.20:5061"]: {"it is for ocs.todorovic.adds, sip.todorovic.fr and not for ocs2.todorovic.adds", "verifying the certificate"},
	} {
		walk, _ := walkLab(t, l, l.SIPPasswords["alice"], map[string]string{"tcp 192.168.1.21:5061": at})
		if st := walk.Steps[7]; walk.StoppedAt != 8 || !strings.Contains(st.Answer, c.answer) || walk.UserSees == nil || !strings.Contains(walk.UserSees.EN, c.sees) {
			t.Errorf("stopped at %d: %+v, the user sees %+v", walk.StoppedAt, st, walk.UserSees)
		}
		if walk.Steps[8].NotTried != "the client stops at step 8" || walk.Reach != report.ReachPool {
			t.Errorf("reaches %s, %+v", walk.Reach, walk.Steps[8])
		}
	}
}

func TestTheTestAccountIsGivenRightly(t *testing.T) {
	t.Parallel()
	file := passwordFile(t, "x")
	for name, args := range map[string][]string{
		"no domain":         {"--sip-user", "alice", "--sip-password-file", file},
		"no name":           {"--sip-user", `TODOROVIC\`, "--sip-password-file", file},
		"a file alone":      {"--sip-password-file", file},
		"no such file":      {"--sip-user", aliceUser, "--sip-password-file", file + "s"},
		"nobody of the lab": {"--sip-user", `TODOROVIC\nobody`},
	} {
		if code, _, errs := call(t, append([]string{"signin", aliceURI, "--lab", "todorovic"}, args...)...); code != 2 || errs == "" {
			t.Errorf("%s: exit %d, %s", name, code, errs)
		}
	}
	if code, _, errs := call(t, "signin", aliceURI, "--from", "x.zip", "--sip-user", aliceUser); code != 2 || !strings.Contains(errs, "--sip-user") {
		t.Errorf("exit %d, %s", code, errs)
	}
	if _, out, _ := call(t, "signin", "--help"); !strings.Contains(out, "lockout") || !strings.Contains(out, "OCSDOCTOR_SIP_PASSWORD") {
		t.Errorf("the help does not warn:\n%s", out)
	}
}
