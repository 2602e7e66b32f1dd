package facts

import (
	"ocsdoctor/checks/evidence"
)

// AnchorList is a list of trust anchors.
type AnchorList struct {
	Anchors []Anchor `json:"anchors,omitempty"`
	// Read names the stores that were read, for the reader of a report.
	Read []string `json:"read,omitempty"`
}

// Anchor is one trusted root, in DER.
type Anchor struct {
	Store string `json:"store"`
	DER   []byte `json:"der"`
}

// SystemAnchors are the roots that the scanning machine itself trusts.
var SystemAnchors = &evidence.Kind[evidence.None, AnchorList]{
	Name: "trust.system",
	Doc:  "the root certificates that the machine running the scan trusts",
}

// Anchors are all roots known to the scan: those given, those published in AD, and the machine's own if asked for.
// With no store read at all it is not-configured.
var Anchors = &evidence.Kind[evidence.None, AnchorList]{
	Name:   "trust.anchors",
	Doc:    "the trust anchors known to the scan: given, published in AD, the machine's own if asked for",
	Needs:  []evidence.AnyKind{ConfigScope, SystemAnchors, Directory, Search},
	Derive: deriveAnchors,
}

func deriveAnchors(r *evidence.Reader, _ evidence.None) (AnchorList, error) {
	scope, err := ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return AnchorList{}, err
	}
	var l AnchorList
	if scope.RootsGiven {
		l.Read = append(l.Read, "--roots")
		for _, der := range scope.Roots {
			l.Anchors = append(l.Anchors, Anchor{"--roots", der})
		}
	}
	if scope.SystemRoots {
		sys, err := SystemAnchors.Get(r, evidence.None{})
		if err != nil {
			return AnchorList{}, err
		}
		l.Read = append(l.Read, sys.Read...)
		l.Anchors = append(l.Anchors, sys.Anchors...)
	}
	if scope.LDAPUser != "" {
		ad, err := adAnchors(r)
		if err != nil {
			return AnchorList{}, err
		}
		l.Read = append(l.Read, ad.Read...)
		l.Anchors = append(l.Anchors, ad.Anchors...)
	}
	if len(l.Read) == 0 {
		return AnchorList{}, evidence.Fail(evidence.NotConfigured, "no trust anchors are known: give --roots FILE.pem, or --user so that those published in AD can be read")
	}
	return l, nil
}

// adAnchors reads CN=Certification Authorities, which Windows pushes to every member's root store.
func adAnchors(r *evidence.Reader) (AnchorList, error) {
	dir, err := Directory.Get(r, evidence.None{})
	if err != nil {
		return AnchorList{}, err
	}
	base := "CN=Certification Authorities,CN=Public Key Services,CN=Services," + dir.Config
	res, err := Search.Get(r, NewSearch(dir.DC, base, "one", "(objectClass=certificationAuthority)", "cACertificate"))
	if err != nil {
		return AnchorList{}, err
	}
	l := AnchorList{Read: []string{"AD Certification Authorities"}}
	for _, e := range res.Entries {
		for _, der := range e.Values("cACertificate") {
			if len(der) > 1 { // Windows keeps a single zero byte in an emptied attribute
				l.Anchors = append(l.Anchors, Anchor{"AD Certification Authorities", der})
			}
		}
	}
	return l, nil
}
