package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"ocsdoctor/checks"
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
	byFamily := map[string]*junitSuite{}
	var names []string
	for _, res := range r.Results {
		family, _, _ := strings.Cut(res.Check, "/")
		s := byFamily[family]
		if s == nil {
			s = r.suite(family)
			byFamily[family] = s
			names = append(names, family)
		}
		r.addCase(s, family, res)
	}
	slices.Sort(names)
	var all junitSuites
	for _, n := range names {
		all.Suites = append(all.Suites, *byFamily[n])
	}
	run := r.suite("ocsdoctor")
	completed := junitCase{Name: "run completed", Classname: "ocsdoctor.run", Time: seconds(r.DurationMs)}
	if r.ExitCode == 130 {
		completed.Error = &junitFault{"interrupted", "the scan was interrupted", "What was done until then is in the other suites."}
		run.Errors++
	}
	run.Tests++
	run.Cases = append(run.Cases, completed)
	run.Out = strings.Join(printableAll(r.Notes), "\n")
	all.Suites = append(all.Suites, *run)
	for i := range all.Suites {
		all.Suites[i].ID = i
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

func (r *Report) suite(name string) *junitSuite {
	return &junitSuite{
		Name: name, Package: "ocsdoctor", Timestamp: r.StartedAt.UTC().Format("2006-01-02T15:04:05"),
		Hostname: Printable(r.Vantage.Host), Time: seconds(0),
		Properties: junitProps{[]junitProp{{"deployment", Printable(r.Deployment.Name)}, {"version", r.Tool.Version}}},
	}
}

func (r *Report) addCase(s *junitSuite, family string, res Result) {
	c := junitCase{
		Name: Printable(res.Check + " " + res.Title), Classname: "ocsdoctor." + family + "." + Printable(res.Subject.Name),
		Time: seconds(res.DurationMs),
	}
	var gate, waived, below []Finding
	failOn, _ := checks.ParseSeverity(r.FailOn)
	for _, f := range res.Findings {
		sev, _ := checks.ParseSeverity(f.Severity)
		switch {
		case sev < failOn || f.InBaseline:
			below = append(below, f)
		case f.Waiver != nil:
			waived = append(waived, f)
		default:
			gate = append(gate, f)
		}
	}
	switch {
	case len(gate) > 0:
		c.Failure = &junitFault{gate[0].Severity, Printable(gate[0].Text), "\n" + r.evidence(gate) + "\n"}
		s.Failures++
	case res.Status == "unknown" || res.Status == "error":
		c.Error = &junitFault{res.Status, Printable(firstLine(res.Reason)), "\n" + printableLines(res.Reason) + "\nmissing fact: " + Printable(res.RootFact) + "\n"}
		s.Errors++
	case len(waived) > 0:
		w := waived[0].Waiver
		by := ""
		if w.By != "" {
			by = " by " + w.By
		}
		c.Skipped = &junitWhy{Printable("waived until " + w.Until + by + ": " + w.Reason)}
		s.Skipped++
	case res.Status == "skip":
		c.Skipped = &junitWhy{Printable(res.Reason)}
		s.Skipped++
	}
	for _, f := range below {
		s.Out += Printable(fmt.Sprintf("%s on %s: %s: %s", res.Check, res.Subject.Name, f.Severity, f.Text)) + "\n"
	}
	s.Tests++
	s.Cases = append(s.Cases, c)
}

// evidence is the text of a failure. The message stands in it again, for readers that do not show the attribute.
func (r *Report) evidence(list []Finding) string {
	var b strings.Builder
	for i, f := range list {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s: %s\nproof: %s\n", f.Severity, Printable(f.Text), Printable(strings.Join(f.Cites, ", ")))
		if len(f.ConsequenceOf) > 0 {
			found := r.Findings()
			var causes []string
			for _, id := range f.ConsequenceOf {
				if c, ok := found[id]; ok {
					causes = append(causes, c.Result.Check+":"+c.Tag)
				}
			}
			fmt.Fprintf(&b, "follows from: %s\n", strings.Join(causes, ", "))
		}
		fmt.Fprintf(&b, "fix:\n%s\n", printableLines(f.Fix))
	}
	return strings.TrimRight(b.String(), "\n")
}

func seconds(ms int64) string { return fmt.Sprintf("%d.%03d", ms/1000, ms%1000) }

func firstLine(s string) string { l, _, _ := strings.Cut(s, "\n"); return l }

func printableAll(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = Printable(s)
	}
	return out
}
