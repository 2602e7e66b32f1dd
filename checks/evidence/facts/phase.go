package facts

import (
	"errors"
	"strings"

	"ocsdoctor/checks/evidence"
)

// ServerQuestion names a server by FQDN.
type ServerQuestion struct{ FQDN string }

func (q ServerQuestion) String() string { return fields(q.FQDN) }

// The phases of a deployment.
const (
	PhaseAuto        = "auto"
	PhasePreInstall  = "pre-install"
	PhasePostInstall = "post-install"
)

// PhaseData is the phase a server is in, and why it is taken to be.
type PhaseData struct {
	Phase string `json:"phase"`
	Why   string `json:"why"`
	// Assumed tells that nothing could be read that decides.
	Assumed bool `json:"assumed,omitempty"`
}

// ServerPhase is the phase of one server: post-install when AD holds its RTC objects, OCS is installed on it or SIP answers on its
// 5061; pre-install only when AD or the server was readable and shows none; otherwise post-install, assumed.
var ServerPhase = &evidence.Kind[ServerQuestion, PhaseData]{
	Name:   "phase.server",
	Doc:    "whether OCS is installed on a server, by evidence",
	Needs:  []evidence.AnyKind{ConfigScope, SIPDomains, Directory, Search, Register, HostOCS},
	Derive: derivePhase,
}

// BeforeSetup tells whether a server is about to get OCS, which decides how grave some findings are. It is asked only where there is one, so that
// what passes rests on nothing that does not matter to it.
func BeforeSetup(r *evidence.Reader, q ServerQuestion) (bool, error) {
	phase, err := ServerPhase.Get(r, q)
	return phase.Phase == PhasePreInstall, err
}

// AskedPhase is the phase that the user asked for; asked is false when it is to be found out.
func (s Scope) AskedPhase() (p PhaseData, asked bool) {
	if s.Phase == PhaseAuto || s.Phase == "" {
		return PhaseData{}, false
	}
	why := "asked for with --phase"
	if s.Before != "" {
		why = "asked for with --before " + s.Before
	}
	return PhaseData{Phase: s.Phase, Why: why}, true
}

func derivePhase(r *evidence.Reader, q ServerQuestion) (PhaseData, error) {
	scope, err := ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return PhaseData{}, err
	}
	if p, asked := scope.AskedPhase(); asked {
		return p, nil
	}
	var objects, answers bool
	var product Product
	var adErr, hostErr error = evidence.Fail(evidence.NotConfigured, "no account to read AD with"), evidence.Fail(evidence.NotConfigured, "no collected folder and no account to read the server with")
	var sipErr error
	evidence.Parallel(func() {
		if scope.LDAPUser != "" {
			objects, adErr = hasRTCObjects(r, q.FQDN)
		}
	}, func() {
		if _, collected := scope.Collected(q.FQDN); collected || scope.LDAPUser != "" {
			product, hostErr = HostOCS.Get(r, q)
		}
	}, func() {
		answers, sipErr = sipAnswers(r, q.FQDN)
	})
	looked := func(err error) bool { return err == nil || evidence.Excusable(err) }
	switch {
	case objects:
		return PhaseData{Phase: PhasePostInstall, Why: "AD holds its RTC objects"}, nil
	case product.Installed:
		return PhaseData{Phase: PhasePostInstall, Why: "OCS is installed on it"}, nil
	case answers:
		return PhaseData{Phase: PhasePostInstall, Why: "SIP answers on its port 5061"}, nil
	case (adErr == nil || hostErr == nil) && looked(adErr) && looked(hostErr) && looked(sipErr):
		var why []string
		if adErr == nil {
			why = append(why, "AD was read and holds no RTC objects of it")
		}
		if hostErr == nil {
			why = append(why, "its registry was read and holds no OCS")
		}
		if outcome := (*evidence.Failure)(nil); !errors.As(sipErr, &outcome) || outcome.Reason != evidence.NotConfigured {
			why = append(why, "and SIP does not answer on its port 5061")
		}
		return PhaseData{Phase: PhasePreInstall, Why: strings.Join(why, ", ")}, nil
	}
	return PhaseData{Phase: PhasePostInstall, Why: "nothing could be read that decides", Assumed: true}, nil
}

// sipAnswers tells whether SIP answers on the server's own 5061, whatever it says.
func sipAnswers(r *evidence.Reader, fqdn string) (bool, error) {
	domains, err := SIPDomains.Get(r, evidence.None{})
	if err != nil || len(domains.List) == 0 {
		return false, err
	}
	a, err := Register.Get(r, RegisterQuestion{Endpoint: Endpoint{fqdn, SIPPort}, Domain: domains.List[0]})
	return err == nil && !a.NotSIP, err
}

// hasRTCObjects looks below the computer object for the classes that activation creates.
func hasRTCObjects(r *evidence.Reader, fqdn string) (bool, error) {
	dir, err := Directory.Get(r, evidence.None{})
	if err != nil {
		return false, err
	}
	res, err := Search.Get(r, NewSearch(dir.DC, dir.BaseDN, "sub", "(&(objectClass=computer)(dNSHostName="+EscapeFilter(fqdn)+"))", "dNSHostName"))
	if err != nil {
		return false, err
	}
	for _, e := range res.Entries {
		res, err := Search.Get(r, NewSearch(dir.DC, e.DN, "sub", "(|(objectClass=msRTCSIP-Server)(objectClass=msRTCSIP-WebComponents)(objectClass=msRTCSIP-MCU))", "objectClass"))
		if err != nil {
			return false, err
		}
		if len(res.Entries) > 0 {
			return true, nil
		}
	}
	return false, nil
}

const hexDigits = "0123456789abcdef"

// EscapeFilter escapes a value for an LDAP filter (RFC 4515, section 3).
func EscapeFilter(s string) string {
	var out []byte
	for i := range len(s) {
		switch c := s[i]; c {
		case '*', '(', ')', '\\', 0:
			out = append(out, '\\', hexDigits[c>>4], hexDigits[c&15])
		default:
			out = append(out, c)
		}
	}
	return string(out)
}
