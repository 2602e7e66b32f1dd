package winprobe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// fake is a server whose pipes lead to the answers of a test, as Windows marshals them, without SMB below.
func fake(t *testing.T, i service, answer func(op uint16, args *reader) []byte) *server {
	t.Helper()
	e, err := env.New(env.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ep := facts.Endpoint{Host: "ocs.todorovic.adds", Port: Port}
	s := &server{env: e, endpoint: ep, target: env.Target{Endpoint: ep, Network: "tcp", Real: "127.0.0.1:445"}, watch: &watch{}, ctx: t.Context()}
	p := &pool{slots: make(chan struct{}, maxPipes)}
	s.pools = map[string]*pool{i.pipe: p}
	for range maxPipes {
		rpc := &rpcServer{t, func(op uint16, args []byte) []byte { return answer(op, &reader{b: args}) }, 4280}
		a, err := bind(rpc.dial(), i.syntax)
		if err != nil {
			t.Fatal(err)
		}
		p.idle = append(p.idle, &pipe{association: a, server: s, cancel: func() {}, hives: map[uint16]handle{}})
	}
	return s
}

func utf16z(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// serviceBuffer is an array of ENUM_SERVICE_STATUS_PROCESSW or ENUM_SERVICE_STATUSW with its names behind it.
func serviceBuffer(services []facts.Service, ex bool) []byte {
	status := serviceStatusSize
	if ex {
		status = serviceStatusProcessSize
	}
	entry := 8 + status
	b := make([]byte, len(services)*entry)
	for i, s := range services {
		fields := []uint32{uint32(len(b)), 0, 0x10, uint32(s.State), 5, s.ExitCode, s.SpecificExitCode, 0, 0, s.PID, 0}
		b = append(b, utf16z(s.Name)...)
		fields[1] = uint32(len(b))
		b = append(b, utf16z(s.DisplayName)...)
		for j, f := range fields[:entry/4] {
			binary.LittleEndian.PutUint32(b[i*entry+4*j:], f)
		}
	}
	return b
}

// servicesPageAnswer is the answer of an enumeration: a buffer as long as was asked for.
func servicesPageAnswer(buffer []byte, n, resume, code uint32) []byte {
	var w writer
	w.u32(servicesPage)
	w.b = append(w.b, buffer...)
	w.b = append(w.b, make([]byte, servicesPage-len(buffer))...)
	w.u32(0)
	w.u32(n)
	w.number(resume)
	w.u32(code)
	return w.b
}

func TestServicesInPages(t *testing.T) {
	t.Parallel()
	var all []facts.Service
	for i := range 500 {
		all = append(all, facts.Service{Name: fmt.Sprintf("Service%03d", i), DisplayName: fmt.Sprintf("Le service numéro %d, dont le nom est long", i),
			State: facts.ServiceRunning, PID: uint32(1000 + i)})
	}
	all[7].State, all[7].ExitCode, all[7].SpecificExitCode, all[7].PID = facts.ServiceStopped, 1066, 3286842403, 0
	const perPage = 300
	calls := 0
	s := fake(t, svcctl, func(op uint16, args *reader) []byte {
		calls++
		var w writer
		switch op {
		case opOpenSCManagerW:
			if name, database, access := args.u32(), args.u32(), args.u32(); name != 0 || database != 0 || access != managerConnectEnumerate {
				t.Errorf("the manager is opened with the rights %#x", access)
			}
			w.handle(handle{1})
			w.u32(0)
		case opCloseServiceHandle:
			w.handle(handle{})
			w.u32(0)
		case opEnumServicesStatusExW:
			h, level, kind, state, room, resume := args.handle(), args.u32(), args.u32(), args.u32(), args.u32(), args.number()
			if h != (handle{1}) || level != 0 || kind != serviceWin32 || state != serviceStateAll || room != servicesPage || args.u32() != 0 || args.bad {
				t.Error("the enumeration is asked for wrongly")
			}
			page, code := all[resume:], uint32(errorSuccess)
			if len(page) > perPage {
				page, code = page[:perPage], errorMoreData
			}
			return servicesPageAnswer(serviceBuffer(page, true), uint32(len(page)), resume+uint32(len(page)), code)
		default:
			t.Errorf("operation %d", op)
		}
		return w.b
	})
	got, err := s.services(t.Context(), new(env.Trace))
	if err != nil || !slices.Equal(got, all) {
		t.Errorf("%d services, %v, want %d", len(got), err, len(all))
	}
	if calls != 4 {
		t.Errorf("%d calls, want 4", calls)
	}
}

func TestServicesOfAServerThatDoesNotTellProcessIDs(t *testing.T) {
	t.Parallel()
	want := []facts.Service{{Name: "RtcSrv", DisplayName: "Front-End", State: facts.ServiceStopped, ExitCode: 1066, SpecificExitCode: 3286842403}}
	s := fake(t, svcctl, func(op uint16, _ *reader) []byte {
		switch op {
		case opEnumServicesStatusExW:
			return nil
		case opEnumServicesStatusW:
			return servicesPageAnswer(serviceBuffer(want, false), 1, 0, errorSuccess)
		}
		return make([]byte, 24)
	})
	if got, err := s.services(t.Context(), new(env.Trace)); err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestServicesThatMayNotBeListed(t *testing.T) {
	t.Parallel()
	s := fake(t, svcctl, func(uint16, *reader) []byte {
		var w writer
		w.handle(handle{})
		w.u32(errorAccessDenied)
		return w.b
	})
	_, err := s.services(t.Context(), new(env.Trace))
	var f *evidence.Failure
	if !errors.As(err, &f) || f.Reason != evidence.Denied || f.Detail != "the services of ocs.todorovic.adds may not be listed: the account has no right to it" {
		t.Errorf("%v", err)
	}
}

// eventRecord is an EVENTLOGRECORD.
func eventRecord(e facts.Event, number uint32) []byte {
	b := make([]byte, eventHeaderSize)
	le := binary.LittleEndian
	le.PutUint32(b[4:], eventRecordMagic)
	le.PutUint32(b[8:], number)
	le.PutUint32(b[12:], uint32(e.Time.Unix()))
	le.PutUint32(b[16:], uint32(e.Time.Unix()))
	le.PutUint32(b[20:], e.ID)
	le.PutUint16(b[24:], e.Type)
	le.PutUint16(b[26:], uint16(len(e.Strings)))
	b = append(b, utf16z(e.Source)...)
	b = append(b, utf16z("OCS")...)
	le.PutUint32(b[36:], uint32(len(b)))
	le.PutUint32(b[52:], uint32(len(b)))
	for _, s := range e.Strings {
		b = append(b, utf16z(s)...)
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	b = le.AppendUint32(b, uint32(len(b)+4))
	le.PutUint32(b, uint32(len(b)))
	return b
}

// eventServer holds records, the newest first. It gives at most as many at once.
func eventServer(t *testing.T, log string, records []facts.Event, atOnce int) *server {
	at := 0
	return fake(t, eventlog, func(op uint16, args *reader) []byte {
		var w writer
		switch op {
		case opOpenLog:
			args.u32()
			if name := args.text(); name != log {
				t.Errorf("the log %q is opened, want %q", name, log)
			}
			w.handle(handle{2})
			w.u32(0)
		case opCloseLog:
			w.handle(handle{})
			w.u32(0)
		case opReadLog:
			h, flags, offset, room := args.handle(), args.u32(), args.u32(), args.u32()
			if h != (handle{2}) || flags != readNewestFirst || offset != 0 || args.bad {
				t.Error("records are asked for wrongly")
			}
			var page []byte
			status, needed := uint32(statusEndOfFile), uint32(0)
			for n := 0; at < len(records) && n < atOnce; n++ {
				b := eventRecord(records[at], uint32(len(records)-at))
				if len(page)+len(b) > int(room) {
					if page == nil {
						status, needed = statusBufferTooSmall, uint32(len(b))
					}
					break
				}
				page, status = append(page, b...), 0
				at++
			}
			w.u32(room)
			w.b = append(w.b, page...)
			w.b = append(w.b, make([]byte, int(room)-len(page))...)
			w.u32(uint32(len(page)))
			w.u32(needed)
			w.u32(status)
		default:
			t.Errorf("operation %d", op)
		}
		return w.b
	})
}

func TestEventsAreReadBackwards(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 1, 0, 0, 0, time.UTC)
	var all []facts.Event
	for i := range maxEvents + 10 {
		all = append(all, facts.Event{Source: "Service Control Manager", ID: 0x40001b7c, Type: 4, Time: at.Add(-time.Duration(i) * time.Second),
			Strings: []string{"Office Communications Server Front-End", "arrêté"}})
	}
	all[3] = facts.Event{Source: "OCS Server", ID: 0xc0003002, Type: 1, Time: at, Strings: []string{strings.Repeat("lang", 10_000)}}
	for name, tc := range map[string]struct {
		records  []facts.Event
		want     int
		complete bool
	}{
		"none": {nil, 0, true}, "a few": {all[:5], 5, true}, "more than are read": {all, maxEvents, false},
	} {
		s := eventServer(t, "Office Communications Server", tc.records, 70)
		got, err := s.events(t.Context(), new(env.Trace), "Office Communications Server")
		same := slices.EqualFunc(got.Events, tc.records[:tc.want], func(a, b facts.Event) bool {
			return a.Source == b.Source && a.ID == b.ID && a.Type == b.Type && a.Time.Equal(b.Time) && slices.Equal(a.Strings, b.Strings)
		})
		if err != nil || !got.Exists || got.Complete != tc.complete || !same {
			t.Errorf("%s: %d events, complete %v, %v", name, len(got.Events), got.Complete, err)
		}
	}
}

// registryServer serves a registry below HKLM as winreg does.
type registryServer struct {
	t    *testing.T
	root facts.RegistryKey
	// denied is the key that may not be opened.
	denied string
	// simple tells that it does not know the call that gives several values.
	simple bool
	// other tells that it answers that call in a form of its own.
	other bool
	// class is that of every key; without room for it there is no answer, as with Windows.
	class string

	mu    sync.Mutex
	calls map[uint16]int
	open  map[handle]facts.RegistryKey
	last  uint32
}

func (g *registryServer) keep(k facts.RegistryKey) (h handle) {
	g.last++
	binary.LittleEndian.PutUint32(h[4:], g.last)
	g.open[h] = k
	return h
}

// value is the tail of an answer that carries a value, within the room for it.
func (g *registryServer) value(w *writer, args *reader, v facts.RegistryValue, code uint32) {
	args.number() // its type
	args.buffer()
	room := args.number()
	n := uint32(len(v.Data))
	w.number(v.Type)
	if code == errorSuccess && n <= room {
		w.ref()
		w.u32(room)
		w.u32(0)
		w.u32(n)
		w.b = append(w.b, v.Data...)
	} else {
		w.null()
	}
	if code == errorSuccess && n > room {
		code = errorMoreData
	}
	w.number(n)
	w.number(n)
	w.u32(code)
}

func (g *registryServer) handle(op uint16, args *reader) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls[op]++
	var w writer
	if op == opOpenLocalMachine {
		if name, access := args.u32(), args.u32(); name != 0 || access != keyRead {
			g.t.Errorf("HKLM is opened with the rights %#x", access)
		}
		w.handle(g.keep(g.root))
		w.u32(0)
		return w.b
	}
	h := args.handle()
	k, ok := g.open[h]
	if !ok {
		g.t.Errorf("operation %d with a handle that is not open", op)
	}
	switch op {
	case opOpenKey:
		sub := k.Find(args.text())
		if options, access := args.u32(), args.u32(); options != 0 || access != keyRead {
			g.t.Errorf("a key is opened with the rights %#x and options %#x", access, options)
		}
		switch {
		case !sub.Exists:
			w.handle(handle{})
			w.u32(errorFileNotFound)
		case sub.Name == g.denied:
			w.handle(handle{})
			w.u32(errorAccessDenied)
		default:
			w.handle(g.keep(sub))
			w.u32(0)
		}
	case opCloseKey:
		delete(g.open, h)
		w.handle(handle{})
		w.u32(0)
	case opQueryInfoKey:
		code := g.classCode(args)
		w.text(g.class)
		w.u32(uint32(len(k.Keys)))
		for range 8 {
			w.u32(0)
		}
		w.u32(code)
	case opEnumKey:
		at := args.u32()
		name, code := "", uint32(errorNoMoreItems)
		args.text()
		if args.u32() == 0 {
			g.t.Error("there is no class")
		}
		if more := g.classCode(args); int(at) < len(k.Keys) {
			name, code = k.Keys[at].Name+"\x00", more
		}
		w.text(name)
		w.ref()
		w.text(g.class)
		w.null()
		w.u32(code)
	case opEnumValue:
		at := args.u32()
		args.text()
		if int(at) < len(k.Values) {
			w.text(k.Values[at].Name + "\x00")
			g.value(&w, args, k.Values[at], 0)
		} else {
			w.text("")
			g.value(&w, args, facts.RegistryValue{}, errorNoMoreItems)
		}
	case opQueryValue:
		v, ok := k.Value(args.text())
		code := uint32(0)
		if !ok {
			code = errorFileNotFound
		}
		g.value(&w, args, v, code)
	case opQueryValues:
		if g.simple {
			return nil
		}
		if g.other {
			w.u32(1)
			return w.b
		}
		g.values(&w, args, k)
	default:
		g.t.Errorf("operation %d is no reading one", op)
	}
	if args.bad {
		g.t.Errorf("operation %d with malformed arguments", op)
	}
	return w.b
}

// classCode reads the room that there is for a class.
func (g *registryServer) classCode(args *reader) uint32 {
	args.align(4)
	args.u16()
	room := args.u16()
	if args.u32() != 0 {
		args.varying(2)
	}
	if 2*len(g.class) > int(room) {
		return errorMoreData
	}
	return errorSuccess
}

// values is BaseRegQueryMultipleValues.
func (g *registryServer) values(w *writer, args *reader, k facts.RegistryKey) {
	n := int(args.u32())
	args.take(8 + 16*n)
	var names []string
	for range n {
		names = append(names, args.text())
	}
	args.u32()
	room := uint32(len(args.buffer()))
	var b []byte
	code := uint32(0)
	w.u32(uint32(n))
	w.u32(0)
	w.u32(uint32(n))
	for _, name := range names {
		v, ok := k.Value(name)
		if !ok {
			code = errorFileNotFound
		}
		w.ref()
		w.u32(uint32(len(v.Data)))
		w.u32(uint32(len(b)))
		w.u32(v.Type)
		b = append(b, v.Data...)
	}
	for _, name := range names {
		w.text(name + "\x00")
	}
	if code == 0 && uint32(len(b)) > room {
		code = errorMoreData
	}
	if code != 0 {
		b = nil
	}
	w.ref()
	w.u32(room)
	w.u32(0)
	w.u32(uint32(len(b)))
	w.b = append(w.b, b...)
	w.u32(uint32(len(b)))
	w.u32(code)
}

// registry serves what stands below HKLM.
func registry(t *testing.T, keys ...facts.RegistryKey) (*registryServer, *server) {
	g := &registryServer{t: t, root: facts.RegistryKey{Exists: true, Keys: keys}, calls: map[uint16]int{}, open: map[handle]facts.RegistryKey{}}
	return g, fake(t, winreg, g.handle)
}

func key(name string, values []facts.RegistryValue, keys ...facts.RegistryKey) facts.RegistryKey {
	return facts.RegistryKey{Name: name, Exists: true, Values: values, Keys: keys}
}

// typed are values of every type, one of them longer than the first room for it.
var typed = []facts.RegistryValue{
	{Type: facts.RegSZ, Data: utf16z("the default")},
	{Name: "Text", Type: facts.RegSZ, Data: utf16z("été")},
	{Name: "Expand", Type: facts.RegExpandSZ, Data: utf16z(`%SystemRoot%\x`)},
	{Name: "Number", Type: facts.RegDWord, Data: []byte{1, 2, 3, 4}},
	{Name: "Blob", Type: facts.RegBinary, Data: bytes.Repeat([]byte{7}, 3*firstValue+1)},
	{Name: "Empty", Type: facts.RegBinary},
	{Name: "List", Type: facts.RegMultiSZ, Data: append(utf16z("a\x00b"), 0, 0)},
	{Name: "Long", Type: facts.RegQWord, Data: make([]byte, 8)},
}

func TestRegistryIsReadToItsDepth(t *testing.T) {
	t.Parallel()
	deep := key("A", typed, key("B", typed[1:2], key("C", typed[2:3])), key("b2", nil))
	cut := func(k facts.RegistryKey) facts.RegistryKey { k.Keys = nil; return k }
	for name, tc := range map[string]struct {
		path   string
		depth  int
		values []string
		want   facts.RegistryKey
	}{
		"the key alone":                {`SOFTWARE\A`, 0, nil, cut(deep)},
		"with its sub-keys":            {`software\a`, 1, nil, key("A", typed, key("B", typed[1:2]), key("b2", nil))},
		"and theirs":                   {`SOFTWARE\A`, 2, nil, deep},
		"deeper than it goes":          {`SOFTWARE\A`, 4, nil, deep},
		"some values":                  {`SOFTWARE\A`, 1, []string{"Number", "Text"}, key("A", []facts.RegistryValue{typed[3], typed[1]}, key("B", typed[1:2]), key("b2", nil))},
		"a value that is not there":    {`SOFTWARE\A`, 0, []string{"Nothing"}, key("A", nil)},
		"a key that is not there":      {`SOFTWARE\A\X`, 1, nil, facts.RegistryKey{}},
		"a path that is not there":     {`SOFTWARE\X\Y`, 1, nil, facts.RegistryKey{}},
		"a key without anything in it": {`SOFTWARE\A\b2`, 1, nil, key("", nil)},
	} {
		g, s := registry(t, key("SOFTWARE", nil, deep))
		got, err := (&walk{server: s, key: tc.path, values: tc.values}).read(t.Context(), new(env.Trace), opOpenLocalMachine, tc.path, tc.depth)
		tc.want.Name = ""
		if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		if want := 1 + below(got); len(g.open) != want { // the hive stays open, and so do the sub-keys, until the pipe is closed
			t.Errorf("%s: %d handles stay open, want %d", name, len(g.open), want)
		}
	}
}

// below is how many keys stand below a key.
func below(k facts.RegistryKey) int {
	n := len(k.Keys)
	for _, sub := range k.Keys {
		n += below(sub)
	}
	return n
}

func TestThousandsOfKeysAreReadSideBySide(t *testing.T) {
	t.Parallel()
	const n = maxPipes*maxLeft + 500
	packages := key("Packages", nil)
	number := func(i int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(i)) }
	for i := range n {
		packages.Keys = append(packages.Keys, key(fmt.Sprintf("Package_for_KB%06d~31bf3856ad364e35~amd64~~6.1.1.0", i), []facts.RegistryValue{
			{Name: "CurrentState", Type: facts.RegDWord, Data: number(0x70)}, {Name: "InstallName", Type: facts.RegSZ, Data: utf16z("package")},
			{Name: "InstallTimeHigh", Type: facts.RegDWord, Data: number(i)}, {Name: "InstallTimeLow", Type: facts.RegDWord, Data: number(7)}}))
	}
	packages.Keys[5].Values = packages.Keys[5].Values[:1] // without a time of installation
	g, s := registry(t, packages)
	values := []string{"CurrentState", "InstallTimeHigh", "InstallTimeLow"}
	got, err := (&walk{server: s, key: "Packages", values: values}).read(t.Context(), new(env.Trace), opOpenLocalMachine, "Packages", 1)
	if err != nil || len(got.Keys) != n {
		t.Fatalf("%d keys, %v", len(got.Keys), err)
	}
	for i, k := range got.Keys {
		state, _ := k.DWord("CurrentState")
		high, ok := k.DWord("InstallTimeHigh")
		if k.Name != packages.Keys[i].Name || state != 0x70 || ok != (i != 5) || i != 5 && high != uint32(i) || k.Text("InstallName") != "" {
			t.Fatalf("key %d is %v", i, k)
		}
	}
	total := 0
	for _, c := range g.calls {
		total += c
	}
	// Three for each key, and a fourth for those past maxLeft of a pipe, which is not the same number for each.
	if want := 3*n + n/2 + 5*maxPipes + 10; total > want {
		t.Errorf("%d calls, want at most %d: %v", total, want, g.calls)
	}
	if most := maxPipes * (maxLeft + 1); len(g.open) > most {
		t.Errorf("%d handles stay open, want at most %d", len(g.open), most)
	}
	t.Logf("%d keys in %d calls", n, total)
}

func TestValuesAreReadOneByOneWhereTheServerDoesNotGiveThemAtOnce(t *testing.T) {
	t.Parallel()
	long := []facts.RegistryValue{typed[3], typed[4]} // which takes more room than there is at once
	for name, tc := range map[string]struct {
		simple, other bool
		values        []facts.RegistryValue
		calls         int // for all at once that are in vain
	}{"an older server": {true, false, typed[1:4], 1}, "an answer of another form": {false, true, typed[1:4], 1}, "long values": {false, false, long, 2}} {
		g, s := registry(t, key("A", nil, key("B", tc.values), key("C", tc.values)))
		g.simple, g.other = tc.simple, tc.other
		names := []string{tc.values[0].Name, tc.values[1].Name}
		got, err := (&walk{server: s, values: names}).read(t.Context(), new(env.Trace), opOpenLocalMachine, "A", 1)
		want := key("", nil, key("B", tc.values[:2]), key("C", tc.values[:2]))
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" || g.calls[opQueryValues] != tc.calls {
			t.Errorf("%s: %v, %d calls %s", name, err, g.calls[opQueryValues], diff)
		}
	}
}

// Some keys of Windows have a class, which takes room.
func TestKeysWithAClass(t *testing.T) {
	t.Parallel()
	g, s := registry(t, key("A", nil, key("B", typed[1:2])))
	g.class = "Shell"
	got, err := (&walk{server: s, key: "A"}).read(t.Context(), new(env.Trace), opOpenLocalMachine, "A", 1)
	if diff := cmp.Diff(key("", nil, key("B", typed[1:2])), got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// A server that always wants a little more room, or whose names are longer than names are, is not asked for ever.
func TestAServerThatNeverHasEnough(t *testing.T) {
	t.Parallel()
	calls := 0
	s := fake(t, winreg, func(op uint16, args *reader) []byte {
		calls++
		var w writer
		if op != opQueryValue {
			w.handle(handle{1})
			w.u32(0)
			return w.b
		}
		args.handle()
		args.text()
		args.number()
		args.buffer()
		room := args.number()
		w.null()
		w.null()
		w.number(room + 1)
		w.number(0)
		w.u32(errorMoreData)
		return w.b
	})
	_, err := (&walk{server: s, key: "A", values: []string{"x"}}).read(t.Context(), new(env.Trace), opOpenLocalMachine, "A", 0)
	var f *evidence.Failure
	if !errors.As(err, &f) || f.Detail != "A of ocs.todorovic.adds holds more than is read" || calls > 20 {
		t.Errorf("%v, after %d calls", err, calls)
	}
	g, s := registry(t, key("A", nil, key(strings.Repeat("x", 4*maxName), nil)))
	if _, err := (&walk{server: s, key: "A"}).read(t.Context(), new(env.Trace), opOpenLocalMachine, "A", 1); !errors.As(err, &f) || g.calls[opEnumKey] != 1 {
		t.Errorf("%v", err)
	}
}

func TestAKeyThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	var many []facts.RegistryKey
	for i := range 100 {
		many = append(many, key(fmt.Sprint("k", i), nil))
	}
	g, s := registry(t, key("SOFTWARE", nil, many...))
	g.denied = "k50"
	_, err := (&walk{server: s, key: `HKLM\SOFTWARE`}).read(t.Context(), new(env.Trace), opOpenLocalMachine, "SOFTWARE", 1)
	var f *evidence.Failure
	if !errors.As(err, &f) || f.Reason != evidence.Denied || f.Detail != `HKLM\SOFTWARE of ocs.todorovic.adds may not be read: the account has no right to it` {
		t.Errorf("%v", err)
	}
}

func TestAFaultIsNoAnswer(t *testing.T) {
	t.Parallel()
	s := fake(t, svcctl, nil)
	s.pools[svcctl.pipe].idle[maxPipes-1].association = &association{
		pipe: &canned{serverPDU(pduFault, 3, 1, append(make([]byte, 8), 1, 0, 0, 0x1c))}, most: 4280, buf: make([]byte, 64<<10)}
	_, err := s.services(t.Context(), new(env.Trace))
	var f *evidence.Failure
	if !errors.As(err, &f) || f.Reason != evidence.Protocol || f.Detail != "ocs.todorovic.adds does not carry out a call (fault 0x1C000001)" {
		t.Errorf("%v", err)
	}
}

func TestAPipeThatAnswersNonsenseIsAskedOnce(t *testing.T) {
	t.Parallel()
	calls := 0
	s := fake(t, svcctl, func(uint16, *reader) []byte { calls++; return nil })
	s.pools[svcctl.pipe].idle[maxPipes-1].association = &association{
		pipe: &canned{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, most: 4280, buf: make([]byte, 64<<10)}
	_, first := s.services(t.Context(), new(env.Trace))
	_, then := s.services(t.Context(), new(env.Trace))
	var a, b *evidence.Failure
	if !errors.As(first, &a) || !errors.As(then, &b) || a != b || a.Detail != "ocs.todorovic.adds answers wrongly: something that is no DCE/RPC" || calls > 0 {
		t.Errorf("%v, then %v, with %d calls", first, then, calls)
	}
	if want := sessionKey(s.endpoint, svcctl.pipe); a.Root != want || want.Query != `ocs.todorovic.adds:445 \svcctl` {
		t.Errorf("its root is %s", a.Root)
	}
}
