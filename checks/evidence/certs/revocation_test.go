package certs_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

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

// uris is a list of distribution points, or one issuing distribution point, with a URL.
func uris(t testing.TB, url string, issuing bool) []byte {
	t.Helper()
	type name struct {
		Full []asn1.RawValue `asn1:"tag:0"`
	}
	type point struct {
		Name name `asn1:"tag:0"`
	}
	p := point{name{[]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)}}}}
	var v any = []point{p}
	if issuing {
		v = p
	}
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// aList is a revocation list in DER with extensions.
func aList(t testing.TB, by *entity, extensions ...pkix.Extension) []byte {
	t.Helper()
	signer := *by.cert
	signer.KeyUsage |= x509.KeyUsageCRLSign
	now := time.Date(2010, 6, 1, 8, 0, 0, 0, time.UTC)
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: now, NextUpdate: now.AddDate(0, 0, 7), ExtraExtensions: extensions,
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: now, ReasonCode: 1}},
	}, &signer, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

var (
	freshestOID = asn1.ObjectIdentifier{2, 5, 29, 46}
	issuingOID  = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// Where deltas are stands in the certificate or in the list; an extension that cannot be read names none.
func TestFreshest(t *testing.T) {
	t.Parallel()
	top := sign(t, ca("Root CA"), ecKey(t), nil)
	const url = "http://ca.todorovic.adds/a+.crl"
	for name, c := range map[string]struct {
		value []byte
		want  []string
	}{"one": {uris(t, url, false), []string{url}}, "malformed": {[]byte{0x30, 0x09}, nil}, "nothing in it": {[]byte{0x30, 0x00}, nil}} {
		extension := pkix.Extension{Id: freshestOID, Value: c.value}
		list, err := certs.ParseCRL(aList(t, top, extension))
		if err != nil || !slices.Equal(list.Freshest, c.want) {
			t.Errorf("%s: the list names %v, %v", name, list, err)
		}
		leaf := sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "a"}, ExtraExtensions: []pkix.Extension{extension}}, ecKey(t), top)
		if got := certs.FreshestCRL(leaf.cert); !slices.Equal(got, c.want) {
			t.Errorf("%s: the certificate names %v", name, got)
		}
	}
	if got := certs.FreshestCRL(top.cert); got != nil {
		t.Errorf("a certificate without the extension names %v", got)
	}
}

// A time that cannot be read is none.
func TestNextPublish(t *testing.T) {
	t.Parallel()
	top := sign(t, ca("Root CA"), ecKey(t), nil)
	at := time.Date(2010, 6, 7, 8, 0, 0, 0, time.UTC)
	der, err := asn1.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		value []byte
		want  time.Time
	}{"a time": {der, at}, "malformed": {der[:4], time.Time{}}, "more behind it": {append(slices.Clone(der), 5, 0), time.Time{}}} {
		list, err := certs.ParseCRL(aList(t, top, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 4}, Value: c.value}))
		if err != nil || !list.NextPublish.Equal(c.want) {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

// A request holds no nonce, so that a responder may answer from its store, and names what it asks about.
func TestOCSPRequest(t *testing.T) {
	t.Parallel()
	top := sign(t, ca("Root CA"), ecKey(t), nil)
	leaf := sign(t, host("ocs.d"), ecKey(t), top)
	der, err := certs.OCSPRequest(leaf.cert, top.cert)
	if err != nil {
		t.Fatal(err)
	}
	q, err := ocsp.ParseRequest(der)
	if err != nil || q.SerialNumber.Cmp(leaf.cert.SerialNumber) != 0 || bytes.Contains(der, []byte{0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2}) {
		t.Errorf("it reads as %+v, %v", q, err)
	}
	again, err := certs.OCSPRequest(leaf.cert, top.cert)
	if err != nil || !bytes.Equal(der, again) {
		t.Errorf("a second request differs: %v", err)
	}
}

func FuzzParseCRL(f *testing.F) {
	top := sign(f, ca("Root CA"), ecKey(f), nil)
	f.Add([]byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"))
	f.Add([]byte{0x30, 0x00})
	f.Add(aList(f, top))
	f.Add(aList(f, top, pkix.Extension{Id: freshestOID, Value: uris(f, "http://ca/a+.crl", false)},
		pkix.Extension{Id: issuingOID, Critical: true, Value: uris(f, "http://ca/a.crl", true)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := certs.ParseCRL(b)
		if err == nil {
			c.Revoked(big.NewInt(1))
			_ = c.Issuer()
			c.Usable(top.cert, top.cert, time.Now())
		}
	})
}

func FuzzParseOCSP(f *testing.F) {
	top, stranger := sign(f, ca("Root CA"), ecKey(f), nil), sign(f, ca("Root CA"), ecKey(f), nil)
	f.Add([]byte{0x30, 0x03, 0x0a, 0x01, 0x06})
	response, err := ocsp.CreateResponse(stranger.cert, stranger.cert, ocsp.Response{Status: ocsp.Good, SerialNumber: top.cert.SerialNumber}, stranger.key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(response)
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := certs.ParseOCSP(b, top.cert, top.cert, time.Now()); err == nil {
			t.Errorf("a response that nobody signed reads as %+v", o)
		}
	})
}
