package hostdump

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ocsdoctor/checks/evidence/facts"
)

// What is read of a registry text can be written down as a fact, whatever the text is.
func FuzzRegistryText(f *testing.F) {
	for _, s := range []string{
		someRegistry, utf16LE(someRegistry), "REGEDIT4\n[HKEY_LOCAL_MACHINE\\A]\n\"x\"=hex(7):61,00,62,00,00\n", "Windows Registry Editor Version 5.00\n[-HKEY_USERS]\n[HKEY_USERS]\n@=-\n",
		"Windows Registry Editor Version 5.00\n[a]\n\"x\"=\"one\ntwo", "Windows Registry Editor Version 5.00\n[a]\n\"x\"=hex:01,\\", "Windows Registry Editor Version 5.00\n[a]\n\"\\\\\"=dword:1;x\n", "\xFE\xFF\x00W",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text := decode(b, "850")
		if !utf8.ValidString(text) {
			t.Fatal("the text is not UTF-8")
		}
		root, err := parseReg(text, "850")
		if err != nil {
			return
		}
		if _, err := json.Marshal(root.fact(4, nil)); err != nil {
			t.Fatal(err)
		}
		for _, k := range root.keys {
			if !k.deleted && root.find([]string{k.name}) == nil {
				t.Fatalf("the key %q is not found", k.name)
			}
		}
	})
}

// What reg query shows becomes values whose data is of their type.
func FuzzRegistryQuery(f *testing.F) {
	f.Add([]byte("\r\nHKEY_LOCAL_MACHINE\\A\r\n    x    REG_DWORD    0x3\r\n    y    REG_MULTI_SZ    a\\0b\r\n    z    REG_BINARY    00ff\r\n"))
	f.Add([]byte("! REG.EXE VERSION 3.0\r\n\r\nHKEY_LOCAL_MACHINE\\A\r\n    x\tREG_DWORD\t0x3\r\n    e\tREG_SZ\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := parseQuery(decode(b, "437"), []string{"HKLM", "A"})
		if err != nil {
			return
		}
		for _, v := range values {
			switch v.Type {
			case facts.RegDWord:
				if len(v.Data) != 4 {
					t.Fatalf("%+v", v)
				}
			case facts.RegSZ, facts.RegExpandSZ, facts.RegMultiSZ:
				if n := len(v.Data); n%2 != 0 || n > 0 && (v.Data[n-1] != 0 || v.Data[n-2] != 0) {
					t.Fatalf("%+v", v)
				}
			}
		}
	})
}

// Each service has a name of its own and a state.
func FuzzServices(f *testing.F) {
	for _, s := range []string{scEnglish, scFrench, scGerman, scEnglish[:300], "[SC] EnumQueryServicesStatus:OpenService FAILED 5:\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseServices(decode(b, "850"))
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, s := range l.Services {
			if lower := strings.ToLower(s.Name); s.Name == "" || seen[lower] {
				t.Fatalf("%+v", l)
			} else {
				seen[lower] = true
			}
		}
	})
}

// Neither a version nor a listener comes out of what is none.
func FuzzWMIC(f *testing.F) {
	f.Add([]byte(utf16LE("\r\r\n\r\r\nVersion=6.1.7600.16415\r\r\n\r\r\n")))
	f.Add([]byte("Enabled=TRUE\r\r\nIPAddress=192.168.1.20\r\r\nPort=5061\r\r\nTLSCertIssuer={48,130}\r\r\nTLSCertSN={1;2;255}\r\r\nTransportType=3\r\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		text := decode(b, "")
		if v, err := parseVersion(text); err == nil && (!v.Exists || strings.Count(v.Version, ".") != 3) {
			t.Fatalf("%+v", v)
		}
		if l, err := parseListeners(text); err == nil && (!l.Exists || len(l.Listeners) == 0) {
			t.Fatalf("%+v", l)
		}
	})
}

// Records come the newest first, in whichever form they are, and no more than are kept.
func FuzzEvents(f *testing.F) {
	f.Add([]byte(eventXML))
	f.Add([]byte(utf16LE(eventXML)))
	f.Add([]byte(eventFile(record{id: 7024, typ: 1, at: time.Unix(1270450800, 0), source: "Service Control Manager", strings: []string{"a", "b"}}, record{id: 1, source: "X"})))
	f.Add([]byte("<Event><System><Provider Name='a'/><EventID>1</EventID><TimeCreated SystemTime='2010-04-05T09:00:00Z'/></System><EventData><Data><a><b></b></a></Data></EventData></Event>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseEvents(b, "437")
		if err != nil {
			return
		}
		if len(l.Events) > maxEvents || !slices.IsSortedFunc(l.Events, func(a, b facts.Event) int { return b.Time.Compare(a.Time) }) {
			t.Fatalf("%d events", len(l.Events))
		}
		if _, err := json.Marshal(l); err != nil {
			t.Fatal(err)
		}
	})
}

// A manifest leads to no file outside of its folder, and its server is a name as keys hold it.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(whoami + "oemcp=850\nregistry=0 r.reg HKEY_LOCAL_MACHINE\\A\nvalue=0 v.txt X HKLM\\B\nfile=present - C:\\x\nwmi=-2147217392 - X\ntime=20100405121500.000000+120\n"))
	f.Add([]byte("collect=1\nservices=0 ../s.txt\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(decode(b, ""))
		if err != nil {
			return
		}
		if s := m.server(); s != "" && !facts.IsHostName(s) {
			t.Fatalf("%q", s)
		}
		for _, e := range m.entries {
			if e.file != "-" && !filepath.IsLocal(e.file) {
				t.Fatalf("%+v", e)
			}
		}
	})
}
