package facts

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
)

// SIPTCPPort is the port of SIP without TLS (RFC 3261, section 19.1.2).
const SIPTCPPort = 5060

// RegisterQuestion asks an endpoint to register an address of a SIP domain, without credentials: over TLS, or over TCP alone.
type RegisterQuestion struct {
	Endpoint Endpoint
	Domain   string
	TCP      bool
}

func (q RegisterQuestion) String() string {
	if q.TCP {
		return fields(q.Endpoint.String(), q.Domain, "tcp")
	}
	return fields(q.Endpoint.String(), q.Domain)
}

// OptionsQuestion asks an endpoint what it can do: over TLS, or over TCP alone.
type OptionsQuestion struct {
	Endpoint Endpoint
	TCP      bool
}

func (q OptionsQuestion) String() string {
	if q.TCP {
		return fields(q.Endpoint.String(), "tcp")
	}
	return q.Endpoint.String()
}

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

// Find is the challenge of a scheme.
func (a SIPAnswer) Find(scheme string) (Challenge, bool) {
	for _, c := range a.Challenges {
		if strings.EqualFold(c.Scheme, scheme) {
			return c, true
		}
	}
	return Challenge{}, false
}

// Redirects tells whether the server sends the client to another one: 301 and 302, which OCS uses for the home pool.
func (a SIPAnswer) Redirects() bool { return a.Status == 301 || a.Status == 302 }

// Diagnostics is the server's own reason (TechNet bb964037), which outside parties get under another name; "" if it gives none.
func (a SIPAnswer) Diagnostics() string {
	if d := a.Header("ms-diagnostics"); d != "" {
		return d
	}
	return a.Header("ms-diagnostics-public")
}

// DiagnosticsID is the number that ms-diagnostics begins with; "" if there is none.
func (a SIPAnswer) DiagnosticsID() string {
	id, _, _ := strings.Cut(a.Diagnostics(), ";")
	if id = strings.TrimSpace(id); id == "" || strings.Trim(id, "0123456789") != "" {
		return ""
	}
	return id
}

// Contact is where the Contact field leads: a SIP URI with a host, its port or else that of the transport, which is the one asked over unless the
// URI names another. ok is false when it has no such URI.
func (a SIPAnswer) Contact(tcp bool) (e Endpoint, overTCP, ok bool) {
	uri := a.Header("Contact")
	if _, rest, found := strings.Cut(uri, "<"); found {
		uri, _, _ = strings.Cut(rest, ">")
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(uri), ":")
	if !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips") {
		return Endpoint{}, false, false
	}
	if _, after, found := strings.Cut(rest, "@"); found {
		rest = after
	}
	parts := strings.Split(rest, ";")
	for _, p := range parts[1:] {
		if name, value, _ := strings.Cut(p, "="); strings.EqualFold(name, "transport") {
			tcp = strings.EqualFold(value, "tcp")
		}
	}
	if strings.EqualFold(scheme, "sips") {
		tcp = false
	}
	port := SIPPort
	if tcp {
		port = SIPTCPPort
	}
	host, port := SplitHostPort(parts[0], port)
	if !IsHostName(host) && !IsAddress(host) {
		return Endpoint{}, false, false
	}
	return Endpoint{host, port}, tcp, true
}

// sipNeeds is what an exchange over SIP stands on.
var sipNeeds = []evidence.AnyKind{NetConnect, TLSHandshake, ConfigScope, Addresses, DNSLookup}

// Register is the answer to a REGISTER without credentials (exchange A of the sign-in).
var Register = &evidence.Kind[RegisterQuestion, SIPAnswer]{
	Name:  "sip.register",
	Doc:   "the answer to a REGISTER without credentials, over TLS or TCP",
	Needs: sipNeeds,
}

// Options is the answer to an OPTIONS request.
var Options = &evidence.Kind[OptionsQuestion, SIPAnswer]{
	Name:  "sip.options",
	Doc:   "the answer to an OPTIONS request, over TLS or TCP",
	Needs: sipNeeds,
}

// NTLMInfo is what a server says of itself in a challenge of NTLM ([MS-NLMP] 2.2.1.2). What it does not say is empty.
type NTLMInfo struct {
	// Problem is why there is no such challenge; then the rest is empty.
	Problem string `json:"problem,omitempty"`
	// Flags are those of [MS-NLMP] 2.2.2.5, by name without NTLMSSP_NEGOTIATE_.
	Flags           []string `json:"flags,omitempty"`
	TargetName      string   `json:"targetName,omitempty"`
	NetBIOSDomain   string   `json:"netbiosDomain,omitempty"`
	NetBIOSComputer string   `json:"netbiosComputer,omitempty"`
	// DNSDomain, DNSComputer and Forest are names as keys hold them.
	DNSDomain   string `json:"dnsDomain,omitempty"`
	DNSComputer string `json:"dnsComputer,omitempty"`
	Forest      string `json:"forest,omitempty"`
	// Windows is the version of its system, "6.1.7601".
	Windows string `json:"windows,omitempty"`
	// Time is its clock, which Windows Vista and later tell, and Asked that of the one who asked when the answer came.
	Time  *time.Time `json:"time,omitempty"`
	Asked time.Time  `json:"asked"`
	// Raw is the message.
	Raw []byte `json:"raw,omitempty"`
}

// Has tells whether a flag is set.
func (i NTLMInfo) Has(flag string) bool { return slices.Contains(i.Flags, flag) }

// NTLM is what a server says of itself when it is asked to begin with NTLM; no account and no password is sent (exchange B of the sign-in).
var NTLM = &evidence.Kind[RegisterQuestion, NTLMInfo]{
	Name:  "sip.ntlm-challenge",
	Doc:   "what the challenge of NTLM says of the server: domain, forest, name, Windows version, clock; no account is sent",
	Needs: append([]evidence.AnyKind{Register}, sipNeeds...),
}

// Redirection is where a client ends up that asks a server to register an address.
type Redirection struct {
	// Hops are the servers that send the client on, in order.
	Hops []RegisterQuestion `json:"hops,omitempty"`
	// End is the server where it ends.
	End RegisterQuestion `json:"end"`
	// Answer is what the last server that answered says: that of End, unless Problem is set.
	Answer SIPAnswer `json:"answer"`
	// Problem is why it leads to no server; ProblemKind is one of those below.
	Problem     string `json:"problem,omitempty"`
	ProblemKind string `json:"problemKind,omitempty"`
	// Root is the fact behind the problem.
	Root evidence.Key `json:"root"`
}

// Why a redirect leads to no server.
const (
	RedirectLoop  = "loop"
	RedirectLong  = "long"
	RedirectEmpty = "empty"
	RedirectDead  = "dead"
)

// maxRedirects is how often a client is sent on: a Director sends it to its pool, and no pool sends it further.
const maxRedirects = 5

// Redirected follows redirects, each server being asked and judged under its own name. What is asked first and cannot be read is a failure.
var Redirected = &evidence.Kind[RegisterQuestion, Redirection]{
	Name:   "sip.redirection",
	Doc:    "where redirects of a REGISTER lead",
	Needs:  []evidence.AnyKind{Register},
	Derive: deriveRedirection,
}

func deriveRedirection(r *evidence.Reader, q RegisterQuestion) (Redirection, error) {
	d := Redirection{End: q}
	for {
		a, err := Register.Get(r, d.End)
		var f *evidence.Failure
		switch {
		case err != nil && len(d.Hops) > 0 && errors.As(err, &f) && f.Reason == evidence.NoTarget:
			d.Problem, d.ProblemKind, d.Root = f.Detail, RedirectDead, f.Root
			return d, nil
		case err != nil:
			return Redirection{}, err
		}
		d.Answer = a
		if !a.Redirects() {
			return d, nil
		}
		d.Root = Register.Key(d.End)
		d.Hops = append(d.Hops, d.End)
		e, tcp, ok := a.Contact(d.End.TCP)
		d.End = RegisterQuestion{e, q.Domain, tcp}
		switch {
		case !ok:
			d.Problem, d.ProblemKind = "the answer says nothing of where to go", RedirectEmpty
			return d, nil
		case slices.Contains(d.Hops, d.End):
			d.Problem, d.ProblemKind = "it leads back to "+e.String(), RedirectLoop
			return d, nil
		case len(d.Hops) > maxRedirects:
			d.Problem, d.ProblemKind = "after "+strconv.Itoa(maxRedirects)+" redirects it goes on", RedirectLong
			return d, nil
		}
	}
}

// SignInQuestion signs the test account in at an endpoint, under an address, and out again.
type SignInQuestion struct {
	Endpoint Endpoint
	// URI is the address, "sip:alice@todorovic.fr".
	URI string
	TCP bool
}

func (q SignInQuestion) String() string {
	if q.TCP {
		return fields(q.Endpoint.String(), q.URI, "tcp")
	}
	return fields(q.Endpoint.String(), q.URI)
}

// SignInHop is what one server did with the test account.
type SignInHop struct {
	Endpoint Endpoint `json:"endpoint"`
	TCP      bool     `json:"tcp,omitempty"`
	// Scheme is NTLM or Kerberos; empty where the server was asked without the account.
	Scheme string `json:"scheme,omitempty"`
	// NoTicket is why there was no Kerberos ticket, where NTLM was taken for that.
	NoTicket string `json:"noTicket,omitempty"`
	// Status, Phrase and Diagnostics are of the server's last word.
	Status      int    `json:"status,omitempty"`
	Phrase      string `json:"phrase,omitempty"`
	Diagnostics string `json:"diagnostics,omitempty"`
	// Server is the product that it calls itself.
	Server string `json:"server,omitempty"`
	// Signature is what the server's own was worth: one of those below; empty where there was nothing to sign.
	Signature string `json:"signature,omitempty"`
}

// What the signature of a server was worth.
const (
	SignatureRight   = "right"
	SignatureWrong   = "wrong"
	SignatureMissing = "missing"
)

// DiagnosticsID is the number that its ms-diagnostics begin with; "" if there is none.
func (h SignInHop) DiagnosticsID() string {
	return SIPAnswer{Headers: []SIPHeader{{Name: "ms-diagnostics", Value: []byte(h.Diagnostics)}}}.DiagnosticsID()
}

// SignInResult is what came of signing the test account in. It holds nothing that was proved with.
type SignInResult struct {
	// Hops are the servers in order, each but the last having sent the client on.
	Hops []SignInHop `json:"hops"`
	// SignedIn tells that the last server took the registration. Expires is for how many seconds.
	SignedIn bool `json:"signedIn,omitempty"`
	Expires  int  `json:"expires,omitempty"`
	// Problem is why it was not tried to the end, in words; empty where the last server decided. Next is where that one sent the account
	// on to, if it did and that came to nothing.
	Problem string   `json:"problem,omitempty"`
	Next    Endpoint `json:"next,omitzero"`
	NextTCP bool     `json:"nextTCP,omitempty"`
	// Removed is how the registration was taken back, "200 OK", and RemoveProblem why it may still be there.
	Removed       string `json:"removed,omitempty"`
	RemoveProblem string `json:"removeProblem,omitempty"`
}

// Last is what the last server did.
func (s SignInResult) Last() SignInHop {
	if len(s.Hops) == 0 {
		return SignInHop{}
	}
	return s.Hops[len(s.Hops)-1]
}

// MaxHops bounds how many servers a client is sent to.
const MaxHops = maxRedirects + 1

// SignIn is what comes of signing the test account in and out again. The account is tried once in a run, whoever asks where.
var SignIn = &evidence.Kind[SignInQuestion, SignInResult]{
	Name:  "sip.sign-in",
	Doc:   "the test account signs in with NTLM or Kerberos, and out again; one attempt in a run",
	Needs: append([]evidence.AnyKind{Register, Anchors}, sipNeeds...),
}
