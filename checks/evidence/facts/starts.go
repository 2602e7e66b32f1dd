package facts

import (
	"encoding/binary"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/ntds"
)

// StartsQuestion asks when a server was last started, and when a service on it was, by its short name.
type StartsQuestion struct{ Host, Service string }

func (q StartsQuestion) String() string { return fields(q.Host, q.Service) }

// Moment is when something happened for the last time, as far as it is known: not before the one time and not after the other. Both are
// equal where a record tells it; zero is an end that nothing tells, so that a log that was rotated leaves it open and nothing is guessed.
type Moment struct {
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	// How says by what it is known, as in "by event 6005 of the System log"; "" when it is not known at all.
	How string `json:"how,omitempty"`
}

// Exact tells whether a record tells the time itself.
func (m Moment) Exact() bool { return !m.NotBefore.IsZero() && m.NotBefore.Equal(m.NotAfter) }

// After tells whether it surely happened after t; Before whether it surely happened before t. Where neither is true, it is not known.
func (m Moment) After(t time.Time) bool { return m.NotBefore.After(t) }

// Before tells whether it surely happened before t.
func (m Moment) Before(t time.Time) bool { return !m.NotAfter.IsZero() && m.NotAfter.Before(t) }

func exactly(t time.Time, how string) Moment { return Moment{NotBefore: t, NotAfter: t, How: how} }

// StartTimes is when a server and a service on it were last started.
type StartTimes struct {
	Boot Moment `json:"boot"`
	// Start is the last time that the service came to run, whether it still does or not.
	Start Moment `json:"start"`
	// Installed and Running say what the service control manager does.
	Installed bool `json:"installed,omitempty"`
	Running   bool `json:"running,omitempty"`
	// Cites are the facts that were read.
	Cites []evidence.Key `json:"cites"`
}

// The event logs that are read.
const (
	SystemLog = "System"
	OCSLog    = "Office Communications Server"
)

// HostStarts is when a server and a service on it were last started. No text of an event is read, for it is in the server's language.
var HostStarts = &evidence.Kind[StartsQuestion, StartTimes]{
	Name:   "host.starts",
	Doc:    "when a server was last started, and a service on it, by its event logs",
	Needs:  []evidence.AnyKind{Services, Events, Registry},
	Derive: deriveStarts,
}

func deriveStarts(r *evidence.Reader, q StartsQuestion) (StartTimes, error) {
	server, system := ServerQuestion{q.Host}, EventsQuestion{q.Host, SystemLog}
	var list ServiceList
	var events EventList
	var listErr, eventsErr error
	evidence.Parallel(func() { list, listErr = Services.Get(r, server) }, func() { events, eventsErr = Events.Get(r, system) })
	for _, err := range []error{listErr, eventsErr} {
		if err != nil {
			return StartTimes{}, err
		}
	}
	s := StartTimes{Cites: []evidence.Key{Services.Key(server), Events.Key(system)}}
	var err error
	if s.Boot, err = boot(r, q.Host, events, &s.Cites); err != nil {
		return StartTimes{}, err
	}
	service, ok := list.Find(q.Service)
	if !ok {
		return s, nil
	}
	s.Installed, s.Running = true, service.State == ServiceRunning
	s.Start = lastRun(events, service)
	if !s.Start.Exact() && strings.EqualFold(q.Service, FrontEndService) {
		if err := startedLater(r, q.Host, &s); err != nil {
			return StartTimes{}, err
		}
	}
	if s.Running && s.Start.NotBefore.Before(s.Boot.NotBefore) {
		// A service that runs was started since the machine was.
		s.Start.NotBefore = s.Boot.NotBefore
		if s.Start.How == "" {
			s.Start.How = s.Boot.How
		}
	}
	return s, nil
}

// The events that are looked for: the event log service and the kernel (Windows Server 2008 and later) both say when Windows starts; the
// service control manager says each change of the state of a service, with its display name and the name of the state in the server's language.
const (
	eventLogStarted = 6005
	kernelStarted   = 12
	stateChanged    = 7036
	// ocsStarted is the Front-End service's own word. It is documented for the product after this one only, and therefore only moves a
	// start later than it would be taken for, never earlier.
	ocsStarted = 12288
)

// ServiceManager is the source of the events of the service control manager.
const ServiceManager = "Service Control Manager"

// From tells whether an event is of a source, whose name may be written short or in full: "Kernel-General".
func (e Event) From(source string) bool {
	const prefix = "microsoft-windows-"
	return strings.TrimPrefix(strings.ToLower(e.Source), prefix) == strings.TrimPrefix(strings.ToLower(source), prefix)
}

// boot is when Windows was started. Where the log tells nothing of it, it was before the oldest record, and after the last shutdown that the
// registry holds, which after a crash may be one much earlier.
func boot(r *evidence.Reader, host string, l EventList, cites *[]evidence.Key) (Moment, error) {
	for _, e := range l.Events {
		if e.Code() == eventLogStarted && e.From("EventLog") {
			return exactly(e.Time, "by event 6005 of the System log"), nil
		}
		if e.Code() == kernelStarted && e.From("Kernel-General") {
			return exactly(e.Time, "by event 12 of Kernel-General in the System log"), nil
		}
	}
	m := Moment{NotAfter: oldest(l), How: beforeOldest(l)}
	q := RegistryQuestion{Host: host, Key: currentControlSet + `\Control\Windows`, Values: []string{"ShutdownTime"}}
	key, err := Registry.Get(r, q)
	if err != nil {
		return Moment{}, err
	}
	if b := key.Bytes("ShutdownTime"); len(b) == 8 {
		if t := ntds.FileTime(int64(binary.LittleEndian.Uint64(b))); !t.IsZero() { //nolint:gosec // FILETIME is signed
			m.NotBefore, m.How = t, "by the time of the last shutdown in the registry"
			*cites = append(*cites, Registry.Key(q))
		}
	}
	return m, nil
}

// lastRun is when a service came to run. The newest change of state ends in the state in which the service is now: running, or else
// stopped, and then the one before it that ends in another state, by the name that this log gives to it, is when it came to run.
func lastRun(l EventList, s Service) Moment {
	now := ""
	for _, e := range l.Events {
		if e.Code() != stateChanged || !e.From(ServiceManager) || len(e.Strings) < 2 || !strings.EqualFold(e.Strings[0], s.DisplayName) {
			continue
		}
		if s.State == ServiceRunning || now != "" && e.Strings[1] != now {
			return exactly(e.Time, "by event 7036 of the System log")
		}
		now = e.Strings[1]
	}
	if s.State == ServiceRunning {
		return Moment{NotAfter: oldest(l), How: beforeOldest(l)}
	}
	return Moment{}
}

// startedLater moves a start to the newest one that the log of OCS tells, if that is later.
func startedLater(r *evidence.Reader, host string, s *StartTimes) error {
	q := EventsQuestion{host, OCSLog}
	l, err := Events.Get(r, q)
	if err != nil {
		return err
	}
	s.Cites = append(s.Cites, Events.Key(q))
	for _, e := range l.Events {
		if e.Code() == ocsStarted && e.From("OCS Server") {
			if e.Time.After(s.Start.NotBefore) {
				s.Start.NotBefore, s.Start.How = e.Time, "by event 12288 of the log Office Communications Server"
			}
			break
		}
	}
	return nil
}

// oldest is the time of the oldest record of a log that was read: what it does not tell happened before it.
func oldest(l EventList) time.Time {
	if len(l.Events) == 0 {
		return time.Time{}
	}
	return l.Events[len(l.Events)-1].Time
}

func beforeOldest(l EventList) string {
	if len(l.Events) == 0 {
		return ""
	}
	return "by the oldest record of the System log, after which there is none of it"
}
