package net

import (
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var fails = &checks.Message{
	Tag:         "fails",
	Severity:    checks.Critical,
	Text:        "{endpoint} accepts the connection and completes no TLS handshake: the server {problem}",
	Identity:    []string{"endpoint"},
	ExplainedBy: slices.Concat(wrongHost, noCertificate),
}

var _ = register(&checks.Check{
	ID:       "net/tls-handshake",
	Title:    "the OCS server completes a TLS handshake on the SIP port 5061",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.TLSHandshake, facts.SIPDomains, facts.Servers, facts.Discovery, facts.Addresses},
	Messages: []*checks.Message{fails},
	Run: func(p *checks.Pass) error {
		var ownErr, hostsErr error
		evidence.Parallel(func() {
			ownErr = judgeHandshake(p, facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort})
		}, func() {
			hostsErr = onSignInHosts(p, judgeHandshake)
		})
		return errors.Join(ownErr, hostsErr)
	},
})

// judgeHandshake shakes hands with an endpoint, which is cited with the facts by which it was found. One that takes no
// connection is net/sip-port's matter.
func judgeHandshake(p *checks.Pass, e facts.Endpoint, cites ...evidence.Key) error {
	h, err := facts.TLSHandshake.Get(p.Facts, e)
	if err != nil || h.Completed {
		return err
	}
	var offers []string
	for _, o := range h.Offers {
		offers = append(offers, o.Name+": "+o.Problem)
	}
	p.Report(fails, append([]evidence.Key{facts.TLSHandshake.Key(e)}, cites...), checks.A("endpoint", e), checks.A("problem", h.Problem()),
		checks.A("offers", strings.Join(offers, "; ")), checks.A("host", e.Host), checks.A("server", p.Subject.Name), checks.A("port", e.Port))
	return nil
}
