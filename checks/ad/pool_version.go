package ad

import (
	"fmt"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	otherVersion = &checks.Message{
		Tag:      "other",
		Severity: checks.Warning,
		Text:     "the pool {pool} of {servers} is not of OCS 2007 R2: {versions}",
	}
	elsewhereVersion = &checks.Message{
		Tag:      "elsewhere",
		Severity: checks.Notice,
		Text:     "the forest has the pool {pool}, which is not of OCS 2007 R2: {versions}",
	}
)

var _ = register(&checks.Check{
	ID:       "ad/pool-version",
	Title:    "the pool of the OCS servers and its front ends are of OCS 2007 R2",
	Scope:    checks.ScopePool,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.Pools, facts.ServerNames},
	Messages: []*checks.Message{otherVersion, elsewhereVersion},
	Run: func(p *checks.Pass) error {
		pool, list, err := namedPool(p)
		if err != nil {
			return err
		}
		if pool.Version < 0 {
			return evidence.FailAt(evidence.Protocol, "AD gives no readable msRTCSIP-PoolVersion of the pool "+pool.FQDN, list.Cite)
		}
		servers, err := facts.ServerNames.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		var versions, scanned []string
		if pool.Version != facts.VersionR2 {
			versions = append(versions, "the pool says "+productName(pool.Version, poolProducts))
		}
		var unread error
		for _, f := range pool.FrontEnds {
			switch {
			case f.Computer == "": // ad/pool-front-ends speaks of it
			case f.Version == 0 && pool.Version == facts.VersionR2:
				unread = evidence.FailAt(evidence.Protocol, "AD gives no readable msRTCSIP-ServerVersion of "+f.DN, list.Cite)
			case f.Version != 0 && f.Version != facts.VersionR2:
				versions = append(versions, f.Computer+" says "+productName(f.Version, serverProducts))
			}
			if slices.Contains(servers.List, f.Computer) {
				scanned = append(scanned, f.Computer)
			}
		}
		if len(versions) == 0 {
			return unread
		}
		msg := elsewhereVersion
		if len(scanned) > 0 {
			msg = otherVersion
		}
		p.Report(msg, []evidence.Key{list.Cite, servers.Cite}, checks.A("pool", pool.FQDN), checks.A("servers", facts.Few(scanned, ", ", 5)), checks.A("versions", facts.Few(versions, ", ", 5)))
		return unread
	},
})

// poolProducts and serverProducts are the products by msRTCSIP-PoolVersion and by msRTCSIP-ServerVersion.
var (
	poolProducts = map[int]string{
		0: "Live Communications Server 2003", 1: "Live Communications Server 2005", 2: "Live Communications Server 2005 SP1",
		3: "OCS 2007", 4: "OCS 2007 R2", 5: "Lync Server 2010",
	}
	serverProducts = map[int]string{3: "OCS 2007", 4: "OCS 2007 R2", 5: "Lync Server 2010", 6: "Lync Server 2013"}
)

func productName(version int, products map[int]string) string {
	if name, ok := products[version]; ok {
		return name
	}
	return fmt.Sprint("version ", version)
}
