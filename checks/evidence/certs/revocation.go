package certs

import (
	"crypto/x509"
	"slices"
	"time"
)

// Standing is what revocation lists and responders together say of a certificate.
type Standing int

// The standings. What cannot be known is not good.
const (
	NotKnown Standing = iota
	NotRevoked
	IsRevoked
)

// Usable says whether a list can prove that a certificate of the issuer stands well, and if not, why.
func (c *CRL) Usable(cert, issuer *x509.Certificate, now time.Time) (why string, ok bool) {
	if err := c.SignedBy(issuer); err != nil {
		return err.Error(), false
	}
	switch {
	case c.Unknown != nil:
		return "it has a critical extension that is not known: " + c.Unknown.String(), false
	case !c.Covers(cert):
		return "its scope does not hold the certificate", false
	case now.Before(c.ThisUpdate):
		return "it is not valid yet", false
	case !c.NextUpdate.IsZero() && now.After(c.NextUpdate):
		return "it is out of date", false
	}
	return "", true
}

// Judge puts together what lists and responses say of a certificate. A revocation beats everything, even one in a list that is
// out of date, as long as the list is authentic; only a delta that is fresher takes one back.
func Judge(cert, issuer *x509.Certificate, lists []*CRL, responses []*OCSP, now time.Time) Standing {
	standing := NotKnown
	for _, o := range responses {
		_, fresh := o.Fresh(now)
		switch {
		case o.Status == Revoked:
			return IsRevoked
		case o.Status == Good && fresh:
			standing = NotRevoked
		}
	}
	for _, base := range lists {
		if base.Delta || base.SignedBy(issuer) != nil || !base.Covers(cert) {
			continue
		}
		_, revoked := base.Revoked(cert.SerialNumber)
		for _, d := range deltasOf(base, cert, issuer, lists, now) {
			if d.Unrevokes(cert.SerialNumber) {
				revoked = false
			} else if _, listed := d.Revoked(cert.SerialNumber); listed {
				revoked = true
			}
		}
		if revoked {
			return IsRevoked
		}
		if _, ok := base.Usable(cert, issuer, now); ok {
			standing = NotRevoked
		}
	}
	return standing
}

// deltasOf are the usable deltas that can be laid over a base, in the order of their numbers (RFC 5280, section 5.2.4).
func deltasOf(base *CRL, cert, issuer *x509.Certificate, lists []*CRL, now time.Time) []*CRL {
	var out []*CRL
	for _, d := range lists {
		if !d.Delta || base.Number() == nil || d.Number() == nil || d.Base == nil {
			continue
		}
		_, usable := d.Usable(cert, issuer, now)
		if usable && d.Base.Cmp(base.Number()) <= 0 && d.Number().Cmp(base.Number()) >= 0 {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b *CRL) int { return a.Number().Cmp(b.Number()) })
	return out
}
