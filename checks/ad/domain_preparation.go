package ad

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

// The two entries by which a domain is seen to be prepared, of the many that domain preparation adds to its head (TechNet dd425346), in words.
const (
	replicateEntry = "the right Replicating Directory Changes for RTCHSUniversalServices"
	readEntry      = "the right to read RTCPropertySet for RTCUniversalUserReadOnlyGroup"
)

// replicationGetChanges is the extended right DS-Replication-Get-Changes, which lets User Replicator read changes ([MS-ADTS] 5.1.3.2.1).
const replicationGetChanges = ntds.GUID("1131f6aa-9c07-11d1-f79f-00c04fc2dcd2")

// domainEntries is which of the two entries each domain controller of a domain holds.
type domainEntries struct {
	copies[[]string]
	// sought are those that there can be: both, unless a group or the property set does not exist.
	sought []string
	// cites are what shows it.
	cites []evidence.Key
}

// domainNeeds are the kinds that readDomain reads.
var domainNeeds = []evidence.AnyKind{
	facts.Groups, facts.PropertySetIDs, facts.DomainControllers, facts.Controllers, facts.RootDSE, facts.SecurityDescriptor,
}

// readDomain reads the permissions of the head of the subject's domain on each of its domain controllers.
func readDomain(p *checks.Pass) (domainEntries, error) {
	groups, err := facts.Groups.Get(p.Facts, evidence.None{})
	if err != nil {
		return domainEntries{}, err
	}
	sets, err := facts.PropertySetIDs.Get(p.Facts, evidence.None{})
	if err != nil {
		return domainEntries{}, err
	}
	services, err := sidOf(groups, "RTCHSUniversalServices")
	if err != nil {
		return domainEntries{}, err
	}
	readers, err := sidOf(groups, "RTCUniversalUserReadOnlyGroup")
	if err != nil {
		return domainEntries{}, err
	}
	d := domainEntries{cites: []evidence.Key{groups.Cite}}
	wanted := map[string]ntds.ACE{}
	if services != "" {
		d.sought = append(d.sought, replicateEntry)
		wanted[replicateEntry] = ntds.ACE{Allow: true, Object: replicationGetChanges, Mask: ntds.ControlAccess, Trustee: services}
	}
	if id := sets["RTCPropertySet"]; readers != "" && id != "" {
		d.sought = append(d.sought, readEntry)
		wanted[readEntry] = ntds.ACE{Allow: true, Object: id, Mask: ntds.ReadProperty, Trustee: readers}
	}
	if len(d.sought) == 0 {
		return d, nil
	}
	heads, err := domainHeads(p)
	if err != nil {
		return domainEntries{}, err
	}
	var questions []facts.ObjectQuestion
	for _, h := range heads.known() {
		questions = append(questions, facts.ObjectQuestion{DC: h.dc, DN: h.value})
	}
	descriptors, errs := evidence.GetAll(p.Facts, facts.SecurityDescriptor, questions)
	for i, q := range questions {
		h := held[[]string]{dc: q.DC, err: errs[i]}
		for _, entry := range d.sought {
			if errs[i] == nil && grants(descriptors[i], wanted[entry]) {
				h.value = append(h.value, entry)
			}
		}
		d.copies = append(d.copies, h)
		d.cites = append(d.cites, facts.Search.Key(facts.DescriptorQuestion(q)))
	}
	for _, h := range heads {
		if h.err != nil {
			d.copies = append(d.copies, held[[]string]{dc: h.dc, err: h.err})
		}
	}
	if len(d.known()) == 0 {
		return d, d.failure()
	}
	return d, nil
}

// sidOf is the SID of a group; "" where there is no such group.
func sidOf(groups facts.GroupList, name string) (string, error) {
	g, ok := groups.Find(name)
	if ok && g.SID == "" {
		return "", evidence.FailAt(evidence.Denied, "the account may not read objectSid of "+g.DN, groups.Cite)
	}
	return g.SID, nil
}

// grants tells whether a list has such an entry. One that is only there to be inherited counts: the head of the domain is no user.
func grants(d ntds.Descriptor, want ntds.ACE) bool {
	return slices.ContainsFunc(d.ACEs, func(a ntds.ACE) bool {
		return a.Allow && a.Object == want.Object && a.Mask&want.Mask == want.Mask && a.Trustee == want.Trustee
	})
}

// domainHeads are the DNs of the subject's domain as its domain controllers name it: those published or given, and those that the directory
// lists. One that was given and belongs to another domain is left out.
func domainHeads(p *checks.Pass) (copies[string], error) {
	found, err := facts.DomainControllers.Get(p.Facts, facts.DomainQuestion{Name: p.Subject.Name})
	if err != nil {
		return nil, err
	}
	all, err := facts.Controllers.Get(p.Facts, evidence.None{})
	if err != nil {
		return nil, err
	}
	dcs := slices.Clone(found.List)
	for _, c := range all {
		switch of := c.Listed && c.Controller.Domain == p.Subject.Name; {
		case of && !slices.Contains(dcs, c.Ask):
			dcs = append(dcs, c.Ask)
		case c.Listed && !of:
			dcs = slices.DeleteFunc(dcs, func(dc string) bool { return dc == c.Ask })
		}
	}
	slices.Sort(dcs)
	var out copies[string]
	for _, h := range readCopies(p.Facts, facts.RootDSE, dcs) {
		dn := h.value.Get("defaultNamingContext")
		if h.err == nil && facts.DomainOfDN(dn) != p.Subject.Name {
			continue
		}
		out = append(out, held[string]{h.dc, dn, h.err})
	}
	if len(out) == 0 {
		return nil, evidence.FailAt(evidence.NoTarget, "none of the domain controllers known belongs to "+p.Subject.Name, found.Cite)
	}
	return out, nil
}
