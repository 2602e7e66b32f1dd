package krb

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/types"
)

// writer writes the parts of a ticket cache.
type writer struct{ bytes.Buffer }

func (w *writer) number(size int, n uint32) {
	w.Write(binary.BigEndian.AppendUint32(nil, n)[4-size:])
}

func (w *writer) data(s string) {
	w.number(4, uint32(len(s)))
	w.WriteString(s)
}

func (w *writer) principal(realm string, parts ...string) {
	w.number(4, 1)
	w.number(4, uint32(len(parts)))
	w.data(realm)
	for _, p := range parts {
		w.data(p)
	}
}

// cacheFile is a cache of reader@D with one ticket-granting ticket, as kinit writes it.
func cacheFile(version byte, end time.Time) []byte {
	var w writer
	w.Write([]byte{5, version})
	if version == 4 {
		w.number(2, 12)
		w.Write([]byte{0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0})
	}
	w.principal("D", "reader")
	w.principal("D", "reader")
	w.principal("D", "krbtgt", "D")
	w.number(2, uint32(etypeID.RC4_HMAC))
	if version == 3 {
		w.number(2, uint32(etypeID.RC4_HMAC))
	}
	w.data("0123456789abcdef")
	for range 2 {
		w.number(4, uint32(end.Add(-time.Hour).Unix()))
	}
	for range 2 {
		w.number(4, uint32(end.Unix()))
	}
	w.number(1, 0)
	w.number(4, 0)
	w.number(4, 1) // one address
	w.number(2, 2)
	w.data("\x7f\x00\x00\x01")
	w.number(4, 0)
	w.data("a ticket")
	w.data("")
	return w.Bytes()
}

func TestTheCacheTellsWhoseItIsAndHowLong(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, version := range []byte{3, 4} {
		c, err := ReadCache(cacheFile(version, end))
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if c.Principal() != "reader@D" || c.Usable(end.Add(-time.Minute)) != nil {
			t.Errorf("version %d: %s, %v", version, c.Principal(), c.Usable(end.Add(-time.Minute)))
		}
		if err := c.Usable(end.Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "expired at 2026-01-31T12:00:00Z") {
			t.Errorf("version %d, later: %v", version, err)
		}
	}
}

func TestACacheThatIsCutShortIsRefused(t *testing.T) {
	t.Parallel()
	whole := cacheFile(4, time.Now())
	head := len(whole)
	for n := range whole {
		if c, err := ReadCache(whole[:n]); err == nil {
			if c.Usable(time.Time{}) == nil {
				t.Errorf("%d of %d bytes are taken for the whole", n, head)
			}
			if c.Principal() != "reader@D" {
				t.Errorf("%d bytes: %s", n, c.Principal())
			}
		}
	}
	for _, b := range []string{"", "\x05\x02", "\x05\x05whatever", "BEGIN", "\x05\x030000\x00\x00\x00\x01\x00\x00\x00\x010\x00\x00\x00\x00"} {
		if _, err := ReadCache([]byte(b)); err == nil {
			t.Errorf("%q is taken for a cache", b)
		}
	}
}

func FuzzReadCache(f *testing.F) {
	f.Add(cacheFile(3, time.Unix(1e9, 0)))
	f.Add(cacheFile(4, time.Unix(1e9, 0)))
	f.Add([]byte{5, 4, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ReadCache(b)
		if err != nil {
			return
		}
		if name, realm := split(c.Principal()); name == "" && realm == "" {
			t.Errorf("a principal %q", c.Principal())
		}
		_ = c.Usable(time.Now())
		_, _ = ask(Account{Principal: c.Principal(), Cache: c}, Account{Principal: c.Principal()}.config(), "ldap/dc1.d", true)
	})
}

func keytabFile(t testing.TB, kinds ...int32) []byte {
	t.Helper()
	k := keytab.New()
	for _, kind := range kinds {
		if err := k.AddEntry("reader", "D", "Correct-Horse-7", time.Unix(1e9, 0), 3, kind); err != nil {
			t.Fatal(err)
		}
	}
	b, err := k.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheKeytabTellsWhichKeysItHas(t *testing.T) {
	t.Parallel()
	k, err := ReadKeytab(keytabFile(t, etypeID.RC4_HMAC, etypeID.DES3_CBC_SHA1_KD))
	if err != nil {
		t.Fatal(err)
	}
	if !k.Has("reader@D") || k.Has("reader@E") || k.Has("other@D") {
		t.Errorf("keys of reader@D: %v", k.types("reader@D"))
	}
	if got := (Account{Principal: "reader@D", Keytab: k}).config().LibDefaults.DefaultTktEnctypeIDs; len(got) != 1 || got[0] != etypeID.RC4_HMAC {
		t.Errorf("asked for keys of kinds %v", got)
	}
	// The library's own text shows the bytes of the file.
	if _, err := ReadKeytab([]byte("\x05\x02\x00\x00\x10\x00secret")); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a wreck: %v", err)
	}
}

func FuzzReadKeytab(f *testing.F) {
	f.Add(keytabFile(f, etypeID.RC4_HMAC))
	f.Add([]byte{5, 2, 0x80, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if k, err := ReadKeytab(b); err == nil {
			k.Has("reader@D")
		}
	})
}

// sides are the two ends of a context with a key.
func sides(kind int32, subkey bool) (initiator, acceptor *Context) {
	size := 32
	if kind != etypeID.AES256_CTS_HMAC_SHA1_96 {
		size = 16
	}
	key := types.EncryptionKey{KeyType: kind, KeyValue: bytes.Repeat([]byte{7}, size)}
	return &Context{key: key, subkey: subkey, seq: 1 << 31}, &Context{key: key, subkey: subkey, acceptor: true}
}

func TestSignedMessagesCrossAndForgedOnesDoNot(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]int32{
		"AES256": etypeID.AES256_CTS_HMAC_SHA1_96, "AES128": etypeID.AES128_CTS_HMAC_SHA1_96, "RC4": etypeID.RC4_HMAC,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := sides(kind, kind != etypeID.RC4_HMAC)
			for _, message := range []string{"", "a", strings.Repeat("long ", 10_000)} {
				for _, way := range [][2]*Context{{client, server}, {server, client}} {
					token, err := way[0].Wrap([]byte(message))
					if err != nil {
						t.Fatal(err)
					}
					if got, err := way[1].Unwrap(token); err != nil || string(got) != message {
						t.Errorf("%d bytes come out as %d, %v", len(message), len(got), err)
					}
					if _, err := way[0].Unwrap(token); err == nil {
						t.Error("a message is taken back by who sent it")
					}
				}
			}
			token, err := server.Wrap([]byte("the truth"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range token {
				forged := bytes.Clone(token)
				forged[i] ^= 1
				// The counts of a token are not signed (RFC 4121, section 4.2.4): what they lead to is.
				if got, err := client.Unwrap(forged); err == nil && string(got) != "the truth" {
					t.Errorf("with byte %d changed it says %q", i, got)
				}
				if got, err := client.Unwrap(token[:i]); err == nil {
					t.Errorf("%d bytes of it say %q", i, got)
				}
			}
		})
	}
}

// Windows puts the checksum before the message (RFC 4121, section 4.2.5).
func TestARotatedTokenIsTurnedBack(t *testing.T) {
	t.Parallel()
	client, server := sides(etypeID.AES256_CTS_HMAC_SHA1_96, true)
	token, err := server.Wrap([]byte("layers"))
	if err != nil {
		t.Fatal(err)
	}
	body := token[16:]
	turned := append(bytes.Clone(token[:16]), append(bytes.Clone(body[len(body)-12:]), body[:len(body)-12]...)...)
	turned[7] = 12
	if got, err := client.Unwrap(turned); err != nil || string(got) != "layers" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, kind := range []int32{etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.RC4_HMAC} {
		_, server := sides(kind, false)
		token, err := server.Wrap([]byte("m"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token)
	}
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, kind := range []int32{etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.RC4_HMAC} {
			client, _ := sides(kind, false)
			_, _ = client.Unwrap(b)
			_ = client.Accept(b)
		}
	})
}

func FuzzKDCAnswer(f *testing.F) {
	f.Add([]byte{0x7e, 0x80})
	f.Add([]byte{0x6b, 0x03, 0x30, 0x01, 0x00})
	f.Fuzz(func(_ *testing.T, b []byte) { _ = (&relay{}).read(b) })
}
