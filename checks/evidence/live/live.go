// Package live is the source that asks real servers: it hands each question to the probe that speaks its protocol.
package live

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/dnsprobe"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/httpprobe"
	"ocsdoctor/checks/evidence/live/ldapprobe"
	"ocsdoctor/checks/evidence/live/sipprobe"
	"ocsdoctor/checks/evidence/live/systemroots"
	"ocsdoctor/checks/evidence/live/tlsprobe"
	"ocsdoctor/checks/evidence/live/winprobe"
)

// Options is what a source is made from.
type Options = env.Options

// Source gathers facts from the network. It is safe for use by several goroutines.
type Source struct {
	env  *env.Env
	ldap *ldapprobe.Client
	sip  *sipprobe.Client
	win  *winprobe.Client
}

// New makes the source of one run. The error says which --connect value is malformed.
func New(o Options) (*Source, error) {
	e, err := env.New(o)
	if err != nil {
		return nil, err
	}
	return &Source{env: e, ldap: ldapprobe.New(e), sip: sipprobe.New(e), win: winprobe.New(e)}, nil
}

// Hosts lists what was dialled so far as "host:port/proto", by logical name, sorted.
func (s *Source) Hosts() []string { return s.env.Contacted() }

// Fetch implements evidence.Source.
func (s *Source) Fetch(ctx context.Context, req evidence.Request) *evidence.Record {
	rec := &evidence.Record{Key: req.Key, Via: "live", At: time.Now().UTC()}
	var tr env.Trace
	value, err := s.ask(ctx, &tr, req)
	if err == nil {
		rec.Value, err = json.Marshal(value)
	}
	if err != nil && !errors.As(err, &rec.Failure) {
		rec.Failure = evidence.Fail(evidence.Internal, err.Error())
	}
	tr.Record(rec)
	return rec
}

// ask hands a question to its probe.
func (s *Source) ask(ctx context.Context, tr *env.Trace, req evidence.Request) (any, error) {
	r := req.Reader
	switch q := req.Query.(type) {
	case facts.DNSQuestion:
		if req.Kind == facts.DNSAnswer {
			return dnsprobe.Answer(ctx, s.env, tr, r, q)
		}
	case facts.Endpoint:
		switch req.Kind {
		case facts.NetConnect:
			return s.env.Reach(ctx, tr, r, q)
		case facts.TLSHandshake:
			return tlsprobe.Handshake(ctx, s.env, tr, r, q)
		case facts.TLSSurveys:
			return tlsprobe.Survey(ctx, s.env, tr, r, q)
		}
	case facts.DCQuestion:
		if req.Kind == facts.RootDSE {
			return s.ldap.RootDSE(ctx, tr, r, q)
		}
	case facts.SearchQuestion:
		if req.Kind == facts.Search {
			return s.ldap.Search(ctx, tr, r, q)
		}
	case facts.UsersQuestion:
		if req.Kind == facts.Users {
			return s.ldap.Users(ctx, tr, r, q)
		}
	case facts.HTTPQuestion:
		if req.Kind == facts.HTTP {
			return httpprobe.Fetch(ctx, s.env, tr, r, q)
		}
	case facts.PageQuestion:
		if req.Kind == facts.WebPage {
			return httpprobe.Page(ctx, s.env, tr, r, q)
		}
	case facts.RegisterQuestion:
		switch req.Kind {
		case facts.Register:
			return sipprobe.Register(ctx, s.env, tr, r, q)
		case facts.NTLM:
			return sipprobe.NTLM(ctx, s.env, tr, r, q)
		}
	case facts.SignInQuestion:
		if req.Kind == facts.SignIn {
			return s.sip.SignIn(ctx, tr, r, q)
		}
	case facts.OptionsQuestion:
		if req.Kind == facts.Options {
			return sipprobe.Options(ctx, s.env, tr, r, q)
		}
	case facts.RegistryQuestion:
		if req.Kind == facts.Registry {
			return s.win.Registry(ctx, tr, r, q)
		}
	case facts.ServerQuestion:
		if req.Kind == facts.Services {
			return s.win.Services(ctx, tr, r, q)
		}
		return nil, notCollected(q.FQDN)
	case facts.EventsQuestion:
		if req.Kind == facts.Events {
			return s.win.Events(ctx, tr, r, q)
		}
	case facts.FileQuestion:
		switch req.Kind {
		case facts.File:
			return s.win.File(ctx, tr, r, q)
		case facts.FileVersion:
			return s.win.FileVersion(ctx, tr, r, q)
		}
	case evidence.None:
		if req.Kind == facts.SystemAnchors {
			return systemAnchors()
		}
	}
	return nil, evidence.Fail(evidence.Internal, "no probe answers "+req.Kind.KindName())
}

// notCollected is the failure of what only a collected folder has.
func notCollected(server string) error {
	return evidence.Fail(evidence.NotConfigured, "no collected folder of "+server+" was given: give --host-dump, see ocsdoctor collector --help")
}

func systemAnchors() (facts.AnchorList, error) {
	l, err := systemroots.Read()
	if err != nil {
		return facts.AnchorList{}, evidence.Fail(evidence.NotConfigured, err.Error())
	}
	return l, nil
}
