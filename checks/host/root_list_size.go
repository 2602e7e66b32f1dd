package host

import (
	"errors"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	tooManyRoots = &checks.Message{
		Tag:      "too-many",
		Severity: checks.Warning,
		Text:     "the names of the {count} trusted roots of {server} take {bytes} bytes, more than the 16384 that Schannel sends",
	}
	rootsTruncated = &checks.Message{
		Tag:      "truncated",
		Severity: checks.Warning,
		Text:     "Schannel on {server} says that it could not send the whole list of its trusted roots (event 36885 of {time})",
	}
)

var _ = register(&checks.Check{
	ID:       "host/root-list-size",
	Title:    "the list of trusted roots fits into what Schannel sends to its clients",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.Registry, facts.HostCertificates, facts.Events, facts.HostStarts},
	Messages: []*checks.Message{tooManyRoots, rootsTruncated},
	Run: func(p *checks.Pass) error {
		q := schannelQuestion(p)
		schannel, err := facts.Registry.Get(p.Facts, q)
		if err != nil {
			return err
		}
		if n, set := schannel.DWord("SendTrustedIssuerList"); set && n == 0 {
			return nil // then it sends no list
		}
		stores, err := facts.HostCertificates.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		count, bytes, err := rootNames(stores, p.Subject.Name)
		if bytes > maxRootList {
			p.Report(tooManyRoots, []evidence.Key{facts.HostCertificates.Key(server(p)), facts.Registry.Key(q)}, checks.A("server", p.Subject.Name),
				checks.A("count", count), checks.A("bytes", bytes))
			return nil
		}
		if err != nil {
			return err
		}
		return judgeTruncated(p)
	},
})

// maxRootList is how many bytes of names Schannel sends (Microsoft KB2464556).
const maxRootList = 16 * 1024

// eventListTruncated is Schannel's own word that the list was too long.
const eventListTruncated = 36885

// judgeTruncated reports the event since the last start of Windows: what one before it tells may have been mended.
func judgeTruncated(p *checks.Pass) error {
	l, key, err := eventLog(p, facts.SystemLog)
	if err != nil {
		return err
	}
	starts, err := lastStart(p)
	if err != nil {
		return err
	}
	for _, e := range l.Events {
		if e.Code() == eventListTruncated && e.From("Schannel") && e.Time.After(starts.Boot.NotBefore) {
			p.Report(rootsTruncated, []evidence.Key{key}, checks.A("server", p.Subject.Name), checks.A("time", spellTime(e.Time)))
			return nil
		}
	}
	return nil
}

// rootNames counts the distinct roots that the machine trusts and the bytes that their names take in a CertificateRequest, each with its length
// before it (RFC 2246, section 7.4.4). The error tells of one whose name could not be read.
func rootNames(stores facts.CertificateStores, host string) (count, bytes int, err error) {
	seen := map[string]bool{}
	for _, store := range []string{facts.StoreRoot, facts.StoreAuthRoot} {
		for _, c := range stores.In(store) {
			if seen[c.Thumbprint] {
				continue
			}
			seen[c.Thumbprint] = true
			n, bad := subjectLength(c.DER)
			if bad != nil {
				err = evidence.FailAt(evidence.Protocol, "a trusted root of "+host+" with the thumbprint "+c.Thumbprint+" cannot be read: "+bad.Error(),
					facts.HostCertificates.Key(facts.ServerQuestion{FQDN: host}))
				continue
			}
			count++
			bytes += 2 + n
		}
	}
	return count, bytes, err
}

var errDER = errors.New("it is no certificate in DER")

// subjectLength is how many bytes the subject of a certificate takes, header included (RFC 5280, section 4.1).
func subjectLength(der []byte) (int, error) {
	const sequence, version = 0x30, 0xA0
	certificate, _, _, err := element(der, sequence)
	if err != nil {
		return 0, err
	}
	rest, _, _, err := element(certificate, sequence) // TBSCertificate
	if err != nil {
		return 0, err
	}
	if len(rest) > 0 && rest[0] == version {
		if _, rest, _, err = element(rest, version); err != nil {
			return 0, err
		}
	}
	for range 4 { // serial number, signature, issuer, validity
		if _, rest, _, err = element(rest, 0); err != nil {
			return 0, err
		}
	}
	_, _, whole, err := element(rest, sequence)
	return whole, err
}

// element reads one element of DER: its content, what follows it, and how long it is as a whole. Its tag is tag, or any if that is 0.
func element(b []byte, tag byte) (content, rest []byte, whole int, err error) {
	if len(b) < 2 || tag != 0 && b[0] != tag {
		return nil, nil, 0, errDER
	}
	head, n := 2, int(b[1])
	if n >= 0x80 {
		digits := n & 0x7F
		if digits == 0 || digits > 3 || len(b) < 2+digits {
			return nil, nil, 0, errDER
		}
		n = 0
		for _, c := range b[2 : 2+digits] {
			n = n<<8 | int(c)
		}
		head += digits
	}
	if n > len(b)-head {
		return nil, nil, 0, errDER
	}
	return b[head : head+n], b[head+n:], head + n, nil
}
