package facts

import (
	"cmp"
	"slices"

	"ocsdoctor/checks/evidence"
)

// DiscoveryQuestion asks where Communicator 2007 R2 goes for a SIP domain with automatic configuration, in a view.
type DiscoveryQuestion struct{ Domain, View string }

func (q DiscoveryQuestion) String() string { return fields(q.Domain, q.View) }

// DiscoveryWalk is the client's walk: SRV records first, host records only when there is no SRV at all.
type DiscoveryWalk struct {
	// SRV are the service names asked, in the order in which they win.
	SRV []SRVStep `json:"srv"`
	// Hosts are the fall-back names asked, in order; empty when an SRV record exists.
	Hosts []HostStep `json:"hosts,omitempty"`
	// Host and Port are where the client goes; Host is empty when it finds nothing.
	Host string `json:"host,omitempty"`
	Port int    `json:"port,omitempty"`
	// By is the name of the record that decided: an SRV name or a host name.
	By string `json:"by,omitempty"`
	// Addresses is where Host leads; empty when it leads nowhere.
	Addresses []string `json:"addresses,omitempty"`
}

// SRVStep is one SRV question of the walk.
type SRVStep struct {
	Service string       `json:"service"` // "_sipinternaltls._tcp"
	Name    string       `json:"name"`
	Cite    evidence.Key `json:"cite"`
	// Records are in the order in which a client tries them: priority, then weight (highest first).
	Records []Record `json:"records,omitempty"`
}

// HostStep is one host question of the walk.
type HostStep struct {
	Name      string       `json:"name"`
	Cite      evidence.Key `json:"cite"`
	Addresses []string     `json:"addresses,omitempty"`
}

// The services that Communicator 2007 R2 asks for with TLS, in the order in which they win, and the host
// names it falls back to (TechNet dd572514).
const (
	ServiceInternal = "_sipinternaltls._tcp"
	ServiceTLS      = "_sip._tls"
)

// SIPPort is the port of SIP over TLS.
const SIPPort = 5061

var (
	discoveryServices = []string{ServiceInternal, ServiceTLS}
	discoveryHosts    = []string{"sipinternal", "sip", "sipexternal"}
)

// DiscoveryNames are the names of the walk for a SIP domain: the SRV records in the order in which they win, and the hosts that are asked
// for when there is none.
func DiscoveryNames(domain string) (srv, hosts []string) {
	for _, service := range discoveryServices {
		srv = append(srv, SRVName(service, domain))
	}
	for _, label := range discoveryHosts {
		hosts = append(hosts, label+"."+domain)
	}
	return srv, hosts
}

// Discovery is the client's walk for a SIP domain.
var Discovery = &evidence.Kind[DiscoveryQuestion, DiscoveryWalk]{
	Name:   "discovery.walk",
	Doc:    "where Communicator 2007 R2 goes for a SIP domain with automatic configuration over TLS",
	Needs:  []evidence.AnyKind{DNSLookup, Addresses},
	Derive: deriveDiscovery,
}

func deriveDiscovery(r *evidence.Reader, q DiscoveryQuestion) (DiscoveryWalk, error) {
	var w DiscoveryWalk
	var questions []LookupQuestion
	names, hosts := DiscoveryNames(q.Domain)
	for _, name := range names {
		questions = append(questions, LookupQuestion{name, "SRV", q.View})
	}
	lookups, srvErrs := evidence.GetAll(r, DNSLookup, questions)
	for i, lq := range questions {
		if srvErrs[i] != nil {
			return DiscoveryWalk{}, srvErrs[i]
		}
		records := slices.Clone(lookups[i].Records)
		slices.SortStableFunc(records, func(a, b Record) int {
			return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Weight, a.Weight))
		})
		w.SRV = append(w.SRV, SRVStep{discoveryServices[i], lq.Name, DNSLookup.Key(lq), records})
	}
	for _, s := range w.SRV {
		if len(s.Records) == 0 {
			continue
		}
		w.By, w.Host, w.Port = s.Name, s.Records[0].Target, s.Records[0].Port
		if w.Host == "" {
			return w, nil
		}
		a, err := Addresses.Get(r, HostQuestion{w.Host, q.View})
		if err != nil {
			return DiscoveryWalk{}, err
		}
		w.Addresses = a.Addresses
		return w, nil
	}
	found, errs := AddressesOf(r, hosts, q.View)
	for i, name := range hosts {
		if errs[i] != nil {
			return DiscoveryWalk{}, errs[i]
		}
		h := HostStep{name, DNSLookup.Key(LookupQuestion{name, "A", q.View}), found[i].Addresses}
		w.Hosts = append(w.Hosts, h)
		if len(h.Addresses) > 0 && w.Host == "" {
			w.By, w.Host, w.Port, w.Addresses = h.Name, h.Name, SIPPort, h.Addresses
		}
	}
	return w, nil
}

// Cites are the keys of the questions of the walk.
func (w DiscoveryWalk) Cites() []evidence.Key {
	var keys []evidence.Key
	for _, s := range w.SRV {
		keys = append(keys, s.Cite)
	}
	for _, h := range w.Hosts {
		keys = append(keys, h.Cite)
	}
	return keys
}

// Winner is the step of the SRV record that wins; ok is false where there is none.
func (w DiscoveryWalk) Winner() (s SRVStep, ok bool) {
	for _, s := range w.SRV {
		if len(s.Records) > 0 {
			return s, true
		}
	}
	return SRVStep{}, false
}

// Step finds the step of a service.
func (w DiscoveryWalk) Step(service string) SRVStep {
	for _, s := range w.SRV {
		if s.Service == service {
			return s
		}
	}
	return SRVStep{}
}
