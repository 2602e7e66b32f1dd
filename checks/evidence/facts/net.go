package facts

import "ocsdoctor/checks/evidence"

// Endpoint is a logical host and TCP port. Which address is dialled is the dialer's matter.
type Endpoint struct {
	Host string
	Port int
}

func (e Endpoint) String() string { return JoinHostPort(e.Host, e.Port) }

// The results of a connect.
const (
	Connected   = "connected"
	Refused     = "refused"
	Unreachable = "unreachable"
	NoAnswer    = "no-answer"
)

// Connect is how a TCP connect ended. All results are values: a refused connect says something about the server.
type Connect struct {
	Result string `json:"result"`
	// Addresses are those that were tried, in order; the last one is the one the result speaks of.
	Addresses []string `json:"addresses,omitempty"`
	// Dead are those that did not take the connection where another one did, each with what came of it: "192.168.1.77 (refused)".
	Dead []string `json:"dead,omitempty"`
}

// NetConnect is a TCP connect to an endpoint.
var NetConnect = &evidence.Kind[Endpoint, Connect]{
	Name:  "net.connect",
	Doc:   "how a TCP connect to an endpoint ends",
	Needs: []evidence.AnyKind{ConfigScope, Addresses, DNSLookup},
}

// AddressKey names an address that stayed silent: the root of every failure that its silence causes.
// It is no kind of its own; proto is "tcp" or "udp".
func AddressKey(e Endpoint, proto string) evidence.Key {
	return evidence.Key{Kind: "net.address", Query: e.String() + "/" + proto}
}
