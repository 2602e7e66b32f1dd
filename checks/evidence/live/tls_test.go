package live

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// keyPair makes a certificate for names; by is its issuer, or nil when it signs itself.
func keyPair(t *testing.T, key crypto.Signer, template x509.Certificate, by *tls.Certificate) tls.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := &template, key
	if by != nil {
		p, err := x509.ParseCertificate(by.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		parent, signer = p, by.PrivateKey.(crypto.Signer)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func named(names ...string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: names[0]}, DNSNames: names}
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// serveTLS handles connections once their handshake is done.
func serveTLS(t *testing.T, config *tls.Config, handle func(*tls.Conn)) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		s := tls.Server(c, config)
		if s.Handshake() == nil {
			handle(s)
		}
	})
}

func drain(c *tls.Conn) { silent(c) }

var front = facts.Endpoint{Host: "ocs.d", Port: 5061}

func shake(t *testing.T, addr string) (facts.Handshake, error) {
	t.Helper()
	return facts.TLSHandshake.Get(newRig(t, t.Context(), Options{Connect: []string{"ocs.d:5061=" + addr}}).reader(), front)
}

func TestHandshakeModern(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	sni := ""
	config := &tls.Config{Certificates: []tls.Certificate{keyPair(t, ecKey(t), named("ocs.d"), nil)}}
	config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		sni = h.ServerName
		return nil, nil
	}
	h, err := shake(t, serveTLS(t, config, drain))
	if err != nil || !h.Completed || h.Legacy || h.Version != "TLS 1.3" || len(h.Offers) != 1 || h.ClientCertificateAsked {
		t.Fatalf("%+v, %v", h, err)
	}
	if leaf, ok := h.Leaf(); !ok || leaf.CommonName != "ocs.d" || !leaf.SelfSigned {
		t.Errorf("the leaf is %+v", leaf)
	}
	mu.Lock()
	defer mu.Unlock()
	if sni != "ocs.d" {
		t.Errorf("asked for %q", sni)
	}
}

// Windows Server 2003 in all but name: TLS 1.0, RSA key exchange, 3DES.
func TestHandshakeLegacy(t *testing.T) {
	t.Parallel()
	config := &tls.Config{
		Certificates: []tls.Certificate{keyPair(t, rsaKey(t), named("ocs.d"), nil)},
		MinVersion:   tls.VersionTLS10, MaxVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA},
	}
	addr := serveTLS(t, config, drain)
	g := newRig(t, t.Context(), Options{Connect: []string{"ocs.d:5061=" + addr}})
	h, err := facts.TLSHandshake.Get(g.reader(), front)
	if err != nil || !h.Completed || !h.Legacy || h.Version != "TLS 1.0" || h.CipherSuite != "TLS_RSA_WITH_3DES_EDE_CBC_SHA" || len(h.Chain) != 1 {
		t.Fatalf("%+v, %v", h, err)
	}
	if len(h.Offers) != 2 || h.Offers[0].Problem != "refused with the alert protocol version" || h.Offers[1].Problem != "" {
		t.Errorf("the offers are %+v", h.Offers)
	}
	rec := g.record(t, facts.TLSHandshake.Key(front))
	if rec.Attempts != 2 || len(rec.Log) != 2 || rec.Log[1] != "legacy handshake: TLS 1.0 TLS_RSA_WITH_3DES_EDE_CBC_SHA" {
		t.Errorf("the story is %q", rec.Log)
	}
}

func TestHandshakeWithAServerThatWantsAClientCertificate(t *testing.T) {
	t.Parallel()
	config := &tls.Config{
		Certificates: []tls.Certificate{keyPair(t, rsaKey(t), named("ocs.d"), nil)}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12,
	}
	h, err := shake(t, serveTLS(t, config, drain))
	if err != nil || h.Completed || !h.ClientCertificateAsked || !strings.HasPrefix(h.Problem(), "refused with the alert") {
		t.Fatalf("%+v, %v", h, err)
	}
	if leaf, ok := h.Leaf(); !ok || leaf.CommonName != "ocs.d" {
		t.Errorf("the certificate that it sent first is lost: %+v", h.Chain)
	}
}

// Go aborts over a certificate that it cannot read; the administrator still wants to see it.
func TestHandshakeKeepsACertificateThatCannotBeRead(t *testing.T) {
	t.Parallel()
	pair := keyPair(t, ecKey(t), named("ocs.d"), nil)
	// An unknown version number of the certificate: TBSCertificate begins with [0] { INTEGER 2 }.
	broken := bytes.Replace(pair.Certificate[0], []byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, 9}, 1)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pair.Certificate, pair.Leaf = [][]byte{broken}, leaf
	h, err := shake(t, serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}}, drain))
	if err != nil || h.Completed || len(h.Chain) != 1 || !bytes.Equal(h.Chain[0].DER, broken) || h.Chain[0].Problem == "" {
		t.Fatalf("%+v, %v", h, err)
	}
	if h.Problem() != "sent a certificate that cannot be read" {
		t.Errorf("the problem is %q", h.Problem())
	}
}

func TestWhatIsNoHandshake(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handle  func(net.Conn)
		problem string
		offers  int
	}{
		"closes":      {func(net.Conn) {}, "closed the connection during the handshake", 3},
		"greets":      {func(c net.Conn) { _, _ = c.Write([]byte("220 mail.d ESMTP\r\n")); silent(c) }, "answered something that is not TLS", 1},
		"SSL 3.0":     {func(c net.Conn) { _, _ = c.Write(sslHello); silent(c) }, "chose SSL 3.0 with TLS_RSA_WITH_RC4_128_MD5, which this scan cannot complete", 3},
		"an alert":    {func(c net.Conn) { _, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 40}); silent(c) }, "refused with the alert handshake failure", 3},
		"a new alert": {func(c net.Conn) { _, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 200}); silent(c) }, "refused with the alert 200", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := shake(t, listen(t, c.handle))
			if err != nil || h.Completed || h.Problem() != c.problem || len(h.Offers) != c.offers {
				t.Errorf("%+v, %v", h, err)
			}
		})
	}
}

// sslHello is a ServerHello that chooses SSL 3.0 and RC4-MD5.
var sslHello = append(append([]byte{22, 3, 0, 0, 42, 2, 0, 0, 38, 3, 0}, make([]byte, 32)...), 0, 0, 4, 0)

// A server that takes the connection and says nothing, or next to nothing, costs one budget, whoever asks.
func TestASilentAddressIsAskedOnce(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]func(net.Conn){"silent": silent, "dripping": func(c net.Conn) {
		_, _ = c.Write([]byte{22, 3, 1, 0x40, 0})
		drip(2)(c)
	}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := listen(t, handle)
			g := newRig(t, t.Context(), Options{Connect: []string{"*:5061=" + addr}})
			start := time.Now()
			var wg sync.WaitGroup
			for _, host := range []string{"a.d", "b.d", "c.d", "d.d", "e.d", "f.d", "g.d", "h.d", "i.d", "j.d"} {
				wg.Go(func() {
					_, err := facts.TLSHandshake.Get(g.reader(), facts.Endpoint{Host: host, Port: 5061})
					if f, ok := err.(*evidence.Failure); !ok || f.Reason != evidence.Timeout || f.Root.Kind != "net.address" { //nolint:errorlint // Get promises that type
						t.Errorf("%s: %v", host, err)
					}
				})
			}
			wg.Wait()
			if took := time.Since(start); took > 2*budget {
				t.Errorf("it took %v", took)
			}
			roots := map[evidence.Key]bool{}
			for _, rec := range g.store.Records() {
				if rec.Failure != nil {
					roots[rec.Failure.Root] = true
				}
			}
			if len(roots) != 1 {
				t.Errorf("the roots are %v", roots)
			}
		})
	}
}

func TestNoHandshakeWithoutAConnection(t *testing.T) {
	t.Parallel()
	_, err := shake(t, closedPort(t))
	if f := failure(t, err); f.Reason != evidence.NoTarget || f.Root.String() != "net.connect(ocs.d:5061)" || f.Detail != "ocs.d:5061: the connection is refused" {
		t.Errorf("%+v", f)
	}
}
