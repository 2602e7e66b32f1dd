package pki

import (
	"cmp"
	"fmt"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var edgeMissesName = &checks.Message{
	Tag:      "missing-asked-name",
	Severity: checks.Critical,
	Text:     "outside, clients of {domain} ask {endpoints} for {name}; the certificate there is for {names}",
	Identity: []string{"name", "endpoints"},
	// Where the record leads to a name or a host that is not meant.
	ExplainedBy: []string{"dns/split-views:outside-leads-in", "dns/sip-tls-srv:wildcard", "dns/sip-tls-srv:final-dot"},
}

// maxEdges bounds the addresses that are asked.
const maxEdges = 8

var _ = register(&checks.Check{
	ID:       "pki/edge-outside-name",
	Title:    "the Access Edge presents a certificate with the name that clients outside ask for",
	Scope:    checks.ScopeSIPDomain,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.Discovery, facts.NetConnect, facts.TLSHandshake, facts.Register},
	Messages: []*checks.Message{edgeMissesName},
	Run: func(p *checks.Pass) error {
		q := facts.DiscoveryQuestion{Domain: p.Subject.Name, View: facts.Outside}
		walk, err := facts.Discovery.Get(p.Facts, q)
		switch {
		case err != nil:
			return err
		case walk.Configured:
			return checks.NotApplicable("the clients are configured by hand (--manual)")
		case len(walk.Addresses) == 0:
			return checks.NotApplicable("nothing outside leads to an Access Edge")
		}
		addresses := walk.Addresses[:min(len(walk.Addresses), maxEdges)]
		edges, errs := make([]edge, len(addresses)), make([]error, len(addresses))
		var fns []func()
		for i, a := range addresses {
			fns = append(fns, func() { edges[i], errs[i] = lookAtEdge(p, facts.Endpoint{Host: a, Port: walk.Port}, walk.Host) })
		}
		evidence.Parallel(fns...)
		reportEdges(p, walk.Host, facts.Discovery.Key(q), edges)
		if err := gravest(errs...); err != nil {
			return err
		}
		if i := slices.IndexFunc(edges, func(e edge) bool { return e.unseen != "" }); i >= 0 {
			return checks.NotApplicable(edges[i].unseen)
		}
		return nil
	},
})

// edge is what one address presents to clients outside.
type edge struct {
	endpoint facts.Endpoint
	leaf     facts.Certificate
	lacks    bool
	// unseen says why it cannot be judged from here.
	unseen string
}

// lookAtEdge asks an address of the outside view, by its number: the name may lead elsewhere in the view in which hosts are looked up. From inside, an address
// outside is often not to be had, and a router may answer in the place of the Edge; so nothing is held against what does not speak SIP.
func lookAtEdge(p *checks.Pass, e facts.Endpoint, name string) (edge, error) {
	c, err := facts.NetConnect.Get(p.Facts, e)
	if err != nil {
		return edge{}, err
	}
	if c.Result != facts.Connected {
		return edge{unseen: fmt.Sprintf("%s, where clients outside are led for %s, takes no connection from here (%s), as is usual for a computer inside: scan from outside to judge it", e, name, c.Result)}, nil
	}
	h, err := handshake(p.Facts, e)
	if err != nil {
		return edge{}, err
	}
	leaf := h.Chain[0]
	if leaf.Carries(name) {
		return edge{}, nil
	}
	a, err := facts.Register.Get(p.Facts, facts.RegisterQuestion{Endpoint: e, Domain: p.Subject.Name})
	switch {
	case err != nil:
		return edge{}, err
	case a.NotSIP:
		return edge{unseen: fmt.Sprintf("what answers at %s, where clients outside are led for %s, speaks no SIP and has a certificate for %s: from inside, that may be a router; scan from outside to judge it", e, name, leaf.Names())}, nil
	}
	return edge{endpoint: e, leaf: leaf, lacks: true}, nil
}

// reportEdges makes one finding of each certificate without the name: the Edges of an array share theirs.
func reportEdges(p *checks.Pass, name string, walk evidence.Key, edges []edge) {
	done := map[string]bool{}
	for i, e := range edges {
		if !e.lacks || done[e.leaf.Thumbprint] {
			continue
		}
		done[e.leaf.Thumbprint] = true
		cites := []evidence.Key{walk}
		var at []string
		for _, other := range edges[i:] {
			if other.lacks && sameCertificate(other.leaf, e.leaf) {
				at = append(at, other.endpoint.String())
				cites = append(cites, facts.TLSHandshake.Key(other.endpoint))
			}
		}
		p.Report(edgeMissesName, cites, checks.A("domain", p.Subject.Name), checks.A("name", name), checks.A("endpoints", listed(at)), checks.A("names", e.leaf.Names()),
			checks.A("commonName", cmp.Or(e.leaf.CommonName, "(none)")), checks.A("thumbprint", e.leaf.Thumbprint))
	}
}
