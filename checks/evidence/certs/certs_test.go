package certs_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ocsdoctor/checks/evidence/certs"
)

// entity is a certificate with the key that belongs to it.
type entity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign makes a certificate; without an issuer it signs itself.
func sign(t testing.TB, template x509.Certificate, key crypto.Signer, by *entity) *entity {
	t.Helper()
	template.SerialNumber = big.NewInt(7)
	template.NotBefore = time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC)
	template.NotAfter = template.NotBefore.AddDate(10, 0, 0)
	if by == nil {
		by = &entity{&template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := certs.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return &entity{c, key}
}

func ca(cn string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: cn}, IsCA: true, BasicConstraintsValid: true}
}

func host(cn string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: cn}, DNSNames: []string{cn}}
}

func list(es ...*entity) []*x509.Certificate {
	var out []*x509.Certificate
	for _, e := range es {
		out = append(out, e.cert)
	}
	return out
}

func TestChains(t *testing.T) {
	t.Parallel()
	root := sign(t, ca("root"), ecKey(t), nil)
	inter := sign(t, ca("issuing"), ecKey(t), root)
	leaf := sign(t, host("ocs.d"), ecKey(t), inter)
	selfSigned := sign(t, host("ocs.d"), ecKey(t), nil)
	impostor := sign(t, ca("issuing"), inter.key, nil) // same name and key as inter, its own root
	otherKey := ca("issuing")
	otherKey.SubjectKeyId = inter.cert.SubjectKeyId
	forged := sign(t, otherKey, ecKey(t), root) // same name and key id as inter, another key
	renewed := sign(t, ca("root"), root.key, nil)
	noCA := sign(t, host("middle"), ecKey(t), root)
	underNoCA := sign(t, host("ocs.d"), ecKey(t), noCA)
	noSign := ca("no sign")
	noSign.KeyUsage = x509.KeyUsageDigitalSignature
	noSignCA := sign(t, noSign, ecKey(t), root)

	for name, c := range map[string]struct {
		leaf          *entity
		pool, anchors []*entity
		problem       certs.Problem
		at            *entity
		length        int
	}{
		"over an intermediate":                {leaf, []*entity{inter}, []*entity{root}, certs.Trusted, nil, 3},
		"whatever else the server sends":      {leaf, []*entity{root, selfSigned, forged, inter, leaf}, []*entity{root}, certs.Trusted, nil, 3},
		"the anchor's renewed form":           {leaf, []*entity{inter}, []*entity{renewed}, certs.Trusted, nil, 3},
		"an intermediate as anchor":           {leaf, nil, []*entity{inter}, certs.Trusted, nil, 2},
		"an anchor sent in another form":      {leaf, []*entity{impostor}, []*entity{inter}, certs.Trusted, nil, 2},
		"a trusted self-signed leaf":          {selfSigned, nil, []*entity{selfSigned}, certs.Trusted, nil, 1},
		"a self-signed leaf":                  {selfSigned, nil, []*entity{root}, certs.SelfSigned, selfSigned, 0},
		"the intermediate is not sent":        {leaf, nil, []*entity{root}, certs.NoIssuer, leaf, 0},
		"the root is not known":               {leaf, []*entity{inter}, nil, certs.NoIssuer, inter, 0},
		"the root is sent and not trusted":    {leaf, []*entity{inter, root}, []*entity{selfSigned}, certs.UntrustedRoot, root, 0},
		"another key under the issuer's name": {leaf, []*entity{forged}, []*entity{root}, certs.WrongSignature, leaf, 0},
		"issued by a server certificate":      {underNoCA, []*entity{noCA}, []*entity{root}, certs.NoCA, underNoCA, 0},
		"issued by a CA that may not sign":    {sign(t, host("ocs.d"), ecKey(t), noSignCA), []*entity{noSignCA}, []*entity{root}, certs.NoCA, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := certs.Chains(c.leaf.cert, list(c.pool...), list(c.anchors...))
			if r.Problem != c.problem || len(r.Chain) != c.length || c.at != nil && r.At != c.at.cert || (r.At == nil) != (c.problem == certs.Trusted) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestPathLength(t *testing.T) {
	t.Parallel()
	root := sign(t, ca("root"), ecKey(t), nil)
	short := ca("short")
	short.MaxPathLenZero = true
	upper := sign(t, short, ecKey(t), root)
	lower := sign(t, ca("lower"), ecKey(t), upper)
	direct, deep := sign(t, host("a.d"), ecKey(t), upper), sign(t, host("b.d"), ecKey(t), lower)
	if r := certs.Chains(direct.cert, list(upper, lower), list(root)); r.Problem != certs.Trusted {
		t.Errorf("directly below: %v", r.Problem)
	}
	if r := certs.Chains(deep.cert, list(upper, lower), list(root)); r.Problem != certs.NoCA || r.At != lower.cert {
		t.Errorf("one further down: %v", r.Problem)
	}
}

// Certificates that issued each other, and as many of one name as fit, must end soon.
func TestChainsEnd(t *testing.T) {
	t.Parallel()
	a, b := sign(t, ca("a"), ecKey(t), nil), sign(t, ca("b"), ecKey(t), nil)
	ab, ba := sign(t, ca("a"), a.key, b), sign(t, ca("b"), b.key, a)
	leaf := sign(t, host("ocs.d"), ecKey(t), a)
	if r := certs.Chains(leaf.cert, list(ab, ba), nil); r.Problem == certs.Trusted {
		t.Error("a circle is trusted")
	}
	var pool []*x509.Certificate
	one := sign(t, ca("a"), ecKey(t), nil) // the name of the issuer, another key
	for range 5000 {
		pool = append(pool, one.cert)
	}
	noID := *leaf.cert
	noID.AuthorityKeyId = nil
	start := time.Now()
	if r := certs.Chains(&noID, pool, nil); r.Problem == certs.Trusted {
		t.Error("a foreign key is trusted")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// patchMD5 turns an RSA certificate signed with SHA-1 into one signed with MD5: the identifiers differ in
// their last byte only, and the signature has the same length. Go makes none itself.
func patchMD5(t *testing.T, c *x509.Certificate, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	sha1OID, md5OID := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5}, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4}
	tbs := bytes.ReplaceAll(c.RawTBSCertificate, sha1OID, md5OID)
	sum := md5.Sum(tbs)
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.MD5, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	der := bytes.ReplaceAll(bytes.ReplaceAll(c.Raw, sha1OID, md5OID), c.Signature, sig)
	p, err := certs.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What Windows of that time signs with, and Go refuses to verify.
func TestOldSignatures(t *testing.T) {
	t.Parallel()
	signed := func(key crypto.Signer, alg x509.SignatureAlgorithm) *entity {
		template := ca("old")
		template.SignatureAlgorithm = alg
		return sign(t, template, key, nil)
	}
	rsaRoot, ecRoot := signed(rsaKey(t), x509.SHA1WithRSA), signed(ecKey(t), x509.ECDSAWithSHA1)
	md5Root := patchMD5(t, rsaRoot.cert, rsaRoot.key.(*rsa.PrivateKey))
	pss := signed(rsaKey(t), x509.SHA256WithRSAPSS)
	if md5Root.SignatureAlgorithm != x509.MD5WithRSA {
		t.Fatalf("the patched certificate has %v", md5Root.SignatureAlgorithm)
	}
	for name, c := range map[string]*x509.Certificate{"RSA SHA-1": rsaRoot.cert, "ECDSA SHA-1": ecRoot.cert, "RSA MD5": md5Root, "RSA-PSS": pss.cert} {
		if err := certs.CheckSignature(c, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		bad := *c
		bad.RawTBSCertificate = append(slices.Clone(c.RawTBSCertificate), 0)
		if err := certs.CheckSignature(&bad, c); err != certs.ErrSignature { //nolint:errorlint // the very value is promised
			t.Errorf("%s, changed: %v", name, err)
		}
	}
	if err := certs.CheckSignature(rsaRoot.cert, ecRoot.cert); err == nil {
		t.Error("an RSA signature is verified with an elliptic key")
	}
	if err := certs.CheckSignature(ecRoot.cert, rsaRoot.cert); err == nil {
		t.Error("an elliptic signature is verified with an RSA key")
	}
	odd := *rsaRoot.cert
	sha1WithRSA := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05}
	odd.Raw = bytes.ReplaceAll(odd.Raw, sha1WithRSA, append(sha1WithRSA[:8:8], 0x63))
	if err := certs.CheckSignature(&odd, rsaRoot.cert); err != certs.ErrAlgorithm { //nolint:errorlint // the very value is promised
		t.Errorf("an unknown algorithm: %v", err)
	}
	huge := *rsaRoot.cert
	huge.PublicKey = &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 400_000), E: 65537}
	if err := certs.CheckSignature(rsaRoot.cert, &huge); err != certs.ErrAlgorithm { //nolint:errorlint // the very value is promised
		t.Errorf("a huge key: %v", err)
	}
}

// file reads one of the certificates that OpenSSL made.
func file(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s holds no certificate", name)
	}
	c, err := certs.Parse(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A CA of Windows with "alternate signatures" signs with RSASSA-PSS, whose parameters need not be those that Go takes.
func TestOtherPSSParameters(t *testing.T) {
	t.Parallel()
	root := file(t, "root")
	for _, name := range []string{"pss-sha1", "pss-salt20"} {
		c := file(t, name)
		if c.SignatureAlgorithm != x509.UnknownSignatureAlgorithm || certs.SignatureOID(c) != "1.2.840.113549.1.1.10" {
			t.Errorf("%s is signed with %v, %s", name, c.SignatureAlgorithm, certs.SignatureOID(c))
		}
		if r := certs.Chains(c, nil, []*x509.Certificate{root}); r.Problem != certs.Trusted {
			t.Errorf("%s: the problem is %v", name, r.Problem)
		}
		bad := *c
		bad.RawTBSCertificate = append(slices.Clone(c.RawTBSCertificate), 0)
		if err := certs.CheckSignature(&bad, root); err != certs.ErrSignature { //nolint:errorlint // the very value is promised
			t.Errorf("%s, changed: %v", name, err)
		}
		if err := certs.CheckSignature(c, sign(t, ca("root"), ecKey(t), nil).cert); err != certs.ErrAlgorithm { //nolint:errorlint // the very value is promised
			t.Errorf("%s, with an elliptic key: %v", name, err)
		}
		cut := *c
		cut.Raw = c.Raw[:40]
		if err := certs.CheckSignature(&cut, root); err != certs.ErrAlgorithm { //nolint:errorlint // the very value is promised
			t.Errorf("%s, cut: %v", name, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	dc := asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	template := ca("Todorovic Root CA")
	template.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: dc, Value: "adds"}, {Type: dc, Value: "todorovic"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "Todorovic, Root CA"},
	}}
	root := sign(t, template, ecKey(t), nil)
	leaf := host("ocs.todorovic.adds")
	leaf.DNSNames = append(leaf.DNSNames, "sip.todorovic.fr")
	d := certs.Describe(sign(t, leaf, ecKey(t), root).cert.Raw)
	if d.Subject != "CN=ocs.todorovic.adds" || d.Issuer != `CN=Todorovic\, Root CA,DC=todorovic,DC=adds` || d.CommonName != "ocs.todorovic.adds" {
		t.Errorf("names: %q, %q, %q", d.Subject, d.Issuer, d.CommonName)
	}
	if d.CA || d.SelfSigned || d.Problem != "" || len(d.Thumbprint) != 40 || d.Thumbprint != strings.ToUpper(d.Thumbprint) {
		t.Errorf("%+v", d)
	}
	if !slices.Equal(d.DNSNames, []string{"ocs.todorovic.adds", "sip.todorovic.fr"}) || d.NotAfter.Year() != 2019 {
		t.Errorf("%v, %v", d.DNSNames, d.NotAfter)
	}
	if r := certs.Describe(root.cert.Raw); !r.CA || !r.SelfSigned {
		t.Errorf("the root: %+v", r)
	}
}

func TestWhatIsNoCertificateSaysSo(t *testing.T) {
	t.Parallel()
	good := sign(t, host("a"), ecKey(t), nil).cert.Raw
	for name, der := range map[string][]byte{
		"nothing": nil, "noise": []byte("not a certificate"), "cut": good[:len(good)-1], "trailing": append(slices.Clone(good), 0),
		"another structure": {0x30, 3, 2, 1, 5}, "too large": make([]byte, certs.MaxSize+1),
	} {
		d := certs.Describe(der)
		if d.Problem == "" || strings.Contains(d.Problem, "x509:") || strings.Contains(d.Problem, "asn1:") {
			t.Errorf("%s: problem %q", name, d.Problem)
		}
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x30, 3, 2, 1, 5})
	f.Add(sign(f, host("ocs.todorovic.adds"), ecKey(f), nil).cert.Raw)
	f.Add(sign(f, ca("root"), rsaKey(f), nil).cert.Raw)
	for _, name := range []string{"root", "pss-sha1"} {
		f.Add(file(f, name).Raw)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		d := certs.Describe(der)
		for _, s := range append([]string{d.Subject, d.Issuer, d.CommonName, d.Problem}, d.DNSNames...) {
			if !utf8.ValidString(s) {
				t.Errorf("%q is not UTF-8", s)
			}
		}
		if c, err := certs.Parse(der); (err == nil) != (d.Problem == "") {
			t.Errorf("Parse and Describe disagree: %v, %q", err, d.Problem)
		} else if err == nil {
			certs.Chains(c, []*x509.Certificate{c}, []*x509.Certificate{c})
			certs.Chains(c, []*x509.Certificate{c}, nil)
			if oid := certs.SignatureOID(c); strings.Trim(oid, "0123456789.") != "" {
				t.Errorf("the signature is %q", oid)
			}
		}
	})
}

func FuzzParseIssuers(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("<html>"))
	f.Add(sign(f, ca("Root"), ecKey(f), nil).cert.Raw)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sign(f, ca("Root"), ecKey(f), nil).cert.Raw}))
	// A PKCS #7 message without certificates.
	f.Add([]byte{0x30, 0x1f, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2, 0xa0, 0x12, 0x30, 0x10, 2, 1, 1, 0x31, 0, 0x30, 3, 6, 1, 0, 0xa0, 0, 0xa1, 0, 0x31, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := certs.ParseIssuers(b)
		if (err != nil) != (len(found) == 0) || len(found) > 20 {
			t.Errorf("%d certificates, %v", len(found), err)
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Add(sign(f, ca("root"), ecKey(f), nil).cert.RawSubject)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s := certs.Name(raw); !utf8.ValidString(s) {
			t.Errorf("%q is not UTF-8", s)
		}
	})
}
