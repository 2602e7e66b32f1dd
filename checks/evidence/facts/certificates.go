package facts

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"ocsdoctor/checks/evidence"
)

// The stores of certificates of a machine, by the names that Windows gives them.
const (
	StoreMY         = "MY"         // the machine's own certificates, "Personal"
	StoreRoot       = "ROOT"       // "Trusted Root Certification Authorities"
	StoreCA         = "CA"         // "Intermediate Certification Authorities"
	StoreAuthRoot   = "AuthRoot"   // the roots of Microsoft's programme, "Third-Party Root Certification Authorities"
	StoreDisallowed = "Disallowed" // "Untrusted Certificates"
)

// The places of which a store is put together.
const (
	PlaceMachine    = "machine"    // what was put there on the machine itself
	PlacePolicy     = "policy"     // what group policies bring
	PlaceEnterprise = "enterprise" // what Active Directory publishes
)

// StoredCertificate is one entry of a store of the machine.
type StoredCertificate struct {
	Store string `json:"store"`
	Place string `json:"place"`
	// Thumbprint is the SHA-1 of the DER in upper-case hexadecimal, by which the store names the entry.
	Thumbprint string `json:"thumbprint"`
	DER        []byte `json:"der,omitempty"`
	// Problem is set when the entry cannot be read, in our own words; then only what came before that is known of it.
	Problem string `json:"problem,omitempty"`
	// HasKey tells that the entry names a private key. Whether that key is still there is not known from the store.
	HasKey bool `json:"hasKey,omitempty"`
	// MachineKey tells that the key is one of the machine, not of the user who asked for the certificate.
	MachineKey bool `json:"machineKey,omitempty"`
	// Provider is the name of the cryptographic provider that has the key, Container what it calls the key.
	Provider  string `json:"provider,omitempty"`
	Container string `json:"container,omitempty"`
	// NextGeneration tells that the provider is a key storage provider (CNG), which CryptoAPI of 2003 does not know.
	NextGeneration bool   `json:"nextGeneration,omitempty"`
	FriendlyName   string `json:"friendlyName,omitempty"`
}

// CertificateStores are the entries of a machine's stores.
type CertificateStores struct {
	Certificates []StoredCertificate `json:"certificates,omitempty"`
}

// In are the entries of a store, wherever they come from.
func (s CertificateStores) In(store string) []StoredCertificate {
	var out []StoredCertificate
	for _, c := range s.Certificates {
		if c.Store == store {
			out = append(out, c)
		}
	}
	return out
}

// Find is the first entry of a store with that thumbprint.
func (s CertificateStores) Find(store, thumbprint string) (StoredCertificate, bool) {
	for _, c := range s.Certificates {
		if c.Store == store && strings.EqualFold(c.Thumbprint, thumbprint) {
			return c, true
		}
	}
	return StoredCertificate{}, false
}

// The keys below which the stores stand (System Store Locations of the Windows SDK).
const (
	machineStores    = `HKLM\SOFTWARE\Microsoft\SystemCertificates`
	policyStores     = `HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates`
	enterpriseStores = `HKLM\SOFTWARE\Microsoft\EnterpriseCertificates`
)

type storeLocation struct{ place, key, store string }

// storeLocations are the stores that are read.
var storeLocations = []storeLocation{
	{PlaceMachine, machineStores, StoreMY},
	{PlaceMachine, machineStores, StoreRoot},
	{PlaceMachine, machineStores, StoreCA},
	{PlaceMachine, machineStores, StoreAuthRoot},
	{PlaceMachine, machineStores, StoreDisallowed},
	{PlacePolicy, policyStores, StoreRoot},
	{PlacePolicy, policyStores, StoreCA},
	{PlacePolicy, policyStores, StoreDisallowed},
	{PlaceEnterprise, enterpriseStores, StoreRoot},
	{PlaceEnterprise, enterpriseStores, StoreCA},
}

// StoreQuestion asks for a store of a machine: StoreMY and so on, in one of the places. It is what a finding cites.
func StoreQuestion(host, place, store string) RegistryQuestion {
	base := map[string]string{PlaceMachine: machineStores, PlacePolicy: policyStores, PlaceEnterprise: enterpriseStores}[place]
	return RegistryQuestion{Host: host, Key: base + `\` + store + `\Certificates`, Depth: 1, Values: []string{"Blob"}}
}

// HostCertificates are the certificates in the stores of a server: its own, the roots and the CAs that it knows, and those that it
// must not trust. A user's stores are not among them: no service looks there.
var HostCertificates = &evidence.Kind[ServerQuestion, CertificateStores]{
	Name:   "host.certificates",
	Doc:    "the certificates in the stores of a server, with what they say of their private keys",
	Needs:  []evidence.AnyKind{Registry},
	Derive: deriveCertificates,
}

func deriveCertificates(r *evidence.Reader, q ServerQuestion) (CertificateStores, error) {
	var questions []RegistryQuestion
	for _, l := range storeLocations {
		questions = append(questions, StoreQuestion(q.FQDN, l.place, l.store))
	}
	// Where the first store cannot be read no other can: then they are not asked for.
	first, err := Registry.Get(r, questions[0])
	if err != nil {
		return CertificateStores{}, err
	}
	rest, errs := evidence.GetAll(r, Registry, questions[1:])
	if err := errors.Join(errs...); err != nil {
		return CertificateStores{}, err
	}
	keys := append([]RegistryKey{first}, rest...)
	var s CertificateStores
	for i, l := range storeLocations {
		for _, entry := range keys[i].Keys {
			c := ReadStoredCertificate(entry.Name, entry.Bytes("Blob"))
			c.Store, c.Place = l.store, l.place
			s.Certificates = append(s.Certificates, c)
		}
	}
	return s, nil
}

// The properties of an entry that are read ([MS-GPEF] 2.2.1.1.1.1); the last one is the certificate itself.
const (
	propertyKeyProvider  = 2
	propertyFriendlyName = 11
	propertyCertificate  = 32
)

// What CRYPT_KEY_PROV_INFO says: the flag of a key of the machine (CRYPT_MACHINE_KEYSET; NCRYPT_MACHINE_KEY_FLAG has the same value),
// and the type and the key spec (CERT_NCRYPT_KEY_SPEC) of a key storage provider.
const (
	machineKeySet      = 0x20
	nextGenerationType = 0
	nextGenerationSpec = 0xFFFFFFFF
)

const (
	// maxStoredBlob bounds the value of an entry in bytes; that of a large certificate has some thousands.
	maxStoredBlob = 128 << 10
	// maxStoredText bounds a name in an entry in UTF-16 units.
	maxStoredText = 512
)

// ReadStoredCertificate reads one entry of a store: the name of its key, which is the thumbprint, and its value Blob, a sequence of
// records {property, encoding, length, bytes} in little endian. What cannot be read leaves Problem.
func ReadStoredCertificate(name string, blob []byte) StoredCertificate {
	c := StoredCertificate{Thumbprint: strings.ToUpper(strings.ToValidUTF8(name, "\uFFFD"))}
	c.Problem = c.read(blob)
	return c
}

func (c *StoredCertificate) read(blob []byte) (problem string) {
	const head = 12
	switch {
	case len(blob) == 0:
		return "it has no value Blob"
	case len(blob) > maxStoredBlob:
		return fmt.Sprintf("it is longer than %d KiB", maxStoredBlob>>10)
	}
	for len(blob) > 0 {
		if len(blob) < head {
			return "it ends within the head of a property"
		}
		id, length := binary.LittleEndian.Uint32(blob), uint64(binary.LittleEndian.Uint32(blob[8:]))
		if blob = blob[head:]; length > uint64(len(blob)) {
			return fmt.Sprintf("its property %d is longer than what is there", id)
		}
		data := blob[:length]
		blob = blob[length:]
		switch id {
		case propertyKeyProvider:
			if problem := c.readKeyProvider(data); problem != "" {
				return problem
			}
		case propertyFriendlyName:
			c.FriendlyName = storedText(data)
		case propertyCertificate:
			c.DER = slices.Clone(data)
		}
	}
	if len(c.DER) == 0 {
		return "it holds no certificate"
	}
	sum := sha1.Sum(c.DER) //nolint:gosec // so Windows names certificates
	if got := strings.ToUpper(hex.EncodeToString(sum[:])); got != c.Thumbprint {
		return "it holds the certificate " + got + ", which is another than it is named by"
	}
	return ""
}

// readKeyProvider reads CRYPT_KEY_PROV_INFO as it is stored: the offsets of the container's and the provider's name, the type of
// the provider, flags, the number and the offset of parameters, and the key spec, each of four bytes, then the names.
func (c *StoredCertificate) readKeyProvider(b []byte) (problem string) {
	const (
		head            = 28
		containerOffset = 0
		providerOffset  = 4
		typeOffset      = 8
		flagsOffset     = 12
		keySpecOffset   = 24
	)
	if len(b) < head {
		return "its property 2, the private key, is too short"
	}
	at := func(offset int) (string, bool) {
		start := uint64(binary.LittleEndian.Uint32(b[offset:]))
		if start == 0 {
			return "", true
		}
		if start < head || start > uint64(len(b)) {
			return "", false
		}
		return storedText(b[start:]), true
	}
	var ok1, ok2 bool
	c.Container, ok1 = at(containerOffset)
	c.Provider, ok2 = at(providerOffset)
	if !ok1 || !ok2 {
		return "its property 2, the private key, names something outside itself"
	}
	c.HasKey = true
	c.MachineKey = binary.LittleEndian.Uint32(b[flagsOffset:])&machineKeySet != 0
	c.NextGeneration = binary.LittleEndian.Uint32(b[typeOffset:]) == nextGenerationType || binary.LittleEndian.Uint32(b[keySpecOffset:]) == nextGenerationSpec
	return ""
}

// storedText is UTF-16 up to its NUL, bounded.
func storedText(b []byte) string {
	s, _, _ := strings.Cut(UTF16(b[:min(len(b), 2*maxStoredText)]), "\x00")
	return s
}

// Encode is the value Blob of the entry: the opposite of [ReadStoredCertificate], for a store that is made up.
func (c StoredCertificate) Encode() []byte {
	var b []byte
	add := func(id uint32, data []byte) {
		b = binary.LittleEndian.AppendUint32(b, id)
		b = binary.LittleEndian.AppendUint32(b, 1)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(data))) //nolint:gosec // short
		b = append(b, data...)
	}
	if c.HasKey {
		const head, rsaSChannel, keyExchange = 28, 12, 1
		flags, kind, spec := uint32(0), uint32(rsaSChannel), uint32(keyExchange)
		if c.MachineKey {
			flags = machineKeySet
		}
		if c.NextGeneration {
			kind, spec = nextGenerationType, nextGenerationSpec
		}
		container := utf16z(c.Container)
		var key []byte
		for _, n := range []uint32{head, uint32(head + len(container)), kind, flags, 0, 0, spec} { //nolint:gosec // short
			key = binary.LittleEndian.AppendUint32(key, n)
		}
		add(propertyKeyProvider, slices.Concat(key, container, utf16z(c.Provider)))
	}
	if c.FriendlyName != "" {
		add(propertyFriendlyName, utf16z(c.FriendlyName))
	}
	add(propertyCertificate, c.DER)
	return b
}

// utf16z is text in little-endian UTF-16 with a final NUL.
func utf16z(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}
