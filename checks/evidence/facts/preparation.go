package facts

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/ntds"
)

// SchemaMark is the mark that schema preparation leaves: rangeUpper 1006 LCS 2005, 1007 OCS 2007, 1008 OCS 2007 R2, 1100 Lync
// 2010, 1150 later products.
type SchemaMark struct {
	// Found is false where the schema knows no such object.
	Found bool `json:"found,omitempty"`
	// Upper is rangeUpper.
	Upper int `json:"upper,omitempty"`
}

// SchemaR2 is the mark of OCS 2007 R2.
const SchemaR2 = 1008

// SchemaVersion is the mark of schema preparation as one domain controller has it.
var SchemaVersion = &evidence.Kind[DCQuestion, SchemaMark]{
	Name:  "ad.schema-version",
	Doc:   "the mark of OCS schema preparation as one domain controller has it",
	Needs: []evidence.AnyKind{Directory, Search},
	Derive: func(r *evidence.Reader, q DCQuestion) (SchemaMark, error) {
		dir, err := Directory.Get(r, evidence.None{})
		if err != nil {
			return SchemaMark{}, err
		}
		s := SchemaQuestion(q.DC, dir)
		res, err := Search.Get(r, s)
		if err != nil || len(res.Entries) == 0 {
			return SchemaMark{}, err
		}
		upper, err := strconv.Atoi(res.Entries[0].Value("rangeUpper"))
		if err != nil {
			return SchemaMark{}, evidence.FailAt(evidence.Protocol, q.DC+" gives no readable rangeUpper of ms-RTC-SIP-SchemaVersion", Search.Key(s))
		}
		return SchemaMark{Found: true, Upper: upper}, nil
	},
}

// SchemaQuestion is the search that SchemaVersion rests on, for citing.
func SchemaQuestion(dc string, dir DirectoryData) SearchQuestion {
	return NewSearch(dc, "CN=ms-RTC-SIP-SchemaVersion,"+dir.Schema, "base", "(objectClass=*)", "rangeUpper")
}

// The places where forest preparation may put the global settings.
const (
	InConfiguration = "Configuration"
	InSystem        = "System"
)

// SettingsPlace is what stands at one of the two places.
type SettingsPlace struct {
	// Place is InConfiguration or InSystem; DN that of CN=RTC Service.
	Place string `json:"place"`
	DN    string `json:"dn"`
	// Classes are the classes of the containers that there are, sorted: msRTCSIP-Service and those below it.
	Classes []string `json:"classes,omitempty"`
	// Domains are the SIP domains, sorted by name.
	Domains []SIPDomain `json:"domains,omitempty"`
}

// Has tells whether there is a container of that class.
func (p SettingsPlace) Has(class string) bool { return slices.Contains(p.Classes, class) }

// SIPDomain is a SIP domain as AD defines it.
type SIPDomain struct {
	Name    string `json:"name"`
	Default bool   `json:"default,omitempty"`
}

// The classes of the containers that forest preparation makes; the last three are new in OCS 2007 R2.
const (
	ClassService    = "msRTCSIP-Service"
	ClassGlobal     = "msRTCSIP-GlobalContainer"
	ClassContacts   = "msRTCSIP-ApplicationContacts"
	ClassMappings   = "msRTCSIP-LocationContactMappings"
	ClassConference = "msRTCSIP-ConferenceDirectories"
)

// ForestClasses are all of them.
var ForestClasses = []string{ClassService, ClassGlobal, ClassContacts, ClassMappings, ClassConference}

// ForestSettings is what forest preparation made, as one domain controller has it: the places at which CN=RTC Service
// exists, the configuration first. A domain controller outside of the root domain does not hold the second place.
var ForestSettings = &evidence.Kind[DCQuestion, []SettingsPlace]{
	Name:   "ad.forest-settings",
	Doc:    "the containers and SIP domains that OCS forest preparation made, as one domain controller has them",
	Needs:  []evidence.AnyKind{Directory, RootDSE, Search},
	Derive: deriveForestSettings,
}

// SettingsQuestions are the searches that ForestSettings rests on, for citing: one for each place.
func SettingsQuestions(dc string, dir DirectoryData) []SearchQuestion {
	filter := "(|"
	for _, class := range append(slices.Clone(ForestClasses), "msRTCSIP-Domain") {
		filter += "(objectClass=" + class + ")"
	}
	var out []SearchQuestion
	for _, dn := range settingsDNs(dir) {
		out = append(out, NewSearch(dc, dn, "sub", filter+")", "objectClass", "msRTCSIP-DomainName", "msRTCSIP-Default"))
	}
	return out
}

func settingsDNs(dir DirectoryData) []string {
	return []string{"CN=RTC Service,CN=Services," + dir.Config, "CN=RTC Service,CN=Microsoft,CN=System," + dir.RootDN}
}

func deriveForestSettings(r *evidence.Reader, q DCQuestion) ([]SettingsPlace, error) {
	dir, err := Directory.Get(r, evidence.None{})
	if err != nil {
		return nil, err
	}
	root, err := RootDSE.Get(r, q)
	if err != nil {
		return nil, err
	}
	questions := SettingsQuestions(q.DC, dir)
	if !strings.EqualFold(root.Get("defaultNamingContext"), dir.RootDN) {
		questions = questions[:1]
	}
	found, errs := evidence.GetAll(r, Search, questions)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var out []SettingsPlace
	for i, place := range []string{InConfiguration, InSystem}[:len(questions)] {
		p := SettingsPlace{Place: place, DN: questions[i].Base}
		for _, e := range found[i].Entries {
			if e.Is("msRTCSIP-Domain") {
				p.Domains = append(p.Domains, SIPDomain{Host(e.Value("msRTCSIP-DomainName")), strings.EqualFold(e.Value("msRTCSIP-Default"), "TRUE")})
			}
			for _, class := range ForestClasses {
				if e.Is(class) && !p.Has(class) {
					p.Classes = append(p.Classes, class)
				}
			}
		}
		if len(found[i].Entries) == 0 {
			continue
		}
		slices.Sort(p.Classes)
		slices.SortFunc(p.Domains, func(a, b SIPDomain) int { return strings.Compare(a.Name, b.Name) })
		out = append(out, p)
	}
	return out, nil
}

// RTCGroups are the groups that forest preparation makes, by sAMAccountName.
var RTCGroups = []string{
	"RTCComponentUniversalServices", "RTCHSUniversalServices", "RTCProxyUniversalServices", "RTCUniversalGlobalReadOnlyGroup",
	"RTCUniversalGlobalWriteGroup", "RTCUniversalGuestAccessGroup", "RTCUniversalReadOnlyAdmins", "RTCUniversalServerAdmins",
	"RTCUniversalServerReadOnlyGroup", "RTCUniversalUserAdmins", "RTCUniversalUserReadOnlyGroup",
}

// Group is one of them as the forest has it.
type Group struct {
	Name    string   `json:"name"`
	DN      string   `json:"dn"`
	SID     string   `json:"sid,omitempty"`
	Type    int      `json:"type"` // groupType ([MS-ADTS] 2.2.12)
	Members []string `json:"members,omitempty"`
}

// GroupList is the groups that there are.
type GroupList struct {
	Groups []Group      `json:"groups,omitempty"`
	Cite   evidence.Key `json:"cite"`
}

// Find is the group of that name.
func (l GroupList) Find(name string) (Group, bool) {
	i := slices.IndexFunc(l.Groups, func(g Group) bool { return strings.EqualFold(g.Name, name) })
	if i < 0 {
		return Group{}, false
	}
	return l.Groups[i], true
}

// Groups are the RTC groups, searched in the whole forest. Universal groups have their members in the global catalog.
var Groups = &evidence.Kind[evidence.None, GroupList]{
	Name:  "ad.rtc-groups",
	Doc:   "the groups that OCS forest preparation made, with their members",
	Needs: []evidence.AnyKind{Catalog, Search},
	Derive: func(r *evidence.Reader, _ evidence.None) (GroupList, error) {
		c, err := Catalog.Get(r, evidence.None{})
		if err != nil {
			return GroupList{}, err
		}
		filter := "(&(objectClass=group)(|"
		for _, name := range RTCGroups {
			filter += "(sAMAccountName=" + name + ")"
		}
		q := NewSearch(c.DC, c.Base, "sub", filter+"))", "sAMAccountName", "objectSid", "groupType", "member")
		res, err := Search.Get(r, q)
		if err != nil {
			return GroupList{}, err
		}
		l := GroupList{Cite: Search.Key(q)}
		for _, e := range res.Entries {
			g := Group{Name: e.Value("sAMAccountName"), DN: e.DN}
			if g.Type, err = strconv.Atoi(e.Value("groupType")); err != nil {
				return GroupList{}, malformed(c.DC, e.DN, errors.New("groupType"))
			}
			if raw := first(e.Values("objectSid")); raw != nil {
				if g.SID, err = ntds.ParseSID(raw); err != nil {
					return GroupList{}, malformed(c.DC, e.DN, err)
				}
			}
			for _, m := range e.Values("member") {
				g.Members = append(g.Members, string(m))
			}
			slices.Sort(g.Members)
			l.Groups = append(l.Groups, g)
		}
		slices.SortFunc(l.Groups, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
		return l, nil
	},
}

// PropertySetIDs are the GUIDs of the property sets that forest preparation makes, by name; one that is missing is not there.
var PropertySetIDs = &evidence.Kind[evidence.None, map[string]ntds.GUID]{
	Name:  "ad.property-sets",
	Doc:   "the property sets RTCPropertySet and RTCUserSearchPropertySet with their rightsGuid",
	Needs: []evidence.AnyKind{Directory, Search},
	Derive: func(r *evidence.Reader, _ evidence.None) (map[string]ntds.GUID, error) {
		dir, err := Directory.Get(r, evidence.None{})
		if err != nil {
			return nil, err
		}
		res, err := Search.Get(r, NewSearch(dir.DC, "CN=Extended-Rights,"+dir.Config, "one", "(|(cn=RTCPropertySet)(cn=RTCUserSearchPropertySet))", "cn", "rightsGuid"))
		if err != nil {
			return nil, err
		}
		out := map[string]ntds.GUID{}
		for _, e := range res.Entries {
			id := ntds.GUIDFromText(e.Value("rightsGuid"))
			if id == "" {
				return nil, malformed(dir.DC, e.DN, errors.New("rightsGuid"))
			}
			out[e.Value("cn")] = id
		}
		return out, nil
	},
}

// ObjectQuestion names an object that one domain controller is asked for.
type ObjectQuestion struct{ DC, DN string }

func (q ObjectQuestion) String() string { return fields(q.DC, q.DN) }

// SecurityDescriptor is the discretionary access control list of an object as one domain controller has it. Where the account may not read it
// the failure says so.
var SecurityDescriptor = &evidence.Kind[ObjectQuestion, ntds.Descriptor]{
	Name:  "ad.security-descriptor",
	Doc:   "who may do what with an object, as one domain controller has it",
	Needs: []evidence.AnyKind{Search},
	Derive: func(r *evidence.Reader, q ObjectQuestion) (ntds.Descriptor, error) {
		s := DescriptorQuestion(q)
		res, err := Search.Get(r, s)
		if err != nil {
			return ntds.Descriptor{}, err
		}
		if len(res.Entries) == 0 {
			return ntds.Descriptor{}, evidence.FailAt(evidence.NoTarget, q.DC+" has no object "+q.DN, Search.Key(s))
		}
		raw := first(res.Entries[0].Values("nTSecurityDescriptor"))
		if raw == nil {
			return ntds.Descriptor{}, evidence.FailAt(evidence.Denied, "the account may not read the permissions (nTSecurityDescriptor) of "+q.DN+" on "+q.DC, Search.Key(s))
		}
		d, err := ntds.ParseDescriptor(raw)
		if err != nil {
			return ntds.Descriptor{}, evidence.FailAt(evidence.Protocol, q.DC+" gives a malformed nTSecurityDescriptor of "+q.DN+": "+err.Error(), Search.Key(s))
		}
		return d, nil
	},
}

// DescriptorQuestion is the search that SecurityDescriptor rests on, for citing.
func DescriptorQuestion(q ObjectQuestion) SearchQuestion {
	return NewSearch(q.DC, q.DN, "base", "(objectClass=*)", "nTSecurityDescriptor")
}
