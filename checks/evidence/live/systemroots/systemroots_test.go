package systemroots

import (
	"bytes"
	"encoding/pem"
	"testing"
)

func TestCertificates(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	b.WriteString("# Todorovic Root CA\n")
	for _, p := range []*pem.Block{{Type: "CERTIFICATE", Bytes: []byte{1}}, {Type: "PRIVATE KEY", Bytes: []byte{2}}, {Type: "CERTIFICATE", Bytes: []byte{3}}} {
		if err := pem.Encode(&b, p); err != nil {
			t.Fatal(err)
		}
	}
	b.WriteString("-----BEGIN CERTIFICATE-----\ncut")
	got := certificates(b.Bytes())
	if len(got) != 2 || got[0][0] != 1 || got[1][0] != 3 {
		t.Errorf("read %v", got)
	}
}

// The machine that runs the tests may have no roots; then the reason is told.
func TestRead(t *testing.T) {
	t.Parallel()
	l, err := Read()
	if err == nil && (len(l.Anchors) == 0 || len(l.Read) != 1 || l.Anchors[0].Store != Store) || err != nil && len(l.Anchors) > 0 {
		t.Errorf("%d anchors of %v, %v", len(l.Anchors), l.Read, err)
	}
}
