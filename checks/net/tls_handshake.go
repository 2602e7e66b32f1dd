package net

import (
	"cmp"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// schannelOff explains that no version of TLS is spoken, or no suite is left to agree on.
var schannelOff = []string{"host/schannel-protocols:tls10-disabled", "host/schannel-protocols:no-cipher"}

var (
	fails = &checks.Message{
		Tag:         "fails",
		Severity:    checks.Critical,
		Text:        "{endpoint} accepts the connection and completes no TLS handshake: the server {problem}",
		Identity:    []string{"endpoint"},
		ExplainedBy: slices.Concat(wrongHost, noCertificate, schannelOff),
	}
	onlySSL3 = &checks.Message{
		Tag:         "only-ssl-3",
		Severity:    checks.Error,
		Text:        "{endpoint} speaks SSL 3.0 and no version of TLS, on which SIP and OCS rest",
		Identity:    []string{"endpoint"},
		ExplainedBy: slices.Concat(wrongHost, schannelOff),
	}
	onlyOldSuites = &checks.Message{
		Tag:         "only-old-suites",
		Severity:    checks.Error,
		Text:        "{endpoint} speaks {version} and picks {suite} from all that is offered; it takes no suite that programs of today have",
		Identity:    []string{"endpoint"},
		ExplainedBy: slices.Concat(wrongHost, schannelOff),
	}
)

var _ = register(&checks.Check{
	ID:       "net/tls-handshake",
	Title:    "the OCS server completes a TLS handshake on the SIP port 5061",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.TLSHandshake, facts.SIPDomains, facts.Servers, facts.Discovery, facts.Addresses},
	Messages: []*checks.Message{fails, onlySSL3, onlyOldSuites},
	Run:      func(p *checks.Pass) error { return onSIPPorts(p, judgeHandshake) },
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
	msg := fails
	switch h.Version {
	case "":
	case facts.TLSVersionName(facts.SSL3):
		msg = onlySSL3
	default:
		msg = onlyOldSuites
	}
	var clients []string
	for _, c := range facts.TLSClients {
		if _, _, ok := c.Negotiates(facts.TLSSurvey{Versions: []string{h.Version}, Suites: []string{h.CipherSuite}}); ok {
			clients = append(clients, c.Name)
		}
	}
	p.Report(msg, append([]evidence.Key{facts.TLSHandshake.Key(e)}, cites...), checks.A("endpoint", e), checks.A("problem", h.Problem()),
		checks.A("offers", strings.Join(offers, "; ")), checks.A("host", e.Host), checks.A("server", p.Subject.Name), checks.A("port", e.Port),
		checks.A("version", h.Version), checks.A("suite", h.CipherSuite), checks.A("clients", cmp.Or(strings.Join(clients, ", "), "none of Windows by default")))
	return nil
}
