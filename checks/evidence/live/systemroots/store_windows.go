package systemroots

import (
	"errors"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// read takes the ROOT store, in which the machine's and the user's roots and those of group policy come together.
func read() (ders [][]byte, err error) {
	name, err := windows.UTF16PtrFromString("ROOT")
	if err != nil {
		return nil, err
	}
	store, err := windows.CertOpenSystemStore(0, name)
	if err != nil {
		return nil, errors.New("this machine's ROOT store cannot be opened")
	}
	defer func() { _ = windows.CertCloseStore(store, 0) }()
	var c *windows.CertContext
	for len(ders) < maxRoots {
		// The call frees the context it is given; the one it fails with at the end is nil.
		if c, err = windows.CertEnumCertificatesInStore(store, c); err != nil || c == nil {
			break
		}
		ders = append(ders, slices.Clone(unsafe.Slice(c.EncodedCert, c.Length)))
	}
	if c != nil {
		_ = windows.CertFreeCertificateContext(c)
	}
	if len(ders) == 0 {
		return nil, errors.New("this machine's ROOT store is empty")
	}
	return ders, nil
}
