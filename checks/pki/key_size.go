package pki

import (
	"crypto/rsa"
	"crypto/x509"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// The lengths of RSA keys in bits at which something changes.
const (
	minKey  = 1024 // below it, Windows with KB2661254 refuses the certificate
	goodKey = 2048 // above it, each handshake takes the server several times as long
)

func keyMessage(tag string, severity checks.Severity, text string) *checks.Message {
	return &checks.Message{Tag: tag, Severity: severity, Text: text, Identity: []string{"thumbprint"}}
}

var (
	keyTooSmall = keyMessage("too-small", checks.Error, "the RSA key of {subject} on {endpoints} has {bits} bits; Windows clients with KB2661254 refuse less than 1024")
	keySmall    = keyMessage("small", checks.Warning, "the RSA key of {subject} on {endpoints} has {bits} bits, fewer than 2048")
	keyLarge    = keyMessage("large", checks.Notice, "the RSA key of {subject} on {endpoints} has {bits} bits, which slows every handshake down")
	keyNotRSA   = keyMessage("not-rsa", checks.Warning, "the certificate of {subject} on {endpoints} has {kind}; OCS 2007 R2 supports RSA only")
)

var _ = register(&checks.Check{
	ID:       "pki/key-size",
	Title:    "the certificates that the OCS server presents have RSA keys of a sensible length",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.NetConnect, facts.TLSHandshake},
	Messages: []*checks.Message{keyTooSmall, keySmall, keyLarge, keyNotRSA},
	Run: func(p *checks.Pass) error {
		chains, err := presented(p)
		for _, m := range leaves(chains) {
			bits := 0
			key, isRSA := m.certificate.PublicKey.(*rsa.PublicKey)
			if isRSA {
				bits = key.N.BitLen()
			}
			var msg *checks.Message
			switch {
			case !isRSA:
				msg = keyNotRSA
			case bits < minKey:
				msg = keyTooSmall
			case bits < goodKey:
				msg = keySmall
			case bits > goodKey:
				msg = keyLarge
			default:
				continue
			}
			p.Report(msg, m.cites, append(m.args(p), checks.A("bits", bits), checks.A("kind", keyKind(m.certificate)))...)
		}
		return err
	},
})

// keyKind names the algorithm of a key in a sentence.
func keyKind(c *x509.Certificate) string {
	switch c.PublicKeyAlgorithm {
	case x509.RSA:
		return "an RSA key"
	case x509.DSA:
		return "a DSA key"
	case x509.ECDSA, x509.Ed25519:
		return "an elliptic-curve key"
	}
	return "a key of an unknown kind"
}
