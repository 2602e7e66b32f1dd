package patch

import (
	"cmp"
	"strconv"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	updateNone = &checks.Message{
		Tag:      "none",
		Severity: checks.Warning,
		Text:     "{server} has OCS 2007 R2 as it was released, without any cumulative update: {versions}",
	}
	updateLevel = &checks.Message{
		Tag:      "level",
		Severity: checks.Notice,
		Text:     "{server} has a cumulative update of OCS 2007 R2: {versions}",
	}
)

// releaseBuild is the last number of the first release, 3.5.6907.0.
const release, releaseBuild = "3.5.6907.", 0

var _ = register(&checks.Check{
	ID:       "patch/cumulative-update",
	Title:    "the OCS server has a cumulative update",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Update,
	Needs:    []evidence.AnyKind{facts.HostOCS, facts.HostWindows, facts.Registry, facts.FileVersion},
	Messages: []*checks.Message{updateNone, updateLevel},
	Run:      cumulativeUpdate,
})

// cumulativeUpdate reads the versions of the services' programs. An update ships only the programs that it changes, so that those which change
// seldom are looked at only where the two that nearly every update changes are as released.
func cumulativeUpdate(p *checks.Pass) error {
	ocs, err := facts.HostOCS.Get(p.Facts, server(p))
	switch {
	case err != nil:
		return err
	case !ocs.Installed:
		return checks.NotApplicable("OCS is not installed")
	case ocs.Version != "" && !strings.HasPrefix(ocs.Version, "3.5"):
		return checks.NotApplicable("OCS on it is not 2007 R2 but version " + ocs.Version)
	}
	w, err := facts.HostWindows.Get(p.Facts, server(p))
	if err != nil {
		return err
	}
	var versions []string
	cites := []evidence.Key{ocs.Cite}
	for _, services := range [][]string{{facts.FrontEndService, "RTCIMMCU"}, {"RTCDATAMCU", "RTCAVMCU", "RTCAPPSRV"}} {
		files, err := programsOf(p, services)
		if err != nil {
			return err
		}
		updated := false
		for _, f := range files {
			versions = append(versions, f.name+" "+f.version)
			cites = append(cites, f.cite)
			build, _ := strings.CutPrefix(f.version, release)
			n, err := strconv.Atoi(build)
			if err != nil {
				return evidence.FailAt(evidence.Protocol, f.name+" of "+p.Subject.Name+" has the version "+strconv.Quote(f.version)+", which is none of OCS 2007 R2", f.cite)
			}
			updated = updated || n > releaseBuild
		}
		if updated {
			p.Report(updateLevel, cites, checks.A("server", p.Subject.Name), checks.A("versions", strings.Join(versions, ", ")))
			return nil
		}
	}
	if len(versions) == 0 {
		return checks.NotApplicable("none of the programs of a front end is on it")
	}
	p.Report(updateNone, cites, checks.A("server", p.Subject.Name), checks.A("versions", strings.Join(versions, ", ")), checks.A("generation", w.Generation()))
	return nil
}

// programFile is the program of a service with its version.
type programFile struct {
	name, version string
	cite          evidence.Key
}

// programsOf reads the versions of the programs of those of the services that the server has.
func programsOf(p *checks.Pass, services []string) ([]programFile, error) {
	var questions []facts.RegistryQuestion
	for _, s := range services {
		questions = append(questions, facts.ServiceConfigQuestion(p.Subject.Name, s))
	}
	keys, errs := evidence.GetAll(p.Facts, facts.Registry, questions)
	if err := cmp.Or(errs...); err != nil {
		return nil, err
	}
	var asked []facts.FileQuestion
	for _, k := range keys {
		if path := programOf(k.Text("ImagePath")); path != "" {
			asked = append(asked, facts.FileQuestion{Host: p.Subject.Name, Path: path})
		}
	}
	found, errs := evidence.GetAll(p.Facts, facts.FileVersion, asked)
	if err := cmp.Or(errs...); err != nil {
		return nil, err
	}
	var out []programFile
	for i, v := range found {
		if v.Exists {
			path := asked[i].Path
			out = append(out, programFile{path[strings.LastIndex(path, `\`)+1:], v.Version, facts.FileVersion.Key(asked[i])})
		}
	}
	return out, nil
}

// programOf is the program of a command line: "C:\Program Files\...\RTCSrv.exe" with or without quotes, and what may follow.
func programOf(command string) string {
	command = strings.TrimPrefix(strings.TrimSpace(command), `"`)
	const extension = ".exe"
	i := strings.Index(strings.ToLower(command), extension)
	if i < 0 {
		return ""
	}
	return command[:i+len(extension)]
}
