// Package ntds reads what Active Directory keeps in binary or XML values of its attributes: identifiers, times, security
// descriptors and the state of replication. Every value is hostile input: each reader is bounded and returns an error
// that says what is malformed.
package ntds

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// GUID is a 128-bit identifier as Windows writes it in text: lower case, without braces.
type GUID string

// ParseGUID reads the 16 bytes of objectGUID and its like: the first three groups are little endian ([MS-DTYP] 2.3.4.2).
func ParseGUID(b []byte) (GUID, error) {
	if len(b) != 16 {
		return "", fmt.Errorf("a GUID has 16 bytes, not %d", len(b))
	}
	return GUID(fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]),
		binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:])), nil
}

// GUIDFromText reads a GUID in text, with or without braces; "" if it is none.
func GUIDFromText(s string) GUID {
	s = strings.ToLower(strings.Trim(strings.TrimSpace(s), "{}"))
	plain := strings.ReplaceAll(s, "-", "")
	if _, err := hex.DecodeString(plain); err != nil || len(plain) != 32 || len(s) != 36 {
		return ""
	}
	return GUID(s)
}

// ParseSID reads a binary security identifier into its text, "S-1-5-21-..." ([MS-DTYP] 2.4.2.2).
func ParseSID(b []byte) (string, error) {
	if len(b) < 8 {
		return "", errors.New("a SID has at least 8 bytes")
	}
	n := int(b[1])
	if b[0] != 1 || n > 15 || len(b) < 8+4*n {
		return "", errors.New("malformed SID")
	}
	var authority uint64
	for _, c := range b[2:8] {
		authority = authority<<8 | uint64(c)
	}
	s := "S-1-" + strconv.FormatUint(authority, 10)
	for i := range n {
		s += "-" + strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b[8+4*i:])), 10)
	}
	return s, nil
}

// epoch is the beginning of Windows' time in Unix seconds: 1601-01-01 UTC.
const epoch = -11644473600

// never is what accountExpires and password times hold for "never" besides 0 ([MS-ADTS] 2.2.1).
const never = math.MaxInt64

// FileTime turns 100 ns units since 1601 ([MS-DTYP] 2.3.3) into a time; zero for 0, for negative values and for "never".
func FileTime(v int64) time.Time {
	if v <= 0 || v == never {
		return time.Time{}
	}
	return time.Unix(epoch+v/1e7, v%1e7*100).UTC()
}

// ToFileTime is the opposite of FileTime.
func ToFileTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return (t.Unix()-epoch)*1e7 + int64(t.Nanosecond())/100
}

// dsTime turns seconds since 1601 into a time; zero for 0 and for what no calendar has.
func dsTime(v int64) time.Time {
	if v <= 0 || v > 1<<40 {
		return time.Time{}
	}
	return time.Unix(epoch+v, 0).UTC()
}

// GeneralizedTime reads currentTime and its like, "20091123081500.0Z" (RFC 4517, section 3.3.13, as AD writes it).
func GeneralizedTime(s string) (time.Time, error) {
	whole, _, _ := strings.Cut(strings.TrimSuffix(s, "Z"), ".")
	t, err := time.Parse("20060102150405", whole)
	if err != nil || !strings.HasSuffix(s, "Z") {
		return time.Time{}, fmt.Errorf("no time: %.40q", s)
	}
	return t, nil
}
