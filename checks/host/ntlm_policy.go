package host

import (
	"cmp"
	"fmt"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	ntlmXP = &checks.Message{
		Tag:      "xp-through-edge",
		Severity: checks.Warning,
		Text:     "{server} asks for 128-bit session security of NTLM (NtlmMinServerSec {value}); users of Windows XP ({computers} in AD) fail to sign in through the Edge server",
	}
	ntlmStrict = &checks.Message{
		Tag:      "strict",
		Severity: checks.Notice,
		Text:     "{server} takes NTLM version 2 only ({setting}): a client that offers the older version, as Windows XP does at first, is turned away",
	}
)

var _ = register(&checks.Check{
	ID:       "host/ntlm-policy",
	Title:    "what the server asks of NTLM is what its clients offer",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	Needs:    []evidence.AnyKind{facts.Registry, facts.HostWindows, facts.EdgeServers, facts.Directory, facts.Search},
	Messages: []*checks.Message{ntlmXP, ntlmStrict},
	Run: func(p *checks.Pass) error {
		questions := []facts.RegistryQuestion{lsaQuestion(p, `\MSV1_0`, "NtlmMinServerSec"), lsaQuestion(p, "", "LmCompatibilityLevel")}
		keys, errs := evidence.GetAll(p.Facts, facts.Registry, questions)
		if err := cmp.Or(errs...); err != nil {
			return err
		}
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		least, set := keys[0].DWord("NtlmMinServerSec")
		if !set && w.Version == "6.1" {
			least = session128 // its default
		}
		cites := []evidence.Key{facts.Registry.Key(questions[0]), facts.Registry.Key(questions[1]), w.Cite}
		level, _ := keys[1].DWord("LmCompatibilityLevel")
		if setting := strict(least, level); setting != "" {
			p.Report(ntlmStrict, cites, checks.A("server", p.Subject.Name), checks.A("setting", setting))
		}
		if least&session128 == 0 {
			return nil
		}
		return judgeXP(p, least, cites)
	},
})

// The bits of NtlmMinServerSec: NTLMv2 session security, and encryption with 128 bits ([MS-NLMP] 3.1.1.1).
const (
	sessionV2  = 0x00080000
	session128 = 0x20000000
)

// refuseOld is the level of LmCompatibilityLevel from which LM and NTLM version 1 are refused ([MS-NLMP] 3.1.1.1).
const refuseOld = 5

func strict(least, level uint32) string {
	switch {
	case level >= refuseOld:
		return fmt.Sprintf("LmCompatibilityLevel %d", level)
	case least&sessionV2 != 0:
		return fmt.Sprintf("NtlmMinServerSec 0x%08X", least)
	}
	return ""
}

// judgeXP looks for what makes the policy a fault: computers with Windows XP, which do not offer 128 bits, and an Edge server, through which
// they have to use NTLM. Inside they have Kerberos.
func judgeXP(p *checks.Pass, least uint32, cites []evidence.Key) error {
	edges, err := facts.EdgeServers.Get(p.Facts, evidence.None{})
	if err != nil || len(edges.List) == 0 {
		return err
	}
	dir, err := facts.Directory.Get(p.Facts, evidence.None{})
	if err != nil {
		return err
	}
	xp := facts.NewSearch(dir.DC, dir.BaseDN, "sub", "(&(objectClass=computer)(operatingSystem=Windows XP*))", "dNSHostName")
	found, err := facts.Search.Get(p.Facts, xp)
	if err != nil || len(found.Entries) == 0 {
		return err
	}
	p.Report(ntlmXP, append(cites, edges.Cite, facts.Search.Key(xp)), checks.A("server", p.Subject.Name), checks.A("value", fmt.Sprintf("0x%08X", least)),
		checks.A("computers", facts.Count(len(found.Entries), "computer")), checks.A("edge", edges.List[0]))
	return nil
}
