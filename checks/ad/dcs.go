package ad

import (
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

// dcState is a domain controller as the directory lists it, with what it says of itself.
type dcState struct {
	facts.Controller
	// ask is how questions name it.
	ask  string
	root facts.RootDSEData
	// err is why it cannot be judged: it does not answer, or another one answers in its place.
	err error
}

// forestNeeds are the kinds that readForest reads.
var forestNeeds = []evidence.AnyKind{facts.Forest, facts.Controllers, facts.RootDSE}

// readForest reads the forest and the rootDSE of each domain controller to judge that the directory lists. One that only DNS
// names is none of the forest's: dns/ad-locator-records reports it. One that cannot be judged is there with the error.
func readForest(p *checks.Pass) (facts.ForestData, []dcState, error) {
	forest, err := facts.Forest.Get(p.Facts, evidence.None{})
	if err != nil {
		return forest, nil, err
	}
	refs, err := facts.Controllers.Get(p.Facts, evidence.None{})
	if err != nil {
		return forest, nil, err
	}
	refs = slices.DeleteFunc(slices.Clone(refs), func(ref facts.ControllerRef) bool { return !ref.Listed && !facts.IsAddress(ref.Host) })
	var questions []facts.DCQuestion
	for _, ref := range refs {
		questions = append(questions, facts.DCQuestion{DC: ref.Ask})
	}
	roots, errs := evidence.GetAll(p.Facts, facts.RootDSE, questions)
	var dcs []dcState
	for i, ref := range refs {
		c := ref.Controller
		if !ref.Listed {
			at := slices.IndexFunc(forest.Controllers, func(c facts.Controller) bool { return c.Host == roots[i].DNSHostName() })
			if at < 0 {
				continue
			}
			c = forest.Controllers[at]
		}
		dcs = append(dcs, dcState{c, ref.Ask, roots[i], firstError(errs[i], anotherAnswers(ref.Host, roots[i], questions[i]))})
	}
	if len(dcs) == 0 {
		return forest, nil, evidence.FailAt(evidence.NoTarget, "none of the domain controllers known is listed in the directory, or the account may not see them",
			facts.Controllers.Key(evidence.None{}))
	}
	return forest, dcs, nil
}

// anotherAnswers is the failure to judge a domain controller whose name leads to another one; nil when there is none.
// What is asked of it would be answered by that one. ad/dc-reachable reports it.
func anotherAnswers(host string, root facts.RootDSEData, q facts.DCQuestion) error {
	if own := root.DNSHostName(); own != "" && own != host && !facts.IsAddress(host) {
		return evidence.FailAt(evidence.Protocol, "the domain controller that answers as "+host+" calls itself "+own, facts.RootDSE.Key(q))
	}
	return nil
}

// answering are those that can be judged, and why the first of the others cannot.
func answering(dcs []dcState) (up []dcState, err error) {
	for _, d := range dcs {
		if err = firstError(err, d.err); d.err == nil {
			up = append(up, d)
		}
	}
	return up, err
}

// readReplication is readForest for what is judged of several domain controllers.
func readReplication(p *checks.Pass) (facts.ForestData, []dcState, error) {
	forest, dcs, err := readForest(p)
	if err == nil && len(forest.Controllers) < 2 {
		err = checks.NotApplicable("the forest has one domain controller, which replicates with no other")
	}
	return forest, dcs, err
}

// isSamba tells whether the domain controller is Samba's, which builds none of the msDS-Repl attributes.
func isSamba(root facts.RootDSEData) bool {
	return strings.Contains(strings.ToLower(root.Get("vendorName")), "samba")
}

// now is the time by the domain controller's own clock, which has stamped what it stores; by ours where it does not tell.
func (d dcState) now(p *checks.Pass) time.Time {
	if t, err := ntds.GeneralizedTime(d.root.Get("currentTime")); err == nil {
		return t
	}
	return p.Now
}

// ahead is how far the domain controller's clock is ahead of ours; ok is false where that is not known.
func (d dcState) ahead() (offset time.Duration, ok bool) {
	t, err := ntds.GeneralizedTime(d.root.Get("currentTime"))
	if err != nil || d.root.ReadAt.IsZero() {
		return 0, false
	}
	return t.Sub(d.root.ReadAt), true
}

// maxNamed is how many things of a kind a text names.
const maxNamed = 5

// moment is a time as texts show it.
func moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
