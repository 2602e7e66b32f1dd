package winprobe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

// programFile is a program with a version resource, as a linker lays it out. plus makes it a 64-bit one.
func programFile(version [4]uint16, plus bool) []byte {
	le := binary.LittleEndian
	const pe, address, file = 0x80, 0x3000, 0x400
	optional := 96 + 16*8
	magic := uint16(0x10b)
	if plus {
		optional, magic = 112+16*8, 0x20b
	}
	b := make([]byte, file)
	copy(b, "MZ")
	le.PutUint32(b[60:], pe)
	copy(b[pe:], "PE\x00\x00")
	le.PutUint16(b[pe+6:], 2) // sections
	le.PutUint16(b[pe+20:], uint16(optional))
	opt := b[pe+24:]
	le.PutUint16(opt, magic)
	directories := optional - 16*8
	le.PutUint32(opt[directories-4:], 16)
	le.PutUint32(opt[directories+16:], address)
	for i, s := range []section{{0x1000, 0x200, 0x200}, {address, 0x1000, file}} {
		at := opt[optional+40*i:]
		le.PutUint32(at[12:], s.address)
		le.PutUint32(at[16:], s.length)
		le.PutUint32(at[20:], s.file)
	}
	directory := func(entries ...uint32) []byte {
		d := make([]byte, 16)
		le.PutUint16(d[14:], uint16(len(entries)/2))
		for _, e := range entries {
			d = le.AppendUint32(d, e)
		}
		return d
	}
	// Icons before the version, then one name and one language.
	var r []byte
	r = append(r, directory(3, 1<<31|200, resourceVersion, 1<<31|32)...)
	r = append(r, directory(1, 1<<31|56)...)
	r = append(r, directory(0x409, 80)...)
	const info = 40 + fixedSize
	r = le.AppendUint32(r, address+96) // the data entry
	r = le.AppendUint32(r, info)
	r = append(r, make([]byte, 8)...)
	v := make([]byte, info)
	le.PutUint16(v, info)
	copy(v[6:], utf16z("VS_VERSION_INFO"))
	le.PutUint32(v[40:], fixedSignature)
	le.PutUint32(v[48:], uint32(version[0])<<16|uint32(version[1]))
	le.PutUint32(v[52:], uint32(version[2])<<16|uint32(version[3]))
	return append(b, append(r, v...)...)
}

// counting counts the reads.
type counting struct {
	io.ReaderAt
	n int
}

func (c *counting) ReadAt(b []byte, off int64) (int, error) {
	c.n++
	return c.ReaderAt.ReadAt(b, off)
}

func TestFileVersion(t *testing.T) {
	t.Parallel()
	change := func(at int, to ...byte) []byte {
		b := programFile([4]uint16{1, 2, 3, 4}, false)
		copy(b[at:], to)
		return b
	}
	for name, tc := range map[string]struct {
		file      []byte
		want, why string
	}{
		"a 32-bit program":           {programFile([4]uint16{3, 5, 6907, 0}, false), "3.5.6907.0", ""},
		"a 64-bit program":           {programFile([4]uint16{6, 1, 7600, 16415}, true), "6.1.7600.16415", ""},
		"without resources":          {change(0x80+24+96+16, 0, 0, 0, 0), "", ""},
		"without a version":          {change(0x400+24, 17), "", ""},
		"a text":                     {[]byte(strings.Repeat("text", 100)), "", "no program"},
		"nothing":                    {nil, "", "cut short"},
		"a program of MS-DOS":        {change(0x80, 'N', 'E'), "", "no program of Windows"},
		"cut short":                  {programFile([4]uint16{}, false)[:0x400+60], "", "cut short"},
		"with its header far behind": {change(60, 0xff, 0xff, 0xff, 0x7f), "", "cut short"},
		"resources in no section":    {change(0x80+24+96+16, 0, 0, 0, 0x70), "", "in no section"},
		"a tree that is too flat":    {change(0x400+28, 32, 0, 0, 0), "", "no tree"},
		"a malformed version":        {change(0x400+96+40, 0), "", "malformed"},
	} {
		f := &counting{ReaderAt: bytes.NewReader(tc.file)}
		got, err := fileVersion(f, int64(len(tc.file)))
		var wrong *notPE
		if got != tc.want || (tc.why == "") != (err == nil) || tc.why != "" && (!errors.As(err, &wrong) || !strings.Contains(wrong.why, tc.why)) {
			t.Errorf("%s: %q, %v, want %q, %q", name, got, err, tc.want, tc.why)
		}
		if f.n > 3 {
			t.Errorf("%s: %d reads", name, f.n)
		}
	}
}

func FuzzFileVersion(f *testing.F) {
	f.Add(programFile([4]uint16{3, 5, 6907, 0}, false))
	f.Add(programFile([4]uint16{3, 5, 6907, 0}, true))
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &counting{ReaderAt: bytes.NewReader(b)}
		_, err := fileVersion(r, int64(len(b)))
		var wrong *notPE
		if err != nil && !errors.As(err, &wrong) || r.n > 20 {
			t.Errorf("%d reads: %v", r.n, err)
		}
	})
}
