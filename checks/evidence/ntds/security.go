package ntds

import (
	"errors"
	"fmt"
)

// ACE is one entry of a discretionary access control list ([MS-DTYP] 2.4.4).
type ACE struct {
	// Allow is false for an entry that denies.
	Allow bool
	Flags byte
	Mask  uint32
	// Object is the property, property set, right or child class that the entry is limited to; "" for all.
	Object GUID
	// Inherited is the class that inherits it; "" for all.
	Inherited GUID
	// Trustee is the SID in text.
	Trustee string
}

// Rights of objects in the directory ([MS-ADTS] 5.1.3.2).
const (
	ReadProperty  = 0x10
	WriteProperty = 0x20
	ControlAccess = 0x100
)

// Descriptor is a security descriptor's discretionary access control list.
type Descriptor struct {
	// Protected tells that nothing is inherited from above (SE_DACL_PROTECTED).
	Protected bool
	// HasDACL is false when the descriptor has no such list, which allows everything.
	HasDACL bool
	ACEs    []ACE
}

const (
	seDACLPresent   = 0x0004
	seDACLProtected = 0x1000
	seSelfRelative  = 0x8000

	aceAllowed       = 0x00
	aceDenied        = 0x01
	aceAllowedObject = 0x05
	aceDeniedObject  = 0x06

	maxDescriptor = 256 << 10
)

// ParseDescriptor reads a self-relative security descriptor ([MS-DTYP] 2.4.6). Entries of other kinds are passed over.
func ParseDescriptor(b []byte) (Descriptor, error) {
	if len(b) < 20 || len(b) > maxDescriptor {
		return Descriptor{}, fmt.Errorf("a security descriptor has %d bytes", len(b))
	}
	control := u16(b, 2)
	if b[0] != 1 || control&seSelfRelative == 0 {
		return Descriptor{}, errors.New("malformed security descriptor")
	}
	d := Descriptor{Protected: control&seDACLProtected != 0}
	at := int(u32(b, 16))
	if control&seDACLPresent == 0 || at == 0 {
		return d, nil
	}
	d.HasDACL = true
	if at < 20 || at+8 > len(b) {
		return Descriptor{}, errors.New("the access control list lies outside of its security descriptor")
	}
	size, count := int(u16(b, at+2)), int(u16(b, at+4))
	if size < 8 || at+size > len(b) {
		return Descriptor{}, errors.New("the access control list is cut off")
	}
	list := b[at+8 : at+size]
	for range count {
		if len(list) < 4 {
			return Descriptor{}, errors.New("the access control list ends early")
		}
		n := int(u16(list, 2))
		if n < 4 || n > len(list) {
			return Descriptor{}, errors.New("malformed access control entry")
		}
		ace, ok, err := parseACE(list[:n])
		if err != nil {
			return Descriptor{}, err
		}
		if ok {
			d.ACEs = append(d.ACEs, ace)
		}
		list = list[n:]
	}
	return d, nil
}

// parseACE reads one entry; ok is false for a kind that says nothing about access here.
func parseACE(b []byte) (ace ACE, ok bool, err error) {
	kind := b[0]
	switch kind {
	case aceAllowed, aceDenied, aceAllowedObject, aceDeniedObject:
	default:
		return ACE{}, false, nil
	}
	cut := errors.New("an access control entry is cut off")
	if len(b) < 8 {
		return ACE{}, false, cut
	}
	ace = ACE{Allow: kind == aceAllowed || kind == aceAllowedObject, Flags: b[1], Mask: u32(b, 4)}
	rest := b[8:]
	if kind == aceAllowedObject || kind == aceDeniedObject {
		if len(rest) < 4 {
			return ACE{}, false, cut
		}
		present := u32(rest, 0)
		rest = rest[4:]
		if present&1 != 0 {
			if len(rest) < 16 {
				return ACE{}, false, cut
			}
			ace.Object, _ = ParseGUID(rest[:16])
			rest = rest[16:]
		}
		if present&2 != 0 {
			if len(rest) < 16 {
				return ACE{}, false, cut
			}
			ace.Inherited, _ = ParseGUID(rest[:16])
			rest = rest[16:]
		}
	}
	ace.Trustee, err = ParseSID(rest)
	return ace, err == nil, err
}

func u16(b []byte, at int) uint16 { return uint16(b[at]) | uint16(b[at+1])<<8 }
