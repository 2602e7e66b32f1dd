package facts

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/ntds"
)

// DomainQuestion names a domain by its DNS name.
type DomainQuestion struct{ Name string }

func (q DomainQuestion) String() string { return fields(q.Name) }

// ForestData is the forest as its configuration describes it.
type ForestData struct {
	Domains     []Domain     `json:"domains,omitempty"`
	Controllers []Controller `json:"controllers,omitempty"`
	SiteLinks   []SiteLink   `json:"siteLinks,omitempty"`
}

// Domain is an AD domain of the forest.
type Domain struct {
	Name    string `json:"name"`    // DNS name
	NetBIOS string `json:"netBIOS"` // "TODOROVIC"
	DN      string `json:"dn"`
}

// Controller is a domain controller as its server object and CN=NTDS Settings describe it.
type Controller struct {
	Host   string `json:"host"`
	Domain string `json:"domain"`
	Site   string `json:"site"`
	// Settings is the DN of CN=NTDS Settings; DSA its objectGUID, Invocation the identifier of its database.
	Settings   string    `json:"settings"`
	DSA        ntds.GUID `json:"dsa"`
	Invocation ntds.GUID `json:"invocation,omitempty"`
	Catalog    bool      `json:"catalog,omitempty"`
	ReadOnly   bool      `json:"readOnly,omitempty"`
	// Partitions are the DNs of the naming contexts that it holds in full.
	Partitions []string `json:"partitions,omitempty"`
}

// SiteLink is a site link: which sites replicate with each other, how often and when.
type SiteLink struct {
	Sites []string `json:"sites"`
	// Interval is in minutes; 180 when it is not set ([MS-ADTS] 6.1.1.2.2.3.1).
	Interval int `json:"interval"`
	// Closed is the longest time in minutes for which the schedule forbids replication.
	Closed int `json:"closed,omitempty"`
}

// optCatalog is the bit of nTDSDSA's options that makes a global catalog ([MS-ADTS] 6.1.1.2.2.1.2.1.1).
const optCatalog = 1

// Forest is the forest's domains, domain controllers and site links.
var Forest = &evidence.Kind[evidence.None, ForestData]{
	Name:   "ad.forest",
	Doc:    "domains, domain controllers and site links of the forest, as its configuration lists them",
	Needs:  []evidence.AnyKind{Directory, Search},
	Derive: deriveForest,
}

func deriveForest(r *evidence.Reader, _ evidence.None) (ForestData, error) {
	dir, err := Directory.Get(r, evidence.None{})
	if err != nil {
		return ForestData{}, err
	}
	found, errs := evidence.GetAll(r, Search, []SearchQuestion{
		NewSearch(dir.DC, "CN=Partitions,"+dir.Config, "one", "(objectClass=crossRef)", "nCName", "dnsRoot", "nETBIOSName"),
		NewSearch(dir.DC, "CN=Sites,"+dir.Config, "sub", "(|(objectClass=server)(objectClass=nTDSDSA)(objectClass=siteLink))",
			"objectClass", "objectGUID", "invocationId", "options", "dNSHostName", "serverReference", "hasMasterNCs", "msDS-hasMasterNCs",
			"msDS-hasFullReplicaNCs", "siteList", "replInterval", "schedule"),
	})
	if err := errors.Join(errs...); err != nil {
		return ForestData{}, err
	}
	var f ForestData
	for _, e := range found[0].Entries {
		if e.Value("nETBIOSName") != "" {
			f.Domains = append(f.Domains, Domain{Name: Host(e.Value("dnsRoot")), NetBIOS: e.Value("nETBIOSName"), DN: e.Value("nCName")})
		}
	}
	for _, e := range found[1].Entries {
		switch {
		case e.Is("nTDSDSA"):
			c, err := controller(e, found[1].Entries)
			if err != nil {
				return ForestData{}, malformed(dir.DC, e.DN, err)
			}
			if c.Host != "" {
				f.Controllers = append(f.Controllers, c)
			}
		case e.Is("siteLink"):
			f.SiteLinks = append(f.SiteLinks, siteLink(e))
		}
	}
	slices.SortFunc(f.Controllers, func(a, b Controller) int { return strings.Compare(a.Host, b.Host) })
	return f, nil
}

// malformed is the failure of an attribute that cannot be read.
func malformed(dc, dn string, err error) *evidence.Failure {
	return evidence.Fail(evidence.Protocol, dc+" gives a malformed value of "+dn+": "+err.Error())
}

// controller reads CN=NTDS Settings with the server object above it. It has no host where the server object is gone.
func controller(e Entry, all []Entry) (Controller, error) {
	c := Controller{Settings: e.DN, ReadOnly: e.Is("nTDSDSARO")}
	i := slices.IndexFunc(all, func(o Entry) bool { return o.Is("server") && strings.EqualFold(o.DN, ParentDN(e.DN)) })
	if i < 0 {
		return c, nil
	}
	server := all[i]
	c.Host, c.Site = Host(server.Value("dNSHostName")), SiteOfDN(server.DN)
	c.Domain = DomainOfDN(DomainPart(server.Value("serverReference")))
	var err error
	if c.DSA, err = ntds.ParseGUID(first(e.Values("objectGUID"))); err != nil {
		return c, errors.New("objectGUID: " + err.Error())
	}
	if raw := first(e.Values("invocationId")); raw != nil {
		if c.Invocation, err = ntds.ParseGUID(raw); err != nil {
			return c, errors.New("invocationId: " + err.Error())
		}
	}
	options, _ := strconv.Atoi(e.Value("options"))
	c.Catalog = options&optCatalog != 0
	for _, attribute := range []string{"hasMasterNCs", "msDS-hasMasterNCs", "msDS-hasFullReplicaNCs"} {
		for _, v := range e.Values(attribute) {
			if !slices.ContainsFunc(c.Partitions, func(p string) bool { return strings.EqualFold(p, string(v)) }) {
				c.Partitions = append(c.Partitions, string(v))
			}
		}
	}
	slices.Sort(c.Partitions)
	return c, nil
}

// defaultInterval is that of a site link in minutes.
const defaultInterval = 180

func siteLink(e Entry) SiteLink {
	l := SiteLink{Interval: defaultInterval, Closed: closedMinutes(first(e.Values("schedule")))}
	if n, err := strconv.Atoi(e.Value("replInterval")); err == nil && n > 0 {
		l.Interval = n
	}
	for _, v := range e.Values("siteList") {
		l.Sites = append(l.Sites, rdnValue(string(v)))
	}
	slices.Sort(l.Sites)
	return l
}

// closedMinutes is the longest closed stretch of a schedule: 188 bytes of which the last 168 are the hours of a week,
// each with four bits for its quarters ([MS-ADTS] 6.1.4.5.1). No schedule, or another form, is always open.
func closedMinutes(b []byte) int {
	const header, week = 20, 168
	if len(b) < header+week {
		return 0
	}
	hours := b[len(b)-week:]
	longest, run := 0, 0
	for i := range 2 * week { // twice, for a stretch over the end of the week
		if hours[i%week]&0x0f == 0 {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	return min(longest, week) * 60
}

// Link is the interval and the closed time in minutes of the site link between two sites; ok is false when no link holds both.
func (f ForestData) Link(a, b string) (interval, closed int, ok bool) {
	for _, l := range f.SiteLinks {
		has := func(s string) bool {
			return slices.ContainsFunc(l.Sites, func(x string) bool { return strings.EqualFold(x, s) })
		}
		if has(a) && has(b) && (!ok || l.Interval < interval) {
			interval, closed, ok = l.Interval, l.Closed, true
		}
	}
	return interval, closed, ok
}

// NetBIOS is the NetBIOS name of the domain with that DNS name; the DNS name itself when it is not known.
func (f ForestData) NetBIOS(domain string) string {
	for _, d := range f.Domains {
		if d.Name == domain {
			return d.NetBIOS
		}
	}
	return domain
}

// Controller is the domain controller whose CN=NTDS Settings has that DN.
func (f ForestData) Controller(settings string) (Controller, bool) {
	i := slices.IndexFunc(f.Controllers, func(c Controller) bool { return strings.EqualFold(c.Settings, settings) })
	if i < 0 {
		return Controller{}, false
	}
	return f.Controllers[i], true
}

// ControllerRef is a domain controller to judge.
type ControllerRef struct {
	// Ask is how questions name it: its FQDN, with a port if the user gave one.
	Ask string `json:"ask"`
	// Host is the FQDN, or the address that the user gave.
	Host string `json:"host"`
	// Published tells that DNS or the user names it; Listed that the directory does, as Controller says then.
	Published  bool       `json:"published,omitempty"`
	Listed     bool       `json:"listed,omitempty"`
	Controller Controller `json:"controller"`
}

// Controllers are the domain controllers to judge: those that the user gave, or else those that DNS publishes for the AD
// domain and, with an account, those that the directory lists for the whole forest.
var Controllers = &evidence.Kind[evidence.None, []ControllerRef]{
	Name:   "topology.controllers",
	Doc:    "the domain controllers to judge: given, or else published in DNS and listed in the directory of the forest",
	Needs:  []evidence.AnyKind{ConfigScope, ADDomain, DomainControllers, Forest},
	Derive: deriveControllers,
}

func deriveControllers(r *evidence.Reader, _ evidence.None) ([]ControllerRef, error) {
	scope, err := ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return nil, err
	}
	domain, err := ADDomain.Get(r, evidence.None{})
	if err != nil {
		return nil, err
	}
	published, err := DomainControllers.Get(r, DomainQuestion{domain.List[0]})
	if err != nil {
		return nil, err
	}
	var list []ControllerRef
	for _, dc := range published.List {
		host, _ := SplitHostPort(dc, ldapPort)
		list = append(list, ControllerRef{Ask: dc, Host: host, Published: true})
	}
	if scope.LDAPUser == "" {
		return list, nil
	}
	forest, err := Forest.Get(r, evidence.None{})
	if err != nil {
		if !evidence.Excusable(err) {
			return nil, err
		}
		return list, nil // what DNS names can be judged; what rests on the directory fails by itself
	}
	for _, c := range forest.Controllers {
		i := slices.IndexFunc(list, func(ref ControllerRef) bool { return ref.Host == c.Host })
		switch {
		case i >= 0:
			list[i].Listed, list[i].Controller = true, c
		case published.Source != "given":
			list = append(list, ControllerRef{Ask: c.Host, Host: c.Host, Listed: true, Controller: c})
		}
	}
	slices.SortFunc(list, func(a, b ControllerRef) int { return strings.Compare(a.Ask, b.Ask) })
	return list, nil
}

// ldapPort is the port of LDAP (RFC 4511, section 5.2.1); CatalogPort that of the global catalog ([MS-ADTS] 5.1.1.1.1).
const (
	ldapPort    = 389
	CatalogPort = 3268
)

// CatalogData says where searches of the whole forest are asked.
type CatalogData struct {
	DC   string `json:"dc"`
	Base string `json:"base"`
	// Partial tells that it is a global catalog, which holds only some attributes of each object.
	Partial bool `json:"partial,omitempty"`
}

// Catalog is the directory's own domain controller where the forest has one domain, else a global catalog.
var Catalog = &evidence.Kind[evidence.None, CatalogData]{
	Name:  "ad.catalog",
	Doc:   "where the whole forest can be searched: the domain itself, or a global catalog when there are several",
	Needs: []evidence.AnyKind{Directory, Forest},
	Derive: func(r *evidence.Reader, _ evidence.None) (CatalogData, error) {
		dir, err := Directory.Get(r, evidence.None{})
		if err != nil {
			return CatalogData{}, err
		}
		forest, err := Forest.Get(r, evidence.None{})
		if err != nil {
			return CatalogData{}, err
		}
		if len(forest.Domains) < 2 {
			return CatalogData{DC: dir.DC, Base: dir.BaseDN}, nil
		}
		host := ""
		for _, c := range forest.Controllers {
			if c.Catalog && (host == "" || c.Host == dir.DC) {
				host = c.Host
			}
		}
		if host == "" {
			return CatalogData{}, evidence.Fail(evidence.NoTarget, "the forest has several domains and no global catalog")
		}
		return CatalogData{DC: JoinHostPort(host, CatalogPort), Partial: true}, nil
	},
}

// ReaderData says where the objects of a domain are read with all their attributes.
type ReaderData struct {
	DC     string `json:"dc"`
	BaseDN string `json:"baseDN"`
}

// DomainReader is the first domain controller of a domain that answers.
var DomainReader = &evidence.Kind[DomainQuestion, ReaderData]{
	Name:  "ad.domain-reader",
	Doc:   "the first domain controller of a domain that answers",
	Needs: []evidence.AnyKind{Directory, DomainControllers, RootDSE},
	Derive: func(r *evidence.Reader, q DomainQuestion) (ReaderData, error) {
		dir, err := Directory.Get(r, evidence.None{})
		if err != nil || dir.Domain == q.Name {
			return ReaderData{dir.DC, dir.BaseDN}, err
		}
		dcs, err := DomainControllers.Get(r, q)
		if err != nil {
			return ReaderData{}, err
		}
		dc, root, err := firstAnswering(r, dcs)
		return ReaderData{dc, root.Get("defaultNamingContext")}, err
	},
}

// MastersData are the domain controllers that hold the operations master roles; "" where the holder is not listed.
type MastersData struct {
	Schema         string `json:"schema,omitempty"`
	Naming         string `json:"naming,omitempty"`
	PDC            string `json:"pdc,omitempty"`
	RID            string `json:"rid,omitempty"`
	Infrastructure string `json:"infrastructure,omitempty"`
}

// Masters are the holders of the operations master roles of the forest and of the AD domain ([MS-ADTS] 6.1.5).
var Masters = &evidence.Kind[evidence.None, MastersData]{
	Name:  "ad.masters",
	Doc:   "the domain controllers that hold the operations master roles",
	Needs: []evidence.AnyKind{Directory, Forest, Search},
	Derive: func(r *evidence.Reader, _ evidence.None) (MastersData, error) {
		dir, err := Directory.Get(r, evidence.None{})
		if err != nil {
			return MastersData{}, err
		}
		var m MastersData
		roles := []struct {
			dn   string
			into *string
		}{
			{dir.Schema, &m.Schema}, {"CN=Partitions," + dir.Config, &m.Naming}, {dir.BaseDN, &m.PDC},
			{"CN=RID Manager$,CN=System," + dir.BaseDN, &m.RID}, {"CN=Infrastructure," + dir.BaseDN, &m.Infrastructure},
		}
		var questions []SearchQuestion
		for _, role := range roles {
			questions = append(questions, NewSearch(dir.DC, role.dn, "base", "(objectClass=*)", "fSMORoleOwner"))
		}
		found, errs := evidence.GetAll(r, Search, questions)
		if err := errors.Join(errs...); err != nil {
			return MastersData{}, err
		}
		forest, err := Forest.Get(r, evidence.None{})
		if err != nil {
			return MastersData{}, err
		}
		for i, role := range roles {
			if len(found[i].Entries) > 0 {
				c, _ := forest.Controller(found[i].Entries[0].Value("fSMORoleOwner"))
				*role.into = c.Host
			}
		}
		return m, nil
	},
}

// ParentDN is the name of the object above (RFC 4514): what follows the first comma that is not escaped.
func ParentDN(dn string) string {
	for i := 0; i < len(dn); i++ {
		switch dn[i] {
		case '\\':
			i++
		case ',':
			return strings.TrimSpace(dn[i+1:])
		}
	}
	return ""
}

// DomainPart is the naming of the domain at the end of a DN: "DC=todorovic,DC=adds".
func DomainPart(dn string) string {
	for dn != "" && DomainOfDN(dn) == "" {
		dn = ParentDN(dn)
	}
	return dn
}

// SiteOfDN is the site of an object below CN=Sites: the name after CN=Servers.
func SiteOfDN(dn string) string {
	for dn != "" {
		above := ParentDN(dn)
		if strings.EqualFold(rdn(dn), "CN=Servers") {
			return rdnValue(above)
		}
		dn = above
	}
	return ""
}

// rdn is the first component of a DN; rdnValue its value, without escapes.
func rdn(dn string) string {
	if p := ParentDN(dn); p != "" {
		return strings.TrimRight(strings.TrimSpace(strings.TrimSuffix(dn, p)), ", ")
	}
	return dn
}

func rdnValue(dn string) string {
	_, v, _ := strings.Cut(rdn(dn), "=")
	return strings.ReplaceAll(v, `\`, "")
}

func first(values [][]byte) []byte {
	if len(values) == 0 {
		return nil
	}
	return values[0]
}
