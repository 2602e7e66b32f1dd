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
	untrustedRoot = &checks.Message{
		Tag:      "untrusted-root",
		Severity: checks.Critical,
		Text:     "the chain of {subject} on {endpoints} leads to the root {root}, which is none of the known trust anchors ({read})",
		Identity: []string{"thumbprint"},
	}
	selfSigned = &checks.Message{
		Tag:      "self-signed",
		Severity: checks.Critical,
		Text:     "the certificate of {subject} on {endpoints} is self-signed, and none of the known trust anchors ({read})",
		Identity: []string{"thumbprint"},
	}
	chainIncomplete = &checks.Message{
		Tag:         "chain-incomplete",
		Severity:    checks.Critical,
		Text:        "the chain of {subject} on {endpoints} breaks off at {at}: {why}",
		Identity:    []string{"thumbprint"},
		ExplainedBy: []string{"pki/chain-complete:missing-issuer"},
	}
	disallowed = &checks.Message{
		Tag:      "disallowed",
		Severity: checks.Critical,
		Text:     "{at}, in the chain of {subject} on {endpoints}, is among the untrusted certificates of {server}",
		Identity: []string{"thumbprint"},
	}
	// Of the next two the second is about a root that may be one of Microsoft's programme, which Windows fetches when it needs it.
	serverLacksRoot = &checks.Message{
		Tag:         "server-lacks-root",
		Severity:    checks.Error,
		Text:        "clients trust the root {root} of {subject} on {endpoints}, and {server} itself does not: it is in no store of the machine, neither its own nor those of policies and of AD",
		Identity:    []string{"thumbprint"},
		ExplainedBy: lacking,
	}
	serverMayLackRoot = &checks.Message{
		Tag:         "server-may-lack-root",
		Severity:    checks.Warning,
		Text:        "the root {root} of {subject} on {endpoints} is in no store of the machine {server}, neither its own nor those of policies and of AD",
		Identity:    []string{"thumbprint"},
		ExplainedBy: lacking,
	}
	lacking = []string{"pki/chain-complete:root-in-ca-store", "pki/chain-complete:missing-issuer"}
)

var _ = register(&checks.Check{
	ID:       "pki/chain-trusted",
	Title:    "the certificates that the OCS server presents lead to a root that clients trust",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    slices.Concat(buildingNeeds, []evidence.AnyKind{facts.HostCertificates}),
	Messages: []*checks.Message{untrustedRoot, selfSigned, chainIncomplete, disallowed, serverLacksRoot, serverMayLackRoot},
	Run: func(p *checks.Pass) error {
		var chains []*chain
		var known anchors
		var own serverStores
		var chainErr, anchorErr, ownErr error
		evidence.Parallel(
			func() { chains, chainErr = presented(p) },
			func() { known, anchorErr = knownAnchors(p) },
			func() { own, ownErr = readStores(p) },
		)
		p.Excuse(ownErr, "trust is judged by the other anchors")
		if anchorErr != nil {
			if ownErr != nil {
				return anchorErr
			}
			p.Excuse(anchorErr, "the stores of the server were read")
		}
		known.add(p, own)
		errs := []error{chainErr}
		for i, b := range buildEach(p, chains, known) {
			errs = append(errs, judgeChain(p, chains[i], b, known, own))
		}
		return errors.Join(errs...)
	},
})

func judgeChain(p *checks.Pass, c *chain, res *built, known anchors, own serverStores) error {
	if own.judgeDisallowed(p, c, res.Chain) {
		return nil
	}
	if res.Problem == certs.Trusted {
		return own.judgeRoot(p, c, res.Chain, known)
	}
	key, endpoints := known.cites[0], strings.Join(c.endpoints, ", ")
	leaf := certs.Describe(c.leaf.Raw)
	if res.Problem == certs.GaveUp {
		return evidence.FailAt(evidence.Protocol, "the certificates sent by "+endpoints+" can be put together in more ways than are looked at", c.cites[0])
	}
	if known.unread > 0 {
		return evidence.FailAt(evidence.Protocol, "no chain of "+leaf.Subject+" to a trust anchor is found, and "+facts.Count(known.unread, "trust anchor")+" cannot be read", key)
	}
	at := certs.Describe(res.At.Raw)
	msg, root := chainIncomplete, at.Issuer
	switch {
	case res.Problem == certs.SelfSigned:
		msg = selfSigned
	case res.Problem == certs.UntrustedRoot:
		msg, root = untrustedRoot, at.Subject
	case res.Problem == certs.NoIssuer && res.At != c.leaf:
		// Windows sends the CAs below the root and may leave out the root itself.
		msg = untrustedRoot
	}
	if msg == chainIncomplete {
		if err := res.unread(); err != nil {
			return err // it may be there
		}
	}
	res.excuse(p)
	if res.Problem == certs.NoIssuer || res.Problem == certs.UntrustedRoot {
		scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		if !scope.RootsGiven && !scope.SystemRoots && !own.read {
			return evidence.FailAt(evidence.NotConfigured, "the root "+root+" of the certificate on "+endpoints+
				" is not published in AD, and group policies, which may distribute it, are not read: give --roots FILE.pem", key)
		}
	}
	args := append(certificateArgs(p, leaf, endpoints), checks.A("read", strings.Join(known.read, ", ")),
		checks.A("root", root), checks.A("at", at.Subject), checks.A("missing", at.Issuer), checks.A("why", ending(res.Problem, res.At)),
		checks.A("places", res.verdicts()), checks.A("ways", res.ways()))
	p.Report(msg, distinct(slices.Concat(c.cites, known.cites, res.asked())), args...)
	return nil
}

// judgeDisallowed tells whether one of the certificates of a chain must not be trusted, whatever else is known. chain is nil when none was found.
func (s serverStores) judgeDisallowed(p *checks.Pass, c *chain, chain []*x509.Certificate) bool {
	if chain == nil {
		chain = append([]*x509.Certificate{c.leaf}, c.above...)
	}
	for _, member := range chain {
		i := slices.IndexFunc(s.disallowed, func(d storedCertificate) bool { return bytes.Equal(d.parsed.Raw, member.Raw) })
		if i < 0 {
			continue
		}
		leaf, at := certs.Describe(c.leaf.Raw), certs.Describe(member.Raw)
		p.Report(disallowed, append(slices.Clone(c.cites), storeKey(p, s.disallowed[i].Place, facts.StoreDisallowed)),
			append(certificateArgs(p, leaf, strings.Join(c.endpoints, ", ")), checks.A("at", at.Subject), checks.A("atThumbprint", at.Thumbprint), checks.A("place", s.disallowed[i].Place))...)
		return true
	}
	return false
}

// judgeRoot looks for the root of a chain that clients trust in the stores of the server: OCS servers and services check each other. Only the chain
// on the SIP port is checked that way.
func (s serverStores) judgeRoot(p *checks.Pass, c *chain, chain []*x509.Certificate, known anchors) error {
	sip := slices.Contains(c.endpoints, facts.JoinHostPort(p.Subject.Name, facts.SIPPort))
	if !s.read || !sip || certs.Chains(c.leaf, append(slices.Clone(c.above), parsedOf(s.intermediates)...), parsedOf(s.roots)).Problem == certs.Trusted {
		return nil
	}
	cites := append(slices.Clone(c.cites), s.rootKeys(p)...)
	if s.unreadRoots > 0 {
		return evidence.FailAt(evidence.Protocol, "the root of the certificate on "+strings.Join(c.endpoints, ", ")+" is not found in the stores of "+p.Subject.Name+
			", and "+facts.Count(s.unreadRoots, "entry of them")+" cannot be read", cites[len(c.cites)])
	}
	root := chain[len(chain)-1]
	msg := serverMayLackRoot
	if slices.ContainsFunc(known.published, func(der []byte) bool { return bytes.Equal(der, root.Raw) }) {
		msg = serverLacksRoot
	}
	leaf := certs.Describe(c.leaf.Raw)
	p.Report(msg, cites, append(certificateArgs(p, leaf, strings.Join(c.endpoints, ", ")), checks.A("root", certs.Describe(root.Raw).Subject))...)
	return nil
}
