// Package facts declares every kind of fact, with its plain data type, and what can be derived from facts
// without looking anywhere: lookups, discovery, topology, phase. Names of hosts and domains are lower case
// without a final dot. Text from the wire that may not be UTF-8 is []byte.
package facts

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"ocsdoctor/checks/evidence"
)

// The views from which names are asked: as an inside client sees them, and as an outside one does.
const (
	Inside  = "inside"
	Outside = "outside"
)

// Scope is what the user asked for. It holds no secret; every bundle has it.
type Scope struct {
	// Name is the deployment's name in the report: the AD domain unless a lab names it.
	Name       string   `json:"name"`
	ADDomain   string   `json:"adDomain,omitempty"`
	SIPDomains []string `json:"sipDomains,omitempty"`
	// Servers are FQDNs of OCS servers.
	Servers []string `json:"servers,omitempty"`
	// Resolvers are asked in this order, each within its view.
	Resolvers []Resolver `json:"resolvers,omitempty"`
	// DCs are domain controllers given by the user, as HOST or HOST:PORT.
	DCs []string `json:"dcs,omitempty"`
	// LDAPUser is the account that searches run as; empty: none was given, and searches are not-configured.
	// With --kerberos it is the principal of the ticket cache.
	LDAPUser string `json:"ldapUser,omitempty"`
	// Kerberos tells that the account is that of a ticket cache, Keytab that its key stands in a file.
	Kerberos bool `json:"kerberos,omitempty"`
	Keytab   bool `json:"keytab,omitempty"`
	// AllowCleartext lets the password travel without TLS.
	AllowCleartext bool `json:"allowCleartext,omitempty"`
	// HostDumps are the collected folders that answer for servers.
	HostDumps []HostDump `json:"hostDumps,omitempty"`
	// Phase is "auto", "pre-install" or "post-install".
	Phase string `json:"phase"`
	// Before is the step of the deployment that is about to be taken ("forestprep", ...); empty when none was named.
	Before string `json:"before,omitempty"`
	// CheckUsers are the SIP URIs of users to judge one by one.
	CheckUsers []string `json:"checkUsers,omitempty"`
	// Manual is the server, as HOST:PORT, with which the clients are configured by hand; empty: they find it in DNS.
	Manual string `json:"manual,omitempty"`
	// Proxy is the URL of the HTTP proxy through which revocation lists are fetched too.
	Proxy string `json:"proxy,omitempty"`
	// RootsGiven tells that --roots was given; Roots are those certificates in DER.
	RootsGiven bool     `json:"rootsGiven,omitempty"`
	Roots      [][]byte `json:"roots,omitempty"`
	// SystemRoots adds the anchors of the machine that scans.
	SystemRoots bool `json:"systemRoots,omitempty"`
	// SIPUser is the test account that signs in, DOMAIN\user or U@REALM; empty: none was given, and none is tried.
	SIPUser string `json:"sipUser,omitempty"`
	// UserAgent is sent in SIP requests.
	UserAgent string `json:"userAgent"`
}

// HostDump is a folder that collect.cmd wrote on a server.
type HostDump struct {
	Server string `json:"server"`
	// Name is the last part of where it stands.
	Name string `json:"name"`
	// At is when it was collected; nil if it does not say.
	At *time.Time `json:"at,omitempty"`
}

// Collected is the collected folder of a server; ok is false if none was given.
func (s Scope) Collected(server string) (d HostDump, ok bool) {
	for _, d := range s.HostDumps {
		if d.Server == server {
			return d, true
		}
	}
	return HostDump{}, false
}

// Resolver is one DNS server of a view.
type Resolver struct {
	// ID is "inside#1", "outside#1", ...
	ID   string `json:"id"`
	View string `json:"view"`
	// Address is HOST:PORT.
	Address string `json:"address"`
}

// ConfigScope is what the user asked for.
var ConfigScope = &evidence.Kind[evidence.None, Scope]{
	Name: "config.scope",
	Doc:  "what the user asked to be judged: domains, servers, resolvers, domain controllers, anchors",
}

// View lists the resolvers of a view.
func (s Scope) View(view string) []Resolver {
	var out []Resolver
	for _, r := range s.Resolvers {
		if r.View == view {
			out = append(out, r)
		}
	}
	return out
}

// Host is a name as keys hold it: lower case, without final dot.
func Host(name string) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))
}

// SplitHostPort splits HOST or HOST:PORT; without a port it is def. An IPv6 address with a port is in brackets.
func SplitHostPort(s string, def int) (string, int) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String(), def
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return Host(s), def
	}
	port, err := strconv.Atoi(s[i+1:])
	if err != nil || port < 1 || port > 65535 {
		return Host(s), def
	}
	return Host(strings.Trim(s[:i], "[]")), port
}

// JoinHostPort is HOST:PORT, with an IPv6 address in brackets.
func JoinHostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}

// fields joins the parts of a query to its canonical text: those with a space, a quote, a line break or nothing in them are quoted.
func fields(parts ...string) string {
	out := make([]string, len(parts))
	for i, p := range parts {
		if p == "" || strings.ContainsFunc(p, func(r rune) bool { return r == '"' || r == '\\' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
			p = strconv.Quote(p)
		}
		out[i] = p
	}
	return strings.Join(out, " ")
}

// All is every kind, for validation and for the catalogue.
var All = []evidence.AnyKind{
	ConfigScope, DNSAnswer, DNSLookup, Addresses, NetConnect, RootDSE, Search, Users, Directory, TLSHandshake, TLSSurveys, Register, Options, NTLM, Redirected, SignIn,
	SystemAnchors, Anchors, ADDomain, DomainControllers, SIPDomains, Servers, ServerNames, Discovery, ServerPhase,
	Forest, Controllers, Catalog, DomainReader, Masters, SchemaVersion, ForestSettings, Groups, PropertySetIDs, SecurityDescriptor,
	ReplicaLinks, Neighbors, Pools, TrustedServers, ServiceAccounts, AllUsers, PublicKeys, HTTP, WebPage, Registry, Services, Events, File, FileVersion, HostWindows, HostOCS, HostCertificates, HostWebServer, HostStarts, HostUpdates, HostRestart, SIPListeners, OCSServices, EdgeServers,
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sorted(s []string) []string { s = slices.Clone(s); slices.Sort(s); return slices.Compact(s) }
