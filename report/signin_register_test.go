package report

import (
	"encoding/json"
	"strings"
	"testing"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// What came of signing the test account in is told in three steps, each with its own outcome.
func TestTheStepsOfTheTestAccount(t *testing.T) {
	t.Parallel()
	at := facts.Endpoint{Host: "ocs.d", Port: 5061}
	hop := func(status int, signature, diagnostics string) facts.SignInHop {
		return facts.SignInHop{Endpoint: at, Scheme: "NTLM", Status: status, Phrase: "Word", Signature: signature, Diagnostics: diagnostics}
	}
	for name, c := range map[string]struct {
		result   any
		outcomes [3]string
		says     [3]string // in the answer, or in why it was not tried
		sees     string
		explain  string
	}{
		"signed in": {
			facts.SignInResult{Hops: []facts.SignInHop{hop(200, facts.SignatureRight, "")}, SignedIn: true, Removed: "200 OK"},
			[3]string{StepOK, StepOK, StepOK}, [3]string{"NTLM 200 Word; signed by the server", "it is not sent on: ocs.d", "200 OK, the registration is removed"}, "", "",
		},
		"by NTLM for want of a ticket": {
			facts.SignInResult{Hops: []facts.SignInHop{{Endpoint: at, Scheme: "NTLM", NoTicket: "dc1.d:88 knows no service sip/ocs.d", Status: 200}}, SignedIn: true, Removed: "200 OK"},
			[3]string{StepOK, StepOK, StepOK}, [3]string{"Kerberos gave no ticket: dc1.d:88 knows no service sip/ocs.d", "", ""}, "", "",
		},
		"not signed out": {
			facts.SignInResult{Hops: []facts.SignInHop{hop(200, facts.SignatureRight, "")}, SignedIn: true, Expires: 7200, RemoveProblem: "500 Oops"},
			[3]string{StepOK, StepOK, StepUnknown}, [3]string{"", "", "the registration may last for 2h0m0s: 500 Oops"}, "", "",
		},
		"asked for nothing": {
			facts.SignInResult{Hops: []facts.SignInHop{{Endpoint: at, Status: 200, Phrase: "OK"}}, SignedIn: true},
			[3]string{StepOK, StepOK, StepNotTried}, [3]string{"200 OK", "", "asked for no proof"}, "", "",
		},
		"not believed": {
			facts.SignInResult{Hops: []facts.SignInHop{hop(200, facts.SignatureWrong, "")}, Problem: "the signature of the answer is wrong"},
			[3]string{StepStops, StepOK, StepNotTried}, [3]string{"the server's signature is wrong; the signature of the answer is wrong", "", ""}, "", "",
		},
		"not SIP": {
			facts.SignInResult{Hops: []facts.SignInHop{{Endpoint: at}}, Problem: "what answers does not speak SIP"},
			[3]string{StepStops, StepOK, StepNotTried}, [3]string{"what answers does not speak SIP", "", ""}, "", "",
		},
		"refused": {
			facts.SignInResult{Hops: []facts.SignInHop{hop(401, "", `1013;reason="Significant time skew"`)}},
			[3]string{StepStops, StepNotTried, StepNotTried}, [3]string{`NTLM 401 Word; ms-diagnostics 1013;reason="Significant time skew" (number 1013)`, "", ""}, seesIncorrect, `ocsdoctor explain "ms-diagnostics 1013"`,
		},
		"refused for its password": {
			facts.SignInResult{Hops: []facts.SignInHop{hop(401, "", `1000;reason="Final handshake failed"`)}},
			[3]string{StepStops, StepNotTried, StepNotTried}, [3]string{"towards its lockout", "", ""}, seesIncorrect, `ocsdoctor explain "ms-diagnostics 1000"`,
		},
		"of a version that is not let in": {
			facts.SignInResult{Hops: []facts.SignInHop{hop(403, "", "17002;")}},
			[3]string{StepStops, StepNotTried, StepNotTried}, [3]string{"17002", "", ""}, seesVersion, `ocsdoctor explain "ms-diagnostics 17002"`,
		},
		"overloaded, without a reason": {
			facts.SignInResult{Hops: []facts.SignInHop{hop(503, "", "")}}, [3]string{StepStops, StepNotTried, StepNotTried}, [3]string{"NTLM 503", "", ""}, "", "",
		},
		"refused by the home pool": {
			facts.SignInResult{Hops: []facts.SignInHop{hop(301, facts.SignatureRight, ""), {Endpoint: facts.Endpoint{Host: "ocs2.d", Port: 5060}, TCP: true, Scheme: "NTLM", Status: 404, Diagnostics: "4006;"}}},
			[3]string{StepOK, StepStops, StepNotTried}, [3]string{"NTLM 301", "ocs2.d:5060: NTLM 404, ms-diagnostics 4006; (number 4006)", ""}, seesIncorrect, `ocsdoctor explain "ms-diagnostics 4006"`,
		},
		"sent round": {
			facts.SignInResult{Hops: []facts.SignInHop{hop(301, facts.SignatureRight, "")}, Problem: "it leads back to ocs.d:5061", Next: at, NextTCP: true},
			[3]string{StepOK, StepStops, StepNotTried}, [3]string{"", "it leads back to ocs.d:5061", ""}, seesUnavailable, "",
		},
		"refused by the KDC": {
			evidence.Fail(evidence.Denied, "the test account is refused: the password is wrong"),
			[3]string{StepStops, StepNotTried, StepNotTried}, [3]string{"the test account is refused: the password is wrong", "", ""}, seesIncorrect, "",
		},
		"not answered": {
			evidence.Fail(evidence.Timeout, "ocs.d:5061/tcp did not answer in time"),
			[3]string{StepUnknown, StepNotTried, StepNotTried}, [3]string{"could not look: ocs.d:5061/tcp did not answer in time", "", ""}, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := facts.SignInQuestion{Endpoint: at, URI: "sip:a@d"}
			rec := &evidence.Record{Key: facts.SignIn.Key(q)}
			if f, ok := c.result.(*evidence.Failure); ok {
				rec.Failure = f
			} else {
				var err error
				if rec.Value, err = json.Marshal(c.result); err != nil {
					t.Fatal(err)
				}
			}
			store := evidence.NewStore(t.Context(), evidence.Recorded{rec.Key: rec})
			s := &SignIn{URI: q.URI, at: at, account: `D\a`, means: func(id string) string { return "number " + id }}
			for i := range stepAccount {
				st := SignInStep{Outcome: StepOK}
				if i >= stepAuthenticate {
					st.Outcome = StepNotTried
				}
				s.Steps = append(s.Steps, st)
			}
			(&signInJudge{SignIn: s}).signIn(store)
			sees := ""
			for i, st := range s.Steps[stepAuthenticate:] {
				if st.Outcome != c.outcomes[i] || !strings.Contains(strings.Join(st.answers, "; ")+st.NotTried, c.says[i]) {
					t.Errorf("%d: %+v, want %s with %q", i, st, c.outcomes[i], c.says[i])
				}
				if st.Outcome == StepStops {
					sees = st.sees
				}
			}
			if sees != c.sees || s.explain != c.explain {
				t.Errorf("the user sees %q, and what explains it is %q", sees, s.explain)
			}
		})
	}
}
