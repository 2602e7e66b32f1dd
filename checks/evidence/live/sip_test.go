package live

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
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
