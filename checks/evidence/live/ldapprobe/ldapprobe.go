// Package ldapprobe reads domain controllers: the rootDSE without an account, and everything else with the one that
// was given, whose password travels only where it is safe and is never tried twice when it is wrong.
package ldapprobe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/tlsprobe"
)

// The ports of a domain controller ([MS-ADTS] 5.1.1.1.1): plain with StartTLS, and TLS from the first byte.
const (
	plainPort     = 389
	tlsPort       = 636
	catalogPort   = 3268
	catalogTLS    = 3269
	pageSize      = 500
	maxEntries    = 100_000
	maxPages      = 1000
	maxSearch     = 64 << 20 // bytes of all answers to one search
	maxRootDSE    = 1 << 20  // bytes of the answer to one read of the rootDSE
	maxHandshakes = 256 << 10
)

// Client is one run's access to the directory. It is safe for use by several goroutines.
type Client struct {
	env *env.Env

	mu       sync.Mutex
	sessions map[facts.Endpoint]*session
}

// New makes the access of one run.
func New(e *env.Env) *Client {
	return &Client{env: e, sessions: map[facts.Endpoint]*session{}}
}

// rootAttributes are what is asked of the rootDSE ([MS-ADTS] 3.1.1.3.2). They are named because
// Windows leaves some out of "all".
var rootAttributes = []string{
	"defaultNamingContext", "rootDomainNamingContext", "configurationNamingContext", "schemaNamingContext", "namingContexts",
	"dnsHostName", "serverName", "domainFunctionality", "forestFunctionality", "domainControllerFunctionality",
	"isSynchronized", "isGlobalCatalogReady", "currentTime", "highestCommittedUSN",
	"supportedControl", "supportedSASLMechanisms", "supportedLDAPVersion", "supportedCapabilities", "ldapServiceName", "vendorName",
}

// RootDSE is ldap.rootdse: an anonymous read. On a TLS port the certificate is not looked at, since nothing secret is sent.
func (c *Client) RootDSE(ctx context.Context, tr *env.Trace, r *evidence.Reader, q facts.DCQuestion) (facts.RootDSEData, error) {
	ep := endpoint(q.DC)
	target, err := c.env.Connected(r, ep)
	if err != nil {
		return facts.RootDSEData{}, err
	}
	var res *ldap.SearchResult
	var at time.Time
	err = c.env.Talk(ctx, tr, target, c.env.Budgets.Exchange, func(ctx context.Context, conn net.Conn) error {
		if implicitTLS(ep.Port) {
			t := tls.Client(conn, anyTLS(ep.Host))
			if err := t.HandshakeContext(ctx); err != nil {
				return err
			}
			conn = t
		}
		l := c.converse(conn, maxRootDSE)
		defer l.close()
		var err error
		res, err = l.ldap.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", rootAttributes, nil))
		at = time.Now().UTC()
		return l.judge(ctx, ep, err)
	})
	if err != nil {
		return facts.RootDSEData{}, err
	}
	if len(res.Entries) != 1 {
		return facts.RootDSEData{}, evidence.Fail(evidence.Protocol, ep.String()+" answers without a rootDSE")
	}
	d := facts.RootDSEData{Attributes: map[string][]string{}, ReadAt: at}
	for _, a := range res.Entries[0].Attributes {
		for _, v := range a.Values {
			d.Attributes[text(a.Name)] = append(d.Attributes[text(a.Name)], text(v))
		}
	}
	tr.Log("rootDSE read anonymously")
	return d, nil
}

// Search is ldap.search. A base that does not exist is a value; references to other servers are not followed.
func (c *Client) Search(ctx context.Context, tr *env.Trace, r *evidence.Reader, q facts.SearchQuestion) (facts.SearchResult, error) {
	var out facts.SearchResult
	req, err := request(q)
	if err != nil {
		return out, err
	}
	err = c.ask(ctx, tr, r, q.DC, facts.Search.Key(q), func(s *session) (err error) {
		// Searches share the connection: each that begins renews what may be read for all.
		s.link.meter.left.Store(maxSearch)
		out.NoSuchObject, err = c.pages(ctx, tr, s, req, pageSize, func(entries []*ldap.Entry) error {
			for _, e := range entries {
				out.Entries = append(out.Entries, entry(e))
			}
			if len(out.Entries) > maxEntries {
				return evidence.Fail(evidence.Protocol, s.endpoint.String()+" answers the search with more entries than are read")
			}
			return nil
		})
		return err
	})
	if err != nil {
		return facts.SearchResult{}, err
	}
	slices.SortStableFunc(out.Entries, func(a, b facts.Entry) int { return strings.Compare(a.DN, b.DN) })
	return out, nil
}

// ask runs a search, whose key is given, on the session with a domain controller.
func (c *Client) ask(ctx context.Context, tr *env.Trace, r *evidence.Reader, dc string, key evidence.Key, search func(*session) error) error {
	scope, err := facts.ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return err
	}
	switch {
	case scope.LDAPUser == "":
		return evidence.FailAt(evidence.NotConfigured, "no account to read the directory with is given (--user or --kerberos)", scopeKey)
	case c.env.Password() == "" && !scope.Kerberos && !scope.Keytab:
		return evidence.FailAt(evidence.NotConfigured, "no password for the account of --user is given (--password-file or OCSDOCTOR_PASSWORD)", scopeKey)
	}
	s := c.session(endpoint(dc))
	// Read before the session is waited for, so that every search rests on the same facts whoever opens it.
	if _, err := c.env.Connected(r, s.endpoint); err != nil {
		return err
	}
	if err := s.take(ctx); err != nil {
		return err
	}
	err = c.open(ctx, tr, r, s)
	s.release()
	if err != nil {
		return err
	}
	err = search(s)
	if err != nil && s.link.broken.Load() && ctx.Err() == nil {
		if err := s.take(ctx); err != nil {
			return err
		}
		defer s.release()
		if s.failure == nil { // what broke the session is the root of all that still wants it
			s.link.close()
			s.failure = evidence.Rooted(err, key)
		}
		return s.failure
	}
	return err
}

// pages hands each page of a search to take (RFC 2696). absent tells that the base does not exist.
func (c *Client) pages(ctx context.Context, tr *env.Trace, s *session, req *ldap.SearchRequest, size uint32, take func([]*ldap.Entry) error) (absent bool, err error) {
	paging := ldap.NewControlPaging(size)
	req.Controls = append(req.Controls, paging)
	for range maxPages {
		var res *ldap.SearchResult
		err := c.env.Exchange(ctx, tr, s.target, c.env.Budgets.Exchange, func(ctx context.Context) (err error) {
			defer env.CloseAtEnd(ctx, s.link.meter)()
			res, err = s.link.ldap.Search(req)
			if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
				absent, err = true, nil
			}
			return s.link.judge(ctx, s.endpoint, err)
		})
		if err != nil {
			return false, err
		}
		if err := take(res.Entries); err != nil {
			return false, err
		}
		next, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(next.Cookie) == 0 {
			return absent, nil
		}
		paging.SetCookie(next.Cookie)
	}
	return false, evidence.Fail(evidence.Protocol, s.endpoint.String()+" answers the search with more pages than are read")
}

// request turns a question into a request.
func request(q facts.SearchQuestion) (*ldap.SearchRequest, error) {
	scopes := map[string]int{"base": ldap.ScopeBaseObject, "one": ldap.ScopeSingleLevel, "sub": ldap.ScopeWholeSubtree}
	scope, ok := scopes[q.Scope]
	if _, err := ldap.CompileFilter(q.Filter); err != nil || !ok {
		return nil, evidence.Fail(evidence.Internal, "the search cannot be asked: "+q.String())
	}
	var attributes []string
	if q.Attributes != "" {
		attributes = strings.Split(q.Attributes, ",")
	}
	req := ldap.NewSearchRequest(q.Base, scope, ldap.NeverDerefAliases, 0, 0, false, q.Filter, attributes, nil)
	if slices.ContainsFunc(attributes, func(a string) bool { return strings.EqualFold(a, "nTSecurityDescriptor") }) {
		// Asked for with its SACL, the attribute is left out for an account that may not read that
		// ([MS-ADTS] 3.1.1.3.4.1.11): ask for the DACL alone.
		const dacl = 4
		req.Controls = []ldap.Control{&ldap.ControlMicrosoftSDFlags{ControlValue: dacl}}
	}
	return req, nil
}

func entry(e *ldap.Entry) facts.Entry {
	out := facts.Entry{DN: text(e.DN), Attributes: map[string][][]byte{}}
	for _, a := range e.Attributes {
		out.Attributes[text(a.Name)] = a.ByteValues
	}
	return out
}

// scopeKey is the root of what was not configured.
var scopeKey = facts.ConfigScope.Key(evidence.None{})

func endpoint(dc string) facts.Endpoint {
	host, port := facts.SplitHostPort(dc, plainPort)
	return facts.Endpoint{Host: host, Port: port}
}

func implicitTLS(port int) bool { return port == tlsPort || port == catalogTLS }

// anyTLS offers TLS 1.0 to 1.3 with every suite: domain controllers of that time have TLS 1.0 only.
func anyTLS(host string) *tls.Config {
	c := tlsprobe.Legacy(host)
	c.MaxVersion = tls.VersionTLS13
	return c
}

// link is an LDAP conversation over a connection.
type link struct {
	ldap  *ldap.Conn
	meter *meter
	layer *layer
	// broken tells that something else than an answer came, after which nothing can be asked any more.
	broken atomic.Bool
}

// converse starts a conversation; at most limit bytes of answers are read.
func (c *Client) converse(conn net.Conn, limit int64) *link {
	m := &meter{Conn: conn}
	m.left.Store(limit)
	signed := &layer{Conn: m}
	l := &link{ldap: ldap.NewConn(signed, false), meter: m, layer: signed}
	l.ldap.SetTimeout(2 * c.env.Budgets.Exchange) // a second fence: the end of the exchange closes the connection
	l.ldap.Start()
	return l
}

func (l *link) close() { _ = l.ldap.Close() }

// judge turns the error of a request into a failure; that of a context which ended stays what it is.
func (l *link) judge(ctx context.Context, ep facts.Endpoint, err error) error {
	if err == nil {
		return nil
	}
	var answer *ldap.Error
	if errors.As(err, &answer) && answer.ResultCode < ldap.ErrorNetwork {
		return refused(ep, answer.ResultCode)
	}
	l.broken.Store(true)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case l.meter.foreign.Load():
		return evidence.Fail(evidence.Protocol, ep.String()+" answers something that is not LDAP")
	case l.meter.left.Load() <= 0:
		return evidence.Fail(evidence.Protocol, ep.String()+" answers with more bytes than are read")
	case l.layer.forged.Load():
		return evidence.Fail(evidence.Protocol, ep.String()+" signs its answers wrongly")
	case l.meter.closed.Load():
		return evidence.Fail(evidence.Protocol, ep.String()+" ended the LDAP connection")
	}
	return evidence.Fail(evidence.Protocol, ep.String()+" answers with malformed LDAP")
}

// refused is the failure of a request that was answered with a result code.
func refused(ep facts.Endpoint, code uint16) *evidence.Failure {
	reason := evidence.Protocol
	switch code {
	case ldap.LDAPResultOperationsError, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired:
		reason = evidence.Denied // Windows answers a search that takes a bind with operationsError
	}
	return evidence.Fail(reason, ep.String()+" refuses: "+resultName(code))
}

// resultName is a result code's name (RFC 4511, appendix A).
func resultName(code uint16) string {
	if name, ok := ldap.LDAPResultCodeMap[code]; ok {
		return name
	}
	return "an unknown result code"
}

var (
	errForeign = errors.New("not LDAP")
	errOver    = errors.New("too many bytes")
)

// meter bounds what is read from a connection, and sees at the first byte whether it is LDAP: every message is a
// SEQUENCE (RFC 4511, section 4.1.1).
type meter struct {
	net.Conn
	left                   atomic.Int64
	begun, foreign, closed atomic.Bool
}

func (m *meter) Read(b []byte) (int, error) {
	left := m.left.Load()
	if left <= 0 {
		return 0, errOver
	}
	n, err := m.Conn.Read(b[:min(int64(len(b)), left)])
	if n > 0 && !m.begun.Swap(true) && b[0] != 0x30 {
		m.foreign.Store(true)
		return 0, errForeign
	}
	m.left.Add(-int64(n))
	if err != nil {
		m.closed.Store(true)
	}
	return n, err
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.Conn.Write(b)
	if err != nil {
		m.closed.Store(true)
	}
	return n, err
}

// text makes what came from the wire valid UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
