package facts

import (
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
)

// RegisterQuestion asks an endpoint over TLS to register an address of a SIP domain, without credentials.
type RegisterQuestion struct {
	Endpoint Endpoint
	Domain   string
}

func (q RegisterQuestion) String() string { return fields(q.Endpoint.String(), q.Domain) }

// SIPAnswer is the final response to a request.
type SIPAnswer struct {
	// NotSIP tells that something else than SIP came back; then only Raw is set.
	NotSIP bool   `json:"notSIP,omitempty"`
	Status int    `json:"status,omitempty"`
	Phrase string `json:"phrase,omitempty"`
	// Headers are in the order of the message, with their long names.
	Headers    []SIPHeader `json:"headers,omitempty"`
	Challenges []Challenge `json:"challenges,omitempty"`
	// Raw is the message as it came, cut at 16 KiB.
	Raw []byte `json:"raw,omitempty"`
	// ReadAt is when the answer had come by our own clock, against which its Date is judged; UTC.
	ReadAt time.Time `json:"readAt,omitzero"`
}

// SIPHeader is one header field; Value is unfolded.
type SIPHeader struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// Header is the first value of a header as text; "" if there is none.
func (a SIPAnswer) Header(name string) string {
	for _, h := range a.Headers {
		if strings.EqualFold(h.Name, name) {
			return string(h.Value)
		}
	}
	return ""
}

// Challenge is one WWW-Authenticate or Proxy-Authenticate field (RFC 3261, section 25.1; [MS-SIPAE] 2.2).
type Challenge struct {
	// Scheme is as sent: NTLM, Kerberos, TLS-DSK, Digest.
	Scheme string `json:"scheme"`
	// Parameters are by lower-case name, unquoted.
	Parameters map[string]string `json:"parameters,omitempty"`
}

// Offers tells whether a scheme is among the challenges.
func (a SIPAnswer) Offers(scheme string) bool {
	for _, c := range a.Challenges {
		if strings.EqualFold(c.Scheme, scheme) {
			return true
		}
	}
	return false
}

// Register is the answer to a REGISTER without credentials over TLS (exchange A of the sign-in).
var Register = &evidence.Kind[RegisterQuestion, SIPAnswer]{
	Name:  "sip.register",
	Doc:   "the answer to a REGISTER without credentials, over TLS",
	Needs: []evidence.AnyKind{TLSHandshake, ConfigScope, Addresses, DNSLookup},
}
