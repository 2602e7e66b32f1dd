package ad

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// namedPool reads the pool that is judged, with the list that it stands in.
func namedPool(p *checks.Pass) (facts.Pool, facts.PoolList, error) {
	list, err := facts.Pools.Get(p.Facts, evidence.None{})
	if err != nil {
		return facts.Pool{}, list, err
	}
	pool, ok := list.Find(p.Subject.Name)
	if !ok {
		return pool, list, evidence.FailAt(evidence.NoTarget, "AD lists no pool "+p.Subject.Name, list.Cite)
	}
	return pool, list, nil
}

// poolComputers are the FQDNs of the front ends whose computer is there, sorted.
func poolComputers(pool facts.Pool) []string {
	var out []string
	for _, f := range pool.FrontEnds {
		if f.Computer != "" {
			out = append(out, f.Computer)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// noFrontEnds says why a pool is not judged by its servers; ad/pool-front-ends judges whether it should have some.
var noFrontEnds = checks.NotApplicable("the pool has no front end")
