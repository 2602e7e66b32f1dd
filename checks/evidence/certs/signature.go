package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	_ "crypto/md5" // makes crypto.MD5 available
	"crypto/rsa"
	"crypto/x509"
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

// selfSigned tells whether a certificate is its own issuer. A signature that cannot be verified (an MD2 root)
// is taken for its own, as no other issuer has that name and nothing rests on it.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && !errors.Is(CheckSignature(c, c), ErrSignature)
}
