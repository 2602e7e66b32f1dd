package report

import (
	"fmt"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/policy"
)

// view is a report in the order in which a person reads it; console and page show the same view.
type view struct {
	*Report
	// Problems are the roots that count, Accepted those of which all is waived or in the baseline.
	Problems, Accepted []problem
	// Broken are the results of checks that have a bug.
	Broken []Result
	// Unknown are the facts that could not be looked at and hang on no finding.
	Unknown []Missing
	// NotConfigured is what was skipped for want of a flag.
	NotConfigured []skipped
	// Others are the findings that belong to no root: notices.
	Others []Located
	// Families are in the order of their names.
	Families []family
}

// problem is a root with what follows from it.
type problem struct {
	Located
	Follows []Located
	NotSeen []Missing
}

// skipped is a flag that is wanting, with the checks that were skipped for it.
type skipped struct {
	Why    string
	Checks []string
}

// family counts the results of a family of checks by status.
type family struct {
	Name   string
	Counts map[string]int
}

// statuses are the columns of the counts, and the words for them in a sentence.
var statuses = []struct{ key, word string }{
	{"pass", "passed"}, {"warn", "with warnings"}, {"fail", "failed"}, {"unknown", "unknown"}, {"skip", "skipped"}, {"error", "broken"},
}

func (r *Report) view() *view {
	v := &view{Report: r}
	found := r.Findings()
	children := map[string][]string{}
	for _, res := range r.Results {
		for _, f := range res.Findings {
			for _, cause := range f.ConsequenceOf {
				children[cause] = append(children[cause], f.ID)
			}
		}
	}
	under := map[string][]Missing{}
	for _, m := range r.Missing {
		under[m.Under] = append(under[m.Under], m)
	}
	v.Unknown = under[""]
	shown := map[string]bool{}
	for _, id := range r.Roots {
		p := problem{Located: found[id], NotSeen: under[id]}
		seen := map[string]bool{id: true}
		for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
			shown[queue[0]] = true
			for _, c := range children[queue[0]] {
				if !seen[c] {
					seen[c], queue = true, append(queue, c)
					p.Follows = append(p.Follows, found[c])
				}
			}
		}
		if p.accepted() {
			v.Accepted = append(v.Accepted, p)
		} else {
			v.Problems = append(v.Problems, p)
		}
	}
	v.sortResults(shown)
	return v
}

// sortResults fills what the view takes from the results; shown are the findings that stand under a root.
func (v *view) sortResults(shown map[string]bool) {
	families := map[string]map[string]int{}
	reasons := grouping{}
	for i := range v.Results {
		res := &v.Results[i]
		name, _, _ := strings.Cut(res.Check, "/")
		if families[name] == nil {
			families[name] = map[string]int{}
			v.Families = append(v.Families, family{name, families[name]})
		}
		families[name][res.Status]++
		switch why, flag := strings.CutPrefix(res.Reason, "not configured: "); {
		case res.Status == "error":
			v.Broken = append(v.Broken, *res)
		case res.Status == "skip" && flag:
			reasons.add(&v.NotConfigured, why, res.Check)
		}
		for j := range res.Findings {
			if f := &res.Findings[j]; !shown[f.ID] {
				v.Others = append(v.Others, Located{f, res})
			}
		}
	}
	slices.SortFunc(v.Families, func(a, b family) int { return strings.Compare(a.Name, b.Name) })
}

// grouping is where in a list of skipped a reason stands, and for which checks.
type grouping map[string]struct {
	at     int
	checks map[string]bool
}

func (g grouping) add(list *[]skipped, why, check string) {
	e, ok := g[why]
	if !ok {
		e.at, e.checks = len(*list), map[string]bool{}
		g[why] = e
		*list = append(*list, skipped{Why: why})
	}
	if !e.checks[check] {
		e.checks[check] = true
		(*list)[e.at].Checks = append((*list)[e.at].Checks, check)
	}
}

// accepted tells whether neither the root nor anything that follows from it counts.
func (p problem) accepted() bool { return p.weight() == 0 }

// weight is the highest severity of those findings of the problem that count; 0 if none does.
func (p problem) weight() checks.Severity {
	var w checks.Severity
	for _, f := range append([]Located{p.Located}, p.Follows...) {
		if f.Mark() == "" {
			s, _ := checks.ParseSeverity(f.Severity)
			w = max(w, s)
		}
	}
	return w
}

// Name is what a waiver calls the finding: "check:tag".
func (l Located) Name() string { return l.Result.Check + ":" + l.Tag }

// Where is the finding's name and its subject.
func (l Located) Where() string { return l.Name() + " on " + l.Result.Subject.Name }

// Why is the reason of a result as a person reads it: a finding stands although not all could be looked at.
func (r Result) Why() string {
	if r.Reason != "" && len(r.Findings) > 0 && r.Status != "unknown" && r.Status != "error" {
		return "not all could be looked at: " + r.Reason
	}
	return r.Reason
}

// Mark says why a finding does not count; it is empty for one that does.
func (f *Finding) Mark() string {
	switch {
	case f.Waiver != nil:
		return "waived until " + f.Waiver.Until + f.Waiver.by() + ": " + f.Waiver.Reason
	case f.InBaseline:
		return "in the baseline"
	}
	return ""
}

func (w *Waiver) by() string {
	if w.By == "" {
		return ""
	}
	return " by " + w.By
}

// sentence is the verdict in words, with what the exit code means.
func (v *view) sentence() string {
	gate, below := 0, 0
	failOn, _ := checks.ParseSeverity(v.FailOn)
	for _, p := range v.Problems {
		if p.weight() >= failOn {
			gate++
		} else {
			below++
		}
	}
	var words string
	switch {
	case v.Verdict == policy.VerdictPass:
		words = "PASS: nothing at or above " + v.FailOn
	case v.Verdict == policy.VerdictFail && gate == 0:
		words = "FAIL: what was not judged counts too (--strict)"
	case v.Verdict == policy.VerdictFail:
		words = fmt.Sprintf("FAIL: %s at or above %s", plural(gate, "problem"), v.FailOn)
	case v.Verdict == policy.VerdictIncomplete && v.Summary["pass"]+v.Summary["warn"]+v.Summary["fail"] == 0:
		words = "INCOMPLETE: nothing was judged"
	case v.Verdict == policy.VerdictIncomplete:
		words = "INCOMPLETE: not all could be looked at"
	default:
		words = "BROKEN: a check or the tool has a bug"
	}
	if below > 0 && gate == 0 {
		words += ", " + plural(below, "problem") + " below " + v.FailOn
	} else if below > 0 {
		words += fmt.Sprintf(", %d below", below)
	}
	if v.ExitCode == policy.ExitInterrupted {
		words += "; the scan was interrupted"
	}
	return fmt.Sprintf("%s (exit %d)", words, v.ExitCode)
}

// counts is how many results there are of each status.
func (v *view) counts() string {
	total, list := 0, ""
	for _, s := range statuses {
		n := v.Summary[s.key]
		total += n
		if n > 0 {
			list += fmt.Sprintf(", %d %s", n, s.word)
		}
	}
	if n := v.Summary["waived"]; n > 0 {
		list += ", " + plural(n, "finding") + " waived"
	}
	return plural(total, "check result") + strings.Replace(list, ",", ":", 1)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
