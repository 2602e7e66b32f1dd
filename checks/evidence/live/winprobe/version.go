package winprobe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The bounds of a program's file: what is read of its headers and of its directories of resources.
const (
	peHead       = 4 << 10
	maxSections  = 96 // what the loader of Windows takes
	resourceHead = 4 << 10
	maxEntries   = 4096 // of one directory of resources
	maxVersion   = 64 << 10
)

// Numbers of the format (Microsoft's PE format specification; VS_FIXEDFILEINFO of the Windows API).
const (
	resourceVersion = 16 // RT_VERSION
	resourceIndex   = 2  // of the data directories
	subDirectory    = 1 << 31
	fixedSignature  = 0xfeef04bd
	fixedSize       = 52
)

// notPE says why a file cannot be read as a program.
type notPE struct{ why string }

func (e *notPE) Error() string { return e.why }

// fileVersion is the file version in a program's resource: "3.5.6907.0". It is empty when the program carries none.
func fileVersion(f io.ReaderAt, size int64) (string, error) {
	p := program{f: f, size: size}
	at, err := p.resources()
	if err != nil || at < 0 {
		return "", err
	}
	return p.version(at)
}

// program reads a program's file.
type program struct {
	f    io.ReaderAt
	size int64
	// head and off are what was read last, and where it stands.
	head []byte
	off  int64
	// sections map addresses in memory to places in the file.
	sections []section
	// resourceAddress is where the resources stand in memory.
	resourceAddress uint32
}

type section struct{ address, length, file uint32 }

// bytes are n bytes at a place of the file, of which at least as many as ahead are read at once.
func (p *program) bytes(at int64, n, ahead int) ([]byte, error) {
	if at < 0 || n < 0 || at+int64(n) > p.size {
		return nil, &notPE{"it is cut short"}
	}
	if at < p.off || at+int64(n) > p.off+int64(len(p.head)) {
		b := make([]byte, min(int64(max(n, ahead)), p.size-at))
		got, err := p.f.ReadAt(b, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		p.head, p.off = b[:got], at
		if got < n {
			return nil, &notPE{"it is cut short"}
		}
	}
	return p.head[at-p.off:][:n], nil
}

// resources is the place in the file where the resources stand; -1 when it has none.
func (p *program) resources() (int64, error) {
	le := binary.LittleEndian
	dos, err := p.bytes(0, 64, peHead)
	if err != nil {
		return 0, err
	}
	if string(dos[:2]) != "MZ" {
		return 0, &notPE{"it is no program"}
	}
	pe := int64(le.Uint32(dos[60:]))
	coff, err := p.bytes(pe, 24, peHead)
	if err != nil {
		return 0, err
	}
	if string(coff[:4]) != "PE\x00\x00" {
		return 0, &notPE{"it is no program of Windows"}
	}
	sections, optional := int(le.Uint16(coff[6:])), int(le.Uint16(coff[20:]))
	if sections > maxSections {
		return 0, &notPE{"it has too many sections"}
	}
	head, err := p.bytes(pe+24, optional+40*sections, peHead)
	if err != nil {
		return 0, err
	}
	// The data directories follow the fields of PE32 or PE32+.
	directories := 96
	if optional >= 2 && le.Uint16(head) == 0x20b {
		directories = 112
	}
	entry := directories + 8*resourceIndex
	if optional < entry+8 || le.Uint32(head[directories-4:]) <= resourceIndex {
		return -1, nil
	}
	p.resourceAddress = le.Uint32(head[entry:])
	for i := range sections {
		s := head[optional+40*i:]
		p.sections = append(p.sections, section{le.Uint32(s[12:]), le.Uint32(s[16:]), le.Uint32(s[20:])})
	}
	if p.resourceAddress == 0 {
		return -1, nil
	}
	return p.place(p.resourceAddress)
}

// place is where an address in memory stands in the file.
func (p *program) place(address uint32) (int64, error) {
	for _, s := range p.sections {
		if address >= s.address && address-s.address < s.length {
			return int64(s.file) + int64(address-s.address), nil
		}
	}
	return 0, &notPE{"its resources are in no section"}
}

// version finds the version among the resources: a tree of three levels, type, name and language, of which the first of each is taken.
func (p *program) version(root int64) (string, error) {
	le := binary.LittleEndian
	directory := int64(0)
	for level := range 3 {
		h, err := p.bytes(root+directory, 16, resourceHead)
		if err != nil {
			return "", err
		}
		n := int(le.Uint16(h[12:])) + int(le.Uint16(h[14:]))
		if n > maxEntries {
			return "", &notPE{"it has too many resources"}
		}
		entries, err := p.bytes(root+directory+16, 8*n, resourceHead)
		if err != nil {
			return "", err
		}
		found := false
		var to uint32
		for i := range n {
			if level > 0 || le.Uint32(entries[8*i:]) == resourceVersion {
				to, found = le.Uint32(entries[8*i+4:]), true
				break
			}
		}
		if !found {
			return "", nil
		}
		if (to&subDirectory != 0) != (level < 2) {
			return "", &notPE{"its resources are no tree of three levels"}
		}
		directory = int64(to &^ subDirectory)
	}
	entry, err := p.bytes(root+directory, 16, resourceHead)
	if err != nil {
		return "", err
	}
	address, length := le.Uint32(entry), int(le.Uint32(entry[4:]))
	at, err := p.place(address)
	if err != nil {
		return "", err
	}
	if length < 0 || length > maxVersion {
		return "", &notPE{"its version is too long"}
	}
	info, err := p.bytes(at, length, 0)
	if err != nil {
		return "", err
	}
	// VS_VERSIONINFO: three lengths, the key "VS_VERSION_INFO" with its NUL, padding to 4, then VS_FIXEDFILEINFO.
	const fixed = 40
	if length < fixed+fixedSize || le.Uint32(info[fixed:]) != fixedSignature {
		return "", &notPE{"its version is malformed"}
	}
	high, low := le.Uint32(info[fixed+8:]), le.Uint32(info[fixed+12:])
	return fmt.Sprintf("%d.%d.%d.%d", high>>16, high&0xffff, low>>16, low&0xffff), nil
}
