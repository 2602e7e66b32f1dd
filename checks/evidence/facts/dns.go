package facts

import (
	"net/netip"
	"strings"

	"ocsdoctor/checks/evidence"
)

// DNSQuestion asks one resolver, by its id, for one name and type ("A", "AAAA", "SRV", "CNAME").
type DNSQuestion struct{ Server, Name, Type string }

func (q DNSQuestion) String() string { return fields(q.Server, q.Name, q.Type) }

// DNSAnswerData is what one resolver answered. NXDOMAIN and every other response code are values.
type DNSAnswerData struct {
	// Rcode is the response code's name: NOERROR, NXDOMAIN, SERVFAIL, REFUSED, ...
	Rcode         string `json:"rcode"`
	Authoritative bool   `json:"authoritative,omitempty"`
	// TCP tells that the answer was truncated over UDP and asked again over TCP.
	TCP     bool     `json:"tcp,omitempty"`
	Records []Record `json:"records,omitempty"`
	// Raw is the DNS message.
	Raw []byte `json:"raw,omitempty"`
}

// Record is a resource record of the answer section. Which fields are set follows from Type.
type Record struct {
	Name string `json:"name"`
	Type string `json:"type"`
	TTL  uint32 `json:"ttl"`
	// Address is an A or AAAA record's.
	Address string `json:"address,omitempty"`
	// Target is a CNAME's, NS's or SRV's; empty for an SRV whose target is the root: "service not offered" (RFC 2782).
	Target   string `json:"target,omitempty"`
	Priority uint16 `json:"priority,omitempty"`
	Weight   uint16 `json:"weight,omitempty"`
	Port     int    `json:"port,omitempty"`
}

// DNSAnswer is one resolver's answer to one question.
var DNSAnswer = &evidence.Kind[DNSQuestion, DNSAnswerData]{
	Name:  "dns.answer",
	Doc:   "what one resolver answers for one name and record type",
	Needs: []evidence.AnyKind{ConfigScope},
}

// LookupQuestion asks a view for one name and type.
type LookupQuestion struct{ Name, Type, View string }

func (q LookupQuestion) String() string { return fields(q.Name, q.Type, q.View) }

// Lookup is the answer of the first resolver of the view that gives one.
type Lookup struct {
	// Server is the id of the resolver that answered.
	Server string `json:"server"`
	// Rcode is NOERROR or NXDOMAIN, of the last name of the chain.
	Rcode string `json:"rcode"`
	// Chain lists the CNAME targets that were followed; the last one is the canonical name.
	Chain []string `json:"chain,omitempty"`
	// Records are those of the type asked.
	Records []Record `json:"records,omitempty"`
}

// maxChain bounds how many CNAMEs are followed, as common resolvers do.
const maxChain = 8

// DNSLookup asks the resolvers of a view in turn and follows CNAMEs. SERVFAIL and REFUSED are no answer: the next is asked.
var DNSLookup = &evidence.Kind[LookupQuestion, Lookup]{
	Name:   "dns.lookup",
	Doc:    "what the first answering resolver of a view says of a name, aliases followed",
	Needs:  []evidence.AnyKind{ConfigScope, DNSAnswer},
	Derive: deriveLookup,
}

func deriveLookup(r *evidence.Reader, q LookupQuestion) (Lookup, error) {
	scope, err := ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return Lookup{}, err
	}
	servers := scope.View(q.View)
	if len(servers) == 0 {
		flag := "--dns"
		if q.View == Outside {
			flag = "--dns-external"
		}
		return Lookup{}, evidence.Fail(evidence.NotConfigured, "no resolver of the "+q.View+" view is given ("+flag+" HOST)")
	}
	var first error
	for _, s := range servers {
		l, err := lookupAt(r, s.ID, q)
		if err == nil {
			return l, nil
		}
		if first == nil {
			first = err
		}
		if !evidence.Excusable(err) {
			return Lookup{}, err
		}
	}
	return Lookup{}, first
}

func lookupAt(r *evidence.Reader, server string, q LookupQuestion) (Lookup, error) {
	l, name := Lookup{Server: server}, q.Name
	for range maxChain {
		dq := DNSQuestion{server, name, q.Type}
		a, err := DNSAnswer.Get(r, dq)
		if err != nil {
			return Lookup{}, err
		}
		switch a.Rcode {
		case "NOERROR", "NXDOMAIN":
		case "REFUSED":
			return Lookup{}, evidence.FailAt(evidence.Denied, server+" refuses to answer for "+name, DNSAnswer.Key(dq))
		default:
			return Lookup{}, evidence.FailAt(evidence.Protocol, server+" answers "+a.Rcode+" for "+name, DNSAnswer.Key(dq))
		}
		l.Rcode = a.Rcode
		alias := false
		for next := cname(a, name); next != "" && len(l.Chain) < maxChain; next = cname(a, name) {
			l.Chain, name, alias = append(l.Chain, next), next, true
		}
		for _, rr := range a.Records {
			if rr.Type == q.Type && rr.Name == name {
				l.Records = append(l.Records, rr)
			}
		}
		if len(l.Records) > 0 || !alias || a.Rcode == "NXDOMAIN" {
			return l, nil
		}
	}
	return l, nil
}

func cname(a DNSAnswerData, name string) string {
	for _, rr := range a.Records {
		if rr.Type == "CNAME" && rr.Name == name && rr.Target != name {
			return rr.Target
		}
	}
	return ""
}

// HostQuestion asks a view for the addresses of a host name or address literal.
type HostQuestion struct{ Host, View string }

func (q HostQuestion) String() string { return fields(q.Host, q.View) }

// HostAddresses is where a host name leads.
type HostAddresses struct {
	// Addresses are the A records, or the AAAA records where there is no A; sorted. Empty: the name leads nowhere.
	Addresses []string `json:"addresses,omitempty"`
	// Canonical is the last name of the alias chain; the host itself when there is no alias.
	Canonical string `json:"canonical"`
	Rcode     string `json:"rcode"`
}

// Absence says in words why there is no address.
func (h HostAddresses) Absence() string {
	if h.Rcode == "NXDOMAIN" {
		return "the name does not exist (NXDOMAIN)"
	}
	return "the name has no address record"
}

// Addresses is where a host name leads in a view. IPv4 first: OCS 2007 R2 listens on IPv4 only.
var Addresses = &evidence.Kind[HostQuestion, HostAddresses]{
	Name:   "dns.addresses",
	Doc:    "the addresses of a host name in a view, IPv4 before IPv6",
	Needs:  []evidence.AnyKind{DNSLookup},
	Derive: deriveAddresses,
}

func deriveAddresses(r *evidence.Reader, q HostQuestion) (HostAddresses, error) {
	if a, err := netip.ParseAddr(q.Host); err == nil {
		return HostAddresses{Addresses: []string{a.String()}, Canonical: q.Host, Rcode: "NOERROR"}, nil
	}
	h := HostAddresses{Canonical: q.Host}
	for _, typ := range []string{"A", "AAAA"} {
		l, err := DNSLookup.Get(r, LookupQuestion{q.Host, typ, q.View})
		if err != nil {
			return HostAddresses{}, err
		}
		h.Rcode = l.Rcode
		if n := len(l.Chain); n > 0 {
			h.Canonical = l.Chain[n-1]
		}
		for _, rr := range l.Records {
			h.Addresses = append(h.Addresses, rr.Address)
		}
		if len(h.Addresses) > 0 || l.Rcode == "NXDOMAIN" {
			break
		}
	}
	h.Addresses = sorted(h.Addresses)
	return h, nil
}

// SRVName is "_service._proto.domain".
func SRVName(service, domain string) string { return service + "." + domain }

// Parent is the name without its first label; "" for a single label.
func Parent(name string) string { _, p, _ := strings.Cut(name, "."); return p }
