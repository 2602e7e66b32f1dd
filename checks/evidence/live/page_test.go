package live

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// What a web server answers over TLS is read without following it anywhere and without giving it anything.
func TestWebPage(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"/abs":       "HTTP/1.1 401 Unauthorized\r\nServer: Microsoft-IIS/7.5\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
		"/together":  "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate, Basic realm=\"a, b\", Digest qop=\"auth\", nonce=\"x=\"\r\nContent-Length: 0\r\n\r\n",
		"/ssl":       "HTTP/1.1 403 Forbidden\r\nContent-Length: 60\r\n\r\n<title>IIS 7.5 - 403.4 - Acc\xe8s refus\xe9 : 500.19 </title>          ",
		"/forbidden": "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nForbidden",
		"/moved":     "HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
		"/long":      "HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n" + strings.Repeat("x", 20<<10),
		"/stopped":   "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\n\r\n<h2>Service Unavailable</h2><hr><p>HTTP Error 503.",
		"/ftp":       "220 ready\r\n",
		"/closed":    "",
	}
	requests := make(chan *http.Request, len(answers))
	config := &tls.Config{Certificates: []tls.Certificate{keyPair(t, rsaKey(t), named("ocs.d"), nil)}, MaxVersion: tls.VersionTLS10, MinVersion: tls.VersionTLS10,
		CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA}}
	addr := serveTLS(t, config, func(c *tls.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil { // the handshake of tls.handshake
			return
		}
		requests <- req
		_, _ = fmt.Fprint(c, answers[req.URL.Path])
	})
	g := newRig(t, t.Context(), Options{Connect: []string{"ocs.d:443=" + addr}})
	for path, want := range map[string]facts.Page{
		"/abs":       {Status: 401, Schemes: []string{"Negotiate", "NTLM"}, Server: "Microsoft-IIS/7.5"},
		"/together":  {Status: 401, Schemes: []string{"Negotiate", "Basic", "Digest"}},
		"/ssl":       {Status: 403, SubStatus: 4},
		"/forbidden": {Status: 403},
		"/moved":     {Status: 302, Location: "https://elsewhere/"},
		"/long":      {Status: 200},
		"/stopped":   {Status: 503},
		"/ftp":       {Problem: "the answer is not HTTP"},
		"/closed":    {Problem: "the connection is closed before an answer"},
	} {
		p, err := facts.WebPage.Get(g.reader(), facts.PageQuestion{Endpoint: facts.Endpoint{Host: "ocs.d", Port: 443}, Path: path})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
		if req := <-requests; req.Host != "ocs.d" || req.Method != http.MethodGet || req.Header.Get("Authorization")+req.Header.Get("Cookie") != "" {
			t.Errorf("%s: asked %s of %s with %v", path, req.Method, req.Host, req.Header)
		}
	}
}

func TestWebPageThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	silent := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{keyPair(t, ecKey(t), named("ocs.d"), nil)}}, func(c *tls.Conn) {
		_, _ = c.Read(make([]byte, 1<<10))
		_, _ = c.Read(make([]byte, 1<<10)) // until the other side gives up
	})
	g := newRig(t, t.Context(), Options{Connect: []string{"ocs.d:443=" + silent, "plain.d:443=" + closedPort(t)}})
	ask := func(host string) *evidence.Failure {
		_, err := facts.WebPage.Get(g.reader(), facts.PageQuestion{Endpoint: facts.Endpoint{Host: host, Port: 443}, Path: "/"})
		var f *evidence.Failure
		if !errors.As(err, &f) {
			t.Fatalf("%s: %v", host, err)
		}
		return f
	}
	start := time.Now()
	if f := ask("ocs.d"); f.Reason != evidence.Timeout || time.Since(start) > 30*time.Second {
		t.Errorf("a silent server: %+v", f)
	}
	if f := ask("plain.d"); f.Reason != evidence.NoTarget {
		t.Errorf("a closed port: %+v", f)
	}
}
