package certs

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// MaxOCSP bounds an OCSP response in bytes.
const MaxOCSP = 256 << 10

// OCSPStatus is what a responder says of a certificate.
type OCSPStatus int

// The statuses (RFC 6960, section 2.2).
const (
	Good OCSPStatus = iota
	Revoked
	Unknown
)

// OCSP is one responder's word on one certificate.
type OCSP struct {
	Status     OCSPStatus
	ThisUpdate time.Time
	NextUpdate time.Time // zero when newer information is available all the time
	RevokedAt  time.Time
	ProducedAt time.Time
	// By is the certificate whose key signed the response.
	By *x509.Certificate
}

type certID struct {
	Hash    pkix.AlgorithmIdentifier
	NameSum []byte
	KeySum  []byte
	Serial  *big.Int
}

type ocspResponse struct {
	Status asn1.Enumerated
	Bytes  struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	} `asn1:"explicit,tag:0,optional"`
}

type basicResponse struct {
	Data         responseData
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

type responseData struct {
	Raw        asn1.RawContent
	Version    int `asn1:"optional,default:0,explicit,tag:0"`
	Responder  asn1.RawValue
	ProducedAt time.Time `asn1:"generalized"`
	Responses  []singleResponse
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type singleResponse struct {
	ID         certID
	Good       asn1.Flag        `asn1:"tag:0,optional"`
	Revoked    revokedInfo      `asn1:"tag:1,optional"`
	Unknown    asn1.Flag        `asn1:"tag:2,optional"`
	ThisUpdate time.Time        `asn1:"generalized"`
	NextUpdate time.Time        `asn1:"generalized,explicit,tag:0,optional"`
	Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

type revokedInfo struct {
	At     time.Time       `asn1:"generalized"`
	Reason asn1.Enumerated `asn1:"explicit,tag:0,optional"`
}

var (
	oidBasicOCSP = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}

	// ocspRefusals are the response statuses (RFC 6960, section 4.2.1).
	ocspRefusals = map[asn1.Enumerated]string{
		1: "the responder calls the request malformed", 2: "the responder has an internal error", 3: "the responder asks to try later",
		5: "the responder wants signed requests", 6: "the responder does not answer this client",
	}
)

// OCSPRequest asks about a certificate, without a nonce, as Windows does, so that a responder may answer what it has signed before
// (RFC 5019, section 2.1.1). The error says that the issuer's key is of no use.
func OCSPRequest(cert, issuer *x509.Certificate) ([]byte, error) {
	return ocsp.CreateRequest(cert, issuer, nil)
}

// Fresh says whether the response is in force, and if not, why.
func (o *OCSP) Fresh(now time.Time) (why string, ok bool) {
	switch {
	case now.Before(o.ThisUpdate):
		return "its answer is not valid yet", false
	case !o.NextUpdate.IsZero() && now.After(o.NextUpdate):
		return "its answer is out of date", false
	}
	return "", true
}

// ParseOCSP reads a response and takes out what it says of a certificate. It is authentic only if it was signed by the
// issuer itself, or by a responder to which the issuer gave the right (RFC 6960, section 4.2.2.2); x/crypto/ocsp
// looks at neither, and refuses SHA-1. Freshness is the caller's to judge, since it depends on when the response was read.
func ParseOCSP(b []byte, cert, issuer *x509.Certificate, now time.Time) (*OCSP, error) {
	if len(b) > MaxOCSP {
		return nil, fmt.Errorf("the OCSP response is longer than %d KiB", MaxOCSP>>10)
	}
	var outer ocspResponse
	if rest, err := asn1.Unmarshal(b, &outer); err != nil || len(rest) > 0 {
		return nil, errors.New("the bytes are no OCSP response")
	}
	if outer.Status != 0 {
		why, ok := ocspRefusals[outer.Status]
		if !ok {
			why = fmt.Sprintf("the responder refuses with the unknown status %d", outer.Status)
		}
		return nil, errors.New(why)
	}
	var basic basicResponse
	if !outer.Bytes.Type.Equal(oidBasicOCSP) {
		return nil, errors.New("the OCSP response is of an unknown type")
	}
	if rest, err := asn1.Unmarshal(outer.Bytes.Response, &basic); err != nil || len(rest) > 0 {
		return nil, errors.New("the OCSP response is malformed")
	}
	by, err := basic.signer(issuer, now)
	if err != nil {
		return nil, err
	}
	for _, r := range basic.Data.Responses {
		if !r.ID.names(cert, issuer) {
			continue
		}
		for _, e := range slices.Concat(r.Extensions, basic.Data.Extensions) {
			if e.Critical {
				return nil, errors.New("the OCSP response has a critical extension that is not known")
			}
		}
		o := &OCSP{Status: Good, ThisUpdate: r.ThisUpdate.UTC(), ProducedAt: basic.Data.ProducedAt.UTC(), By: by}
		if !r.NextUpdate.IsZero() {
			o.NextUpdate = r.NextUpdate.UTC()
		}
		switch {
		case bool(r.Unknown):
			o.Status = Unknown
		case !bool(r.Good):
			o.Status, o.RevokedAt = Revoked, r.Revoked.At.UTC()
		}
		return o, nil
	}
	return nil, errors.New("the OCSP response speaks of another certificate")
}

// signer finds the certificate that signed the response: the issuer, or one that the issuer made for the purpose.
func (b *basicResponse) signer(issuer *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	signed := func(by *x509.Certificate) error {
		return verify(by, b.Algorithm, b.Data.Raw, b.Signature.RightAlign())
	}
	if signed(issuer) == nil {
		return issuer, nil
	}
	const most = 8
	why := errors.New("the OCSP response is not signed by the issuer, nor by a responder that it authorised")
	for i, raw := range b.Certificates {
		if i == most {
			break
		}
		c, err := Parse(raw.FullBytes)
		if err != nil || signed(c) != nil {
			continue
		}
		switch {
		case !bytes.Equal(c.RawIssuer, issuer.RawSubject) || CheckSignature(c, issuer) != nil:
			why = errors.New("the OCSP responder's certificate is not from the issuer of the certificate asked about")
		case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
			why = errors.New("the OCSP responder's certificate may not sign OCSP responses")
		case now.Before(c.NotBefore) || now.After(c.NotAfter):
			why = errors.New("the OCSP responder's certificate is out of date")
		default:
			return c, nil
		}
	}
	return nil, why
}

// names tells whether the identifier is that of a certificate of that issuer (RFC 6960, section 4.1.1).
func (id certID) names(cert, issuer *x509.Certificate) bool {
	hash, ok := hashes[id.Hash.Algorithm.String()]
	if !ok || id.Serial == nil || id.Serial.Cmp(cert.SerialNumber) != 0 {
		return false
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &info); err != nil {
		return false
	}
	return bytes.Equal(id.NameSum, sum(hash, issuer.RawSubject)) && bytes.Equal(id.KeySum, sum(hash, info.Key.RightAlign()))
}
