package checktest

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"ocsdoctor/checks/evidence/facts"
)

// stores are the functions by which a registry holds certificates that the case makes: {{thumbprint "ocs"}}, {{hash "ocs"}} as HTTP.SYS has it, and
// the value Blob of a store: {{store "ca"}}, {{storeWithKey "ocs"}}, {{storeWithUserKey "ocs"}}, {{storeWithKeyOfCNG "ocs"}}; and for a listener of OCS {{issuer "ocs"}} and {{serial "ocs"}} as WMI
// writes them, the serial number with its least significant byte first.
func (ex *example) stores() template.FuncMap {
	find := func(name string) ([]byte, error) {
		c, ok := ex.made.certificates[name]
		if !ok {
			return nil, fmt.Errorf("no certificate %q is made", name)
		}
		return c.cert.Raw, nil
	}
	functions := template.FuncMap{
		"thumbprint": func(name string) (string, error) {
			der, err := find(name)
			return fmt.Sprintf("%X", sha1.Sum(der)), err
		},
		"hash": func(name string) (string, error) {
			der, err := find(name)
			sum := sha1.Sum(der)
			return hexBytes(sum[:]), err
		},
	}
	functions["issuer"] = func(name string) (string, error) {
		der, err := find(name)
		if err != nil {
			return "", err
		}
		c, err := x509.ParseCertificate(der)
		return numbers(c.RawIssuer), err
	}
	functions["serial"] = func(name string) (string, error) {
		der, err := find(name)
		if err != nil {
			return "", err
		}
		c, err := x509.ParseCertificate(der)
		b := c.SerialNumber.Bytes()
		slices.Reverse(b)
		return numbers(b), err
	}
	for form, entry := range map[string]facts.StoredCertificate{
		"store":             {},
		"storeWithKey":      {HasKey: true, MachineKey: true, Provider: "Microsoft RSA SChannel Cryptographic Provider", Container: "5e7d0b1c"},
		"storeWithUserKey":  {HasKey: true, Provider: "Microsoft RSA SChannel Cryptographic Provider", Container: "5e7d0b1c"},
		"storeWithKeyOfCNG": {HasKey: true, MachineKey: true, NextGeneration: true, Provider: "Microsoft Software Key Storage Provider", Container: "5e7d0b1c"},
	} {
		functions[form] = func(name string) (string, error) {
			der, err := find(name)
			own := entry
			own.DER = der
			return hexBytes(own.Encode()), err
		}
	}
	return functions
}

// hexBytes is "hex:0a,0b" as in regedit's text.
func hexBytes(b []byte) string {
	s := make([]string, len(b))
	for i, c := range b {
		s[i] = hex.EncodeToString([]byte{c})
	}
	return "hex:" + strings.Join(s, ",")
}

// numbers is an array of bytes as WMI writes it: "{48,130,5}".
func numbers(b []byte) string {
	s := make([]string, len(b))
	for i, c := range b {
		s[i] = strconv.Itoa(int(c))
	}
	return "{" + strings.Join(s, ",") + "}"
}
