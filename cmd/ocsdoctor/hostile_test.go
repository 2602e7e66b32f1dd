package main

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"ocsdoctor/fixtures/lab"
	"ocsdoctor/report"
)

// evil is text that means something to a terminal, to a browser or to an XML reader.
const evil = "<script>alert(1)</script>\x1b[31m\x07]]>&\"'"

// maxReport is what a report of one hostile server may take, in bytes: about ten times a healthy one.
const maxReport = 4 << 20

// villain is a server on loopback that presents a certificate, and a web server at which its addresses lead in a chain without an end.
type villain struct {
	sip, web string
	fetched  func() int
}

// serveEach handles the connections of a listener side by side, until the test ends.
func serveEach(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); running.Wait() })
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				handle(c)
			})
		}
	})
	return ln.Addr().String()
}

// authority makes certificates whose issuers never end: the issuer of number n is n+1, at the address of the same number.
type authority struct {
	key crypto.Signer
}

func (a authority) issue(t *testing.T, template *x509.Certificate, n int) []byte {
	t.Helper()
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprintf("Loop %d", n+1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func loopAt(n int) string { return fmt.Sprintf("http://ca.todorovic.adds/loop/%d", n) }

// newVillain serves a certificate on one port, and what its addresses lead to on another.
func newVillain(t *testing.T, template *x509.Certificate) villain {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{key}
	pair := tls.Certificate{Certificate: [][]byte{a.issue(t, template, 0)}, PrivateKey: key}
	var mu sync.Mutex
	fetched := 0
	return villain{
		sip: serveEach(t, func(c net.Conn) {
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12})
			if s.Handshake() == nil {
				_, _ = s.Read(make([]byte, 4096)) // whatever is asked, nothing is answered
			}
		}),
		web: serveEach(t, func(c net.Conn) {
			q, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil {
				return
			}
			var n int
			if _, err := fmt.Sscanf(q.URL.Path, "/loop/%d", &n); err != nil {
				_, _ = io.WriteString(c, "HTTP/1.1 404 "+strings.ReplaceAll(evil, "\n", "")+"\r\nContent-Type: "+evil+"\r\nContent-Length: 0\r\n\r\n")
				return
			}
			mu.Lock()
			fetched++
			mu.Unlock()
			der := a.issue(t, &x509.Certificate{
				SerialNumber: big.NewInt(int64(n)), Subject: pkix.Name{CommonName: fmt.Sprintf("Loop %d", n)}, IsCA: true, BasicConstraintsValid: true,
				IssuingCertificateURL: []string{loopAt(n + 1), loopAt(n)},
			}, n)
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(der), der)
		}),
		fetched: func() int { mu.Lock(); defer mu.Unlock(); return fetched },
	}
}

// against are the flags of a scan of the lab whose server is replaced by the villain.
func (v villain) against(l *lab.Lab, roots string) []string {
	args := []string{"--ad-domain", "todorovic.adds", "--server", "ocs.todorovic.adds", "--roots", roots,
		"--dns", l.Map["udp 192.168.1.10:53"], "--connect", "ocs.todorovic.adds:5061=" + v.sip, "--connect", "sip.todorovic.fr:5061=" + v.sip,
		"--connect", "ocs.todorovic.adds:443=" + v.sip, "--connect", "ca.todorovic.adds:80=" + v.web, "--connect", "*:445=127.0.0.1:9"}
	for _, c := range l.Connects() {
		if strings.Contains(c, ":389=") || strings.Contains(c, ":3268=") {
			args = append(args, "--connect", c)
		}
	}
	return args
}

// A certificate made to harm neither breaks a scan nor reaches a reader as anything but text, whatever the format.
func TestAHostileCertificateHarmsNobody(t *testing.T) {
	t.Parallel()
	names := func(n int) []string {
		out := []string{"ocs.todorovic.adds", "sip.todorovic.fr"}
		for i := range n {
			out = append(out, fmt.Sprintf("n%d.d", i))
		}
		return out
	}
	subject := pkix.Name{CommonName: "ocs.todorovic.adds"}
	for name, template := range map[string]*x509.Certificate{
		"text": {
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: evil, Organization: []string{evil + "\u202e\u2028"}},
			DNSNames:              []string{"ocs.todorovic.adds", evil + ".d", "a\r\nb: c", "{{.x}}", "sip.todorovic.fr"},
			CRLDistributionPoints: []string{"http://ca.todorovic.adds/" + evil, "javascript:alert(1)", "ldap:///" + evil},
			OCSPServer:            []string{"http://ca.todorovic.adds/" + evil}, IssuingCertificateURL: []string{"http://ca.todorovic.adds/" + evil, "file:///etc/passwd"},
		},
		"ten thousand names":       {SerialNumber: big.NewInt(1), Subject: subject, DNSNames: names(10_000)},
		"many names":               {SerialNumber: big.NewInt(1), Subject: subject, DNSNames: names(5_000)},
		"a huge serial":            {SerialNumber: new(big.Int).Lsh(big.NewInt(1), 20_000), Subject: subject, DNSNames: names(0)},
		"addresses without an end": {SerialNumber: big.NewInt(1), Subject: subject, DNSNames: names(0), IssuingCertificateURL: []string{loopAt(1)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, dir := newVillain(t, template), t.TempDir()
			l := startLab(t, "todorovic", lab.Options{})
			args := v.against(l, rootsFile(t, l))
			files := map[string]string{}
			flags := append([]string{"scan", "--sip-domain", "todorovic.fr", "-o", "console"}, args...)
			for _, format := range []string{"json", "junit", "html"} {
				files[format] = filepath.Join(dir, "report."+format)
				flags = append(flags, "-o", format+"="+files[format])
			}
			start := time.Now()
			code, out, errs := call(t, flags...)
			if took := time.Since(start); code == 2 || code == 4 || took > time.Minute {
				t.Errorf("exit %d after %v\n%s", code, took, errs)
			}
			texts := map[string]string{"console": out, "errors": errs}
			for format, file := range files {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err, errs)
				}
				texts[format] = string(b)
			}
			_, texts["signin"], _ = call(t, append([]string{"signin", "sip:alice@todorovic.fr"}, args...)...)
			_, texts["signin json"], errs = call(t, append([]string{"signin", "sip:alice@todorovic.fr", "-o", "json"}, args...)...)
			texts["errors of signin"] = errs
			for format, text := range texts {
				harmless(t, format, text)
			}
			r, err := report.Read(strings.NewReader(texts["json"]))
			if err != nil || len(r.Results) < 50 {
				t.Errorf("the JSON report: %v", err)
			}
			if shown := strings.Contains(texts["console"], `<script>alert(1)</script>\x1b[31m`); shown != (name == "text") {
				t.Errorf("the console shows what it holds back: %v", shown)
			}
			// Ten addresses of a chain in each of three runs.
			if n := v.fetched(); n > 30 || (n > 0) != (name == "addresses without an end") {
				t.Errorf("%d certificates were fetched", n)
			}
		})
	}
}

// harmless looks for what a text in a format must not hold.
func harmless(t *testing.T, format, text string) {
	t.Helper()
	bad := []string{"\x1b", "\x07", "\r"}
	switch format {
	case "json", "signin json": // where all else is data
		if !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON: %.200s", format, text)
		}
	case "html", "junit":
		bad = append(bad, "<script>alert", "]]>&", "\u202e", "\u2028")
	default:
		bad = append(bad, "\u202e", "\u2028")
	}
	for _, b := range bad {
		if strings.Contains(text, b) {
			t.Errorf("%s sends %q", format, b)
		}
	}
	if len(text) > maxReport || !utf8.ValidString(text) {
		t.Errorf("%s has %d bytes, in UTF-8 %v", format, len(text), utf8.ValidString(text))
	}
	if format == "junit" {
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("junit is no XML: %v", err)
				break
			}
		}
	}
}

// rootsFile holds the roots that a scan of a lab is given, in PEM.
func rootsFile(t *testing.T, l *lab.Lab) string {
	t.Helper()
	var text []byte
	for _, der := range l.Scope.Roots {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	path := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
