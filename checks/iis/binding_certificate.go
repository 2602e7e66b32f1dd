package iis

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	noCertificate = &checks.Message{
		Tag:         "no-certificate",
		Severity:    checks.Error,
		Text:        "HTTP.SYS on {server} has no certificate for port 443 of {addresses}, although the site {site} has an https binding there",
		ExplainedBy: []string{"iis/stale-binding"},
	}
	notInStore = &checks.Message{
		Tag:      "not-in-store",
		Severity: checks.Error,
		Text:     "the certificate {thumbprint}, which HTTP.SYS on {server} has bound to {bound}, is not in the store of the machine",
		Identity: []string{"thumbprint"},
		// Mostly it is one certificate that both use.
		ExplainedBy: []string{"pki/assigned-certificate:not-in-store", "pki/assigned-certificate:assigned-not-in-store"},
	}
	wireDiffers = &checks.Message{
		Tag:      "wire-differs",
		Severity: checks.Warning,
		Text:     "{endpoint} presents the certificate {presented}, and HTTP.SYS on {server} has {thumbprint} bound to {bound}",
	}
)

var _ = register(&checks.Check{
	ID:       "iis/binding-certificate",
	Title:    "the https binding on port 443 has a certificate that is in the store of the machine and that is presented",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    append(slices.Clone(webNeeds), facts.HostCertificates, facts.NetConnect, facts.TLSHandshake),
	Messages: []*checks.Message{noCertificate, notInStore, wireDiffers},
	Run: func(p *checks.Pass) error {
		w, err := webServer(p)
		if err != nil {
			return err
		}
		site, err := ocsSite(p, w)
		if err != nil {
			return err
		}
		if len(httpsBindings(site)) == 0 {
			return checks.NotApplicable("the site " + site.Name + " has no https binding on port 443")
		}
		at, err := addresses(p)
		if err != nil {
			return err
		}
		b, ok := w.Bound(at, webPort)
		args := siteArgs(p, w, site, checks.A("addresses", strings.Join(at, ", ")), checks.A("bound", b.Name), checks.A("thumbprint", b.Hash))
		if !ok || b.Hash == "" {
			bound := b.Name
			if bound == "" {
				bound = "0.0.0.0:443"
			}
			p.Report(noCertificate, []evidence.Key{w.HTTP, w.Config}, append(args, checks.A("ipport", bound))...)
			return nil
		}
		return judgeBound(p, w, b, args)
	},
})

// judgeBound compares what HTTP.SYS has bound with the store of the machine and with what is presented.
func judgeBound(p *checks.Pass, w facts.WebServer, b facts.TLSBinding, args []checks.Arg) error {
	stores, err := facts.HostCertificates.Get(p.Facts, facts.ServerQuestion{FQDN: p.Subject.Name})
	if err != nil {
		return err
	}
	store := facts.Registry.Key(facts.StoreQuestion(p.Subject.Name, facts.PlaceMachine, facts.StoreMY))
	if strings.EqualFold(b.Store, facts.StoreMY) {
		entry, there := stores.Find(facts.StoreMY, b.Hash)
		switch {
		case !there:
			p.Report(notInStore, []evidence.Key{w.HTTP, store}, args...)
			return nil
		case entry.Problem != "":
			return evidence.FailAt(evidence.Protocol, "the entry "+b.Hash+" in the store of "+p.Subject.Name+" cannot be read: "+entry.Problem, store)
		}
	}
	e := facts.Endpoint{Host: p.Subject.Name, Port: webPort}
	c, err := facts.NetConnect.Get(p.Facts, e)
	if err != nil || c.Result != facts.Connected { // of which iis/https-443 speaks
		return err
	}
	h, err := facts.TLSHandshake.Get(p.Facts, e)
	if err != nil {
		return err
	}
	if leaf, ok := h.Leaf(); ok && leaf.Thumbprint != b.Hash {
		p.Report(wireDiffers, []evidence.Key{w.HTTP, facts.TLSHandshake.Key(e)}, append(args, checks.A("endpoint", e), checks.A("presented", leaf.Thumbprint))...)
	}
	return nil
}
