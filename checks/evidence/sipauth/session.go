package sipauth

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/md4" //nolint:staticcheck // NTLM is made of it ([MS-NLMP] 3.3.1)
)

// Account is whose password is proved.
type Account struct{ Domain, User, Password, Workstation string }

// client is what a client of OCS can do; of it the server's offer decides ([MS-SIPAE] 3.2: without a connection, signing).
const client = Unicode | RequestTarget | Sign | Datagram | NTLM | AlwaysSign | ExtendedSessionSecurity | Identify | TargetInfo | Versioned |
	Strong128 | KeyExchange | Weak56

// required is what it cannot do without.
const required = Unicode | Sign | NTLM | ExtendedSessionSecurity | TargetInfo | Datagram

// windows is the system that a response comes from: Windows XP, like many clients of its time.
var windows = Version{Major: 5, Minor: 1, Build: 2600, Revision: 15}

// ErrOffer is that a server offers no NTLM that Communicator can speak.
var ErrOffer = errors.New("the server's NTLM challenge lacks signing, extended session security or its own names")

// Answer proves the password of an account to the one who made a challenge, with NTLM version 2 ([MS-NLMP] 3.3.2). The session is
// that of the client. random gives the client's part of what must not repeat.
func (c Challenge) Answer(a Account, now time.Time, random io.Reader) (Response, *Session, error) {
	if c.Flags&required != required {
		return Response{}, nil, ErrOffer
	}
	var nonce [8]byte
	var exported [16]byte
	if _, err := io.ReadFull(random, nonce[:]); err != nil {
		return Response{}, nil, err
	}
	if _, err := io.ReadFull(random, exported[:]); err != nil {
		return Response{}, nil, err
	}
	r := Response{Flags: c.Flags&client | RequestTarget, Domain: a.Domain, User: a.User, Workstation: a.Workstation, Version: windows}
	if r.Flags&Strong128 != 0 {
		r.Flags &^= Weak56
	}
	at := c.Time
	if at.IsZero() {
		at = now
	}
	key := ntowf2(a.Password, a.User, a.Domain)
	temp := append([]byte{1, 1, 0, 0, 0, 0, 0, 0}, binary.LittleEndian.AppendUint64(nil, fileTime(at))...)
	temp = append(append(temp, nonce[:]...), 0, 0, 0, 0)
	temp = append(append(temp, c.info...), 0, 0, 0, 0)
	proof := mac(key, c.Nonce[:], temp)
	r.NT = append(proof, temp...)
	r.LM = append(mac(key, c.Nonce[:], nonce[:]), nonce[:]...)
	if !c.Time.IsZero() { // Windows Vista and later leave it empty for one another
		r.LM = make([]byte, 24)
	}
	base := mac(key, proof)
	if r.Flags&KeyExchange == 0 {
		return r, newSession(r.Flags, base, true), nil
	}
	r.Key = arcfour(base, exported[:])
	return r, newSession(r.Flags, exported[:], true), nil
}

// proofLength is that of the proof in an NTLM version 2 response; what was proved over follows it.
const proofLength = 16

// Verify tells whether a response to a challenge proves a password. The session is that of the server. An answer of NTLM version 1,
// which is 24 bytes long, proves nothing here.
func (r Response) Verify(c Challenge, password string) (*Session, bool) {
	if len(r.NT) < proofLength+28 {
		return nil, false
	}
	key := ntowf2(password, r.User, r.Domain)
	proof := mac(key, c.Nonce[:], r.NT[proofLength:])
	if subtle.ConstantTimeCompare(proof, r.NT[:proofLength]) == 0 {
		return nil, false
	}
	exported := mac(key, proof)
	if r.Flags&KeyExchange != 0 {
		if len(r.Key) != 16 {
			return nil, false
		}
		exported = arcfour(exported, r.Key)
	}
	return newSession(r.Flags, exported, false), true
}

// ntowf2 is the key that the password of a user makes ([MS-NLMP] 3.3.2).
func ntowf2(password, user, domain string) []byte {
	return mac(NTHash(password), toUTF16(strings.ToUpper(user)+domain))
}

// NTHash is what NTLM makes of a password alone ([MS-NLMP] 3.3.1, NTOWFv1); it is as secret as the password.
func NTHash(password string) []byte {
	h := md4.New()
	h.Write(toUTF16(password))
	return h.Sum(nil)
}

// mac is HMAC_MD5 over all parts.
func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func sum(parts ...[]byte) []byte {
	h := md5.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func arcfour(key, data []byte) []byte {
	out := make([]byte, len(data))
	c, err := rc4.NewCipher(key)
	if err != nil {
		panic(err) // the keys are made here, and have 16 bytes
	}
	c.XORKeyStream(out, data)
	return out
}

// Session signs messages and verifies those of the other side. SIP numbers none of them: the sequence number is always the same
// ([MS-SIPAE] 3.2.5.1), so that a session has no state.
type Session struct {
	encrypt   bool
	own, peer sideKeys
}

// sideKeys are the keys of what one side sends.
type sideKeys struct{ sign, seal []byte }

// sequence is the number of every message.
const sequence = 100

// SignatureLength is that of a signature in bytes ([MS-NLMP] 2.2.2.9).
const SignatureLength = 16

// newSession derives the keys of both sides ([MS-NLMP] 3.4.5.2 and 3.4.5.3).
func newSession(f Flags, exported []byte, isClient bool) *Session {
	weak := exported
	switch {
	case f&Strong128 != 0:
	case f&Weak56 != 0:
		weak = exported[:7]
	default:
		weak = exported[:5]
	}
	side := func(direction string) sideKeys {
		magic := func(what string) []byte {
			return []byte("session key to " + direction + " " + what + " key magic constant\x00")
		}
		return sideKeys{sum(exported, magic("signing")), sum(weak, magic("sealing"))}
	}
	s := &Session{encrypt: f&KeyExchange != 0, own: side("client-to-server"), peer: side("server-to-client")}
	if !isClient {
		s.own, s.peer = s.peer, s.own
	}
	return s
}

// Sign is the signature of a message that is sent.
func (s *Session) Sign(message []byte) []byte { return s.signature(s.own, message) }

// Verify tells whether a signature is that of a message that came.
func (s *Session) Verify(message, signature []byte) bool {
	return hmac.Equal(s.signature(s.peer, message), signature)
}

// signature is that of extended session security ([MS-NLMP] 3.4.4.2); without a connection each message has a key of its own (3.4.3).
func (s *Session) signature(k sideKeys, message []byte) []byte {
	number := binary.LittleEndian.AppendUint32(nil, sequence)
	check := mac(k.sign, number, message)[:8]
	if s.encrypt {
		check = arcfour(sum(k.seal, number), check)
	}
	return append(append([]byte{1, 0, 0, 0}, check...), number...)
}
