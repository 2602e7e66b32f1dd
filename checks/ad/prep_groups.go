package ad

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	groupsMissing = &checks.Message{
		Tag:      "missing",
		Severity: checks.Error,
		Text:     "groups that forest preparation makes are missing in {forest}: {groups}",
		// The groups are read through one domain controller, which may be the one that they have not reached.
		ExplainedBy: append([]string{"ad/prep-forest:not-prepared", "ad/prep-forest:r1-only", "ad/prep-forest-converged:not-everywhere"}, unpreparedSchema...),
	}
	groupsNotUniversal = &checks.Message{
		Tag:      "not-universal",
		Severity: checks.Error,
		Text:     "groups of OCS in {forest} are not universal security groups any more: {groups}",
	}
	groupsNesting = &checks.Message{
		Tag:      "nesting-missing",
		Severity: checks.Error,
		Text:     "groups of OCS in {forest} are no longer members of each other as forest preparation makes them: {memberships}",
	}
)

// universalSecurity is the groupType of a universal security group ([MS-ADTS] 2.2.12).
const universalSecurity = -2147483640

// nesting is which groups forest preparation makes members of which.
var nesting = []struct {
	member string
	groups []string
}{
	{"RTCUniversalServerAdmins", append([]string{"RTCUniversalGlobalWriteGroup"}, readOnlyGroups...)},
	{"RTCUniversalUserAdmins", readOnlyGroups},
	{"RTCUniversalReadOnlyAdmins", readOnlyGroups},
	{"RTCHSUniversalServices", readOnlyGroups},
	{"RTCComponentUniversalServices", readOnlyGroups},
}

var readOnlyGroups = []string{"RTCUniversalGlobalReadOnlyGroup", "RTCUniversalServerReadOnlyGroup", "RTCUniversalUserReadOnlyGroup"}

var _ = register(&checks.Check{
	ID:       "ad/prep-groups",
	Title:    "the groups of OCS exist, are universal and are members of each other",
	Scope:    checks.ScopeForest,
	Phases:   checks.BothPhases,
	After:    checks.ForestPrep,
	Needs:    []evidence.AnyKind{facts.Directory, facts.ForestSettings, facts.Groups},
	Messages: []*checks.Message{groupsMissing, groupsNotUniversal, groupsNesting},
	Run: func(p *checks.Pass) error {
		groups, err := facts.Groups.Get(p.Facts, evidence.None{})
		if err != nil {
			return err
		}
		var missing []string
		var other []facts.Group
		for _, name := range facts.RTCGroups {
			if g, ok := groups.Find(name); !ok {
				missing = append(missing, name)
			} else if g.Type != universalSecurity {
				other = append(other, g)
			}
		}
		cites := []evidence.Key{groups.Cite}
		if len(missing) > 0 {
			home := p.Subject.Name
			if len(groups.Groups) > 0 {
				home = facts.DomainOfDN(facts.DomainPart(groups.Groups[0].DN))
			}
			p.Report(groupsMissing, cites, checks.A("forest", p.Subject.Name), checks.A("groups", facts.Few(missing, ", ", maxNamed)),
				checks.A("home", home), checks.A("global", globalOption(p)))
		}
		if len(other) > 0 {
			p.Report(groupsNotUniversal, cites, checks.A("forest", p.Subject.Name), checks.A("groups", facts.Few(groupNames(other), ", ", maxNamed)), checks.A("dn", other[0].DN))
		}
		if absent := absentMemberships(groups); len(absent) > 0 {
			var names []string
			for _, m := range absent {
				names = append(names, m.member.Name+" in "+m.group.Name)
			}
			p.Report(groupsNesting, cites, checks.A("forest", p.Subject.Name), checks.A("memberships", facts.Few(names, ", ", maxNamed)),
				checks.A("group", absent[0].group.DN), checks.A("member", absent[0].member.DN))
		}
		return nil
	},
})

func groupNames(groups []facts.Group) []string {
	var out []string
	for _, g := range groups {
		out = append(out, g.Name)
	}
	return out
}

// membership is a group that belongs into another.
type membership struct{ group, member facts.Group }

// absentMemberships are those that forest preparation makes and that are gone, of groups that exist. A group that is not universal is
// left out: a global catalog does not hold its members.
func absentMemberships(groups facts.GroupList) []membership {
	var out []membership
	for _, n := range nesting {
		member, ok := groups.Find(n.member)
		for _, name := range n.groups {
			group, found := groups.Find(name)
			if ok && found && group.Type == universalSecurity &&
				!slices.ContainsFunc(group.Members, func(dn string) bool { return strings.EqualFold(dn, member.DN) }) {
				out = append(out, membership{group, member})
			}
		}
	}
	return out
}

// globalOption is where the forest has its settings, as ForestPrep is told. It is only wanted for a fix.
func globalOption(p *checks.Pass) string {
	dir, err := facts.Directory.Get(p.Facts, evidence.None{})
	p.Excuse(err, wantedForFix)
	places, err := facts.ForestSettings.Get(p.Facts, facts.DCQuestion{DC: dir.DC})
	p.Excuse(err, wantedForFix)
	if _, ok := place(places, facts.InConfiguration); !ok && len(places) > 0 {
		return "system"
	}
	return "configuration"
}

const wantedForFix = "it is only wanted for the command of the fix"
