package host

import (
	"testing"
)

// FuzzSubjectLength: what stands in a server's registry as a certificate may be anything.
func FuzzSubjectLength(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x30, 0x80})
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Add(certificateOf([]byte("CN")))
	f.Fuzz(func(t *testing.T, der []byte) {
		if n, err := subjectLength(der); err == nil && (n < 2 || n > len(der)) {
			t.Errorf("%d bytes of %d", n, len(der))
		}
	})
}

func TestSubjectLength(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 126, 127, 128, 255, 256, 40_000} {
		n, err := subjectLength(certificateOf(make([]byte, size)))
		if want := len(wrap(0x30, make([]byte, size))); err != nil || n != want {
			t.Errorf("a subject of %d bytes is said to take %d, want %d: %v", size, n, want, err)
		}
	}
	for name, der := range map[string][]byte{"nothing": nil, "a text": []byte("-----BEGIN"), "cut off": certificateOf([]byte("CN=x"))[:20], "endless": {0x30, 0x80, 0, 0}} {
		if n, err := subjectLength(der); err == nil {
			t.Errorf("%s: %d", name, n)
		}
	}
}

// certificateOf is a certificate with that content of the subject and little else.
func certificateOf(subject []byte) []byte {
	var tbs []byte
	for _, e := range [][]byte{wrap(0xA0, wrap(2, []byte{2})), wrap(2, []byte{1}), wrap(0x30, nil), wrap(0x30, []byte{5, 0}), wrap(0x30, nil), wrap(0x30, subject), wrap(0x30, nil)} {
		tbs = append(tbs, e...)
	}
	return wrap(0x30, append(wrap(0x30, tbs), wrap(0x30, nil)...))
}

func wrap(tag byte, content []byte) []byte {
	n := len(content)
	head := []byte{tag, byte(n)}
	switch {
	case n > 0xFF:
		head = []byte{tag, 0x82, byte(n >> 8), byte(n)}
	case n > 0x7F:
		head = []byte{tag, 0x81, byte(n)}
	}
	return append(head, content...)
}
