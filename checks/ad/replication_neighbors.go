package ad

import (
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

var neighborMessages = newLinkMessages()

var _ = register(&checks.Check{
	ID:       "ad/replication-neighbors",
	Title:    "every domain controller replicates with its partners, as the domain controllers compute it",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	Needs:    slices.Concat(forestNeeds, causeNeeds, []evidence.AnyKind{facts.Neighbors}),
	Messages: neighborMessages.all(),
	Run:      replicationNeighbors,
})

// neighborRoute is the attribute that the check reads.
const neighborRoute = "msDS-ReplAllInboundNeighbors"

func replicationNeighbors(p *checks.Pass) error {
	forest, dcs, err := readReplication(p)
	if err != nil {
		return err
	}
	up, err := answering(dcs)
	var asked []dcState
	var questions []facts.DCQuestion
	for _, d := range up {
		if !isSamba(d.root) {
			asked, questions = append(asked, d), append(questions, facts.DCQuestion{DC: d.ask})
		}
	}
	if len(asked) == 0 && err == nil {
		return checks.NotApplicable("no domain controller has " + neighborRoute + "; what repsFrom tells is judged by ad/replication-repsfrom")
	}
	found, errs := evidence.GetAll(p.Facts, facts.Neighbors, questions)
	var links []link
	for i, d := range asked {
		cite := facts.Search.Key(facts.NeighborQuestion(d.ask))
		switch {
		case errs[i] != nil:
			err = firstError(err, errs[i])
			continue
		case !found[i].Readable:
			err = firstError(err, evidence.FailAt(evidence.NotConfigured, "the account may not read "+neighborRoute+" on "+d.Host+
				": it takes the right \"Monitor Active Directory Replication\"; what repsFrom tells is judged by ad/replication-repsfrom", cite))
			continue
		}
		for _, n := range found[i].Links {
			if source, ok := liveSource(forest, n.Source); ok && !n.Deleted() {
				links = append(links, link{Link: n.Link, dest: d.Controller, source: source, partition: n.Partition, cites: []evidence.Key{cite}})
			}
		}
		links = append(links, unreachedSources(forest, d, found[i].Failures, links, cite)...)
		err = firstError(err, unlinked(forest, d, links, neighborRoute, cite))
	}
	neighborMessages.report(p, forest, dcs, links, neighborRoute)
	return err
}

// unreachedSources are the partners from which a domain controller has no link, because it could never connect to them: its
// msDS-ReplConnectionFailures says why. Where there is a link, that says more, and what is remembered here may be long past.
func unreachedSources(forest facts.ForestData, d dcState, failures []ntds.DSAFailure, links []link, cite evidence.Key) []link {
	var out []link
	for _, f := range failures {
		source, live := liveSource(forest, f.Source)
		linked := slices.ContainsFunc(links, func(l link) bool { return l.dest.Host == d.Host && l.source.Host == source.Host })
		if live && !linked && !ntds.Deleted(f.DN) && f.Result != 0 && f.Failures >= minFailures {
			out = append(out, link{
				Link: ntds.Link{Source: f.Source, Result: f.Result, Failures: f.Failures}, dest: d.Controller, source: source, partition: "CN=no link yet", cites: []evidence.Key{cite},
			})
		}
	}
	return out
}
