package ldapprobe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-ldap/ldap/v3"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/krb"
)

// signed binds with Kerberos without TLS; what follows is signed.
func (c *Client) signed(ctx context.Context, tr *env.Trace, s *session, target env.Target, a *krb.Account) error {
	if err := c.connect(ctx, tr, s, target, plain); err != nil {
		return err
	}
	return c.bind(ctx, tr, s, func(ctx context.Context, tr *env.Trace, s *session) error { return c.gssapi(ctx, tr, s, a, false) })
}

// gssapi binds with a Kerberos ticket (RFC 4752). Over TLS no layer is laid, since Active Directory allows one only
// ([MS-ADTS] 5.1.1.1.2).
func (c *Client) gssapi(ctx context.Context, tr *env.Trace, s *session, a *krb.Account, overTLS bool) error {
	t, refused, err := krb.GetTicket(ctx, c.env, tr, *a, s.kdcs, "ldap/"+s.endpoint.Host)
	switch {
	case refused != "":
		return c.env.Refuse(refused)
	case err != nil:
		return err
	}
	conversation := &negotiation{ticket: t, overTLS: overTLS}
	err = c.talk(ctx, tr, s, func() error {
		err := s.link.ldap.GSSAPIBind(conversation, "ldap/"+s.endpoint.Host, "")
		if err == nil && conversation.most > 0 {
			s.link.layer.lay(conversation.context, conversation.most)
		}
		if conversation.err != nil {
			return evidence.Fail(evidence.Protocol, s.endpoint.String()+" speaks GSSAPI wrongly: "+conversation.err.Error())
		}
		return err
	}, func(answer *ldap.Error) error {
		if overTLS && answer.ResultCode == ldap.LDAPResultStrongAuthRequired {
			s.demands = true
			return evidence.Fail(evidence.Denied, s.endpoint.String()+" takes Kerberos only without TLS, where it signs: that is on port "+strconv.Itoa(plainPort))
		}
		if f := notTaken(s.endpoint, answer.ResultCode); f != nil {
			return f
		}
		return evidence.Fail(evidence.Denied, s.endpoint.String()+" does not take the Kerberos ticket: "+resultName(answer.ResultCode))
	})
	switch {
	case err != nil:
	case conversation.most > 0:
		tr.Log("bind: accepted, with Kerberos; answers are signed")
	default:
		tr.Log("bind: accepted, with Kerberos")
	}
	return err
}

// negotiation is the client's side of the GSSAPI mechanism. It implements ldap.GSSAPIClient.
type negotiation struct {
	ticket  *krb.Ticket
	context *krb.Context
	overTLS bool
	// most is how long a signed message to the server may be; 0: messages are not signed.
	most int
	// err is what was wrong with what the server said.
	err error
}

// The security layers that a server offers and a client chooses from (RFC 4752, section 3.3), and how long a signed
// message to us may be.
const (
	layerNone = 1
	layerSign = 2
	maxSigned = 1<<24 - 1
)

// InitSecContext implements ldap.GSSAPIClient.
func (n *negotiation) InitSecContext(target string, token []byte) ([]byte, bool, error) {
	return n.InitSecContextWithOptions(target, token, nil)
}

// InitSecContextWithOptions implements ldap.GSSAPIClient: the AP-REQ first, then what the server answers to it.
func (n *negotiation) InitSecContextWithOptions(_ string, token []byte, _ []int) ([]byte, bool, error) {
	if token == nil {
		var first []byte
		n.context, first, n.err = n.ticket.Start()
		return first, true, n.err
	}
	n.err = n.context.Accept(token)
	return nil, false, n.err
}

// NegotiateSaslAuth implements ldap.GSSAPIClient: it chooses the layer.
func (n *negotiation) NegotiateSaslAuth(token []byte, _ string) ([]byte, error) {
	offer, err := n.context.Unwrap(token)
	if err == nil && len(offer) != 4 {
		err = errors.New("a malformed offer of layers")
	}
	if n.err = err; err != nil {
		return nil, err
	}
	choice := [4]byte{layerNone}
	switch {
	case !n.overTLS && offer[0]&layerSign != 0:
		binary.BigEndian.PutUint32(choice[:], layerSign<<24|maxSigned)
		offer[0] = 0
		n.most = max(int(binary.BigEndian.Uint32(offer)), 2*overhead)
	case offer[0]&layerNone == 0:
		n.err = errors.New("it offers no layer that is spoken here")
		return nil, n.err
	}
	out, err := n.context.Wrap(choice[:])
	n.err = err
	return out, err
}

// DeleteSecContext implements ldap.GSSAPIClient; the context serves on, as the layer's.
func (n *negotiation) DeleteSecContext() error { return nil }

// overhead is more than what signing adds to a message.
const overhead = 128

// layer signs what is written and checks what is read, once it is laid (RFC 4422, section 3.7).
type layer struct {
	net.Conn
	context atomic.Pointer[krb.Context]
	most    int
	// raw came before the layer was laid; message is what is left of the last one.
	raw, message []byte
	forged       atomic.Bool
}

// lay makes the layer work from the next message on: the server sends none before it is asked.
func (l *layer) lay(c *krb.Context, most int) {
	l.most = most
	l.context.Store(c)
}

func (l *layer) Read(b []byte) (int, error) {
	if l.context.Load() == nil {
		n, err := l.Conn.Read(b)
		if l.context.Load() == nil || n == 0 {
			return n, err
		}
		l.raw = bytes.Clone(b[:n])
	}
	for len(l.message) == 0 {
		from := io.MultiReader(bytes.NewReader(l.raw), l.Conn)
		var length [4]byte
		if _, err := io.ReadFull(from, length[:]); err != nil {
			return 0, err
		}
		n := binary.BigEndian.Uint32(length[:])
		if n > maxSigned {
			l.forged.Store(true)
			return 0, errors.New("a signed message that is too long")
		}
		// It grows as bytes come, so that a length alone takes no memory.
		var token bytes.Buffer
		if _, err := io.CopyN(&token, from, int64(n)); err != nil {
			return 0, err
		}
		l.raw = l.raw[min(len(l.raw), 4+int(n)):]
		var err error
		if l.message, err = l.context.Load().Unwrap(token.Bytes()); err != nil {
			l.forged.Store(true)
			return 0, err
		}
	}
	n := copy(b, l.message)
	l.message = l.message[n:]
	return n, nil
}

func (l *layer) Write(b []byte) (int, error) {
	c := l.context.Load()
	if c == nil {
		return l.Conn.Write(b)
	}
	for part := range slices.Chunk(b, l.most-overhead) {
		token, err := c.Wrap(part)
		if err != nil {
			return 0, err
		}
		if _, err := l.Conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...)); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// offersNTLM tells whether the server takes NTLM in Active Directory's own form of bind ([MS-ADTS] 5.1.1.1.3), as the
// rootDSE says. NTLM takes no DN for a name.
func (c *Client) offersNTLM(ctx context.Context, tr *env.Trace, s *session) (bool, error) {
	if strings.Contains(c.env.Scope().LDAPUser, "=") {
		return false, nil
	}
	var res *ldap.SearchResult
	err := c.talk(ctx, tr, s, func() (err error) {
		res, err = s.link.ldap.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)",
			[]string{"supportedSASLMechanisms"}, nil))
		return err
	}, func(answer *ldap.Error) error { return refused(s.endpoint, answer.ResultCode) })
	if err != nil {
		return false, err
	}
	for _, e := range res.Entries {
		for _, m := range e.GetEqualFoldAttributeValues("supportedSASLMechanisms") {
			if strings.EqualFold(m, "GSS-SPNEGO") {
				return true, nil
			}
		}
	}
	return false, nil
}

// ntlm proves the password without sending it. What follows is not signed.
func (c *Client) ntlm(ctx context.Context, tr *env.Trace, s *session) error {
	user := c.env.Scope().LDAPUser
	domain, _, ok := strings.Cut(user, `\`)
	if !ok {
		domain = ""
	}
	err := c.talk(ctx, tr, s, func() (err error) {
		defer func() {
			if recover() != nil { // the library trusts the server's challenge
				err = evidence.Fail(evidence.Protocol, s.endpoint.String()+" answers with a malformed NTLM challenge")
			}
		}()
		// The library takes the domain for its answer out of the user's name.
		return s.link.ldap.NTLMBind(domain, user, c.env.Password())
	}, func(answer *ldap.Error) error {
		if f := notTaken(s.endpoint, answer.ResultCode); f != nil {
			return f
		}
		if answer.ResultCode == ldap.LDAPResultInvalidCredentials {
			return c.env.Refuse(refusal(answer))
		}
		return evidence.Fail(evidence.Denied, s.endpoint.String()+" does not take the bind with NTLM: "+resultName(answer.ResultCode))
	})
	if err == nil {
		tr.Log("bind: accepted, with NTLM; answers are not signed")
	}
	return err
}
