package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

var (
	missingIssuer = &checks.Message{
		Tag:      "missing-issuer",
		Severity: checks.Error,
		Text:     "{issuer}, which issued the certificate of {subject} on {endpoints}, is in no store of {server}, and the server does not send it",
		Identity: []string{"thumbprint"},
	}
	rootInCAStore = &checks.Message{
		Tag:      "root-in-ca-store",
		Severity: checks.Error,
		Text:     "the root {root} of the certificate of {subject} on {endpoints} is among the intermediate CAs of {server} and not among its roots",
		Identity: []string{"root"},
	}
	notARoot = &checks.Message{
		Tag:      "not-a-root",
		Severity: checks.Warning,
		Text:     "among the trusted roots of {server} there are certificates that are none: {names}",
	}
)

var _ = register(&checks.Check{
	ID:       "pki/chain-complete",
	Title:    "the stores of the OCS server hold the CAs of its certificates where Windows looks for them",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.NetConnect, facts.TLSHandshake, facts.HostCertificates},
	Messages: []*checks.Message{missingIssuer, rootInCAStore, notARoot},
	Run: func(p *checks.Pass) error {
		var chains []*chain
		var own serverStores
		var chainErr, ownErr error
		evidence.Parallel(
			func() { chains, chainErr = presented(p) },
			func() { own, ownErr = readStores(p) },
		)
		if ownErr != nil {
			return ownErr
		}
		judgeRoots(p, own)
		errs := []error{chainErr}
		for _, c := range chains {
			errs = append(errs, judgeIssuers(p, c, own))
		}
		return errors.Join(errs...)
	},
})

// judgeRoots looks for certificates among the roots that did not issue themselves.
func judgeRoots(p *checks.Pass, own serverStores) {
	var names, places []string
	var cites []evidence.Key
	var first string
	for _, r := range own.roots {
		if bytes.Equal(r.parsed.RawSubject, r.parsed.RawIssuer) {
			continue
		}
		if names = append(names, certs.Name(r.parsed.RawSubject)); first == "" {
			first = r.Thumbprint
		}
		if key := storeKey(p, r.Place, r.Store); !slices.Contains(cites, key) {
			cites, places = append(cites, key), append(places, r.Place)
		}
	}
	if len(names) > 0 {
		p.Report(notARoot, cites, checks.A("server", p.Subject.Name), checks.A("names", listed(names)), checks.A("first", first),
			checks.A("places", strings.Join(places, ", ")), checks.A("policy", word(slices.Contains(places, facts.PlacePolicy))))
	}
}

// judgeIssuers follows a chain upwards from what the server sends over its own stores.
func judgeIssuers(p *checks.Pass, c *chain, own serverStores) error {
	top := highest(c)
	if bytes.Equal(top.RawSubject, top.RawIssuer) || issuerIn(top, own.roots) != nil {
		return nil
	}
	leaf, endpoints := certs.Describe(c.leaf.Raw), strings.Join(c.endpoints, ", ")
	args := certificateArgs(p, leaf, endpoints)
	for range certsDepth {
		above := issuerIn(top, own.intermediates)
		switch {
		case above == nil && top == c.leaf:
			if own.unreadRoots+own.unreadIntermediates > 0 {
				return evidence.FailAt(evidence.Protocol, "the issuer of the certificate on "+endpoints+" is not found in the stores of "+p.Subject.Name+", of which some entries cannot be read", c.cites[0])
			}
			p.Report(missingIssuer, append(slices.Clone(c.cites), storeKey(p, facts.PlaceMachine, facts.StoreCA), storeKey(p, facts.PlacePolicy, facts.StoreCA),
				storeKey(p, facts.PlaceEnterprise, facts.StoreCA)), args...)
			return nil
		case above == nil: // the root is missing, of which pki/chain-trusted speaks
			return nil
		case bytes.Equal(above.parsed.RawSubject, above.parsed.RawIssuer):
			p.Report(rootInCAStore, append(slices.Clone(c.cites), storeKey(p, above.Place, above.Store)), append(args, checks.A("root", certs.Name(above.parsed.RawSubject)),
				checks.A("rootThumbprint", above.Thumbprint))...)
			return nil
		case issuerIn(above.parsed, own.roots) != nil:
			return nil
		}
		top = above.parsed
	}
	return nil
}

// certsDepth bounds how far a chain is followed over the stores.
const certsDepth = 8

// highest is the last certificate that the chain which the server sends leads to.
func highest(c *chain) *x509.Certificate {
	top := c.leaf
	for range certsDepth {
		i := slices.IndexFunc(c.above, func(a *x509.Certificate) bool {
			return a != top && bytes.Equal(a.RawSubject, top.RawIssuer) && certs.CheckSignature(top, a) == nil
		})
		if i < 0 || bytes.Equal(top.RawSubject, top.RawIssuer) {
			break
		}
		top = c.above[i]
	}
	return top
}

// issuerIn is the certificate of a store that issued another one.
func issuerIn(c *x509.Certificate, store []storedCertificate) *storedCertificate {
	for i, s := range store {
		if bytes.Equal(s.parsed.RawSubject, c.RawIssuer) && certs.CheckSignature(c, s.parsed) == nil {
			return &store[i]
		}
	}
	return nil
}
