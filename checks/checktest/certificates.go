package checktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
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
		from, err1 := time.Parse(time.DateOnly, s.From)
		to, err2 := time.Parse(time.DateOnly, s.To)
		key, err3 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: s.CN}, DNSNames: s.DNS,
			NotBefore: from, NotAfter: to, IsCA: s.CA, BasicConstraintsValid: s.CA,
		}
		by := issuer{template, key}
		if s.Issuer != "" {
			var ok bool
			if by, ok = issuers[s.Issuer]; !ok {
				return nil, fmt.Errorf("%s: its issuer %q does not stand before it", s.Name, s.Issuer)
			}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
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
