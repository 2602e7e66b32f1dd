package facts_test

import (
	"encoding/binary"
	"testing"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/ntds"
)

const ocs = "ocs.todorovic.adds"

// noon is the day on which the tests take place.
var noon = time.Date(2010, 6, 1, 12, 0, 0, 0, time.UTC)

// ago is an event that many hours before noon.
func ago(hours int, source string, id uint32, strings ...string) facts.Event {
	return facts.Event{Source: source, ID: id, Time: noon.Add(-time.Duration(hours) * time.Hour), Strings: strings}
}

const frontEnd = "Office Communications Server Front-End"

func startTimes(t *testing.T, state facts.ServiceState, display string, system, own []facts.Event, shutdown time.Time) (facts.StartTimes, error) {
	t.Helper()
	key := facts.RegistryKey{Name: "Windows", Exists: true}
	if !shutdown.IsZero() {
		key.Values = []facts.RegistryValue{{Name: "ShutdownTime", Type: facts.RegBinary, Data: binary.LittleEndian.AppendUint64(nil, uint64(ntds.ToFileTime(shutdown)))}} //nolint:gosec // FILETIME
	}
	w := world{other: map[evidence.Key]any{
		facts.Services.Key(facts.ServerQuestion{FQDN: ocs}):                                                                                           facts.ServiceList{Services: []facts.Service{{Name: "RtcSrv", DisplayName: display, State: state}}},
		facts.Events.Key(facts.EventsQuestion{Host: ocs, Log: facts.SystemLog}):                                                                       facts.EventList{Exists: true, Events: system},
		facts.Events.Key(facts.EventsQuestion{Host: ocs, Log: facts.OCSLog}):                                                                          facts.EventList{Exists: true, Events: own},
		facts.Registry.Key(facts.RegistryQuestion{Host: ocs, Key: `HKLM\SYSTEM\CurrentControlSet\Control\Windows`, Values: []string{"ShutdownTime"}}): key,
	}}
	return facts.HostStarts.Get(w.reader(t), facts.StartsQuestion{Host: ocs, Service: "rtcsrv"})
}

func TestStartsOfAServerAndItsService(t *testing.T) {
	t.Parallel()
	hour := func(n int) time.Time { return noon.Add(-time.Duration(n) * time.Hour) }
	for name, c := range map[string]struct {
		state       facts.ServiceState
		display     string
		system, own []facts.Event
		shutdown    time.Time
		boot, start facts.Moment
	}{
		"both in the System log": {
			state: facts.ServiceRunning, display: frontEnd,
			system: []facts.Event{
				ago(1, "Service Control Manager", 7036, "Print Spooler", "running"),
				ago(9, "Service Control Manager", 0x40001B7C, frontEnd, "running"),
				ago(10, "EventLog", 0x80001775), ago(11, "EventLog", 0x80001776), ago(90, "EventLog", 6005),
			},
			boot: facts.Moment{NotBefore: hour(10), NotAfter: hour(10)}, start: facts.Moment{NotBefore: hour(9), NotAfter: hour(9)},
		},
		"a French server, and the kernel's own word": {
			state: facts.ServiceRunning, display: "Serveur frontal Office Communications Server",
			system: []facts.Event{
				ago(2, "Service Control Manager", 7036, "Serveur frontal Office Communications Server", "en cours d'exécution"),
				ago(3, "Service Control Manager", 7036, "Serveur frontal Office Communications Server", "arrêté"),
				ago(10, "Microsoft-Windows-Kernel-General", 12, "6", "1"),
			},
			boot: facts.Moment{NotBefore: hour(10), NotAfter: hour(10)}, start: facts.Moment{NotBefore: hour(2), NotAfter: hour(2)},
		},
		"stopped: when it last came to run is the change before": {
			state: facts.ServiceStopped, display: frontEnd,
			system: []facts.Event{
				ago(2, "Service Control Manager", 7036, frontEnd, "arrêté"), ago(3, "Service Control Manager", 7036, frontEnd, "arrêté"),
				ago(8, "Service Control Manager", 7036, frontEnd, "en cours d'exécution"), ago(9, "EventLog", 6005),
			},
			boot: facts.Moment{NotBefore: hour(9), NotAfter: hour(9)}, start: facts.Moment{NotBefore: hour(8), NotAfter: hour(8)},
		},
		"stopped, and the log tells nothing else of it": {
			state: facts.ServiceStopped, display: frontEnd,
			system: []facts.Event{ago(2, "Service Control Manager", 7036, frontEnd, "stopped"), ago(9, "EventLog", 6005)},
			boot:   facts.Moment{NotBefore: hour(9), NotAfter: hour(9)},
		},
		"rotated: before the oldest record, and since the shutdown that the registry holds": {
			state: facts.ServiceRunning, display: frontEnd,
			system:   []facts.Event{ago(1, "Service Control Manager", 7036, "Print Spooler", "running"), ago(5, "W32Time", 35)},
			shutdown: hour(200),
			boot:     facts.Moment{NotBefore: hour(200), NotAfter: hour(5)}, start: facts.Moment{NotBefore: hour(200), NotAfter: hour(5)},
		},
		"rotated, and the log of OCS tells of a later start": {
			state: facts.ServiceRunning, display: frontEnd,
			system:   []facts.Event{ago(5, "W32Time", 35)},
			own:      []facts.Event{ago(60, "OCS User Replicator", 30024), ago(70, "OCS Server", 12288), ago(150, "OCS Server", 12288)},
			shutdown: hour(200),
			boot:     facts.Moment{NotBefore: hour(200), NotAfter: hour(5)}, start: facts.Moment{NotBefore: hour(70), NotAfter: hour(5)},
		},
		"an empty log and no shutdown tell nothing": {state: facts.ServiceRunning, display: frontEnd},
		"the log of another source with the same number": {
			state: facts.ServiceRunning, display: frontEnd,
			system: []facts.Event{ago(1, "Disk", 12), ago(2, "Print", 6005), ago(3, "Tcpip", 7036, frontEnd, "running")},
			boot:   facts.Moment{NotAfter: hour(3)}, start: facts.Moment{NotAfter: hour(3)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := startTimes(t, c.state, c.display, c.system, c.own, c.shutdown)
			if err != nil {
				t.Fatal(err)
			}
			same := func(what string, got, want facts.Moment) {
				if !got.NotBefore.Equal(want.NotBefore) || !got.NotAfter.Equal(want.NotAfter) {
					t.Errorf("%s: between %s and %s, want %s and %s", what, got.NotBefore, got.NotAfter, want.NotBefore, want.NotAfter)
				}
				if open := got.NotBefore.IsZero() && got.NotAfter.IsZero(); open != (got.How == "") {
					t.Errorf("%s: how it is known is %q", what, got.How)
				}
			}
			same("boot", s.Boot, c.boot)
			same("start", s.Start, c.start)
			if !s.Installed || s.Running != (c.state == facts.ServiceRunning) {
				t.Errorf("installed %t, running %t", s.Installed, s.Running)
			}
		})
	}
}

func TestMomentIsComparedOnlyAsFarAsItIsKnown(t *testing.T) {
	t.Parallel()
	m := facts.Moment{NotBefore: noon, NotAfter: noon.Add(time.Hour)}
	between := noon.Add(30 * time.Minute)
	if m.Exact() || m.After(between) || m.Before(between) {
		t.Errorf("%v is said to be exact, or before or after a time within it", m)
	}
	if !m.After(noon.Add(-time.Second)) || !m.Before(noon.Add(2*time.Hour)) {
		t.Errorf("%v is neither after what ended before it nor before what began after it", m)
	}
	if (facts.Moment{}).Before(noon) || (facts.Moment{}).After(noon) || (facts.Moment{}).Exact() {
		t.Error("what is not known at all is compared")
	}
}
