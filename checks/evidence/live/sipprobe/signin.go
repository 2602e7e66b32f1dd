package sipprobe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/krb"
	"ocsdoctor/checks/evidence/sipauth"
)

// Client signs the test account of a run in. It is safe for use by several goroutines.
type Client struct {
	env *env.Env

	mu sync.Mutex
	// tried is the server at which the one attempt of the run began.
	tried string
}

// New makes the client of one run.
func New(e *env.Env) *Client { return &Client{env: e} }

// SignIn is sip.sign-in. The password is proved once in a run, whatever comes of it: a second wrong one might lock the account. Only a server
// that took it, or that did not ask for it, may send the account on to another, where it is proved again. Over TLS it is proved only to a
// server whose certificate, on the very connection on which it is proved, is for the name that was asked, and in date; and whoever is sent on
// to has to be trusted by the anchors that are known.
func (c *Client) SignIn(ctx context.Context, tr *env.Trace, r *evidence.Reader, q facts.SignInQuestion) (facts.SignInResult, error) {
	if c.env.Scope().SIPUser == "" {
		return facts.SignInResult{}, evidence.Fail(evidence.NotConfigured, "no test account was given (--sip-user)")
	}
	if !validURI(q.URI) {
		return facts.SignInResult{}, evidence.Fail(evidence.NoTarget, "the address to sign in with has characters that no SIP address can have")
	}
	if err := c.once(q.Endpoint.String()); err != nil {
		return facts.SignInResult{}, err
	}
	var result facts.SignInResult
	for at, tcp := q.Endpoint, q.TCP; ; {
		v := &visit{client: c, ctx: ctx, tr: tr, r: r, at: at, tcp: tcp, uri: q.URI, result: &result}
		answer, err := v.signIn()
		if err != nil {
			var f *evidence.Failure
			if len(result.Hops) == 0 || !errors.As(err, &f) {
				return facts.SignInResult{}, err
			}
			result.Problem = f.Detail // what the servers before said is worth telling
			return result, nil
		}
		result.Hops, result.Next, result.NextTCP = append(result.Hops, v.hop), facts.Endpoint{}, false
		if !answer.Redirects() || result.Problem != "" {
			return result, nil
		}
		next, overTCP, ok := answer.Contact(tcp)
		result.Next, result.NextTCP = next, overTCP
		switch {
		case !ok:
			result.Problem = "the answer says nothing of where to go"
		case slices.ContainsFunc(result.Hops, func(h facts.SignInHop) bool { return h.Endpoint == next && h.TCP == overTCP }):
			result.Problem = "it leads back to " + next.String()
		case len(result.Hops) == facts.MaxHops:
			result.Problem = "after " + strconv.Itoa(facts.MaxHops-1) + " redirects it goes on"
		case overTCP && !tcp:
			result.Problem = "it leads to " + next.String() + " without TLS, where the test account is not shown"
		}
		if result.Problem != "" {
			return result, nil
		}
		at, tcp = next, overTCP
	}
}

// once lets the account be tried; a second time is a failure.
func (c *Client) once(where string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tried != "" {
		return evidence.Fail(evidence.NotConfigured, "the test account is tried once in a run, and was tried at "+c.tried)
	}
	c.tried = where
	return nil
}

// validURI tells whether an address can stand in a SIP message between angle brackets.
func validURI(uri string) bool {
	name, domain, ok := strings.Cut(uri, "@")
	return ok && strings.HasPrefix(name, "sip:") && validDomain(domain) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7F || strings.ContainsRune(`<>"`, r) })
}

// visit is what is done at one server.
type visit struct {
	client *Client
	ctx    context.Context
	tr     *env.Trace
	r      *evidence.Reader
	at     facts.Endpoint
	tcp    bool
	uri    string
	hop    facts.SignInHop
	result *facts.SignInResult
}

// signIn signs in and out again. The answer is the server's last word on signing in; result gets a problem where it came to none.
func (v *visit) signIn() (facts.SIPAnswer, error) {
	v.hop = facts.SignInHop{Endpoint: v.at, TCP: v.tcp}
	_, domain, _ := strings.Cut(v.uri, "@")
	first, err := facts.Register.Get(v.r, facts.RegisterQuestion{Endpoint: v.at, Domain: domain, TCP: v.tcp})
	if err != nil {
		return first, err
	}
	if first.Status != 401 && first.Status != 407 {
		v.hear(first)
		v.result.SignedIn = first.Status == 200
		return first, nil
	}
	presentable, err := v.presentable()
	if err != nil {
		return first, err
	}
	mechanism, err := v.choose(first)
	if err != nil {
		return first, err
	}
	var answer facts.SIPAnswer
	err = talk(v.ctx, v.client.env, v.tr, v.r, v.at, v.tcp, func(c *conversation) error {
		if err := presentable(c.peer); err != nil { // which need not be who shook hands before
			return err
		}
		d := newDialog(v.uri)
		a, s, err := mechanism(c, d)
		if err != nil {
			return err
		}
		answer = a
		v.hear(a)
		if s != nil {
			v.hop.Signature = s.judge(a)
			if a.Redirects() && v.hop.Signature == facts.SignatureWrong {
				v.result.Problem = wrongSignature
			}
			v.settle(c, d, a, s)
		}
		return nil
	})
	return answer, err
}

// hear takes note of the server's word.
func (v *visit) hear(a facts.SIPAnswer) {
	v.hop.Status, v.hop.Phrase, v.hop.Server = a.Status, a.Phrase, strings.ToValidUTF8(a.Header("Server"), "\uFFFD")
	v.hop.Diagnostics = strings.ToValidUTF8(a.Diagnostics(), "\uFFFD")
	if a.NotSIP {
		v.result.Problem = "what answers does not speak SIP"
	}
}

// wrongSignature is the problem of an answer that someone else signed: it signs nobody in, and sends the account nowhere.
const wrongSignature = "the signature of the answer is wrong: it is not of the server to which the account was shown"

// settle decides whether the account is signed in, and signs it out again.
func (v *visit) settle(c *conversation, d *dialog, a facts.SIPAnswer, s *association) {
	if a.Status != 200 {
		return
	}
	v.result.Expires, _ = strconv.Atoi(a.Header("Expires"))
	switch v.hop.Signature {
	case facts.SignatureWrong:
		v.result.Problem = wrongSignature
	case facts.SignatureMissing:
		v.result.Problem = "the answer is not signed, as that of a server that knows the account is"
	default:
		v.result.SignedIn = true
	}
	out, err := c.ask("REGISTER", d, s.authorize(d, "REGISTER", "0"), "Expires: 0")
	switch {
	case err != nil:
		v.result.RemoveProblem = c.endpoint.String() + " did not answer"
	case out.Status != 200:
		v.result.RemoveProblem = inWords(out)
	default:
		v.result.Removed = inWords(out)
	}
}

// presentable tells whether the server's certificate is one to which a client shows an account: that of its TLS handshake now, and with the
// function that it returns, that of another connection.
func (v *visit) presentable() (func(chain []facts.Certificate) error, error) {
	if v.tcp {
		return func([]facts.Certificate) error { return nil }, nil
	}
	h, err := facts.TLSHandshake.Get(v.r, v.at)
	if err != nil {
		return nil, err
	}
	var known *facts.AnchorList
	isFirst := len(v.result.Hops) == 0
	switch list, err := facts.Anchors.Get(v.r, evidence.None{}); {
	case err == nil:
		known = &list
	case !isFirst && !evidence.Excusable(err): // else nothing is known to trust
		return nil, err
	}
	judged, _ := h.Leaf()
	judge := func(chain []facts.Certificate) error {
		notShown := func(why string) error {
			return evidence.FailAt(evidence.NoTarget, "the test account is not shown to "+v.at.String()+", whose certificate "+why, facts.TLSHandshake.Key(v.at))
		}
		leaf, ok := facts.Handshake{Chain: chain}.Leaf()
		now := time.Now()
		switch {
		case !ok || !leaf.Carries(v.at.Host) || now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
			return notShown("is not for that name, or not in date")
		case isFirst && bytes.Equal(leaf.DER, judged.DER): // whether it is trusted was judged before
		case known != nil && !trusted(chain, *known):
			return notShown("leads to no trusted root")
		}
		return nil
	}
	return judge, judge(h.Chain)
}

// trusted tells whether what a server sent leads to an anchor by itself.
func trusted(chain []facts.Certificate, known facts.AnchorList) bool {
	var sent, anchors []*x509.Certificate
	for _, c := range chain {
		if p, err := certs.Parse(c.DER); err == nil {
			sent = append(sent, p)
		}
	}
	for _, a := range known.Anchors {
		if p, err := certs.Parse(a.DER); err == nil {
			anchors = append(anchors, p)
		}
	}
	return len(sent) > 0 && certs.Chains(sent[0], sent[1:], anchors).Problem == certs.Trusted
}

// mechanism proves the account in a conversation. It returns the server's last word, and the association where the proof was sent.
type mechanism func(*conversation, *dialog) (facts.SIPAnswer, *association, error)

// choose chooses how the account is proved. U@REALM takes Kerberos where that is offered and there is a ticket, as Communicator does within
// its domain; any other form takes NTLM, and so does one without a ticket, unless its KDC refused the account: that was the one attempt.
func (v *visit) choose(first facts.SIPAnswer) (mechanism, error) {
	user := v.client.env.Scope().SIPUser
	_, hasNTLM := first.Find("NTLM")
	offer, hasKerberos := first.Find("Kerberos")
	if hasKerberos && !strings.Contains(user, `\`) {
		ticket, refused, err := v.ticket(user, offer.Parameters["targetname"])
		switch {
		case err == nil:
			v.hop.Scheme = offer.Scheme
			return func(c *conversation, d *dialog) (facts.SIPAnswer, *association, error) {
				return v.kerberos(c, d, first, offer, ticket)
			}, nil
		case refused != "":
			return nil, evidence.Fail(evidence.Denied, "the test account is refused: "+refused)
		case !hasNTLM || !evidence.Excusable(err):
			return nil, err
		}
		v.hop.NoTicket = err.Error()
		var f *evidence.Failure
		if errors.As(err, &f) {
			v.hop.NoTicket = f.Detail
		}
	}
	if hasNTLM {
		v.hop.Scheme = "NTLM"
		return func(c *conversation, d *dialog) (facts.SIPAnswer, *association, error) {
			return v.ntlm(c, d, first, user)
		}, nil
	}
	if hasKerberos {
		return nil, evidence.Fail(evidence.NotConfigured, v.at.String()+" offers Kerberos alone: give --sip-user as U@REALM")
	}
	return nil, evidence.Fail(evidence.NoTarget, v.at.String()+" offers neither NTLM nor Kerberos")
}

// ticket gets a Kerberos ticket for the name under which the server offers Kerberos. refused says why the KDC does not take the account.
func (v *visit) ticket(user, target string) (t *krb.Ticket, refused string, err error) {
	name, realm, _ := strings.Cut(user, "@")
	account := krb.Account{Principal: name + "@" + strings.ToUpper(realm), Password: v.client.env.SIPPassword()}
	if host, ok := strings.CutPrefix(strings.ToLower(target), "sip/"); !ok || !facts.IsHostName(host) {
		return nil, "", evidence.Fail(evidence.NoTarget, v.at.String()+" offers Kerberos under no name of a service")
	}
	kdc, ok, err := krb.FindKDC(v.client.env, v.r, account.Realm(), "")
	if err != nil {
		return nil, "", err
	}
	if !ok {
		return nil, "", evidence.Fail(evidence.NoTarget, "no KDC of the realm "+account.Realm()+" answers")
	}
	return krb.GetTicket(v.ctx, v.client.env, v.tr, account, []krb.KDC{kdc}, strings.ToLower(target))
}

// kerberos proves the account with its ticket in one step ([MS-SIPAE] 3.2).
func (v *visit) kerberos(c *conversation, d *dialog, first facts.SIPAnswer, offer facts.Challenge, t *krb.Ticket) (facts.SIPAnswer, *association, error) {
	session, token, err := t.StartAlone()
	if err != nil {
		return first, nil, evidence.Fail(evidence.Protocol, "the Kerberos ticket cannot be used")
	}
	s := &association{answer: first, offer: offer, session: kerberosSigner{session}}
	answer, err := c.ask("REGISTER", d, s.authorize(d, "REGISTER", "", token...))
	if err != nil {
		return answer, nil, err
	}
	// The server names the association in its answer.
	for _, name := range []string{"Authentication-Info", "Proxy-Authentication-Info"} {
		if info, ok := challenge(answer.Header(name)); ok && info.Parameters["opaque"] != "" {
			parameters := maps.Clone(offer.Parameters)
			parameters["opaque"] = info.Parameters["opaque"]
			s.offer.Parameters = parameters
		}
	}
	return answer, s, nil
}

// kerberosSigner signs with a context of Kerberos.
type kerberosSigner struct{ context *krb.Context }

func (k kerberosSigner) Sign(message []byte) []byte {
	token, err := k.context.Sign(message)
	if err != nil {
		return nil // the server refuses what is not signed
	}
	return token
}

func (k kerberosSigner) Verify(message, signature []byte) bool {
	return k.context.Verify(message, signature)
}

// ntlm proves the account with NTLM version 2 in two steps ([MS-SIPAE] 3.2).
func (v *visit) ntlm(c *conversation, d *dialog, first facts.SIPAnswer, user string) (facts.SIPAnswer, *association, error) {
	offer, _ := first.Find("NTLM")
	answer, err := c.ask("REGISTER", d, authorization(first, offer, `gssapi-data=""`))
	if err != nil {
		return answer, nil, err
	}
	challenged, ok := answer.Find("NTLM")
	token, given := challenged.Parameters["gssapi-data"]
	if !ok || !given || answer.Status != first.Status {
		return answer, nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return answer, nil, evidence.Fail(evidence.Protocol, "the challenge of NTLM is not in base64")
	}
	challenge, err := sipauth.ParseChallenge(raw)
	if err != nil {
		return answer, nil, evidence.Fail(evidence.Protocol, "the challenge cannot be read: "+err.Error())
	}
	account := sipauth.Account{User: user, Password: v.client.env.SIPPassword(), Workstation: "OCSDOCTOR"}
	if domain, name, ok := strings.Cut(user, `\`); ok {
		account.Domain, account.User = domain, name
	}
	proof, session, err := challenge.Answer(account, time.Now(), rand.Reader)
	if err != nil {
		return answer, nil, evidence.Fail(evidence.Protocol, v.at.String()+": "+err.Error())
	}
	s := &association{answer: answer, offer: challenged, session: session}
	answer, err = c.ask("REGISTER", d, s.authorize(d, "REGISTER", "", proof.Bytes()...))
	return answer, s, err
}

// signer signs messages and verifies those of the other side.
type signer interface {
	Sign(message []byte) []byte
	Verify(message, signature []byte) bool
}

// association is a security association with a server.
type association struct {
	// answer is the one that offered it, and offer the challenge in it.
	answer  facts.SIPAnswer
	offer   facts.Challenge
	session signer
	// sent counts what was signed.
	sent int
}

// version is that of the server's extensions: 2 where it says none.
func (s *association) version() int {
	v, err := strconv.Atoi(s.offer.Parameters["version"])
	if err != nil {
		return 2
	}
	return v
}

// signsHandshake is the version since which the proof of the account is signed too ([MS-SIPAE] 3.2.4.1).
const signsHandshake = 4

// authorize is the field of the next request of a dialog: signed, and with a token where the account is proved.
func (s *association) authorize(d *dialog, method, expires string, token ...byte) string {
	var parameters []string
	if len(token) > 0 {
		parameters = append(parameters, "gssapi-data="+quoted(base64.StdEncoding.EncodeToString(token)))
	}
	if len(token) == 0 || s.version() >= signsHandshake {
		s.sent++
		m := sipauth.Signed{
			Scheme: s.offer.Scheme, Random: random(4), Number: strconv.Itoa(s.sent), Realm: s.offer.Parameters["realm"], Target: s.offer.Parameters["targetname"],
			CallID: d.callID, CSeq: fmt.Sprintf("%d %s", d.sequence+1, method), From: d.from(), To: d.to(), Expires: expires,
		}
		parameters = append(parameters, "crand="+quoted(m.Random), "cnum="+quoted(m.Number),
			"response="+quoted(hex.EncodeToString(s.session.Sign(m.Buffer(s.version())))))
	}
	return authorization(s.answer, s.offer, parameters...)
}

// judge tells what the signature of an answer is worth. A refusal need not have one.
func (s *association) judge(a facts.SIPAnswer) string {
	info, ok := challenge(a.Header("Authentication-Info"))
	if !ok {
		info, ok = challenge(a.Header("Proxy-Authentication-Info"))
	}
	p := info.Parameters
	if !ok || p["rspauth"] == "" {
		if a.Status == 200 {
			return facts.SignatureMissing
		}
		return ""
	}
	m := sipauth.Signed{
		Scheme: info.Scheme, Random: p["srand"], Number: p["snum"], Realm: p["realm"], Target: p["targetname"], CallID: a.Header("Call-ID"), CSeq: a.Header("CSeq"),
		From: a.Header("From"), To: a.Header("To"), Asserted: a.Header("P-Asserted-Identity"), Expires: a.Header("Expires"), Status: strconv.Itoa(a.Status),
	}
	signature, err := hex.DecodeString(p["rspauth"])
	if err != nil || !s.session.Verify(m.Buffer(s.version()), signature) {
		return facts.SignatureWrong
	}
	return facts.SignatureRight
}
