package pki

import (
	"errors"
	"fmt"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var edgeOtherName = &checks.Message{
	Tag:      "other-name",
	Severity: checks.Error,
	Text:     "Active Directory names the inside of an Edge Server {edge}, and the certificate on {endpoint} is for {names}",
	Identity: []string{"edge"},
}

var _ = register(&checks.Check{
	ID:       "pki/edge-inside-name",
	Title:    "an Edge Server presents inside a certificate with the name that Active Directory has of it",
	Scope:    checks.ScopeForest,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.EdgeServers, facts.NetConnect, facts.TLSHandshake},
	Messages: []*checks.Message{edgeOtherName},
	Run: func(p *checks.Pass) error {
		edges, err := facts.EdgeServers.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		hosts := slices.DeleteFunc(slices.Clone(edges.List), func(h string) bool { return !facts.IsHostName(h) })
		if len(hosts) == 0 {
			return checks.NotApplicable("Active Directory names no Edge Server")
		}
		hosts = hosts[:min(len(hosts), maxTrusted)]
		unseen, errs := make([]string, len(hosts)), make([]error, len(hosts))
		var fns []func()
		for i, h := range hosts {
			fns = append(fns, func() { unseen[i], errs[i] = judgeEdgeInside(p, h, edges.Cite) })
		}
		evidence.Parallel(fns...)
		if err := gravest(errs...); err != nil {
			return err
		}
		if i := slices.IndexFunc(unseen, func(why string) bool { return why != "" }); i >= 0 {
			return checks.NotApplicable(unseen[i])
		}
		return nil
	},
})

// judgeEdgeInside compares what an Edge Server presents with the name by which the servers inside connect to it. One that cannot be had from here, which is usual
// for a computer that is no OCS server, is not judged; unseen says so.
func judgeEdgeInside(p *checks.Pass, host string, cite evidence.Key) (unseen string, err error) {
	e := facts.Endpoint{Host: host, Port: facts.SIPPort}
	c, err := facts.NetConnect.Get(p.Facts, e)
	var f *evidence.Failure
	switch {
	case errors.As(err, &f) && f.Reason == evidence.NoTarget:
		unseen = "the Edge Server " + host + " leads nowhere in inside DNS"
		p.Excuse(err, unseen)
		return unseen, nil
	case err != nil:
		return "", err
	case c.Result != facts.Connected:
		return fmt.Sprintf("the Edge Server %s takes no connection from here (%s), as is usual behind a firewall: scan from an OCS server to judge it", e, c.Result), nil
	}
	h, err := handshake(p.Facts, e)
	if err != nil {
		return "", err
	}
	leaf := h.Chain[0]
	if leaf.Carries(host) || facts.Host(leaf.CommonName) == host {
		return "", nil
	}
	p.Report(edgeOtherName, []evidence.Key{facts.TLSHandshake.Key(e), cite}, checks.A("edge", host), checks.A("endpoint", e), checks.A("names", leaf.Names()),
		checks.A("thumbprint", leaf.Thumbprint))
	return "", nil
}
