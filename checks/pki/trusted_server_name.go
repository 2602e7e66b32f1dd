package pki

import (
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var otherName = &checks.Message{
	Tag:      "other-name",
	Severity: checks.Error,
	Text:     "Active Directory trusts {server} by that name, and the certificate on {endpoint} is for {names}",
	Identity: []string{"server"},
	// Where the name leads to another machine, the certificate is that machine's.
	ExplainedBy: []string{"ad/trusted-server-resolves"},
}

// maxTrusted bounds the servers that are asked.
const maxTrusted = 50

var _ = register(&checks.Check{
	ID:       "pki/trusted-server-name",
	Title:    "the servers that Active Directory lists as trusted present a certificate with the name that they are trusted by",
	Scope:    checks.ScopeForest,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.TrustedServers, facts.Pools, facts.Servers, facts.NetConnect, facts.TLSHandshake},
	Messages: []*checks.Message{otherName},
	Run: func(p *checks.Pass) error {
		var trusted facts.TrustedList
		var pools facts.PoolList
		var servers facts.ServerList
		var errs [3]error
		evidence.Parallel(
			func() { trusted, errs[0] = facts.TrustedServers.Get(p.Facts, evidence.None{}) },
			func() { pools, errs[1] = facts.Pools.Get(p.Facts, evidence.None{}) },
			func() { servers, errs[2] = facts.Servers.Get(p.Facts, evidence.None{}) },
		)
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		var hosts []string
		for _, t := range trusted.Entries {
			judged := slices.ContainsFunc(servers.List, func(s facts.Server) bool { return s.FQDN == t.FQDN || s.Pool == t.FQDN })
			if !judged && facts.IsHostName(t.FQDN) && !slices.Contains(hosts, t.FQDN) {
				hosts = append(hosts, t.FQDN)
			}
		}
		results := make([]error, min(len(hosts), maxTrusted))
		var fns []func()
		for i := range results {
			fns = append(fns, func() { results[i] = judgeTrusted(p, hosts[i], poolsOf(pools, hosts[i]), trusted.Cite) })
		}
		evidence.Parallel(fns...)
		return gravest(results...)
	},
})

// poolsOf are the pools that a host is a front end of, whose name its certificate has.
func poolsOf(pools facts.PoolList, host string) []string {
	var out []string
	for _, pool := range pools.Pools {
		if slices.ContainsFunc(pool.FrontEnds, func(f facts.FrontEnd) bool { return f.Computer == host }) {
			out = append(out, pool.FQDN)
		}
	}
	return out
}

// judgeTrusted holds what a server presents on the SIP port against the names by which others know it. One that takes no connection there, as
// servers of other roles do not, presents nothing; ad/trusted-server-resolves speaks of one that leads nowhere.
func judgeTrusted(p *checks.Pass, host string, pools []string, cite evidence.Key) error {
	e := facts.Endpoint{Host: host, Port: facts.SIPPort}
	c, err := facts.NetConnect.Get(p.Facts, e)
	var f *evidence.Failure
	switch {
	case errors.As(err, &f) && f.Reason == evidence.NoTarget:
		p.Excuse(err, "a server that leads nowhere presents nothing")
		return nil
	case err != nil:
		return err
	case c.Result != facts.Connected:
		return nil
	}
	h, err := facts.TLSHandshake.Get(p.Facts, e)
	if err != nil {
		return err
	}
	leaf, ok := h.Leaf()
	if !ok || slices.ContainsFunc(append(pools, host), func(n string) bool { return leaf.Carries(n) || facts.Host(leaf.CommonName) == n }) {
		return nil
	}
	p.Report(otherName, []evidence.Key{facts.TLSHandshake.Key(e), cite}, checks.A("server", host), checks.A("endpoint", e), checks.A("names", leaf.Names()),
		checks.A("commonName", leaf.CommonName), checks.A("thumbprint", leaf.Thumbprint), checks.A("wanted", strings.Join(append([]string{host}, pools...), " or ")))
	return nil
}
