package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"ocsdoctor/checks/checktest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	checktest.Run(t, Checks())
}

// A root that was renewed with its key is in force as long as one of its certificates is, whichever the chain was built with.
func TestRenewedRoot(t *testing.T) {
	t.Parallel()
	now := time.Date(2010, 6, 1, 8, 0, 0, 0, time.UTC)
	rootKey, leafKey := newKey(t), newKey(t)
	root := func(from, to int) *x509.Certificate {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(100 + from)), Subject: pkix.Name{CommonName: "Todorovic Root CA"}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: now.AddDate(from, 0, 0), NotAfter: now.AddDate(to, 0, 0),
		}
		return issue(t, c, c, rootKey, rootKey)
	}
	ended, current, next := root(-10, -1), root(-2, 8), root(1, 20)
	leaf := issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ocs.todorovic.adds"}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
	}, ended, leafKey, rootKey)
	for name, test := range map[string]struct {
		sent, known []*x509.Certificate
		want        *x509.Certificate
	}{
		"the server sends the one that ended":        {[]*x509.Certificate{ended}, []*x509.Certificate{current}, current},
		"both are known":                             {nil, []*x509.Certificate{ended, current}, current},
		"both are known, in the other order":         {nil, []*x509.Certificate{current, ended}, current},
		"one that is not valid yet does not count":   {nil, []*x509.Certificate{current, next}, current},
		"none is in force":                           {nil, []*x509.Certificate{ended, next}, ended},
		"no anchor is known, the server sends both":  {[]*x509.Certificate{ended, current}, nil, current},
		"the one in force is sent and not yet known": {[]*x509.Certificate{current}, []*x509.Certificate{ended}, current},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, got := range issuers(&chain{leaf: leaf, above: test.sent}, test.known, now) {
				if !got.Equal(test.want) {
					t.Errorf("the certificate judged runs from %v to %v, want %v to %v", got.NotBefore, got.NotAfter, test.want.NotBefore, test.want.NotAfter)
				}
			}
		})
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func issue(t *testing.T, c, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
