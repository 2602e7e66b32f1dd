package facts

import "slices"

// Profile is a client program, by how it finds its server.
type Profile struct {
	// Name is what --profile takes, Client what a sentence calls it.
	Name, Client string
	// TCP tells that it takes TCP without TLS unless it is told otherwise.
	TCP bool
	// TriesOn tells that it goes on to the next record where the server of one cannot be reached, or not be verified. The others stop.
	TriesOn bool

	srv []service
	// hosts are asked for when no SRV record leads anywhere, in this order.
	hosts []fallBackHost
	// before are asked for first of all, and lead to no OCS server.
	before []fallBackHost
	// suffixes tells that a name which is not found is asked for with the machine's DNS suffix behind it.
	suffixes bool
}

// service is an SRV service and protocol, "_sip._tls", and whether the client then speaks TCP without TLS.
type service struct {
	name string
	tcp  bool
}

// services are those that a client asks for: those without TLS only where it is allowed to do without.
func (p Profile) services(tcp bool) []service {
	return slices.DeleteFunc(slices.Clone(p.srv), func(s service) bool { return s.tcp && !tcp })
}

// Asks tells whether a client asks for a service where it may do without TLS.
func (p Profile) Asks(name string) bool {
	return slices.ContainsFunc(p.srv, func(s service) bool { return s.name == name })
}

// fallBackHost is a host of the SIP domain, and the ports that are tried there. An empty label is the domain itself.
type fallBackHost struct {
	label string
	ports []int
}

func (h fallBackHost) of(domain string) string {
	if h.label == "" {
		return domain
	}
	return h.label + "." + domain
}

// The services of sign-in.
const (
	ServiceInternal    = "_sipinternaltls._tcp"
	ServiceInternalTCP = "_sipinternal._tcp"
	ServiceTLS         = "_sip._tls"
	ServiceTCP         = "_sip._tcp"
)

// SIPPort is the port of SIP over TLS; webPort is where an Access Edge listens for clients.
const (
	SIPPort = 5061
	webPort = 443
)

var (
	internalTLS = service{ServiceInternal, false}
	internalTCP = service{ServiceInternalTCP, true}
	externalTLS = service{ServiceTLS, false}
	externalTCP = service{ServiceTCP, true}
)

// Profiles are the clients that are known, the default first.
var Profiles = []Profile{
	{
		// TechNet dd572514: the first SRV record that is found is used and no other is tried; where there is none, the hosts are looked up
		// until one is found. The documentation of the beta had _sip._tcp too, and the hosts in another order (cc816291).
		Name: "communicator-2007-r2", Client: "Communicator 2007 R2",
		srv:   []service{internalTLS, internalTCP, externalTLS},
		hosts: []fallBackHost{{"sipinternal", []int{SIPPort}}, {"sip", []int{SIPPort}}, {"sipexternal", []int{SIPPort}}},
	},
	{
		// TechNet bb663700 for the two pairs of SRV records; the order of the hosts is that of the client's own events when nothing was found.
		Name: "communicator-2007", Client: "Communicator 2007",
		srv:   []service{internalTLS, internalTCP, externalTLS, externalTCP},
		hosts: []fallBackHost{{"sipinternal", []int{SIPPort}}, {"sip", []int{SIPPort}}, {"sipexternal", []int{SIPPort}}},
	},
	{
		// The R2 documentation of how Phone Edition discovers its server. Two ports of one host can only be meant to be tried in turn.
		Name: "phone-edition", Client: "Communicator 2007 R2 Phone Edition", TriesOn: true, suffixes: true,
		srv:   []service{internalTLS, externalTLS, internalTCP},
		hosts: []fallBackHost{{"sipinternal", []int{SIPPort, webPort}}, {"sip", []int{SIPPort, webPort}}, {"sipexternal", []int{SIPPort, webPort}}},
	},
	{
		// pidgin-sipe 1.25, as it was watched: a client of users without Windows, and the one whose walk the real suite compares with this one.
		// It asks for Lync's automatic discovery first.
		Name: "pidgin-sipe", Client: "Pidgin with SIPE", TCP: true, TriesOn: true,
		before: []fallBackHost{{"lyncdiscoverinternal", nil}, {"lyncdiscover", nil}},
		srv:    []service{internalTLS, internalTCP, externalTLS, externalTCP},
		hosts:  []fallBackHost{{"sipinternal", []int{SIPPort}}, {"sipexternal", []int{webPort}}, {"sip", []int{webPort}}, {"", []int{SIPPort}}},
	},
}

// ProfileOf is the profile of that name; the default for a name that is empty or none.
func ProfileOf(name string) Profile {
	i := slices.IndexFunc(Profiles, func(p Profile) bool { return p.Name == name })
	return Profiles[max(i, 0)]
}

// ProfileNames are the names that --profile takes.
func ProfileNames() []string {
	var names []string
	for _, p := range Profiles {
		names = append(names, p.Name)
	}
	return names
}
