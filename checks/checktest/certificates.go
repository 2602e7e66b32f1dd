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
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

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
	// CDP are the addresses of its issuer's CRL.
	CDP []string `json:"cdp"`
}

// template is the certificate before it is signed.
func (s certSpec) template(serial int64) (*x509.Certificate, error) {
	from, err1 := time.Parse(time.DateOnly, s.From)
	to, err2 := time.Parse(time.DateOnly, s.To)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: s.CN}, DNSNames: s.DNS, CRLDistributionPoints: s.CDP,
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
	return c, errors.Join(err1, err2)
}

// certificates are those that were made, in DER, by their names in the case.
type certificates map[string][]byte

// makeCertificates makes what a JSON list of certSpec asks for, with new keys each time.
func makeCertificates(text string) (certificates, error) {
	if text == "" {
		return nil, nil
	}
	var specs []certSpec
	if err := json.Unmarshal([]byte(text), &specs); err != nil {
		return nil, err
	}
	type issuer struct {
		cert *x509.Certificate
		key  *ecdsa.PrivateKey
	}
	made, issuers := certificates{}, map[string]issuer{}
	for i, s := range specs {
		template, err1 := s.template(int64(i + 1))
		key, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		by := issuer{template, key}
		if s.Issuer != "" {
			var ok bool
			if by, ok = issuers[s.Issuer]; !ok {
				return nil, fmt.Errorf("%s: its issuer %q does not stand before it", s.Name, s.Issuer)
			}
		}
		var public crypto.PublicKey = &key.PublicKey
		if s.RSA > 0 {
			// Nothing is done with it, so any odd number of that length does for the modulus.
			public = &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), s.RSA-1, 1), E: 65537}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, by.cert, public, by.key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		made[s.Name], issuers[s.Name] = der, issuer{cert, key}
	}
	return made, nil
}

// expand replaces "@cert NAME" and "@der NAME" in a JSON value.
func (made certificates) expand(text []byte) (json.RawMessage, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	v, err := made.replace(v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func (made certificates) replace(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if v[k], err = made.replace(v[k]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = made.replace(v[i]); err != nil {
				return nil, err
			}
		}
	case string:
		form, name, _ := strings.Cut(v, " ")
		if form != "@cert" && form != "@der" {
			return v, nil
		}
		der, ok := made[name]
		if !ok {
			return nil, fmt.Errorf("no certificate %q is made", name)
		}
		if form == "@der" {
			return der, nil
		}
		return describe(der)
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
