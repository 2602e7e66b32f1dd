package tlsprobe

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

// Numbers of the TLS record and handshake protocols (RFC 5246, sections 6.2.1, 7.2 and 7.4; RFC 8446, section 4.2.1).
const (
	recordAlert        = 21
	recordHandshake    = 22
	maxRecord          = 1<<14 + 2048
	alertFatal         = 2
	serverHello        = 2
	certificate        = 11
	certificateRequest = 13
	serverHelloDone    = 14
	supportedVersions  = 43
)

// maxCertificates bounds the chain that is kept.
const maxCertificates = 20

// transcript is what can be read, without keys, of what a server sent during a handshake.
type transcript struct {
	received bool   // anything at all
	tls      bool   // it begins as TLS
	version  uint16 // the server's choice; 0: there is no hello
	suite    uint16 // the server's choice
	alert    int    // the fatal alert; -1: none that could be read
	refused  bool   // an alert ended it
	closed   bool   // the end of the connection ended it
	done     bool   // it is the client's turn: nothing more comes without keys
	stalled  bool   // the end of its time ended it
	// certificates are those of a handshake up to TLS 1.2; later ones are sent encrypted.
	certificates [][]byte
	// asked tells that a client certificate is asked for, up to TLS 1.2; issuers is how many names the list of their issuers has, and
	// issuerBytes the size of that list.
	asked                bool
	issuers, issuerBytes int

	pending []byte // the beginning of a handshake message
}

// parse reads the records up to the first encrypted one.
func parse(b []byte) transcript {
	t := transcript{received: len(b) > 0, alert: -1}
	for s := cryptobyte.String(b); len(s) > 0; {
		var header, body []byte
		if !s.ReadBytes(&header, min(headerSize, len(s))) {
			break
		}
		length, ok := t.header(header)
		if !ok || !s.ReadBytes(&body, min(length, len(s))) || !t.record(header[0], body) {
			break
		}
	}
	return t
}

// headerSize is that of a record.
const headerSize = 5

// header reads the header of a record and returns the length of its body; ok is false where it is none that can be read.
func (t *transcript) header(b []byte) (length int, ok bool) {
	if len(b) < headerSize || b[0] != recordAlert && b[0] != recordHandshake || b[1] != 3 {
		return 0, false
	}
	length = int(b[3])<<8 | int(b[4])
	t.tls = t.tls || length <= maxRecord
	return length, length <= maxRecord
}

// record takes in the body of a record. It tells whether more may follow.
func (t *transcript) record(typ byte, body []byte) bool {
	if typ == recordAlert {
		if len(body) == 2 && body[0] == alertFatal {
			t.alert = int(body[1])
			return false
		}
		return true
	}
	t.pending = append(t.pending, body...)
	for {
		s := cryptobyte.String(t.pending)
		var typ uint8
		var body cryptobyte.String
		if !s.ReadUint8(&typ) || !s.ReadUint24LengthPrefixed(&body) {
			return len(t.pending) < maxSeen
		}
		t.pending = s
		switch typ {
		case serverHello:
			t.hello(body)
			t.done = t.done || t.version >= tls.VersionTLS13
		case certificate:
			t.chain(body)
		case certificateRequest:
			t.request(body)
		case serverHelloDone:
			t.done = true
		}
	}
}

func (t *transcript) hello(s cryptobyte.String) {
	var session, extensions, data cryptobyte.String
	var extension uint16
	var compression uint8
	if !s.ReadUint16(&t.version) || !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16(&t.suite) || !s.ReadUint8(&compression) {
		return
	}
	if !s.ReadUint16LengthPrefixed(&extensions) {
		return
	}
	for extensions.ReadUint16(&extension) && extensions.ReadUint16LengthPrefixed(&data) {
		if extension == supportedVersions {
			data.ReadUint16(&t.version)
		}
	}
}

// request reads a CertificateRequest (RFC 5246, section 7.4.4; without the signature algorithms before TLS 1.2).
func (t *transcript) request(s cryptobyte.String) {
	var types, algorithms, names, name cryptobyte.String
	if t.version >= tls.VersionTLS13 {
		return // it is encrypted, and this is something else
	}
	t.asked = true
	if !s.ReadUint8LengthPrefixed(&types) || t.version == tls.VersionTLS12 && !s.ReadUint16LengthPrefixed(&algorithms) || !s.ReadUint16LengthPrefixed(&names) {
		return
	}
	t.issuers, t.issuerBytes = 0, len(names)
	for names.ReadUint16LengthPrefixed(&name) {
		t.issuers++
	}
}

func (t *transcript) chain(s cryptobyte.String) {
	var list, der cryptobyte.String
	if t.version >= tls.VersionTLS13 || len(t.certificates) > 0 || !s.ReadUint24LengthPrefixed(&list) {
		return
	}
	for len(t.certificates) < maxCertificates && list.ReadUint24LengthPrefixed(&der) {
		t.certificates = append(t.certificates, slices.Clone(der))
	}
}

// alerts are the names of RFC 8446, section 6, and RFC 5246, section 7.2, in words.
var alerts = map[int]string{
	10: "unexpected message", 20: "bad record MAC", 21: "decryption failed", 22: "record overflow", 30: "decompression failure",
	40: "handshake failure", 41: "no certificate", 42: "bad certificate", 43: "unsupported certificate", 44: "certificate revoked",
	45: "certificate expired", 46: "certificate unknown", 47: "illegal parameter", 48: "unknown CA", 49: "access denied",
	50: "decode error", 51: "decrypt error", 60: "export restriction", 70: "protocol version", 71: "insufficient security",
	80: "internal error", 86: "inappropriate fallback", 90: "user canceled", 100: "no renegotiation", 109: "missing extension",
	110: "unsupported extension", 112: "unrecognized name", 116: "certificate required", 120: "no application protocol",
}

// problem says what a server did instead of completing the handshake, as the predicate of a sentence.
func (t transcript) problem(offer *tls.Config) string {
	switch {
	case t.received && !t.tls:
		return "answered something that is not TLS"
	case t.alert >= 0:
		if name, ok := alerts[t.alert]; ok {
			return "refused with the alert " + name
		}
		return fmt.Sprintf("refused with the alert %d", t.alert)
	case t.version != 0 && (t.version < offer.MinVersion || offer.MaxVersion != 0 && t.version > offer.MaxVersion):
		return "chose " + versionName(t.version) + ", which was not offered"
	case slices.ContainsFunc(t.certificates, unreadable):
		return "sent a certificate that cannot be read"
	case t.refused:
		return "refused with an alert"
	case t.closed:
		return "closed the connection during the handshake"
	}
	return "sent what does not complete a handshake"
}

func unreadable(der []byte) bool { _, err := certs.Parse(der); return err != nil }

// versionName is the name of a version, or its number.
func versionName(v uint16) string {
	return cmp.Or(facts.TLSVersionName(v), fmt.Sprintf("the version 0x%04x", v))
}
