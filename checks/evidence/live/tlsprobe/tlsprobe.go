// Package tlsprobe shakes hands with a TLS server as a client of today does and, if that fails, as one of 2009, and keeps
// what the server sent. It judges no certificate.
package tlsprobe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// Modern is what a client of today offers: TLS 1.2 and 1.3 with current suites. The curves are the classic ones: with a
// post-quantum key share the hello takes two packets, which servers and middleboxes of 2009 do not expect.
func Modern(host string) *tls.Config {
	return &tls.Config{
		ServerName:         host, // not sent when it is an address
		InsecureSkipVerify: true, // the chain is evidence; checks judge it
		MinVersion:         tls.VersionTLS12,
		CurvePreferences:   []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
	}
}

// Legacy is what a client of 2009 offers: TLS 1.0 to 1.2 with every suite that can be spoken here. Without the explicit list
// Go leaves out RSA key exchange, RC4 and 3DES, which is all that Windows Server 2003 has.
func Legacy(host string) *tls.Config {
	c := Modern(host)
	c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS12
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		c.CipherSuites = append(c.CipherSuites, s.ID)
	}
	return c
}

// Handshake is tls.handshake. A server that refuses all offers is a value; one that stays silent on the first is a
// failure and is not asked a second time.
func Handshake(ctx context.Context, e *env.Env, tr *env.Trace, r *evidence.Reader, ep facts.Endpoint) (facts.Handshake, error) {
	target, err := e.Connected(r, ep)
	if err != nil {
		return facts.Handshake{}, err
	}
	var h facts.Handshake
	agreed := false
	for _, o := range []struct {
		name   string
		config *tls.Config
	}{{"modern", Modern(ep.Host)}, {"legacy", Legacy(ep.Host)}} {
		var a answer
		err := e.Talk(ctx, tr, target, e.Budgets.Exchange, func(ctx context.Context, conn net.Conn) (err error) {
			a, err = shake(ctx, conn, o.config)
			return err
		})
		if err != nil {
			return facts.Handshake{}, err
		}
		h.Offers = append(h.Offers, facts.Offer{Name: o.name, Problem: a.problem})
		h.ClientCertificateAsked = h.ClientCertificateAsked || a.asked
		if len(a.chain) > 0 {
			h.Chain = a.chain
		}
		if a.problem == "" {
			h.Completed, h.Legacy = true, o.name == "legacy"
			h.Version, h.CipherSuite = tls.VersionName(a.version), tls.CipherSuiteName(a.suite)
			tr.Log(o.name + " handshake: " + h.Version + " " + h.CipherSuite)
			return h, nil
		}
		tr.Log(o.name + " handshake: the server " + a.problem)
		if a.notTLS {
			return h, nil // no other offer will make it speak TLS
		}
		agreed = agreed || a.agreed
	}
	if !agreed {
		oldest(&surveyor{ctx: ctx, env: e, trace: tr, target: target}, &h)
	}
	if f := env.Ended(ctx); f != nil {
		return facts.Handshake{}, f
	}
	return h, nil
}

// oldest says hello with all that Go does not speak: SSL 3.0, RC4 with MD5, DES. No handshake is completed, and what the server
// would have agreed to is kept with its chain.
func oldest(s *surveyor, h *facts.Handshake) {
	o := facts.Offer{Name: "oldest"}
	for _, newest := range []uint16{facts.TLS12, facts.SSL3} { // a server of SSL 3.0 alone may refuse the first
		t, err := s.ask(s.offer(facts.SSL3, newest))
		if err != nil {
			o.Problem = "did not answer"
			break
		}
		if !s.speaks(t) {
			o.Problem = t.problem(&tls.Config{})
			continue
		}
		h.Version, h.CipherSuite = facts.TLSVersionName(t.version), facts.TLSSuiteName(t.suite)
		h.ClientCertificateAsked = h.ClientCertificateAsked || t.asked
		for _, der := range t.certificates {
			h.Chain = append(h.Chain, certs.Describe(der))
		}
		o.Problem = "chose " + h.Version + " with " + h.CipherSuite + ", which this scan cannot complete"
		break
	}
	h.Offers = append(h.Offers, o)
	s.trace.Log("oldest hello: the server " + o.Problem)
}

// answer is what came of one offer.
type answer struct {
	problem string
	notTLS  bool
	// agreed tells that the server took an offer, although the handshake then failed.
	agreed         bool
	version, suite uint16
	asked          bool
	chain          []facts.Certificate
}

// shake makes one offer. The error is a time-out; everything else that a server does is an answer.
func shake(ctx context.Context, conn net.Conn, config *tls.Config) (answer, error) {
	var a answer
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		a.asked = true
		return &tls.Certificate{}, nil
	}
	t := &tap{Conn: conn}
	c := tls.Client(t, config)
	err := c.HandshakeContext(ctx)
	if err == nil {
		s := c.ConnectionState()
		a.version, a.suite = s.Version, s.CipherSuite
		for _, cert := range s.PeerCertificates {
			a.chain = append(a.chain, certs.Describe(cert.Raw))
		}
		return a, nil
	}
	var ne net.Error
	if ctx.Err() != nil || errors.As(err, &ne) && ne.Timeout() {
		return a, err
	}
	// Go shows no certificate of a handshake that failed, not even when it failed over that certificate.
	seen := parse(t.seen)
	for _, der := range seen.certificates {
		a.chain = append(a.chain, certs.Describe(der))
	}
	var op *net.OpError
	if errors.As(err, &op) { // Go's name for an alert of the other side, encrypted ones included, is "remote error"
		seen.refused, seen.closed = op.Op == "remote error", op.Op == "read" || op.Op == "write"
	}
	seen.closed = seen.closed || errors.Is(err, io.EOF)
	a.problem, a.notTLS = seen.problem(config), seen.received && !seen.tls
	a.agreed = seen.version >= max(config.MinVersion, tls.VersionTLS10)
	return a, nil
}

// maxSeen bounds what a tap keeps: more than a hello and a long chain take.
const maxSeen = 128 << 10

// tap keeps the first bytes that a server sends.
type tap struct {
	net.Conn
	seen []byte
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.seen = append(t.seen, b[:min(n, maxSeen-len(t.seen))]...)
	return n, err
}
