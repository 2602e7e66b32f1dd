package report

import (
	"strings"
	"testing"
)

// What servers say is shown and not sent to the terminal, and no line but a command is wider than it.
func TestASignInIsShownPrintable(t *testing.T) {
	t.Parallel()
	evil := "Unauthorized\x1b[2J\r\n7. forged: ok \u202e" + strings.Repeat(" and on", 30)
	s := &SignIn{
		URI: "sip:alice@todorovic.fr", Reach: ReachPool, StoppedAt: 1, Next: "ocsdoctor explain \x1b]0;x\a",
		Vantage:  Vantage{Host: "pc\x07", DNS: []string{"inside#1=192.168.1.10:53"}},
		Steps:    []SignInStep{{N: 1, What: "ask to register", Asked: evil, Outcome: StepStops, answers: []string{evil}}, {N: 2, What: "authenticate", Outcome: StepNotTried, NotTried: evil}},
		UserSees: &UserSees{EN: evil, FR: evil},
		Root:     &SignInRoot{Check: "signin/challenge", Tag: "refused", Subject: Subject{"server", evil}, Severity: "critical", Text: evil, Fix: "Do `" + evil + "`."},
		Also:     []SignInRoot{{Check: "dns/x", Tag: "y", Severity: "warning", Text: evil}},
	}
	var b strings.Builder
	if err := s.WriteConsole(&b, ConsoleOptions{}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.ContainsFunc(line, hidden) {
			t.Errorf("a control character is sent: %q", line)
		}
		if len([]rune(line)) > 80 || strings.HasPrefix(line, "7.") {
			t.Errorf("%d columns: %s", len([]rune(line)), line)
		}
	}
}
