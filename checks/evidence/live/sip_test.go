package live

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/sipauth"
)

// serveSIP answers the first request on a TLS connection with what answer writes.
func serveSIP(t *testing.T, answer func(c *tls.Conn, request string)) string {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{keyPair(t, ecKey(t), named("ocs.d"), nil)}}
	return serveTLS(t, config, func(c *tls.Conn) {
		var b strings.Builder
		for r := bufio.NewReader(c); !strings.HasSuffix(b.String(), "\r\n\r\n"); {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			b.WriteString(line)
		}
		answer(c, b.String())
	})
}

func write(c *tls.Conn, s string) { _, _ = io.WriteString(c, s) }

func register(t *testing.T, addr, domain string) (facts.SIPAnswer, error) {
	t.Helper()
	g := newRig(t, t.Context(), Options{
		Connect: []string{"ocs.d:5061=" + addr},
		Scope:   facts.Scope{UserAgent: "UCCAPI/3.5.6907.0 OC/3.5.6907.0 (Microsoft Office Communicator 2007 R2)"},
	})
	return facts.Register.Get(g.reader(), facts.RegisterQuestion{Endpoint: front, Domain: domain})
}

const unauthorized = "\r\n\r\nSIP/2.0 100 Trying\r\nContent-Length: 4\r\n\r\nwait" +
	"SIP/2.0 401 Unauthorized\r\nDate: Mon, 02 Mar 2009 10:00:00 GMT\r\n" +
	"WWW-Authenticate: NTLM realm=\"SIP Communications Service\", targetname=\"ocs.d\", version=4\r\n" +
	"WWW-Authenticate: Kerberos realm=\"SIP Communications Service\",\r\n\ttargetname=\"sip/ocs.d\", version=4\r\n" +
	"WWW-Authenticate: TLS-DSK realm=\"SIP Communications Service\", targetname=\"a, \\\"b\\\"\", version=4, sts-uri=\"https://ocs.d\"\r\n" +
	"f: <sip:ocsdoctor@todorovic.fr>\r\nl: 0\r\n\r\n"

func TestRegister(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	a, err := register(t, serveSIP(t, func(c *tls.Conn, request string) {
		asked <- request
		write(c, unauthorized)
	}), "todorovic.fr")
	if err != nil || a.NotSIP || a.Status != 401 || a.Phrase != "Unauthorized" || len(a.Challenges) != 3 {
		t.Fatalf("%+v, %v", a, err)
	}
	if got := a.Challenges[1]; got.Scheme != "Kerberos" || got.Parameters["targetname"] != "sip/ocs.d" || got.Parameters["version"] != "4" {
		t.Errorf("the folded challenge is %+v", got)
	}
	if got := a.Challenges[2].Parameters["targetname"]; got != `a, "b"` {
		t.Errorf("the quoted string is %q", got)
	}
	if a.Header("From") == "" || a.Header("Date") != "Mon, 02 Mar 2009 10:00:00 GMT" || !strings.HasPrefix(string(a.Raw), "SIP/2.0 401") {
		t.Errorf("the headers are %+v", a.Headers)
	}
	lines := strings.Split(<-asked, "\r\n")
	if lines[0] != "REGISTER sip:todorovic.fr SIP/2.0" {
		t.Errorf("asked %q", lines[0])
	}
	for _, want := range []string{"To: <sip:ocsdoctor@todorovic.fr>", "CSeq: 1 REGISTER", "Event: registration", "Content-Length: 0",
		"User-Agent: UCCAPI/3.5.6907.0 OC/3.5.6907.0 (Microsoft Office Communicator 2007 R2)"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in %q", want, lines)
		}
	}
	if !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "From: ") && strings.Contains(s, ";epid=") }) {
		t.Error("there is no epid")
	}
	if slices.ContainsFunc(lines, func(s string) bool { return strings.Contains(s, "Authorization") }) {
		t.Error("credentials were sent")
	}
}

func TestRegisterOverLegacyTLS(t *testing.T) {
	t.Parallel()
	config := &tls.Config{
		Certificates: []tls.Certificate{keyPair(t, rsaKey(t), named("ocs.d"), nil)},
		MinVersion:   tls.VersionTLS10, MaxVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA},
	}
	a, err := register(t, serveTLS(t, config, func(c *tls.Conn) {
		_, _ = bufio.NewReader(c).ReadString('\n')
		write(c, "SIP/2.0 404 Not Found\r\n\r\n")
	}), "todorovic.fr")
	if err != nil || a.Status != 404 || a.Phrase != "Not Found" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAnswersThatAreNotSIP(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*tls.Conn, string){
		"HTTP":               func(c *tls.Conn, _ string) { write(c, "HTTP/1.1 400 Bad Request\r\nServer: IIS\r\n\r\n") },
		"a line that hangs":  func(c *tls.Conn, _ string) { write(c, "\x00\x01\x02"); drain(c) },
		"a status of no SIP": func(c *tls.Conn, _ string) { write(c, "SIP/2.0 what\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := register(t, serveSIP(t, answer), "todorovic.fr")
			if err != nil || !a.NotSIP || len(a.Raw) == 0 {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

func TestRegisterThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(*tls.Conn, string)
		reason evidence.Reason
		detail string
	}{
		"silence":      {func(c *tls.Conn, _ string) { drain(c) }, evidence.Timeout, "ocs.d:5061/tcp did not answer in time"},
		"a drip":       {func(c *tls.Conn, _ string) { write(c, "SIP/2.0 401"); drip('1')(c) }, evidence.Timeout, "ocs.d:5061/tcp did not answer in time"},
		"a close":      {func(*tls.Conn, string) {}, evidence.Protocol, "ocs.d:5061 closed the connection without an answer to REGISTER"},
		"an avalanche": {func(c *tls.Conn, _ string) { write(c, "SIP/2.0 200 OK\r\n"+strings.Repeat("A: b\r\n", 5000)) }, evidence.Protocol, "more than a SIP response may have"},
		"a long line":  {func(c *tls.Conn, _ string) { write(c, "SIP/2.0 200 "+strings.Repeat("x", 100_000)) }, evidence.Protocol, "more than a SIP response may have"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := register(t, serveSIP(t, c.answer), "todorovic.fr")
			if f := failure(t, err); f.Reason != c.reason || !strings.Contains(f.Detail, c.detail) || f.Root.Kind != "sip.register" {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestRegisterNeedsAHandshake(t *testing.T) {
	t.Parallel()
	_, err := register(t, listen(t, func(c net.Conn) { _, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 40}); silent(c) }), "todorovic.fr")
	if f := failure(t, err); f.Reason != evidence.NoTarget || f.Root.String() != "tls.handshake(ocs.d:5061)" || !strings.Contains(f.Detail, "alert handshake failure") {
		t.Errorf("%+v", f)
	}
}

func TestADomainCannotSmuggleHeaders(t *testing.T) {
	t.Parallel()
	for _, domain := range []string{"a.d\r\nEvil: 1", "a.d>", "", "a d", "a;b"} {
		_, err := register(t, serveSIP(t, func(c *tls.Conn, _ string) { write(c, "SIP/2.0 200 OK\r\n\r\n") }), domain)
		if f := failure(t, err); f.Reason != evidence.NoTarget {
			t.Errorf("%q: %+v", domain, f)
		}
	}
}

// serveRequests answers each request of a connection, over TLS or over TCP alone, with what answer gives.
func serveRequests(t *testing.T, tcp bool, answer func(request string) string) string {
	t.Helper()
	handle := func(c net.Conn) { requests(c, answer) }
	if tcp {
		return listen(t, handle)
	}
	config := &tls.Config{Certificates: []tls.Certificate{keyPair(t, ecKey(t), named("ocs.d"), nil)}}
	return serveTLS(t, config, func(c *tls.Conn) { handle(c) })
}

// requests answers each request of a connection.
func requests(c net.Conn, answer func(request string) string) {
	r := bufio.NewReader(c)
	for {
		var b strings.Builder
		for !strings.HasSuffix(b.String(), "\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			b.WriteString(line)
		}
		_, _ = io.WriteString(c, answer(b.String()))
	}
}

func sipRig(t *testing.T, addr string, port int) *rig {
	t.Helper()
	return newRig(t, t.Context(), Options{
		Connect: []string{facts.JoinHostPort("ocs.d", port) + "=" + addr},
		Scope:   facts.Scope{UserAgent: "UCCAPI/3.5.6907.0 OC/3.5.6907.0 (Microsoft Office Communicator 2007 R2)"},
	}).patient()
}

func TestRegisterAndOptionsOverTCP(t *testing.T) {
	t.Parallel()
	at := facts.Endpoint{Host: "ocs.d", Port: facts.SIPTCPPort}
	asked := make(chan string, 2)
	g := sipRig(t, serveRequests(t, true, func(request string) string {
		asked <- request
		return "SIP/2.0 200 OK\r\nServer: RTC/3.5\r\n\r\n"
	}), at.Port)
	a, err := facts.Register.Get(g.reader(), facts.RegisterQuestion{Endpoint: at, Domain: "todorovic.fr", TCP: true})
	if err != nil || a.Status != 200 {
		t.Fatalf("%+v, %v", a, err)
	}
	if q := <-asked; !strings.Contains(q, "\r\nVia: SIP/2.0/TCP 127.") || !strings.Contains(q, ";transport=tcp;") {
		t.Errorf("asked %q", q)
	}
	a, err = facts.Options.Get(g.reader(), facts.OptionsQuestion{Endpoint: at, TCP: true})
	if err != nil || a.Header("Server") != "RTC/3.5" {
		t.Fatalf("%+v, %v", a, err)
	}
	if q := <-asked; !strings.HasPrefix(q, "OPTIONS sip:ocs.d SIP/2.0\r\n") || !strings.Contains(q, "\r\nCSeq: 1 OPTIONS\r\n") || strings.Contains(q, "Event:") {
		t.Errorf("asked %q", q)
	}
}

func TestSIPOverTCPNeedsAPortThatIsOpen(t *testing.T) {
	t.Parallel()
	g := sipRig(t, closedPort(t), facts.SIPTCPPort)
	_, err := facts.Options.Get(g.reader(), facts.OptionsQuestion{Endpoint: facts.Endpoint{Host: "ocs.d", Port: facts.SIPTCPPort}, TCP: true})
	if f := failure(t, err); f.Reason != evidence.NoTarget || f.Root.String() != "net.connect(ocs.d:5060)" {
		t.Errorf("%+v", f)
	}
}

func TestOptionsOverTLS(t *testing.T) {
	t.Parallel()
	g := sipRig(t, serveRequests(t, false, func(string) string { return "SIP/2.0 405 Method Not Allowed\r\n\r\n" }), facts.SIPPort)
	if a, err := facts.Options.Get(g.reader(), facts.OptionsQuestion{Endpoint: front}); err != nil || a.Status != 405 {
		t.Errorf("%+v, %v", a, err)
	}
}

// ntlmServer asks for NTLM, and answers the empty token with what is given.
func ntlmServer(t *testing.T, second string, asked chan<- string) string {
	return serveRequests(t, false, func(request string) string {
		if !strings.Contains(request, "\r\nAuthorization: ") {
			return "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: NTLM realm=\"SIP Communications Service\", targetname=\"a\\\"b.d\", version=4\r\n\r\n"
		}
		asked <- request
		return second
	})
}

func TestTheChallengeOfNTLM(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC)
	message := sipauth.Challenge{
		Flags: 0xE29882F3, NetBIOSDomain: "TODOROVIC", NetBIOSComputer: "OCS", DNSDomain: "Todorovic.adds", DNSComputer: "OCS.todorovic.adds", Forest: "todorovic.adds.",
		Time: at, Version: sipauth.Version{Major: 6, Minor: 1, Build: 7601, Revision: 15},
	}.Bytes()
	asked := make(chan string, 1)
	g := sipRig(t, ntlmServer(t, "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: NTLM opaque=\"01\", gssapi-data=\""+base64.StdEncoding.EncodeToString(message)+"\"\r\n\r\n", asked), facts.SIPPort)
	i, err := facts.NTLM.Get(g.reader(), facts.RegisterQuestion{Endpoint: front, Domain: "todorovic.fr"})
	if err != nil || i.Problem != "" || !i.Has("128") || i.Has("REQUEST_TARGET") || i.NetBIOSDomain != "TODOROVIC" || i.NetBIOSComputer != "OCS" ||
		i.DNSDomain != "todorovic.adds" || i.DNSComputer != "ocs.todorovic.adds" || i.Forest != "todorovic.adds" || i.Windows != "6.1.7601" ||
		i.Time == nil || !i.Time.Equal(at) || i.Asked.IsZero() || string(i.Raw) != string(message) {
		t.Errorf("%+v, %v", i, err)
	}
	want := "\r\nAuthorization: NTLM qop=\"auth\", realm=\"SIP Communications Service\", targetname=\"a\\\"b.d\", version=4, gssapi-data=\"\"\r\n"
	if q := <-asked; !strings.Contains(q, want) || !strings.Contains(q, "\r\nCSeq: 1 REGISTER\r\n") {
		t.Errorf("asked %q", q)
	}
}

// What is no challenge is said in words, and is a value.
func TestNoChallengeOfNTLM(t *testing.T) {
	t.Parallel()
	for second, problem := range map[string]string{
		"SIP/2.0 403 Forbidden\r\n\r\n":                                                   "the answer to the first token of NTLM holds no challenge: 403 Forbidden",
		"SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: NTLM realm=\"a\"\r\n\r\n":          "the answer to the first token of NTLM holds no challenge: 401 Unauthorized",
		"SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: NTLM gssapi-data=\"?\"\r\n\r\n":    "the challenge of NTLM is not in base64",
		"SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: NTLM gssapi-data=\"TlRM\"\r\n\r\n": "the challenge cannot be read: it is no NTLM message",
		"HTTP/1.1 400 Bad Request\r\n\r\n":                                                "the answer to the first token of NTLM holds no challenge: something that is not SIP",
	} {
		g := sipRig(t, ntlmServer(t, second, make(chan string, 1)), facts.SIPPort)
		if i, err := facts.NTLM.Get(g.reader(), facts.RegisterQuestion{Endpoint: front, Domain: "todorovic.fr"}); err != nil || i.Problem != problem {
			t.Errorf("%q: %+v, %v", second, i, err)
		}
	}
	g := sipRig(t, serveRequests(t, false, func(string) string { return "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"a\"\r\n\r\n" }), facts.SIPPort)
	_, err := facts.NTLM.Get(g.reader(), facts.RegisterQuestion{Endpoint: front, Domain: "todorovic.fr"})
	if f := failure(t, err); f.Reason != evidence.NoTarget || f.Detail != "ocs.d:5061 offers no NTLM" || f.Root.Kind != "sip.register" {
		t.Errorf("%+v", f)
	}
}
