package checktest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"ocsdoctor/checks/evidence/facts"
)

// certSpec is one certificate to make.
type certSpec struct {
	// Name is what the case calls it.
	Name string `json:"name"`
	// Issuer is the name of one that stands before it; empty: it signs itself.
	Issuer string   `json:"issuer"`
	CN     string   `json:"cn"`
	DNS    []string `json:"dns"`
	CA     bool     `json:"ca"`
	// From and To are the first and the last day of validity, "2009-01-31".
	From string `json:"from"`
	To   string `json:"to"`
	// RSA gives it an RSA key of that many bits, which nobody has and which signs nothing; 0 is an elliptic one.
	RSA int `json:"rsa"`
	// SHA1 signs it with SHA-1 instead of SHA-256.
	SHA1 bool `json:"sha1"`
	// EKU are the object identifiers of its extended key usages; none: it has no such extension.
	EKU []string `json:"eku"`
	// CDP are the addresses of its issuer's CRL, and AIA those of its issuer's certificate.
	CDP []string `json:"cdp"`
	AIA []string `json:"aia"`
	// OCSP are the addresses of its issuer's responder, Freshest those of the deltas of its issuer's CRL.
	OCSP     []string `json:"ocsp"`
	Freshest []string `json:"freshest"`
}

// listSpec is one certificate revocation list to make.
type listSpec struct {
	// Name is what the case calls it; Issuer is the name of a certificate.
	Name   string `json:"name"`
	Issuer string `json:"issuer"`
	// From and To are when it was made and when the next one comes, "2010-05-31T06:00:00Z"; no To: it does not say.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Publish is when a CA of Windows means to publish the next one; none: it does not say.
	Publish time.Time `json:"publish"`
	// Number is that of the list; Base that of the list which it is a delta of, 0 for none.
	Number int64 `json:"number"`
	Base   int64 `json:"base"`
	// Revoked are names of certificates, each for the reason Reason.
	Revoked []string `json:"revoked"`
	Reason  int      `json:"reason"`
	// Freshest are the addresses of its deltas.
	Freshest []string `json:"freshest"`
}

// responderSpec is an OCSP responder.
type responderSpec struct {
	// By is the name of the certificate that signs.
	By   string    `json:"by"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Status is good, revoked or unknown.
	Status string `json:"status"`
}

// template is the certificate before it is signed.
func (s certSpec) template(serial int64) (*x509.Certificate, error) {
	from, err1 := time.Parse(time.DateOnly, s.From)
	to, err2 := time.Parse(time.DateOnly, s.To)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: s.CN}, DNSNames: s.DNS, CRLDistributionPoints: s.CDP, IssuingCertificateURL: s.AIA, OCSPServer: s.OCSP,
		NotBefore: from, NotAfter: to, IsCA: s.CA, BasicConstraintsValid: s.CA,
	}
	if s.SHA1 {
		c.SignatureAlgorithm = x509.ECDSAWithSHA1
	}
	var usages []asn1.RawValue
	for _, e := range s.EKU {
		oid, err := x509.ParseOID(e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e, err)
		}
		der, err := oid.MarshalBinary()
		if err != nil {
			return nil, err
		}
		usages = append(usages, asn1.RawValue{Tag: asn1.TagOID, Bytes: der})
	}
	if len(usages) > 0 {
		der, err := asn1.Marshal(usages)
		if err != nil {
			return nil, err
		}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: der}}
	}
	if len(s.Freshest) > 0 {
		e, err := freshest(s.Freshest)
		if err != nil {
			return nil, err
		}
		c.ExtraExtensions = append(c.ExtraExtensions, e)
	}
	return c, errors.Join(err1, err2)
}

// freshest is the extension that names the deltas of a CRL (RFC 5280, section 5.2.6).
func freshest(urls []string) (pkix.Extension, error) {
	var names []asn1.RawValue
	for _, u := range urls {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(u)})
	}
	type point struct {
		Name struct {
			Full []asn1.RawValue `asn1:"tag:0"`
		} `asn1:"tag:0"`
	}
	var p point
	p.Name.Full = names
	der, err := asn1.Marshal([]point{p})
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: der}, err
}

// issuer is a certificate with its key.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// made is what was made for a case, by name: certificates, and revocation lists in DER.
type made struct {
	certificates map[string]issuer
	lists        map[string][]byte
}

// makeCertificates makes what a JSON list of certSpec and one of listSpec ask for, with new keys each time.
func makeCertificates(text, lists string) (made, error) {
	m := made{map[string]issuer{}, map[string][]byte{}}
	var specs []certSpec
	if text != "" {
		if err := json.Unmarshal([]byte(text), &specs); err != nil {
			return m, fmt.Errorf("certificates: %w", err)
		}
	}
	for i, s := range specs {
		if err := m.issue(s, int64(i+1)); err != nil {
			return m, fmt.Errorf("certificates: %s: %w", s.Name, err)
		}
	}
	var wanted []listSpec
	if lists != "" {
		if err := json.Unmarshal([]byte(lists), &wanted); err != nil {
			return m, fmt.Errorf("lists: %w", err)
		}
	}
	for _, s := range wanted {
		if err := m.list(s); err != nil {
			return m, fmt.Errorf("lists: %s: %w", s.Name, err)
		}
	}
	return m, nil
}

// issue makes one certificate.
func (m made) issue(s certSpec, serial int64) error {
	template, err1 := s.template(serial)
	key, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	by := issuer{template, key}
	if s.Issuer != "" {
		var ok bool
		if by, ok = m.certificates[s.Issuer]; !ok {
			return fmt.Errorf("its issuer %q does not stand before it", s.Issuer)
		}
	}
	var public crypto.PublicKey = &key.PublicKey
	if s.RSA > 0 {
		// Nothing is done with it, so any odd number of that length does for the modulus.
		public = &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), s.RSA-1, 1), E: 65537}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, public, by.key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	m.certificates[s.Name] = issuer{cert, key}
	return err
}

// list makes one revocation list.
func (m made) list(s listSpec) error {
	by, ok := m.certificates[s.Issuer]
	if !ok {
		return fmt.Errorf("its issuer %q is not made", s.Issuer)
	}
	l := &x509.RevocationList{Number: big.NewInt(s.Number), ThisUpdate: s.From, NextUpdate: s.To}
	if s.Base > 0 {
		base, err := asn1.Marshal(s.Base)
		if err != nil {
			return err
		}
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: base})
	}
	if !s.Publish.IsZero() {
		at, err := asn1.Marshal(s.Publish)
		if err != nil {
			return err
		}
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 4}, Value: at})
	}
	if len(s.Freshest) > 0 {
		e, err := freshest(s.Freshest)
		if err != nil {
			return err
		}
		l.ExtraExtensions = append(l.ExtraExtensions, e)
	}
	for _, name := range s.Revoked {
		c, ok := m.certificates[name]
		if !ok {
			return fmt.Errorf("the certificate %q is not made", name)
		}
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.cert.SerialNumber, RevocationTime: s.From, ReasonCode: s.Reason})
	}
	signer := *by.cert
	signer.KeyUsage |= x509.KeyUsageCRLSign // which the certificates made here leave open
	der, err := x509.CreateRevocationList(rand.Reader, l, &signer, by.key)
	m.lists[s.Name] = der
	return err
}

// respond answers an OCSP request, which stands in base64 in the URL behind the responder's address, or in the body.
func (m made) respond(address string, s responderSpec, q facts.HTTPQuestion) (facts.HTTPAnswer, error) {
	body := q.Body
	if body == "" {
		var err error
		if body, err = url.QueryUnescape(strings.TrimPrefix(q.URL, address+"/")); err != nil {
			return facts.HTTPAnswer{}, err
		}
	}
	request, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		return facts.HTTPAnswer{}, err
	}
	asked, err := ocsp.ParseRequest(request)
	if err != nil {
		return facts.HTTPAnswer{}, err
	}
	by, ok := m.certificates[s.By]
	if !ok {
		return facts.HTTPAnswer{}, fmt.Errorf("no certificate %q is made", s.By)
	}
	statuses := map[string]int{"good": ocsp.Good, "revoked": ocsp.Revoked, "unknown": ocsp.Unknown}
	status, ok := statuses[s.Status]
	if !ok {
		return facts.HTTPAnswer{}, fmt.Errorf("there is no status %q", s.Status)
	}
	der, err := ocsp.CreateResponse(by.cert, by.cert, ocsp.Response{
		Status: status, SerialNumber: asked.SerialNumber, ThisUpdate: s.From, NextUpdate: s.To, RevokedAt: s.From, IssuerHash: asked.HashAlgorithm,
	}, by.key)
	return facts.HTTPAnswer{Status: 200, Type: "application/ocsp-response", Body: der}, err
}

// inline replaces "attribute: @crl NAME" and "attribute: @der NAME" in a directory.
func (m made) inline(ldif string) (string, error) {
	var b strings.Builder
	for line := range strings.Lines(ldif) {
		attribute, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if form, _, _ := strings.Cut(value, " "); form != "@crl" && form != "@der" {
			b.WriteString(line)
			continue
		}
		der, err := m.replace(value)
		if err != nil {
			return "", err
		}
		raw := der.([]byte) // both forms stand for bytes
		b.WriteString(attribute + ":: " + base64.StdEncoding.EncodeToString(raw) + "\n")
	}
	return b.String(), nil
}

// expand replaces "@cert NAME", "@der NAME" and "@crl NAME" in a JSON value.
func (m made) expand(text []byte) (json.RawMessage, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	v, err := m.replace(v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func (m made) replace(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if v[k], err = m.replace(v[k]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = m.replace(v[i]); err != nil {
				return nil, err
			}
		}
	case string:
		form, name, _ := strings.Cut(v, " ")
		switch form {
		case "@crl":
			der, ok := m.lists[name]
			if !ok {
				return nil, fmt.Errorf("no list %q is made", name)
			}
			return der, nil
		case "@cert", "@der":
			c, ok := m.certificates[name]
			if !ok {
				return nil, fmt.Errorf("no certificate %q is made", name)
			}
			if form == "@der" {
				return c.cert.Raw, nil
			}
			return describe(c.cert.Raw)
		}
	}
	return v, nil
}

// describe says of a certificate what a probe would.
func describe(der []byte) (facts.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return facts.Certificate{}, err
	}
	return facts.Certificate{
		DER: der, Subject: c.Subject.String(), Issuer: c.Issuer.String(), CommonName: c.Subject.CommonName, DNSNames: c.DNSNames,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Thumbprint: fmt.Sprintf("%X", sha1.Sum(der)),
		SelfSigned: c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil, CA: c.IsCA,
	}, nil
}
