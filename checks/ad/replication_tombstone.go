package ad

import (
	"slices"
	"strconv"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var nearTombstone = &checks.Message{
	Tag:         "near",
	Severity:    checks.Error,
	Text:        "replication between {dcs} stands still since more than half of the {days} after which deletions are forgotten: {links}",
	Identity:    []string{"dcs"},
	ExplainedBy: []string{"ad/replication-neighbors", "ad/replication-repsfrom"},
}

var _ = register(&checks.Check{
	ID:       "ad/replication-tombstone",
	Title:    "no domain controller comes near the tombstone lifetime without replication",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	Needs:    slices.Concat(forestNeeds, []evidence.AnyKind{facts.Directory, facts.Search, facts.ReplicaLinks}),
	Messages: []*checks.Message{nearTombstone},
	Run: func(p *checks.Pass) error {
		forest, dcs, err := readReplication(p)
		if err != nil {
			return err
		}
		days, cite, err := tombstoneLifetime(p)
		if err != nil {
			return err
		}
		dcs, err = answering(dcs)
		replicas, errs := readReplicas(p, dcs)
		var links []link
		for i, d := range dcs {
			err = firstError(err, errs[i])
			for _, l := range storedLinks(forest, d, replicas[i]) {
				if !l.Success.IsZero() && d.now(p).Sub(l.Success) > time.Duration(days)*24*time.Hour/2 {
					l.verdict = veryLate
				}
				links = append(links, l)
			}
		}
		for _, g := range groupLinks(links) {
			p.Report(nearTombstone, append(g.cites(), cite), append(g.args(repsFromRoute), checks.A("days", facts.Count(days, "day")))...)
		}
		return err
	},
})

// defaultTombstone is the lifetime in days of a forest that does not set it, and minTombstone the least that Windows takes
// ([MS-ADTS] 6.1.1.2.4.1.1, tombstoneLifetime).
const defaultTombstone, minTombstone, maxTombstone = 60, 2, 100_000

// tombstoneLifetime is after how many days a deleted object is forgotten, and the search that tells.
func tombstoneLifetime(p *checks.Pass) (days int, cite evidence.Key, err error) {
	dir, err := facts.Directory.Get(p.Facts, evidence.None{})
	if err != nil {
		return 0, cite, err
	}
	q := facts.NewSearch(dir.DC, "CN=Directory Service,CN=Windows NT,CN=Services,"+dir.Config, "base", "(objectClass=*)", "tombstoneLifetime")
	res, err := facts.Search.Get(p.Facts, q)
	if err != nil {
		return 0, cite, err
	}
	cite = facts.Search.Key(q)
	if len(res.Entries) == 0 {
		return 0, cite, evidence.FailAt(evidence.Protocol, dir.DC+" shows no "+q.Base+", which holds tombstoneLifetime", cite)
	}
	text := res.Entries[0].Value("tombstoneLifetime")
	if text == "" {
		return defaultTombstone, cite, nil
	}
	days, err = strconv.Atoi(text)
	if err != nil || days > maxTombstone {
		return 0, cite, evidence.FailAt(evidence.Protocol, dir.DC+" gives a malformed tombstoneLifetime of "+q.Base, cite)
	}
	if days < minTombstone {
		days = defaultTombstone
	}
	return days, cite, nil
}
