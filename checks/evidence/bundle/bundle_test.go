package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks/evidence"
)

var capture = time.Date(2010, 5, 4, 8, 0, 0, 0, time.UTC)

func sample(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	err := Write(&b, Manifest{Tool: "test", CapturedAt: capture, Host: "admin-pc", Hosts: []string{"ocs:5061/tcp"}}, []*evidence.Record{
		{Key: evidence.Key{Kind: "dns.answer", Query: "inside#1 a A"}, Via: "live", At: capture, Value: json.RawMessage(`{"rcode":"NOERROR"}`)},
		{Key: evidence.Key{Kind: "net.connect", Query: "ocs:5061"}, Via: "live", At: capture, Failure: evidence.FailAt(evidence.Timeout, "silent", evidence.Key{Kind: "net.address", Query: "ocs:5061/tcp"})},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(b []byte) (Manifest, evidence.Recorded, error) {
	return Read(bytes.NewReader(b), int64(len(b)))
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	m, facts, err := read(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if m.Host != "admin-pc" || !m.CapturedAt.Equal(capture) || len(m.Hosts) != 1 {
		t.Errorf("the manifest came back as %+v", m)
	}
	value := facts[evidence.Key{Kind: "dns.answer", Query: "inside#1 a A"}]
	var compact bytes.Buffer
	if value == nil || json.Compact(&compact, value.Value) != nil || compact.String() != `{"rcode":"NOERROR"}` {
		t.Errorf("the value came back as %+v", value)
	}
	failed := facts[evidence.Key{Kind: "net.connect", Query: "ocs:5061"}]
	if failed == nil || failed.Failure == nil || failed.Failure.Root.String() != "net.address(ocs:5061/tcp)" {
		t.Errorf("the failure came back as %+v", failed)
	}
}

func TestABadBundleIsNamed(t *testing.T) {
	t.Parallel()
	zipped := func(files ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for i := 0; i < len(files); i += 2 {
			f, err := z.Create(files[i])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write([]byte(files[i+1])); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	const manifest = `{"schema":"ocsdoctor.bundle/1","capturedAt":"2010-05-04T08:00:00Z"}`
	for name, c := range map[string]struct {
		bundle []byte
		want   string
	}{
		"no zip":              {[]byte("hello"), "not a zip"},
		"no manifest":         {zipped(), "manifest.json: it is missing"},
		"another schema":      {zipped("manifest.json", `{"schema":"x"}`), `its schema is "x"`},
		"no time":             {zipped("manifest.json", `{"schema":"ocsdoctor.bundle/1"}`), "no time of capture"},
		"a path that climbs":  {zipped("../../etc/passwd", "x"), "not a name that a bundle holds"},
		"malformed facts":     {zipped("manifest.json", manifest, "facts/dns.answer.json", "[{"), "facts/dns.answer.json:"},
		"a fact of another":   {zipped("manifest.json", manifest, "facts/dns.answer.json", `[{"key":"net.connect(a:1)","value":1}]`), "not of the kind dns.answer"},
		"a fact twice":        {zipped("manifest.json", manifest, "facts/a.json", `[{"key":"a(b)","value":1},{"key":"a(b)","value":1}]`), "there twice"},
		"no value or failure": {zipped("manifest.json", manifest, "facts/a.json", `[{"key":"a(b)"}]`), "neither value nor failure"},
		"null":                {zipped("manifest.json", manifest, "facts/a.json", `[null]`), "not of the kind"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := read(c.bundle)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestAZipBombIsRefused(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("facts/a.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 2<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(r.File[0], 1<<20); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("the error is %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample(f))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, facts, err := read(b); err == nil {
			for k, r := range facts {
				if r.Key != k {
					t.Errorf("%s is kept as %s", r.Key, k)
				}
			}
		}
	})
}
