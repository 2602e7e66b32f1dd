package host

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	tls10Disabled = &checks.Message{
		Tag:      "tls10-disabled",
		Severity: checks.Error,
		Text:     "{server} does not speak TLS 1.0 {sides}: Enabled = 0 at {keys}",
	}
	tls10NotDefault = &checks.Message{
		Tag:      "tls10-not-default",
		Severity: checks.Warning,
		Text:     "{server} speaks TLS 1.0 {sides} only to programs that ask for it by name: DisabledByDefault = 1 at {keys}",
	}
	noCipher = &checks.Message{
		Tag:      "no-cipher",
		Severity: checks.Error,
		Text:     "{server} is left without a cipher for TLS: {disabled} are switched off",
	}
	fipsOn = &checks.Message{
		Tag:      "fips",
		Severity: checks.Warning,
		Text:     "{server} uses algorithms of the FIPS 140 policy only: RC4, which older Communicators and phones ask for, is off",
	}
)

var _ = register(&checks.Check{
	ID:       "host/schannel-protocols",
	Title:    "Schannel of the OCS server speaks TLS 1.0 and has a cipher left",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.Registry, facts.HostWindows},
	Messages: []*checks.Message{tls10Disabled, tls10NotDefault, noCipher, fipsOn},
	Run: func(p *checks.Pass) error {
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		fips := lsaQuestion(p, `\FipsAlgorithmPolicy`, "Enabled")
		if w.Version == version2003 {
			fips = lsaQuestion(p, "", "FIPSAlgorithmPolicy")
		}
		questions := []facts.RegistryQuestion{schannelQuestion(p), fips}
		keys, errs := evidence.GetAll(p.Facts, facts.Registry, questions)
		if errs[0] == nil {
			cites := []evidence.Key{facts.Registry.Key(questions[0])}
			judgeProtocol(p, keys[0], cites)
			if off := ciphersOff(w, keys[0]); off != "" {
				p.Report(noCipher, append(cites, w.Cite), checks.A("server", p.Subject.Name), checks.A("disabled", off))
			}
		}
		if on, _ := keys[1].DWord(fips.Values[0]); errs[1] == nil && on != 0 {
			p.Report(fipsOn, []evidence.Key{facts.Registry.Key(questions[1]), w.Cite}, checks.A("server", p.Subject.Name), checks.A("windows2003", mark(w.Version == version2003)))
		}
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	},
})

// judgeProtocol reports where TLS 1.0 is switched off, or left to programs that ask for it, as server or as client: OCS is both, and asks for
// nothing by name.
func judgeProtocol(p *checks.Pass, schannel facts.RegistryKey, cites []evidence.Key) {
	var off, hidden []string
	for _, side := range []string{"Server", "Client"} {
		key := schannel.Find(`Protocols\TLS 1.0\` + side)
		if n, set := key.DWord("Enabled"); set && n == 0 {
			off = append(off, side)
		} else if n, set := key.DWord("DisabledByDefault"); set && n != 0 {
			hidden = append(hidden, side)
		}
	}
	for msg, sides := range map[*checks.Message][]string{tls10Disabled: off, tls10NotDefault: hidden} {
		if len(sides) == 0 {
			continue
		}
		var keys, as []string
		for _, s := range sides {
			keys = append(keys, `SCHANNEL\Protocols\TLS 1.0\`+s)
			as = append(as, "as a "+strings.ToLower(s))
		}
		p.Report(msg, cites, checks.A("server", p.Subject.Name), checks.A("sides", strings.Join(as, " and ")), checks.A("keys", strings.Join(keys, " and ")),
			checks.A("asServer", mark(sides[0] == "Server")), checks.A("asClient", mark(sides[len(sides)-1] == "Client")))
	}
}

// ciphers are those of the suites that Schannel has on every Windows, with their keys below SCHANNEL\Ciphers; newer ones have AES too. DES and
// the export ciphers, which no client of OCS offers, do not count.
var (
	oldCiphers = []string{"RC4 128/128", "Triple DES 168"}
	newCiphers = append([]string{"AES 128/128", "AES 256/256"}, oldCiphers...)
)

// ciphersOff lists what is switched off when no suite is left that clients and server have in common; "" when one is. Every suite needs the hash
// SHA, but for RC4 with MD5.
func ciphersOff(w facts.Windows, schannel facts.RegistryKey) string {
	disabled := func(key string) bool {
		n, set := schannel.Find(key).DWord("Enabled")
		return set && n == 0
	}
	ciphers := newCiphers
	if w.Version == version2003 {
		ciphers = oldCiphers
	}
	sha, md5 := !disabled(`Hashes\SHA`), !disabled(`Hashes\MD5`)
	var off []string
	for _, c := range ciphers {
		// On Windows Server 2003 the key may also be "Triple DES 168/168".
		if disabled(`Ciphers\`+c) || c == oldCiphers[1] && disabledTripleDES(schannel) {
			off = append(off, c)
		} else if sha || md5 && strings.HasPrefix(c, "RC4") {
			return ""
		}
	}
	if !sha {
		off = append(off, "the hash SHA")
	}
	if !md5 {
		off = append(off, "the hash MD5")
	}
	return strings.Join(off, ", ")
}

// disabledTripleDES reads the older spelling of the key, whose slash parts no keys.
func disabledTripleDES(schannel facts.RegistryKey) bool {
	n, set := schannel.Find(`Ciphers\Triple DES 168/168`).DWord("Enabled")
	return set && n == 0
}
