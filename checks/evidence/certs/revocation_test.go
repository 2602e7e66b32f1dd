package certs_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"ocsdoctor/checks/evidence/certs"
)

// A response that is out of date proves nothing, but a revocation stays one.
func TestJudgeResponses(t *testing.T) {
	t.Parallel()
	now := time.Date(2010, 6, 1, 8, 0, 0, 0, time.UTC)
	top := sign(t, ca("Root CA"), ecKey(t), nil)
	leaf := sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "ocs.todorovic.adds"}}, ecKey(t), top)
	at := func(status certs.OCSPStatus, from, to time.Duration) *certs.OCSP {
		return &certs.OCSP{Status: status, ThisUpdate: now.Add(from), NextUpdate: now.Add(to)}
	}
	fresh, stale, early := at(certs.Good, -time.Hour, time.Hour), at(certs.Good, -48*time.Hour, -time.Hour), at(certs.Good, time.Hour, 2*time.Hour)
	for name, c := range map[string]struct {
		responses []*certs.OCSP
		want      certs.Standing
	}{
		"none": {nil, certs.NotKnown}, "fresh": {[]*certs.OCSP{fresh}, certs.NotRevoked}, "stale": {[]*certs.OCSP{stale}, certs.NotKnown},
		"from the future": {[]*certs.OCSP{early}, certs.NotKnown},
		"without an end":  {[]*certs.OCSP{{Status: certs.Good, ThisUpdate: now.Add(-time.Hour)}}, certs.NotRevoked},
		"unknown":         {[]*certs.OCSP{at(certs.Unknown, -time.Hour, time.Hour)}, certs.NotKnown},
		"revoked wins":    {[]*certs.OCSP{fresh, at(certs.Revoked, -48*time.Hour, -time.Hour)}, certs.IsRevoked},
	} {
		if got := certs.Judge(leaf.cert, top.cert, nil, c.responses, now); got != c.want {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}

func FuzzParseCRL(f *testing.F) {
	f.Add([]byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"))
	f.Add([]byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := certs.ParseCRL(b)
		if err == nil {
			c.Revoked(big.NewInt(1))
			_ = c.Issuer()
		}
	})
}

func FuzzParseOCSP(f *testing.F) {
	top := sign(f, ca("Root CA"), ecKey(f), nil)
	f.Add([]byte{0x30, 0x03, 0x0a, 0x01, 0x06})
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := certs.ParseOCSP(b, top.cert, top.cert, time.Now()); err == nil {
			t.Errorf("a response that nobody signed reads as %+v", o)
		}
	})
}
