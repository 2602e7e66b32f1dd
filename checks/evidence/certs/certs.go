// Package certs reads certificates as old servers send them, and builds chains over them: tolerant of names,
// of SHA-1 and of MD5, which Windows of that time accepts and Go's own verifier refuses. It does no I/O.
package certs

import (
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ocsdoctor/checks/evidence/facts"
)

// MaxSize bounds a certificate in bytes. Real ones have one or two thousand.
const MaxSize = 64 << 10

var (
	errEmpty    = errors.New("there are no bytes")
	errTooLarge = fmt.Errorf("it is longer than %d KiB", MaxSize>>10)
	errNotDER   = errors.New("the bytes are no single ASN.1 structure")
	errNotX509  = errors.New("the structure is not that of an X.509 certificate")
	errTrailing = errors.New("bytes follow after the certificate")
)

// Parse reads one certificate in DER. A negative serial number is accepted (go.mod asks for it).
func Parse(der []byte) (*x509.Certificate, error) {
	switch {
	case len(der) == 0:
		return nil, errEmpty
	case len(der) > MaxSize:
		return nil, errTooLarge
	}
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(der, &outer)
	if err != nil || !outer.IsCompound || outer.Tag != asn1.TagSequence {
		return nil, errNotDER
	}
	if len(rest) > 0 {
		return nil, errTrailing
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errNotX509
	}
	return c, nil
}

// maxIssuers bounds the certificates that are taken from one file.
const maxIssuers = 20

// signedData is what of a PKCS #7 message holds certificates (RFC 2315, section 9.1).
type signedData struct {
	Version      int
	Digests      asn1.RawValue
	Content      asn1.RawValue
	Certificates asn1.RawValue `asn1:"tag:0,optional"`
	CRLs         asn1.RawValue `asn1:"tag:1,optional"`
	Signers      asn1.RawValue
}

// ParseIssuers reads what stands at an address where the certificate of an issuer should be (RFC 5280, section 4.2.2.1): one certificate in DER,
// certificates in PEM as some web servers hand them out, or those of a PKCS #7 message. The error says that there is none.
func ParseIssuers(b []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := b; len(out) < maxIssuers && len(b) <= maxIssuers*MaxSize; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if c, err := Parse(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			out = append(out, c)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	var message struct {
		Type    asn1.ObjectIdentifier
		Content signedData `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(b, &message); err == nil && message.Type.Equal(oidSignedData) {
		for rest := message.Content.Certificates.Bytes; len(rest) > 0 && len(out) < maxIssuers; {
			var one asn1.RawValue
			if rest, err = asn1.Unmarshal(rest, &one); err != nil {
				break
			}
			if c, err := Parse(one.FullBytes); err == nil {
				out = append(out, c)
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	c, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("it holds no certificate that can be read: %w", err)
	}
	return []*x509.Certificate{c}, nil
}

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// Describe says of a certificate what can be said without judging it. One that cannot be read has Problem.
func Describe(der []byte) facts.Certificate {
	c, err := Parse(der)
	if err != nil {
		return facts.Certificate{DER: der, Problem: "the certificate cannot be read: " + err.Error()}
	}
	names := make([]string, len(c.DNSNames))
	for i, n := range c.DNSNames {
		names[i] = text(n)
	}
	sum := sha1.Sum(der)
	return facts.Certificate{
		DER:        der,
		Subject:    Name(c.RawSubject),
		Issuer:     Name(c.RawIssuer),
		CommonName: text(c.Subject.CommonName),
		DNSNames:   names,
		NotBefore:  c.NotBefore.UTC(),
		NotAfter:   c.NotAfter.UTC(),
		Thumbprint: strings.ToUpper(hex.EncodeToString(sum[:])),
		SelfSigned: selfSigned(c),
		CA:         c.BasicConstraintsValid && c.IsCA,
	}
}

// attributeNames are the short names of RFC 4514, section 3, and E as Windows shows an e-mail address.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "E",
}

// Name writes a distinguished name in DER as a person reads it, the most exact part first (RFC 4514):
// "CN=Todorovic Root CA,DC=todorovic,DC=adds". Unlike the standard library it knows DC, which every AD CA has.
func Name(raw []byte) string {
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(raw, &rdns); err != nil {
		return "(unreadable name)"
	}
	if len(rdns) == 0 {
		return "(no name)"
	}
	parts := make([]string, 0, len(rdns))
	for _, rdn := range slices.Backward(rdns) {
		values := make([]string, len(rdn))
		for i, atv := range rdn {
			oid := atv.Type.String()
			name, known := attributeNames[oid]
			if !known {
				name = oid
			}
			values[i] = name + "=" + escape(value(atv.Value))
		}
		parts = append(parts, strings.Join(values, "+"))
	}
	return strings.Join(parts, ",")
}

// value is an attribute's value; a string type that Go does not read leaves nil.
func value(v any) string {
	if v == nil {
		return "(unreadable)"
	}
	return text(fmt.Sprint(v))
}

// escape protects what separates the parts of a name (RFC 4514, section 2.4).
func escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		if strings.ContainsRune(`,+"\<>;`, r) || i == 0 && (r == '#' || r == ' ') || i == len(s)-1 && r == ' ' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// text makes what a certificate holds valid UTF-8, so that it survives the way through JSON. Control
// characters stay: whoever shows it must escape them.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
