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

// PageQuestion asks for a path of a web server over HTTPS: the host is what is asked for and the name in the request.
type PageQuestion struct {
	Endpoint
	// Path begins with a slash.
	Path string
}

func (q PageQuestion) String() string { return fields(q.Endpoint.String(), q.Path) }

// Page is how a web server answers a GET without credentials. Redirects are not followed.
type Page struct {
	Status int `json:"status,omitempty"`
	// SubStatus is the number behind the point by which IIS is more exact in the text of its error pages: 4 of "403.4"; 0 if it gives none.
	SubStatus int `json:"subStatus,omitempty"`
	// Schemes are those of WWW-Authenticate in their order: "Negotiate", "NTLM".
	Schemes []string `json:"schemes,omitempty"`
	Server  string   `json:"server,omitempty"`
	// Location is where a redirect leads.
	Location string `json:"location,omitempty"`
	// Problem says why there is no status although the handshake completed: what came is not HTTP, or the connection was closed.
	Problem string `json:"problem,omitempty"`
}

// WebPage is a GET over HTTPS without credentials, of which the status and the headers matter.
var WebPage = &evidence.Kind[PageQuestion, Page]{
	Name:  "https.page",
	Doc:   "how a web server answers a GET of a path over HTTPS without credentials",
	Needs: []evidence.AnyKind{TLSHandshake, NetConnect, ConfigScope, Addresses, DNSLookup},
}
