package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	_ "crypto/md5" // makes crypto.MD5 available
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
)

// ErrAlgorithm says that a signature is of a kind that cannot be verified here (MD2, DSA, an unknown one).
var ErrAlgorithm = errors.New("the signature is of a kind that cannot be verified")

// ErrSignature says that the signature was not made with the key.
var ErrSignature = errors.New("the signature was not made with the issuer's key")

// maxModulus bounds an RSA modulus in bits: a hostile certificate could otherwise keep the processor busy for minutes.
const maxModulus = 16384

// CheckSignature tells whether parent's key signed child. SHA-1 and MD5, which the standard library always
// refuses, are verified by hand: Windows of that time accepts both. Neither dates nor the right
// to issue are looked at. The error is ErrAlgorithm or ErrSignature.
func CheckSignature(child, parent *x509.Certificate) error {
	if key, ok := parent.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxModulus {
		return ErrAlgorithm
	}
	var hash crypto.Hash
	switch child.SignatureAlgorithm {
	case x509.MD5WithRSA:
		hash = crypto.MD5
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		hash = crypto.SHA1
	case x509.UnknownSignatureAlgorithm:
		return checkPSS(child, parent)
	default:
		switch err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature); {
		case err == nil:
			return nil
		case errors.Is(err, x509.ErrUnsupportedAlgorithm):
			return ErrAlgorithm
		}
		return ErrSignature
	}
	h := hash.New()
	h.Write(child.RawTBSCertificate)
	sum := h.Sum(nil)
	switch key := parent.PublicKey.(type) {
	case *rsa.PublicKey:
		if child.SignatureAlgorithm != x509.ECDSAWithSHA1 && rsa.VerifyPKCS1v15(key, hash, sum, child.Signature) == nil {
			return nil
		}
	case *ecdsa.PublicKey:
		if child.SignatureAlgorithm == x509.ECDSAWithSHA1 && ecdsa.VerifyASN1(key, sum, child.Signature) {
			return nil
		}
	}
	return ErrSignature
}

// oidPSS is id-RSASSA-PSS (RFC 4055, section 3.1).
const oidPSS = "1.2.840.113549.1.1.10"

// algorithm is the AlgorithmIdentifier that a certificate is signed with; its zero value when it cannot be read.
func algorithm(c *x509.Certificate) (a pkix.AlgorithmIdentifier) {
	var outer struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.Raw, &outer); err != nil {
		return a
	}
	return outer.Algorithm
}

// SignatureOID is the object identifier of the algorithm that a certificate is signed with: "1.2.840.113549.1.1.5". It
// tells apart what the standard library calls unknown.
func SignatureOID(c *x509.Certificate) string { return algorithm(c).Algorithm.String() }

// pssHashes are the hashes of RSASSA-PSS (RFC 4055, section 2.1).
var pssHashes = map[string]crypto.Hash{
	"1.3.14.3.2.26": crypto.SHA1, "2.16.840.1.101.3.4.2.1": crypto.SHA256, "2.16.840.1.101.3.4.2.2": crypto.SHA384, "2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// checkPSS verifies an RSASSA-PSS signature with parameters that the standard library does not take, such as the SHA-1 and
// the 20 bytes of salt that are the default (RFC 4055, section 3.1). The error is as that of CheckSignature.
func checkPSS(child, parent *x509.Certificate) error {
	key, isRSA := parent.PublicKey.(*rsa.PublicKey)
	a := algorithm(child)
	if !isRSA || a.Algorithm.String() != oidPSS {
		return ErrAlgorithm
	}
	sha1ID := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}}
	var p struct {
		Hash         pkix.AlgorithmIdentifier `asn1:"optional,explicit,tag:0"`
		MGF          pkix.AlgorithmIdentifier `asn1:"optional,explicit,tag:1"`
		SaltLength   int                      `asn1:"optional,explicit,tag:2,default:20"`
		TrailerField int                      `asn1:"optional,explicit,tag:3,default:1"`
	}
	if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &p); err != nil {
		return ErrAlgorithm
	}
	mgf := sha1ID
	if len(p.MGF.Parameters.FullBytes) > 0 {
		if _, err := asn1.Unmarshal(p.MGF.Parameters.FullBytes, &mgf); err != nil {
			return ErrAlgorithm
		}
	}
	if len(p.Hash.Algorithm) == 0 {
		p.Hash = sha1ID
	}
	hash, known := pssHashes[p.Hash.Algorithm.String()]
	// A salt of length 0 is left out: to VerifyPSS that means any length.
	if !known || !mgf.Algorithm.Equal(p.Hash.Algorithm) || p.SaltLength < 1 || p.TrailerField != 1 {
		return ErrAlgorithm
	}
	h := hash.New()
	h.Write(child.RawTBSCertificate)
	if rsa.VerifyPSS(key, hash, h.Sum(nil), child.Signature, &rsa.PSSOptions{SaltLength: p.SaltLength}) != nil {
		return ErrSignature
	}
	return nil
}

// selfSigned tells whether a certificate is its own issuer. A signature that cannot be verified (an MD2 root)
// is taken for its own, as no other issuer has that name and nothing rests on it.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && !errors.Is(CheckSignature(c, c), ErrSignature)
}
