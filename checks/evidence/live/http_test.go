package live

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// serveHTTP answers each connection with what answer writes after the request.
func serveHTTP(t *testing.T, answer func(c net.Conn, req *http.Request)) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			answer(c, req)
		}
	})
}

func fetch(t *testing.T, addr, url, way string) (facts.HTTPAnswer, error) {
	t.Helper()
	g := newRig(t, t.Context(), Options{Connect: []string{"ca.d:80=" + addr, "proxy.d:8080=" + addr}, Scope: facts.Scope{Proxy: "http://proxy.d:8080"}})
	return facts.HTTP.Get(g.reader(), facts.HTTPQuestion{URL: url, Way: way})
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	requests := make(chan string, 10)
	addr := serveHTTP(t, func(c net.Conn, req *http.Request) {
		requests <- req.Method + " " + req.RequestURI + " " + req.Header.Get("Authorization") + req.Header.Get("Cookie")
		switch {
		case strings.HasSuffix(req.RequestURI, "/a.crl"):
			_, _ = fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\nContent-Length: 4\r\n\r\nlist")
		case strings.HasSuffix(req.RequestURI, "/moved"):
			_, _ = fmt.Fprint(c, "HTTP/1.1 302 Found\r\nLocation: a.crl\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
		case strings.HasSuffix(req.RequestURI, "/cut"):
			_, _ = fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nlist")
		case strings.HasSuffix(req.RequestURI, "/file"):
			_, _ = fmt.Fprint(c, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n")
		case strings.HasSuffix(req.RequestURI, "/ftp"):
			_, _ = fmt.Fprint(c, "220 ready\r\n")
		case strings.HasSuffix(req.RequestURI, "/huge"):
			_, _ = fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n")
			block := make([]byte, 1<<20)
			for {
				if _, err := c.Write(block); err != nil {
					return
				}
			}
		default:
			_, _ = fmt.Fprint(c, "HTTP/1.1 302 Found\r\nLocation: http://ca.d/again\r\n\r\n")
		}
	})
	a, err := fetch(t, addr, "http://ca.d/a.crl", facts.Direct)
	if err != nil || a.Status != 200 || string(a.Body) != "list" || a.Type != "application/pkix-crl" {
		t.Errorf("a list: %+v, %v", a, err)
	}
	if got := <-requests; got != "GET /a.crl " {
		t.Errorf("asked %q", got)
	}
	a, err = fetch(t, addr, "http://ca.d/moved", facts.Direct)
	if err != nil || string(a.Body) != "list" || len(a.Redirects) != 1 || a.Redirects[0] != "http://ca.d/a.crl" {
		t.Errorf("moved: %+v, %v", a, err)
	}
	<-requests
	if got := <-requests; got != "GET /a.crl " {
		t.Errorf("after the redirect it asked %q", got)
	}
	a, err = fetch(t, addr, "http://ca.d/a.crl", facts.ByProxy)
	if err != nil || string(a.Body) != "list" {
		t.Errorf("by the proxy: %+v, %v", a, err)
	}
	if got := <-requests; got != "GET http://ca.d/a.crl " {
		t.Errorf("asked the proxy %q", got)
	}
	for url, want := range map[string]string{
		"http://ca.d/cut": "ends before", "http://ca.d/file": "scheme is not http", "http://ca.d/ftp": "not HTTP", "http://ca.d/huge": "longer than",
		"http://ca.d/for-ever": "more than 5 times", "https://ca.d/a.crl": "scheme is not http", "http://user:secret@ca.d/": "user name",
		"file:///etc/passwd": "scheme is not http", "http://:80/": "no host", "http://[::1/": "no URL", "http://ca.d/" + strings.Repeat("a", 5000): "too long",
	} {
		a, err := fetch(t, addr, url, facts.Direct)
		if err != nil || !strings.Contains(a.Problem, want) || len(a.Body) > 0 {
			t.Errorf("%.60s: %.200q with %d bytes, %v", url, a.Problem, len(a.Body), err)
		}
	}
}

// An OCSP request is posted, and a URL takes no credentials along, whatever it leads to.
func TestHTTPPosts(t *testing.T) {
	t.Parallel()
	requests := make(chan string, 1)
	addr := serveHTTP(t, func(c net.Conn, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		requests <- fmt.Sprintf("%s %s %s %s %q", req.Method, req.RequestURI, req.Host, req.Header.Get("Content-Type"), b)
		_, _ = fmt.Fprint(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nanswer\r\n0\r\n\r\n")
	})
	g := newRig(t, t.Context(), Options{Connect: []string{"ca.d:80=" + addr}})
	a, err := facts.HTTP.Get(g.reader(), facts.HTTPQuestion{URL: "http://ca.d/ocsp", Way: facts.Direct, Body: "cmVxdWVzdA=="})
	if err != nil || string(a.Body) != "answer" {
		t.Errorf("%+v, %v", a, err)
	}
	if got := <-requests; got != `POST /ocsp ca.d application/ocsp-request "request"` {
		t.Errorf("asked %s", got)
	}
}

// What cannot be asked is a failure with the root that says why, and no verdict on the URL.
func TestHTTPThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	hung := serveHTTP(t, func(c net.Conn, _ *http.Request) { silent(c) })
	g := newRig(t, t.Context(), Options{
		Connect: []string{"closed.d:80=" + closedPort(t), "silent.d:80=" + listen(t, silent), "hung.d:80=" + hung},
	})
	for _, c := range []struct {
		url, way string
		reason   evidence.Reason
		root     string
	}{
		{"http://closed.d/a.crl", facts.Direct, evidence.NoTarget, "net.connect(closed.d:80)"},
		{"http://silent.d/a.crl", facts.Direct, evidence.Timeout, "net.address(silent.d:80/tcp)"},
		{"http://hung.d/a.crl", facts.Direct, evidence.Timeout, "net.address(hung.d:80/tcp)"},
		{"http://ca.d/a.crl", facts.ByProxy, evidence.NotConfigured, `http.fetch(http://ca.d/a.crl proxy "")`},
	} {
		_, err := facts.HTTP.Get(g.reader(), facts.HTTPQuestion{URL: c.url, Way: c.way})
		if f := failure(t, err); f.Reason != c.reason || f.Root.String() != c.root {
			t.Errorf("%s: %+v", c.url, f)
		}
	}
}

// What comes without an announced length, or as a header without an end, is bounded too.
func TestHTTPWithoutAnEnd(t *testing.T) {
	t.Parallel()
	endless := func(head, block string) string {
		return serveHTTP(t, func(c net.Conn, _ *http.Request) {
			_, _ = io.WriteString(c, head)
			for {
				if _, err := io.WriteString(c, block); err != nil {
					return
				}
			}
		})
	}
	for name, c := range map[string]struct{ addr, want string }{
		"chunks":          {endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "100000\r\n"+strings.Repeat("a", 1<<20)+"\r\n"), "longer than"},
		"until the close": {endless("HTTP/1.0 200 OK\r\n\r\n", strings.Repeat("a", 1<<20)), "longer than"},
		"header":          {endless("HTTP/1.1 200 OK\r\n", "X: "+strings.Repeat("a", 1000)+"\r\n"), "not HTTP"},
		"status line":     {endless("HTTP/1.1 200 ", strings.Repeat("a", 1000)), "not HTTP"},
	} {
		g := newRig(t, t.Context(), Options{Connect: []string{"ca.d:80=" + c.addr}})
		g.env.Budgets.Fetch = time.Minute // 32 MiB take their time
		a, err := facts.HTTP.Get(g.reader(), facts.HTTPQuestion{URL: "http://ca.d/a.crl", Way: facts.Direct})
		if err != nil || !strings.Contains(a.Problem, c.want) || len(a.Body) > 0 {
			t.Errorf("%s: %.100q with %d bytes, %v", name, a.Problem, len(a.Body), err)
		}
	}
}

// A fetch has one budget, however often it is redirected.
func TestHTTPRedirectsSlowly(t *testing.T) {
	t.Parallel()
	addr := serveHTTP(t, func(c net.Conn, _ *http.Request) {
		<-time.After(budget / 3)
		_, _ = fmt.Fprint(c, "HTTP/1.1 302 Found\r\nLocation: http://ca.d/again\r\n\r\n")
	})
	_, err := fetch(t, addr, "http://ca.d/a.crl", facts.Direct)
	if f := failure(t, err); f.Reason != evidence.Timeout {
		t.Errorf("%+v", f)
	}
}

// A host that drips costs one budget, not the run.
func TestHTTPDrips(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	addr := serveHTTP(t, func(c net.Conn, _ *http.Request) {
		_, _ = fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
		}
	})
	start := time.Now()
	_, err := fetch(t, addr, "http://ca.d/a.crl", facts.Direct)
	var f *evidence.Failure
	if !errors.As(err, &f) || f.Reason != evidence.Timeout || time.Since(start) > 10*budget {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}
