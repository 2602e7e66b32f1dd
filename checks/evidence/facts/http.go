package facts

import "ocsdoctor/checks/evidence"

// The ways by which a URL is fetched.
const (
	Direct  = "direct"
	ByProxy = "proxy" // that of --proxy
)

// HTTPQuestion is one request. A Body, in base64, is posted as an OCSP request; without one it is a GET.
type HTTPQuestion struct{ URL, Way, Body string }

func (q HTTPQuestion) String() string { return fields(q.URL, q.Way, q.Body) }

// HTTPAnswer is what came of it after redirects.
type HTTPAnswer struct {
	Status int    `json:"status,omitempty"`
	Type   string `json:"type,omitempty"` // Content-Type
	Body   []byte `json:"body,omitempty"`
	// Redirects are the places that led on, in order.
	Redirects []string `json:"redirects,omitempty"`
	// Problem says why there is no body although the server answered: too large, redirected for ever or elsewhere.
	Problem string `json:"problem,omitempty"`
}

// HTTP is a bounded fetch of a URL over http. No credentials and no cookies are sent, whatever a URL found in a certificate asks for.
var HTTP = &evidence.Kind[HTTPQuestion, HTTPAnswer]{
	Name:  "http.fetch",
	Doc:   "a bounded fetch of a URL over http, directly or through the proxy",
	Needs: []evidence.AnyKind{NetConnect, ConfigScope, Addresses, DNSLookup},
}
