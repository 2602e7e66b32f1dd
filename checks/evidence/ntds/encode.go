package ntds

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What follows writes the values that the readers of this package read, for the lab and for examples.

// Bytes is the binary form of a GUID; nil if the text is none.
func (g GUID) Bytes() []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(string(g), "-", ""))
	if err != nil || len(b) != 16 {
		return nil
	}
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5] = b[5], b[4]
	b[6], b[7] = b[7], b[6]
	return b
}

// EncodeSID is the binary form of a SID in text.
func EncodeSID(s string) ([]byte, error) {
	parts := strings.Split(s, "-")
	if len(parts) < 3 || len(parts) > 18 || parts[0] != "S" || parts[1] != "1" {
		return nil, fmt.Errorf("%q is no SID", s)
	}
	authority, err := strconv.ParseUint(parts[2], 10, 48)
	if err != nil {
		return nil, fmt.Errorf("%q is no SID", s)
	}
	b := binary.BigEndian.AppendUint64(nil, authority)
	b[0], b[1] = 1, byte(len(parts)-3)
	for _, p := range parts[3:] {
		v, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no SID", s)
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b, nil
}

// Encode is the self-relative form of a security descriptor, with no owner and no group.
func (d Descriptor) Encode() ([]byte, error) {
	var list []byte
	for _, a := range d.ACEs {
		ace, err := a.encode()
		if err != nil {
			return nil, err
		}
		list = append(list, ace...)
	}
	if len(list)+8 > 0xffff {
		return nil, errors.New("too many access control entries")
	}
	control := uint16(seSelfRelative)
	if d.Protected {
		control |= seDACLProtected
	}
	b := make([]byte, 20)
	b[0] = 1
	if d.HasDACL {
		control |= seDACLPresent
		binary.LittleEndian.PutUint32(b[16:], 20)
		b = append(b, 4, 0) // ACL_REVISION_DS
		b = binary.LittleEndian.AppendUint16(b, uint16(8+len(list)))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(d.ACEs))) //nolint:gosec // bounded by the length above
		b = append(append(b, 0, 0), list...)
	}
	binary.LittleEndian.PutUint16(b[2:], control)
	return b, nil
}

func (a ACE) encode() ([]byte, error) {
	sid, err := EncodeSID(a.Trustee)
	if err != nil {
		return nil, err
	}
	kind := byte(aceAllowed)
	if !a.Allow {
		kind = aceDenied
	}
	var object []byte
	if a.Object != "" || a.Inherited != "" {
		kind += aceAllowedObject - aceAllowed
		var present uint32
		for i, g := range []GUID{a.Object, a.Inherited} {
			if g == "" {
				continue
			}
			raw := g.Bytes()
			if raw == nil {
				return nil, fmt.Errorf("%q is no GUID", g)
			}
			present |= 1 << i
			object = append(object, raw...)
		}
		object = append(binary.LittleEndian.AppendUint32(nil, present), object...)
	}
	b := []byte{kind, a.Flags}
	b = binary.LittleEndian.AppendUint16(b, uint16(8+len(object)+len(sid))) //nolint:gosec // at most 8 + 36 + 68
	b = binary.LittleEndian.AppendUint32(b, a.Mask)
	return append(append(b, object...), sid...), nil
}

// EncodeRepsFrom is a link as a repsFrom value of version 2 without a partner's address.
func (l Link) EncodeRepsFrom() []byte {
	b := make([]byte, repsMin+8)
	le := binary.LittleEndian
	le.PutUint32(b, 2)
	le.PutUint32(b[8:], uint32(len(b)))
	le.PutUint32(b[repsFailures:], l.Failures)
	le.PutUint64(b[repsSuccess:], seconds(l.Success))
	le.PutUint64(b[repsAttempt:], seconds(l.Attempt))
	le.PutUint32(b[repsResult:], l.Result)
	le.PutUint32(b[repsFlags:], l.Flags)
	copy(b[repsSource:], l.Source.Bytes())
	copy(b[repsInvocation:], l.Invocation.Bytes())
	return b
}

// EncodeUpToDateVector is cursors as a replUpToDateVector of version 2, times in seconds.
func EncodeUpToDateVector(cursors []Cursor) []byte {
	b := make([]byte, 16, 16+32*len(cursors))
	binary.LittleEndian.PutUint32(b, 2)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(cursors))) //nolint:gosec // a handful
	for _, c := range cursors {
		b = append(b, c.Invocation.Bytes()...)
		b = binary.LittleEndian.AppendUint64(b, uint64(c.USN)) //nolint:gosec // the same bits
		b = binary.LittleEndian.AppendUint64(b, seconds(c.Success))
	}
	return b
}

func seconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.Unix() - epoch) //nolint:gosec // after 1601
}
