package facts

import (
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
)

// Handshake is how a TLS handshake ended. A server that refuses the handshake is a value.
type Handshake struct {
	Completed bool `json:"completed"`
	// Version ("TLS 1.0") and CipherSuite (IANA name) are those agreed on; where none was completed, those that the server chose for
	// the offer "oldest", if it took that.
	Version     string `json:"version,omitempty"`
	CipherSuite string `json:"cipherSuite,omitempty"`
	// Legacy tells that only the offer of old versions and suites was taken.
	Legacy bool `json:"legacy,omitempty"`
	// Offers are the handshakes tried, in order.
	Offers []Offer `json:"offers"`
	// ClientCertificateAsked tells that the server asked for a client certificate, as MTLS ports do.
	ClientCertificateAsked bool `json:"clientCertificateAsked,omitempty"`
	// Chain is what the server sent, its own certificate first.
	Chain []Certificate `json:"chain,omitempty"`
}

// Offer is one handshake that was tried.
type Offer struct {
	// Name is "modern" (TLS 1.2 and 1.3, current suites), "legacy" (from TLS 1.0, every suite that can be spoken) or "oldest" (a hello
	// alone, from SSL 3.0, with every suite that servers of that time take).
	Name string `json:"name"`
	// Problem says in our own words why it failed; empty when it completed.
	Problem string `json:"problem,omitempty"`
}

// Certificate is a certificate as served, with what can be said of it without judging.
type Certificate struct {
	DER []byte `json:"der"`
	// Problem is set when the bytes cannot be read as a certificate; then nothing below is.
	Problem    string    `json:"problem,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	Issuer     string    `json:"issuer,omitempty"`
	CommonName string    `json:"commonName,omitempty"`
	DNSNames   []string  `json:"dnsNames,omitempty"`
	NotBefore  time.Time `json:"notBefore"`
	NotAfter   time.Time `json:"notAfter"`
	// Thumbprint is the SHA-1 of the DER in upper-case hexadecimal, as Windows shows it.
	Thumbprint string `json:"thumbprint,omitempty"`
	SelfSigned bool   `json:"selfSigned,omitempty"`
	CA         bool   `json:"ca,omitempty"`
}

// Matches tells whether the certificate is good for a name as a web client on Windows judges it: by the DNS names of the
// subject alternative name if it has any, else by the common name. A wildcard stands for one label.
func (c Certificate) Matches(name string) bool {
	return c.Carries(name) || slices.ContainsFunc(c.names(), func(n string) bool {
		rest, ok := strings.CutPrefix(Host(n), "*.")
		return ok && rest == Parent(name)
	})
}

// Carries is Matches for clients that take no wildcard, as Communicator does of a front end.
func (c Certificate) Carries(name string) bool {
	return slices.ContainsFunc(c.names(), func(n string) bool { return Host(n) == name })
}

func (c Certificate) names() []string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames
	}
	return []string{c.CommonName}
}

// Names lists the certificate's names as a sentence shows them.
func (c Certificate) Names() string { return strings.Join(c.names(), ", ") }

// Leaf is the server's own certificate; ok is false when none was sent or it cannot be read.
func (h Handshake) Leaf() (c Certificate, ok bool) {
	if len(h.Chain) == 0 || h.Chain[0].Problem != "" {
		return Certificate{}, false
	}
	return h.Chain[0], true
}

// Problem is the last offer's problem.
func (h Handshake) Problem() string {
	if h.Completed || len(h.Offers) == 0 {
		return ""
	}
	return h.Offers[len(h.Offers)-1].Problem
}

// TLSHandshake is a TLS handshake with an endpoint, asking for its host name: first as a modern client,
// then, if that fails, as one of 2009.
var TLSHandshake = &evidence.Kind[Endpoint, Handshake]{
	Name:  "tls.handshake",
	Doc:   "a TLS handshake with an endpoint, modern first, legacy if that fails",
	Needs: []evidence.AnyKind{NetConnect, ConfigScope, Addresses, DNSLookup},
}
