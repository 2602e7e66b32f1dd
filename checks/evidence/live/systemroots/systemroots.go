// Package systemroots reads the root certificates that the machine running the scan trusts.
package systemroots

import (
	"encoding/pem"

	"ocsdoctor/checks/evidence/facts"
)

// Store is what reports call the store.
const Store = "this machine's store"

const (
	// maxFile bounds a file of certificates in bytes; a distribution's has some 250,000.
	maxFile = 16 << 20
	// maxRoots bounds the certificates read; real stores have a few hundred.
	maxRoots = 5000
)

// Read lists the machine's roots. The error says, in our own words, why there are none.
func Read() (facts.AnchorList, error) {
	ders, err := read()
	if err != nil {
		return facts.AnchorList{}, err
	}
	l := facts.AnchorList{Read: []string{Store}}
	for _, der := range ders {
		l.Anchors = append(l.Anchors, facts.Anchor{Store: Store, DER: der})
	}
	return l, nil
}

// certificates are the certificates of a PEM file.
func certificates(b []byte) [][]byte {
	var ders [][]byte
	for len(ders) < maxRoots {
		var p *pem.Block
		if p, b = pem.Decode(b); p == nil {
			break
		}
		if p.Type == "CERTIFICATE" {
			ders = append(ders, p.Bytes)
		}
	}
	return ders
}
