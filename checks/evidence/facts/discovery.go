package facts

import (
	"cmp"
	"slices"

	"ocsdoctor/checks/evidence"
)

// DiscoveryQuestion asks where a client goes for a SIP domain in a view.
type DiscoveryQuestion struct {
	Domain, View string
	// Profile is the name of the client; empty is Communicator 2007 R2.
	Profile string
	// TCP tells that the client may do without TLS.
	TCP bool
}

func (q DiscoveryQuestion) String() string {
	parts := []string{q.Domain, q.View}
	if q.Profile != "" || q.TCP {
		parts = append(parts, ProfileOf(q.Profile).Name)
	}
	if q.TCP {
		parts = append(parts, "tcp")
	}
	return fields(parts...)
}

// DiscoveryWalk is the client's walk: SRV records first, host records only when no SRV record leads anywhere.
type DiscoveryWalk struct {
	// Configured tells that the client was told its server by hand, and asks for no record but the server's address.
	Configured bool `json:"configured,omitempty"`
	// Before are names that the client asks for first, for another product's sake.
	Before []HostStep `json:"before,omitempty"`
	// SRV are the service names asked, in the order in which they win.
	SRV []SRVStep `json:"srv,omitempty"`
	// Hosts are the fall-back names asked, in order; empty when an SRV record exists and the client does not try on.
	Hosts []HostStep `json:"hosts,omitempty"`
	// Ways are the servers that DNS leads to, in the order of the client; one that does not try on has one at most.
	Ways []Way `json:"ways,omitempty"`
	// Way is the first of them, empty when the client finds nothing.
	Way
}

// Way is a server that a record leads to.
type Way struct {
	// Host and Port are where the client goes.
	Host string `json:"host,omitempty"`
	Port int    `json:"port,omitempty"`
	// TCP tells that it speaks SIP there without TLS.
	TCP bool `json:"tcp,omitempty"`
	// By is the name of the record that decided: an SRV name or a host name; empty where the client was configured by hand.
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

// DiscoveryNames are the names of the walk of Communicator 2007 R2 for a SIP domain: the SRV records in the order in which they win,
// and the hosts that are asked for when there is none.
func DiscoveryNames(domain string) (srv, hosts []string) {
	p := ProfileOf("")
	for _, s := range p.services(false) {
		srv = append(srv, SRVName(s.name, domain))
	}
	for _, h := range p.hosts {
		hosts = append(hosts, h.of(domain))
	}
	return srv, hosts
}

// Discovery is the client's walk for a SIP domain.
var Discovery = &evidence.Kind[DiscoveryQuestion, DiscoveryWalk]{
	Name:   "discovery.walk",
	Doc:    "where a client goes for a SIP domain, with automatic configuration or as it was configured by hand",
	Needs:  []evidence.AnyKind{ConfigScope, DNSLookup, Addresses},
	Derive: deriveDiscovery,
}

func deriveDiscovery(r *evidence.Reader, q DiscoveryQuestion) (DiscoveryWalk, error) {
	scope, err := ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return DiscoveryWalk{}, err
	}
	if scope.Manual != "" {
		return configured(r, q, scope.Manual)
	}
	d := discoverer{r: r, q: q, profile: ProfileOf(q.Profile), suffixes: []string{""}}
	if d.profile.suffixes && q.View == Inside && scope.ADDomain != "" {
		d.suffixes = append(d.suffixes, "."+scope.ADDomain) // what DHCP gives as a rule
	}
	return d.walk()
}

// configured is the walk of a client that was told HOST:PORT.
func configured(r *evidence.Reader, q DiscoveryQuestion, server string) (DiscoveryWalk, error) {
	w := DiscoveryWalk{Configured: true}
	w.Host, w.Port = SplitHostPort(server, SIPPort)
	w.TCP = q.TCP
	a, err := Addresses.Get(r, HostQuestion{w.Host, q.View})
	if err != nil {
		return DiscoveryWalk{}, err
	}
	w.Addresses = a.Addresses
	w.Ways = []Way{w.Way}
	return w, nil
}

// discoverer makes the walk of one client.
type discoverer struct {
	r       *evidence.Reader
	q       DiscoveryQuestion
	profile Profile
	// suffixes are what is put behind each name, in turn, until one is found: nothing first.
	suffixes []string
}

func (d *discoverer) walk() (DiscoveryWalk, error) {
	var w DiscoveryWalk
	var err error
	if w.Before, err = d.askHosts(d.profile.before); err != nil {
		return DiscoveryWalk{}, err
	}
	services, err := d.askServices(&w)
	if err != nil {
		return DiscoveryWalk{}, err
	}
	found := false
	for i, s := range w.SRV {
		if len(s.Records) == 0 || found && !d.profile.TriesOn {
			continue
		}
		found = true
		way := Way{Host: s.Records[0].Target, Port: s.Records[0].Port, TCP: services[i].tcp, By: s.Name}
		if way.Host != "" {
			a, err := Addresses.Get(d.r, HostQuestion{way.Host, d.q.View})
			if err != nil {
				return DiscoveryWalk{}, err
			}
			way.Addresses = a.Addresses
		}
		w.Ways = append(w.Ways, way)
	}
	if !found || d.profile.TriesOn {
		if err := d.fallBack(&w); err != nil {
			return DiscoveryWalk{}, err
		}
	}
	if len(w.Ways) > 0 {
		w.Way = w.Ways[0]
	}
	return w, nil
}

// askServices asks for all SRV records side by side, and returns the service of each step.
func (d *discoverer) askServices(w *DiscoveryWalk) ([]service, error) {
	var questions []LookupQuestion
	var services []service
	for _, s := range d.profile.services(d.q.TCP) {
		for _, suffix := range d.suffixes {
			questions = append(questions, LookupQuestion{SRVName(s.name, d.q.Domain) + suffix, "SRV", d.q.View})
			services = append(services, s)
		}
	}
	lookups, errs := evidence.GetAll(d.r, DNSLookup, questions)
	var asked []service
	for i, lq := range questions {
		suffixed := i%len(d.suffixes) > 0
		switch {
		case errs[i] != nil && (!suffixed || !evidence.Excusable(errs[i])):
			return nil, errs[i]
		case suffixed && (errs[i] != nil || len(w.SRV[len(w.SRV)-1].Records) > 0):
			continue // found without the suffix, or it is no domain that is served
		}
		records := slices.Clone(lookups[i].Records)
		slices.SortStableFunc(records, func(a, b Record) int {
			return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Weight, a.Weight))
		})
		w.SRV = append(w.SRV, SRVStep{services[i].name, lq.Name, DNSLookup.Key(lq), records})
		asked = append(asked, services[i])
	}
	return asked, nil
}

// fallBack asks for the host names that stand in for SRV records.
func (d *discoverer) fallBack(w *DiscoveryWalk) error {
	steps, err := d.askHosts(d.profile.hosts)
	if err != nil {
		return err
	}
	w.Hosts = steps
	for i, h := range steps {
		if len(h.Addresses) == 0 || len(w.Ways) > 0 && !d.profile.TriesOn {
			continue
		}
		for _, port := range d.profile.hosts[i/len(d.suffixes)].ports {
			w.Ways = append(w.Ways, Way{Host: h.Name, Port: port, By: h.Name, Addresses: h.Addresses})
		}
	}
	return nil
}

// askHosts asks for the addresses of host names, with each suffix.
func (d *discoverer) askHosts(hosts []fallBackHost) ([]HostStep, error) {
	var names []string
	for _, h := range hosts {
		for _, suffix := range d.suffixes {
			names = append(names, h.of(d.q.Domain)+suffix)
		}
	}
	found, errs := AddressesOf(d.r, names, d.q.View)
	var steps []HostStep
	for i, name := range names {
		if errs[i] != nil {
			return nil, errs[i]
		}
		steps = append(steps, HostStep{name, DNSLookup.Key(LookupQuestion{name, "A", d.q.View}), found[i].Addresses})
	}
	return steps, nil
}

// Cites are the keys of the questions of the walk.
func (w DiscoveryWalk) Cites() []evidence.Key {
	var keys []evidence.Key
	for _, h := range w.Before {
		keys = append(keys, h.Cite)
	}
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

// StrictlyIn tells whether a client without DisableStrictDNSNaming takes a server of that name for one of the SIP domain. The documents
// disagree whether any name directly below the domain will do or "sip" alone; what one of them takes is taken.
func StrictlyIn(host, domain string) bool {
	return host == domain || Parent(host) == domain
}
