package ad

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	notSynchronized = &checks.Message{
		Tag:      "not-synchronized",
		Severity: checks.Error,
		Text:     "{dc} has not finished its first synchronization since it started (isSynchronized is FALSE)",
	}
	catalogNotReady = &checks.Message{
		Tag:      "catalog-not-ready",
		Severity: checks.Error,
		Text:     "no global catalog of the forest is ready (isGlobalCatalogReady is FALSE): {dcs}",
	}
)

var _ = register(&checks.Check{
	ID:       "ad/dc-synchronized",
	Title:    "every domain controller has finished its first synchronization, and a global catalog is ready",
	Scope:    checks.ScopeDomainController,
	Phases:   checks.BothPhases,
	Needs:    forestNeeds,
	Messages: []*checks.Message{notSynchronized, catalogNotReady},
	Run: func(p *checks.Pass) error {
		q := facts.DCQuestion{DC: p.Subject.Name}
		root, err := facts.RootDSE.Get(p.Facts, q)
		if err != nil {
			return err
		}
		host, _ := facts.SplitHostPort(p.Subject.Name, ldapPort)
		if err := anotherAnswers(host, root, q); err != nil {
			return err
		}
		if isFalse(root, "isSynchronized") {
			p.Report(notSynchronized, []evidence.Key{facts.RootDSE.Key(q)}, checks.A("dc", host), checks.A("domain", facts.DomainOfDN(root.Get("defaultNamingContext"))))
		}
		if !isFalse(root, "isGlobalCatalogReady") {
			return nil
		}
		return judgeCatalog(p, host, root, facts.RootDSE.Key(q))
	},
})

// isFalse tells whether a flag of the rootDSE is there and FALSE. Samba may leave one out.
func isFalse(root facts.RootDSEData, flag string) bool {
	return strings.EqualFold(root.Get(flag), "FALSE")
}

// judgeCatalog judges a domain controller that is not ready as a global catalog. Most are none, and one that is ready anywhere is enough.
func judgeCatalog(p *checks.Pass, host string, root facts.RootDSEData, cite evidence.Key) error {
	listed, err := facts.Forest.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(listed.Controllers, func(c facts.Controller) bool { return c.Host == root.DNSHostName() })
	if i < 0 {
		return evidence.FailAt(evidence.NoTarget, "whether "+host+" is a global catalog is not known: the directory does not list it", cite)
	}
	if !listed.Controllers[i].Catalog {
		return nil
	}
	_, dcs, err := readForest(p)
	if err != nil {
		return err
	}
	ready := slices.ContainsFunc(dcs, func(d dcState) bool { return d.Catalog && d.err == nil && !isFalse(d.root, "isGlobalCatalogReady") })
	var cites []evidence.Key
	var catalogs, unasked []string
	for _, d := range dcs {
		if ready || !d.Catalog {
			p.Excuse(d.err, "another global catalog is ready, or this is none")
		}
	}
	for _, c := range listed.Controllers {
		i := slices.IndexFunc(dcs, func(d dcState) bool { return d.Host == c.Host })
		switch {
		case !c.Catalog:
			continue
		case i < 0:
			unasked = append(unasked, c.Host)
		default:
			err = firstError(err, dcs[i].err)
			cites = append(cites, facts.RootDSE.Key(facts.DCQuestion{DC: dcs[i].ask}))
		}
		catalogs = append(catalogs, c.Host)
	}
	switch {
	case ready:
		return nil
	case err != nil:
		return err
	case len(unasked) > 0:
		return evidence.FailAt(evidence.NoTarget, host+" is not ready as a global catalog, and whether another one is could not be asked: "+facts.Few(unasked, ", ", maxNamed), cite)
	case catalogs[0] != root.DNSHostName():
		return checks.NotApplicable("that no global catalog is ready is reported of " + catalogs[0])
	}
	p.Report(catalogNotReady, cites, checks.A("dc", host), checks.A("dcs", facts.Few(catalogs, ", ", maxNamed)))
	return nil
}
