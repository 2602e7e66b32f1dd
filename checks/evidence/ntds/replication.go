package ntds

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Link is what a domain controller keeps of one partner that it pulls one partition from.
type Link struct {
	// Source is the objectGUID of the partner's CN=NTDS Settings; Invocation that of its database.
	Source     GUID
	Invocation GUID
	// Success is the last time when all was pulled, zero for never; Attempt the last try.
	Success, Attempt time.Time
	// Result is the Win32 error of the last attempt, 0 for none.
	Result uint32
	// Failures counts the attempts in a row that failed.
	Failures uint32
	// Flags are DRS options ([MS-DRSR] 5.41).
	Flags uint32
}

// maxBlob bounds a replication value in bytes.
const maxBlob = 1 << 20

// The layout of a repsFrom value ([MS-DRSR] 5.170 REPS_FROM), little endian.
const (
	repsFailures   = 12
	repsSuccess    = 16
	repsAttempt    = 24
	repsResult     = 32
	repsFlags      = 44
	repsSource     = 160
	repsInvocation = 176
	repsMin        = 208
)

// ParseRepsFrom reads one value of repsFrom, version 1 or 2.
func ParseRepsFrom(b []byte) (Link, error) {
	switch {
	case len(b) < repsMin || len(b) > maxBlob:
		return Link{}, fmt.Errorf("repsFrom has %d bytes", len(b))
	case u32(b, 0) != 1 && u32(b, 0) != 2:
		return Link{}, fmt.Errorf("repsFrom of the unknown version %d", u32(b, 0))
	case int(u32(b, 8)) > len(b):
		return Link{}, errors.New("repsFrom is cut off")
	}
	l := Link{
		Success: dsTime(i64(b, repsSuccess)), Attempt: dsTime(i64(b, repsAttempt)),
		Result: u32(b, repsResult), Failures: u32(b, repsFailures), Flags: u32(b, repsFlags),
	}
	l.Source, _ = ParseGUID(b[repsSource : repsSource+16])
	l.Invocation, _ = ParseGUID(b[repsInvocation : repsInvocation+16])
	return l, nil
}

// Cursor says up to when the changes of one database have arrived.
type Cursor struct {
	Invocation GUID
	USN        int64
	// Success is the last time when the holder was up to date with it; zero when it does not say.
	Success time.Time
}

// maxCursors bounds a replUpToDateVector: one cursor for each domain controller that ever was.
const maxCursors = 20_000

// ParseUpToDateVector reads replUpToDateVector ([MS-DRSR] 5.209 UPTODATE_VECTOR_V1_EXT and 5.211 V2). Version 1 has no times.
func ParseUpToDateVector(b []byte) ([]Cursor, error) {
	if len(b) < 16 || len(b) > maxBlob {
		return nil, fmt.Errorf("replUpToDateVector has %d bytes", len(b))
	}
	size := map[uint32]int{1: 24, 2: 32}[u32(b, 0)]
	n := int(u32(b, 8))
	switch {
	case size == 0:
		return nil, fmt.Errorf("replUpToDateVector of the unknown version %d", u32(b, 0))
	case n > maxCursors || len(b) < 16+n*size:
		return nil, errors.New("replUpToDateVector is cut off")
	}
	var out []Cursor
	for i := range n {
		at := 16 + i*size
		c := Cursor{USN: i64(b, at+16)}
		c.Invocation, _ = ParseGUID(b[at : at+16])
		if size == 32 {
			// Windows keeps seconds, Samba units of 100 ns: no date of ours has 2^40 seconds.
			if v := i64(b, at+24); v <= 1<<40 {
				c.Success = dsTime(v)
			} else if t := FileTime(v); t.Unix() != 0 { // Samba 4.17 writes the beginning of 1970 for a time that it does not know
				c.Success = t
			}
		}
		out = append(out, c)
	}
	return out, nil
}

func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }

func i64(b []byte, at int) int64 { return int64(binary.LittleEndian.Uint64(b[at:])) } //nolint:gosec // the field is signed

// Neighbor is an inbound link as msDS-ReplAllInboundNeighbors has it.
type Neighbor struct {
	Link
	// Partition is the DN of the naming context; SourceDN that of the partner's CN=NTDS Settings.
	Partition, SourceDN string
}

// Deleted tells whether the partner's object was deleted: such links linger and mean nothing.
func (n Neighbor) Deleted() bool { return Deleted(n.SourceDN) }

// Deleted tells whether a DN is that of a deleted object ([MS-ADTS] 3.1.1.5.5.1.1), as LDAP or XML writes it.
func Deleted(dn string) bool {
	return strings.Contains(dn, "\nDEL:") || strings.Contains(dn, `\0ADEL:`)
}

// ParseNeighbor reads one value of msDS-ReplAllInboundNeighbors: a DS_REPL_NEIGHBOR element
// ([MS-ADTS] 3.1.1.3.2.28, [MS-DRSR] 4.1.13.1.9). Fields that are not known are passed over.
func ParseNeighbor(b []byte) (Neighbor, error) {
	var x struct {
		XMLName    xml.Name
		Partition  string `xml:"pszNamingContext"`
		SourceDN   string `xml:"pszSourceDsaDN"`
		Flags      uint32 `xml:"dwReplicaFlags"`
		Source     string `xml:"uuidSourceDsaObjGuid"`
		Invocation string `xml:"uuidSourceDsaInvocationID"`
		Success    string `xml:"ftimeLastSyncSuccess"`
		Attempt    string `xml:"ftimeLastSyncAttempt"`
		Result     uint32 `xml:"dwLastSyncResult"`
		Failures   uint32 `xml:"cNumConsecutiveSyncFailures"`
	}
	if err := unmarshal(b, "DS_REPL_NEIGHBOR", &x, &x.XMLName); err != nil {
		return Neighbor{}, err
	}
	n := Neighbor{
		Partition: x.Partition, SourceDN: x.SourceDN,
		Link: Link{Source: GUIDFromText(x.Source), Invocation: GUIDFromText(x.Invocation), Result: x.Result, Failures: x.Failures, Flags: x.Flags},
	}
	if n.Partition == "" || n.Source == "" {
		return Neighbor{}, errors.New("DS_REPL_NEIGHBOR without a partition or a source")
	}
	var err error
	if n.Success, err = xmlTime(x.Success); err != nil {
		return Neighbor{}, err
	}
	n.Attempt, err = xmlTime(x.Attempt)
	return n, err
}

// DSAFailure is a partner that the KCC could not reach, as msDS-ReplConnectionFailures and msDS-ReplLinkFailures have it.
type DSAFailure struct {
	DN       string
	Source   GUID
	First    time.Time
	Failures uint32
	Result   uint32
}

// ParseDSAFailure reads one DS_REPL_KCC_DSA_FAILURE element ([MS-DRSR] 4.1.13.1.6).
func ParseDSAFailure(b []byte) (DSAFailure, error) {
	var x struct {
		XMLName  xml.Name
		DN       string `xml:"pszDsaDN"`
		Source   string `xml:"uuidDsaObjGuid"`
		First    string `xml:"ftimeFirstFailure"`
		Failures uint32 `xml:"cNumFailures"`
		Result   uint32 `xml:"dwLastResult"`
	}
	if err := unmarshal(b, "DS_REPL_KCC_DSA_FAILURE", &x, &x.XMLName); err != nil {
		return DSAFailure{}, err
	}
	first, err := xmlTime(x.First)
	return DSAFailure{DN: x.DN, Source: GUIDFromText(x.Source), First: first, Failures: x.Failures, Result: x.Result}, err
}

// unmarshal reads one element of that name. Windows ends the value with a line feed and a NUL.
func unmarshal(b []byte, element string, into any, name *xml.Name) error {
	b = bytes.Trim(b, "\x00 \t\r\n")
	if len(b) > maxBlob {
		return fmt.Errorf("%s has %d bytes", element, len(b))
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Entity = map[string]string{} // none but those of XML itself
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("another encoding than UTF-8") }
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("malformed %s: %w", element, err)
	}
	if name.Local != element {
		return fmt.Errorf("%.40q where %s is expected", name.Local, element)
	}
	return nil
}

// xmlTime reads "2009-11-23T08:15:00Z"; the year 1601 means never.
func xmlTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(s))
	if err != nil {
		return time.Time{}, fmt.Errorf("no time: %.40q", s)
	}
	if t.Year() <= 1601 {
		return time.Time{}, nil
	}
	return t.UTC(), nil
}
