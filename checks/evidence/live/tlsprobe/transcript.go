package tlsprobe

import (
	"crypto/tls"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"ocsdoctor/checks/evidence/certs"
)

// Numbers of the TLS record and handshake protocols (RFC 5246, sections 6.2.1, 7.2 and 7.4; RFC 8446, section 4.2.1).
const (
	recordAlert       = 21
	recordHandshake   = 22
	maxRecord         = 1<<14 + 2048
	alertFatal        = 2
	serverHello       = 2
	certificate       = 11
	supportedVersions = 43
)

// maxCertificates bounds the chain that is kept.
const maxCertificates = 20

// transcript is what can be read, without keys, of what a server sent during a handshake.
type transcript struct {
	received bool   // anything at all
	tls      bool   // it begins as TLS
	version  uint16 // the server's choice; 0: there is no hello
	alert    int    // the fatal alert; -1: none that could be read
	refused  bool   // an alert ended it
	closed   bool   // the end of the connection ended it
	// certificates are those of a handshake up to TLS 1.2; later ones are sent encrypted.
	certificates [][]byte
}

// parse reads the records up to the first encrypted one.
func parse(b []byte) transcript {
	t := transcript{received: len(b) > 0, alert: -1}
	var handshake []byte
	for s := cryptobyte.String(b); len(s) > 0; {
		var typ uint8
		var version, length uint16
		if !s.ReadUint8(&typ) || !s.ReadUint16(&version) || !s.ReadUint16(&length) || version>>8 != 3 || length > maxRecord {
			break
		}
		if typ != recordAlert && typ != recordHandshake {
			break
		}
		t.tls = true
		var body []byte
		if !s.ReadBytes(&body, min(int(length), len(s))) {
			break
		}
		if typ == recordAlert {
			if len(body) == 2 && body[0] == alertFatal {
				t.alert = int(body[1])
				break
			}
			continue
		}
		handshake = append(handshake, body...)
	}
	t.messages(handshake)
	return t
}

// messages reads the handshake messages.
func (t *transcript) messages(b []byte) {
	for s := cryptobyte.String(b); len(s) > 0; {
		var typ uint8
		var body cryptobyte.String
		if !s.ReadUint8(&typ) || !s.ReadUint24LengthPrefixed(&body) {
			return
		}
		switch typ {
		case serverHello:
			t.hello(body)
		case certificate:
			t.chain(body)
		}
	}
}

func (t *transcript) hello(s cryptobyte.String) {
	var session, extensions, data cryptobyte.String
	var suite, extension uint16
	var compression uint8
	if !s.ReadUint16(&t.version) || !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16(&suite) || !s.ReadUint8(&compression) {
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

func (t *transcript) chain(s cryptobyte.String) {
	var list, der cryptobyte.String
	if t.version >= tls.VersionTLS13 || !s.ReadUint24LengthPrefixed(&list) {
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
		return "chose " + tls.VersionName(t.version) + ", which was not offered"
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
