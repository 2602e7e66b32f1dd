package ldapprobe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"regexp"
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/krb"
)

// session is the one connection with the one bind that a domain controller gets in a run.
type session struct {
	endpoint facts.Endpoint
	// turn is held by the search that opens the session or finds it broken; it guards what follows.
	turn    chan struct{}
	opened  bool
	target  env.Target
	link    *link
	failure *evidence.Failure
	// overTLS tells that the session rests on a connect to the port for TLS too.
	overTLS bool
	// realms are those whose KDCs it rests on too, kdcs those that answer.
	realms []string
	kdcs   []krb.KDC
	// demands tells that the server wants signing by Kerberos itself.
	demands bool
}

// take waits for the turn.
func (s *session) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return env.Ended(ctx)
	}
}

func (s *session) release() { <-s.turn }

func (c *Client) session(ep facts.Endpoint) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.sessions[ep]
	if !ok {
		s = &session{endpoint: ep, turn: make(chan struct{}, 1)}
		c.sessions[ep] = s
	}
	return s
}

// open makes the session ready, once. The caller has the turn.
func (c *Client) open(ctx context.Context, tr *env.Trace, r *evidence.Reader, s *session) error {
	if !s.opened {
		err := c.start(ctx, tr, r, s)
		if f := env.Ended(ctx); f != nil {
			return f
		}
		s.opened = true
		if err == nil {
			context.AfterFunc(ctx, s.link.close) // the run's end is the session's
		} else {
			s.failure = evidence.Rooted(err, facts.SessionKey(s.endpoint))
		}
	}
	if s.overTLS { // asked again for the sake of this search's lineage
		if _, err := facts.NetConnect.Get(r, s.tlsEndpoint()); err != nil {
			return err
		}
	}
	for _, realm := range s.realms {
		if _, _, err := krb.FindKDC(c.env, r, realm, s.endpoint.Host); err != nil {
			return err
		}
	}
	if s.failure != nil {
		return s.failure
	}
	return nil
}

// tlsEndpoint is where the same service is offered with TLS from the first byte.
func (s *session) tlsEndpoint() facts.Endpoint {
	if s.endpoint.Port == catalogPort {
		return facts.Endpoint{Host: s.endpoint.Host, Port: catalogTLS}
	}
	return facts.Endpoint{Host: s.endpoint.Host, Port: tlsPort}
}

// noTLS says that a server has no TLS to offer, and how that showed.
type noTLS struct{ how string }

func (e *noTLS) Error() string { return e.how }

// start finds a safe way for the account and binds. A password goes over TLS, or else is proved without being sent:
// with Kerberos, which signs what follows, or with NTLM. Tickets go over TLS, or else Kerberos signs.
func (c *Client) start(ctx context.Context, tr *env.Trace, r *evidence.Reader, s *session) error {
	target, err := c.env.Connected(r, s.endpoint)
	if err != nil {
		return err
	}
	scope := c.env.Scope()
	var account *krb.Account
	if scope.Kerberos || scope.Keytab {
		if account, err = krb.NewAccount(c.env, s.endpoint.Host); err != nil {
			return err
		}
		if s.realms, s.kdcs, err = krb.FindKDCs(c.env, r, *account, s.endpoint.Host); err != nil {
			return err
		}
	}
	check, err := c.newTrust()
	if err != nil {
		return err
	}
	err = c.secure(ctx, tr, r, s, target, check)
	var none *noTLS
	switch {
	case err == nil && account == nil:
		return c.bind(ctx, tr, s, c.simple)
	case err == nil:
		err = c.bind(ctx, tr, s, func(ctx context.Context, tr *env.Trace, s *session) error { return c.gssapi(ctx, tr, s, account, true) })
		if !s.demands || implicitTLS(s.endpoint.Port) {
			return err
		}
		tr.Log("GSSAPI: not over TLS, says the server")
	case ctx.Err() != nil:
		return err
	case !errors.As(err, &none) && (account == nil || !check.bad):
		return err
	case implicitTLS(s.endpoint.Port):
		return err
	}
	if account != nil {
		return c.signed(ctx, tr, s, target, account)
	}
	return c.withoutTLS(ctx, tr, r, s, target)
}

// connect opens a connection; ready makes of it the one that the conversation goes over.
func (c *Client) connect(ctx context.Context, tr *env.Trace, s *session, t env.Target, ready func(context.Context, net.Conn) (net.Conn, error)) error {
	s.target = t
	return c.env.Exchange(ctx, tr, t, c.env.Budgets.Exchange, func(ctx context.Context) error {
		conn, err := c.env.Connect(ctx, t)
		if err != nil {
			return err
		}
		defer env.CloseAtEnd(ctx, conn)()
		safe, err := ready(ctx, conn)
		if err != nil {
			_ = conn.Close()
			return err
		}
		s.link = c.converse(safe, maxHandshakes)
		return nil
	})
}

// plain is for connect: a conversation without TLS.
func plain(_ context.Context, conn net.Conn) (net.Conn, error) { return conn, nil }

// secure connects with TLS: with StartTLS, or else on the other port. The error is a *noTLS when neither is there.
func (c *Client) secure(ctx context.Context, tr *env.Trace, r *evidence.Reader, s *session, target env.Target, check *trust) error {
	var refused *noTLS
	secure := func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		t, err := c.handshake(ctx, conn, s.endpoint.Host, check)
		var n *noTLS
		if errors.As(err, &n) {
			refused = n
			return nil, evidence.Fail(evidence.Protocol, n.how)
		}
		return t, err
	}
	if implicitTLS(s.endpoint.Port) {
		if err := c.connect(ctx, tr, s, target, secure); err != nil {
			return err
		}
		tr.Log("TLS: the certificate is good")
		return nil
	}
	err := c.connect(ctx, tr, s, target, func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		if how, err := startTLS(ctx, conn); err != nil {
			return nil, err
		} else if how != "" {
			refused = &noTLS{how}
			return nil, evidence.Fail(evidence.Protocol, how)
		}
		return secure(ctx, conn)
	})
	if refused == nil {
		if err == nil {
			tr.Log("StartTLS: the certificate is good")
		}
		return err
	}
	tr.Log("StartTLS: the server " + refused.how)
	s.overTLS = true
	port := strconv.Itoa(s.tlsEndpoint().Port)
	reached, err := facts.NetConnect.Get(r, s.tlsEndpoint())
	if err != nil {
		return err
	}
	if reached.Result != facts.Connected {
		return refused
	}
	t, err := c.env.Target(r, "tcp", s.tlsEndpoint())
	if err != nil {
		return err
	}
	refused = nil
	if err = c.connect(ctx, tr, s, t, secure); refused != nil {
		tr.Log("TLS on port " + port + ": the server " + refused.how)
		return refused
	}
	if err == nil {
		tr.Log("TLS on port " + port + ": the certificate is good")
	}
	return err
}

// withoutTLS binds with a password where the server has no TLS. A way that is not there leads to the next one; a refused
// password to none.
func (c *Client) withoutTLS(ctx context.Context, tr *env.Trace, r *evidence.Reader, s *session, target env.Target) error {
	host, port := s.endpoint.Host, strconv.Itoa(s.tlsEndpoint().Port)
	missing := host + " offers TLS neither with StartTLS nor on port " + port
	var f *evidence.Failure
	if account, err := krb.NewAccount(c.env, host); errors.As(err, &f) {
		tr.Log("Kerberos: " + f.Detail)
	} else if s.realms, s.kdcs, err = krb.FindKDCs(c.env, r, *account, s.endpoint.Host); err != nil {
		return err
	} else if len(s.kdcs) == 0 {
		missing += ", no KDC of " + text(account.Realm()) + " answers"
	} else {
		err := c.signed(ctx, tr, s, target, account)
		if err == nil || ctx.Err() != nil || env.IsRefused(err) || !errors.As(err, &f) {
			return err
		}
		tr.Log("Kerberos: " + f.Detail)
		missing += ", Kerberos does not help (" + f.Detail + ")"
	}
	if !c.env.Scope().AllowCleartext {
		if err := c.connect(ctx, tr, s, target, plain); err != nil {
			return err
		}
		offered, err := c.offersNTLM(ctx, tr, s)
		switch {
		case err != nil:
			s.link.close()
			return err
		case offered:
			return c.bind(ctx, tr, s, c.ntlm)
		}
		s.link.close()
		return evidence.Fail(evidence.Denied, "the password was not sent: "+missing+" and it offers no NTLM (--allow-cleartext would send it without)")
	}
	tr.Log("the password is sent without TLS, as --allow-cleartext says")
	if err := c.connect(ctx, tr, s, target, plain); err != nil {
		return err
	}
	return c.bind(ctx, tr, s, c.simple)
}

// handshake ends with a connection over which the password may be sent. The error is a *noTLS when there is no TLS, a
// failure when its certificate is not good.
func (c *Client) handshake(ctx context.Context, conn net.Conn, host string, check *trust) (net.Conn, error) {
	config := anyTLS(host)
	config.VerifyConnection = func(s tls.ConnectionState) error { return check.verify(host, s.PeerCertificates) }
	t := tls.Client(conn, config)
	err := t.HandshakeContext(ctx)
	var bad *evidence.Failure
	switch {
	case err == nil:
		return t, nil
	case errors.As(err, &bad):
		return nil, bad
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, &noTLS{"does not complete a TLS handshake"}
}

// startTLSRequest is an LDAPMessage with id 1 and the extended request 1.3.6.1.4.1.1466.20037 (RFC 4511, section 4.14.1).
var startTLSRequest = append([]byte{0x30, 0x1d, 0x02, 0x01, 0x01, 0x77, 0x18, 0x80, 0x16}, "1.3.6.1.4.1.1466.20037"...)

// startTLS asks for TLS on a fresh connection. It reads nothing beyond the answer, so that nothing sent in clear can
// pass for something sent under TLS. how says why there is none.
func startTLS(ctx context.Context, conn net.Conn) (how string, err error) {
	if _, err := conn.Write(startTLSRequest); err != nil {
		return "", err
	}
	m := &meter{Conn: conn}
	m.left.Store(maxHandshakes)
	packet, err := ber.ReadPacket(m)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case m.foreign.Load():
		return "", evidence.Fail(evidence.Protocol, "something answers that is not LDAP")
	case err != nil:
		return "closed the connection when it was asked for", nil
	}
	if len(packet.Children) < 2 || packet.Children[1].Tag != ldap.ApplicationExtendedResponse || ldap.GetLDAPError(packet) != nil {
		return "refused StartTLS", nil
	}
	return "", nil
}

// bind proves who asks, in one way.
func (c *Client) bind(ctx context.Context, tr *env.Trace, s *session, way func(context.Context, *env.Trace, *session) error) error {
	err := c.env.Prove(ctx, func() error { return way(ctx, tr, s) })
	if err != nil {
		s.link.close()
	}
	return err
}

// talk has one exchange on the session's connection and judges how it ended. A result code is for verdict to judge.
func (c *Client) talk(ctx context.Context, tr *env.Trace, s *session, fn func() error, verdict func(*ldap.Error) error) error {
	return c.env.Exchange(ctx, tr, s.target, c.env.Budgets.Exchange, func(ctx context.Context) error {
		defer env.CloseAtEnd(ctx, s.link.meter)()
		err := fn()
		var answer *ldap.Error
		if errors.As(err, &answer) && answer.ResultCode < ldap.ErrorNetwork {
			return verdict(answer)
		}
		var own *evidence.Failure
		if errors.As(err, &own) {
			return own
		}
		return s.link.judge(ctx, s.endpoint, err)
	})
}

// simple sends the password.
func (c *Client) simple(ctx context.Context, tr *env.Trace, s *session) error {
	err := c.talk(ctx, tr, s, func() error { return s.link.ldap.Bind(c.env.Scope().LDAPUser, c.env.Password()) }, func(answer *ldap.Error) error {
		if f := notTaken(s.endpoint, answer.ResultCode); f != nil {
			return f
		}
		return c.env.Refuse(refusal(answer))
	})
	if err == nil {
		tr.Log("bind: accepted")
	}
	return err
}

// notTaken is the failure of a bind that was answered with a code which is no verdict on the account; nil for other codes.
func notTaken(ep facts.Endpoint, code uint16) *evidence.Failure {
	switch code {
	case ldap.LDAPResultStrongAuthRequired:
		return evidence.Fail(evidence.Denied, ep.String()+" demands signing (its policy \"Domain controller: LDAP server signing requirements\"):"+
			" TLS, which takes a certificate on it and its root with --roots, or Kerberos meets that (--kerberos or --keytab)")
	case ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
		return evidence.Fail(evidence.Denied, ep.String()+" does not take the bind: "+resultName(code))
	}
	return nil
}

// subCodes are what Active Directory says after "data" in the text of an invalidCredentials answer: Win32 errors
// in hexadecimal ([MS-ERREF] 2.2).
var subCodes = map[string]string{
	"525": "there is no such account", "52e": "the password is wrong", "530": "it may not log on at this time",
	"531": "it may not log on from this machine", "532": "its password has expired", "533": "it is disabled",
	"701": "it has expired", "773": "its password must be changed first", "775": "it is locked out",
}

var subCode = regexp.MustCompile(`, data ([0-9a-fA-F]{1,8}),`)

// refusal says why a bind was refused.
func refusal(e *ldap.Error) string {
	if e.ResultCode != ldap.LDAPResultInvalidCredentials {
		return resultName(e.ResultCode)
	}
	if m := subCode.FindStringSubmatch(e.Err.Error()); m != nil {
		if why, ok := subCodes[strings.ToLower(m[1])]; ok {
			return why
		}
	}
	return "name or password is wrong"
}
