// Package sipauth is the authentication of SIP as OCS has it: connection-less NTLM version 2 ([MS-NLMP]) and the signatures
// over SIP messages ([MS-SIPAE]). It is used from both sides: by the probe as a client and by the lab as a server. It does no I/O.
package sipauth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
)

// Flags are what two sides agree on ([MS-NLMP] 2.2.2.5).
type Flags uint32

// The flags that mean something to a client of OCS.
const (
	Unicode                 Flags = 0x00000001
	OEM                     Flags = 0x00000002
	RequestTarget           Flags = 0x00000004
	Sign                    Flags = 0x00000010
	Seal                    Flags = 0x00000020
	Datagram                Flags = 0x00000040
	LMKey                   Flags = 0x00000080
	NTLM                    Flags = 0x00000200
	AlwaysSign              Flags = 0x00008000
	ExtendedSessionSecurity Flags = 0x00080000
	Identify                Flags = 0x00100000
	TargetInfo              Flags = 0x00800000
	Versioned               Flags = 0x02000000
	Strong128               Flags = 0x20000000
	KeyExchange             Flags = 0x40000000
	Weak56                  Flags = 0x80000000
)

// flagNames are in the order of the bits.
var flagNames = []struct {
	flag Flags
	name string
}{
	{Unicode, "UNICODE"}, {OEM, "OEM"}, {RequestTarget, "REQUEST_TARGET"}, {Sign, "SIGN"}, {Seal, "SEAL"}, {Datagram, "DATAGRAM"}, {LMKey, "LM_KEY"},
	{NTLM, "NTLM"}, {AlwaysSign, "ALWAYS_SIGN"}, {0x00010000, "TARGET_TYPE_DOMAIN"}, {0x00020000, "TARGET_TYPE_SERVER"},
	{ExtendedSessionSecurity, "EXTENDED_SESSIONSECURITY"}, {Identify, "IDENTIFY"}, {0x00400000, "REQUEST_NON_NT_SESSION_KEY"}, {TargetInfo, "TARGET_INFO"},
	{Versioned, "VERSION"}, {Strong128, "128"}, {KeyExchange, "KEY_EXCH"}, {Weak56, "56"},
}

// Names are those of the flags that are set, without the prefix NTLMSSP_NEGOTIATE_; a bit without a name is given in hexadecimal.
func (f Flags) Names() []string {
	var out []string
	for _, n := range flagNames {
		if f&n.flag != 0 {
			out = append(out, n.name)
			f &^= n.flag
		}
	}
	if f != 0 {
		out = append(out, fmt.Sprintf("0x%08X", uint32(f)))
	}
	return out
}

// The kinds of message, and the lengths of what comes before their payload, without the integrity code that Vista added.
const (
	typeChallenge      = 2
	typeAuthenticate   = 3
	challengeHeader    = 56
	challengeOld       = 48 // without a version
	authenticateHeader = 72
	authenticateOld    = 64
)

// signature begins every message ([MS-NLMP] 2.2.1).
const signature = "NTLMSSP\x00"

// MaxMessage bounds a message in bytes. Those of Windows have a few hundred.
const MaxMessage = 16 << 10

// maxPairs bounds the list of what a server says of itself.
const maxPairs = 64

var (
	errMalformed = errors.New("it is no NTLM message")
	errCut       = errors.New("the NTLM message is cut short")
)

// Version is that of the Windows that speaks ([MS-NLMP] 2.2.2.10).
type Version struct {
	Major, Minor byte
	Build        uint16
	// Revision is that of NTLM: 15 since Windows Server 2003.
	Revision byte
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Build) }

func (v Version) bytes() []byte {
	b := []byte{v.Major, v.Minor, 0, 0, 0, 0, 0, v.Revision}
	binary.LittleEndian.PutUint16(b[2:], v.Build)
	return b
}

func readVersion(b []byte) Version {
	return Version{Major: b[0], Minor: b[1], Build: binary.LittleEndian.Uint16(b[2:]), Revision: b[7]}
}

// Challenge is what a server asks, with what it says of itself ([MS-NLMP] 2.2.1.2). What it does not say is empty.
type Challenge struct {
	Flags Flags
	Nonce [8]byte
	// TargetName is the domain or server that is asked for, often empty without a connection.
	TargetName string
	// NetBIOSDomain, NetBIOSComputer, DNSDomain, DNSComputer and Forest are from the target information.
	NetBIOSDomain, NetBIOSComputer, DNSDomain, DNSComputer, Forest string
	// Time is the server's clock, which Windows Vista and later tell; zero for none.
	Time time.Time
	// Version is zero when none is told.
	Version Version

	// info is the target information as it came: it is part of the answer.
	info []byte
}

// The identifiers of target information ([MS-NLMP] 2.2.2.1).
const (
	avEnd             = 0
	avNetBIOSComputer = 1
	avNetBIOSDomain   = 2
	avDNSComputer     = 3
	avDNSDomain       = 4
	avForest          = 5
	avTimestamp       = 7
)

// ParseChallenge reads a CHALLENGE_MESSAGE.
func ParseChallenge(b []byte) (Challenge, error) {
	if err := isMessage(b, typeChallenge, challengeOld); err != nil {
		return Challenge{}, err
	}
	c := Challenge{Flags: Flags(binary.LittleEndian.Uint32(b[20:])), Nonce: [8]byte(b[24:32])}
	name, err := field(b, 12)
	if err != nil {
		return Challenge{}, err
	}
	if c.TargetName = string(name); c.Flags&Unicode != 0 {
		c.TargetName = fromUTF16(name)
	}
	c.TargetName = strings.ToValidUTF8(c.TargetName, "\uFFFD")
	if c.Flags&Versioned != 0 && len(b) >= challengeHeader {
		c.Version = readVersion(b[48:])
	}
	if c.Flags&TargetInfo == 0 {
		return c, nil
	}
	info, err := field(b, 40)
	if err != nil {
		return Challenge{}, err
	}
	c.info = append([]byte(nil), info...)
	return c, c.readInfo()
}

// readInfo takes the target information apart. What is unknown is passed over; of two with one identifier the last counts.
func (c *Challenge) readInfo() error {
	b := c.info
	for range maxPairs {
		if len(b) < 4 {
			return errCut
		}
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if b = b[4:]; n > len(b) {
			return errCut
		}
		value := b[:n]
		b = b[n:]
		switch id {
		case avEnd:
			return nil
		case avNetBIOSComputer:
			c.NetBIOSComputer = fromUTF16(value)
		case avNetBIOSDomain:
			c.NetBIOSDomain = fromUTF16(value)
		case avDNSComputer:
			c.DNSComputer = fromUTF16(value)
		case avDNSDomain:
			c.DNSDomain = fromUTF16(value)
		case avForest:
			c.Forest = fromUTF16(value)
		case avTimestamp:
			if n == 8 {
				c.Time = fromFileTime(binary.LittleEndian.Uint64(value))
			}
		}
	}
	return errors.New("the NTLM challenge says too much of its server")
}

// Bytes is the message of a challenge.
func (c Challenge) Bytes() []byte {
	var info []byte
	pair := func(id uint16, value []byte) {
		info = binary.LittleEndian.AppendUint16(info, id)
		info = binary.LittleEndian.AppendUint16(info, uint16(len(value)))
		info = append(info, value...)
	}
	for _, p := range []struct {
		id    uint16
		value string
	}{
		{avNetBIOSDomain, c.NetBIOSDomain}, {avNetBIOSComputer, c.NetBIOSComputer}, {avDNSDomain, c.DNSDomain}, {avDNSComputer, c.DNSComputer}, {avForest, c.Forest},
	} {
		if p.value != "" {
			pair(p.id, toUTF16(p.value))
		}
	}
	if !c.Time.IsZero() {
		pair(avTimestamp, binary.LittleEndian.AppendUint64(nil, fileTime(c.Time)))
	}
	pair(avEnd, nil)
	m := newMessage(typeChallenge, challengeHeader)
	m.put(12, toUTF16(c.TargetName))
	binary.LittleEndian.PutUint32(m.b[20:], uint32(c.Flags))
	copy(m.b[24:], c.Nonce[:])
	m.put(40, info)
	copy(m.b[48:], c.Version.bytes())
	return m.b
}

// Response is a client's answer to a challenge ([MS-NLMP] 2.2.1.3).
type Response struct {
	Flags                     Flags
	Domain, User, Workstation string
	// LM and NT prove the password; Key is the session key, encrypted.
	LM, NT, Key []byte
	Version     Version
}

// ParseResponse reads an AUTHENTICATE_MESSAGE.
func ParseResponse(b []byte) (Response, error) {
	if err := isMessage(b, typeAuthenticate, authenticateOld); err != nil {
		return Response{}, err
	}
	r := Response{Flags: Flags(binary.LittleEndian.Uint32(b[60:]))}
	if r.Flags&Versioned != 0 && len(b) >= authenticateHeader {
		r.Version = readVersion(b[64:])
	}
	var errs []error
	get := func(at int) []byte {
		v, err := field(b, at)
		errs = append(errs, err)
		return v
	}
	name := func(at int) string {
		if v := get(at); r.Flags&Unicode != 0 {
			return fromUTF16(v)
		} else {
			return strings.ToValidUTF8(string(v), "\uFFFD")
		}
	}
	r.LM, r.NT, r.Key = get(12), get(20), get(52)
	r.Domain, r.User, r.Workstation = name(28), name(36), name(44)
	return r, errors.Join(errs...)
}

// Bytes is the message of a response.
func (r Response) Bytes() []byte {
	m := newMessage(typeAuthenticate, authenticateHeader)
	binary.LittleEndian.PutUint32(m.b[60:], uint32(r.Flags))
	copy(m.b[64:], r.Version.bytes())
	m.put(28, toUTF16(r.Domain))
	m.put(36, toUTF16(r.User))
	m.put(44, toUTF16(r.Workstation))
	m.put(12, r.LM)
	m.put(20, r.NT)
	m.put(52, r.Key)
	return m.b
}

// isMessage tells whether bytes begin as a message of a kind, with as many bytes as it has at least.
func isMessage(b []byte, kind uint32, least int) error {
	switch {
	case len(b) > MaxMessage:
		return errors.New("the NTLM message is too long")
	case len(b) < 12 || string(b[:8]) != signature || binary.LittleEndian.Uint32(b[8:]) != kind:
		return errMalformed
	case len(b) < least:
		return errCut
	}
	return nil
}

// field is what a descriptor at an offset points to: its length, its room, and where it is.
func field(b []byte, at int) ([]byte, error) {
	n, from := uint64(binary.LittleEndian.Uint16(b[at:])), uint64(binary.LittleEndian.Uint32(b[at+4:]))
	if n == 0 {
		return nil, nil
	}
	if from+n > uint64(len(b)) {
		return nil, errCut
	}
	return b[from : from+n], nil
}

// message is one that is being written.
type message struct{ b []byte }

func newMessage(kind uint32, header int) *message {
	m := &message{make([]byte, header)}
	copy(m.b, signature)
	binary.LittleEndian.PutUint32(m.b[8:], kind)
	return m
}

// put adds a value, and its descriptor at an offset.
func (m *message) put(at int, value []byte) {
	binary.LittleEndian.PutUint16(m.b[at:], uint16(len(value)))
	binary.LittleEndian.PutUint16(m.b[at+2:], uint16(len(value)))
	binary.LittleEndian.PutUint32(m.b[at+4:], uint32(len(m.b)))
	m.b = append(m.b, value...)
}

func toUTF16(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// fromUTF16 is valid UTF-8 whatever came; an odd byte at the end is dropped.
func fromUTF16(b []byte) string {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) > 1; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return string(utf16.Decode(units))
}

// epoch is 1 January 1970 in the 100 nanoseconds since 1 January 1601 of a FILETIME ([MS-DTYP] 2.3.3).
const epoch = 116444736000000000

func fileTime(t time.Time) uint64 { return uint64(t.Unix())*1e7 + uint64(t.Nanosecond())/100 + epoch }

func fromFileTime(v uint64) time.Time {
	d := int64(v - epoch) // modulo 2^64, so that what is before 1970 comes out right
	return time.Unix(d/1e7, d%1e7*100).UTC()
}
