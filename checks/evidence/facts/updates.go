package facts

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/ntds"
)

// PackageState is the state in which the servicing of Windows holds a package: CurrentState below Component Based Servicing\Packages
// (Microsoft, CBS servicing states chart).
type PackageState uint32

// The states that decide. Below PackageSuperseded, but for the two that wait for a restart, a package is at most downloaded.
const (
	PackageAbsent         PackageState = 0x00
	PackageRemoving       PackageState = 0x05 // it goes at the next restart
	PackageStaged         PackageState = 0x40
	PackageSuperseded     PackageState = 0x50 // a newer package has replaced it
	PackageInstallPending PackageState = 0x60 // it comes at the next restart
	PackagePartial        PackageState = 0x65 // some of it is there, the rest comes at a restart
	PackageInstalled      PackageState = 0x70
	PackagePermanent      PackageState = 0x80 // installed, and cannot be removed
)

func (s PackageState) String() string {
	switch s {
	case PackageAbsent:
		return "absent"
	case PackageRemoving:
		return "to be removed at the next restart"
	case PackageStaged:
		return "staged"
	case PackageSuperseded:
		return "superseded"
	case PackageInstallPending:
		return "to be installed at the next restart"
	case PackagePartial:
		return "installed in part"
	case PackageInstalled:
		return "installed"
	case PackagePermanent:
		return "installed for good"
	}
	return fmt.Sprintf("in state 0x%x", uint32(s))
}

// Installed tells that the files of the package are in use.
func (s PackageState) Installed() bool { return s == PackageInstalled || s == PackagePermanent }

// Pending tells that the next restart changes the package.
func (s PackageState) Pending() bool {
	return s == PackageRemoving || s == PackageInstallPending || s == PackagePartial
}

// Package is one package of the servicing of Windows.
type Package struct {
	// Name is that of its key; on Windows Server 2003 that of the update.
	Name  string       `json:"name"`
	State PackageState `json:"state"`
}

// Update is one update of Windows.
type Update struct {
	// KB is "KB974571".
	KB string `json:"kb"`
	Package
	// At is when it came into that state. On Windows Server 2003 only a day is written down, which may have to be read in two ways.
	At Moment `json:"at"`
}

// UpdateList is what a server's registry says of updates of Windows.
type UpdateList struct {
	// Updates are sorted by KB, each once.
	Updates []Update `json:"updates,omitempty"`
	// Unfinished are the packages of any kind, features too, that wait for a restart, sorted by name.
	Unfinished []Package    `json:"unfinished,omitempty"`
	Cite       evidence.Key `json:"cite"`
}

// Find is the update of that name; one that the server does not know is absent.
func (l UpdateList) Find(kb string) Update {
	for _, u := range l.Updates {
		if strings.EqualFold(u.KB, kb) {
			return u
		}
	}
	return Update{KB: kb}
}

const (
	servicing       = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`
	hotfixes2003    = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\HotFix`
	updates2003     = `HKLM\SOFTWARE\Microsoft\Updates\Windows Server 2003`
	windowsUpdate   = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update`
	sessionManager  = currentControlSet + `\Control\Session Manager`
	pendingRenames  = "PendingFileRenameOperations"
	dateInstalled   = "InstalledDate"
	stateOfPackage  = "CurrentState"
	timeOfPackage   = "InstallTimeHigh"
	timeOfPackageLo = "InstallTimeLow"
)

// HostUpdates are the updates of Windows on a server. What a service pack contains is not listed; see [KB974571].
var HostUpdates = &evidence.Kind[ServerQuestion, UpdateList]{
	Name:   "host.updates",
	Doc:    "the updates of Windows on a server: their states, and since when",
	Needs:  []evidence.AnyKind{HostWindows, Registry},
	Derive: deriveUpdates,
}

func deriveUpdates(r *evidence.Reader, q ServerQuestion) (UpdateList, error) {
	w, err := HostWindows.Get(r, q)
	if err != nil {
		return UpdateList{}, err
	}
	if w.Version == Windows2003 {
		return updates2003Of(r, q)
	}
	question := RegistryQuestion{q.FQDN, servicing + `\Packages`, 1, []string{stateOfPackage, timeOfPackage, timeOfPackageLo}}
	packages, err := Registry.Get(r, question)
	if err != nil {
		return UpdateList{}, err
	}
	l := UpdateList{Cite: Registry.Key(question)}
	if !packages.Exists {
		return UpdateList{}, evidence.FailAt(evidence.Protocol, "the registry of "+q.FQDN+" holds no packages of Windows", l.Cite)
	}
	for _, k := range packages.Keys {
		state, ok := k.DWord(stateOfPackage)
		if !ok {
			continue
		}
		p := Package{Name: k.Name, State: PackageState(state)}
		if p.State.Pending() {
			l.Unfinished = append(l.Unfinished, p)
		}
		kb := parentPackage(k.Name)
		if kb == "" {
			continue
		}
		high, _ := k.DWord(timeOfPackage)
		low, _ := k.DWord(timeOfPackageLo)
		u := Update{KB: kb, Package: p}
		if at := ntds.FileTime(int64(high)<<32 | int64(low)); !at.IsZero() {
			u.At = exactly(at, "by its package")
		}
		l.add(u)
	}
	l.sort()
	return l, nil
}

// add takes in one package of an update. Of several the one that is furthest in use decides: a newer edition replaces the older.
func (l *UpdateList) add(u Update) {
	i := slices.IndexFunc(l.Updates, func(o Update) bool { return o.KB == u.KB })
	switch {
	case i < 0:
		l.Updates = append(l.Updates, u)
	case cmp.Or(cmp.Compare(u.State.use(), l.Updates[i].State.use()), u.At.NotBefore.Compare(l.Updates[i].At.NotBefore)) > 0:
		l.Updates[i] = u
	}
}

// use orders the states by how far a package is in use.
func (s PackageState) use() int {
	order := []PackageState{PackageStaged, PackageInstallPending, PackagePartial, PackageRemoving, PackageSuperseded, PackageInstalled, PackagePermanent}
	return slices.Index(order, s)
}

func (l *UpdateList) sort() {
	slices.SortFunc(l.Updates, func(a, b Update) int { return cmp.Compare(a.KB, b.KB) })
	slices.SortFunc(l.Unfinished, func(a, b Package) int { return cmp.Compare(a.Name, b.Name) })
}

// packageForm is the name of the package that stands for an update as a whole. Those with a number or a suffix are parts of
// it, which may rest in other states: Package_1_for_KB974571~..., Package_for_KB974571_RTM~...
var packageForm = regexp.MustCompile(`(?i)^Package_for_(KB[0-9]{5,8})~31bf3856ad364e35~`)

// parentPackage is the update that a package stands for; "" for any other package.
func parentPackage(name string) string {
	m := packageForm.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	return strings.ToUpper(m[1])
}

var kbForm = regexp.MustCompile(`(?i)^KB[0-9]{5,8}$`)

// updates2003Of reads the keys that update.exe leaves on Windows Server 2003.
func updates2003Of(r *evidence.Reader, q ServerQuestion) (UpdateList, error) {
	questions := []RegistryQuestion{
		{q.FQDN, hotfixes2003, 1, []string{"Installed"}},
		{q.FQDN, updates2003, 2, []string{dateInstalled}}, // by service pack, then by update
	}
	keys, errs := evidence.GetAll(r, Registry, questions)
	for _, err := range errs {
		if err != nil {
			return UpdateList{}, err
		}
	}
	l := UpdateList{Cite: Registry.Key(questions[0])}
	for _, k := range keys[0].Keys {
		if n, _ := k.DWord("Installed"); n == 1 && kbForm.MatchString(k.Name) {
			l.add(Update{KB: strings.ToUpper(k.Name), Package: Package{k.Name, PackageInstalled}})
		}
	}
	for _, pack := range keys[1].Keys {
		for _, k := range pack.Keys {
			if !kbForm.MatchString(k.Name) {
				continue
			}
			u := Update{KB: strings.ToUpper(k.Name), Package: Package{k.Name, PackageInstalled}}
			u.At = dayInstalled(k.Text(dateInstalled))
			l.add(u)
		}
	}
	l.sort()
	return l, nil
}

// dayInstalled reads "10/14/2009". Which of the first two numbers is the month depends on the language of Windows, and the time zone
// is the server's: so the day is given as the span in which it may have been.
func dayInstalled(s string) Moment {
	var m Moment
	for _, form := range []string{"1/2/2006", "2/1/2006"} {
		day, err := time.Parse(form, s)
		if err != nil {
			continue
		}
		// A day begins up to 14 hours before and ends up to 12 hours after that of UTC.
		from, to := day.Add(-14*time.Hour), day.Add(36*time.Hour)
		if m.NotBefore.IsZero() || from.Before(m.NotBefore) {
			m.NotBefore = from
		}
		if to.After(m.NotAfter) {
			m.NotAfter = to
		}
		m.How = "by the day in the registry"
	}
	return m
}

// Effect is whether what an update changes is so on a server.
type Effect string

// The effects.
const (
	EffectAbsent  Effect = "absent"
	EffectPresent Effect = "present"
	// EffectPending comes with the next restart.
	EffectPending Effect = "pending"
	// EffectLeaving is still there, and goes with the next restart.
	EffectLeaving Effect = "leaving"
	// EffectBuiltIn is that of an update which a service pack contains; it is not listed and cannot be removed.
	EffectBuiltIn Effect = "built in"
)

// There tells that the effect is there now.
func (e Effect) There() bool { return e == EffectPresent || e == EffectLeaving || e == EffectBuiltIn }

// EffectOf is the effect of an update that Service Pack 1 of Windows Server 2008 R2 is believed to contain, as KB974571 and KB975858;
// there it stays whatever the package is in. One that was replaced is in effect by what replaced it.
func EffectOf(u Update, w Windows) Effect {
	switch {
	case w.Version == Windows2008R2 && w.ServicePack > 0:
		return EffectBuiltIn
	case u.State == PackageRemoving:
		return EffectLeaving
	case u.State.Installed(), u.State == PackageSuperseded:
		return EffectPresent
	case u.State.Pending():
		return EffectPending
	}
	return EffectAbsent
}

// Removable tells that the update can be taken away by itself: neither another one has replaced it, nor is it there for good.
func (u Update) Removable() bool { return u.State == PackageInstalled }

// KB974571 is the update of certificate decoding (MS09-056) after which OCS takes its licence for an expired trial.
const KB974571 = "KB974571"

// RestartReason is something that a server will finish at its next restart.
type RestartReason struct {
	// What says what waits: "an update of Windows".
	What string       `json:"what"`
	Cite evidence.Key `json:"cite"`
}

// Restart is whether a server waits for a restart.
type Restart struct {
	// Reasons is empty when it does not.
	Reasons []RestartReason `json:"reasons,omitempty"`
}

// HostRestart is whether a server waits for a restart, and for what.
var HostRestart = &evidence.Kind[ServerQuestion, Restart]{
	Name:   "host.restart",
	Doc:    "whether a server waits for a restart, and what it will finish then",
	Needs:  []evidence.AnyKind{HostWindows, Registry, HostUpdates},
	Derive: deriveRestart,
}

func deriveRestart(r *evidence.Reader, q ServerQuestion) (Restart, error) {
	w, err := HostWindows.Get(r, q)
	if err != nil {
		return Restart{}, err
	}
	questions := []RegistryQuestion{
		{q.FQDN, windowsUpdate + `\RebootRequired`, 0, nil},
		{q.FQDN, sessionManager, 0, []string{pendingRenames}},
	}
	if w.Version != Windows2003 {
		questions = append(questions, RegistryQuestion{q.FQDN, servicing + `\RebootPending`, 0, nil})
	}
	var updates UpdateList
	var updatesErr error
	var keys []RegistryKey
	var errs []error
	evidence.Parallel(func() { updates, updatesErr = HostUpdates.Get(r, q) }, func() { keys, errs = evidence.GetAll(r, Registry, questions) })
	for _, err := range append(errs, updatesErr) {
		if err != nil {
			return Restart{}, err
		}
	}
	var out Restart
	add := func(what string, cite evidence.Key) { out.Reasons = append(out.Reasons, RestartReason{what, cite}) }
	if keys[0].Exists {
		add("Windows Update has installed something", Registry.Key(questions[0]))
	}
	if files := renames(keys[1].Bytes(pendingRenames)); len(files) > 0 {
		add("files are to be replaced: "+Few(files, ", ", 3), Registry.Key(questions[1]))
	}
	if len(keys) > 2 && keys[2].Exists {
		add("the servicing of Windows says so", Registry.Key(questions[2]))
	}
	var names []string
	for _, p := range updates.Unfinished {
		if p.State != PackagePartial { // which may rest so for years
			names = append(names, p.Name+", "+p.State.String())
		}
	}
	if len(names) > 0 {
		add(Few(names, "; ", 3), updates.Cite)
	}
	return out, nil
}

// renames are the files that a restart will replace or delete, from pairs of source and target; an empty target deletes. Print spoolers,
// scanners for viruses and set-ups that tidy up their temporary files leave such orders all the time: those say nothing.
func renames(data []byte) []string {
	parts := strings.Split(UTF16(data), "\x00")
	var files []string
	for i := 0; i+1 < len(parts); i += 2 {
		source, target := strings.TrimPrefix(parts[i], `\??\`), parts[i+1]
		if source == "" {
			break
		}
		if !noise(strings.ToLower(source), target == "") {
			files = append(files, source)
		}
	}
	return files
}

// noise tells of the lower-case path of a file whether its replacement says nothing.
func noise(file string, deleted bool) bool {
	folders := []string{
		`\system32\spool\`, `\windows defender\`, `\microsoft security client\`, `\microsoft forefront`, `\symantec`, `\mcafee`, `\kaspersky`,
		`\trend micro\`, `\sophos\`, `\eset\`, `\avira\`, `\avg`, `\f-secure\`, `\panda`,
	}
	if deleted {
		folders = append(folders, `\temp\`, `\tmp\`)
	}
	return slices.ContainsFunc(folders, func(f string) bool { return strings.Contains(file, f) })
}
