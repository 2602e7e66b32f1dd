package pki

import (
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
		Tag:      "chain-incomplete",
		Severity: checks.Critical,
		Text:     "the chain of {subject} on {endpoints} breaks off at {at}: {why}",
		Identity: []string{"thumbprint"},
	}
)

var _ = register(&checks.Check{
	ID:       "pki/chain-trusted",
	Title:    "the certificates that the OCS server presents lead to a root that clients trust",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    buildingNeeds,
	Messages: []*checks.Message{untrustedRoot, selfSigned, chainIncomplete},
	Run: func(p *checks.Pass) error {
		chains, roads, known, err := buildAll(p)
		if roads == nil {
			return err
		}
		errs := []error{err}
		for i, c := range chains {
			errs = append(errs, judgeChain(p, c, roads[i], known))
		}
		return errors.Join(errs...)
	},
})

func judgeChain(p *checks.Pass, c *chain, res *built, known anchors) error {
	if res.Problem == certs.Trusted {
		return nil
	}
	key, endpoints := facts.Anchors.Key(evidence.None{}), strings.Join(c.endpoints, ", ")
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
		if !scope.RootsGiven && !scope.SystemRoots {
			return evidence.FailAt(evidence.NotConfigured, "the root "+root+" of the certificate on "+endpoints+
				" is not published in AD, and group policies, which may distribute it, are not read: give --roots FILE.pem", key)
		}
	}
	args := append(certificateArgs(p, leaf, endpoints), checks.A("read", strings.Join(known.read, ", ")),
		checks.A("root", root), checks.A("at", at.Subject), checks.A("missing", at.Issuer), checks.A("why", ending(res.Problem, res.At)),
		checks.A("places", res.verdicts()), checks.A("ways", res.ways()))
	p.Report(msg, distinct(slices.Concat(c.cites, []evidence.Key{key}, res.asked())), args...)
	return nil
}
