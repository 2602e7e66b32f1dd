package engine

import (
	"cmp"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
)

// order finds what explains what, names the roots, and sorts everything for the report.
func (o *Outcome) order(store *evidence.Store) {
	var all []*checks.Finding
	owner := map[*checks.Finding]*Result{}
	for _, r := range o.Results {
		for _, f := range r.Findings {
			all = append(all, f)
			owner[f] = r
		}
	}
	slices.SortFunc(all, compareFindings)
	for _, f := range all {
		for _, cause := range all {
			if cause != f && cause.Message.Severity > checks.Notice && explains(store, cause, f) {
				o.Causes[f] = append(o.Causes[f], cause)
			}
		}
	}
	weight := o.weights(all)
	for _, f := range all {
		if f.Message.Severity > checks.Notice && len(o.Causes[f]) == 0 {
			o.Roots = append(o.Roots, f)
		}
	}
	slices.SortFunc(o.Roots, func(a, b *checks.Finding) int {
		return cmp.Or(cmp.Compare(weight[b], weight[a]), compareFindings(a, b))
	})
	o.missing()
	rank := map[*Result]int{}
	for i, f := range slices.Backward(o.Roots) {
		rank[owner[f]] = len(o.Roots) - i
	}
	slices.SortFunc(o.Results, func(a, b *Result) int {
		return cmp.Or(
			cmp.Compare(rank[b], rank[a]),
			cmp.Compare(statusRank(a), statusRank(b)),
			cmp.Compare(highest(b), highest(a)),
			strings.Compare(a.Check.ID, b.Check.ID),
			strings.Compare(a.Subject.Name, b.Subject.Name),
		)
	})
}

// explains tells whether cause can cause exactly f, and the two are related.
func explains(store *evidence.Store, cause, f *checks.Finding) bool {
	id := cause.Check.ID
	if !slices.Contains(f.Message.ExplainedBy, id) && !slices.Contains(f.Message.ExplainedBy, id+":"+cause.Message.Tag) {
		return false
	}
	if cause.Subject.Related(f.Subject) {
		return true
	}
	lineage := store.Lineage(f.Cites)
	return slices.ContainsFunc(cause.Cites, func(k evidence.Key) bool { return lineage[k] })
}

// weights gives each finding the highest severity of itself and of all that follows from it.
func (o *Outcome) weights(all []*checks.Finding) map[*checks.Finding]checks.Severity {
	weight := map[*checks.Finding]checks.Severity{}
	for _, f := range all {
		seen := map[*checks.Finding]bool{}
		var up func(*checks.Finding)
		up = func(c *checks.Finding) {
			if seen[c] {
				return
			}
			seen[c] = true
			weight[c] = max(weight[c], f.Message.Severity)
			for _, cause := range o.Causes[c] {
				up(cause)
			}
		}
		up(f)
	}
	return weight
}

// missing gathers the roots of the unknowns; one whose fact a finding cites is shown under that finding.
func (o *Outcome) missing() {
	byRoot := map[evidence.Key]*Missing{}
	for _, r := range o.Results {
		if r.Missing == nil || r.Missing.Reason == evidence.NotConfigured || r.Missing.Reason == evidence.Internal {
			continue
		}
		m := byRoot[r.Missing.Root]
		if m == nil {
			m = &Missing{Failure: r.Missing, Under: o.citing(r.Missing.Root)}
			byRoot[r.Missing.Root] = m
		}
		m.Results = append(m.Results, r)
	}
	for _, m := range byRoot {
		slices.SortFunc(m.Results, func(a, b *Result) int {
			return cmp.Or(strings.Compare(a.Check.ID, b.Check.ID), strings.Compare(a.Subject.Name, b.Subject.Name))
		})
		o.Missing = append(o.Missing, *m)
	}
	slices.SortFunc(o.Missing, func(a, b Missing) int {
		return strings.Compare(a.Failure.Root.String(), b.Failure.Root.String())
	})
}

// citing finds the finding that cites a fact: a root before a consequence, then the most severe.
func (o *Outcome) citing(k evidence.Key) *checks.Finding {
	var best *checks.Finding
	better := func(f *checks.Finding) bool {
		if best == nil {
			return true
		}
		if root, bestRoot := len(o.Causes[f]) == 0, len(o.Causes[best]) == 0; root != bestRoot {
			return root
		}
		return compareFindings(f, best) < 0
	}
	for _, r := range o.Results {
		for _, f := range r.Findings {
			if f.Message.Severity > checks.Notice && slices.Contains(f.Cites, k) && better(f) {
				best = f
			}
		}
	}
	return best
}

// Root follows the causes of a finding up to a root; among several it takes the most severe.
func (o *Outcome) Root(f *checks.Finding) *checks.Finding {
	for seen := 0; len(o.Causes[f]) > 0 && seen < len(o.Causes); seen++ {
		f = o.Causes[f][0]
	}
	return f
}

// compareFindings orders by severity, check id, subject, id.
func compareFindings(a, b *checks.Finding) int {
	return cmp.Or(
		cmp.Compare(b.Message.Severity, a.Message.Severity),
		strings.Compare(a.Check.ID, b.Check.ID),
		strings.Compare(a.Subject.Name, b.Subject.Name),
		strings.Compare(a.ID(), b.ID()),
	)
}

func statusRank(r *Result) int {
	return slices.Index([]Status{StatusError, StatusFail, StatusUnknown, StatusWarn, StatusSkip, StatusPass}, r.Status)
}

func highest(r *Result) checks.Severity {
	var s checks.Severity
	for _, f := range r.Findings {
		s = max(s, f.Message.Severity)
	}
	return s
}
