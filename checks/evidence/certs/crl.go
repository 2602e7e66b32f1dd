package certs

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// MaxCRL bounds a revocation list in bytes. A CA that revoked 100,000 certificates publishes four million.
const MaxCRL = 32 << 20

// CRL is a certificate revocation list (RFC 5280, section 5).
type CRL struct {
	list *x509.RevocationList

	ThisUpdate time.Time
	// NextUpdate is zero when the list does not say when the next one comes.
	NextUpdate time.Time
	// NextPublish is when a CA of Windows means to publish the next list, before NextUpdate; zero when the list does not say.
	NextPublish time.Time
	// Delta tells that it only lists what changed since the base with the number Base.
	Delta bool
	Base  *big.Int
	// Scope is what the list is limited to.
	Scope Scope
	// Unknown is a critical extension that is not understood; nil for none. Such a list proves nothing.
	Unknown asn1.ObjectIdentifier
	// Freshest are the URLs of its deltas (RFC 5280, section 5.2.6).
	Freshest []string

	revoked map[string]int // reason by serial number
}

// Scope is the issuing distribution point of a list (RFC 5280, section 5.2.5).
type Scope struct {
	OnlyUsers, OnlyCAs, OnlyAttributes, Indirect bool
	// OnlySome tells that the list holds only some reasons.
	OnlySome bool
	// URLs are the names of the distribution point; nil when the list has none.
	URLs []string
}

var (
	oidIssuingPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidDelta        = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidNumber       = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidAuthorityKey = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidNextPublish  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 4} // szOID_CRL_NEXT_PUBLISH of wincrypt.h
	oidFreshest     = asn1.ObjectIdentifier{2, 5, 29, 46}
)

// ParseCRL reads a list in DER, or in PEM as some web servers hand it out.
func ParseCRL(b []byte) (*CRL, error) {
	if len(b) > MaxCRL {
		return nil, fmt.Errorf("the revocation list is longer than %d MiB", MaxCRL>>20)
	}
	if block, _ := pem.Decode(b); block != nil && block.Type == "X509 CRL" {
		b = block.Bytes
	}
	list, err := x509.ParseRevocationList(b)
	if err != nil {
		return nil, errors.New("the bytes are no certificate revocation list")
	}
	c := &CRL{list: list, ThisUpdate: list.ThisUpdate.UTC(), NextUpdate: list.NextUpdate.UTC(), revoked: map[string]int{}}
	if list.NextUpdate.IsZero() {
		c.NextUpdate = time.Time{}
	}
	for _, e := range list.Extensions {
		if err := c.extension(e); err != nil {
			return nil, err
		}
	}
	for _, e := range list.RevokedCertificateEntries {
		c.revoked[e.SerialNumber.String()] = e.ReasonCode
	}
	return c, nil
}

func (c *CRL) extension(e pkix.Extension) error {
	switch {
	case e.Id.Equal(oidDelta):
		c.Delta = true
		if rest, err := asn1.Unmarshal(e.Value, &c.Base); err != nil || len(rest) > 0 {
			return errors.New("malformed delta CRL indicator")
		}
	case e.Id.Equal(oidIssuingPoint):
		return c.Scope.parse(e.Value)
	case e.Id.Equal(oidNextPublish):
		var next time.Time
		if rest, err := asn1.Unmarshal(e.Value, &next); err == nil && len(rest) == 0 {
			c.NextPublish = next.UTC()
		}
	case e.Id.Equal(oidFreshest):
		c.Freshest = pointURLs(e.Value)
	case e.Id.Equal(oidNumber), e.Id.Equal(oidAuthorityKey):
	case e.Critical:
		c.Unknown = e.Id
	}
	return nil
}

func (s *Scope) parse(der []byte) error {
	var point struct {
		Name       asn1.RawValue  `asn1:"optional,tag:0"`
		Users      bool           `asn1:"optional,tag:1"`
		CAs        bool           `asn1:"optional,tag:2"`
		Reasons    asn1.BitString `asn1:"optional,tag:3"`
		Indirect   bool           `asn1:"optional,tag:4"`
		Attributes bool           `asn1:"optional,tag:5"`
	}
	if rest, err := asn1.Unmarshal(der, &point); err != nil || len(rest) > 0 {
		return errors.New("malformed issuing distribution point")
	}
	s.OnlyUsers, s.OnlyCAs, s.Indirect, s.OnlyAttributes = point.Users, point.CAs, point.Indirect, point.Attributes
	s.OnlySome = point.Reasons.BitLength > 0
	if len(point.Name.Bytes) == 0 {
		return nil
	}
	var err error
	if s.URLs, err = nameURLs(point.Name.Bytes); err != nil {
		return errors.New("malformed issuing distribution point")
	}
	return nil
}

// nameURLs are the URLs of a distribution point's full name (RFC 5280, section 4.2.1.13).
func nameURLs(der []byte) ([]string, error) {
	var full asn1.RawValue
	if _, err := asn1.Unmarshal(der, &full); err != nil {
		return nil, err
	}
	var urls []string
	for rest := full.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &name); err != nil {
			return nil, err
		}
		if name.Class == asn1.ClassContextSpecific && name.Tag == 6 { // uniformResourceIdentifier
			urls = append(urls, text(string(name.Bytes)))
		}
	}
	return urls, nil
}

// pointURLs are the URLs of a list of distribution points; those of a malformed one are left out.
func pointURLs(der []byte) []string {
	var points []struct {
		Name    asn1.RawValue  `asn1:"optional,tag:0"`
		Reasons asn1.BitString `asn1:"optional,tag:1"`
		Issuer  asn1.RawValue  `asn1:"optional,tag:2"`
	}
	if _, err := asn1.Unmarshal(der, &points); err != nil {
		return nil
	}
	var urls []string
	for _, p := range points {
		found, err := nameURLs(p.Name.Bytes)
		if err == nil {
			urls = append(urls, found...)
		}
	}
	return urls
}

// FreshestCRL are the URLs at which a certificate says that deltas of its list are (RFC 5280, section 4.2.1.15).
func FreshestCRL(cert *x509.Certificate) []string {
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidFreshest) {
			return pointURLs(e.Value)
		}
	}
	return nil
}

// Number is the list's number; nil when it has none.
func (c *CRL) Number() *big.Int { return c.list.Number }

// Issuer is the name of who issued the list.
func (c *CRL) Issuer() string { return Name(c.list.RawIssuer) }

// Len is how many certificates the list revokes.
func (c *CRL) Len() int { return len(c.revoked) }

// SignedBy tells whether the list is that of the certificate: by name, by key where it names one, by the right to sign
// lists and by its signature. The error says which of these is wrong.
func (c *CRL) SignedBy(issuer *x509.Certificate) error {
	switch {
	case !bytes.Equal(c.list.RawIssuer, issuer.RawSubject):
		return errors.New("it is the list of another issuer")
	case len(c.list.AuthorityKeyId) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(c.list.AuthorityKeyId, issuer.SubjectKeyId):
		return errors.New("it is signed with another key of that issuer")
	case issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return errors.New("its issuer may not sign revocation lists")
	}
	return verify(issuer, outerAlgorithm(c.list.Raw), c.list.RawTBSRevocationList, c.list.Signature)
}

// Covers tells whether the list speaks of a certificate: whether its scope holds it (RFC 5280, section 6.3.3 (b)).
func (c *CRL) Covers(cert *x509.Certificate) bool {
	ca := cert.BasicConstraintsValid && cert.IsCA
	switch s := c.Scope; {
	case s.OnlyAttributes, s.Indirect, s.OnlySome, s.OnlyUsers && ca, s.OnlyCAs && !ca:
		return false
	case len(s.URLs) == 0 || len(cert.CRLDistributionPoints) == 0:
		return true
	default:
		return slices.ContainsFunc(s.URLs, func(u string) bool { return slices.Contains(cert.CRLDistributionPoints, u) })
	}
}

// removeFromCRL is the reason by which a delta takes a revocation back (RFC 5280, section 5.3.1).
const removeFromCRL = 8

// Revoked tells whether the list revokes a serial number, and the reason code.
func (c *CRL) Revoked(serial *big.Int) (reason int, ok bool) {
	reason, ok = c.revoked[serial.String()]
	return reason, ok && reason != removeFromCRL
}

// Unrevokes tells whether a delta takes a revocation back.
func (c *CRL) Unrevokes(serial *big.Int) bool {
	reason, ok := c.revoked[serial.String()]
	return ok && reason == removeFromCRL
}
