package net

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// maxIssuerList is where Schannel ends the list of issuers from which a client certificate may come (KB2464556), and lastIssuer is the room that
// one more name may take: a list that comes that near to the end was cut, or will be with the next root.
const (
	maxIssuerList = 16 << 10
	lastIssuer    = 256
)

// maxSuites bounds how many suites of one client a text lists.
const maxSuites = 4

var (
	// What leaves clients out may be a server cut down to what nobody else speaks, or a key of a kind that old clients do not know.
	tooNewOrOld = slices.Concat(schannelOff, wrongHost, []string{"net/tls-handshake:only-old-suites", "net/tls-handshake:only-ssl-3", "pki/key-size:not-rsa"})

	nobody = &checks.Message{
		Tag:         "nothing-in-common",
		Severity:    checks.Error,
		Text:        "{endpoint} speaks {versions}; no Windows of the time of OCS has a version and a suite in common with it by default",
		Identity:    []string{"endpoint"},
		ExplainedBy: tooNewOrOld,
	}
	// A server that takes neither RC4 nor 3DES, or nothing else, is as good as another as long as nobody uses the Windows that is left out.
	someLeftOut = &checks.Message{
		Tag:         "some-left-out",
		Severity:    checks.Notice,
		Text:        "{endpoint} speaks {versions}; programs on {clients} have no version and suite in common with it by default",
		Identity:    []string{"endpoint"},
		ExplainedBy: tooNewOrOld,
	}
	issuerList = &checks.Message{
		Tag:         "issuer-list-full",
		Severity:    checks.Warning,
		Text:        "{endpoint} sends a list of {issuers} issuers for client certificates, {bytes} bytes long; Windows cuts it off at 16 KB",
		Identity:    []string{"endpoint"},
		ExplainedBy: slices.Concat([]string{"host/root-list-size"}, wrongHost),
	}
)

var _ = register(&checks.Check{
	ID:       "net/tls-clients",
	Title:    "every Windows of the time of OCS finds a version and a suite of TLS in common with the SIP port",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.TLSSurveys, facts.SIPDomains, facts.Servers, facts.Discovery, facts.Addresses},
	Messages: []*checks.Message{nobody, someLeftOut, issuerList},
	Run:      func(p *checks.Pass) error { return onSIPPorts(p, judgeClients) },
})

// judgeClients holds what an endpoint speaks against what each generation of Windows does. One that speaks nothing is net/tls-handshake's matter.
func judgeClients(p *checks.Pass, e facts.Endpoint, cites ...evidence.Key) error {
	s, err := facts.TLSSurveys.Get(p.Facts, e)
	if err != nil {
		return err
	}
	key := facts.TLSSurveys.Key(e)
	if len(s.Versions) == 0 && len(s.Unanswered) == 0 {
		return checks.NotApplicable(e.String() + " speaks no version of TLS or SSL")
	}
	var table, left []string
	reached := false
	for _, c := range facts.TLSClients {
		version, suites, ok := c.Negotiates(s)
		if ok {
			reached = reached || c.OfItsTime
			table = append(table, c.Name+": "+version+" with "+facts.Few(suites, ", ", maxSuites))
		} else {
			left, table = append(left, c.Name), append(table, c.Name+": nothing in common")
		}
	}
	if len(left) > 0 && len(s.Unanswered) > 0 {
		return evidence.FailAt(evidence.Timeout, e.String()+" did not answer all hellos in time: "+strings.Join(s.Unanswered, ", "), key)
	}
	report := func(m *checks.Message) {
		p.Report(m, append([]evidence.Key{key}, cites...), checks.A("endpoint", e), checks.A("host", e.Host), checks.A("server", p.Subject.Name), checks.A("port", e.Port),
			checks.A("versions", strings.Join(s.Versions, ", ")), checks.A("suites", strings.Join(s.Suites, ", ")), checks.A("clients", strings.Join(left, " and ")),
			checks.A("issuers", s.Issuers), checks.A("bytes", s.IssuerBytes),
			checks.A("client1", table[0]), checks.A("client2", table[1]), checks.A("client3", table[2]), checks.A("client4", table[3]))
	}
	switch {
	case !reached:
		report(nobody)
	case len(left) > 0:
		report(someLeftOut)
	}
	if s.IssuerBytes > maxIssuerList-lastIssuer {
		report(issuerList)
	}
	return nil
}
