package facts_test

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// property is one record of an entry in a store.
func property(id uint32, data []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, id)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

func wide(s string) []byte {
	var b []byte
	for _, r := range s + "\x00" {
		b = append(b, byte(r), byte(r>>8))
	}
	return b
}

// keyInfo is CRYPT_KEY_PROV_INFO as it is stored.
func keyInfo(container, provider string, kind, flags, spec uint32) []byte {
	c := wide(container)
	var b []byte
	for _, n := range []uint32{28, uint32(28 + len(c)), kind, flags, 0, 0, spec} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return append(append(b, c...), wide(provider)...)
}

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

var (
	storedDER  = []byte("0\x03the certificate")
	storedName = fmt.Sprintf("%X", sha1.Sum(storedDER))
	schannel   = "Microsoft RSA SChannel Cryptographic Provider"
)

func TestStoredCertificate(t *testing.T) {
	t.Parallel()
	der := property(32, storedDER)
	for name, c := range map[string]struct {
		blob []byte
		want facts.StoredCertificate
	}{
		"a certificate alone": {der, facts.StoredCertificate{DER: storedDER}},
		"a key of the machine": {
			join(property(3, []byte("sha1")), property(2, keyInfo("5e7d", schannel, 12, 0x20, 1)), property(11, wide("OCS é")), der),
			facts.StoredCertificate{DER: storedDER, HasKey: true, MachineKey: true, Provider: schannel, Container: "5e7d", FriendlyName: "OCS é"},
		},
		"a key of a user": {
			join(property(2, keyInfo("5e7d", schannel, 12, 0, 1)), der),
			facts.StoredCertificate{DER: storedDER, HasKey: true, Provider: schannel, Container: "5e7d"},
		},
		"a key of CNG": {
			join(property(2, keyInfo("5e7d", "Microsoft Software Key Storage Provider", 0, 0x20, 0xFFFFFFFF)), der),
			facts.StoredCertificate{DER: storedDER, HasKey: true, MachineKey: true, NextGeneration: true,
				Provider: "Microsoft Software Key Storage Provider", Container: "5e7d"},
		},
		"nothing":                  {nil, facts.StoredCertificate{Problem: "it has no value Blob"}},
		"properties alone":         {property(11, wide("OCS")), facts.StoredCertificate{FriendlyName: "OCS", Problem: "it holds no certificate"}},
		"a head that breaks off":   {join(der, []byte{1, 0, 0}), facts.StoredCertificate{DER: storedDER, Problem: "it ends within the head of a property"}},
		"a length beyond its end":  {property(32, storedDER)[:14], facts.StoredCertificate{Problem: "its property 32 is longer than what is there"}},
		"a key info that is short": {join(property(2, make([]byte, 27)), der), facts.StoredCertificate{Problem: "its property 2, the private key, is too short"}},
		"a key info that points out of itself": {
			join(property(2, keyInfo("x", "y", 12, 0x20, 1)[:30]), der),
			facts.StoredCertificate{Container: "x", Problem: "its property 2, the private key, names something outside itself"},
		},
		"another certificate": {
			property(32, []byte("0")),
			facts.StoredCertificate{DER: []byte("0"), Problem: fmt.Sprintf("it holds the certificate %X, which is another than it is named by", sha1.Sum([]byte("0")))},
		},
		"too much": {make([]byte, 128<<10+1), facts.StoredCertificate{Problem: "it is longer than 128 KiB"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.want.Thumbprint = storedName
			if diff := cmp.Diff(c.want, facts.ReadStoredCertificate(strings.ToLower(storedName), c.blob)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func stored(name string, blob []byte) facts.RegistryKey {
	return facts.RegistryKey{Name: name, Exists: true, Values: []facts.RegistryValue{{Name: "Blob", Type: facts.RegBinary, Data: blob}}}
}

func TestEncodeStoredCertificate(t *testing.T) {
	t.Parallel()
	for _, c := range []facts.StoredCertificate{
		{Thumbprint: storedName, DER: storedDER},
		{Thumbprint: storedName, DER: storedDER, HasKey: true, MachineKey: true, Provider: schannel, Container: "5e7d", FriendlyName: "OCS é"},
		{Thumbprint: storedName, DER: storedDER, HasKey: true, NextGeneration: true, Provider: "KSP", Container: "x"},
	} {
		if diff := cmp.Diff(c, facts.ReadStoredCertificate(storedName, c.Encode())); diff != "" {
			t.Error(diff)
		}
	}
}

// What stands in a store of the machine, of a policy or of the enterprise is told apart, and an entry that cannot be read is not lost.
func TestHostCertificates(t *testing.T) {
	t.Parallel()
	good := property(32, storedDER)
	w := world{other: map[evidence.Key]any{}}
	for _, c := range []struct {
		place, store string
		keys         []facts.RegistryKey
	}{
		{facts.PlaceMachine, facts.StoreMY, []facts.RegistryKey{stored(storedName, good), stored("AA", []byte{1})}},
		{facts.PlacePolicy, facts.StoreRoot, []facts.RegistryKey{stored(storedName, good)}},
		{facts.PlaceMachine, facts.StoreRoot, nil}, {facts.PlaceMachine, facts.StoreCA, nil}, {facts.PlaceMachine, facts.StoreAuthRoot, nil},
		{facts.PlaceMachine, facts.StoreDisallowed, nil}, {facts.PlacePolicy, facts.StoreCA, nil}, {facts.PlacePolicy, facts.StoreDisallowed, nil},
		{facts.PlaceEnterprise, facts.StoreRoot, nil}, {facts.PlaceEnterprise, facts.StoreCA, nil},
	} {
		w.other[facts.Registry.Key(facts.StoreQuestion("ocs.ad", c.place, c.store))] = facts.RegistryKey{Name: "Certificates", Exists: len(c.keys) > 0, Keys: c.keys}
	}
	s, err := facts.HostCertificates.Get(w.reader(t), facts.ServerQuestion{FQDN: "ocs.ad"})
	if err != nil {
		t.Fatal(err)
	}
	want := facts.CertificateStores{Certificates: []facts.StoredCertificate{
		{Store: facts.StoreMY, Place: facts.PlaceMachine, Thumbprint: storedName, DER: storedDER},
		{Store: facts.StoreMY, Place: facts.PlaceMachine, Thumbprint: "AA", Problem: "it ends within the head of a property"},
		{Store: facts.StoreRoot, Place: facts.PlacePolicy, Thumbprint: storedName, DER: storedDER},
	}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	if c, ok := s.Find(facts.StoreMY, strings.ToLower(storedName)); !ok || c.Store != facts.StoreMY || len(s.In(facts.StoreMY)) != 2 {
		t.Errorf("%+v", s)
	}
	if _, ok := s.Find(facts.StoreCA, storedName); ok {
		t.Error("the certificate is found in a store that it is not in")
	}

	denied := facts.Registry.Key(facts.StoreQuestion("ocs.ad", facts.PlaceEnterprise, facts.StoreCA))
	w.other[denied] = evidence.FailAt(evidence.Denied, "no right", denied)
	var f *evidence.Failure
	if _, err := facts.HostCertificates.Get(w.reader(t), facts.ServerQuestion{FQDN: "ocs.ad"}); !errors.As(err, &f) || f.Reason != evidence.Denied {
		t.Errorf("a store that must not be read is taken for an empty one: %v", err)
	}
}

func FuzzStoredCertificate(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(property(32, storedDER))
	f.Add(join(property(2, keyInfo("5e7d", schannel, 12, 0x20, 1)), property(11, wide("OCS")), property(32, storedDER)))
	f.Add(join(property(2, keyInfo("", "", 0, 0, 0xFFFFFFFF)), property(32, storedDER)))
	f.Add(property(2, binary.LittleEndian.AppendUint32(make([]byte, 24), 1<<31)))
	f.Add(binary.LittleEndian.AppendUint32([]byte{32, 0, 0, 0, 1, 0, 0, 0}, 1<<32-1))
	f.Fuzz(func(t *testing.T, blob []byte) {
		c := facts.ReadStoredCertificate(storedName, blob)
		if len(c.DER) == 0 && c.Problem == "" {
			t.Error("no certificate, and no problem")
		}
		for _, s := range []string{c.Provider, c.Container, c.FriendlyName, c.Problem} {
			if !utf8.ValidString(s) || utf8.RuneCountInString(s) > 512 {
				t.Errorf("%q", s)
			}
		}
	})
}
