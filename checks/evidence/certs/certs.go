// Package certs reads certificates as old servers send them, and builds chains over them: tolerant of names,
// of SHA-1 and of MD5, which Windows of that time accepts and Go's own verifier refuses. It does no I/O.
package certs

import (
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
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
