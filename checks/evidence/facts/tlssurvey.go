package facts

import (
	"slices"

	"ocsdoctor/checks/evidence"
)

// TLSSurvey is what a server speaks, asked by hellos alone: no handshake is completed, so that what no program of today can
// complete is seen too.
type TLSSurvey struct {
	// Versions are those spoken, oldest first: "SSL 3.0", "TLS 1.0".
	Versions []string `json:"versions,omitempty"`
	// Suites are those taken, by their IANA names, in the order of the table of suites. Up to TLS 1.2 they were asked for at the
	// newest version that is spoken; of TLS 1.3 there is the one that was picked.
	Suites []string `json:"suites,omitempty"`
	// Unanswered are hellos that got no answer in time ("TLS 1.1", "suites"): what they would have shown is not known.
	Unanswered []string `json:"unanswered,omitempty"`
	// ClientCertificateAsked tells that a client certificate is asked for, up to TLS 1.2.
	ClientCertificateAsked bool `json:"clientCertificateAsked,omitempty"`
	// Issuers are how many names are in the list of issuers from which a client certificate may come, and IssuerBytes is the size of that
	// list in bytes, as it is sent.
	Issuers     int `json:"issuers,omitempty"`
	IssuerBytes int `json:"issuerBytes,omitempty"`
	// Problem says in our own words what came instead when no version is spoken.
	Problem string `json:"problem,omitempty"`
}

// TLSSurveys asks a server what it speaks.
var TLSSurveys = &evidence.Kind[Endpoint, TLSSurvey]{
	Name:  "tls.survey",
	Doc:   "which versions of TLS and SSL an endpoint speaks, which suites it takes, and whose client certificates it asks for",
	Needs: []evidence.AnyKind{NetConnect, ConfigScope, Addresses, DNSLookup},
}

// The versions of the protocol by their numbers on the wire.
const (
	SSL2 = 0x0002
	SSL3 = 0x0300 + iota - 1
	TLS10
	TLS11
	TLS12
	TLS13
)

// TLSVersions are all versions, oldest first.
var TLSVersions = []uint16{SSL2, SSL3, TLS10, TLS11, TLS12, TLS13}

var tlsVersionNames = map[uint16]string{SSL2: "SSL 2.0", SSL3: "SSL 3.0", TLS10: "TLS 1.0", TLS11: "TLS 1.1", TLS12: "TLS 1.2", TLS13: "TLS 1.3"}

// TLSVersionName is the name of a version of TLSVersions; "" of another number.
func TLSVersionName(v uint16) string { return tlsVersionNames[v] }

// TLSSuite is a cipher suite.
type TLSSuite struct {
	ID   uint16
	Name string
	// Since is the version from which on it exists; suites of TLS 1.3 exist there alone.
	Since uint16
}

// TLSSuites are the suites that a Windows between Server 2003 and Windows 11 knows, and those that others take first (IANA registry of TLS
// cipher suites; names of the export suites of 1999 as Schannel has them). Those with keys on elliptic curves come first, the broken ones last.
var TLSSuites = []TLSSuite{
	{0x1302, "TLS_AES_256_GCM_SHA384", TLS13}, {0x1301, "TLS_AES_128_GCM_SHA256", TLS13}, {0x1303, "TLS_CHACHA20_POLY1305_SHA256", TLS13},

	{0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", TLS12}, {0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", TLS12},
	{0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", TLS12}, {0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", TLS12},
	{0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", TLS12}, {0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", TLS12},
	{0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", TLS12}, {0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", TLS12},
	{0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", TLS12}, {0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", TLS12},
	{0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", TLS10}, {0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", TLS10},
	{0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", TLS10}, {0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", TLS10},

	{0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", TLS12}, {0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", TLS12},
	{0x006b, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256", TLS12}, {0x0067, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256", TLS12},
	{0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA", SSL3}, {0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", SSL3},
	{0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384", TLS12}, {0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256", TLS12},
	{0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256", TLS12}, {0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256", TLS12},
	{0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA", SSL3}, {0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA", SSL3},

	{0x0016, "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA", SSL3}, {0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA", SSL3},
	{0x0005, "TLS_RSA_WITH_RC4_128_SHA", SSL3}, {0x0004, "TLS_RSA_WITH_RC4_128_MD5", SSL3},

	{0x0009, "TLS_RSA_WITH_DES_CBC_SHA", SSL3}, {0x0064, "TLS_RSA_EXPORT1024_WITH_RC4_56_SHA", SSL3},
	{0x0062, "TLS_RSA_EXPORT1024_WITH_DES_CBC_SHA", SSL3}, {0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5", SSL3},
	{0x0006, "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5", SSL3}, {0x003b, "TLS_RSA_WITH_NULL_SHA256", TLS12},
	{0x0002, "TLS_RSA_WITH_NULL_SHA", SSL3}, {0x0001, "TLS_RSA_WITH_NULL_MD5", SSL3},
}

// TLSSuiteName is the name of a suite of TLSSuites; "" of another number.
func TLSSuiteName(id uint16) string {
	i := slices.IndexFunc(TLSSuites, func(s TLSSuite) bool { return s.ID == id })
	if i < 0 {
		return ""
	}
	return TLSSuites[i].Name
}

// TLSClient is what programs of one generation of Windows offer when they leave the choice to Schannel, as Communicator and the OCS servers do.
type TLSClient struct {
	Name string
	// OfItsTime tells that OCS 2007 R2 and Communicator 2007 R2 were made for it.
	OfItsTime bool
	// Versions are those that are on by default, newest first.
	Versions []string
	// Suites are those that are on by default.
	Suites []string
}

// TLSClients are the generations of Windows, oldest first, with what is on by default, updates included. Suites with keys of DSA are left out: no
// server certificate of OCS has one. Sources: Microsoft, "Protocols in TLS/SSL (Schannel SSP)", and "TLS Cipher Suites in Windows 7", "in Windows
// Vista" and "in Windows 11". There is no page for Windows XP and Server 2003, which know neither AES nor elliptic curves by themselves.
var TLSClients = []TLSClient{
	{"Windows XP or Server 2003", true, []string{"TLS 1.0", "SSL 3.0"}, []string{
		"TLS_RSA_WITH_RC4_128_MD5", "TLS_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_RSA_WITH_DES_CBC_SHA",
		"TLS_RSA_EXPORT1024_WITH_RC4_56_SHA", "TLS_RSA_EXPORT1024_WITH_DES_CBC_SHA", "TLS_RSA_EXPORT_WITH_RC4_40_MD5", "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5",
	}},
	{"Windows Vista or Server 2008", true, []string{"TLS 1.0", "SSL 3.0"}, []string{
		"TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
		"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
		"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_RC4_128_MD5",
	}},
	{"Windows 7 or Server 2008 R2", true, []string{"TLS 1.0", "SSL 3.0"}, []string{
		"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
		"TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
		"TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_RC4_128_MD5",
	}},
	{"Windows 10 or 11", false, []string{"TLS 1.2", "TLS 1.1", "TLS 1.0"}, []string{
		"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
		"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
		"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_256_GCM_SHA384", "TLS_RSA_WITH_AES_128_GCM_SHA256",
		"TLS_RSA_WITH_AES_256_CBC_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA256", "TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA",
		"TLS_RSA_WITH_3DES_EDE_CBC_SHA",
	}},
}

// Negotiates is what a client and a server would agree on: the newest version that both speak, and of the suites of that version those that both
// know, in the client's order. Which of these the server picks is its own choice. ok is false where nothing in common is left.
func (c TLSClient) Negotiates(s TLSSurvey) (version string, suites []string, ok bool) {
	i := slices.IndexFunc(c.Versions, func(v string) bool { return slices.Contains(s.Versions, v) })
	if i < 0 {
		return "", nil, false
	}
	version = c.Versions[i]
	for _, name := range c.Suites {
		if slices.Contains(s.Suites, name) && existsAt(name, version) {
			suites = append(suites, name)
		}
	}
	return version, suites, len(suites) > 0
}

// existsAt tells whether a suite exists at a version.
func existsAt(suite, version string) bool {
	return slices.ContainsFunc(TLSSuites, func(s TLSSuite) bool {
		return s.Name == suite && slices.IndexFunc(TLSVersions, func(v uint16) bool { return TLSVersionName(v) == version }) >=
			slices.Index(TLSVersions, s.Since)
	})
}
