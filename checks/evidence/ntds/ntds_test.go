package ntds

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	guid   = GUID("1131f6aa-9c07-11d1-f79f-00c04fc2dcd2")
	source = GUID("6aad8f5a-07cc-403a-9696-9102fe1c320b")
	sid    = "S-1-5-21-3623811015-3361044348-30300820-1013"
)

var at = time.Date(2009, 11, 23, 8, 15, 0, 0, time.UTC)

func TestGUID(t *testing.T) {
	t.Parallel()
	// The bytes as they stand in an access control entry for DS-Replication-Get-Changes.
	b := []byte{0xaa, 0xf6, 0x31, 0x11, 0x07, 0x9c, 0xd1, 0x11, 0xf7, 0x9f, 0x00, 0xc0, 0x4f, 0xc2, 0xdc, 0xd2}
	got, err := ParseGUID(b)
	if err != nil || got != guid {
		t.Errorf("ParseGUID = %q, %v", got, err)
	}
	if diff := cmp.Diff(b, guid.Bytes()); diff != "" {
		t.Error(diff)
	}
	if _, err := ParseGUID(b[:15]); err == nil {
		t.Error("15 bytes pass for a GUID")
	}
	for text, want := range map[string]GUID{
		"{1131F6AA-9C07-11D1-F79F-00C04FC2DCD2}": guid, string(guid): guid, "": "", "1131f6aa": "", "zz31f6aa-9c07-11d1-f79f-00c04fc2dcd2": "",
	} {
		if got := GUIDFromText(text); got != want {
			t.Errorf("GUIDFromText(%q) = %q", text, got)
		}
	}
}

func TestSID(t *testing.T) {
	t.Parallel()
	b, err := EncodeSID(sid)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSID(b)
	if err != nil || got != sid {
		t.Errorf("ParseSID = %q, %v", got, err)
	}
	for _, bad := range [][]byte{nil, b[:7], b[:len(b)-1], append([]byte{2}, b[1:]...), {1, 200, 0, 0, 0, 0, 0, 5}} {
		if s, err := ParseSID(bad); err == nil {
			t.Errorf("% x passes for the SID %s", bad, s)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	if got := FileTime(ToFileTime(at)); !got.Equal(at) {
		t.Errorf("FileTime = %v", got)
	}
	if got := FileTime(129034377000000000); !got.Equal(at) {
		t.Errorf("FileTime = %v", got)
	}
	for _, v := range []int64{0, -1, never} {
		if got := FileTime(v); !got.IsZero() {
			t.Errorf("FileTime(%d) = %v", v, got)
		}
	}
	got, err := GeneralizedTime("20091123081500.0Z")
	if err != nil || !got.Equal(at) {
		t.Errorf("GeneralizedTime = %v, %v", got, err)
	}
	for _, bad := range []string{"", "yesterday", "20091123081500", "20091323081500.0Z"} {
		if got, err := GeneralizedTime(bad); err == nil {
			t.Errorf("GeneralizedTime(%q) = %v", bad, got)
		}
	}
}

func TestRepsFrom(t *testing.T) {
	t.Parallel()
	want := Link{Source: source, Invocation: guid, Success: at, Attempt: at.Add(time.Hour), Result: 1722, Failures: 12, Flags: 0x70}
	b := want.EncodeRepsFrom()
	got, err := ParseRepsFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	never, err := ParseRepsFrom(Link{Source: source}.EncodeRepsFrom())
	if err != nil || !never.Success.IsZero() || !never.Attempt.IsZero() {
		t.Errorf("a link never tried reads %+v, %v", never, err)
	}
	for _, bad := range [][]byte{nil, b[:100], append([]byte{9}, b[1:]...), append(append([]byte{}, b[:8]...), append([]byte{0xff, 0xff, 0, 0}, b[12:]...)...)} {
		if l, err := ParseRepsFrom(bad); err == nil {
			t.Errorf("%d bytes read as %+v", len(bad), l)
		}
	}
}

func TestUpToDateVector(t *testing.T) {
	t.Parallel()
	want := []Cursor{{guid, 4711, at}, {source, 9, time.Time{}}}
	b := EncodeUpToDateVector(want)
	got, err := ParseUpToDateVector(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Samba keeps units of 100 ns, and the beginning of 1970 where it does not know.
	for written, want := range map[time.Time]time.Time{at: at, time.Unix(0, 0): {}} {
		ns := EncodeUpToDateVector([]Cursor{{guid, 4711, at}})
		binary.LittleEndian.PutUint64(ns[16+24:], uint64(ToFileTime(written)))
		got, err = ParseUpToDateVector(ns)
		if err != nil || !got[0].Success.Equal(want) {
			t.Errorf("%v in units of 100 ns read as %+v, %v", written, got, err)
		}
	}
	for _, bad := range [][]byte{nil, b[:15], b[:len(b)-1], {2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, {7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if c, err := ParseUpToDateVector(bad); err == nil {
			t.Errorf("%d bytes read as %+v", len(bad), c)
		}
	}
}

const neighbor = `<DS_REPL_NEIGHBOR>
	<pszNamingContext>CN=Configuration,DC=todorovic,DC=adds</pszNamingContext>
	<pszSourceDsaDN>CN=NTDS Settings,CN=DC2,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration,DC=todorovic,DC=adds</pszSourceDsaDN>
	<pszSourceDsaAddress>6aad8f5a-07cc-403a-9696-9102fe1c320b._msdcs.todorovic.adds</pszSourceDsaAddress>
	<pszAsyncIntersiteTransportDN></pszAsyncIntersiteTransportDN>
	<dwReplicaFlags>112</dwReplicaFlags>
	<uuidNamingContextObjGuid>0aad8f5a-07cc-403a-9696-9102fe1c320b</uuidNamingContextObjGuid>
	<uuidSourceDsaObjGuid>6aad8f5a-07cc-403a-9696-9102fe1c320b</uuidSourceDsaObjGuid>
	<uuidSourceDsaInvocationID>1131f6aa-9c07-11d1-f79f-00c04fc2dcd2</uuidSourceDsaInvocationID>
	<usnLastObjChangeSynced>20598</usnLastObjChangeSynced>
	<ftimeLastSyncSuccess>2009-11-23T08:15:00Z</ftimeLastSyncSuccess>
	<ftimeLastSyncAttempt>2009-11-23T09:15:00Z</ftimeLastSyncAttempt>
	<dwLastSyncResult>2148074274</dwLastSyncResult>
	<cNumConsecutiveSyncFailures>12</cNumConsecutiveSyncFailures>
	<somethingNew>x</somethingNew>
</DS_REPL_NEIGHBOR>` + "\n\x00"

func TestNeighbor(t *testing.T) {
	t.Parallel()
	got, err := ParseNeighbor([]byte(neighbor))
	if err != nil {
		t.Fatal(err)
	}
	want := Neighbor{
		Link:      Link{Source: source, Invocation: guid, Success: at, Attempt: at.Add(time.Hour), Result: 0x80090322, Failures: 12, Flags: 112},
		Partition: "CN=Configuration,DC=todorovic,DC=adds",
		SourceDN:  "CN=NTDS Settings,CN=DC2,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration,DC=todorovic,DC=adds",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Deleted() {
		t.Error("a live partner reads as deleted")
	}
	gone, err := ParseNeighbor([]byte(strings.Replace(neighbor, "CN=NTDS Settings", `CN=NTDS Settings\0ADEL:6aad8f5a-07cc-403a-9696-9102fe1c320b`, 1)))
	if err != nil || !gone.Deleted() {
		t.Errorf("a deleted partner reads as %+v, %v", gone, err)
	}
	first, err := ParseNeighbor([]byte(strings.Replace(neighbor, "2009-11-23T08:15:00Z", "1601-01-01T00:00:00Z", 1)))
	if err != nil || !first.Success.IsZero() {
		t.Errorf("the year 1601 reads as %v, %v", first.Success, err)
	}
	for name, bad := range map[string]string{
		"empty": "", "cut off": neighbor[:200], "another element": "<DS_REPL_OP></DS_REPL_OP>",
		"no source": strings.Replace(neighbor, "6aad8f5a-07cc-403a-9696-9102fe1c320b</uuidSourceDsaObjGuid>", "</uuidSourceDsaObjGuid>", 1),
		"no time":   strings.Replace(neighbor, "2009-11-23T08:15:00Z", "gestern", 1),
		"an entity": strings.Replace(neighbor, "20598", "&xxe;", 1),
	} {
		if n, err := ParseNeighbor([]byte(bad)); err == nil {
			t.Errorf("%s reads as %+v", name, n)
		}
	}
}

func TestDSAFailure(t *testing.T) {
	t.Parallel()
	got, err := ParseDSAFailure([]byte("<DS_REPL_KCC_DSA_FAILURE><pszDsaDN>CN=NTDS Settings,CN=DC2</pszDsaDN><uuidDsaObjGuid>" + string(source) +
		"</uuidDsaObjGuid><ftimeFirstFailure>2009-11-23T08:15:00Z</ftimeFirstFailure><cNumFailures>3</cNumFailures><dwLastResult>1722</dwLastResult></DS_REPL_KCC_DSA_FAILURE>\n\x00"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(DSAFailure{"CN=NTDS Settings,CN=DC2", source, at, 3, 1722}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDescriptor(t *testing.T) {
	t.Parallel()
	want := Descriptor{Protected: true, HasDACL: true, ACEs: []ACE{
		{Allow: true, Mask: ControlAccess, Object: guid, Trustee: sid},
		{Allow: true, Mask: ReadProperty, Flags: 0x0a, Object: guid, Inherited: source, Trustee: "S-1-5-11"},
		{Allow: false, Mask: WriteProperty, Trustee: "S-1-1-0"},
	}}
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseDescriptor(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for n := range b {
		if d, err := ParseDescriptor(b[:n]); err == nil {
			t.Errorf("the first %d bytes read as %+v", n, d)
		}
	}
}

func TestMeaning(t *testing.T) {
	t.Parallel()
	for code, want := range map[uint32]string{1722: "the RPC server is unavailable", 424242: "error 424242", 0x80090322: "the target principal name is incorrect", 0x80071234: "error 0x80071234"} {
		if got := Meaning(code); got != want {
			t.Errorf("Meaning(%d) = %q", code, got)
		}
		if Remedy(code) == "" {
			t.Errorf("%d has no remedy", code)
		}
	}
}

func FuzzParseRepsFrom(f *testing.F) {
	f.Add(Link{Source: source, Invocation: guid, Success: at, Result: 8418}.EncodeRepsFrom())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseRepsFrom(b)
		if err == nil && l.Success.Year() > 40000 {
			t.Errorf("no such year: %v", l.Success)
		}
	})
}

func FuzzParseUpToDateVector(f *testing.F) {
	f.Add(EncodeUpToDateVector([]Cursor{{guid, 1, at}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseUpToDateVector(b)
		if err == nil && len(c) > maxCursors {
			t.Errorf("%d cursors", len(c))
		}
	})
}

func FuzzParseNeighbor(f *testing.F) {
	f.Add([]byte(neighbor))
	f.Add([]byte("<DS_REPL_NEIGHBOR/>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := ParseNeighbor(b); err == nil && (n.Source == "" || n.Partition == "") {
			t.Errorf("read as %+v", n)
		}
		_, _ = ParseDSAFailure(b)
	})
}

func FuzzParseDescriptor(f *testing.F) {
	b, err := Descriptor{HasDACL: true, ACEs: []ACE{{Allow: true, Object: guid, Trustee: sid}}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDescriptor(b)
		if err == nil && len(d.ACEs) > len(b)/4 {
			t.Errorf("%d entries out of %d bytes", len(d.ACEs), len(b))
		}
	})
}

func FuzzParseSID(f *testing.F) {
	b, err := EncodeSID(sid)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSID(b)
		if err != nil {
			return
		}
		again, err := EncodeSID(s)
		if err != nil || string(again) != string(b[:len(again)]) {
			t.Errorf("% x reads as %s, which is % x, %v", b, s, again, err)
		}
	})
}
