package live

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/sipauth"
)

// registrar is a server that lets one account in, and behaves as told.
type registrar struct {
	t testing.TB
	// version is that of its challenges; status is the one of those, 401 if 0.
	version, status int
	// flags are those that it offers; 0 for the usual ones.
	flags sipauth.Flags
	// answer is what it says to the right password, "200 OK" if empty, with further fields.
	answer string
	// sign changes a signature; leave is the answer to the REGISTER that expires at once.
	sign  func(string) string
	leave string
	// hang makes it silent once it has seen a proof.
	hang bool
	// kerberos is what it offers besides NTLM, or alone.
	kerberos string
	alone    bool

	proofs atomic.Int64
}

// value is a field of a request, or a parameter in it.
func value(request, expression string) string {
	if m := regexp.MustCompile(expression).FindStringSubmatch(request); m != nil {
		return m[1]
	}
	return ""
}

// conversation answers the requests of one connection.
func (r *registrar) conversation() func(string) string {
	var session *sipauth.Session
	challenge := sipauth.Challenge{Flags: r.flags, DNSComputer: "ocs.d", Nonce: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}
	if r.flags == 0 {
		challenge.Flags = 0xE29882F3
	}
	status, field := r.status, "WWW-Authenticate"
	if status == 0 {
		status = 401
	}
	if status == 407 {
		field = "Proxy-Authenticate"
	}
	names := fmt.Sprintf(`realm="SIP Communications Service", targetname="ocs.d", version=%d`, r.version)
	common := func(request string) string {
		return "From: " + value(request, `From: (.*)\r`) + "\r\nTo: " + value(request, `To: (.*)\r`) + ";tag=00\r\nCall-ID: " + value(request, `Call-ID: (.*)\r`) +
			"\r\nCSeq: " + value(request, `CSeq: (.*)\r`) + "\r\n"
	}
	signed := func(request, answer string) string {
		first, fields, _ := strings.Cut(answer, "\r\n")
		m := sipauth.Signed{
			Scheme: "NTLM", Random: "AB", Number: "1", Realm: "SIP Communications Service", Target: "ocs.d", CallID: value(request, `Call-ID: (.*)\r`),
			CSeq: value(request, `CSeq: (.*)\r`), From: value(request, `From: (.*)\r`), To: value(request, `To: (.*)\r`) + ";tag=00",
			Expires: value(fields+"\r", `Expires: (.*?)\r`), Status: first[:3],
		}
		proof := hex.EncodeToString(session.Sign(m.Buffer(r.version)))
		if r.sign != nil {
			proof = r.sign(proof)
		}
		if fields != "" {
			fields += "\r\n"
		}
		if proof != "" {
			fields += `Authentication-Info: NTLM rspauth="` + proof + `", srand="AB", snum="1", opaque="01", qop="auth", targetname="ocs.d", realm="SIP Communications Service"` + "\r\n"
		}
		return "SIP/2.0 " + first + "\r\n" + common(request) + fields + "\r\n"
	}
	client := func(request string) bool {
		wanted := "Authorization"
		if status == 407 {
			wanted = "Proxy-Authorization"
		}
		own, err := hex.DecodeString(value(request, `response="([^"]*)"`))
		m := sipauth.Signed{
			Scheme: "NTLM", Random: value(request, `crand="([^"]*)"`), Number: value(request, `cnum="([^"]*)"`), Realm: "SIP Communications Service", Target: "ocs.d",
			CallID: value(request, `Call-ID: (.*)\r`), CSeq: value(request, `CSeq: (.*)\r`), From: value(request, `From: (.*)\r`), To: value(request, `To: (.*)\r`),
			Expires: value(request, `Expires: (.*)\r`),
		}
		return strings.Contains(request, "\r\n"+wanted+": NTLM ") && value(request, `opaque="(01)"`) != "" && err == nil && session.Verify(m.Buffer(r.version), own)
	}
	return func(request string) string {
		token := value(request, `gssapi-data="([^"]*)"`)
		switch {
		case !strings.Contains(request, "uthorization: "):
			offers := ""
			if !r.alone {
				offers = field + ": NTLM " + names + "\r\n"
			}
			if r.kerberos != "" {
				offers += field + ": Kerberos realm=\"SIP Communications Service\", targetname=\"" + r.kerberos + "\", version=4\r\n"
			}
			return fmt.Sprintf("SIP/2.0 %d Who\r\n%s%s\r\n", status, common(request), offers)
		case session != nil:
			if !client(request) || value(request, `Expires: (.*)\r`) != "0" {
				r.t.Errorf("the account does not sign out: %s", request)
			}
			if r.leave != "" {
				return r.leave
			}
			return signed(request, "200 OK\r\nExpires: 0")
		case token == "":
			return fmt.Sprintf("SIP/2.0 %d Who\r\n%s%s: NTLM opaque=\"01\", gssapi-data=\"%s\", %s\r\n\r\n", status, common(request), field,
				base64.StdEncoding.EncodeToString(challenge.Bytes()), names)
		}
		r.proofs.Add(1)
		if r.hang {
			<-r.t.Context().Done()
			return ""
		}
		raw, err := base64.StdEncoding.DecodeString(token)
		if err != nil {
			r.t.Errorf("a proof %q: %v", token, err)
		}
		response, err := sipauth.ParseResponse(raw)
		if err != nil || response.Domain+`\`+response.User != `TODOROVIC\test` && response.User != "test@todorovic.adds" {
			r.t.Errorf("a proof %+v: %v", response, err)
		}
		s, ok := response.Verify(challenge, secret)
		if !ok {
			return fmt.Sprintf("SIP/2.0 %d Who\r\n%s%s: NTLM %s\r\nms-diagnostics: 1000;reason=\"Final handshake failed\"\r\n\r\n", status, common(request), field, names)
		}
		session = s
		if signs := strings.Contains(request, "crand="); signs != (r.version >= 4) || signs && !client(request) {
			r.t.Errorf("version %d, and the proof is not signed rightly: %s", r.version, request)
		}
		if r.answer != "" {
			return signed(request, r.answer)
		}
		return signed(request, "200 OK\r\nServer: RTC/3.5\r\nExpires: 7200")
	}
}

// start serves it as a host.
func (r *registrar) start(t *testing.T, host string) string {
	t.Helper()
	r.t = t
	if r.version == 0 {
		r.version = 4
	}
	config := &tls.Config{Certificates: []tls.Certificate{keyPair(t, ecKey(t), named(host), nil)}}
	return serveTLS(t, config, func(c *tls.Conn) { requests(c, r.conversation()) })
}

// account is a run with the test account.
func account(t *testing.T, password string, connect ...string) *rig {
	t.Helper()
	return newRig(t, t.Context(), Options{Connect: connect, Scope: facts.Scope{UserAgent: "UCCAPI/3.5", SIPUser: `TODOROVIC\test`}, SIPPassword: password}).patient()
}

var question = facts.SignInQuestion{Endpoint: front, URI: "sip:test@d"}

func TestSignIn(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*registrar{
		"OCS 2007 R2":          {},
		"OCS 2007":             {version: 3},
		"through a proxy":      {status: 407},
		"without key exchange": {flags: 0xE29882F3 &^ sipauth.KeyExchange},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := account(t, secret, "ocs.d:5061="+r.start(t, "ocs.d"))
			s, err := facts.SignIn.Get(g.reader(), question)
			if err != nil || !s.SignedIn || s.Expires != 7200 || s.Problem != "" || s.Removed != "200 OK" || s.RemoveProblem != "" || len(s.Hops) != 1 {
				t.Fatalf("%+v, %v", s, err)
			}
			if h := s.Last(); h.Scheme != "NTLM" || h.Status != 200 || h.Signature != facts.SignatureRight || h.Server != "RTC/3.5" {
				t.Errorf("%+v", h)
			}
			if r.proofs.Load() != 1 {
				t.Errorf("the password is proved %d times", r.proofs.Load())
			}
			g.noSecret(t)
		})
	}
}

// A wrong password is proved once in a run, wherever else it is asked for.
func TestAWrongPasswordOfTheTestAccountIsTriedOnce(t *testing.T) {
	t.Parallel()
	r, other := &registrar{}, &registrar{}
	g := account(t, "wrong", "ocs.d:5061="+r.start(t, "ocs.d"), "ocs2.d:5061="+other.start(t, "ocs2.d"))
	s, err := facts.SignIn.Get(g.reader(), question)
	if err != nil || s.SignedIn || s.Last().Status != 401 || s.Last().DiagnosticsID() != "1000" || s.Last().Signature != "" || s.Removed+s.RemoveProblem+s.Problem != "" {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, q := range []facts.SignInQuestion{{Endpoint: facts.Endpoint{Host: "ocs2.d", Port: 5061}, URI: question.URI}, {Endpoint: front, URI: "sip:other@d"}} {
		_, err := facts.SignIn.Get(g.reader(), q)
		if f := failure(t, err); f.Reason != evidence.NotConfigured || f.Detail != "the test account is tried once in a run, and was tried at ocs.d:5061" {
			t.Errorf("%+v", f)
		}
	}
	if _, err := facts.SignIn.Get(g.reader(), question); err != nil {
		t.Error(err) // it is remembered
	}
	if r.proofs.Load() != 1 || other.proofs.Load() != 0 {
		t.Errorf("the password is proved %d and %d times", r.proofs.Load(), other.proofs.Load())
	}
}

// A server that falls silent after the proof is not asked again.
func TestAProofThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	r := &registrar{hang: true}
	addr := r.start(t, "ocs.d")
	g := newRig(t, t.Context(), Options{Connect: []string{"ocs.d:5061=" + addr}, Scope: facts.Scope{UserAgent: "x", SIPUser: `TODOROVIC\test`}, SIPPassword: secret})
	_, err := facts.SignIn.Get(g.reader(), question)
	if f := failure(t, err); f.Reason != evidence.Timeout {
		t.Errorf("%+v", f)
	}
	_, err = facts.SignIn.Get(g.reader(), facts.SignInQuestion{Endpoint: front, URI: "sip:test2@d"})
	if f := failure(t, err); f.Reason != evidence.NotConfigured || r.proofs.Load() != 1 {
		t.Errorf("%+v, %d proofs", f, r.proofs.Load())
	}
}

// What a server says that does not know the account is not believed. It is asked to forget the registration all the same.
func TestTheServersSignature(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		r       *registrar
		worth   string
		problem string
	}{
		"wrong":      {&registrar{sign: func(s string) string { return strings.Repeat("0", len(s)) }}, facts.SignatureWrong, "the signature of the answer is wrong"},
		"missing":    {&registrar{sign: func(string) string { return "" }}, facts.SignatureMissing, "the answer is not signed"},
		"no hex":     {&registrar{sign: func(string) string { return "zz" }}, facts.SignatureWrong, "the signature of the answer is wrong"},
		"of another": {&registrar{sign: func(s string) string { return s[2:] + s[:2] }}, facts.SignatureWrong, "the signature of the answer is wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := facts.SignIn.Get(account(t, secret, "ocs.d:5061="+c.r.start(t, "ocs.d")).reader(), question)
			if err != nil || s.SignedIn || s.Last().Signature != c.worth || !strings.HasPrefix(s.Problem, c.problem) || s.Removed != "200 OK" {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

func TestARefusalOfTheAccount(t *testing.T) {
	t.Parallel()
	r := &registrar{answer: "403 Forbidden\r\nms-diagnostics: 4004;reason=\"x\""}
	s, err := facts.SignIn.Get(account(t, secret, "ocs.d:5061="+r.start(t, "ocs.d")).reader(), question)
	if err != nil || s.SignedIn || s.Last().Status != 403 || s.Last().DiagnosticsID() != "4004" || s.Last().Signature != facts.SignatureRight || s.Removed != "" {
		t.Errorf("%+v, %v", s, err)
	}
	r = &registrar{leave: "SIP/2.0 500 Oops\r\n\r\n"}
	s, err = facts.SignIn.Get(account(t, secret, "ocs.d:5061="+r.start(t, "ocs.d")).reader(), question)
	if err != nil || !s.SignedIn || s.Removed != "" || s.RemoveProblem != "500 Oops" {
		t.Errorf("%+v, %v", s, err)
	}
	r = &registrar{flags: sipauth.Unicode | sipauth.NTLM}
	_, err = facts.SignIn.Get(account(t, secret, "ocs.d:5061="+r.start(t, "ocs.d")).reader(), question)
	if f := failure(t, err); f.Reason != evidence.Protocol || r.proofs.Load() != 0 || !strings.Contains(f.Detail, "extended session security") {
		t.Errorf("%+v, %d proofs", f, r.proofs.Load())
	}
}

// A server that took the password may send the account on; the next one has to be what its name says, and TLS is not given up.
func TestTheAccountIsSentOn(t *testing.T) {
	t.Parallel()
	on := func(uri string) *registrar {
		return &registrar{answer: "301 Redirect request to Home Server\r\nContact: <" + uri + ">"}
	}
	home := &registrar{}
	s, err := facts.SignIn.Get(account(t, secret, "ocs.d:5061="+on("sip:ocs2.d:5061;transport=tls").start(t, "ocs.d"), "ocs2.d:5061="+home.start(t, "ocs2.d")).reader(), question)
	if err != nil || !s.SignedIn || len(s.Hops) != 2 || s.Hops[0].Status != 301 || s.Hops[0].Signature != facts.SignatureRight || s.Last().Endpoint.Host != "ocs2.d" || s.Removed != "200 OK" || s.Next.Host != "" {
		t.Errorf("%+v, %v", s, err)
	}
	for name, c := range map[string]struct{ uri, problem string }{
		"back":              {"sip:ocs.d;transport=tls", "it leads back to ocs.d:5061"},
		"nowhere":           {"tel:1", "the answer says nothing of where to go"},
		"to TCP":            {"sip:ocs2.d;transport=tcp", "it leads to ocs2.d:5060 without TLS, where the test account is not shown"},
		"to another's name": {"sip:ocs3.d", "the test account is not shown to ocs3.d:5061, whose certificate is not for that name, or not in date"},
		"to an expired one": {"sip:ocs4.d", "the test account is not shown to ocs4.d:5061, whose certificate is not for that name, or not in date"},
		"to a closed port":  {"sip:ocs5.d", "the connection is refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := &registrar{}
			expired := named("ocs4.d")
			expired.NotBefore, expired.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
			old := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{keyPair(t, ecKey(t), expired, nil)}}, func(c *tls.Conn) {
				requests(c, (&registrar{t: t, version: 4}).conversation())
			})
			g := account(t, secret, "ocs.d:5061="+on(c.uri).start(t, "ocs.d"), "ocs3.d:5061="+other.start(t, "ocs2.d"), "ocs4.d:5061="+old, "ocs5.d:5061="+closedPort(t))
			s, err := facts.SignIn.Get(g.reader(), question)
			if err != nil || s.SignedIn || len(s.Hops) != 1 || !strings.Contains(s.Problem, c.problem) || other.proofs.Load() != 0 {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

// Whoever the account is sent on to has to be one that is trusted, where anything is.
func TestTheAccountIsSentOnToAStranger(t *testing.T) {
	t.Parallel()
	first := &registrar{answer: "301 Redirect request to Home Server\r\nContact: <sip:ocs2.d;transport=tls>"}
	stranger := &registrar{}
	firstAt, strangerAt := first.start(t, "ocs.d"), stranger.start(t, "ocs2.d")
	root := keyPair(t, ecKey(t), x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	home := &registrar{t: t, version: 4}
	homeAt := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{keyPair(t, ecKey(t), named("ocs2.d"), &root)}}, func(c *tls.Conn) { requests(c, home.conversation()) })
	for at, signedIn := range map[string]bool{strangerAt: false, homeAt: true} {
		g := newRig(t, t.Context(), Options{
			Connect: []string{"ocs.d:5061=" + firstAt, "ocs2.d:5061=" + at}, SIPPassword: secret,
			Scope: facts.Scope{UserAgent: "x", SIPUser: `TODOROVIC\test`, RootsGiven: true, Roots: root.Certificate},
		}).patient()
		s, err := facts.SignIn.Get(g.reader(), question)
		if err != nil || s.SignedIn != signedIn || !signedIn && !strings.Contains(s.Problem, "ocs2.d:5061, whose certificate leads to no trusted root") {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if stranger.proofs.Load() != 0 || home.proofs.Load() != 1 {
		t.Errorf("%d and %d proofs", stranger.proofs.Load(), home.proofs.Load())
	}
}

func TestTheAccountIsNotShown(t *testing.T) {
	t.Parallel()
	r := &registrar{}
	addr := r.start(t, "another.d")
	_, err := facts.SignIn.Get(account(t, secret, "ocs.d:5061="+addr).reader(), question)
	if f := failure(t, err); f.Reason != evidence.NoTarget || f.Root.String() != "tls.handshake(ocs.d:5061)" {
		t.Errorf("%+v", f)
	}
	for uri, reason := range map[string]evidence.Reason{"sip:a@d\r\nX: y": evidence.NoTarget, "sip:a>b@d": evidence.NoTarget, "tel:1": evidence.NoTarget, "sip:a@": evidence.NoTarget} {
		_, err := facts.SignIn.Get(account(t, secret, "ocs.d:5061="+addr).reader(), facts.SignInQuestion{Endpoint: front, URI: uri})
		if f := failure(t, err); f.Reason != reason {
			t.Errorf("%q: %+v", uri, f)
		}
	}
	_, err = facts.SignIn.Get(sipRig(t, addr, 5061).reader(), question)
	if f := failure(t, err); f.Reason != evidence.NotConfigured || !strings.Contains(f.Detail, "--sip-user") {
		t.Errorf("%+v", f)
	}
	if r.proofs.Load() != 0 {
		t.Error("the password is proved")
	}
}

// principal is a run with the test account as U@REALM, and a KDC at an address; empty for none.
func principal(t *testing.T, kdc string, connect ...string) *rig {
	t.Helper()
	scope := facts.Scope{UserAgent: "x", SIPUser: "test@todorovic.adds", Resolvers: []facts.Resolver{{ID: "inside#1", View: facts.Inside, Address: "192.0.2.1:53"}}}
	if kdc != "" {
		connect = append(connect, "kdc.d:88="+kdc)
	}
	g := newRig(t, t.Context(), Options{Connect: connect, Scope: scope, SIPPassword: secret}).patient()
	published := facts.DNSAnswerData{Rcode: "NXDOMAIN"}
	if kdc != "" {
		published = facts.DNSAnswerData{Rcode: "NOERROR", Records: []facts.Record{{Name: "_kerberos._tcp.todorovic.adds", Type: "SRV", Target: "kdc.d", Port: 88}}}
	}
	given := map[evidence.Key]*evidence.Record{}
	for key, v := range map[evidence.Key]any{
		facts.ConfigScope.Key(evidence.None{}): scope,
		facts.DNSAnswer.Key(facts.DNSQuestion{Server: "inside#1", Name: "_kerberos._tcp.todorovic.adds", Type: "SRV"}): published,
	} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		given[key] = &evidence.Record{Key: key, Value: b}
	}
	g.store = evidence.NewStore(t.Context(), evidence.Layered{Given: given, Next: g.Source})
	return g
}

// A KDC that refuses the account has seen the one attempt: NTLM is not tried after it.
func TestAKDCThatRefusesTheTestAccount(t *testing.T) {
	t.Parallel()
	r, k := &registrar{kerberos: "sip/ocs.d"}, &kdc{t: t, code: errorcode.KDC_ERR_PREAUTH_FAILED}
	g := principal(t, listen(t, k.handle), "ocs.d:5061="+r.start(t, "ocs.d"))
	_, err := facts.SignIn.Get(g.reader(), question)
	if f := failure(t, err); f.Reason != evidence.Denied || f.Detail != "the test account is refused: the password is wrong" {
		t.Errorf("%+v", f)
	}
	if k.tries.Load() != 1 || r.proofs.Load() != 0 {
		t.Errorf("%d tries at the KDC, %d at the server", k.tries.Load(), r.proofs.Load())
	}
	g.noSecret(t)
}

// Without a ticket, and without a word on the account, NTLM is taken, as Communicator does.
func TestNTLMWhereThereIsNoTicket(t *testing.T) {
	t.Parallel()
	skewed := listen(t, (&kdc{t: t, code: errorcode.KRB_AP_ERR_SKEW}).handle)
	for name, c := range map[string]struct{ kdc, target, why string }{
		"no KDC":              {"", "sip/ocs.d", "no KDC of the realm TODOROVIC.ADDS answers"},
		"a clock that is off": {skewed, "sip/ocs.d", "the clock of this machine and that of kdc.d:88 differ"},
		"no name":             {skewed, "ocs.d", "ocs.d:5061 offers Kerberos under no name of a service"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &registrar{kerberos: c.target}
			s, err := facts.SignIn.Get(principal(t, c.kdc, "ocs.d:5061="+r.start(t, "ocs.d")).reader(), question)
			if err != nil || !s.SignedIn || s.Last().Scheme != "NTLM" || !strings.HasPrefix(s.Last().NoTicket, c.why) {
				t.Errorf("%+v, %v", s, err)
			}
			r = &registrar{kerberos: c.target, alone: true}
			_, err = facts.SignIn.Get(principal(t, c.kdc, "ocs.d:5061="+r.start(t, "ocs.d")).reader(), question)
			if f := failure(t, err); !strings.HasPrefix(f.Detail, c.why) {
				t.Errorf("%+v", f)
			}
		})
	}
	r := &registrar{kerberos: "sip/ocs.d", alone: true}
	_, err := facts.SignIn.Get(account(t, secret, "ocs.d:5061="+r.start(t, "ocs.d")).reader(), question)
	if f := failure(t, err); f.Reason != evidence.NotConfigured || !strings.Contains(f.Detail, "U@REALM") {
		t.Errorf("%+v", f)
	}
	r = &registrar{alone: true}
	_, err = facts.SignIn.Get(account(t, secret, "ocs.d:5061="+r.start(t, "ocs.d")).reader(), question)
	if f := failure(t, err); f.Reason != evidence.NoTarget {
		t.Errorf("%+v", f)
	}
}

// The certificate that counts is that of the connection on which the password is proved, not that of the handshake before it. Another one
// of the same name, as each front end of a pool may have, has to be trusted where anything is.
func TestTheAccountIsNotShownToWhoeverComesBetween(t *testing.T) {
	t.Parallel()
	root := keyPair(t, ecKey(t), x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	for name, c := range map[string]struct {
		then    tls.Certificate
		roots   [][]byte
		problem string
	}{
		"of another name":          {keyPair(t, ecKey(t), named("another.d"), nil), nil, "whose certificate is not for that name"},
		"of the name, a stranger":  {keyPair(t, ecKey(t), named("ocs.d"), nil), root.Certificate, "whose certificate leads to no trusted root"},
		"of the name, trusted":     {keyPair(t, ecKey(t), named("ocs.d"), &root), root.Certificate, ""},
		"of the name, trust in no": {keyPair(t, ecKey(t), named("ocs.d"), nil), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &registrar{t: t, version: 4}
			first := keyPair(t, ecKey(t), named("ocs.d"), &root)
			var connections atomic.Int64
			config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				if connections.Add(1) < 3 { // the handshake, and the REGISTER without credentials
					return &first, nil
				}
				return &c.then, nil
			}}
			addr := serveTLS(t, config, func(c *tls.Conn) { requests(c, r.conversation()) })
			g := newRig(t, t.Context(), Options{Connect: []string{"ocs.d:5061=" + addr}, SIPPassword: secret, Scope: facts.Scope{
				UserAgent: "x", SIPUser: `TODOROVIC\test`, RootsGiven: c.roots != nil, Roots: c.roots,
			}}).patient()
			s, err := facts.SignIn.Get(g.reader(), question)
			if c.problem == "" {
				if err != nil || !s.SignedIn || r.proofs.Load() != 1 {
					t.Errorf("%+v, %v, %d proofs", s, err, r.proofs.Load())
				}
				return
			}
			if f := failure(t, err); f.Reason != evidence.NoTarget || !strings.Contains(f.Detail, c.problem) {
				t.Errorf("%+v", f)
			}
			if r.proofs.Load() != 0 || connections.Load() != 3 {
				t.Errorf("%d proofs over %d connections", r.proofs.Load(), connections.Load())
			}
		})
	}
}

// A redirect with a wrong signature is of someone who does not know the account.
func TestARedirectWithAWrongSignature(t *testing.T) {
	t.Parallel()
	r := &registrar{answer: "301 Redirect request to Home Server\r\nContact: <sip:ocs2.d;transport=tls>", sign: func(s string) string { return strings.Repeat("0", len(s)) }}
	home := &registrar{}
	s, err := facts.SignIn.Get(account(t, secret, "ocs.d:5061="+r.start(t, "ocs.d"), "ocs2.d:5061="+home.start(t, "ocs2.d")).reader(), question)
	if err != nil || s.SignedIn || len(s.Hops) != 1 || s.Last().Signature != facts.SignatureWrong || !strings.HasPrefix(s.Problem, "the signature of the answer is wrong") {
		t.Errorf("%+v, %v", s, err)
	}
	if home.proofs.Load() != 0 {
		t.Error("the password is proved to the next one")
	}
}
