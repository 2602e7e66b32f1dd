package net

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	roleClosed = &checks.Message{
		Tag:      "closed",
		Severity: checks.Warning,
		Text:     "{server} refuses connections to {ports}, although the services run that listen there",
	}
	clientPortSilent = &checks.Message{
		Tag:         "client-port-silent",
		Severity:    checks.Warning,
		Text:        "{server} does not answer on {ports}, to which clients connect, although the service runs that listens there",
		ExplainedBy: []string{"net/sip-port:no-answer", "host/firewall:no-rules"},
	}
	serverPortSilent = &checks.Message{
		Tag:         "server-port-silent",
		Severity:    checks.Notice,
		Text:        "{server} does not answer this machine on {ports}, which servers use among themselves",
		ExplainedBy: []string{"net/sip-port:no-answer"},
	}
)

// rolePort is where a service of OCS listens besides the SIP port and HTTPS.
type rolePort struct {
	port    int
	service string // its short name
	use     string
	client  bool   // clients connect to it themselves
	with    string // the service without which it is not opened: an Edge server and a Director run RtcSrv and hold no conferences
}

// rolePorts are those of OCS 2007 R2 (its documentation on ports and protocols).
var rolePorts = []rolePort{
	{port: 444, service: "RtcSrv", use: "conference control", with: "RTCIMMCU"},
	{port: 5062, service: "RTCIMMCU", use: "IM conferencing"},
	{port: 5063, service: "RTCAVMCU", use: "audio and video conferencing"},
	{port: 5064, service: "RTCACPMCU", use: "telephony conferencing"},
	{port: 5065, service: "RTCASMCU", use: "application sharing"},
	{port: 8057, service: "RTCDATAMCU", use: "web conferencing", client: true},
	{port: 5071, service: "RTCACD", use: "Response Group"},
	{port: 5072, service: "RTCCAA", use: "Conferencing Attendant"},
	{port: 5073, service: "RTCCAS", use: "Conferencing Announcement"},
	{port: 5074, service: "RTCCCS", use: "Outside Voice Control"},
}

func (r rolePort) String() string { return fmt.Sprintf("%d (%s)", r.port, r.use) }

var _ = register(&checks.Check{
	ID:       "net/role-ports",
	Title:    "the services of OCS that run on the server accept connections on their ports",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Services,
	Needs:    []evidence.AnyKind{facts.Services, facts.NetConnect},
	Messages: []*checks.Message{roleClosed, clientPortSilent, serverPortSilent},
	Run: func(p *checks.Pass) error {
		services, err := facts.Services.Get(p.Facts, facts.ServerQuestion{FQDN: p.Subject.Name})
		if err != nil {
			return err
		}
		var run []rolePort
		var endpoints []facts.Endpoint
		for _, r := range rolePorts {
			// A service that does not run is the matter of the checks of services.
			_, whole := services.Find(cmp.Or(r.with, r.service))
			if s, ok := services.Find(r.service); ok && whole && s.State == facts.ServiceRunning {
				run, endpoints = append(run, r), append(endpoints, facts.Endpoint{Host: p.Subject.Name, Port: r.port})
			}
		}
		if len(run) == 0 {
			return checks.NotApplicable("no service of OCS runs on " + p.Subject.Name + " that has a port of its own")
		}
		found, errs := evidence.GetAll(p.Facts, facts.NetConnect, endpoints)
		said := map[*checks.Message]*roleFinding{}
		for i, r := range run {
			if errs[i] != nil || found[i].Result == facts.Connected {
				continue
			}
			msg := serverPortSilent
			switch {
			case found[i].Result == facts.Refused:
				msg = roleClosed
			case r.client:
				msg = clientPortSilent
			}
			f := said[msg]
			if f == nil {
				f = &roleFinding{}
				said[msg] = f
			}
			f.ports, f.services, f.cites = append(f.ports, r.String()), append(f.services, r.service), append(f.cites, facts.NetConnect.Key(endpoints[i]))
		}
		for _, msg := range p.Check.Messages {
			if f := said[msg]; f != nil {
				p.Report(msg, append(f.cites, facts.Services.Key(facts.ServerQuestion{FQDN: p.Subject.Name})), checks.A("server", p.Subject.Name), checks.A("ports", strings.Join(f.ports, ", ")),
					checks.A("services", strings.Join(f.services, ", ")), checks.A("first", f.services[0]))
			}
		}
		return errors.Join(errs...)
	},
})

// roleFinding gathers the ports of which the same is to be said.
type roleFinding struct {
	ports, services []string
	cites           []evidence.Key
}
