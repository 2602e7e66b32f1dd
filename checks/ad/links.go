package ad

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

// verdict is what the rule says of a replication link, the worse the higher.
type verdict int

const (
	quiet       verdict = iota
	late                // the last success is older than it should be
	converging          // it fails as it does for a while after a change of the schema
	veryLate            // nothing has come for much too long
	failing             // it fails again and again
	clockOff            // it fails, and the clocks of the two are too far apart for Kerberos
	nameMissing         // it fails, and DNS does not have the name by which the source is found
	sourceDown          // the source cannot be reached from here either
)

// ofSource tells whether the fault is known to be that of the link's source.
func (v verdict) ofSource() bool { return v == sourceDown || v == nameMissing }

// link is one partition that a domain controller pulls from another.
type link struct {
	ntds.Link
	dest, source facts.Controller
	partition    string // DN
	verdict      verdict
	// cites are the facts that show it.
	cites []evidence.Key
}

// The limits of the time since the last success, for links within a site and for those whose schedule is not known. Within a site
// a domain controller pulls at least every hour.
const (
	siteLate, siteFail       = 2 * time.Hour, 24 * time.Hour
	unknownLate, unknownFail = 26 * time.Hour, 48 * time.Hour
)

// limits are the times without a success after which a link between two domain controllers is late, and very late. Between sites
// two turns of the site link may be missed, the time included for which its schedule is closed.
func limits(forest facts.ForestData, a, b facts.Controller) (warn, fail time.Duration) {
	if strings.EqualFold(a.Site, b.Site) {
		return siteLate, siteFail
	}
	interval, closed, ok := forest.Link(a.Site, b.Site)
	if !ok {
		return unknownLate, unknownFail
	}
	warn = 2*time.Duration(interval+closed)*time.Minute + time.Hour
	return warn, 2 * warn
}

// minFailures is how many failures in a row make a link fail: a single one is repeated soon, and often succeeds.
const minFailures = 2

// judgeLink judges a link at a time of its destination's clock. One that was never tried, or failed once since it was made, is quiet.
func judgeLink(forest facts.ForestData, l link, now time.Time) verdict {
	warn, fail := limits(forest, l.dest, l.source)
	age := now.Sub(l.Success)
	if l.Result != 0 && l.Failures >= minFailures {
		if ntds.Transient(l.Result) && (l.Success.IsZero() || age < fail) {
			return converging
		}
		return failing
	}
	switch {
	case l.Success.IsZero() || age < warn:
		return quiet
	case age < fail:
		return late
	}
	return veryLate
}

// maxSkew is how far Kerberos lets two clocks differ unless a policy says otherwise (MaxClockSkew; RFC 4120, section 1.6).
const maxSkew = 5 * time.Minute

// clocksApart tells whether two domain controllers' clocks are too far apart for Kerberos.
func clocksApart(a, b dcState) bool {
	x, okX := a.ahead()
	y, okY := b.ahead()
	return okX && okY && (x-y).Abs() >= maxSkew
}

// saysOfNoClock are the results of attempts that ended before anyone had to prove who he is, or for a reason of their own: no
// clock explains them.
var saysOfNoClock = []uint32{58, 1225, 1232, 1722, 1753, 8451, 8452, 8456, 8457, 8524, 8606, 8614}

// nameNotFound is the result of a link whose source could not be found in DNS.
const nameNotFound = 8524

// findCauses looks for what is known to make links fail: a source that cannot be reached or is not in DNS, and clocks that differ.
func findCauses(p *checks.Pass, dcs []dcState, links []link) {
	state := func(c facts.Controller) dcState {
		i := slices.IndexFunc(dcs, func(d dcState) bool { return d.Host == c.Host })
		if i < 0 {
			return dcState{Controller: c, ask: c.Host}
		}
		return dcs[i]
	}
	sources, names := map[string]*contact{}, map[ntds.GUID]*absentName{}
	for _, l := range links {
		if l.verdict != quiet {
			sources[state(l.source).ask] = &contact{}
		}
		if l.verdict == failing && l.Result == nameNotFound {
			names[l.source.DSA] = &absentName{}
		}
	}
	var fns []func()
	for ask, c := range sources {
		fns = append(fns, func() { *c = reach(p, ask) })
	}
	for dsa, n := range names {
		fns = append(fns, func() { *n = lookForName(p, dsa) })
	}
	evidence.Parallel(fns...)
	for i := range links {
		l := &links[i]
		if l.verdict == quiet {
			continue
		}
		dest, source := state(l.dest), state(l.source)
		switch c := sources[source.ask]; {
		case c.down != "":
			l.verdict, l.cites = sourceDown, append(l.cites, c.cite)
		case l.verdict == failing && l.Result == nameNotFound && names[l.source.DSA].absent:
			l.verdict, l.cites = nameMissing, append(l.cites, names[l.source.DSA].cite)
		case l.verdict == failing && clocksApart(dest, source) && !slices.Contains(saysOfNoClock, l.Result):
			l.verdict = clockOff
			l.cites = append(l.cites, facts.RootDSE.Key(facts.DCQuestion{DC: dest.ask}), facts.RootDSE.Key(facts.DCQuestion{DC: source.ask}))
		}
	}
}

// absentName is the name by which the partners of a domain controller find it, and whether DNS does not have it.
type absentName struct {
	absent bool
	cite   evidence.Key
}

func lookForName(p *checks.Pass, dsa ntds.GUID) absentName {
	dir, err := facts.Directory.Get(p.Facts, evidence.None{})
	if err != nil {
		return absentName{}
	}
	q := facts.LookupQuestion{Name: string(dsa) + "._msdcs." + dir.Forest, Type: "A", View: facts.Inside}
	found, err := facts.DNSLookup.Get(p.Facts, q)
	p.Excuse(err, "the link is known to fail, only not why")
	return absentName{err == nil && len(found.Records) == 0, facts.DNSLookup.Key(q)}
}

// reachNeeds are the kinds that reach reads, causeNeeds those that findCauses reads.
var (
	reachNeeds = []evidence.AnyKind{facts.NetConnect, facts.Addresses}
	causeNeeds = slices.Concat(reachNeeds, []evidence.AnyKind{facts.Directory, facts.DNSLookup})
)

// group is bad links that have one cause: those between two domain controllers, or all those of one.
type group struct {
	verdict verdict
	// dcs names the domain controllers: "dc1 and dc2", or "dc3 and its partners".
	dcs   string
	links []link
}

// groupLinks puts bad links together. Both directions and all partitions between two domain controllers are one group, with the
// worst verdict among them. Where pairs share a domain controller, that one is the group: the one with the most pairs first.
// Where the fault is known to be the source's, that is the one.
func groupLinks(links []link) []group {
	type pair [2]string
	pairs := map[pair][]link{}
	for _, l := range links {
		if l.verdict != quiet {
			k := pair{min(l.dest.Host, l.source.Host), max(l.dest.Host, l.source.Host)}
			pairs[k] = append(pairs[k], l)
		}
	}
	byVerdict := map[verdict]map[pair][]link{}
	for k, list := range pairs {
		worst := slices.MaxFunc(list, func(a, b link) int { return cmp.Compare(a.verdict, b.verdict) }).verdict
		if byVerdict[worst] == nil {
			byVerdict[worst] = map[pair][]link{}
		}
		byVerdict[worst][k] = list
	}
	var out []group
	for _, v := range slices.Backward(slices.Sorted(maps.Keys(byVerdict))) {
		left := byVerdict[v]
		for len(left) > 0 {
			keys := slices.SortedFunc(maps.Keys(left), func(a, b pair) int { return slices.Compare(a[:], b[:]) })
			center, n := busiest(slices.Collect(maps.Values(left)), v)
			g := group{verdict: v, dcs: center + " and its partners"}
			if n < 2 && !v.ofSource() {
				keys = keys[:1]
				center, g.dcs = keys[0][0], keys[0][0]+" and "+keys[0][1]
			}
			for _, k := range keys {
				if slices.Contains(k[:], center) {
					g.links = append(g.links, left[k]...)
					delete(left, k)
				}
			}
			out = append(out, g)
		}
	}
	return out
}

// busiest is the domain controller that most pairs have in common, the first by name, and in how many it is. Where the fault is
// known to be the source's only sources count.
func busiest(pairs [][]link, v verdict) (host string, n int) {
	count := map[string]int{}
	for _, list := range pairs {
		in := map[string]bool{}
		for _, l := range list {
			if !v.ofSource() {
				in[l.dest.Host] = true
			}
			if !v.ofSource() || l.verdict == v {
				in[l.source.Host] = true
			}
		}
		for h := range in {
			count[h]++
		}
	}
	for _, h := range slices.Sorted(maps.Keys(count)) {
		if count[h] > n {
			host, n = h, count[h]
		}
	}
	return host, n
}

// secondary is the result which says that another partition's link shows the reason.
const secondary = 1256

// args are the arguments that texts and fixes use. The commands are about the link that is worst.
func (g group) args(route string) []checks.Arg {
	links := slices.Clone(g.links)
	slices.SortStableFunc(links, func(a, b link) int {
		return cmp.Or(cmp.Compare(b.verdict, a.verdict), a.Success.Compare(b.Success), strings.Compare(a.dest.Host+a.source.Host, b.dest.Host+b.source.Host))
	})
	worst, told := links[0], links[0]
	if i := slices.IndexFunc(links, func(l link) bool { return l.Result != 0 && l.Result != secondary }); i >= 0 {
		told = links[i]
	}
	return []checks.Arg{
		checks.A("dcs", g.dcs), checks.A("links", describe(g.links)), checks.A("code", ntds.Code(told.Result)), checks.A("meaning", ntds.Meaning(told.Result)),
		checks.A("remedy", ntds.Remedy(told.Result)), checks.A("route", route), checks.A("dest", worst.dest.Host), checks.A("source", worst.source.Host),
		checks.A("partition", worst.partition), checks.A("success", moment(worst.Success)),
	}
}

// cites are the facts that show a group, each once.
func (g group) cites() []evidence.Key {
	var keys []evidence.Key
	for _, l := range g.links {
		keys = append(keys, l.cites...)
	}
	slices.SortFunc(keys, func(a, b evidence.Key) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(keys)
}

// describe tells of the links of a group, direction by direction.
func describe(links []link) string {
	byDirection := map[string][]link{}
	for _, l := range links {
		direction := l.dest.Host + " from " + l.source.Host
		byDirection[direction] = append(byDirection[direction], l)
	}
	var out []string
	for _, direction := range slices.Sorted(maps.Keys(byDirection)) {
		list := byDirection[direction]
		var names, codes []string
		var failures uint32
		oldest := list[0].Success
		for _, l := range list {
			names = append(names, partitionName(l.partition))
			failures = max(failures, l.Failures)
			if l.Success.Before(oldest) {
				oldest = l.Success
			}
			if l.Result != 0 && !slices.Contains(codes, ntds.Code(l.Result)) {
				codes = append(codes, ntds.Code(l.Result))
			}
		}
		slices.Sort(names)
		words := fmt.Sprintf("%s (%s): last success %s", direction, facts.Few(names, ", ", maxNamed), moment(oldest))
		if failures > 0 {
			words += fmt.Sprintf(", %s since", facts.Count(int(failures), "failure"))
		}
		if len(codes) > 0 {
			slices.Sort(codes)
			words += ", error " + strings.Join(codes, ", ")
		}
		out = append(out, words)
	}
	return facts.Few(out, "; ", maxNamed)
}

// partitionName is how a text names a partition: the DNS name of a domain or application partition, else the first part of its DN.
func partitionName(dn string) string {
	if d := facts.DomainOfDN(dn); d != "" {
		return d
	}
	first, _, _ := strings.Cut(dn, ",")
	_, name, _ := strings.Cut(first, "=")
	return name
}

// linkMessages are what the checks of inbound links report, by verdict.
type linkMessages map[verdict]*checks.Message

func newLinkMessages() linkMessages {
	message := func(tag string, severity checks.Severity, text string, causes ...string) *checks.Message {
		return &checks.Message{Tag: tag, Severity: severity, Text: text, Identity: []string{"dcs"}, ExplainedBy: causes}
	}
	return linkMessages{
		late:       message("late", checks.Warning, "replication between {dcs} is late according to {route}: {links}"),
		converging: message("converging", checks.Warning, "replication between {dcs} waits, as it does after a change of the schema ({code}: {meaning}), according to {route}: {links}"),
		veryLate:   message("very-late", checks.Error, "replication between {dcs} has stood still for much too long according to {route}: {links}"),
		failing:    message("failing", checks.Error, "replication between {dcs} fails ({code}: {meaning}) according to {route}: {links}"),
		clockOff: message("clock", checks.Error, "replication between {dcs}, whose clocks are 5 minutes or more apart, fails ({code}: {meaning}) according to {route}: {links}",
			"ad/dc-clock-skew:dc-off", "ad/dc-clock-skew:dc-drifting"),
		nameMissing: message("name-missing", checks.Error, "replication between {dcs} fails, as DNS does not have the name by which {source} is found, according to {route}: {links}",
			"dns/ad-locator-records:guid-missing", "dns/ad-locator-records:srv-missing"),
		sourceDown: message("source-down", checks.Error, "{source}, from which others replicate, cannot be reached; according to {route}: {links}", "ad/dc-reachable"),
	}
}

func (m linkMessages) all() []*checks.Message {
	var out []*checks.Message
	for _, v := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[v])
	}
	return out
}

// report judges links, looks for causes and reports the bad ones.
func (m linkMessages) report(p *checks.Pass, forest facts.ForestData, dcs []dcState, links []link, route string) {
	for i := range links {
		at := slices.IndexFunc(dcs, func(d dcState) bool { return d.Host == links[i].dest.Host })
		links[i].verdict = judgeLink(forest, links[i], dcs[at].now(p))
	}
	findCauses(p, dcs, links)
	for _, g := range groupLinks(links) {
		p.Report(m[g.verdict], g.cites(), g.args(route)...)
	}
}

// liveSource is the domain controller that a link comes from; ok is false when it is gone.
func liveSource(forest facts.ForestData, dsa ntds.GUID) (facts.Controller, bool) {
	i := slices.IndexFunc(forest.Controllers, func(c facts.Controller) bool { return c.DSA == dsa })
	if i < 0 {
		return facts.Controller{}, false
	}
	return forest.Controllers[i], true
}

// unlinked is the failure to see where a domain controller gets a partition from that another writable one holds too; nil when
// each has a link from a domain controller that is alive.
func unlinked(forest facts.ForestData, d dcState, links []link, route string, cite evidence.Key) error {
	for _, partition := range d.Partitions {
		held := slices.ContainsFunc(forest.Controllers, func(c facts.Controller) bool {
			return c.Host != d.Host && !c.ReadOnly && holds(c, partition)
		})
		linked := slices.ContainsFunc(links, func(l link) bool { return l.dest.Host == d.Host && strings.EqualFold(l.partition, partition) })
		if held && !linked {
			return evidence.FailAt(evidence.Protocol, d.Host+" shows in "+route+" no domain controller from which it replicates "+partition, cite)
		}
	}
	return nil
}

func holds(c facts.Controller, partition string) bool {
	return slices.ContainsFunc(c.Partitions, func(p string) bool { return strings.EqualFold(p, partition) })
}
