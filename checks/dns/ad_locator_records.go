package dns

import (
	"fmt"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	locatorMissing = &checks.Message{
		Tag:      "srv-missing",
		Severity: checks.Error,
		Text:     "DNS does not name {dcs} among the domain controllers of {domain}: {records}",
	}
	kerberosMissing = &checks.Message{
		Tag:      "kerberos-missing",
		Severity: checks.Error,
		Text:     "DNS does not name {dcs} among the Kerberos servers of {domain}: {records}",
	}
	guidMissing = &checks.Message{
		Tag:      "guid-missing",
		Severity: checks.Error,
		Text:     "the name by which the partners replicate with {dcs} does not lead there: {records}",
	}
	catalogMissing = &checks.Message{
		Tag:      "catalog-missing",
		Severity: checks.Error,
		Text:     "DNS does not name {dcs} among the global catalogs of the forest: {records}",
	}
	staleDC = &checks.Message{
		Tag:      "stale",
		Severity: checks.Warning,
		Text:     "DNS names {dcs} among the domain controllers of {domain}, which the directory does not list: {records}",
	}
)

var _ = register(&checks.Check{
	ID:     "dns/ad-locator-records",
	Title:  "DNS leads to every domain controller",
	Scope:  checks.ScopeADDomain,
	Phases: checks.BothPhases,
	Needs: []evidence.AnyKind{facts.ConfigScope, facts.ADDomain, facts.DomainControllers, facts.Directory, facts.Forest, facts.Controllers, facts.DNSLookup,
		facts.Addresses},
	Messages: []*checks.Message{locatorMissing, kerberosMissing, guidMissing, catalogMissing, staleDC},
	Run:      adLocatorRecords,
})

// locator are the records that all domain controllers of the domain share.
type locator struct {
	p      *checks.Pass
	forest string // DNS name of the forest root domain
	// ldap and kerberos are what members of the domain ask for, realm what other Kerberos clients do (RFC 4120, section 7.2.3.2).
	ldap, kerberos, realm, catalog srvRecord
}

// srvRecord is an SRV record with the hosts that it names.
type srvRecord struct {
	name  string
	hosts []string
	key   evidence.Key
}

func adLocatorRecords(p *checks.Pass) error {
	forest, err := facts.Forest.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	refs, err := facts.Controllers.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	dir, err := facts.Directory.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	l := locator{p: p, forest: dir.Forest}
	errs := make([]error, 4)
	evidence.Parallel(
		func() { l.ldap, errs[0] = readSRV(p, "_ldap._tcp.dc._msdcs."+p.Subject.Name) },
		func() { l.kerberos, errs[1] = readSRV(p, "_kerberos._tcp.dc._msdcs."+p.Subject.Name) },
		func() { l.realm, errs[2] = readSRV(p, "_kerberos._tcp."+p.Subject.Name) },
		func() { l.catalog, errs[3] = readSRV(p, "_gc._tcp."+l.forest) },
	)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	var judged []facts.Controller
	for _, ref := range refs {
		if ref.Listed && !ref.Controller.ReadOnly && ref.Controller.Domain == p.Subject.Name {
			judged = append(judged, ref.Controller)
		}
	}
	l.reportStale(forest)
	if len(judged) == 0 && slices.ContainsFunc(refs, func(ref facts.ControllerRef) bool { return ref.Listed }) {
		return checks.NotApplicable("none of the domain controllers given is one of " + p.Subject.Name)
	}
	if len(judged) == 0 {
		return evidence.FailAt(evidence.NoTarget, "none of the domain controllers known is listed in the directory as one of "+p.Subject.Name, facts.Controllers.Key(evidence.None{}))
	}
	return l.judge(judged)
}

func readSRV(p *checks.Pass, name string) (srvRecord, error) {
	q := facts.LookupQuestion{Name: facts.Host(name), Type: "SRV", View: facts.Inside}
	found, err := facts.DNSLookup.Get(p.Facts, q)
	rec := srvRecord{name: q.Name, key: facts.DNSLookup.Key(q)}
	for _, rr := range found.Records {
		rec.hosts = append(rec.hosts, rr.Target)
	}
	return rec, err
}

func (r srvRecord) names(c facts.Controller) bool { return slices.Contains(r.hosts, c.Host) }

// lack is what is missing for one domain controller; message is that of the first record.
type lack struct {
	message *checks.Message
	records []string
	cites   []evidence.Key
	err     error
}

func (l *lack) add(m *checks.Message, record string, cite evidence.Key) {
	if l.message == nil {
		l.message = m
	}
	l.records, l.cites = append(l.records, record), append(l.cites, cite)
}

// judge reports each domain controller once, under the first record that it lacks: one that cannot register lacks several.
func (l locator) judge(dcs []facts.Controller) error {
	lacks := make([]lack, len(dcs))
	var fns []func()
	for i, c := range dcs {
		fns = append(fns, func() { lacks[i] = l.lacking(c) })
	}
	evidence.Parallel(fns...)
	var err error
	for _, m := range []*checks.Message{locatorMissing, kerberosMissing, guidMissing, catalogMissing} {
		var hosts, records []string
		var cites []evidence.Key
		for i, c := range dcs {
			if lacks[i].err != nil {
				err = lacks[i].err
			}
			if lacks[i].message == m {
				hosts, cites = append(hosts, c.Host), append(cites, lacks[i].cites...)
				records = append(records, fmt.Sprintf("%s is not in %s", c.Host, strings.Join(lacks[i].records, ", ")))
			}
		}
		if len(hosts) > 0 {
			l.p.Report(m, distinctKeys(cites), checks.A("dcs", facts.Few(hosts, ", ", maxNamed)), checks.A("dc", hosts[0]), checks.A("domain", l.p.Subject.Name),
				checks.A("records", facts.Few(records, "; ", maxNamed)))
		}
	}
	return err
}

// lacking looks for the records of one domain controller. One that registers for its own site only, as policy may tell a branch
// office (DnsAvoidRegisterRecords), has none of the records that all sites share.
func (l locator) lacking(c facts.Controller) (out lack) {
	branch := false
	if !l.ldap.names(c) && !l.kerberos.names(c) {
		site, err := readSRV(l.p, "_ldap._tcp."+c.Site+"._sites.dc._msdcs."+l.p.Subject.Name)
		if err != nil {
			return lack{err: err}
		}
		branch = site.names(c)
	}
	if !branch {
		for _, r := range []struct {
			record  srvRecord
			message *checks.Message
		}{{l.ldap, locatorMissing}, {l.kerberos, kerberosMissing}, {l.realm, kerberosMissing}} {
			if !r.record.names(c) {
				out.add(r.message, r.record.name, r.record.key)
			}
		}
	}
	alias := facts.LookupQuestion{Name: string(c.DSA) + "._msdcs." + l.forest, Type: "A", View: facts.Inside}
	leads, err := l.leadsTo(alias, c.Host)
	out.err = err
	if err == nil && !leads {
		out.add(guidMissing, alias.Name, facts.DNSLookup.Key(alias))
	}
	if !branch && c.Catalog && !l.catalog.names(c) {
		out.add(catalogMissing, l.catalog.name, l.catalog.key)
	}
	return out
}

// leadsTo tells whether the name is an alias of the host, whatever that leads to, or has an address of it.
func (l locator) leadsTo(q facts.LookupQuestion, host string) (bool, error) {
	found, err := facts.DNSLookup.Get(l.p.Facts, q)
	if err != nil || slices.Contains(found.Chain, host) {
		return err == nil, err
	}
	if len(found.Records) == 0 {
		return false, nil
	}
	own, err := facts.Addresses.Get(l.p.Facts, facts.HostQuestion{Host: host, View: facts.Inside})
	return slices.ContainsFunc(found.Records, func(rr facts.Record) bool { return slices.Contains(own.Addresses, rr.Address) }), err
}

// reportStale reports what DNS names as a domain controller and the directory does not list.
func (l locator) reportStale(forest facts.ForestData) {
	var stale, records []string
	var cites []evidence.Key
	for _, r := range []srvRecord{l.ldap, l.kerberos, l.realm, l.catalog} {
		for _, host := range r.hosts {
			if host == "" || slices.ContainsFunc(forest.Controllers, func(c facts.Controller) bool { return c.Host == host }) {
				continue
			}
			if !slices.Contains(stale, host) {
				stale = append(stale, host)
			}
			if !slices.Contains(records, r.name) {
				records, cites = append(records, r.name), append(cites, r.key)
			}
		}
	}
	if len(stale) == 0 {
		return
	}
	slices.Sort(stale)
	l.p.Report(staleDC, cites, checks.A("dcs", facts.Few(stale, ", ", maxNamed)), checks.A("domain", l.p.Subject.Name), checks.A("forest", l.forest),
		checks.A("records", strings.Join(records, ", ")), checks.A("record", records[0]), checks.A("dnsServer", zoneServer(l.p)))
}

// maxNamed is how many things a text names one by one.
const maxNamed = 5

func distinctKeys(keys []evidence.Key) []evidence.Key {
	slices.SortFunc(keys, func(a, b evidence.Key) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(keys)
}
