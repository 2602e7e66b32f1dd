package ad

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var repsFromMessages = newLinkMessages()

var _ = register(&checks.Check{
	ID:       "ad/replication-repsfrom",
	Title:    "every domain controller replicates with its partners, as the domain controllers store it",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	Needs:    slices.Concat(forestNeeds, causeNeeds, []evidence.AnyKind{facts.Neighbors, facts.ReplicaLinks}),
	Messages: repsFromMessages.all(),
	Run:      replicationRepsFrom,
})

const repsFromRoute = "repsFrom"

func replicationRepsFrom(p *checks.Pass) error {
	forest, dcs, err := readReplication(p)
	if err != nil {
		return err
	}
	up, err := answering(dcs)
	unreadable := func(d dcState) bool {
		n, err := facts.Neighbors.Get(p.Facts, facts.DCQuestion{DC: d.ask})
		p.Excuse(err, "repsFrom tells the same")
		return !n.Readable
	}
	var asked []dcState
	judged := make([]bool, len(up))
	var fns []func()
	for i, d := range up {
		fns = append(fns, func() { judged[i] = isSamba(d.root) || unreadable(d) })
	}
	evidence.Parallel(fns...)
	for i, d := range up {
		if judged[i] {
			asked = append(asked, d)
		}
	}
	if len(asked) == 0 && err == nil {
		return checks.NotApplicable("all domain controllers that answer give " + neighborRoute + ", which ad/replication-neighbors judges")
	}
	replicas, errs := readReplicas(p, asked)
	var links []link
	for i, d := range asked {
		if errs[i] != nil {
			err = firstError(err, errs[i])
			continue
		}
		links = append(links, storedLinks(forest, d, replicas[i])...)
		err = firstError(err, unlinked(forest, d, links, repsFromRoute, facts.ReplicaLinks.Key(facts.DCQuestion{DC: d.ask})))
	}
	repsFromMessages.report(p, forest, dcs, links, repsFromRoute)
	return err
}

// readReplicas asks domain controllers side by side for what they store of replication.
func readReplicas(p *checks.Pass, dcs []dcState) ([][]facts.Replica, []error) {
	var questions []facts.DCQuestion
	for _, d := range dcs {
		questions = append(questions, facts.DCQuestion{DC: d.ask})
	}
	return evidence.GetAll(p.Facts, facts.ReplicaLinks, questions)
}

// storedLinks are the links of repsFrom whose source is alive.
func storedLinks(forest facts.ForestData, d dcState, replicas []facts.Replica) []link {
	var links []link
	for _, r := range replicas {
		for _, l := range r.Links {
			if source, ok := liveSource(forest, l.Source); ok {
				links = append(links, link{Link: l, dest: d.Controller, source: source, partition: r.Partition, cites: []evidence.Key{replicaKey(d, r.Partition)}})
			}
		}
	}
	return links
}

// replicaKey is the search that shows a partition's state of replication on a domain controller.
func replicaKey(d dcState, partition string) evidence.Key {
	for _, q := range facts.ReplicaQuestions(d.ask, d.root) {
		if q.Base == partition {
			return facts.Search.Key(q)
		}
	}
	return facts.ReplicaLinks.Key(facts.DCQuestion{DC: d.ask})
}
