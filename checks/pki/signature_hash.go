package pki

import (
	"errors"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

var (
	md5Signed = &checks.Message{
		Tag:      "md5",
		Severity: checks.Warning,
		Text:     "the certificate of {subject}, in the chain on {endpoints}, is signed with {hash}",
		Identity: []string{"thumbprint"},
	}
	pssSigned = &checks.Message{
		Tag:      "pss",
		Severity: checks.Warning,
		Text:     "the certificate of {subject}, in the chain on {endpoints}, is signed with RSASSA-PSS, which Windows XP and Server 2003 cannot verify",
		Identity: []string{"thumbprint"},
	}
	sha2Signed = &checks.Message{
		Tag:      "sha2",
		Severity: checks.Notice,
		Text:     "SHA-2 signatures are in the chain on {endpoints} ({subjects}); {system}, and Windows Server 2003 needs an update to verify them",
	}
)

var _ = register(&checks.Check{
	ID:       "pki/signature-hash",
	Title:    "the certificates that the OCS server presents are signed in a way that Windows of their time verifies",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.NetConnect, facts.TLSHandshake, facts.ConfigScope, facts.Directory, facts.Search, facts.Registry},
	Messages: []*checks.Message{md5Signed, pssSigned, sha2Signed},
	Run: func(p *checks.Pass) error {
		chains, err := presented(p)
		var sha2 []*member
		for _, m := range belowRoot(chains) {
			switch hash := signatureKinds[certs.SignatureOID(m.certificate)]; hash {
			case "MD2", "MD4", "MD5":
				p.Report(md5Signed, m.cites, append(m.args(p), checks.A("hash", hash))...)
			case "PSS":
				p.Report(pssSigned, m.cites, m.args(p)...)
			case "SHA-2":
				sha2 = append(sha2, m)
			}
		}
		return errors.Join(err, judgeSHA2(p, sha2))
	},
})

// signatureKinds are signature algorithms by their object identifiers (RFC 3279, section 2.2; RFC 4055; RFC 5758, section 3.2).
// SHA-1 is the normal case and not among them.
var signatureKinds = map[string]string{
	"1.2.840.113549.1.1.2": "MD2", "1.2.840.113549.1.1.3": "MD4", "1.2.840.113549.1.1.4": "MD5", "1.2.840.113549.1.1.10": "PSS",
	"1.2.840.113549.1.1.11": "SHA-2", "1.2.840.113549.1.1.12": "SHA-2", "1.2.840.113549.1.1.13": "SHA-2", "1.2.840.113549.1.1.14": "SHA-2",
	"1.2.840.10045.4.3.1": "SHA-2", "1.2.840.10045.4.3.2": "SHA-2", "1.2.840.10045.4.3.3": "SHA-2", "1.2.840.10045.4.3.4": "SHA-2",
}

// judgeSHA2 mentions SHA-2 unless the server is known to run Windows Server 2008 or later, which needs nothing for it.
func judgeSHA2(p *checks.Pass, signed []*member) error {
	if len(signed) == 0 {
		return nil
	}
	var version string
	var cites []evidence.Key
	for _, ask := range []func(*checks.Pass) (string, []evidence.Key, error){osVersion, ownVersion} {
		var err error
		if version, cites, err = ask(p); err != nil {
			p.Excuse(err, "where the version of Windows is not known, SHA-2 is mentioned, which is all that it would be on Windows Server 2003")
			if !evidence.Excusable(err) {
				return err
			}
		}
		if version != "" {
			break
		}
	}
	var system string
	switch {
	case version == "":
		system = "the version of Windows on " + p.Subject.Name + " is not known"
	case strings.HasPrefix(version, "5."):
		system = p.Subject.Name + " runs Windows Server 2003 (" + version + ")"
	default:
		return nil
	}
	var subjects, endpoints []string
	for _, m := range signed {
		subjects = append(subjects, certs.Describe(m.certificate.Raw).Subject)
		cites, endpoints = append(cites, m.cites...), append(endpoints, m.endpoints...)
	}
	slices.Sort(endpoints)
	p.Report(sha2Signed, distinct(cites), checks.A("subjects", listed(subjects)), checks.A("system", system), checks.A("server", p.Subject.Name),
		checks.A("endpoints", strings.Join(slices.Compact(endpoints), ", ")))
	return nil
}

// osVersion is operatingSystemVersion of the server's computer object, "6.1 (7600)"; empty when AD has no such object.
func osVersion(p *checks.Pass) (string, []evidence.Key, error) {
	scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
	if err != nil || scope.LDAPUser == "" {
		return "", nil, err
	}
	dir, err := facts.Directory.Get(p.Facts, evidence.None{})
	if err != nil {
		return "", nil, err
	}
	q := facts.NewSearch(dir.DC, dir.BaseDN, "sub", "(&(objectClass=computer)(dNSHostName="+facts.EscapeFilter(p.Subject.Name)+"))", "operatingSystemVersion")
	found, err := facts.Search.Get(p.Facts, q)
	if err != nil || len(found.Entries) == 0 {
		return "", nil, err
	}
	return found.Entries[0].Value("operatingSystemVersion"), []evidence.Key{facts.Search.Key(q)}, nil
}

// ownVersion is the version by the server's own registry, in the form that AD has it in.
func ownVersion(p *checks.Pass) (string, []evidence.Key, error) {
	q := facts.RegistryQuestion{
		Host: p.Subject.Name, Key: `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`,
		Values: []string{"CSDVersion", "CurrentBuildNumber", "CurrentVersion", "ProductName", "SystemRoot"}, // as HostWindows asks: one question for both
	}
	key, err := facts.Registry.Get(p.Facts, q)
	if err != nil || key.Text("CurrentVersion") == "" {
		return "", nil, err
	}
	return key.Text("CurrentVersion") + " (" + key.Text("CurrentBuildNumber") + ")", []evidence.Key{facts.Registry.Key(q)}, nil
}
