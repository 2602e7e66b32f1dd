package facts

import (
	"errors"
	"slices"

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

// The stores of anchors that are not the machine's own: what was given, and CN=Certification Authorities of AD.
const (
	StoreGiven = "--roots"
	StoreAD    = "AD Certification Authorities"
)

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
		l.Read = append(l.Read, StoreGiven)
		for _, der := range scope.Roots {
			l.Anchors = append(l.Anchors, Anchor{StoreGiven, der})
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
	res, err := Search.Get(r, RootsQuestion(dir))
	if err != nil {
		return AnchorList{}, err
	}
	l := AnchorList{Read: []string{StoreAD}}
	for _, der := range values(res, "cACertificate") {
		l.Anchors = append(l.Anchors, Anchor{StoreAD, der})
	}
	return l, nil
}

// PublicKeyData is what AD publishes below CN=Public Key Services.
type PublicKeyData struct {
	// Roots, NTAuth and Intermediates are certificates in DER: CN=Certification Authorities, CN=NTAuthCertificates, CN=AIA.
	Roots         [][]byte `json:"roots,omitempty"`
	NTAuth        [][]byte `json:"ntAuth,omitempty"`
	Intermediates [][]byte `json:"intermediates,omitempty"`
	// CRLs are the revocation lists in CN=CDP, by the DN of their object.
	CRLs map[string][][]byte `json:"crls,omitempty"`
	// Services are the enterprise CAs that take requests.
	Services []EnrollmentService `json:"services,omitempty"`
}

// EnrollmentService is an enterprise CA with the templates that it issues.
type EnrollmentService struct {
	Name      string   `json:"name"`
	Host      string   `json:"host"`
	Templates []string `json:"templates,omitempty"`
}

// PublicKeys is the PKI as AD publishes it ([MS-WCCE] 2.2.2.11; [MS-CERSOD] 2.1.2).
var PublicKeys = &evidence.Kind[evidence.None, PublicKeyData]{
	Name:  "ad.public-keys",
	Doc:   "the certification authorities, revocation lists and enrollment services that AD publishes",
	Needs: []evidence.AnyKind{Directory, Search},
	Derive: func(r *evidence.Reader, _ evidence.None) (PublicKeyData, error) {
		dir, err := Directory.Get(r, evidence.None{})
		if err != nil {
			return PublicKeyData{}, err
		}
		base := PublicKeyBase(dir)
		found, errs := evidence.GetAll(r, Search, []SearchQuestion{
			RootsQuestion(dir),
			NewSearch(dir.DC, "CN=NTAuthCertificates,"+base, "base", "(objectClass=*)", "cACertificate"),
			NewSearch(dir.DC, "CN=AIA,"+base, "one", "(objectClass=certificationAuthority)", "cACertificate"),
			NewSearch(dir.DC, "CN=CDP,"+base, "sub", "(objectClass=cRLDistributionPoint)", "certificateRevocationList", "deltaRevocationList"),
			NewSearch(dir.DC, "CN=Enrollment Services,"+base, "one", "(objectClass=pKIEnrollmentService)", "cn", "dNSHostName", "certificateTemplates"),
		})
		if err := errors.Join(errs...); err != nil {
			return PublicKeyData{}, err
		}
		d := PublicKeyData{
			Roots: values(found[0], "cACertificate"), NTAuth: values(found[1], "cACertificate"), Intermediates: values(found[2], "cACertificate"),
			CRLs: map[string][][]byte{},
		}
		for _, e := range found[3].Entries {
			one := SearchResult{Entries: []Entry{e}}
			if lists := append(values(one, "certificateRevocationList"), values(one, "deltaRevocationList")...); len(lists) > 0 {
				d.CRLs[e.DN] = lists
			}
		}
		for _, e := range found[4].Entries {
			s := EnrollmentService{Name: e.Value("cn"), Host: Host(e.Value("dNSHostName"))}
			for _, t := range e.Values("certificateTemplates") {
				s.Templates = append(s.Templates, string(t))
			}
			slices.Sort(s.Templates)
			d.Services = append(d.Services, s)
		}
		return d, nil
	},
}

// PublicKeyBase is the DN of CN=Public Key Services.
func PublicKeyBase(dir DirectoryData) string {
	return "CN=Public Key Services,CN=Services," + dir.Config
}

// RootsQuestion is the search for the root certificates that AD publishes, for citing.
func RootsQuestion(dir DirectoryData) SearchQuestion {
	return NewSearch(dir.DC, "CN=Certification Authorities,"+PublicKeyBase(dir), "one", "(objectClass=certificationAuthority)", "cACertificate")
}

// values are all values of an attribute. Windows keeps a single zero byte in an emptied one.
func values(res SearchResult, attribute string) [][]byte {
	var out [][]byte
	for _, e := range res.Entries {
		for _, v := range e.Values(attribute) {
			if len(v) > 1 {
				out = append(out, v)
			}
		}
	}
	return out
}
