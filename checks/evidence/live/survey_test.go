package live

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

func survey(t *testing.T, addr string) (facts.TLSSurvey, error) {
	t.Helper()
	return facts.TLSSurveys.Get(newRig(t, t.Context(), Options{Connect: []string{"ocs.d:5061=" + addr}}).reader(), front)
}

// what 2008 R2 speaks, as far as Go can.
var of2008R2 = []uint16{
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_RC4_128_SHA,
}

func TestSurvey(t *testing.T) {
	t.Parallel()
	pair := keyPair(t, rsaKey(t), named("ocs.d"), nil)
	issuers := x509.NewCertPool()
	for i := range 300 {
		c, err := x509.ParseCertificate(keyPair(t, pair.PrivateKey.(crypto.Signer), named(fmt.Sprintf("Root CA %d of a long name, as those of the public root programme have", i)), nil).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		issuers.AddCert(c)
	}
	for name, c := range map[string]struct {
		config   *tls.Config
		versions []string
		suites   []string
		asked    bool
		issuers  int
	}{
		"Windows Server 2008 R2": {
			&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, CipherSuites: of2008R2, ClientAuth: tls.RequestClientCert},
			[]string{"TLS 1.0"},
			[]string{
				"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA",
				"TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_RSA_WITH_RC4_128_SHA",
			}, true, 0,
		},
		"a long list of issuers": {
			&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12, CipherSuites: of2008R2[4:5], ClientAuth: tls.RequestClientCert, ClientCAs: issuers},
			[]string{"TLS 1.0", "TLS 1.1", "TLS 1.2"}, []string{"TLS_RSA_WITH_3DES_EDE_CBC_SHA"}, true, 300,
		},
		"hardened": {
			&tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}},
			[]string{"TLS 1.2", "TLS 1.3"}, []string{"TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, false, 0,
		},
		"TLS 1.3 only": {&tls.Config{MinVersion: tls.VersionTLS13}, []string{"TLS 1.3"}, []string{"TLS_AES_128_GCM_SHA256"}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.config.Certificates = []tls.Certificate{pair}
			s, err := survey(t, serveTLS(t, c.config, drain))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Versions, c.versions) || !slices.Equal(s.Suites, c.suites) || s.Problem != "" || len(s.Unanswered) > 0 {
				t.Errorf("%+v", s)
			}
			if s.ClientCertificateAsked != c.asked || s.Issuers != c.issuers || c.issuers > 0 && s.IssuerBytes < 80*c.issuers {
				t.Errorf("asked %v, %d issuers in %d bytes", s.ClientCertificateAsked, s.Issuers, s.IssuerBytes)
			}
		})
	}
}

// serveHello answers each hello with what answer makes of it: the version and the suites that it offers.
func serveHello(t *testing.T, answer func(version uint16, suites []uint16) []byte) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		head := make([]byte, 5)
		if _, err := io.ReadFull(c, head); err != nil || head[0] != 22 {
			return // SSL 2.0
		}
		b := make([]byte, binary.BigEndian.Uint16(head[3:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		var suites []uint16
		at := 4 + 2 + 32
		at += 1 + int(b[at])
		for i := range int(binary.BigEndian.Uint16(b[at:])) / 2 {
			suites = append(suites, binary.BigEndian.Uint16(b[at+2+2*i:]))
		}
		_, _ = c.Write(answer(binary.BigEndian.Uint16(b[4:]), suites))
	})
}

// flight is a server's answer that chooses a version and a suite, without a certificate.
func flight(version, suite uint16) []byte {
	b := append([]byte{22, byte(version >> 8), byte(version), 0, 46, 2, 0, 0, 38, byte(version >> 8), byte(version)}, make([]byte, 32)...)
	return append(b, 0, byte(suite>>8), byte(suite), 0, 14, 0, 0, 0)
}

var refusal = []byte{21, 3, 0, 0, 2, 2, 40}

// What no program of today can complete is seen all the same.
func TestSurveyOfWhatGoDoesNotSpeak(t *testing.T) {
	t.Parallel()
	const rc4MD5, des = 0x0004, 0x0009
	picks := func(version uint16, known ...uint16) func(uint16, []uint16) []byte {
		return func(offered uint16, suites []uint16) []byte {
			i := slices.IndexFunc(known, func(k uint16) bool { return slices.Contains(suites, k) })
			if offered < version || i < 0 {
				return refusal
			}
			return flight(version, known[i])
		}
	}
	for name, c := range map[string]struct {
		answer   func(uint16, []uint16) []byte
		versions string
		suites   string
		offer    string
	}{
		"SSL 3.0 only":      {picks(0x0300, rc4MD5, des), "SSL 3.0", "TLS_RSA_WITH_RC4_128_MD5 TLS_RSA_WITH_DES_CBC_SHA", "chose SSL 3.0 with TLS_RSA_WITH_RC4_128_MD5"},
		"RC4 with MD5 only": {picks(0x0301, rc4MD5), "TLS 1.0", "TLS_RSA_WITH_RC4_128_MD5", "chose TLS 1.0 with TLS_RSA_WITH_RC4_128_MD5"},
		"stumbles over new hellos": {func(v uint16, s []uint16) []byte {
			if v > 0x0300 {
				return nil
			}
			return picks(0x0300, des)(v, s)
		}, "SSL 3.0", "TLS_RSA_WITH_DES_CBC_SHA", "chose SSL 3.0 with TLS_RSA_WITH_DES_CBC_SHA"},
		"nothing at all":       {func(uint16, []uint16) []byte { return refusal }, "", "", "refused with the alert handshake failure"},
		"what was not offered": {func(uint16, []uint16) []byte { return flight(0x0301, 0x9999) }, "", "", "sent what does not complete a handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serveHello(t, c.answer)
			s, err := survey(t, addr)
			if err != nil || strings.Join(s.Versions, " ") != c.versions || strings.Join(s.Suites, " ") != c.suites || (s.Problem == "") != (c.versions != "") {
				t.Errorf("%+v, %v", s, err)
			}
			h, err := shake(t, addr)
			if err != nil || h.Completed || !strings.HasPrefix(h.Problem(), c.offer) || (h.CipherSuite == "") != (c.suites == "") {
				t.Errorf("the handshake: %+v, %v", h, err)
			}
		})
	}
}

func TestSurveyOfSSL2(t *testing.T) {
	t.Parallel()
	addr := listen(t, func(c net.Conn) {
		b := make([]byte, 2+9+3*7+16)
		if _, err := io.ReadFull(c, b[:1]); err != nil || b[0] != 0x80 {
			_, _ = c.Write(refusal)
			return
		}
		if _, err := io.ReadFull(c, b[1:]); err != nil || b[1] != byte(len(b)-2) || b[2] != 1 || b[4] != 2 {
			t.Errorf("the hello is %x: %v", b, err)
			return
		}
		_, _ = c.Write([]byte{0x80, 27, 4, 0, 1, 0, 2, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	})
	s, err := survey(t, addr)
	if err != nil || !slices.Equal(s.Versions, []string{"SSL 2.0"}) || len(s.Suites) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A server that falls silent costs what is left of the survey, and no more time than its hellos side by side.
func TestSurveyOfAServerThatFallsSilent(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	addr := listen(t, func(c net.Conn) {
		b := make([]byte, 4096)
		if _, err := c.Read(b); err == nil && asked.Add(1) == 1 {
			_, _ = c.Write(flight(0x0301, 0x002f))
			return
		}
		silent(c)
	})
	start := time.Now()
	s, err := survey(t, addr)
	if err != nil || !slices.Equal(s.Versions, []string{"TLS 1.0"}) || !slices.Equal(s.Suites, []string{"TLS_RSA_WITH_AES_128_CBC_SHA"}) {
		t.Errorf("%+v, %v", s, err)
	}
	if want := []string{"SSL 2.0", "SSL 3.0", "suites"}; !slices.Equal(s.Unanswered, want) {
		t.Errorf("unanswered are %q, want %q", s.Unanswered, want)
	}
	if took := time.Since(start); took > 5*budget {
		t.Errorf("it took %v", took)
	}
	// One that falls silent in the middle of each answer is not asked for one suite after the other.
	s, err = survey(t, listen(t, func(c net.Conn) {
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		if n < 46 || b[0] != 22 || binary.BigEndian.Uint16(b[9:]) < 0x0301 {
			return
		}
		whole := flight(0x0301, binary.BigEndian.Uint16(b[46:])) // the first of its suites
		whole[4] -= 4                                            // without the end of the server's turn
		_, _ = c.Write(whole[:len(whole)-4])
		silent(c)
	}))
	if err != nil || !slices.Equal(s.Versions, []string{"TLS 1.0"}) || len(s.Suites) < 2 || !slices.Contains(s.Unanswered, "suites") {
		t.Errorf("of one that stops half-way: %+v, %v", s, err)
	}
	_, err = survey(t, listen(t, silent))
	if f := failure(t, err); f.Reason != evidence.Timeout || f.Root.Kind != "net.address" {
		t.Errorf("of one that says nothing: %+v", f)
	}
	s, err = survey(t, listen(t, func(c net.Conn) { _, _ = c.Write([]byte("220 mail.d ESMTP\r\n")); silent(c) }))
	if err != nil || s.Problem != "answered something that is not TLS" || len(s.Unanswered) > 0 {
		t.Errorf("of one that greets: %+v, %v", s, err)
	}
	_, err = survey(t, closedPort(t))
	if f := failure(t, err); f.Reason != evidence.NoTarget {
		t.Errorf("of a closed port: %+v", f)
	}
}
