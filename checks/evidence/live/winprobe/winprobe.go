// Package winprobe reads Windows servers as an administrator's own tools do: the registry (reg query \\SERVER), services (sc \\SERVER),
// event logs and files (\\SERVER\C$), over SMB 2 and the named pipes of MS-RPC. Only the right to read is asked for in every open;
// nothing on a server is ever written, started or changed.
package winprobe

import (
	"context"
	"sync"

	"github.com/cloudsoda/go-smb2"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/krb"
)

// Port is that of SMB without NetBIOS ([MS-SMB2] 2.1).
const Port = 445

// Client is one run's access to Windows servers. It is safe for use by several goroutines.
type Client struct {
	env *env.Env

	mu      sync.Mutex
	servers map[facts.Endpoint]*server
}

// New makes the access of one run.
func New(e *env.Env) *Client {
	return &Client{env: e, servers: map[facts.Endpoint]*server{}}
}

// scopeKey is the root of what was not configured.
var scopeKey = facts.ConfigScope.Key(evidence.None{})

// server gives the session with a server, which the first question opens.
func (c *Client) server(ctx context.Context, tr *env.Trace, r *evidence.Reader, host string) (*server, error) {
	scope, err := facts.ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return nil, err
	}
	switch {
	case scope.LDAPUser == "":
		return nil, evidence.FailAt(evidence.NotConfigured, "no account to read "+host+" with is given (--user or --kerberos),"+
			" nor a folder collected on it (--host-dump)", scopeKey)
	case c.env.Password() == "" && !scope.Kerberos && !scope.Keytab:
		return nil, evidence.FailAt(evidence.NotConfigured, "no password for the account of --user is given (--password-file or OCSDOCTOR_PASSWORD)", scopeKey)
	}
	ep := facts.Endpoint{Host: facts.Host(host), Port: Port}
	// What the session rests on is read for each question, so that all rest on the same facts whoever opens it.
	target, err := c.env.Connected(r, ep)
	if err != nil {
		return nil, err
	}
	var way account = &password{env: c.env, host: ep.Host}
	if scope.Kerberos || scope.Keytab {
		a, err := krb.NewAccount(c.env, ep.Host)
		if err != nil {
			return nil, err
		}
		_, kdcs, err := krb.FindKDCs(c.env, r, *a, ep.Host)
		if err != nil {
			return nil, err
		}
		way = &ticket{env: c.env, account: a, kdcs: kdcs, host: ep.Host}
	}
	c.mu.Lock()
	s, ok := c.servers[ep]
	if !ok {
		s = &server{env: c.env, endpoint: ep, turn: make(chan struct{}, 1), pools: map[string]*pool{},
			shares: map[string]*smb2.Share{}, silent: map[string]*evidence.Failure{}}
		c.servers[ep] = s
	}
	c.mu.Unlock()
	if err := s.open(ctx, tr, target, way); err != nil {
		return nil, err
	}
	return s, nil
}
