package facts

import (
	"slices"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence"
)

// The bits of msRTCSIP-PoolType.
const (
	StandardEdition   = 1
	EnterpriseEdition = 2
)

// VersionR2 is msRTCSIP-PoolVersion, msRTCSIP-ServerVersion and msRTCSIP-TrustedServerVersion of OCS 2007 R2.
const VersionR2 = 4

// Pool is a pool as AD has it.
type Pool struct {
	FQDN string `json:"fqdn"`
	DN   string `json:"dn"`
	Type int    `json:"type"` // bits: 1 Standard Edition, 2 Enterprise, 4 and 8 their applications
	// Version is 0 LCS 2003 to 3 OCS 2007, 4 OCS 2007 R2, 5 Lync 2010.
	Version int `json:"version"`
	// Service is the DN of its msRTCSIP-PoolService, which users' home server attributes name.
	Service   string     `json:"service,omitempty"`
	FrontEnds []FrontEnd `json:"frontEnds,omitempty"`
}

// FrontEnd is a server object that belongs to a pool.
type FrontEnd struct {
	DN string `json:"dn"`
	// Computer is the FQDN of its computer; empty when there is no such computer any more.
	Computer string `json:"computer,omitempty"`
	// Version is msRTCSIP-ServerVersion; 0 when it is not set.
	Version int `json:"version,omitempty"`
}

// PoolList is all pools of the forest.
type PoolList struct {
	Pools []Pool       `json:"pools,omitempty"`
	Cite  evidence.Key `json:"cite"`
}

// Find is the pool of that FQDN.
func (l PoolList) Find(fqdn string) (Pool, bool) {
	i := slices.IndexFunc(l.Pools, func(p Pool) bool { return p.FQDN == fqdn })
	if i < 0 {
		return Pool{}, false
	}
	return l.Pools[i], true
}

// Of is the pool of which a server, by FQDN, is a front end.
func (l PoolList) Of(server string) (Pool, bool) {
	i := slices.IndexFunc(l.Pools, func(p Pool) bool {
		return slices.ContainsFunc(p.FrontEnds, func(f FrontEnd) bool { return f.Computer == server })
	})
	if i < 0 {
		return Pool{}, false
	}
	return l.Pools[i], true
}

// Pools are the pools of the forest with their front ends.
var Pools = &evidence.Kind[evidence.None, PoolList]{
	Name:   "topology.pools",
	Doc:    "the pools that AD lists, with type, version and front ends",
	Needs:  []evidence.AnyKind{DomainReader, Directory, Search},
	Derive: derivePools,
}

func derivePools(r *evidence.Reader, _ evidence.None) (PoolList, error) {
	objects, cite, err := searchBoth(r, "(|(objectClass=msRTCSIP-Pool)(objectClass=msRTCSIP-PoolService))",
		"objectClass", "dNSHostName", "msRTCSIP-FrontEndServers", "msRTCSIP-PoolType", "msRTCSIP-PoolVersion")
	if err != nil {
		return PoolList{}, err
	}
	l := PoolList{Cite: cite}
	for _, o := range objects {
		if !o.Is("msRTCSIP-Pool") {
			continue
		}
		p := Pool{FQDN: Host(o.Value("dNSHostName")), DN: o.DN}
		p.Type, _ = strconv.Atoi(o.Value("msRTCSIP-PoolType"))
		if p.Version, err = strconv.Atoi(o.Value("msRTCSIP-PoolVersion")); err != nil {
			p.Version = -1
		}
		for _, service := range objects {
			if !service.Is("msRTCSIP-PoolService") || !strings.HasSuffix(strings.ToLower(service.DN), ","+strings.ToLower(o.DN)) {
				continue
			}
			p.Service = service.DN
			for _, dn := range service.Values("msRTCSIP-FrontEndServers") {
				f, err := frontEnd(r, string(dn))
				if err != nil {
					return PoolList{}, err
				}
				p.FrontEnds = append(p.FrontEnds, f)
			}
		}
		l.Pools = append(l.Pools, p)
	}
	slices.SortFunc(l.Pools, func(a, b Pool) int { return strings.Compare(a.FQDN, b.FQDN) })
	return l, nil
}

// frontEnd reads a server object, a service connection point "CN=..,CN=Microsoft,CN=OCS,OU=..", and the computer above it, in
// the domain of that computer: it need not be the one that the pool is read in.
func frontEnd(r *evidence.Reader, dn string) (FrontEnd, error) {
	f := FrontEnd{DN: dn}
	_, computer, ok := strings.Cut(dn, ",CN=Microsoft,")
	if !ok {
		return f, nil
	}
	reader, err := DomainReader.Get(r, DomainQuestion{DomainOfDN(DomainPart(dn))})
	if err != nil {
		return f, err
	}
	found, errs := evidence.GetAll(r, Search, []SearchQuestion{
		NewSearch(reader.DC, computer, "base", "(objectClass=computer)", "dNSHostName"),
		NewSearch(reader.DC, dn, "base", "(objectClass=*)", "msRTCSIP-ServerVersion"),
	})
	for _, err := range errs {
		if err != nil {
			return f, err
		}
	}
	if len(found[0].Entries) > 0 {
		f.Computer = Host(found[0].Entries[0].Value("dNSHostName"))
	}
	if len(found[1].Entries) > 0 {
		f.Version, _ = strconv.Atoi(found[1].Entries[0].Value("msRTCSIP-ServerVersion"))
	}
	return f, nil
}

// Trusted is an entry that lets another server connect as one of the deployment.
type Trusted struct {
	FQDN  string `json:"fqdn"`
	Class string `json:"class"` // "msRTCSIP-TrustedServer", ...
	DN    string `json:"dn"`
}

// TrustedList is all such entries.
type TrustedList struct {
	Entries []Trusted    `json:"entries,omitempty"`
	Cite    evidence.Key `json:"cite"`
}

// TrustedServers are the trusted servers of the forest, each FQDN and class once.
var TrustedServers = &evidence.Kind[evidence.None, TrustedList]{
	Name:  "topology.trusted-servers",
	Doc:   "the servers that AD lists as trusted, by FQDN",
	Needs: []evidence.AnyKind{Directory, Search},
	Derive: func(r *evidence.Reader, _ evidence.None) (TrustedList, error) {
		names := map[string]string{
			"msRTCSIP-TrustedServer": "msRTCSIP-TrustedServerFQDN", "msRTCSIP-TrustedMCU": "msRTCSIP-TrustedMCUFQDN",
			"msRTCSIP-TrustedService": "msRTCSIP-TrustedServerFQDN", "msRTCSIP-TrustedWebComponentsServer": "msRTCSIP-TrustedWebComponentsServerFQDN",
		}
		filter, attributes := "(|", []string{"objectClass"}
		for _, class := range sortedKeys(names) {
			filter += "(objectClass=" + class + ")"
			attributes = append(attributes, names[class])
		}
		objects, cite, err := searchBoth(r, filter+")", attributes...)
		if err != nil {
			return TrustedList{}, err
		}
		l := TrustedList{Cite: cite}
		for _, o := range objects {
			for _, class := range sortedKeys(names) {
				if fqdn := Host(o.Value(names[class])); o.Is(class) && fqdn != "" {
					l.Entries = append(l.Entries, Trusted{FQDN: fqdn, Class: class, DN: o.DN})
				}
			}
		}
		slices.SortFunc(l.Entries, func(a, b Trusted) int {
			return strings.Compare(a.FQDN+" "+a.Class+" "+a.DN, b.FQDN+" "+b.Class+" "+b.DN)
		})
		return l, nil
	},
}

// EdgeServers are the Edge servers that the forest's settings name, by the FQDN of their inside, sorted.
var EdgeServers = &evidence.Kind[evidence.None, Found]{
	Name:  "topology.edge-servers",
	Doc:   "the Edge servers that AD lists",
	Needs: []evidence.AnyKind{Directory, Search},
	Derive: func(r *evidence.Reader, _ evidence.None) (Found, error) {
		objects, cite, err := searchBoth(r, "(objectClass=msRTCSIP-EdgeProxy)", "msRTCSIP-EdgeProxyFQDN")
		if err != nil {
			return Found{}, err
		}
		f := Found{Source: "ad", Cite: cite}
		for _, o := range objects {
			if fqdn := Host(o.Value("msRTCSIP-EdgeProxyFQDN")); fqdn != "" {
				f.List = append(f.List, fqdn)
			}
		}
		f.List = sorted(f.List)
		return f, nil
	},
}
