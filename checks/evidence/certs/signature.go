package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	_ "crypto/md5" // makes crypto.MD5 available
	"crypto/rsa"
	_ "crypto/sha1" // the same for the other hashes
	_ "crypto/sha256"
	_ "crypto/sha512"
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

// CheckSignature tells whether parent's key signed child. Neither dates nor the right to issue are looked at. The error is
// ErrAlgorithm or ErrSignature.
func CheckSignature(child, parent *x509.Certificate) error {
	return verify(parent, outerAlgorithm(child.Raw), child.RawTBSCertificate, child.Signature)
}

// signatures are the signature algorithms by their OID (RFC 3279, RFC 4055, RFC 5758), RSASSA-PSS aside.
var signatures = map[string]x509.SignatureAlgorithm{
	"1.2.840.113549.1.1.4": x509.MD5WithRSA, "1.2.840.113549.1.1.5": x509.SHA1WithRSA, "1.3.14.3.2.29": x509.SHA1WithRSA,
	"1.2.840.113549.1.1.11": x509.SHA256WithRSA, "1.2.840.113549.1.1.12": x509.SHA384WithRSA, "1.2.840.113549.1.1.13": x509.SHA512WithRSA,
	"1.2.840.10045.4.1": x509.ECDSAWithSHA1, "1.2.840.10045.4.3.2": x509.ECDSAWithSHA256, "1.2.840.10045.4.3.3": x509.ECDSAWithSHA384,
	"1.2.840.10045.4.3.4": x509.ECDSAWithSHA512,
}

// hashes are the hashes by their OID.
var hashes = map[string]crypto.Hash{
	"1.3.14.3.2.26": crypto.SHA1, "2.16.840.1.101.3.4.2.1": crypto.SHA256, "2.16.840.1.101.3.4.2.2": crypto.SHA384, "2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// oidPSS is RSASSA-PSS, which an enterprise CA uses with AlternateSignatureAlgorithm=1.
const oidPSS = "1.2.840.113549.1.1.10"

// outerAlgorithm is the signature algorithm of a certificate or revocation list, which stands between what is signed and the signature.
func outerAlgorithm(der []byte) pkix.AlgorithmIdentifier {
	var outer struct {
		Signed    asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	_, _ = asn1.Unmarshal(der, &outer) // one that cannot be read is no algorithm that is known
	return outer.Algorithm
}

// SignatureOID is the object identifier of the algorithm that a certificate is signed with: "1.2.840.113549.1.1.5". It
// tells apart what the standard library calls unknown.
func SignatureOID(c *x509.Certificate) string { return outerAlgorithm(c.Raw).Algorithm.String() }

// verify tells whether the signer's key made a signature. SHA-1 and MD5, which the standard library always refuses, are verified
// by hand, since Windows of that time accepts both, and so is RSASSA-PSS with any hash and salt.
func verify(signer *x509.Certificate, by pkix.AlgorithmIdentifier, signed, signature []byte) error {
	if key, ok := signer.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxModulus {
		return ErrAlgorithm
	}
	if by.Algorithm.String() == oidPSS {
		return verifyPSS(signer, by, signed, signature)
	}
	algorithm := signatures[by.Algorithm.String()]
	var hash crypto.Hash
	switch algorithm {
	case x509.UnknownSignatureAlgorithm:
		return ErrAlgorithm
	case x509.MD5WithRSA:
		hash = crypto.MD5
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		hash = crypto.SHA1
	default:
		switch err := signer.CheckSignature(algorithm, signed, signature); {
		case err == nil:
			return nil
		case errors.Is(err, x509.ErrUnsupportedAlgorithm):
			return ErrAlgorithm
		}
		return ErrSignature
	}
	switch key := signer.PublicKey.(type) {
	case *rsa.PublicKey:
		if algorithm != x509.ECDSAWithSHA1 && rsa.VerifyPKCS1v15(key, hash, sum(hash, signed), signature) == nil {
			return nil
		}
	case *ecdsa.PublicKey:
		if algorithm == x509.ECDSAWithSHA1 && ecdsa.VerifyASN1(key, sum(hash, signed), signature) {
			return nil
		}
	}
	return ErrSignature
}

// verifyPSS verifies RSASSA-PSS (RFC 4055, section 3.1); parameters that are left out mean SHA-1. The mask is made with the same hash.
func verifyPSS(signer *x509.Certificate, by pkix.AlgorithmIdentifier, signed, signature []byte) error {
	var p struct {
		Hash pkix.AlgorithmIdentifier `asn1:"explicit,tag:0,optional"`
		Mask pkix.AlgorithmIdentifier `asn1:"explicit,tag:1,optional"`
		Salt int                      `asn1:"explicit,tag:2,optional,default:20"`
		Tail int                      `asn1:"explicit,tag:3,optional,default:1"`
	}
	if _, err := asn1.Unmarshal(by.Parameters.FullBytes, &p); err != nil {
		return ErrAlgorithm
	}
	hash := crypto.SHA1
	if p.Hash.Algorithm != nil {
		hash = hashes[p.Hash.Algorithm.String()]
	}
	key, ok := signer.PublicKey.(*rsa.PublicKey)
	if !ok || hash == 0 {
		return ErrAlgorithm
	}
	if rsa.VerifyPSS(key, hash, sum(hash, signed), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) != nil {
		return ErrSignature
	}
	return nil
}

func sum(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}

// selfSigned tells whether a certificate is its own issuer. A signature that cannot be verified (an MD2 root)
// is taken for its own, as no other issuer has that name and nothing rests on it.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && !errors.Is(CheckSignature(c, c), ErrSignature)
}
