// Package krb gets Kerberos service tickets, with a password, a keytab or a ticket cache, and speaks GSSAPI with them
// (RFC 4120, 4121 and 4757).
package krb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Cache is a ticket cache.
type Cache struct{ file credentials.CCache }

// ReadCache reads a ticket cache file of version 3 or 4, which is what MIT and Heimdal have written since 1996
// (the MIT documentation, "Credential cache file format"). gokrb5's own reader panics on a file that is cut short.
func ReadCache(b []byte) (*Cache, error) {
	c := cursor{b: b}
	version := c.number(2)
	switch version {
	case 0x0503:
	case 0x0504:
		c.take(c.number(2)) // the header holds a clock offset
	default:
		return nil, errors.New("it is no ticket cache of version 3 or 4")
	}
	var f credentials.CCache
	f.Version = uint8(version)
	f.DefaultPrincipal.Realm, f.DefaultPrincipal.PrincipalName = c.principal()
	for len(c.b) > 0 && !c.short {
		f.Credentials = append(f.Credentials, c.credential(version == 0x0503))
	}
	if c.short {
		return nil, errors.New("the ticket cache is cut short")
	}
	if f.DefaultPrincipal.Realm == "" || f.DefaultPrincipal.PrincipalName.PrincipalNameString() == "" {
		return nil, errors.New("the ticket cache names no principal")
	}
	return &Cache{f}, nil
}

// Principal is whose cache it is, as U@REALM.
func (c *Cache) Principal() string {
	return c.file.DefaultPrincipal.PrincipalName.PrincipalNameString() + "@" + c.file.DefaultPrincipal.Realm
}

// Usable tells why the cache gives no tickets at a time: it has no ticket-granting ticket, or that has expired.
func (c *Cache) Usable(now time.Time) error {
	tgt, ok := c.file.GetEntry(types.PrincipalName{NameType: nametype.KRB_NT_SRV_INST, NameString: []string{"krbtgt", c.file.DefaultPrincipal.Realm}})
	switch {
	case !ok:
		return errors.New("it has no ticket-granting ticket")
	case now.After(tgt.EndTime):
		return fmt.Errorf("its ticket expired at %s", tgt.EndTime.UTC().Format(time.RFC3339))
	}
	return nil
}

// cursor reads what is big-endian. After the end it gives zeros, and short is set.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) take(n uint32) []byte {
	if uint64(n) > uint64(len(c.b)) {
		c.b, c.short = nil, true
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) number(size uint32) uint32 {
	var n [4]byte
	copy(n[4-size:], c.take(size))
	return binary.BigEndian.Uint32(n[:])
}

func (c *cursor) data() []byte { return slices.Clone(c.take(c.number(4))) }

func (c *cursor) time() time.Time { return time.Unix(int64(c.number(4)), 0) }

func (c *cursor) principal() (realm string, name types.PrincipalName) {
	name.NameType = int32(c.number(4))
	n := c.number(4)
	realm = string(c.data())
	for i := uint32(0); i < n && !c.short; i++ {
		name.NameString = append(name.NameString, string(c.data()))
	}
	return realm, name
}

func (c *cursor) credential(version3 bool) *credentials.Credential {
	var out credentials.Credential
	out.Client.Realm, out.Client.PrincipalName = c.principal()
	out.Server.Realm, out.Server.PrincipalName = c.principal()
	out.Key.KeyType = int32(c.number(2))
	if version3 { // which writes it twice
		c.number(2)
	}
	out.Key.KeyValue = c.data()
	out.AuthTime, out.StartTime, out.EndTime, out.RenewTill = c.time(), c.time(), c.time(), c.time()
	out.IsSKey = c.number(1) != 0
	out.TicketFlags = types.NewKrbFlags()
	out.TicketFlags.Bytes = slices.Clone(c.take(4))
	for range 2 { // addresses and authorization data, which are for the KDC
		for n := c.number(4); n > 0 && !c.short; n-- {
			c.number(2)
			c.data()
		}
	}
	out.Ticket = c.data()
	c.data() // the second ticket
	return &out
}

// Keytab is a file of long-term keys.
type Keytab struct{ file keytab.Keytab }

// ReadKeytab reads a keytab file.
func ReadKeytab(b []byte) (*Keytab, error) {
	var k Keytab
	err := guard(func() error {
		if k.file.Unmarshal(b) != nil { // whose text holds the bytes of the file, keys and all
			return errors.New("it is no keytab")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &k, nil
}

// types are the encryption types of the keys that it has of U@REALM.
func (k *Keytab) types(principal string) []int32 {
	name, realm := split(principal)
	var out []int32
	for _, e := range k.file.Entries {
		if strings.Join(e.Principal.Components, "/") == name && e.Principal.Realm == realm && slices.Contains(encryptionTypes, e.Key.KeyType) {
			out = append(out, e.Key.KeyType)
		}
	}
	return out
}

// Has tells whether it has a key of U@REALM that can be used here: AES or RC4.
func (k *Keytab) Has(principal string) bool { return len(k.types(principal)) > 0 }

// split splits U@REALM.
func split(principal string) (name, realm string) {
	i := strings.LastIndexByte(principal, '@')
	if i < 0 {
		return principal, ""
	}
	return principal[:i], principal[i+1:]
}

// guard turns a panic of the library, which trusts its input, into an error. Neither holds what was read.
func guard(fn func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("what was read is malformed")
		}
	}()
	return fn()
}
