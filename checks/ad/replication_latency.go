package ad

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

var lagging = &checks.Message{
	Tag:         "lagging",
	Severity:    checks.Warning,
	Text:        "changes between {dcs} arrive late according to replUpToDateVector: {links}",
	Identity:    []string{"dcs"},
	ExplainedBy: []string{"ad/replication-neighbors", "ad/replication-repsfrom", "ad/dc-reachable"},
}

var _ = register(&checks.Check{
	ID:       "ad/replication-latency",
	Title:    "every domain controller has the recent changes of all others",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	Needs:    slices.Concat(forestNeeds, []evidence.AnyKind{facts.ReplicaLinks}),
	Messages: []*checks.Message{lagging},
	Run: func(p *checks.Pass) error {
		forest, dcs, err := readReplication(p)
		if err != nil {
			return err
		}
		dcs, err = answering(dcs)
		replicas, errs := readReplicas(p, dcs)
		var links []link
		for i, d := range dcs {
			err = firstError(err, errs[i])
			for _, r := range replicas[i] {
				for _, c := range r.Cursors {
					if l, ok := cursorLink(forest, d, r.Partition, c); ok {
						if warn, _ := limits(forest, d.Controller, l.source); d.now(p).Sub(c.Success) >= warn {
							l.verdict = late
						}
						links = append(links, l)
					}
				}
			}
		}
		for _, g := range groupLinks(links) {
			p.Report(lagging, g.cites(), g.args("replUpToDateVector")...)
		}
		return err
	},
})

// cursorLink is a cursor as a link from the domain controller whose changes it counts. Only those of other writable ones that
// live and hold the partition are judged, and only where the cursor has a time.
func cursorLink(forest facts.ForestData, d dcState, partition string, c ntds.Cursor) (link, bool) {
	i := slices.IndexFunc(forest.Controllers, func(o facts.Controller) bool { return o.Invocation != "" && o.Invocation == c.Invocation })
	if i < 0 || c.Success.IsZero() {
		return link{}, false
	}
	source := forest.Controllers[i]
	l := link{Link: ntds.Link{Success: c.Success}, dest: d.Controller, source: source, partition: partition, cites: []evidence.Key{replicaKey(d, partition)}}
	return l, source.Host != d.Host && !source.ReadOnly && holds(source, partition)
}
