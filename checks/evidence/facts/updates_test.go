package facts_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

const host = "ocs.ad.example"

var updatesOf = facts.ServerQuestion{FQDN: host}

func regText(name, s string) facts.RegistryValue {
	return facts.RegistryValue{Name: name, Type: facts.RegSZ, Data: utf16le(s + "\x00")}
}

func regDWord(name string, n uint32) facts.RegistryValue {
	return facts.RegistryValue{Name: name, Type: facts.RegDWord, Data: binary.LittleEndian.AppendUint32(nil, n)}
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func regKey(name string, values ...facts.RegistryValue) facts.RegistryKey {
	return facts.RegistryKey{Name: name, Exists: true, Values: values}
}

// below puts keys under another.
func below(k facts.RegistryKey, keys ...facts.RegistryKey) facts.RegistryKey {
	k.Keys = append(k.Keys, keys...)
	return k
}

// windows are the facts by which a server is known to run a version of Windows.
func windows(version, build, pack string) map[evidence.Key]any {
	ask := func(key string, values ...string) evidence.Key {
		return facts.Registry.Key(facts.RegistryQuestion{Host: host, Key: key, Values: values})
	}
	return map[evidence.Key]any{
		ask(`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "CSDVersion", "CurrentBuildNumber", "CurrentVersion", "ProductName", "SystemRoot"): regKey("CurrentVersion",
			regText("CurrentVersion", version), regText("CurrentBuildNumber", build), regText("CSDVersion", pack), regText("SystemRoot", `C:\Windows`)),
		ask(`HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment`, "PROCESSOR_ARCHITECTURE"):  regKey("Environment", regText("PROCESSOR_ARCHITECTURE", "AMD64")),
		ask(`HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions`, "ProductType"):                          regKey("ProductOptions", regText("ProductType", "ServerNT")),
		ask(`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`, "Domain", "Hostname", "NV Hostname"): regKey("Parameters"),
	}
}

const packagesKey = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages`

func packagesAsked() evidence.Key {
	return facts.Registry.Key(facts.RegistryQuestion{Host: host, Key: packagesKey, Depth: 1, Values: []string{"CurrentState", "InstallTimeHigh", "InstallTimeLow"}})
}

func cbsPackage(name string, state uint32, at time.Time) facts.RegistryKey {
	v := ntds.ToFileTime(at)
	return regKey(name, regDWord("CurrentState", state), regDWord("InstallTimeHigh", uint32(v>>32)), regDWord("InstallTimeLow", uint32(v)))
}

func updates(t *testing.T, known map[evidence.Key]any) facts.UpdateList {
	t.Helper()
	l, err := facts.HostUpdates.Get(world{other: known}.reader(t), updatesOf)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestUpdatesAreReadFromTheirParentPackage(t *testing.T) {
	t.Parallel()
	at := time.Date(2009, 10, 14, 3, 4, 5, 0, time.UTC)
	const kb, tail = "KB974571", "~31bf3856ad364e35~amd64~~6.1.1.1"
	for name, c := range map[string]struct {
		packages  []facts.RegistryKey
		state     facts.PackageState
		effect    facts.Effect
		removable bool
		waits     int
	}{
		"installed":              {[]facts.RegistryKey{cbsPackage("Package_for_KB974571"+tail, 0x70, at)}, facts.PackageInstalled, facts.EffectPresent, true, 0},
		"installed for good":     {[]facts.RegistryKey{cbsPackage("Package_for_KB974571"+tail, 0x80, at)}, facts.PackagePermanent, facts.EffectPresent, false, 0},
		"replaced by a newer":    {[]facts.RegistryKey{cbsPackage("Package_for_KB974571"+tail, 0x50, at)}, facts.PackageSuperseded, facts.EffectPresent, false, 0},
		"comes at a restart":     {[]facts.RegistryKey{cbsPackage("Package_for_KB974571"+tail, 0x60, at)}, facts.PackageInstallPending, facts.EffectPending, false, 1},
		"goes at a restart":      {[]facts.RegistryKey{cbsPackage("Package_for_KB974571"+tail, 0x05, at)}, facts.PackageRemoving, facts.EffectLeaving, false, 1},
		"downloaded only":        {[]facts.RegistryKey{cbsPackage("Package_for_KB974571"+tail, 0x40, at)}, facts.PackageStaged, facts.EffectAbsent, false, 0},
		"not known":              {[]facts.RegistryKey{cbsPackage("Microsoft-Windows-Foundation-Package"+tail, 0x70, at)}, facts.PackageAbsent, facts.EffectAbsent, false, 0},
		"a part is no update":    {[]facts.RegistryKey{cbsPackage("Package_1_for_KB974571"+tail, 0x70, at), cbsPackage("Package_for_KB974571_RTM"+tail, 0x70, at)}, facts.PackageAbsent, facts.EffectAbsent, false, 0},
		"a part rests elsewhere": {[]facts.RegistryKey{cbsPackage("Package_1_for_KB974571"+tail, 0x20, at), cbsPackage("package_FOR_kb974571"+tail, 0x70, at)}, facts.PackageInstalled, facts.EffectPresent, true, 0},
		"two editions": {[]facts.RegistryKey{
			cbsPackage("Package_for_KB974571~31bf3856ad364e35~amd64~~6.1.1.2", 0x70, at), cbsPackage("Package_for_KB974571"+tail, 0x50, at.AddDate(0, 0, 9)),
		}, facts.PackageInstalled, facts.EffectPresent, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			known := windows("6.1", "7600", "")
			known[packagesAsked()] = below(regKey("Packages"), c.packages...)
			l := updates(t, known)
			u := l.Find(kb)
			if effect := facts.EffectOf(u, facts.Windows{Version: "6.1"}); u.State != c.state || effect != c.effect || u.Removable() != c.removable || len(l.Unfinished) != c.waits {
				t.Errorf("%+v, effect %s, unfinished %v", u, effect, l.Unfinished)
			}
			if u.State != facts.PackageAbsent && (!u.At.Exact() || !u.At.NotBefore.Equal(at)) {
				t.Errorf("installed at %+v", u.At)
			}
		})
	}
}

// The fix is inside Service Pack 1 of 2008 R2, whatever stands among the packages.
func TestServicePack1HasTheEffectBuiltIn(t *testing.T) {
	t.Parallel()
	sp1 := facts.Windows{Version: "6.1", Build: 7601, ServicePack: 1}
	for _, state := range []facts.PackageState{facts.PackageAbsent, facts.PackageStaged, facts.PackageInstalled, facts.PackageSuperseded} {
		if e := facts.EffectOf(facts.Update{Package: facts.Package{State: state}}, sp1); e != facts.EffectBuiltIn {
			t.Errorf("%s: %s", state, e)
		}
	}
	if e := facts.EffectOf(facts.Update{}, facts.Windows{Version: "6.0", ServicePack: 2}); e != facts.EffectAbsent {
		t.Errorf("Service Pack 2 of 2008: %s", e)
	}
}

func TestUpdatesOfWindowsServer2003(t *testing.T) {
	t.Parallel()
	known := windows("5.2", "3790", "Service Pack 2")
	known[facts.Registry.Key(facts.RegistryQuestion{Host: host, Key: `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\HotFix`, Depth: 1, Values: []string{"Installed"}})] = below(regKey("HotFix"),
		regKey("KB974571", regDWord("Installed", 1)), regKey("KB900001", regDWord("Installed", 0)), regKey("Q147222", regDWord("Installed", 1)))
	known[facts.Registry.Key(facts.RegistryQuestion{Host: host, Key: `HKLM\SOFTWARE\Microsoft\Updates\Windows Server 2003`, Depth: 2, Values: []string{"InstalledDate"}})] = below(regKey("Windows Server 2003"),
		below(regKey("SP3"), regKey("KB974571", regText("InstalledDate", "10/14/2009")), regKey("KB953990", regText("InstalledDate", "3/4/2010")), regKey("KB956572", regText("InstalledDate", "gestern"))))
	l := updates(t, known)
	var names []string
	for _, u := range l.Updates {
		names = append(names, u.KB)
	}
	if !slices.Equal(names, []string{"KB953990", "KB956572", "KB974571"}) {
		t.Fatal(names)
	}
	day := time.Date(2009, 10, 14, 0, 0, 0, 0, time.UTC)
	if u := l.Find("KB974571"); u.At.NotBefore.After(day) || u.At.NotAfter.Before(day.Add(24*time.Hour)) || u.At.NotAfter.Sub(u.At.NotBefore) > 3*24*time.Hour || !u.Removable() {
		t.Errorf("a day: %+v", u)
	}
	// The third of April and the fourth of March are both possible.
	if u := l.Find("KB953990"); u.At.NotBefore.After(time.Date(2010, 3, 4, 0, 0, 0, 0, time.UTC)) || u.At.NotAfter.Before(time.Date(2010, 4, 4, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("a date that reads in two ways: %+v", u)
	}
	if u := l.Find("KB956572"); u.At != (facts.Moment{}) || !u.State.Installed() {
		t.Errorf("a date that nobody can read: %+v", u)
	}
}

func TestARegistryWithoutPackagesIsNoAnswer(t *testing.T) {
	t.Parallel()
	known := windows("6.1", "7600", "")
	known[packagesAsked()] = facts.RegistryKey{Name: "Packages"}
	if l, err := facts.HostUpdates.Get(world{other: known}.reader(t), updatesOf); err == nil {
		t.Errorf("%+v", l)
	}
}

func TestWhatWaitsForARestart(t *testing.T) {
	t.Parallel()
	type changes struct {
		updateRequired, servicing bool
		renames                   string
		state                     uint32
	}
	for name, c := range map[string]struct {
		version string
		changes
		want []string
	}{
		"nothing":                      {"6.1", changes{}, nil},
		"Windows Update":               {"6.1", changes{updateRequired: true}, []string{"Windows Update"}},
		"the servicing":                {"6.1", changes{servicing: true}, []string{"servicing"}},
		"an update that comes":         {"6.1", changes{state: 0x60}, []string{"Package_for_KB974571~31bf3856ad364e35~amd64~~6.1.1.1, to be installed"}},
		"an update that goes":          {"6.1", changes{state: 0x05}, []string{"to be removed"}},
		"installed in part":            {"6.1", changes{state: 0x65}, nil},
		"a file of a program":          {"6.1", changes{renames: "\\??\\C:\\Windows\\System32\\new.dll\x00!\\??\\C:\\Windows\\System32\\old.dll\x00\x00"}, []string{`C:\Windows\System32\new.dll`}},
		"a printer":                    {"6.1", changes{renames: "\\??\\C:\\Windows\\System32\\spool\\V4Dirs\\1\\a.dll\x00\x00\\??\\C:\\Windows\\System32\\spool\\V4Dirs\\1\x00\x00\x00"}, nil},
		"what a set-up left behind":    {"6.1", changes{renames: "\\??\\C:\\Users\\ADMIN\\AppData\\Local\\Temp\\x.tmp\x00\x00\x00"}, nil},
		"a program behind a tidy-up":   {"6.1", changes{renames: "\\??\\C:\\Temp\\x.tmp\x00\x00\\??\\D:\\App\\a.dll\x00\x00\x00"}, []string{`D:\App\a.dll`}},
		"nothing on 2003":              {"5.2", changes{}, nil},
		"Windows Update on 2003":       {"5.2", changes{updateRequired: true}, []string{"Windows Update"}},
		"two at once":                  {"6.1", changes{updateRequired: true, servicing: true}, []string{"Windows Update", "servicing"}},
		"half a pair of names":         {"6.1", changes{renames: "\\??\\C:\\a"}, nil},
		"a scanner for viruses renews": {"6.0", changes{renames: "\\??\\C:\\Program Files\\Sophos\\a.new\x00!\\??\\C:\\Program Files\\Sophos\\a.dll\x00\x00"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			known := windows(c.version, "7600", "")
			ask := func(key string, depth int, k facts.RegistryKey, values ...string) {
				known[facts.Registry.Key(facts.RegistryQuestion{Host: host, Key: key, Depth: depth, Values: values})] = k
			}
			ask(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`, 0, facts.RegistryKey{Exists: c.updateRequired})
			manager := regKey("Session Manager")
			if c.renames != "" {
				manager.Values = []facts.RegistryValue{{Name: "PendingFileRenameOperations", Type: facts.RegMultiSZ, Data: utf16le(c.renames)}}
			}
			ask(`HKLM\SYSTEM\CurrentControlSet\Control\Session Manager`, 0, manager, "PendingFileRenameOperations")
			if c.version == "5.2" {
				ask(`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\HotFix`, 1, regKey("HotFix"), "Installed")
				ask(`HKLM\SOFTWARE\Microsoft\Updates\Windows Server 2003`, 2, facts.RegistryKey{}, "InstalledDate")
			} else {
				ask(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`, 0, facts.RegistryKey{Exists: c.servicing})
				known[packagesAsked()] = below(regKey("Packages"), cbsPackage("Package_for_KB974571~31bf3856ad364e35~amd64~~6.1.1.1", c.state, time.Time{}))
			}
			r, err := facts.HostRestart.Get(world{other: known}.reader(t), updatesOf)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Reasons) != len(c.want) {
				t.Fatalf("%+v", r.Reasons)
			}
			for i, want := range c.want {
				if got := r.Reasons[i]; !strings.Contains(got.What, want) || got.Cite.IsZero() {
					t.Errorf("%+v, want %q", got, want)
				}
			}
		})
	}
}

// Whatever stands in the registry, the answer is one of the two: it waits for a restart, or it does not.
func FuzzPendingRenames(f *testing.F) {
	f.Add(utf16le("\\??\\C:\\a.dll\x00!\\??\\C:\\b.dll\x00\x00"))
	f.Add([]byte{0, 0, 1})
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		known := windows("5.2", "3790", "Service Pack 2")
		ask := func(key string, depth int, k facts.RegistryKey, values ...string) {
			known[facts.Registry.Key(facts.RegistryQuestion{Host: host, Key: key, Depth: depth, Values: values})] = k
		}
		ask(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`, 0, facts.RegistryKey{})
		manager := regKey("Session Manager")
		manager.Values = []facts.RegistryValue{{Name: "PendingFileRenameOperations", Type: facts.RegMultiSZ, Data: data}}
		ask(`HKLM\SYSTEM\CurrentControlSet\Control\Session Manager`, 0, manager, "PendingFileRenameOperations")
		ask(`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\HotFix`, 1, regKey("HotFix"), "Installed")
		ask(`HKLM\SOFTWARE\Microsoft\Updates\Windows Server 2003`, 2, facts.RegistryKey{}, "InstalledDate")
		r, err := facts.HostRestart.Get(world{other: known}.reader(t), updatesOf)
		if err != nil || len(r.Reasons) > 1 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// Whatever stands for a day, the span that is read is one: it does not end before it begins.
func FuzzDayOfAnUpdate(f *testing.F) {
	for _, s := range []string{"10/14/2009", "3/4/2010", "31/12/2009", "gestern", "", "1/1/0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, day string) {
		known := windows("5.2", "3790", "Service Pack 2")
		known[facts.Registry.Key(facts.RegistryQuestion{Host: host, Key: `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\HotFix`, Depth: 1, Values: []string{"Installed"}})] = regKey("HotFix")
		known[facts.Registry.Key(facts.RegistryQuestion{Host: host, Key: `HKLM\SOFTWARE\Microsoft\Updates\Windows Server 2003`, Depth: 2, Values: []string{"InstalledDate"}})] = below(regKey("Windows Server 2003"),
			below(regKey("SP3"), regKey("KB974571", regText("InstalledDate", day))))
		l, err := facts.HostUpdates.Get(world{other: known}.reader(t), updatesOf)
		if err != nil {
			t.Fatal(err)
		}
		u := l.Find("KB974571")
		if !u.State.Installed() || u.At.NotAfter.Before(u.At.NotBefore) {
			t.Errorf("%+v", u)
		}
	})
}
