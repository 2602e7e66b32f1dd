package tlsprobe

import (
	"bytes"
	"crypto/tls"
	"io"
	"os"
	"slices"
	"testing"
	"testing/iotest"
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

// request is the end of that flight: two issuers are asked for, and it is the client's turn.
var request = []byte{22, 3, 1, 0, 23, 13, 0, 0, 15, 2, 1, 2, 0, 10, 0, 3, 'o', 'n', 'e', 0, 3, 't', 'w', 'o', 14, 0, 0, 0}

func TestListen(t *testing.T) {
	t.Parallel()
	got, err := listen(iotest.OneByteReader(bytes.NewReader(slices.Concat(flight, request, []byte("what is not read")))))
	if err != nil || !got.done || got.closed || got.version != tls.VersionTLS10 || got.suite != 10 || len(got.certificates) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if !got.asked || got.issuers != 2 || got.issuerBytes != 10 {
		t.Errorf("asked %v, %d issuers in %d bytes", got.asked, got.issuers, got.issuerBytes)
	}
	of12 := bytes.Clone(request)
	of12 = slices.Insert(of12, 12, 0, 2, 4, 1) // the signature algorithms
	of12[4], of12[8] = of12[4]+4, of12[8]+4
	hello := bytes.Clone(flight)
	hello[10] = 3
	if got, err := listen(bytes.NewReader(slices.Concat(hello, of12))); err != nil || got.version != tls.VersionTLS12 || got.issuers != 2 {
		t.Errorf("TLS 1.2: %+v, %v", got, err)
	}
	if got, err := listen(bytes.NewReader(flight)); err != nil || got.done || !got.closed {
		t.Errorf("cut off: %+v, %v", got, err)
	}
	if _, err := listen(io.MultiReader(bytes.NewReader(flight), iotest.ErrReader(os.ErrDeadlineExceeded))); err == nil {
		t.Error("a reader that times out gives no error")
	}
}

// What is read is within bounds, and where records are whole it is the same piece by piece as at once.
func FuzzListen(f *testing.F) {
	f.Add([]byte{})
	f.Add(flight)
	f.Add(slices.Concat(flight, request))
	f.Add([]byte{21, 3, 1, 0, 2, 2, 40})
	f.Add(append([]byte{22, 3, 3, 0x40, 0, 13, 0, 0x3f, 0xfc, 0, 0, 0x3f, 0xf8}, make([]byte, 1<<14)...))
	f.Add([]byte("HTTP/1.1 400 Bad Request"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := listen(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.certificates) > maxCertificates || got.issuerBytes > 1<<16 || got.issuers > got.issuerBytes || got.issuerBytes > 0 && !got.asked {
			t.Errorf("%+v", got)
		}
		if whole := parse(b); !got.closed && !got.done && (whole.version != got.version || whole.alert != got.alert || len(whole.certificates) != len(got.certificates)) {
			t.Errorf("piece by piece %+v, at once %+v", got, whole)
		}
		if spoken, err := listenSSL2(bytes.NewReader(b)); err != nil || spoken && len(b) < 7 {
			t.Errorf("SSL 2.0: %v, %v", spoken, err)
		}
	})
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
