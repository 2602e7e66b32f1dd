package setup

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var msmqMissing = &checks.Message{
	Tag:      "missing",
	Severity: checks.Error,
	Text:     "{server} does not have Message Queuing",
}

var _ = register(&checks.Check{
	ID:       "setup/feature-msmq",
	Title:    "Message Queuing is installed on the OCS server",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.HostWindows, facts.HostOCS, facts.Registry},
	Messages: []*checks.Message{msmqMissing},
	Run: func(p *checks.Pass) error {
		if err := forFrontEnds(p); err != nil {
			return err
		}
		w, err := facts.HostWindows.Get(p.Facts, server(p))
		if err != nil {
			return err
		}
		questions := []facts.RegistryQuestion{
			{Host: p.Subject.Name, Key: `HKLM\SOFTWARE\Microsoft\MSMQ\Setup`, Values: []string{"msmq_Core"}},
			facts.ServiceConfigQuestion(p.Subject.Name, "MSMQ"),
		}
		if w.Version == facts.Windows2003 {
			questions[0] = componentsQuestion(p.Subject.Name, w)
		}
		keys, errs := evidence.GetAll(p.Facts, facts.Registry, questions)
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		// The service is the feature: setup of Windows may write the other mark in another place than where it is looked for.
		if core, _ := keys[0].DWord("msmq_Core"); core != 1 && !keys[1].Exists {
			reportMissing(p, msmqMissing, w, []evidence.Key{facts.Registry.Key(questions[0]), facts.Registry.Key(questions[1])}, "MSMQ-Server")
		}
		return nil
	},
})
