package setup

import (
	"net/netip"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	ipNoResolver = &checks.Message{
		Tag:      "no-resolver",
		Severity: checks.Warning,
		Text:     "{server} has no DNS server on any of its network connections",
	}
	ipForeignResolver = &checks.Message{
		Tag:      "foreign-resolver",
		Severity: checks.Warning,
		Text:     "{server} asks the DNS server {resolvers}, which is none of the domain {domain} ({known})",
		Identity: []string{"resolvers"},
	}
	ipSeveralNetworks = &checks.Message{
		Tag:      "several-networks",
		Severity: checks.Warning,
		Text:     "{server} registers addresses of several networks under its name: {addresses}",
	}
)

var _ = register(&checks.Check{
	ID:       "setup/ip-configuration",
	Title:    "the OCS server asks the DNS servers of its domain, and registers addresses of one network only",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.ConfigScope, facts.ADDomain, facts.DomainControllers, facts.DNSLookup, facts.Addresses, facts.Registry},
	Messages: []*checks.Message{ipNoResolver, ipForeignResolver, ipSeveralNetworks},
	Run:      ipConfiguration,
})

// connection is a network connection of a server that has an address.
type connection struct {
	resolvers []string
	networks  []netip.Prefix
	// registers tells that its addresses are put under the server's name in DNS, as Windows does unless told not to.
	registers bool
}

func ipConfiguration(p *checks.Pass) error {
	edge, err := facts.Registry.Get(p.Facts, facts.ServiceConfigQuestion(p.Subject.Name, facts.EdgeServices[0]))
	if err != nil {
		return err
	}
	if edge.Exists {
		return checks.NotApplicable("an Edge server stands outside of the domain, between two networks")
	}
	q := facts.RegistryQuestion{
		Host: p.Subject.Name, Key: `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces`, Depth: 1,
		Values: []string{"DhcpIPAddress", "DhcpNameServer", "DhcpSubnetMask", "EnableDHCP", "IPAddress", "NameServer", "RegistrationEnabled", "SubnetMask"},
	}
	var k facts.RegistryKey
	var known []string
	var domain string
	var knownErr error
	evidence.Parallel(func() { k, err = facts.Registry.Get(p.Facts, q) }, func() { domain, known, knownErr = domainResolvers(p) })
	if err != nil {
		return err
	}
	cites := []evidence.Key{facts.Registry.Key(q)}
	var asked, foreign, registered []string
	var networks []netip.Prefix
	for _, sub := range k.Keys {
		c := readConnection(sub)
		for _, r := range c.resolvers {
			if !slices.Contains(asked, r) {
				asked = append(asked, r)
			}
		}
		if !c.registers {
			continue
		}
		for _, n := range c.networks {
			registered = append(registered, n.Addr().String())
			if !slices.Contains(networks, n.Masked()) {
				networks = append(networks, n.Masked())
			}
		}
	}
	if len(networks) > 1 {
		p.Report(ipSeveralNetworks, cites, checks.A("server", p.Subject.Name), checks.A("addresses", strings.Join(registered, ", ")))
	}
	if len(asked) == 0 {
		p.Report(ipNoResolver, cites, checks.A("server", p.Subject.Name))
		return nil
	}
	if knownErr != nil {
		return knownErr
	}
	for _, r := range asked {
		if !slices.Contains(known, r) {
			foreign = append(foreign, r)
		}
	}
	if len(foreign) > 0 {
		p.Report(ipForeignResolver, cites, checks.A("server", p.Subject.Name), checks.A("resolvers", strings.Join(foreign, ", ")),
			checks.A("domain", domain), checks.A("known", facts.Few(known, ", ", 4)))
	}
	return nil
}

// readConnection reads one connection; one without an address, as of a cable that is out, has nothing that matters.
func readConnection(k facts.RegistryKey) connection {
	addresses, masks, resolvers := k.Texts("IPAddress"), k.Texts("SubnetMask"), k.Text("NameServer")
	if dhcp, _ := k.DWord("EnableDHCP"); dhcp == 1 {
		addresses, masks = k.Texts("DhcpIPAddress"), k.Texts("DhcpSubnetMask")
		if resolvers == "" { // those that are typed in win
			resolvers = k.Text("DhcpNameServer")
		}
	}
	registration, set := k.DWord("RegistrationEnabled")
	c := connection{registers: !set || registration != 0}
	for i, a := range addresses {
		ip, err := netip.ParseAddr(a)
		if err != nil || ip.IsUnspecified() || i >= len(masks) {
			continue
		}
		mask, err := netip.ParseAddr(masks[i])
		if err != nil || !mask.Is4() {
			continue
		}
		bits := 0
		for _, b := range mask.As4() {
			for ; b&0x80 != 0; b <<= 1 {
				bits++
			}
		}
		c.networks = append(c.networks, netip.PrefixFrom(ip, bits))
	}
	if len(c.networks) > 0 {
		c.resolvers = strings.FieldsFunc(resolvers, func(r rune) bool { return r == ',' || r == ' ' })
	}
	return c
}

// domainResolvers are the addresses of the DNS servers of the AD domain: those that its zone names, its domain controllers, and
// the inside resolvers that the scan was told of.
func domainResolvers(p *checks.Pass) (string, []string, error) {
	scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
	if err != nil {
		return "", nil, err
	}
	ad, err := facts.ADDomain.Get(p.Facts, evidence.None{})
	if err != nil {
		return "", nil, err
	}
	domain := ad.List[0]
	var out []string
	for _, r := range scope.View(facts.Inside) {
		host, _ := facts.SplitHostPort(r.Address, 0)
		out = append(out, host)
	}
	var servers facts.Lookup
	var dcs facts.Found
	var err1, err2 error
	evidence.Parallel(
		func() {
			servers, err1 = facts.DNSLookup.Get(p.Facts, facts.LookupQuestion{Name: domain, Type: "NS", View: facts.Inside})
		},
		func() { dcs, err2 = facts.DomainControllers.Get(p.Facts, facts.DomainQuestion{Name: domain}) },
	)
	if err1 != nil {
		return "", nil, err1
	}
	if err2 != nil {
		return "", nil, err2
	}
	var hosts []string
	for _, rr := range servers.Records {
		if rr.Type == "NS" {
			hosts = append(hosts, rr.Target)
		}
	}
	for _, dc := range dcs.List {
		host, _ := facts.SplitHostPort(dc, 0)
		if facts.IsAddress(host) {
			out = append(out, host)
		} else {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	found, errs := facts.AddressesOf(p.Facts, slices.Compact(hosts), facts.Inside)
	for i, a := range found {
		if errs[i] != nil {
			return "", nil, errs[i]
		}
		out = append(out, a.Addresses...)
	}
	slices.Sort(out)
	return domain, slices.Compact(out), nil
}
