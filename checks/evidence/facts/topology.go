package facts

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ocsdoctor/checks/evidence"
)

// Found is a list of names with where they come from.
type Found struct {
	List []string `json:"list,omitempty"`
	// Source is "given", "ad" or "dns".
	Source string `json:"source"`
	// Cite is the fact that the list was read from.
	Cite evidence.Key `json:"cite"`
}

// ADDomain is the AD domain to judge: given, or that of a given domain controller, or the parent of a given server.
var ADDomain = &evidence.Kind[evidence.None, Found]{
	Name:   "topology.ad-domain",
	Doc:    "the AD domain to judge",
	Needs:  []evidence.AnyKind{ConfigScope, RootDSE},
	Derive: deriveADDomain,
}

func deriveADDomain(r *evidence.Reader, _ evidence.None) (Found, error) {
	scope, err := ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return Found{}, err
	}
	cite := ConfigScope.Key(evidence.None{})
	if scope.ADDomain != "" {
		return Found{[]string{scope.ADDomain}, "given", cite}, nil
	}
	var first error
	for _, dc := range scope.DCs {
		q := DCQuestion{dc}
		d, err := RootDSE.Get(r, q)
		if err == nil {
			if name := DomainOfDN(d.Get("defaultNamingContext")); name != "" {
				return Found{[]string{name}, "ad", RootDSE.Key(q)}, nil
			}
			continue
		}
		if first == nil {
			first = err
		}
		if !evidence.Excusable(err) {
			break
		}
	}
	if first != nil {
		return Found{}, first
	}
	for _, s := range scope.Servers {
		if p := Parent(s); strings.Contains(p, ".") {
			return Found{[]string{p}, "given", cite}, nil
		}
	}
	return Found{}, evidence.Fail(evidence.NotConfigured, "the AD domain is not known: give --ad-domain")
}

// DomainControllers are those of a domain: those given, or else those that DNS publishes for it; sorted. Given ones stand for
// the AD domain to judge; of another domain DNS is asked.
var DomainControllers = &evidence.Kind[DomainQuestion, Found]{
	Name:   "topology.domain-controllers",
	Doc:    "the domain controllers of a domain: given, or published as _ldap._tcp.dc._msdcs",
	Needs:  []evidence.AnyKind{ConfigScope, ADDomain, DNSLookup},
	Derive: deriveDCs,
}

func deriveDCs(r *evidence.Reader, q DomainQuestion) (Found, error) {
	scope, err := ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return Found{}, err
	}
	named, err := ADDomain.Get(r, evidence.None{})
	if err != nil {
		return Found{}, err
	}
	if len(scope.DCs) > 0 && named.List[0] == q.Name {
		return Found{scope.DCs, "given", ConfigScope.Key(evidence.None{})}, nil
	}
	question := LookupQuestion{"_ldap._tcp.dc._msdcs." + q.Name, "SRV", Inside}
	l, err := DNSLookup.Get(r, question)
	if err != nil {
		return Found{}, err
	}
	f := Found{Source: "dns", Cite: DNSLookup.Key(question)}
	for _, rr := range l.Records {
		if rr.Target != "" {
			f.List = append(f.List, rr.Target)
		}
	}
	f.List = sorted(f.List)
	return f, nil
}

// SIPDomains are those given, or else those defined in AD.
var SIPDomains = &evidence.Kind[evidence.None, Found]{
	Name:   "topology.sip-domains",
	Doc:    "the SIP domains to judge: given, or defined in AD",
	Needs:  []evidence.AnyKind{ConfigScope, Directory, Search},
	Derive: deriveSIPDomains,
}

func deriveSIPDomains(r *evidence.Reader, _ evidence.None) (Found, error) {
	scope, err := ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return Found{}, err
	}
	if len(scope.SIPDomains) > 0 {
		return Found{scope.SIPDomains, "given", ConfigScope.Key(evidence.None{})}, nil
	}
	if scope.LDAPUser == "" {
		return Found{}, evidence.Fail(evidence.NotConfigured, "the SIP domains are not known: give --sip-domain, or --user so that they can be read in AD")
	}
	f := Found{Source: "ad"}
	entries, cite, err := searchBoth(r, "(objectClass=msRTCSIP-Domain)", "msRTCSIP-DomainName")
	if err != nil {
		return Found{}, err
	}
	for _, e := range entries {
		if n := Host(e.Value("msRTCSIP-DomainName")); n != "" {
			f.List = append(f.List, n)
		}
	}
	f.List, f.Cite = sorted(f.List), cite
	return f, nil
}

// searchBoth searches the two places where OCS keeps its global settings side by side, the Configuration container first.
func searchBoth(r *evidence.Reader, filter string, attributes ...string) ([]Entry, evidence.Key, error) {
	dir, err := Directory.Get(r, evidence.None{})
	if err != nil {
		return nil, evidence.Key{}, err
	}
	var questions []SearchQuestion
	for _, base := range settingsDNs(dir) {
		questions = append(questions, NewSearch(dir.DC, base, "sub", filter, attributes...))
	}
	found, errs := evidence.GetAll(r, Search, questions)
	if err := errors.Join(errs...); err != nil {
		return nil, evidence.Key{}, err
	}
	return slices.Concat(found[0].Entries, found[1].Entries), Search.Key(questions[0]), nil
}

// ServerNames are the FQDNs of Servers. Where they are given nothing has to be asked for them, so that what is judged
// of a server does not wait for its pool to be read.
var ServerNames = &evidence.Kind[evidence.None, Found]{
	Name:  "topology.server-names",
	Doc:   "the FQDNs of the OCS servers to judge",
	Needs: []evidence.AnyKind{ConfigScope, Servers},
	Derive: func(r *evidence.Reader, _ evidence.None) (Found, error) {
		scope, err := ConfigScope.Get(r, evidence.None{})
		if err != nil {
			return Found{}, err
		}
		if len(scope.Servers) > 0 {
			return Found{scope.Servers, "given", ConfigScope.Key(evidence.None{})}, nil
		}
		l, err := Servers.Get(r, evidence.None{})
		f := Found{Source: l.Source, Cite: l.Cite}
		for _, s := range l.List {
			f.List = append(f.List, s.FQDN)
		}
		return f, err
	},
}

// ServerList is the OCS servers to judge.
type ServerList struct {
	List []Server `json:"list,omitempty"`
	// Beside are servers of the deployment that AD lists and that are not to be judged, since others were given: Directors, other pools.
	Beside []Server `json:"beside,omitempty"`
	// Source is "given", "ad" or "dns".
	Source string       `json:"source"`
	Cite   evidence.Key `json:"cite"`
}

// Server is one OCS server.
type Server struct {
	FQDN string `json:"fqdn"`
	// Pool is the FQDN of its pool as AD has it; empty when that is not known.
	Pool string `json:"pool,omitempty"`
}

// Find is the server of that FQDN; a server that is not in the list has no known pool.
func (l ServerList) Find(fqdn string) Server {
	for _, s := range l.List {
		if s.FQDN == fqdn {
			return s
		}
	}
	return Server{FQDN: fqdn}
}

// Servers are those given, or those that AD lists, or else the host that sign-in leads to.
var Servers = &evidence.Kind[evidence.None, ServerList]{
	Name:   "topology.servers",
	Doc:    "the OCS servers to judge: given, listed in AD, or the one that sign-in leads to",
	Needs:  []evidence.AnyKind{ConfigScope, SIPDomains, Discovery, Addresses, Pools},
	Derive: deriveServers,
}

func deriveServers(r *evidence.Reader, _ evidence.None) (ServerList, error) {
	scope, err := ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return ServerList{}, err
	}
	if len(scope.Servers) > 0 {
		l := ServerList{Source: "given", Cite: ConfigScope.Key(evidence.None{})}
		pools := map[string]string{}
		if scope.LDAPUser != "" {
			ad, err := adServers(r)
			if err != nil && !evidence.Excusable(err) {
				return ServerList{}, err
			}
			for _, s := range ad.List {
				pools[s.FQDN] = s.Pool
				if !slices.Contains(scope.Servers, s.FQDN) {
					l.Beside = append(l.Beside, s)
				}
			}
		}
		for _, s := range scope.Servers {
			l.List = append(l.List, Server{s, pools[s]})
		}
		return l, nil
	}
	if scope.LDAPUser != "" {
		ad, err := adServers(r)
		if err != nil {
			return ServerList{}, err
		}
		if len(ad.List) > 0 {
			return ad, nil
		}
	}
	return discoveredServers(r)
}

// adServers are the computers of the pools' front ends.
func adServers(r *evidence.Reader) (ServerList, error) {
	pools, err := Pools.Get(r, evidence.None{})
	if err != nil {
		return ServerList{}, err
	}
	l := ServerList{Source: "ad", Cite: pools.Cite}
	for _, p := range pools.Pools {
		for _, f := range p.FrontEnds {
			if f.Computer != "" {
				l.List = append(l.List, Server{f.Computer, p.FQDN})
			}
		}
	}
	slices.SortFunc(l.List, func(a, b Server) int { return strings.Compare(a.FQDN, b.FQDN) })
	l.List = slices.Compact(l.List)
	return l, nil
}

func discoveredServers(r *evidence.Reader) (ServerList, error) {
	domains, err := SIPDomains.Get(r, evidence.None{})
	if err != nil {
		return ServerList{}, err
	}
	l := ServerList{Source: "dns"}
	for _, d := range domains.List {
		q := DiscoveryQuestion{Domain: d, View: Inside}
		w, err := Discovery.Get(r, q)
		if err != nil {
			return ServerList{}, err
		}
		l.Cite = Discovery.Key(q)
		if len(w.Addresses) == 0 {
			continue
		}
		a, err := Addresses.Get(r, HostQuestion{w.Host, Inside})
		if err != nil {
			return ServerList{}, err
		}
		if !slices.Contains(l.List, Server{FQDN: a.Canonical}) {
			l.List = append(l.List, Server{FQDN: a.Canonical})
		}
	}
	if len(l.List) == 0 {
		return ServerList{}, evidence.FailAt(evidence.NoTarget, "sign-in discovery leads to no server", l.Cite)
	}
	return l, nil
}

// AddressesOf is where several hosts lead in a view, in their order.
func AddressesOf(r *evidence.Reader, hosts []string, view string) ([]HostAddresses, []error) {
	var questions []HostQuestion
	for _, h := range hosts {
		questions = append(questions, HostQuestion{h, view})
	}
	return evidence.GetAll(r, Addresses, questions)
}

// Leads tells whether two lists of addresses have one in common.
func Leads(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

// IsAddress tells whether a host is an address literal.
func IsAddress(host string) bool { _, err := netip.ParseAddr(host); return err == nil }

// IsHostName tells whether a text can be looked up: a name in a certificate may be any text.
func IsHostName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	return s != "" && len(s) <= 253 && strings.Trim(s, letters) == "" && !IsAddress(s)
}

// Few joins the first names of a list: "a, b, c and 12 more".
func Few(names []string, separator string, most int) string {
	if len(names) <= most {
		return strings.Join(names, separator)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], separator), len(names)-most)
}

// Count is "1 server", "2 servers".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
