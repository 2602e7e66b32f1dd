package krb

import (
	"encoding/hex"
	"testing"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/types"
)

// signers are an initiator and an acceptor with one key.
func signers(kind int32, key string, subkey bool) (initiator, acceptor *Context) {
	k := types.EncryptionKey{KeyType: kind, KeyValue: []byte(key)}
	return &Context{session: k, key: k, subkey: subkey, seq: 7}, &Context{session: k, key: k, subkey: subkey, seq: 9, acceptor: true}
}

// A signature stands apart from its message, and is good for that message, that direction and that key alone.
func TestSignaturesOfBothSides(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind   int32
		key    string
		subkey bool
	}{
		"AES256":               {etypeID.AES256_CTS_HMAC_SHA1_96, "0123456789abcdef0123456789abcdef", false},
		"AES128 with a subkey": {etypeID.AES128_CTS_HMAC_SHA1_96, "0123456789abcdef", true},
		"RC4":                  {etypeID.RC4_HMAC, "0123456789abcdef", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			initiator, acceptor := signers(c.kind, c.key, c.subkey)
			_, stranger := signers(c.kind, "f"+c.key[1:], c.subkey)
			message := []byte("<Kerberos><00><1>")
			for _, side := range [][2]*Context{{initiator, acceptor}, {acceptor, initiator}} {
				token, err := side[0].Sign(message)
				if err != nil {
					t.Fatal(err)
				}
				if !side[1].Verify(message, token) {
					t.Errorf("the peer refuses %x", token)
				}
				if side[0].Verify(message, token) || side[1].Verify(message[1:], token) || stranger.Verify(message, token) {
					t.Errorf("%x is taken for another message, side or key", token)
				}
				again, err := side[0].Sign(message)
				if err != nil || hex.EncodeToString(again) == hex.EncodeToString(token) {
					t.Errorf("two signatures are one: %v", err)
				}
				for n := range token {
					if c.kind == etypeID.RC4_HMAC && n >= 21 && n < 25 {
						continue // its number, which nobody counts here
					}
					wrong := append([]byte(nil), token...)
					wrong[n] ^= 1
					if side[1].Verify(message, wrong) {
						t.Errorf("byte %d does not matter", n)
					}
					if side[1].Verify(message, token[:n]) {
						t.Errorf("%d bytes are enough", n)
					}
				}
			}
		})
	}
}

// What MIT Kerberos 1.20 signed as the acceptor, with the keys of two sessions that began with StartAlone.
func TestTheSignaturesOfMITKerberos(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind       int32
		key, token string
	}{
		"AES256": {etypeID.AES256_CTS_HMAC_SHA1_96, "637db05dee0bb69b1d42a7068ff8bd7b8a993918f3109ed77e81abcdc102c447", "040401ffffffffff000000001dcecd3c3769f409eac6d423557c99ec"},
		"RC4":    {etypeID.RC4_HMAC, "7534f7798c7083a738f2a090ae02f492", "602306092a864886f71201020201011100ffffffff99b39123cd9ae86a4697305d110bfa1e"},
	} {
		key, err := hex.DecodeString(c.key)
		if err != nil {
			t.Fatal(err)
		}
		token, err := hex.DecodeString(c.token)
		if err != nil {
			t.Fatal(err)
		}
		initiator, _ := signers(c.kind, string(key), false)
		if !initiator.Verify([]byte("<Kerberos><AB><1>"), token) || initiator.Verify([]byte("<Kerberos><AB><2>"), token) {
			t.Errorf("%s: the signature is not judged rightly", name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	for _, kind := range []int32{etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.RC4_HMAC} {
		initiator, _ := signers(kind, "0123456789abcdef", false)
		token, err := initiator.Sign([]byte("m"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token []byte) {
		for _, kind := range []int32{etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.RC4_HMAC} {
			if _, acceptor := signers(kind, "another key 16 b", false); acceptor.Verify([]byte("m"), token) {
				t.Error("a signature is taken that nobody made")
			}
		}
	})
}
