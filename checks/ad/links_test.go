package ad

import (
	"slices"
	"testing"
	"time"

	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

// forestOf is a forest with a site link between Paris and Lyon, every hour, closed for two.
func forestOf() facts.ForestData {
	return facts.ForestData{SiteLinks: []facts.SiteLink{{Sites: []string{"Lyon", "Paris"}, Interval: 60, Closed: 120}}}
}

func dcIn(host, site string) facts.Controller { return facts.Controller{Host: host, Site: site} }

func TestJudgeLink(t *testing.T) {
	t.Parallel()
	now := time.Date(2010, 6, 1, 8, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const minute = time.Minute
	for name, tc := range map[string]struct {
		site string
		link ntds.Link
		want verdict
	}{
		"fresh":                             {"paris", ntds.Link{Success: ago(minute)}, quiet},
		"in the future":                     {"Paris", ntds.Link{Success: ago(-time.Hour)}, quiet},
		"never tried":                       {"Paris", ntds.Link{}, quiet},
		"two hours":                         {"Paris", ntds.Link{Success: ago(2 * time.Hour)}, late},
		"a day":                             {"Paris", ntds.Link{Success: ago(24 * time.Hour)}, veryLate},
		"one failure":                       {"Paris", ntds.Link{Success: ago(minute), Result: 1722, Failures: 1}, quiet},
		"one failure, and late":             {"Paris", ntds.Link{Success: ago(3 * time.Hour), Result: 1722, Failures: 1}, late},
		"two failures":                      {"Paris", ntds.Link{Success: ago(minute), Result: 1722, Failures: 2}, failing},
		"never a success":                   {"Paris", ntds.Link{Result: 1722, Failures: 2}, failing},
		"failures that are over":            {"Paris", ntds.Link{Success: ago(minute), Failures: 7}, quiet},
		"schema mismatch":                   {"Paris", ntds.Link{Success: ago(23 * time.Hour), Result: 8418, Failures: 9}, converging},
		"schema mismatch, never a success":  {"Paris", ntds.Link{Result: 8418, Failures: 9}, converging},
		"schema mismatch for a day":         {"Paris", ntds.Link{Success: ago(24 * time.Hour), Result: 8418, Failures: 99}, failing},
		"another site, seven hours less":    {"Lyon", ntds.Link{Success: ago(7*time.Hour - minute)}, quiet},
		"another site, seven hours":         {"Lyon", ntds.Link{Success: ago(7 * time.Hour)}, late},
		"another site, fourteen hours":      {"Lyon", ntds.Link{Success: ago(14 * time.Hour)}, veryLate},
		"another site, mismatch for longer": {"Lyon", ntds.Link{Success: ago(14 * time.Hour), Result: 8461, Failures: 3}, failing},
		"no site link, a day":               {"Nice", ntds.Link{Success: ago(24 * time.Hour)}, quiet},
		"no site link, 26 hours":            {"Nice", ntds.Link{Success: ago(26 * time.Hour)}, late},
		"no site link, two days":            {"Nice", ntds.Link{Success: ago(48 * time.Hour)}, veryLate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := link{Link: tc.link, dest: dcIn("dc1", "Paris"), source: dcIn("dc2", tc.site)}
			if got := judgeLink(forestOf(), l, now); got != tc.want {
				t.Errorf("judged %d, want %d", got, tc.want)
			}
		})
	}
}

func TestGroupLinks(t *testing.T) {
	t.Parallel()
	from := func(dest, source string, v verdict) link {
		return link{dest: dcIn(dest, "Paris"), source: dcIn(source, "Paris"), partition: "DC=todorovic,DC=adds", verdict: v}
	}
	for name, tc := range map[string]struct {
		links []link
		want  []string
	}{
		"all quiet": {[]link{from("dc1", "dc2", quiet)}, nil},
		"both directions and several partitions": {
			[]link{from("dc1", "dc2", failing), from("dc1", "dc2", failing), from("dc2", "dc1", failing)}, []string{"dc1 and dc2"}},
		"the worst verdict of a pair counts": {[]link{from("dc1", "dc2", late), from("dc2", "dc1", failing)}, []string{"dc1 and dc2"}},
		"one with two others": {
			[]link{from("dc1", "dc3", failing), from("dc2", "dc3", failing), from("dc1", "dc2", quiet)}, []string{"dc3 and its partners"}},
		"one with two others, and a pair of its own": {
			[]link{from("dc1", "dc3", failing), from("dc2", "dc3", failing), from("dc4", "dc5", failing)}, []string{"dc3 and its partners", "dc4 and dc5"}},
		"two pairs": {[]link{from("dc1", "dc2", failing), from("dc4", "dc3", failing)}, []string{"dc1 and dc2", "dc3 and dc4"}},
		"different verdicts are different causes, the worse first": {
			[]link{from("dc1", "dc2", late), from("dc1", "dc3", failing)}, []string{"dc1 and dc3", "dc1 and dc2"}},
		"a source that is down is the one, though its partner has more": {
			[]link{from("dc1", "dc2", sourceDown), from("dc1", "dc3", sourceDown)}, []string{"dc2 and its partners", "dc3 and its partners"}},
		"two of four are down": {
			[]link{from("dc1", "dc3", sourceDown), from("dc2", "dc3", sourceDown), from("dc1", "dc4", sourceDown), from("dc2", "dc4", sourceDown)},
			[]string{"dc3 and its partners", "dc4 and its partners"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, g := range groupLinks(tc.links) {
				got = append(got, g.dcs)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("the groups are %q, want %q", got, tc.want)
			}
		})
	}
}

// A text names five things, however many there are.
func TestDescribeIsBounded(t *testing.T) {
	t.Parallel()
	var links []link
	for _, host := range []string{"dc2", "dc3", "dc4", "dc5", "dc6", "dc7", "dc8"} {
		links = append(links, link{dest: dcIn("dc1", "Paris"), source: dcIn(host, "Paris"), partition: "CN=Schema,CN=Configuration,DC=todorovic,DC=adds"})
	}
	const want = "dc1 from dc2 (Schema): last success never; dc1 from dc3 (Schema): last success never; dc1 from dc4 (Schema): last success never; " +
		"dc1 from dc5 (Schema): last success never; dc1 from dc6 (Schema): last success never and 2 more"
	if got := describe(links); got != want {
		t.Errorf("the description is %q, want %q", got, want)
	}
}
