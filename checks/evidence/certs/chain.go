package certs

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
)

// Problem says why no trusted chain was found.
type Problem int

// The problems, from the least to the most telling: of several ways that fail, the most telling one is reported,
// and of those the longest.
const (
	// Trusted: there is no problem.
	Trusted Problem = iota
	// GaveUp: the certificates allow more ways than are looked at.
	GaveUp
	// NoIssuer: nothing known is the issuer of At.
	NoIssuer
	// NoCA: the certificate that has the name of At's issuer, and signed it, may not issue certificates.
	NoCA
	// NotPermitted: a CA above does not permit the names of the server's certificate, or excludes them; At is that CA.
	NotPermitted
	// UnknownCritical: At has a critical extension that is not known.
	UnknownCritical
	// WrongSignature: what has the name of At's issuer did not sign it.
	WrongSignature
	// UntrustedRoot: the chain ends at the self-signed At, which is no anchor.
	UntrustedRoot
	// SelfSigned: the server's own certificate, At, is self-signed and no anchor.
	SelfSigned
)

// Result is what was found out about the chain of a certificate.
type Result struct {
	Problem Problem
	// Chain runs from the leaf to the anchor; nil unless Trusted.
	Chain []*x509.Certificate
	// At is the certificate that Problem speaks of; nil when Trusted.
	At *x509.Certificate
	// Tried are the ways that failed, in the order in which they were, and why; at most maxTried of them.
	Tried []Path
}

// Path is one way from the leaf upwards, and what ended it.
type Path struct {
	Certificates []*x509.Certificate
	Problem      Problem
}

const (
	// maxDepth bounds a chain, leaf and anchor included.
	maxDepth = 10
	// maxChecks bounds the signatures verified for one leaf, so that a hostile pool ends soon.
	maxChecks = 100
	// maxTried bounds the ways that are told.
	maxTried = 20
	// maxPool bounds the certificates looked at in a pool; a real server sends three or four.
	maxPool = 1000
)

// Chains looks for a chain from leaf to one of the anchors over the certificates of the pool. An anchor is known by its
// bytes, or by its subject and key, so that a root's renewed or cross-signed form is known too; its own signature and
// its dates are not looked at. Dates of the others are not judged either. An issuer has the subject that the certificate
// names, the key that it names where both say so (AKI, SKI), the right to issue certificates unless it is an
// anchor without basic constraints (RFC 5280, section 6.1.4 (k) to (n)), must permit the DNS names of the leaf (section
// 6.1.3 (b) and (c)), must have no critical extension that is not known, and must have signed.
func Chains(leaf *x509.Certificate, pool, anchors []*x509.Certificate) Result {
	if len(pool) > maxPool {
		pool = pool[:maxPool]
	}
	b := builder{pool: pool, anchors: anchors, checks: maxChecks}
	b.extend([]*x509.Certificate{leaf})
	if b.found != nil {
		return Result{Chain: b.found, Tried: b.tried}
	}
	return Result{Problem: b.problem, At: b.at, Tried: b.tried}
}

type builder struct {
	pool, anchors []*x509.Certificate
	checks        int // signatures that may still be verified

	found   []*x509.Certificate
	problem Problem
	at      *x509.Certificate
	depth   int // length of the path that problem speaks of
	tried   []Path
}

// fail remembers the way, and the most telling problem.
func (b *builder) fail(p Problem, path []*x509.Certificate) {
	if len(b.tried) < maxTried {
		b.tried = append(b.tried, Path{slices.Clone(path), p})
	}
	if b.at == nil || p > b.problem || p == b.problem && len(path) > b.depth {
		b.problem, b.at, b.depth = p, path[len(path)-1], len(path)
	}
}

// extend continues the path, whose last certificate is not known to be trusted yet. It tells whether a chain was found.
func (b *builder) extend(path []*x509.Certificate) bool {
	last := path[len(path)-1]
	if a := b.anchor(last); a != nil {
		b.found = path
		if len(path) > 1 {
			b.found[len(path)-1] = a
		}
		return true
	}
	if len(last.UnhandledCriticalExtensions) > 0 {
		b.fail(UnknownCritical, path)
		return false
	}
	if b.checks <= 0 || len(path) == maxDepth {
		b.fail(GaveUp, path)
		return false
	}
	b.checks--
	if selfSigned(last) {
		p := UntrustedRoot
		if len(path) == 1 {
			p = SelfSigned
		}
		b.fail(p, path)
		return false
	}
	named, signed := false, false
	for _, candidates := range [][]*x509.Certificate{b.anchors, b.pool} {
		for _, c := range candidates {
			if !names(last, c) || contains(path, c) {
				continue
			}
			named = true
			if b.checks <= 0 {
				b.fail(GaveUp, path)
				return false
			}
			b.checks--
			if CheckSignature(last, c) != nil {
				continue
			}
			signed = true
			above := append(path[:len(path):len(path)], c)
			switch {
			case !b.mayIssue(c, path):
				b.fail(NoCA, path)
				continue
			case len(c.UnhandledCriticalExtensions) > 0 && b.anchor(c) == nil:
				b.fail(UnknownCritical, above)
				continue
			case !permits(c, path[0]):
				b.fail(NotPermitted, above)
				continue
			}
			if b.extend(above) {
				return true
			}
		}
	}
	switch {
	case !named:
		b.fail(NoIssuer, path)
	case !signed:
		b.fail(WrongSignature, path)
	}
	return false
}

// anchor returns the anchor that a certificate is; nil if it is none.
func (b *builder) anchor(c *x509.Certificate) *x509.Certificate {
	for _, a := range b.anchors {
		if bytes.Equal(a.Raw, c.Raw) {
			return a
		}
	}
	for _, a := range b.anchors {
		if sameEntity(a, c) {
			return a
		}
	}
	return nil
}

// mayIssue tells whether c may be the issuer above the path.
func (b *builder) mayIssue(c *x509.Certificate, path []*x509.Certificate) bool {
	if !c.BasicConstraintsValid {
		return b.anchor(c) != nil // a root from before version 3 is trusted because it was given
	}
	if !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return false
	}
	below := 0 // intermediates between c and the leaf; those that issued themselves do not count
	for _, p := range path[1:] {
		if !bytes.Equal(p.RawSubject, p.RawIssuer) {
			below++
		}
	}
	limited := c.MaxPathLen > 0 || c.MaxPathLen == 0 && c.MaxPathLenZero
	return !limited || below <= c.MaxPathLen
}

// permits tells whether the name constraints of a CA hold for the DNS names of the leaf (RFC 5280, section 4.2.1.10); without such
// names its common name stands for them, as Windows has it.
func permits(ca, leaf *x509.Certificate) bool {
	dns := leaf.DNSNames
	if len(dns) == 0 && leaf.Subject.CommonName != "" {
		dns = []string{leaf.Subject.CommonName}
	}
	for _, name := range dns {
		below := func(domain string) bool {
			domain, name := strings.ToLower(domain), strings.ToLower(name)
			return domain == "" || name == strings.TrimPrefix(domain, ".") && !strings.HasPrefix(domain, ".") ||
				strings.HasSuffix(name, "."+strings.TrimPrefix(domain, "."))
		}
		if slices.ContainsFunc(ca.ExcludedDNSDomains, below) || len(ca.PermittedDNSDomains) > 0 && !slices.ContainsFunc(ca.PermittedDNSDomains, below) {
			return false
		}
	}
	return true
}

// names tells whether child names parent as its issuer.
func names(child, parent *x509.Certificate) bool {
	if !bytes.Equal(child.RawIssuer, parent.RawSubject) {
		return false
	}
	return len(child.AuthorityKeyId) == 0 || len(parent.SubjectKeyId) == 0 || bytes.Equal(child.AuthorityKeyId, parent.SubjectKeyId)
}

// sameEntity tells whether two certificates stand for the same subject with the same key.
func sameEntity(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

func contains(path []*x509.Certificate, c *x509.Certificate) bool {
	for _, p := range path {
		if sameEntity(p, c) {
			return true
		}
	}
	return false
}
