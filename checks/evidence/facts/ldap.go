package facts

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
)

// DCQuestion names a domain controller by FQDN and LDAP port.
type DCQuestion struct{ DC string }

func (q DCQuestion) String() string { return fields(q.DC) }

// RootDSEData is a domain controller's rootDSE, read anonymously (RFC 4512, section 5.1; [MS-ADTS] 3.1.1.3.2).
type RootDSEData struct {
	// Attributes are the values by attribute name as the server spells it.
	Attributes map[string][]string `json:"attributes"`
	// ReadAt is when the answer had come by our own clock, against which currentTime is judged; UTC.
	ReadAt time.Time `json:"readAt,omitzero"`
}

// All are the values of an attribute, whatever the case of its name.
func (d RootDSEData) All(name string) []string {
	for k, v := range d.Attributes {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

// Get is the first value of an attribute, whatever the case of its name; "" if there is none.
func (d RootDSEData) Get(name string) string {
	for k, v := range d.Attributes {
		if strings.EqualFold(k, name) && len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// Level reads a functional level (domainFunctionality, forestFunctionality); ok is false when it is absent or no number.
func (d RootDSEData) Level(name string) (level int, ok bool) {
	n, err := strconv.Atoi(d.Get(name))
	return n, err == nil
}

// DNSHostName is the domain controller's own FQDN.
func (d RootDSEData) DNSHostName() string { return Host(d.Get("dnsHostName")) }

// Site is the AD site of the domain controller, as serverName says.
func (d RootDSEData) Site() string { return SiteOfDN(d.Get("serverName")) }

// RootDSE is a domain controller's rootDSE.
var RootDSE = &evidence.Kind[DCQuestion, RootDSEData]{
	Name:  "ldap.rootdse",
	Doc:   "the rootDSE of one domain controller, read anonymously",
	Needs: []evidence.AnyKind{NetConnect, ConfigScope, Addresses, DNSLookup},
}

// SessionKey names the session with a domain controller: the root of every search that it could not serve. It is no kind of its own.
func SessionKey(e Endpoint) evidence.Key {
	return evidence.Key{Kind: "ldap.session", Query: e.String()}
}

// SearchQuestion asks one domain controller. Scope is "base", "one" or "sub"; Attributes are sorted.
type SearchQuestion struct {
	DC, Base, Scope, Filter string
	Attributes              string // sorted, separated by commas
}

func (q SearchQuestion) String() string { return fields(q.DC, q.Base, q.Scope, q.Filter, q.Attributes) }

// NewSearch makes a question with its attributes in canonical order.
func NewSearch(dc, base, scope, filter string, attributes ...string) SearchQuestion {
	return SearchQuestion{dc, base, scope, filter, strings.Join(sorted(attributes), ",")}
}

// SearchResult is what a search returned. A base that does not exist is a value.
type SearchResult struct {
	NoSuchObject bool    `json:"noSuchObject,omitempty"`
	Entries      []Entry `json:"entries,omitempty"`
}

// Entry is one object: attribute values are bytes as the server sent them.
type Entry struct {
	DN         string              `json:"dn"`
	Attributes map[string][][]byte `json:"attributes,omitempty"`
}

// Values are the values of an attribute, whatever the case of its name.
func (e Entry) Values(name string) [][]byte {
	for k, v := range e.Attributes {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

// Value is the first value as text; "" if there is none.
func (e Entry) Value(name string) string {
	if v := e.Values(name); len(v) > 0 {
		return string(v[0])
	}
	return ""
}

// Is tells whether the object has that class.
func (e Entry) Is(class string) bool {
	return slices.ContainsFunc(e.Values("objectClass"), func(v []byte) bool { return strings.EqualFold(string(v), class) })
}

// Search is a search of one domain controller's directory with the account that was given.
var Search = &evidence.Kind[SearchQuestion, SearchResult]{
	Name:  "ldap.search",
	Doc:   "a search in the directory of one domain controller, with the account given",
	Needs: []evidence.AnyKind{NetConnect, ConfigScope, Addresses, DNSLookup},
}

// DirectoryData is the directory through the first domain controller that answers.
type DirectoryData struct {
	DC      string      `json:"dc"`
	Forest  string      `json:"forest"` // DNS name of the forest root domain
	Domain  string      `json:"domain"` // DNS name of the domain controller's domain
	RootDN  string      `json:"rootDN"`
	BaseDN  string      `json:"baseDN"`
	Config  string      `json:"config"`
	Schema  string      `json:"schema"`
	RootDSE RootDSEData `json:"rootDSE"`
}

// Directory is the first domain controller, in the order of names, that answers.
var Directory = &evidence.Kind[evidence.None, DirectoryData]{
	Name:   "ad.directory",
	Doc:    "the directory as the first answering domain controller names it",
	Needs:  []evidence.AnyKind{ADDomain, DomainControllers, RootDSE},
	Derive: deriveDirectory,
}

func deriveDirectory(r *evidence.Reader, _ evidence.None) (DirectoryData, error) {
	domain, err := ADDomain.Get(r, evidence.None{})
	if err != nil {
		return DirectoryData{}, err
	}
	dcs, err := DomainControllers.Get(r, DomainQuestion{domain.List[0]})
	if err != nil {
		return DirectoryData{}, err
	}
	dc, d, err := firstAnswering(r, dcs)
	if err != nil {
		return DirectoryData{}, err
	}
	return DirectoryData{
		DC: dc, RootDSE: d,
		RootDN: d.Get("rootDomainNamingContext"), BaseDN: d.Get("defaultNamingContext"),
		Config: d.Get("configurationNamingContext"), Schema: d.Get("schemaNamingContext"),
		Forest: DomainOfDN(d.Get("rootDomainNamingContext")), Domain: DomainOfDN(d.Get("defaultNamingContext")),
	}, nil
}

// firstAnswering is the first domain controller, in the order of names, that answers, with its rootDSE.
func firstAnswering(r *evidence.Reader, dcs Found) (string, RootDSEData, error) {
	if len(dcs.List) == 0 {
		return "", RootDSEData{}, evidence.FailAt(evidence.NoTarget, "no domain controller is published in DNS", dcs.Cite)
	}
	var questions []DCQuestion
	for _, dc := range dcs.List {
		questions = append(questions, DCQuestion{dc})
	}
	answers, errs := evidence.GetAll(r, RootDSE, questions)
	for _, err := range errs {
		if err != nil && !evidence.Excusable(err) {
			return "", RootDSEData{}, err
		}
	}
	for i, dc := range dcs.List {
		if errs[i] == nil {
			return dc, answers[i], nil
		}
	}
	return "", RootDSEData{}, errs[0]
}

// DomainOfDN turns "DC=todorovic,DC=adds" into "todorovic.adds"; "" when the name has another form.
func DomainOfDN(dn string) string {
	var labels []string
	for _, part := range strings.Split(dn, ",") {
		k, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || !strings.EqualFold(k, "DC") {
			return ""
		}
		labels = append(labels, v)
	}
	return Host(strings.Join(labels, "."))
}
