package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/policy"
)

// The strict dialect: root testsuites holds only testsuite, whose attributes and children are all present and in the order
// of the schema that Azure DevOps points to; a test case holds at most one of skipped, error and failure.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string      `xml:"name,attr"`
		Package    string      `xml:"package,attr"`
		ID         int         `xml:"id,attr"`
		Timestamp  string      `xml:"timestamp,attr"`
		Hostname   string      `xml:"hostname,attr"`
		Tests      int         `xml:"tests,attr"`
		Failures   int         `xml:"failures,attr"`
		Errors     int         `xml:"errors,attr"`
		Skipped    int         `xml:"skipped,attr"`
		Time       string      `xml:"time,attr"`
		Properties junitProps  `xml:"properties"`
		Cases      []junitCase `xml:"testcase"`
		Out        string      `xml:"system-out"`
		Err        string      `xml:"system-err"`

		out []string
		ms  int64
	}
	junitProps struct {
		Property []junitProp `xml:"property"`
	}
	junitProp struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name      string      `xml:"name,attr"`
		Classname string      `xml:"classname,attr"`
		Time      string      `xml:"time,attr"`
		Skipped   *junitWhy   `xml:"skipped"`
		Error     *junitFault `xml:"error"`
		Failure   *junitFault `xml:"failure"`
	}
	junitWhy struct {
		Message string `xml:"message,attr"`
	}
	junitFault struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes JUnit XML as Jenkins, GitLab and Azure DevOps read it: one suite for each family of checks. A finding at
// or above the gate is a failure, what could not be looked at an error, since a skipped case is green in CI.
func (r *Report) WriteJUnit(w io.Writer) error {
	j := &junit{view: r.view(), findings: r.Findings(), families: map[string]*junitSuite{}}
	j.failOn, _ = checks.ParseSeverity(r.FailOn)
	for _, res := range r.Results {
		j.add(res)
	}
	var all junitSuites
	for _, name := range slices.Sorted(maps.Keys(j.families)) {
		all.Suites = append(all.Suites, *j.families[name])
	}
	all.Suites = append(all.Suites, *j.run(all.Suites))
	for i := range all.Suites {
		s := &all.Suites[i]
		s.ID, s.Time, s.Out = i, seconds(s.ms), strings.Join(s.out, "\n")
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type junit struct {
	*view
	findings map[string]Located
	failOn   checks.Severity
	families map[string]*junitSuite
}

func (j *junit) suite(name string) *junitSuite {
	property := func(name, value string) junitProp { return junitProp{name, Printable(value)} }
	return &junitSuite{
		Name: Printable(name), Package: "ocsdoctor", Timestamp: j.StartedAt.UTC().Format("2006-01-02T15:04:05"),
		Hostname: Printable(j.Vantage.Host),
		Properties: junitProps{[]junitProp{
			property("deployment", j.Deployment.Name), property("phase", j.Phase), property("account", cmp.Or(j.Vantage.User, anonymous)),
			property("resolvers", strings.Join(j.Vantage.DNS, ", ")), property("collected", j.Vantage.collected()), property("failOn", j.FailOn), property("version", j.Tool.Version),
		}},
	}
}

// run is the suite of the scan itself, of one case: an empty or short file can so never mean that all is well.
func (j *junit) run(others []junitSuite) *junitSuite {
	s := j.suite("ocsdoctor")
	c := junitCase{Name: "run completed", Classname: "ocsdoctor.run", Time: seconds(j.DurationMs)}
	red := slices.ContainsFunc(others, func(s junitSuite) bool { return s.Failures+s.Errors > 0 })
	// What is interrupted, incomplete or failed for no case of its own (--strict) must not be green.
	switch verdict := Printable(j.sentence()); {
	case j.ExitCode == policy.ExitInterrupted:
		c.Error = &junitFault{"interrupted", verdict, "What was done until then is in the other suites."}
	case j.Verdict == policy.VerdictIncomplete:
		c.Error = &junitFault{"incomplete", verdict, j.counts()}
	case j.Verdict != policy.VerdictPass && !red:
		c.Error = &junitFault{Printable(j.Verdict), verdict, j.counts()}
	}
	s.count(c, j.DurationMs)
	s.out = []string{Printable(j.sentence()), j.counts()}
	for _, n := range j.Notes {
		s.out = append(s.out, Printable(n))
	}
	return s
}

// count adds a case, whose outcome the suite's counts then hold.
func (s *junitSuite) count(c junitCase, ms int64) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	s.ms += ms
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
}

// add makes a case of a result.
func (j *junit) add(res Result) {
	name, _, _ := strings.Cut(res.Check, "/")
	s := j.families[name]
	if s == nil {
		s = j.suite(name)
		j.families[name] = s
	}
	c := junitCase{
		Name: Printable(res.Check + " " + res.Title), Classname: Printable("ocsdoctor." + name + "." + res.Subject.Name),
		Time: seconds(res.DurationMs),
	}
	var gate []Finding
	var waiver string
	for _, f := range res.Findings {
		sev, _ := checks.ParseSeverity(f.Severity)
		switch {
		case sev >= j.failOn && f.Mark() == "":
			gate = append(gate, f)
			continue
		case sev >= j.failOn && f.Waiver != nil:
			waiver = cmp.Or(waiver, Printable(f.Mark()))
		}
		s.out = append(s.out, Printable(f.Severity+": "+f.Text+" ("+Located{&f, &res}.Where()+")"+marked(Located{&f, &res})))
	}
	switch {
	case len(gate) > 0:
		c.Failure = &junitFault{gate[0].Severity, Printable(gate[0].Text), "\n" + j.evidence(gate)}
		if res.Reason != "" {
			c.Failure.Text += "\n" + Printable(res.Why()) + "\n"
		}
	case res.Status == "unknown" || res.Status == "error":
		text := "\n" + Printable(res.Reason) + "\n"
		if res.RootFact != "" {
			text += "missing fact: " + Printable(res.RootFact) + "\n"
		}
		c.Error = &junitFault{res.Status, Printable(res.Reason), text}
	case waiver != "":
		c.Skipped = &junitWhy{waiver}
	case res.Status == "skip":
		c.Skipped = &junitWhy{Printable(res.Reason)}
	}
	s.count(c, res.DurationMs)
}

// evidence is the text of a failure. The message stands in it again, for readers that do not show the attribute.
func (j *junit) evidence(list []Finding) string {
	var parts []string
	for _, f := range list {
		text := fmt.Sprintf("%s: %s\nproof: %s\n", f.Severity, Printable(f.Text), Printable(strings.Join(f.Cites, "; ")))
		var causes []string
		for _, id := range f.ConsequenceOf {
			if cause, ok := j.findings[id]; ok {
				causes = append(causes, cause.Where())
			}
		}
		if len(causes) > 0 {
			text += "follows from: " + Printable(strings.Join(causes, "; ")) + "\n"
		}
		parts = append(parts, text+"fix:\n"+printableLines(f.Fix)+"\n")
	}
	return strings.Join(parts, "\n")
}

func seconds(ms int64) string { return fmt.Sprintf("%d.%03d", ms/1000, ms%1000) }
