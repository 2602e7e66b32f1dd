// Package sipprobe asks SIP servers what Communicator asks when a user signs in, over TLS or TCP, and reads the answers.
package sipprobe

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/tlsprobe"
	"ocsdoctor/checks/evidence/sipauth"
)

// nobody is the address that is registered without credentials: it exists nowhere, and no logon is attempted.
const nobody = "ocsdoctor"

// Register is sip.register: the first request of a sign-in, without credentials. Something else than SIP is a value.
func Register(ctx context.Context, e *env.Env, tr *env.Trace, r *evidence.Reader, q facts.RegisterQuestion) (facts.SIPAnswer, error) {
	if !validDomain(q.Domain) {
		return facts.SIPAnswer{}, errDomain()
	}
	var a facts.SIPAnswer
	err := talk(ctx, e, tr, r, q.Endpoint, q.TCP, func(c *conversation) (err error) {
		a, err = c.ask("REGISTER", newDialog("sip:"+nobody+"@"+q.Domain))
		a.ReadAt = time.Now().UTC()
		return err
	})
	return a, err
}

// Options is sip.options.
func Options(ctx context.Context, e *env.Env, tr *env.Trace, r *evidence.Reader, q facts.OptionsQuestion) (facts.SIPAnswer, error) {
	var a facts.SIPAnswer
	err := talk(ctx, e, tr, r, q.Endpoint, q.TCP, func(c *conversation) (err error) {
		a, err = c.ask("OPTIONS", newDialog("sip:"+nobody+"@"+q.Endpoint.Host))
		return err
	})
	return a, err
}

// NTLM is sip.ntlm-challenge: without a connection the client's first token is empty, and the server answers with its challenge
// ([MS-SIPAE] 3.2). The conversation ends there: nothing proves or even names an account.
func NTLM(ctx context.Context, e *env.Env, tr *env.Trace, r *evidence.Reader, q facts.RegisterQuestion) (facts.NTLMInfo, error) {
	first, err := facts.Register.Get(r, q)
	if err != nil {
		return facts.NTLMInfo{}, err
	}
	offer, ok := first.Find("NTLM")
	if !ok {
		return facts.NTLMInfo{}, evidence.FailAt(evidence.NoTarget, q.Endpoint.String()+" offers no NTLM", facts.Register.Key(q))
	}
	var info facts.NTLMInfo
	err = talk(ctx, e, tr, r, q.Endpoint, q.TCP, func(c *conversation) error {
		a, err := c.ask("REGISTER", newDialog("sip:"+nobody+"@"+q.Domain), authorization(first, offer, `gssapi-data=""`))
		if err != nil {
			return err
		}
		info = readInfo(a)
		info.Asked = time.Now().UTC()
		return nil
	})
	return info, err
}

// readInfo reads the challenge out of the answer to an empty token.
func readInfo(a facts.SIPAnswer) facts.NTLMInfo {
	offer, ok := a.Find("NTLM")
	token, given := offer.Parameters["gssapi-data"]
	if !ok || !given || a.Status != 401 && a.Status != 407 {
		return facts.NTLMInfo{Problem: "the answer to the first token of NTLM holds no challenge: " + inWords(a)}
	}
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return facts.NTLMInfo{Problem: "the challenge of NTLM is not in base64"}
	}
	c, err := sipauth.ParseChallenge(raw)
	if err != nil {
		return facts.NTLMInfo{Problem: "the challenge cannot be read: " + err.Error()}
	}
	info := facts.NTLMInfo{
		Flags: c.Flags.Names(), TargetName: c.TargetName, NetBIOSDomain: c.NetBIOSDomain, NetBIOSComputer: c.NetBIOSComputer,
		DNSDomain: facts.Host(c.DNSDomain), DNSComputer: facts.Host(c.DNSComputer), Forest: facts.Host(c.Forest), Raw: raw,
	}
	if c.Version != (sipauth.Version{}) {
		info.Windows = c.Version.String()
	}
	if !c.Time.IsZero() {
		info.Time = &c.Time
	}
	return info
}

// inWords is an answer as a report names it.
func inWords(a facts.SIPAnswer) string {
	if a.NotSIP {
		return "something that is not SIP"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, a.Phrase))
}

// authorization is the field that answers an offer, with further parameters. The names are those of the offer, as the server wrote them.
func authorization(a facts.SIPAnswer, offer facts.Challenge, parameters ...string) string {
	field := "Authorization: "
	if a.Status == 407 {
		field = "Proxy-Authorization: "
	}
	text := offer.Scheme + ` qop="auth", realm=` + quoted(offer.Parameters["realm"])
	if opaque, ok := offer.Parameters["opaque"]; ok {
		text += ", opaque=" + quoted(opaque)
	}
	text += ", targetname=" + quoted(offer.Parameters["targetname"])
	if v := offer.Parameters["version"]; v != "" && strings.Trim(v, "0123456789") == "" {
		text += ", version=" + v
	}
	return field + strings.Join(append([]string{text}, parameters...), ", ")
}

// quoted is a quoted string (RFC 3261, section 25.1); control characters, which nothing there may have, are left out.
func quoted(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// conversation is a connection to a server on which requests are asked.
type conversation struct {
	ctx       context.Context
	tr        *env.Trace
	w         io.Writer
	r         *bufio.Reader
	endpoint  facts.Endpoint
	transport string // "TLS" or "TCP"
	local     string
	userAgent string
	// peer is the chain that the server sent on this connection, over TLS.
	peer []facts.Certificate
}

// talk has a conversation with an endpoint that takes connections, and that completes a handshake if it is over TLS.
func talk(ctx context.Context, e *env.Env, tr *env.Trace, r *evidence.Reader, at facts.Endpoint, tcp bool, fn func(*conversation) error) error {
	scope, err := facts.ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return err
	}
	if strings.ContainsFunc(scope.UserAgent, unicode.IsControl) {
		return evidence.Fail(evidence.NotConfigured, "--user-agent holds control characters")
	}
	target, config, err := reach(e, r, at, tcp)
	if err != nil {
		return err
	}
	return e.Talk(ctx, tr, target, e.Budgets.Exchange, func(ctx context.Context, conn net.Conn) error {
		c := &conversation{ctx: ctx, tr: tr, w: conn, endpoint: at, transport: "TCP", local: conn.LocalAddr().String(), userAgent: scope.UserAgent}
		var in io.Reader = conn
		if config != nil {
			secure := tls.Client(conn, config)
			if err := secure.HandshakeContext(ctx); err != nil {
				return err
			}
			c.w, in, c.transport = secure, secure, "TLS"
			for _, cert := range secure.ConnectionState().PeerCertificates {
				c.peer = append(c.peer, certs.Describe(cert.Raw))
			}
		}
		c.r = bufio.NewReaderSize(io.LimitReader(in, maxMessages), maxMessage)
		return fn(c)
	})
}

// reach is where an endpoint is dialled, and how TLS is spoken with it; nil for TCP alone.
func reach(e *env.Env, r *evidence.Reader, at facts.Endpoint, tcp bool) (env.Target, *tls.Config, error) {
	if tcp {
		target, err := e.Connected(r, at)
		return target, nil, err
	}
	h, err := facts.TLSHandshake.Get(r, at)
	if err != nil {
		return env.Target{}, nil, err
	}
	if !h.Completed {
		return env.Target{}, nil, evidence.FailAt(evidence.NoTarget, at.String()+" does not complete a TLS handshake: the server "+h.Problem(), facts.TLSHandshake.Key(at))
	}
	target, err := e.Target(r, "tcp", at)
	if h.Legacy {
		return target, tlsprobe.Legacy(at.Host), err
	}
	return target, tlsprobe.Modern(at.Host), err
}

// ask sends one request of a dialog and reads its final answer.
func (c *conversation) ask(method string, d *dialog, fields ...string) (facts.SIPAnswer, error) {
	if _, err := io.WriteString(c.w, d.request(method, c, fields)); err != nil {
		return facts.SIPAnswer{}, err
	}
	a, err := read(c.r)
	switch {
	case err == nil:
		c.tr.Log(method + ": " + inWords(a))
		return a, nil
	case c.ctx.Err() != nil:
		return facts.SIPAnswer{}, c.ctx.Err()
	case errors.Is(err, errTooLong):
		return facts.SIPAnswer{}, evidence.Fail(evidence.Protocol, c.endpoint.String()+" answers "+method+" with more than a SIP response may have")
	}
	return facts.SIPAnswer{}, evidence.Fail(evidence.Protocol, c.endpoint.String()+" closed the connection without an answer to "+method)
}

func errDomain() error {
	return evidence.Fail(evidence.NoTarget, "the SIP domain has characters that no SIP address can have")
}

// validDomain tells whether a name can stand in a SIP address (RFC 3261, section 25.1: hostname). Names of other
// alphabets are let through as they are.
func validDomain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7F || strings.ContainsRune(`<>"@;:?,/\`, r)
	})
}

// dialog is what the requests about one address have in common.
type dialog struct {
	uri                         string
	tag, epid, callID, instance string
	opaque                      string
	sequence                    int
}

func newDialog(uri string) *dialog {
	id := random(16)
	return &dialog{
		uri: uri, tag: random(5), epid: random(5), callID: random(16), opaque: random(5),
		instance: strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-"),
	}
}

func (d *dialog) from() string { return "<" + d.uri + ">;tag=" + d.tag + ";epid=" + d.epid }

func (d *dialog) to() string { return "<" + d.uri + ">" }

// domain is that of the address, to which requests go.
func (d *dialog) domain() string { return d.uri[strings.LastIndexByte(d.uri, '@')+1:] }

// request is a request as Communicator 2007 R2 sends it. epid is required: without it the server
// answers with ms-diagnostics 4010.
func (d *dialog) request(method string, c *conversation, fields []string) string {
	d.sequence++
	lines := []string{
		method + " sip:" + d.domain() + " SIP/2.0",
		"Via: SIP/2.0/" + c.transport + " " + c.local,
		"Max-Forwards: 70",
		"From: " + d.from(),
		"To: " + d.to(),
		"Call-ID: " + d.callID,
		d.cseq(method),
		"Contact: <sip:" + c.local + ";transport=" + strings.ToLower(c.transport) + ";ms-opaque=" + d.opaque +
			`>;methods="INVITE, MESSAGE, INFO, SUBSCRIBE, OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER, BENOTIFY"` +
			`;proxy=replace;+sip.instance="<urn:uuid:` + d.instance + `>"`,
		"User-Agent: " + c.userAgent,
		"Supported: gruu-10, adhoclist, msrtc-event-categories",
	}
	if method == "REGISTER" {
		lines = append(lines, "Event: registration", "ms-keep-alive: UAC;hop-hop=yes")
	}
	lines = append(append(lines, fields...), "Content-Length: 0")
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func (d *dialog) cseq(method string) string { return fmt.Sprintf("CSeq: %d %s", d.sequence, method) }

// random is a token of n bytes in hexadecimal.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
