package krb

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rc4"
	"encoding/asn1"
	"encoding/binary"
	"errors"

	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Context is a GSSAPI security context of the Kerberos mechanism, as its initiator has it, with integrity.
type Context struct {
	session types.EncryptionKey // the ticket's
	key     types.EncryptionKey // what messages are signed with: the acceptor's subkey, else the session's key
	subkey  bool
	at      types.Authenticator
	seq     uint64
	// acceptor turns the sides round, for tests.
	acceptor bool
}

// Start makes a context with mutual authentication and its first token, with an AP-REQ (RFC 4121, section 4.1).
func (t *Ticket) Start() (c *Context, token []byte, err error) { return t.start(true) }

// StartAlone makes a context in which the acceptor answers nothing: it shows that it could read the ticket by what it signs.
func (t *Ticket) StartAlone() (c *Context, token []byte, err error) { return t.start(false) }

func (t *Ticket) start(mutual bool) (c *Context, token []byte, err error) {
	err = guard(func() error {
		auth, err := types.NewAuthenticator(t.realm, t.client)
		if err != nil {
			return err
		}
		// The length of the channel bindings, none of those, and the flags (section 4.1.1).
		sum := make([]byte, 24)
		binary.LittleEndian.PutUint32(sum, 16)
		asked := uint32(gssapi.ContextFlagInteg)
		if mutual {
			asked |= gssapi.ContextFlagMutual
		}
		binary.LittleEndian.PutUint32(sum[20:], asked)
		auth.Cksum = types.Checksum{CksumType: chksumtype.GSSAPI, Checksum: sum}
		req, err := messages.NewAPReq(t.ticket, t.key, auth)
		if err != nil {
			return err
		}
		if mutual {
			types.SetFlag(&req.APOptions, flags.APOptionMutualRequired)
		}
		ap, err := req.Marshal()
		if err != nil {
			return err
		}
		c = &Context{session: t.key, key: t.key, at: auth, seq: uint64(auth.SeqNumber)}
		token = frame(append([]byte{1, 0}, ap...))
		return nil
	})
	return c, token, err
}

// oid is that of the mechanism, 1.2.840.113554.1.2.2, in DER.
var oid = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}

// frame puts a token into the frame of the mechanism (RFC 2743, section 3.1).
func frame(b []byte) []byte {
	return asn1tools.AddASNAppTag(append(bytes.Clone(oid), b...), 0)
}

// unframe takes it out.
func unframe(b []byte) ([]byte, error) {
	var raw asn1.RawValue
	rest, err := asn1.Unmarshal(b, &raw)
	if err != nil || len(rest) != 0 || raw.Class != asn1.ClassApplication || raw.Tag != 0 || !bytes.HasPrefix(raw.Bytes, oid) {
		return nil, errors.New("a token without its frame")
	}
	return raw.Bytes[len(oid):], nil
}

// Accept reads the acceptor's answer: the proof that it could read the ticket.
func (c *Context) Accept(token []byte) error {
	return guard(func() error {
		var t spnego.KRB5Token
		if err := t.Unmarshal(token); err != nil || !t.IsAPRep() {
			return errors.New("the answer is no AP-REP")
		}
		b, err := crypto.DecryptEncPart(t.APRep.EncPart, c.session, keyusage.AP_REP_ENCPART)
		if err != nil {
			return errors.New("the AP-REP is of another key")
		}
		var part messages.EncAPRepPart
		if err := part.Unmarshal(b); err != nil {
			return errors.New("the AP-REP is malformed")
		}
		if part.CTime.Unix() != c.at.CTime.Unix() || part.Cusec != c.at.Cusec {
			return errors.New("the AP-REP answers another request")
		}
		if len(part.Subkey.KeyValue) > 0 {
			c.key, c.subkey = part.Subkey, true
		}
		return nil
	})
}

// Wrap signs a message. It is not encrypted.
func (c *Context) Wrap(message []byte) (token []byte, err error) {
	err = guard(func() error {
		if c.key.KeyType == etypeID.RC4_HMAC {
			token, err = c.wrapRC4(message)
			return err
		}
		et, err := crypto.GetEtype(c.key.KeyType)
		if err != nil {
			return err
		}
		t := gssapi.WrapToken{Flags: c.flags(c.acceptor), EC: uint16(et.GetHMACBitLength() / 8), SndSeqNum: c.next(), Payload: message}
		if message == nil {
			t.Payload = []byte{}
		}
		if err := t.SetCheckSum(c.key, usage(c.acceptor)); err != nil {
			return err
		}
		token, err = t.Marshal()
		return err
	})
	return token, err
}

// Unwrap takes a message of the peer's out of its token, if the signature is right.
func (c *Context) Unwrap(token []byte) (message []byte, err error) {
	err = guard(func() error {
		if c.key.KeyType == etypeID.RC4_HMAC {
			message, err = c.unwrapRC4(token)
			return err
		}
		// RFC 4121, section 4.2.6.2. Windows rotates the checksum to the front, others do not.
		if len(token) < gssapi.HdrLen || token[0] != 5 || token[1] != 4 || token[2] != c.flags(!c.acceptor) {
			return errors.New("a token of another kind")
		}
		body := token[gssapi.HdrLen:]
		ec, rrc := int(binary.BigEndian.Uint16(token[4:])), int(binary.BigEndian.Uint16(token[6:]))
		if ec > len(body) {
			return errors.New("a token that is cut short")
		}
		if rrc %= max(len(body), 1); rrc > 0 {
			body = append(bytes.Clone(body[rrc:]), body[:rrc]...)
		}
		n := len(body) - ec
		t := gssapi.WrapToken{Flags: token[2], EC: uint16(ec), SndSeqNum: binary.BigEndian.Uint64(token[8:]), Payload: body[:n:n], CheckSum: body[n:]}
		if ok, err := t.Verify(c.key, usage(!c.acceptor)); err != nil || !ok {
			return errors.New("a wrong signature")
		}
		message = t.Payload
		return nil
	})
	return message, err
}

// Sign is the signature of a message, apart from it (RFC 4121, section 4.2.6.1; RFC 4757, section 7.2).
func (c *Context) Sign(message []byte) (token []byte, err error) {
	err = guard(func() error {
		if c.key.KeyType == etypeID.RC4_HMAC {
			t := append(bytes.Clone(rc4MIC), make([]byte, 16)...)
			sum := c.sumMIC(t, message)
			copy(t[16:], sum)
			binary.BigEndian.PutUint32(t[8:], uint32(c.next()))
			copy(t[12:16], direction(c.acceptor))
			c.sequenceRC4(t[8:16], sum)
			token = frame(t)
			return nil
		}
		t := gssapi.MICToken{Flags: c.flags(c.acceptor), SndSeqNum: c.next(), Payload: message}
		if err := t.SetChecksum(c.key, usageMIC(c.acceptor)); err != nil {
			return err
		}
		token, err = t.Marshal()
		return err
	})
	return token, err
}

// Verify tells whether a signature is the peer's of a message.
func (c *Context) Verify(message, token []byte) bool {
	err := guard(func() error {
		if c.key.KeyType == etypeID.RC4_HMAC {
			t, err := unframe(token)
			if err != nil || len(t) != rc4MICLength || !bytes.HasPrefix(t, rc4MIC) {
				return errors.New("a token of another kind")
			}
			sum := c.sumMIC(t, message)
			seq := bytes.Clone(t[8:16])
			c.sequenceRC4(seq, sum)
			if !hmac.Equal(sum, t[16:]) || !bytes.Equal(seq[4:], direction(!c.acceptor)) {
				return errors.New("a wrong signature")
			}
			return nil
		}
		var t gssapi.MICToken
		if len(token) < gssapi.HdrLen || token[2] != c.flags(!c.acceptor) {
			return errors.New("a token of another kind")
		}
		if err := t.Unmarshal(token, !c.acceptor); err != nil {
			return err
		}
		t.Payload = message
		ok, err := t.Verify(c.key, usageMIC(!c.acceptor))
		if err == nil && !ok {
			err = errors.New("a wrong signature")
		}
		return err
	})
	return err == nil
}

// rc4MIC begins an RC4 signature; the sequence number and the checksum follow.
var rc4MIC = []byte{1, 1, 0x11, 0, 0xff, 0xff, 0xff, 0xff}

const rc4MICLength = 24

// sumMIC is the checksum over the header of a signature and the message.
func (c *Context) sumMIC(t, message []byte) []byte {
	h := md5.New()
	h.Write([]byte{15, 0, 0, 0}) // the number of such tokens
	h.Write(t[:rc4Header])
	h.Write(message)
	return hmacMD5(hmacMD5(c.key.KeyValue, []byte("signaturekey\x00")), h.Sum(nil))[:8]
}

func usageMIC(byAcceptor bool) uint32 {
	if byAcceptor {
		return keyusage.GSSAPI_ACCEPTOR_SIGN
	}
	return keyusage.GSSAPI_INITIATOR_SIGN
}

// flags of a token: sent by the acceptor, signed with its subkey (RFC 4121, section 4.2.2).
func (c *Context) flags(byAcceptor bool) byte {
	var f byte
	if byAcceptor {
		f |= 1
	}
	if c.subkey {
		f |= 4
	}
	return f
}

func usage(byAcceptor bool) uint32 {
	if byAcceptor {
		return keyusage.GSSAPI_ACCEPTOR_SEAL
	}
	return keyusage.GSSAPI_INITIATOR_SEAL
}

// next is the number of the next message that is sent.
func (c *Context) next() uint64 {
	c.seq++
	return c.seq - 1
}

// An RC4 token that is signed only (RFC 4757, section 7.3): a header, the sequence number, the checksum, a confounder,
// and the message with one byte of padding.
const (
	rc4Header = 8
	rc4Sealed = rc4Header + 8 + 8 + 8
)

// rc4Begin says: a wrap token, signed with HMAC, not encrypted.
var rc4Begin = []byte{2, 1, 0x11, 0, 0xff, 0xff, 0xff, 0xff}

func (c *Context) wrapRC4(message []byte) ([]byte, error) {
	t := make([]byte, rc4Sealed, rc4Sealed+len(message)+1)
	copy(t, rc4Begin)
	if _, err := rand.Read(t[24:32]); err != nil {
		return nil, err
	}
	t = append(append(t, message...), 1)
	sum := c.sumRC4(t)
	copy(t[16:24], sum)
	binary.BigEndian.PutUint32(t[8:], uint32(c.next()))
	copy(t[12:16], direction(c.acceptor))
	c.sequenceRC4(t[8:16], sum)
	return frame(t), nil
}

func (c *Context) unwrapRC4(token []byte) ([]byte, error) {
	t, err := unframe(token)
	switch {
	case err != nil:
		return nil, err
	case len(t) <= rc4Sealed || !bytes.HasPrefix(t, rc4Begin):
		return nil, errors.New("a token of another kind")
	}
	sum := c.sumRC4(t)
	seq := bytes.Clone(t[8:16])
	c.sequenceRC4(seq, sum)
	if !hmac.Equal(sum, t[16:24]) || !bytes.Equal(seq[4:], direction(!c.acceptor)) {
		return nil, errors.New("a wrong signature")
	}
	pad := int(t[len(t)-1])
	if pad < 1 || pad > 8 || rc4Sealed+pad > len(t) {
		return nil, errors.New("a token with malformed padding")
	}
	return t[rc4Sealed : len(t)-pad], nil
}

func direction(byAcceptor bool) []byte {
	if byAcceptor {
		return []byte{0xff, 0xff, 0xff, 0xff}
	}
	return []byte{0, 0, 0, 0}
}

// sumRC4 is the checksum over the header, the confounder and the message.
func (c *Context) sumRC4(t []byte) []byte {
	h := md5.New()
	h.Write([]byte{13, 0, 0, 0}) // the number of wrap tokens
	h.Write(t[:rc4Header])
	h.Write(t[24:])
	return hmacMD5(hmacMD5(c.key.KeyValue, []byte("signaturekey\x00")), h.Sum(nil))[:8]
}

// sequenceRC4 encrypts a sequence number with its direction, or decrypts it.
func (c *Context) sequenceRC4(seq, sum []byte) {
	k, err := rc4.NewCipher(hmacMD5(hmacMD5(c.key.KeyValue, make([]byte, 4)), sum))
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	k.XORKeyStream(seq, seq)
}

func hmacMD5(key, b []byte) []byte {
	h := hmac.New(md5.New, key)
	h.Write(b)
	return h.Sum(nil)
}

// SessionKey is the key that the two sides now share, for a protocol that signs by itself, such as SMB ([MS-SMB2] 3.2.5.3.1): its first
// 16 bytes, or as many zeros after it.
func (c *Context) SessionKey() []byte {
	key := make([]byte, 16)
	copy(key, c.key.KeyValue)
	return key
}
