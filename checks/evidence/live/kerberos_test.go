package live

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

const realm = "TODOROVIC.ADDS"

// kdc is a small KDC that asks for pre-authentication and then answers with an error.
type kdc struct {
	t     testing.TB
	code  int32
	raw   []byte // not nil: the whole answer
	after uint32 // rounds of hashing that it asks for; 0 is the default
	tries atomic.Int64
}

func (k *kdc) handle(c net.Conn) {
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return
	}
	b := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return
	}
	answer := k.raw
	if answer == nil {
		answer = k.answer(b)
	}
	_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...))
}

func (k *kdc) answer(request []byte) []byte {
	var req messages.ASReq
	if err := req.Unmarshal(request); err != nil {
		k.t.Errorf("the KDC is asked %x: %v", request, err)
		return nil
	}
	e := messages.NewKRBError(req.ReqBody.SName, realm, k.code, "")
	if req.PAData.Contains(patype.PA_ENC_TIMESTAMP) {
		k.tries.Add(1)
	} else if k.code != errorcode.KDC_ERR_C_PRINCIPAL_UNKNOWN {
		e.ErrorCode = errorcode.KDC_ERR_PREAUTH_REQUIRED
		info := types.ETypeInfo2Entry{EType: etypeID.AES256_CTS_HMAC_SHA1_96, Salt: realm + "reader"}
		if k.after != 0 {
			info.S2KParams = binary.BigEndian.AppendUint32(nil, k.after)
		}
		value := encode(k.t, []types.ETypeInfo2Entry{info})
		e.EData = encode(k.t, types.PADataSequence{{PADataType: patype.PA_ETYPE_INFO2, PADataValue: value}})
	}
	b, err := e.Marshal()
	if err != nil {
		k.t.Error(err)
	}
	return b
}

func encode(t testing.TB, v any) []byte {
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return b
}

// What the KDC says of the account ends every try of the run, without TLS too, where NTLM would have been next.
func TestAVerdictOfTheKDCEndsAllTries(t *testing.T) {
	t.Parallel()
	for code, detail := range map[int32]string{
		errorcode.KDC_ERR_PREAUTH_FAILED: "the password is wrong", errorcode.KDC_ERR_CLIENT_REVOKED: "it is disabled, expired or locked out",
		errorcode.KDC_ERR_KEY_EXPIRED: "its password has expired or must be changed first", errorcode.KDC_ERR_C_PRINCIPAL_UNKNOWN: "there is no such account",
		errorcode.KDC_ERR_POLICY: "it may not log on at this time or from this machine", errorcode.KDC_ERR_NAME_EXP: "it has expired",
	} {
		t.Run(errorcode.Lookup(code), func(t *testing.T) {
			t.Parallel()
			p := newPKI(t)
			k, d, next := &kdc{t: t, code: code}, &directory{ntlm: true}, &directory{tls: p.server(t, named("dc2.d"))}
			g := newRig(t, t.Context(), p.options(dc1+":389="+listen(t, d.handle), dc1+":636="+closedPort(t), dc1+":88="+listen(t, k.handle), "dc2.d:389="+listen(t, next.handle))).patient()
			for _, dc := range []string{dc1, "dc2.d"} {
				_, err := facts.Search.Get(g.reader(), find(dc, "DC=a"))
				if f := failure(t, err); f.Reason != evidence.Denied || f.Detail != "the account of --user is refused: "+detail || f.Root.Kind != "ldap.account" {
					t.Errorf("%s: %+v", dc, f)
				}
			}
			want := int64(1)
			if code == errorcode.KDC_ERR_C_PRINCIPAL_UNKNOWN {
				want = 0
			}
			if k.tries.Load() != want || d.binds.Load() != 0 || next.binds.Load() != 0 {
				t.Errorf("%d tries at the KDC, %d and %d binds", k.tries.Load(), d.binds.Load(), next.binds.Load())
			}
			g.noSecret(t)
		})
	}
}

// What is no verdict on the account leads to the next way, and is told when there is none.
func TestAKDCThatDoesNotHelp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kdc    *kdc
		detail string
	}{
		"clock":   {&kdc{code: errorcode.KRB_AP_ERR_SKEW}, "the clock of this machine and that of " + dc1 + ":88 differ"},
		"keys":    {&kdc{code: errorcode.KDC_ERR_ETYPE_NOSUPP}, "no key of a kind that is spoken here"},
		"other":   {&kdc{code: 60}, "Kerberos error 60"},
		"rounds":  {&kdc{after: 1 << 31}, "too many rounds of hashing"},
		"garbage": {&kdc{raw: []byte("no Kerberos")}, "no usable Kerberos ticket"},
		"nothing": {&kdc{raw: []byte{}}, "no usable Kerberos ticket"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.kdc.t = t
			for _, d := range []*directory{{}, {ntlm: true, pages: 1}} {
				p := newPKI(t)
				g := newRig(t, t.Context(), p.options(dc1+":389="+listen(t, d.handle), dc1+":636="+closedPort(t), dc1+":88="+listen(t, c.kdc.handle))).patient()
				_, err := facts.Search.Get(g.reader(), find(dc1, "DC=a"))
				if d.ntlm {
					if err != nil || d.binds.Load() != 1 {
						t.Errorf("with NTLM: %v, %d binds", err, d.binds.Load())
					}
					continue
				}
				if f := failure(t, err); f.Reason != evidence.Denied || !strings.Contains(f.Detail, c.detail) || !strings.HasPrefix(f.Detail, "the password was not sent: ") {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func TestASilentKDCCostsOneBudget(t *testing.T) {
	t.Parallel()
	d := &directory{}
	o := newPKI(t).options(dc1+":389="+listen(t, d.handle), dc1+":636="+closedPort(t), dc1+":88="+listen(t, silent))
	g := newRig(t, t.Context(), o)
	start := time.Now()
	for _, base := range []string{"DC=a", "DC=b"} {
		_, err := facts.Search.Get(g.reader(), find(dc1, base))
		if f := failure(t, err); !strings.Contains(f.Detail, dc1+":88/tcp stays silent") {
			t.Errorf("%+v", f)
		}
	}
	if took := time.Since(start); took > 3*budget {
		t.Errorf("it took %v", took)
	}
}

// acceptor is the server's side of GSSAPI. It is written with the library's tokens, not with what it tests.
type acceptor struct {
	t      testing.TB
	ticket types.EncryptionKey // the session key of the client's ticket
	subkey types.EncryptionKey
	offer  byte // the layers
	forges bool // signs wrongly once a layer is laid
	step   int
	chosen byte
	signed atomic.Int64 // messages that came signed
}

func newAcceptor(t testing.TB, offer byte) *acceptor {
	key := func(b byte) types.EncryptionKey {
		return types.EncryptionKey{KeyType: etypeID.AES256_CTS_HMAC_SHA1_96, KeyValue: bytes.Repeat([]byte{b}, 32)}
	}
	return &acceptor{t: t, ticket: key(1), subkey: key(2), offer: offer}
}

// bind takes one step of the SASL exchange; what it returns is what the conversation goes on over.
func (a *acceptor) bind(c net.Conn, id int64, auth *ber.Packet) net.Conn {
	progress := func(b []byte) {
		p := result(ldap.ApplicationBindResponse, ldap.LDAPResultSaslBindInProgress, "")
		p.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 7, string(b), "serverSaslCreds"))
		respond(c, id, p)
	}
	a.step++
	switch a.step {
	case 1:
		progress(a.accept(auth.Children[1].ByteValue))
	case 2:
		progress(a.wrap([]byte{a.offer, 0, 0xff, 0xff}))
	case 3:
		choice := a.unwrap(auth.Children[1].ByteValue)
		if len(choice) == 4 {
			a.chosen = choice[0]
		}
		respond(c, id, result(ldap.ApplicationBindResponse, 0, ""))
		if a.chosen == 2 {
			return &signedConn{Conn: c, by: a}
		}
	}
	return c
}

// accept answers an AP-REQ.
func (a *acceptor) accept(token []byte) []byte {
	var in spnego.KRB5Token
	if err := in.Unmarshal(token); err != nil || !in.IsAPReq() {
		a.t.Errorf("the first token is %x: %v", token, err)
		return nil
	}
	if err := in.APReq.DecryptAuthenticator(a.ticket); err != nil {
		a.t.Error(err)
		return nil
	}
	auth := in.APReq.Authenticator
	part := encode(a.t, messages.EncAPRepPart{CTime: auth.CTime, Cusec: auth.Cusec, Subkey: a.subkey})
	sealed, err := crypto.GetEncryptedData(asn1tools.AddASNAppTag(part, 27), a.ticket, keyusage.AP_REP_ENCPART, 0)
	if err != nil {
		a.t.Error(err)
	}
	rep := encode(a.t, messages.APRep{PVNO: 5, MsgType: msgtype.KRB_AP_REP, EncPart: sealed})
	out := append(encode(a.t, asn1.ObjectIdentifier(gssapi.OIDKRB5.OID())), 2, 0)
	return asn1tools.AddASNAppTag(append(out, asn1tools.AddASNAppTag(rep, 15)...), 0)
}

func (a *acceptor) wrap(b []byte) []byte {
	t := gssapi.WrapToken{Flags: 1 | 4, EC: 12, Payload: b}
	if err := t.SetCheckSum(a.subkey, keyusage.GSSAPI_ACCEPTOR_SEAL); err != nil {
		a.t.Error(err)
	}
	out, err := t.Marshal()
	if err != nil {
		a.t.Error(err)
	}
	return out
}

func (a *acceptor) unwrap(b []byte) []byte {
	var t gssapi.WrapToken
	if err := t.Unmarshal(b, false); err != nil {
		a.t.Error(err)
		return nil
	}
	if ok, err := t.Verify(a.subkey, keyusage.GSSAPI_INITIATOR_SEAL); !ok {
		a.t.Errorf("a wrong signature: %v", err)
	}
	return t.Payload
}

// signedConn is a connection with a layer, as the server has it.
type signedConn struct {
	net.Conn
	by   *acceptor
	left []byte
}

func (s *signedConn) Read(b []byte) (int, error) {
	if len(s.left) == 0 {
		var length [4]byte
		if _, err := io.ReadFull(s.Conn, length[:]); err != nil {
			return 0, err
		}
		token := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(s.Conn, token); err != nil {
			return 0, err
		}
		s.by.signed.Add(1)
		if s.left = s.by.unwrap(token); len(s.left) == 0 {
			return 0, errors.New("an empty message")
		}
	}
	n := copy(b, s.left)
	s.left = s.left[n:]
	return n, nil
}

// Write sends a message in two parts: a layer does not know where messages end.
func (s *signedConn) Write(b []byte) (int, error) {
	for _, part := range [][]byte{b[:len(b)/2], b[len(b)/2:]} {
		token := s.by.wrap(part)
		if s.by.forges {
			token[16] ^= 1
		}
		if _, err := s.Conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...)); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// tickets is a ticket cache of reader with a ticket for ldap/dc1, as kinit and kvno write it, with the acceptor's key.
func (a *acceptor) tickets() []byte {
	var w bytes.Buffer
	number := func(n uint32) { w.Write(binary.BigEndian.AppendUint32(nil, n)) }
	data := func(b []byte) { number(uint32(len(b))); w.Write(b) }
	principal := func(parts ...string) {
		number(uint32(nametype.KRB_NT_PRINCIPAL))
		number(uint32(len(parts)))
		data([]byte(realm))
		for _, p := range parts {
			data([]byte(p))
		}
	}
	w.Write([]byte{5, 4, 0, 0})
	principal("reader")
	for _, service := range [][]string{{"krbtgt", realm}, {"ldap", dc1}} {
		ticket := messages.Ticket{
			TktVNO: 5, Realm: realm, SName: types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: service},
			EncPart: types.EncryptedData{EType: etypeID.AES256_CTS_HMAC_SHA1_96, KVNO: 1, Cipher: make([]byte, 64)},
		}
		b, err := ticket.Marshal()
		if err != nil {
			a.t.Error(err)
		}
		principal("reader")
		principal(service...)
		w.Write([]byte{0, byte(a.ticket.KeyType)})
		data(a.ticket.KeyValue)
		from, to := uint32(time.Now().Add(-time.Minute).Unix()), uint32(time.Now().Add(time.Hour).Unix())
		for _, at := range []uint32{from, from, to, to} {
			number(at)
		}
		w.Write([]byte{0, 0, 0, 0, 0})
		number(0)
		number(0)
		data(b)
		number(0)
	}
	return w.Bytes()
}

func (a *acceptor) options(p *pki, connect ...string) Options {
	o := p.options(connect...)
	o.Password, o.TicketCache = "", a.tickets()
	o.Scope.Kerberos, o.Scope.LDAPUser = true, "reader@"+realm
	return o
}

func TestKerberosSignsWhereThereIsNoGoodTLS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		good, bad bool // the certificate
		offer     byte // the layers: 1 none, 2 signing, 4 encryption
		chosen    byte
		detail    string
	}{
		"TLS":                        {good: true, offer: 7, chosen: 1},
		"a foreign certificate":      {bad: true, offer: 7, chosen: 2},
		"no TLS, signing demanded":   {offer: 6, chosen: 2},
		"no TLS, no signing offered": {offer: 1, chosen: 1},
		"encryption demanded":        {offer: 4, detail: "no layer that is spoken here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, a := newPKI(t), newAcceptor(t, c.offer)
			d := &directory{gss: a, pages: 3}
			switch {
			case c.good:
				d.tls = p.server(t, named(dc1))
			case c.bad:
				d.tls = newPKI(t).server(t, named(dc1))
			}
			g := newRig(t, t.Context(), a.options(p, dc1+":389="+listen(t, d.handle), dc1+":636="+closedPort(t), dc1+":88="+closedPort(t))).patient()
			res, err := facts.Search.Get(g.reader(), find(dc1, "DC=a"))
			if c.detail != "" {
				if f := failure(t, err); !strings.Contains(f.Detail, c.detail) {
					t.Errorf("%+v", f)
				}
				return
			}
			if err != nil || len(res.Entries) != 3 || a.chosen != c.chosen || (a.signed.Load() > 0) != (c.chosen == 2) {
				t.Errorf("%+v, %v; layer %d, %d signed messages", res, err, a.chosen, a.signed.Load())
			}
			if d.binds.Load() != 0 {
				t.Errorf("%d binds with a password", d.binds.Load())
			}
		})
	}
}

func TestForgedAnswersAreNotBelieved(t *testing.T) {
	t.Parallel()
	p, a := newPKI(t), newAcceptor(t, 2)
	a.forges = true
	d := &directory{gss: a, pages: 1}
	g := newRig(t, t.Context(), a.options(p, dc1+":389="+listen(t, d.handle), dc1+":636="+closedPort(t), dc1+":88="+closedPort(t))).patient()
	_, err := facts.Search.Get(g.reader(), find(dc1, "DC=a"))
	if f := failure(t, err); f.Reason != evidence.Protocol || !strings.Contains(f.Detail, "signs its answers wrongly") {
		t.Errorf("%+v", f)
	}
}

// A server that cannot read the ticket is not the one that was asked for.
func TestAServerWithoutTheKeyIsNotBelieved(t *testing.T) {
	t.Parallel()
	p, a := newPKI(t), newAcceptor(t, 7)
	o := a.options(p)
	imposter := newAcceptor(t, 7)
	d := &directory{gss: imposter, pages: 1}
	o.Connect = []string{dc1 + ":389=" + listen(t, func(c net.Conn) { impose(c, imposter) }), dc1 + ":636=" + closedPort(t), dc1 + ":88=" + closedPort(t)}
	_, err := facts.Search.Get(newRig(t, t.Context(), o).reader(), find(dc1, "DC=a"))
	if f := failure(t, err); f.Reason != evidence.Protocol || !strings.Contains(f.Detail, "speaks GSSAPI wrongly: the AP-REP is of another key") || d.binds.Load() != 0 {
		t.Errorf("%+v", f)
	}
}

// impose answers the AP-REQ with an AP-REP of another key.
func impose(c net.Conn, a *acceptor) {
	for {
		p, err := ber.ReadPacket(c)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id := p.Children[0].Value.(int64)
		if p.Children[1].Tag != ldap.ApplicationBindRequest {
			respond(c, id, result(ldap.ApplicationExtendedResponse, ldap.LDAPResultUnavailable, ""))
			continue
		}
		sealed, err := crypto.GetEncryptedData([]byte("anything"), a.subkey, keyusage.AP_REP_ENCPART, 0)
		if err != nil {
			a.t.Error(err)
		}
		rep := encode(a.t, messages.APRep{PVNO: 5, MsgType: msgtype.KRB_AP_REP, EncPart: sealed})
		out := append(encode(a.t, asn1.ObjectIdentifier(gssapi.OIDKRB5.OID())), 2, 0)
		answer := result(ldap.ApplicationBindResponse, ldap.LDAPResultSaslBindInProgress, "")
		token := asn1tools.AddASNAppTag(append(out, asn1tools.AddASNAppTag(rep, 15)...), 0)
		answer.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 7, string(token), "serverSaslCreds"))
		respond(c, id, answer)
	}
}

func TestWithoutAKDCAndWithoutACachedTicketNothingIsTried(t *testing.T) {
	t.Parallel()
	p, a := newPKI(t), newAcceptor(t, 7)
	d := &directory{gss: a}
	g := newRig(t, t.Context(), a.options(p, "dc2.todorovic.adds:389="+listen(t, d.handle), "dc2.todorovic.adds:636="+closedPort(t), "dc2.todorovic.adds:88="+closedPort(t))).patient()
	_, err := facts.Search.Get(g.reader(), find("dc2.todorovic.adds", "DC=a"))
	if f := failure(t, err); f.Reason != evidence.NoTarget || !strings.Contains(f.Detail, "no KDC of the realm "+realm+" answers") || a.step != 0 {
		t.Errorf("%+v, %d steps", f, a.step)
	}
}

func TestKerberosTakesANameNotAnAddress(t *testing.T) {
	t.Parallel()
	p, a := newPKI(t), newAcceptor(t, 7)
	d := &directory{gss: a}
	g := newRig(t, t.Context(), a.options(p, "10.0.0.1:389="+listen(t, d.handle))).patient()
	_, err := facts.Search.Get(g.reader(), find("10.0.0.1", "DC=a"))
	if f := failure(t, err); f.Reason != evidence.NotConfigured || !strings.Contains(f.Detail, "name, not its address 10.0.0.1") {
		t.Errorf("%+v", f)
	}
}
