package hostdump

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

const server = "ocs.todorovic.adds"

// whoami is the beginning of a manifest.
const whoami = "collect=1\r\ncomputer=OCS\r\nhost=ocs\r\ndomain=todorovic.adds\r\n"

// pack makes a ZIP file of a folder.
func pack(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(files[name]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// folder reads a folder whose manifest has these entries besides who it is.
func folder(t testing.TB, entries string, files map[string]string) *evidence.Reader {
	t.Helper()
	all := maps.Clone(files)
	if all == nil {
		all = map[string]string{}
	}
	all[manifestName] = whoami + entries
	d, err := FromZIP("ocs.zip", pack(t, all))
	if err != nil {
		t.Fatal(err)
	}
	return reader(t, d)
}

func reader(t testing.TB, dumps ...*Dump) *evidence.Reader {
	t.Helper()
	kinds := []evidence.AnyKind{facts.Registry, facts.Services, facts.Events, facts.File, facts.FileVersion, facts.SIPListeners, facts.HostWindows}
	return evidence.NewStore(t.Context(), Source{Dumps: dumps, Next: network{}}).NewReader(kinds)
}

// network is what answers where no folder does.
type network struct{}

func (network) Fetch(_ context.Context, req evidence.Request) *evidence.Record {
	return &evidence.Record{Key: req.Key, Via: "network", Failure: evidence.Fail(evidence.Unreachable, "over the network")}
}

// outcome is a reason, or "" for a value.
func outcome(err error) string {
	if err == nil {
		return ""
	}
	reason, _, _ := strings.Cut(err.Error(), ":")
	return reason
}

func utf16LE(s string) string {
	out := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return string(out)
}

const someRegistry = "Windows Registry Editor Version 5.00\r\n\r\n" +
	"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Contoso]\r\n" +
	"@=\"default\"\r\n" +
	"\"Text\"=\"C:\\\\Program Files\\\\\\\"x\\\"\"\r\n" +
	"\"Number\"=dword:0000ffff\r\n" +
	"\"Bytes\"=hex:01,02,\\\r\n  03\r\n" +
	"\"Expand\"=hex(2):25,00,78,00,25,00,00,00\r\n" +
	"\"List\"=hex(7):61,00,00,00,62,00,00,00,00,00\r\n" +
	"\"Big\"=hex(b):01,00,00,00,00,00,00,00\r\n" +
	"\"None\"=hex(0):\r\n" +
	"\"Lines\"=\"one\r\ntwo\"\r\n" +
	"\r\n" +
	"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Contoso\\Sub [1]\\Deep]\r\n" +
	"\"A\"=\"a\"\r\n"

// Every type of value comes out as the registry holds it, in every form in which an export may be written.
func TestRegistryText(t *testing.T) {
	t.Parallel()
	want := facts.RegistryKey{Name: "Contoso", Exists: true, Values: []facts.RegistryValue{
		{Name: "", Type: facts.RegSZ, Data: toUTF16("default")},
		{Name: "Text", Type: facts.RegSZ, Data: toUTF16(`C:\Program Files\"x"`)},
		{Name: "Number", Type: facts.RegDWord, Data: []byte{0xFF, 0xFF, 0, 0}},
		{Name: "Bytes", Type: facts.RegBinary, Data: []byte{1, 2, 3}},
		{Name: "Expand", Type: facts.RegExpandSZ, Data: toUTF16("%x%")},
		{Name: "List", Type: facts.RegMultiSZ, Data: append(toUTF16("a\x00b"), 0, 0)},
		{Name: "Big", Type: facts.RegQWord, Data: []byte{1, 0, 0, 0, 0, 0, 0, 0}},
		{Name: "None", Type: 0},
		{Name: "Lines", Type: facts.RegSZ, Data: toUTF16("one\r\ntwo")},
	}, Keys: []facts.RegistryKey{{Name: "Sub [1]", Exists: true}}}
	version4 := strings.NewReplacer("Windows Registry Editor Version 5.00", "REGEDIT4", "25,00,78,00,25,00,00,00", "25,78,25,00",
		"61,00,00,00,62,00,00,00,00,00", "61,00,62,00,00").Replace(someRegistry)
	for name, text := range map[string]string{
		"UTF-16 with its mark": utf16LE(someRegistry), "UTF-16 without": utf16LE(someRegistry)[2:], "UTF-8": someRegistry,
		"UTF-8 with its mark": "\xEF\xBB\xBF" + someRegistry, "lines that end in LF": strings.ReplaceAll(someRegistry, "\r\n", "\n"), "version 4": version4,
	} {
		r := folder(t, `registry=0 r.reg HKLM\SOFTWARE\Microsoft\Contoso`, map[string]string{"r.reg": text})
		k, err := facts.Registry.Get(r, facts.RegistryQuestion{Host: server, Key: `HKLM\SOFTWARE\Microsoft\Contoso`, Depth: 1})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, k); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// However many lines of a manifest name a file, it is read once.
func TestManyLinesOfOneFile(t *testing.T) {
	t.Parallel()
	d, err := read("x", fstest.MapFS{
		"manifest.txt": {Data: []byte(whoami + "registry=0 r.reg HKLM\\SOFTWARE\r\nregistry=0 R.REG HKLM\\SOFTWARE\\Microsoft\r\nregistry=0 r.reg HKLM\\SYSTEM\r\n")},
		"r.reg":        {Data: []byte(someRegistry)},
	})
	if err != nil || len(d.registry) != 1 {
		t.Errorf("%d readings, %v", len(d.registry), err)
	}
}

// A text is read in the code page that its server speaks, unless it is of a kind that says so itself.
func TestCodePages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ page, bytes, want string }{
		{"437", "d\x82marr\x82, \x81bertragung", "démarré, übertragung"},
		{"850", "d\x82marr\x82, \x81bertragung, \x9d", "démarré, übertragung, Ø"},
		{"1252", "d\xe9marr\xe9, \xfcbertragung, \x80", "démarré, übertragung, €"},
		{"866", "\x91\xab\xe3\xa6\xa1\xa0", "Служба"},
		{"", "d\xe9marr\xe9", "démarré"},
		{"unknown", "d\xe9marr\xe9", "démarré"},
		{"850", "démarré", "démarré"},
		{"850", utf16LE("démarré"), "démarré"},
		{"850", "\xFE\xFF\x00d\x00\xe9", "dé"},
		{"850", "a\r\r\nb\r\nc\n", "a\nb\nc\n"},
	} {
		if got := decode([]byte(c.bytes), c.page); got != c.want {
			t.Errorf("%q in %s is %q, want %q", c.bytes, c.page, got, c.want)
		}
	}
}

// What later lines say wins; what they delete is gone, with all below it.
func TestRegistryDeletions(t *testing.T) {
	t.Parallel()
	text := "Windows Registry Editor Version 5.00\n[HKEY_LOCAL_MACHINE\\A]\n\"x\"=\"1\"\n\"y\"=\"2\"\n[HKEY_LOCAL_MACHINE\\A\\B\\C]\n\"z\"=\"3\"\n" +
		"[HKEY_LOCAL_MACHINE\\a]\n\"X\"=\"4\"\n\"y\"=-\n[-HKEY_LOCAL_MACHINE\\A\\B]\n[-HKEY_LOCAL_MACHINE\\A\\never]\n[HKEY_LOCAL_MACHINE\\A\\B]\n"
	r := folder(t, `registry=0 r.reg HKLM`, map[string]string{"r.reg": text})
	k, err := facts.Registry.Get(r, facts.RegistryQuestion{Host: server, Key: `HKLM\A`, Depth: 4})
	if err != nil {
		t.Fatal(err)
	}
	want := facts.RegistryKey{Name: "A", Exists: true, Values: []facts.RegistryValue{{Name: "X", Type: facts.RegSZ, Data: toUTF16("4")}},
		Keys: []facts.RegistryKey{{Name: "B", Exists: true}}}
	if d := cmp.Diff(want, k); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// A key below an exported root that is not there is absent, which is a value; outside of any exported root, or where the export
// failed, wrote nothing or something else, it is not known.
func TestRegistryAbsentOrNotRecorded(t *testing.T) {
	t.Parallel()
	entries := `registry=0 r.reg HKLM\SOFTWARE\Microsoft\Contoso
registry=1 failed.reg HKLM\SOFTWARE\Failed
registry=0 empty.reg HKLM\SOFTWARE\Empty
registry=0 lost.reg HKLM\SOFTWARE\Lost
registry=0 header.reg HKLM\SOFTWARE\Header
registry=0 other.reg HKLM\SOFTWARE\Other
registry=0 broken.reg HKLM\SOFTWARE\Broken
registry=absent - HKLM\SOFTWARE\Absent
registry=1 failed.reg HKLM\SOFTWARE\Microsoft\Contoso\Sub [1]
`
	r := folder(t, entries, map[string]string{
		"r.reg": someRegistry, "empty.reg": "\xFF\xFE", "failed.reg": someRegistry, "header.reg": "Windows Registry Editor Version 5.00\r\n\r\n",
		"other.reg": someRegistry, "broken.reg": "Windows Registry Editor Version 5.00\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Broken]\r\n\"x\"=dword:no",
	})
	for key, want := range map[string]string{
		`HKLM\SOFTWARE\Microsoft\Contoso`: "there", `HKEY_LOCAL_MACHINE\software\microsoft\CONTOSO\sub [1]`: "there",
		`HKLM\SOFTWARE\Microsoft\Contoso\Nope`: "absent", `HKLM\SOFTWARE\Microsoft\Contoso\Sub [1]\Nope`: "absent",
		`HKLM\SOFTWARE\Absent`: "absent", `HKLM\SOFTWARE\Absent\Below`: "absent",
		`HKLM\SOFTWARE\Microsoft`: "not-recorded", `HKLM\SOFTWARE\Microsoft\ContosoToo`: "not-recorded", `HKCU\SOFTWARE\Microsoft\Contoso`: "not-recorded",
		`HKLM\SOFTWARE\Failed`: "not-recorded", `HKLM\SOFTWARE\Failed\Below`: "not-recorded", `HKLM\SOFTWARE\Empty`: "not-recorded",
		`HKLM\SOFTWARE\Lost`: "not-recorded", `HKLM\SOFTWARE\Header`: "not-recorded", `HKLM\SOFTWARE\Other`: "not-recorded",
		`HKLM\SOFTWARE\Broken`: "protocol",
	} {
		k, err := facts.Registry.Get(r, facts.RegistryQuestion{Host: server, Key: key})
		got := outcome(err)
		switch {
		case err == nil && k.Exists:
			got = "there"
		case err == nil:
			got = "absent"
		}
		if got != want {
			t.Errorf("%s: %s, want %s (%v)", key, got, want, err)
		}
	}
	_, err := facts.Registry.Get(r, facts.RegistryQuestion{Host: server, Key: `HKLM\SOFTWARE\Broken`})
	if err == nil || !strings.Contains(err.Error(), "broken.reg") || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("the failure does not say where: %v", err)
	}
}

// A folder answers for its own server alone, and only what it holds.
func TestSourceLeavesTheRest(t *testing.T) {
	t.Parallel()
	r := folder(t, "services=0 s.txt", map[string]string{"s.txt": scEnglish})
	if _, err := facts.Services.Get(r, facts.ServerQuestion{FQDN: "other.todorovic.adds"}); outcome(err) != "unreachable" {
		t.Errorf("another server: %v", err)
	}
	if _, err := facts.Services.Get(r, facts.ServerQuestion{FQDN: server}); err != nil {
		t.Error(err)
	}
	if _, err := facts.Events.Get(r, facts.EventsQuestion{Host: server, Log: "System"}); outcome(err) != "not-recorded" {
		t.Errorf("a log that was not collected: %v", err)
	}
}

const scEnglish = `
SERVICE_NAME: RtcSrv
DISPLAY_NAME: Office Communications Server Front-End
        TYPE               : 10  WIN32_OWN_PROCESS  
        STATE              : 1  STOPPED 
                                (NOT_STOPPABLE, NOT_PAUSABLE, IGNORES_SHUTDOWN)
        WIN32_EXIT_CODE    : 1066  (0x42a)
        SERVICE_EXIT_CODE  : 3286842403  (0xc3e93c23)
        CHECKPOINT         : 0x0
        WAIT_HINT          : 0x0
        PID                : 0
        FLAGS              : 

SERVICE_NAME: RTCIMMCU
DISPLAY_NAME: Office Communications Server IM Conferencing
        TYPE               : 10  WIN32_OWN_PROCESS  
        STATE              : 4  RUNNING 
                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)
        WIN32_EXIT_CODE    : 0  (0x0)
        SERVICE_EXIT_CODE  : 0  (0x0)
        CHECKPOINT         : 0x0
        WAIT_HINT          : 0x0
        PID                : 1824
        FLAGS              : 
`

// What sc prints in other languages, after recordings: labels and words are translated, and a code may be signed.
const scFrench = "\r\nNOM_SERVICE: RtcSrv\r\nNOM_COMPLET : Office Communications Server Front-End (d\x82marrage : auto)\r\n" +
	"        TYPE                     : 10  WIN32_OWN_PROCESS\r\n        \x90TAT                     : 1  ARR\xd2T\x90\r\n                                (NON ARR\xd2TABLE)\r\n" +
	"        CODE_SORTIE_WIN32        : 1066  (0x42a)\r\n        CODE_SORTIE_SERVICE      : -1008124893  (0xc3e93c23)\r\n" +
	"        POINT_DE_CONTR\xe2LE        : 0x0\r\n        ATTENTE                  : 0x0\r\n        PID                      : 0\r\n        INDICATEURS              : \r\n" +
	"\r\nNOM_SERVICE: RTCIMMCU\r\nNOM_COMPLET : Conf\x82rences\r\n        TYPE                     : 10  WIN32_OWN_PROCESS\r\n        \x90TAT                     : 4  EN COURS\r\n" +
	"        CODE_SORTIE_WIN32        : 0  (0x0)\r\n        CODE_SORTIE_SERVICE      : 0  (0x0)\r\n        POINT_DE_CONTR\xe2LE        : 0x0\r\n        ATTENTE                  : 0x0\r\n        PID                      : 1824\r\n"

const scGerman = "\r\nDIENSTNAME: RtcSrv\r\nANZEIGENAME: Front-End-Server f\xfcr \xdcbertragung\r\n\tTYP                : 10  WIN32_OWN_PROCESS\r\n\tSTATUS             : 1  BEENDET\r\n" +
	"\tWIN32-BEENDIGUNGSCODE : 1066  (0x42a)\r\n\tDIENST-BEENDIGUNGSCODE : 3286842403  (0xc3e93c23)\r\n\tPR\xdcFPUNKT : 0x0\r\n\tWARTEHINWEIS : 0x0\r\n\tPID : 0\r\n" +
	"\r\nDIENSTNAME: RTCIMMCU\r\nANZEIGENAME: Konferenz\r\n\tTYP                : 10  WIN32_OWN_PROCESS\r\n\tSTATUS             : 4  WIRD AUSGEF\xdcHRT\r\n" +
	"\tWIN32-BEENDIGUNGSCODE : 0  (0x0)\r\n\tDIENST-BEENDIGUNGSCODE : 0  (0x0)\r\n\tPR\xdcFPUNKT : 0x0\r\n\tWARTEHINWEIS : 0x0\r\n\tPID : 1824\r\n"

// The list of services says the same in every language of Windows; only the display names differ.
func TestServices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, page, text, display, display2 string }{
		{"English", "437", strings.ReplaceAll(scEnglish, "\n", "\r\n"), "Office Communications Server Front-End", "Office Communications Server IM Conferencing"},
		{"French", "850", scFrench, "Office Communications Server Front-End (démarrage : auto)", "Conférences"},
		{"German", "1252", scGerman, "Front-End-Server für Übertragung", "Konferenz"},
	} {
		r := folder(t, "oemcp="+c.page+"\nservices=0 s.txt", map[string]string{"s.txt": c.text})
		got, err := facts.Services.Get(r, facts.ServerQuestion{FQDN: server})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		want := facts.ServiceList{Services: []facts.Service{
			{Name: "RtcSrv", DisplayName: c.display, State: facts.ServiceStopped, ExitCode: 1066, SpecificExitCode: 0xC3E93C23},
			{Name: "RTCIMMCU", DisplayName: c.display2, State: facts.ServiceRunning, PID: 1824},
		}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

// A list that broke off, or in which sc says that it failed, is no list.
func TestServicesIncomplete(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"cut":                scEnglish[:strings.LastIndex(scEnglish, "SERVICE_EXIT_CODE")-8],
		"more data":          scEnglish + "\n[SC] EnumQueryServicesStatus:EnumServicesStatusEx FAILED 234:\n\nMore data is available.\n",
		"nothing in it":      "hello\n",
		"no number":          strings.Replace(scEnglish, ": 1066", ": many", 1),
		"lines of no server": "        STATE              : 4  RUNNING\n",
	} {
		r := folder(t, "services=0 s.txt", map[string]string{"s.txt": text})
		if l, err := facts.Services.Get(r, facts.ServerQuestion{FQDN: server}); outcome(err) != "protocol" {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
	r := folder(t, "services=0 s.txt", map[string]string{"s.txt": " \r\n"})
	if _, err := facts.Services.Get(r, facts.ServerQuestion{FQDN: server}); outcome(err) != "not-recorded" {
		t.Errorf("exit code 0 and nothing written: %v", err)
	}
}

const eventXML = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Service Control Manager' Guid='{555908d1-a6d7-4695-8e1e-26931d2012f4}' EventSourceName='Service Control Manager'/><EventID Qualifiers='49152'>7024</EventID><Version>0</Version><Level>2</Level><Task>0</Task><Opcode>0</Opcode><Keywords>0x80000000000000</Keywords><TimeCreated SystemTime='2010-04-05T08:00:00.000000000Z'/><EventRecordID>2</EventRecordID><Correlation/><Execution ProcessID='0' ThreadID='0'/><Channel>System</Channel><Computer>ocs.todorovic.adds</Computer><Security/></System><EventData><Data Name='param1'>Serveur frontal &amp; &lt;x&gt;</Data><Data Name='param2'>%%3286842403</Data><Binary>52007400</Binary></EventData></Event>
<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-HttpEvent'/><EventID>15300</EventID><Level>3</Level><TimeCreated SystemTime='2010-04-05T09:00:00Z'/></System><UserData><X xmlns='y'><A>` + "\x01" + `0.0.0.0:443</A><B/></X></UserData></Event>
`

// Records come the newest first, by numbers and strings, whichever way Windows wrote them.
func TestEvents(t *testing.T) {
	t.Parallel()
	want := facts.EventList{Exists: true, Complete: true, Events: []facts.Event{
		{Source: "Microsoft-Windows-HttpEvent", ID: 15300, Type: 2, Time: time.Date(2010, 4, 5, 9, 0, 0, 0, time.UTC), Strings: []string{" 0.0.0.0:443", ""}},
		{Source: "Service Control Manager", ID: 49152<<16 | 7024, Type: 1, Time: time.Date(2010, 4, 5, 8, 0, 0, 0, time.UTC), Strings: []string{"Serveur frontal & <x>", "%%3286842403"}},
	}}
	saved := eventFile(
		record{id: 49152<<16 | 7024, typ: 1, at: want.Events[1].Time, source: want.Events[1].Source, strings: want.Events[1].Strings},
		record{id: 15300, typ: 2, at: want.Events[0].Time, source: want.Events[0].Source, strings: want.Events[0].Strings},
	)
	for name, text := range map[string]string{
		"wevtutil": eventXML, "in UTF-16": utf16LE(eventXML), "within an element": "<Events>" + eventXML + "</Events>", "saved on 2003": saved,
	} {
		r := folder(t, "events=0 e.xml System\nevents=absent - Office Communications Server\nevents=0 none.xml Application", map[string]string{"e.xml": text, "none.xml": ""})
		got, err := facts.Events.Get(r, facts.EventsQuestion{Host: server, Log: "system"})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if got, err := facts.Events.Get(r, facts.EventsQuestion{Host: server, Log: "Office Communications Server"}); err != nil || got.Exists {
			t.Errorf("a log that is not there: %v, %v", got, err)
		}
		if _, err := facts.Events.Get(r, facts.EventsQuestion{Host: server, Log: "Application"}); outcome(err) != "not-recorded" {
			t.Errorf("a log of which nothing was written: %v", err)
		}
	}
}

// A log without records is one; a text without any is no log, and one that broke off is not whole.
func TestEventsNone(t *testing.T) {
	t.Parallel()
	for text, complete := range map[string]bool{"<Events>\r\n</Events>\r\n": true, "<Events>\r\n": false} {
		l, err := parseEvents([]byte(text), "")
		if err != nil || !l.Exists || l.Complete != complete || len(l.Events) != 0 {
			t.Errorf("%q: %+v, %v", text, l, err)
		}
	}
	for _, text := range []string{"Access is denied.", "<html></html>", eventXML[:len(eventXML)-20]} {
		if l, err := parseEvents([]byte(text), ""); err == nil {
			t.Errorf("%q: %+v", text, l)
		}
	}
}

// Of a log with more records than are kept the newest are; then it is not whole.
func TestEventsAreTheNewest(t *testing.T) {
	t.Parallel()
	var records []record
	start := time.Date(2010, 4, 5, 0, 0, 0, 0, time.UTC)
	for i := range maxEvents + 10 {
		records = append(records, record{id: uint32(i), typ: 4, at: start.Add(time.Duration(i) * time.Second), source: "X"})
	}
	l, err := parseEvents([]byte(eventFile(records...)), "")
	if err != nil || len(l.Events) != maxEvents || l.Complete || l.Events[0].ID != maxEvents+9 {
		t.Errorf("%d events, the first %v, complete %v, %v", len(l.Events), l.Events[0], l.Complete, err)
	}
}

// record is one of a saved log.
type record struct {
	id      uint32
	typ     uint16
	at      time.Time
	source  string
	strings []string
}

// eventFile is a saved log ([MS-EVEN] 2.2.3).
func eventFile(records ...record) string {
	u32 := binary.LittleEndian.AppendUint32
	head := u32(nil, eventHeader)
	head = append(head, eventMark...)
	head = append(head, make([]byte, eventHeader-12)...)
	out := u32(head, eventHeader)
	for i, r := range records {
		body := append(utf16Z(r.source), utf16Z("OCS")...)
		stringsAt := eventFixed + len(body)
		for _, s := range r.strings {
			body = append(body, utf16Z(s)...)
		}
		for (eventFixed+len(body)+4)%4 != 0 {
			body = append(body, 0)
		}
		size := uint32(eventFixed + len(body) + 4)
		b := append(u32(nil, size), eventMark...)
		for _, n := range []uint32{uint32(i + 1), uint32(r.at.Unix()), uint32(r.at.Unix()), r.id, uint32(r.typ) | uint32(len(r.strings))<<16, 0, 0, uint32(stringsAt), 0, 0, 0, 0} {
			b = u32(b, n)
		}
		out = append(append(out, b...), u32(body, size)...)
	}
	end := u32(nil, 0x28)
	for _, n := range []uint32{0x11111111, 0x22222222, 0x33333333, 0x44444444} {
		end = u32(end, n)
	}
	return string(append(append(out, end...), u32(make([]byte, 16), 0x28)...))
}

func utf16Z(s string) []byte { return toUTF16(s) }

// Files, versions and what OCS says of its listeners.
func TestFiles(t *testing.T) {
	t.Parallel()
	entries := `file=0 f.config C:\Windows\System32\inetsrv\config\applicationHost.config
file=present - C:\Windows\System32\dsa.msc
file=absent - C:\Windows\System32\wmp.dll
file=1 g.txt C:\denied.txt
version=0 v.txt C:\Windows\System32\msasn1.dll
version=absent - C:\RTCSrv.exe
version=0 empty.txt C:\empty.dll
version=0 bad.txt C:\bad.dll
wmi=0 wmi.txt MSFT_SIPListeningAddressData
`
	r := folder(t, entries, map[string]string{
		"f.config": `<processModel userName="x" password="secret" />`, "v.txt": utf16LE("\r\r\n\r\r\nVersion=6.1.7600.16415\r\r\n\r\r\n"), "empty.txt": "\r\n", "bad.txt": "Version=\r\n",
		"wmi.txt": utf16LE("\r\r\nEnabled=TRUE\r\r\nIPAddress=192.168.1.20\r\r\nPort=5061\r\r\nTLSCertIssuer={48,130}\r\r\nTLSCertSN={1;2;255}\r\r\nTransportType=3\r\r\n\r\r\n\r\r\nEnabled=FALSE\r\r\nIPAddress=192.168.1.20\r\r\nPort=5060\r\r\nTLSCertIssuer=\r\r\nTLSCertSN=\r\r\nTransportType=2\r\r\n"),
	})
	read := func(path string) string {
		f, err := facts.File.Get(r, facts.FileQuestion{Host: server, Path: path})
		return strings.TrimSpace(fmt.Sprintf("%v %d %s %s", f.Exists, f.Size, f.Content, outcome(err)))
	}
	version := func(path string) string {
		v, err := facts.FileVersion.Get(r, facts.FileQuestion{Host: server, Path: path})
		return strings.TrimSpace(fmt.Sprintf("%v %s%s", v.Exists, v.Version, outcome(err)))
	}
	for _, c := range []struct{ name, got, want string }{
		{"a file, without its secrets", read(`c:\windows\system32\inetsrv\config\applicationhost.config`), `true 47 <processModel userName="x" password="(removed)" />`},
		{"there", read(`C:\Windows\System32\dsa.msc`), "true 0"},
		{"not there", read(`C:\Windows\System32\wmp.dll`), "false 0"},
		{"denied", read(`C:\denied.txt`), "false 0  not-recorded"},
		{"not collected", read(`C:\other.txt`), "false 0  not-recorded"},
		{"a version", version(`C:\WINDOWS\system32\msasn1.dll`), "true 6.1.7600.16415"},
		{"no file", version(`C:\RTCSrv.exe`), "false"},
		{"wrote nothing", version(`C:\empty.dll`), "false not-recorded"},
		{"no version", version(`C:\bad.dll`), "false protocol"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	got, err := facts.SIPListeners.Get(r, facts.ServerQuestion{FQDN: server})
	want := facts.SIPListenerList{Exists: true, Listeners: []facts.SIPListener{
		{Enabled: true, IPAddress: "192.168.1.20", Port: 5061, Transport: 3, TLSCertIssuer: []byte{48, 130}, TLSCertSN: []byte{1, 2, 255}},
		{IPAddress: "192.168.1.20", Port: 5060, Transport: 2},
	}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

// Who the folder is of, when it was made, and where it may stand.
func TestManifest(t *testing.T) {
	t.Parallel()
	text := utf16LE(whoami + "oemcp=850\r\ntime=20100405121500.000000+120\r\nip=0 for people\r\n")
	d, err := FromZIP("x.zip", pack(t, map[string]string{"ocsdoctor-OCS/manifest.txt": text}))
	if err != nil {
		t.Fatal(err)
	}
	if d.Server != server || !d.At.Equal(time.Date(2010, 4, 5, 10, 15, 0, 0, time.UTC)) {
		t.Errorf("%s, %v", d.Server, d.At)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Manifest.txt"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err = Open(dir); err != nil || d.Server != server {
		t.Errorf("a folder: %v, %v", d, err)
	}
	if _, err = Open(filepath.Join(dir, "Manifest.txt")); err == nil || !strings.Contains(err.Error(), "neither a folder nor a ZIP") {
		t.Errorf("another file: %v", err)
	}
}

// A hostile or broken folder is refused, with what is wrong and where.
func TestRefused(t *testing.T) {
	t.Parallel()
	many := map[string]string{manifestName: whoami}
	for i := range maxFiles {
		many[fmt.Sprintf("%d.txt", i)] = ""
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no manifest":             {map[string]string{"registry.reg": ""}, "has no manifest.txt"},
		"two servers":             {map[string]string{"a/manifest.txt": whoami, "b/manifest.txt": whoami}, "several servers"},
		"another format":          {map[string]string{manifestName: "collect=2\n"}, `manifest.txt: its format is "2"`},
		"no format":               {map[string]string{manifestName: "hello\n"}, "manifest.txt: it has no line collect="},
		"a path that leads out":   {map[string]string{manifestName: whoami, "../x.reg": ""}, `"../x.reg" is no name`},
		"an absolute path":        {map[string]string{manifestName: whoami, "/etc/x": ""}, `"/etc/x" is no name`},
		"a drive":                 {map[string]string{manifestName: whoami, `C:\x`: ""}, `is no name`},
		"the same file twice":     {map[string]string{manifestName: whoami, "a": "", "A": ""}, "it is there twice"},
		"too many files":          {many, "more than 1000"},
		"a deep folder":           {map[string]string{manifestName: whoami, strings.Repeat("a/", 20) + "x": ""}, "folders deep"},
		"an entry that leads out": {map[string]string{manifestName: whoami + "services=0 ../../etc/passwd\n"}, `manifest.txt: line 5: "../../etc/passwd" is no name`},
		"an entry without code":   {map[string]string{manifestName: whoami + "services=fine s.txt\n"}, `"fine" is no exit code`},
		"an entry without file":   {map[string]string{manifestName: whoami + "services=0\n"}, "names no file"},
		"an entry of nothing":     {map[string]string{manifestName: whoami + "registry=0 r.reg\n"}, "of what the registry is"},
		"too many entries":        {map[string]string{manifestName: whoami + strings.Repeat("file=present - x\n", maxEntries+1)}, "more than 5000 entries"},
	} {
		_, err := FromZIP("x.zip", pack(t, c.files))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A file that unpacks to more than a folder may hold is refused before it is all unpacked, whatever the archive says of its size.
func TestBomb(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(manifestName)
	if err == nil {
		_, err = f.Write([]byte(whoami))
	}
	if err != nil {
		t.Fatal(err)
	}
	if f, err = w.Create("registry.reg"); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range maxFile>>20 + 1 {
		if _, err := f.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := FromZIP("x.zip", b.Bytes()); err == nil || !strings.Contains(err.Error(), "registry.reg: it is larger") {
		t.Errorf("%v", err)
	}
	if b.Len() > 1<<20 {
		t.Fatalf("the archive has %d bytes", b.Len())
	}
}

// A link in a folder leads nowhere outside of it.
func TestLink(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	for name, text := range map[string]string{filepath.Join(dir, manifestName): whoami, outside: "secret"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "s.txt")); err != nil {
		t.Skip("no links here: ", err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "s.txt: it is no plain file") {
		t.Errorf("%v", err)
	}
}

// What reg query shows of a key's values, as Server 2003 writes it and as later ones do, is as good as an export; of what is below the
// key it says nothing.
func TestRegistryValuesOnly(t *testing.T) {
	t.Parallel()
	const key = `HKLM\SYSTEM\CurrentControlSet\Control\Lsa`
	later := "\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Lsa\r\n    (par d\x82faut)    REG_SZ    x\r\n    LmCompatibilityLevel    REG_DWORD    0x3\r\n" +
		"    Bounds    REG_BINARY    0030000000200000\r\n    Security Packages    REG_MULTI_SZ    kerberos\\0msv1_0\r\n    Path    REG_EXPAND_SZ    %x%    y\r\n    Empty    REG_SZ    \r\n" +
		"    Odd    REG_QWORD    0x1\r\n\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Lsa\\Data\r\n    Below    REG_DWORD    0x1\r\n"
	early := "\r\n! REG.EXE VERSION 3.0\r\n" + strings.NewReplacer("    REG", "\tREG", "DWORD    ", "DWORD\t", "SZ    ", "SZ\t", "BINARY    ", "BINARY\t", `\0msv1_0`, `\0msv1_0\0\0`).Replace(later)
	want := []facts.RegistryValue{
		{Name: "(par défaut)", Type: facts.RegSZ, Data: toUTF16("x")},
		{Name: "LmCompatibilityLevel", Type: facts.RegDWord, Data: []byte{3, 0, 0, 0}},
		{Name: "Bounds", Type: facts.RegBinary, Data: []byte{0, 0x30, 0, 0, 0, 0x20, 0, 0}},
		{Name: "Security Packages", Type: facts.RegMultiSZ, Data: append(toUTF16("kerberos\x00msv1_0"), 0, 0)},
		{Name: "Path", Type: facts.RegExpandSZ, Data: toUTF16("%x%    y")},
		{Name: "Empty", Type: facts.RegSZ, Data: toUTF16("")},
	}
	for name, text := range map[string]string{"since 2008": later, "2003": early} {
		r := folder(t, "oemcp=850\nvalues=0 q.txt "+key+"\nvalue=0 v.txt A HKLM\\B\nvalue=1 v.txt C HKLM\\B\nvalue=absent - E HKLM\\B\nvalues=0 v.txt HKLM\\Other", map[string]string{
			"q.txt": text, "v.txt": "\r\nHKEY_LOCAL_MACHINE\\B\r\n    A    REG_SZ    a\r\n",
		})
		k, err := facts.Registry.Get(r, facts.RegistryQuestion{Host: server, Key: key})
		if d := cmp.Diff(want, k.Values); err != nil || d != "" || !k.Exists {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
		for _, c := range []struct {
			q    facts.RegistryQuestion
			want string
		}{
			{facts.RegistryQuestion{Key: key, Values: []string{"lmcompatibilitylevel"}}, "1"},
			{facts.RegistryQuestion{Key: key, Values: []string{"Nope"}}, "0"},
			{facts.RegistryQuestion{Key: key, Depth: 1}, "not-recorded"},
			{facts.RegistryQuestion{Key: key + `\Data`}, "not-recorded"},
			{facts.RegistryQuestion{Key: `HKLM\B`, Values: []string{"A"}}, "1"},
			{facts.RegistryQuestion{Key: `HKLM\B`, Values: []string{"A", "E"}}, "1"},
			{facts.RegistryQuestion{Key: `HKLM\B`, Values: []string{"A", "C"}}, "not-recorded"},
			{facts.RegistryQuestion{Key: `HKLM\B`, Values: []string{"A", "D"}}, "not-recorded"},
			{facts.RegistryQuestion{Key: `HKLM\B`}, "not-recorded"},
			{facts.RegistryQuestion{Key: `HKLM\Other`}, "protocol"},
		} {
			c.q.Host = server
			k, err := facts.Registry.Get(r, c.q)
			got := outcome(err)
			if err == nil {
				got = fmt.Sprint(len(k.Values))
			}
			if got != c.want {
				t.Errorf("%s: %v: %s, want %s (%v)", name, c.q, got, c.want, err)
			}
		}
	}
}

// A large server's folder is read once, whatever is asked of it how often: 400 roots, 3,000 packages, 500 services, 2,000 events.
func TestLargeFolderIsReadQuickly(t *testing.T) {
	t.Parallel()
	const packages, roots, services = 3000, 400, 500
	var reg, sc, xml strings.Builder
	reg.WriteString("Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\P]\r\n")
	for i := range packages {
		fmt.Fprintf(&reg, "\r\n[HKEY_LOCAL_MACHINE\\P\\Package_%d_for_KB974571~31bf3856ad364e35~amd64~~6.1.1.1]\r\n", i)
		for v := range 12 {
			fmt.Fprintf(&reg, "\"Value%d\"=dword:%08x\r\n\"Text%d\"=\"C:\\\\Windows\\\\servicing\\\\%d\"\r\n", v, i, v, i)
		}
		fmt.Fprintf(&reg, "\r\n[HKEY_LOCAL_MACHINE\\P\\Package_%d_for_KB974571~31bf3856ad364e35~amd64~~6.1.1.1\\Owners]\r\n\"x\"=dword:00020070\r\n", i)
	}
	reg.WriteString("\r\n[HKEY_LOCAL_MACHINE\\R]\r\n")
	for i := range roots {
		fmt.Fprintf(&reg, "\r\n[HKEY_LOCAL_MACHINE\\R\\%040X]\r\n\"Blob\"=hex:03", i)
		for n := range 1500 {
			reg.WriteString(",ff")
			if n%25 == 24 {
				reg.WriteString(",\\\r\n  00")
			}
		}
		reg.WriteString("\r\n")
	}
	for i := range services {
		sc.WriteString(strings.ReplaceAll(scEnglish[:strings.Index(scEnglish, "\nSERVICE_NAME: RTCIMMCU")], "RtcSrv", fmt.Sprintf("Service%d", i)))
	}
	for range maxEvents / 2 {
		xml.WriteString(eventXML)
	}
	files := map[string]string{
		manifestName: whoami + "registry=0 r.reg HKLM\nservices=0 s.txt\nevents=0 e.xml System\n",
		"r.reg":      utf16LE(reg.String()), "s.txt": sc.String(), "e.xml": utf16LE(xml.String()),
	}
	packed := pack(t, files)
	started := time.Now()
	d, err := FromZIP("ocs.zip", packed)
	if err != nil {
		t.Fatal(err)
	}
	r := reader(t, d)
	ask := func(key string, depth, want int) {
		t.Helper()
		k, err := facts.Registry.Get(r, facts.RegistryQuestion{Host: server, Key: key, Depth: depth})
		if err != nil || len(k.Keys) != want {
			t.Errorf("%s: %d keys, %v", key, len(k.Keys), err)
		}
	}
	ask(`HKLM\P`, 1, packages)
	ask(`HKLM\R`, 1, roots)
	for i := range 1000 {
		ask(fmt.Sprintf(`HKLM\P\Package_%d_for_KB974571~31bf3856ad364e35~amd64~~6.1.1.1`, i), 1, 1)
	}
	if l, err := facts.Services.Get(r, facts.ServerQuestion{FQDN: server}); err != nil || len(l.Services) != services {
		t.Errorf("%d services, %v", len(l.Services), err)
	}
	if l, err := facts.Events.Get(r, facts.EventsQuestion{Host: server, Log: "System"}); err != nil || len(l.Events) != maxEvents {
		t.Errorf("%d events, %v", len(l.Events), err)
	}
	// Half a second is enough; the race detector on a busy machine takes the rest.
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("reading took %v", took)
	} else {
		t.Logf("%d bytes in %v", len(files["r.reg"]), took)
	}
}
