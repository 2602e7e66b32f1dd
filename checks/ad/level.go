package ad

import (
	"fmt"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// minLevel is the functional level Windows Server 2003, which OCS 2007 R2 needs of the domain and of the
// forest. It implies native mode ([MS-ADTS] 6.1.4.3).
const minLevel = 2

// levelNames are the functional levels as the consoles call them ([MS-ADTS] 6.1.4.3).
var levelNames = []string{"Windows 2000", "Windows Server 2003 interim", "Windows Server 2003"}

// judgeLevel reads a functional level of the subject on every domain controller of a domain. level names the rootDSE
// attribute that holds it, context the one that holds the DN of the domain to which it belongs.
//
// A domain controller that does not answer is excused when another one does: the level is replicated, and once
// reached it never falls below Windows Server 2003 again.
func judgeLevel(p *checks.Pass, domain string, tooLow *checks.Message, level, context string) error {
	dcs, err := facts.DomainControllers.Get(p.Facts, facts.DomainQuestion{Name: domain})
	if err != nil {
		return err
	}
	if len(dcs.List) == 0 {
		return evidence.FailAt(evidence.NoTarget, "no domain controller is published in DNS", dcs.Cite)
	}
	answers := readRootDSEs(p.Facts, dcs.List)
	lowest, answered := minLevel, false
	var low []string
	var cites []evidence.Key
	for _, a := range answers {
		if a.err != nil {
			continue
		}
		switch facts.DomainOfDN(a.root.Get(context)) {
		case p.Subject.Name:
		case "":
			return evidence.FailAt(evidence.Protocol, a.dc+" gives no readable "+context, a.key)
		default:
			continue // it speaks for another domain
		}
		answered = true
		n, ok := a.root.Level(level)
		if !ok && a.root.Get(level) != "" {
			return evidence.FailAt(evidence.Protocol, fmt.Sprintf("%s gives no readable %s: %q", a.dc, level, a.root.Get(level)), a.key)
		}
		// Windows 2000, which knows no such attribute, leaves it out: that is level 0.
		if n < minLevel {
			lowest, low, cites = min(lowest, n), append(low, a.dc), append(cites, a.key)
		}
	}
	if !answered {
		return noAnswer(p, dcs, answers)
	}
	for _, a := range answers {
		p.Excuse(a.err, "another domain controller told the level, which is the same on all")
	}
	if len(low) > 0 {
		name := fmt.Sprint("level ", lowest)
		if lowest >= 0 {
			name = levelNames[lowest]
		}
		p.Report(tooLow, cites, checks.A("name", p.Subject.Name), checks.A("level", name), checks.A("dcs", strings.Join(low, ", ")))
	}
	return nil
}

// noAnswer is why no domain controller of the subject told anything.
func noAnswer(p *checks.Pass, dcs facts.Found, answers []rootAnswer) error {
	for _, a := range answers {
		if a.err != nil {
			return a.err
		}
	}
	return evidence.FailAt(evidence.NoTarget, "none of the domain controllers known belongs to "+p.Subject.Name, dcs.Cite)
}

// rootAnswer is what one domain controller said of itself.
type rootAnswer struct {
	dc   string
	key  evidence.Key
	root facts.RootDSEData
	err  error
}

// readRootDSEs asks the domain controllers side by side.
func readRootDSEs(r *evidence.Reader, dcs []string) []rootAnswer {
	answers := make([]rootAnswer, len(dcs))
	var fns []func()
	for i, dc := range dcs {
		fns = append(fns, func() {
			q := facts.DCQuestion{DC: dc}
			root, err := facts.RootDSE.Get(r, q)
			answers[i] = rootAnswer{dc, facts.RootDSE.Key(q), root, err}
		})
	}
	evidence.Parallel(fns...)
	return answers
}
