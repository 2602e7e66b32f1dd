package tlsprobe

import (
	"bytes"
	"crypto/tls"
	"testing"
)

// flight is what a TLS 1.0 server sends first: a hello, and a certificate message split over two records.
var flight = func() []byte {
	hello := append([]byte{2, 0, 0, 38, 3, 1}, make([]byte, 32)...)
	hello = append(hello, 0, 0, 10, 0)
	chain := []byte{11, 0, 0, 9, 0, 0, 6, 0, 0, 3, 'd', 'e', 'r'}
	b := append([]byte{22, 3, 1, 0, 42}, hello...)
	b = append(append(b, 22, 3, 1, 0, 6), chain[:6]...)
	return append(append(b, 22, 3, 1, 0, 7), chain[6:]...)
}()

func TestParse(t *testing.T) {
	t.Parallel()
	got := parse(flight)
	if !got.tls || got.version != tls.VersionTLS10 || got.alert != -1 || len(got.certificates) != 1 || !bytes.Equal(got.certificates[0], []byte("der")) {
		t.Errorf("%+v", got)
	}
	if got := parse(append([]byte{21, 3, 1, 0, 2, 1, 112}, flight...)); got.alert != -1 || got.version == 0 {
		t.Errorf("after a warning: %+v", got)
	}
	if got := parse([]byte("220 hello\r\n")); got.tls || !got.received {
		t.Errorf("text: %+v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(flight)
	f.Add(flight[:50])
	f.Add([]byte{21, 3, 1, 0, 2, 2, 40})
	f.Fuzz(func(t *testing.T, b []byte) {
		got := parse(b)
		if len(got.certificates) > maxCertificates || got.tls && !got.received {
			t.Errorf("%+v", got)
		}
		if got.problem(Modern("a")) == "" || got.problem(Legacy("a")) == "" {
			t.Error("nothing is said")
		}
	})
}
