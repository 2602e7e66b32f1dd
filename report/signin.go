package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/policy"
)

// SignInSchema names the JSON form of a sign-in.
const SignInSchema = "ocsdoctor.signin/1"

// The outcomes of a step. Unknown is what could not be looked at from here; the walk does not go on after it.
const (
	StepOK       = "ok"
	StepStops    = "stops"
	StepUnknown  = "unknown"
	StepNotTried = "notTried"
)

// How far a fault reaches.
const (
	ReachEveryone  = "everyone"
	ReachSIPDomain = "SIP domain"
	ReachPool      = "pool"
	ReachUser      = "this user"
	ReachVantage   = "this vantage"
	ReachNobody    = "nobody"
)

// SignIn is the sign-in of one user as a client walks it.
type SignIn struct {
	Schema  string       `json:"schema"`
	URI     string       `json:"uri"`
	Profile string       `json:"profile"`
	Vantage Vantage      `json:"vantage"`
	Reach   string       `json:"reach"`
	Steps   []SignInStep `json:"steps"`
	// StoppedAt is the number of the step at which the client stops; 0 when nothing stops it as far as it was followed.
	StoppedAt int `json:"stoppedAt"`
	// UserSees is what the client shows at that step; nil when it does not stop, or when no source gives the text.
	UserSees *UserSees `json:"userSees"`
	// Root is the finding that explains where the walk ends, nil for none; Next the one command to run next.
	Root *SignInRoot `json:"root"`
	Next string      `json:"next"`
	// Also are the other roots among what was judged, the most severe first.
	Also []SignInRoot `json:"also"`

	// at is where the client goes; Host is empty when DNS leads nowhere. It is plain where SIP is spoken there without TLS.
	at    facts.Endpoint
	plain bool
	// client is the program that signs in, in words.
	client string
	// account is the test account that signs in; empty for none. means explains a number of ms-diagnostics.
	account string
	means   func(string) string
	now     time.Time
	// by asks DNS again for the record that won, and explain what the server's own reason means.
	by, again, explain string
}

// SignInStep is one step of the walk.
type SignInStep struct {
	N          int    `json:"n"`
	What       string `json:"what"`
	Asked      string `json:"asked"`
	Answer     string `json:"answer"`
	DurationMs int64  `json:"durationMs"`
	Outcome    string `json:"outcome"`
	// NotTried is why it was not tried; empty when it was.
	NotTried string `json:"notTried"`

	answers []string       // the parts of Answer
	sees    string         // the core of the message that the user sees when it stops
	rests   []evidence.Key // what it was read from
	missing evidence.Key   // the root of what could not be read
	silent  bool           // nothing answered, as a firewall on the way from here would have it
}

// UserSees is a message of Communicator, in English and French; a wording that no source gives is empty.
type UserSees struct {
	EN string `json:"en"`
	FR string `json:"fr"`
}

// SignInRoot is a finding that explains where the walk ends.
type SignInRoot struct {
	ID       string  `json:"id"`
	Check    string  `json:"check"`
	Tag      string  `json:"tag"`
	Subject  Subject `json:"subject"`
	Severity string  `json:"severity"`
	Text     string  `json:"text"`
	Fix      string  `json:"fix"`
}

// The cores of what Communicator shows, by which the knowledge base knows the whole.
const (
	seesUnavailable = "server temporarily unavailable"
	seesCertificate = "problem verifying the certificate"
	seesIncorrect   = "sign-in address, user name, or password incorrect"
	seesVersion     = "client version not supported"
)

// SignInMeta is what a sign-in says of its run.
type SignInMeta struct {
	// URI is the user's SIP address in lower case, "sip:alice@todorovic.fr".
	URI   string
	Host  string
	Scope facts.Scope
	// Now is the time of capture.
	Now time.Time
	// Profile is the name of the client, one of facts.ProfileNames; empty is Communicator 2007 R2. TCP lets it do without TLS.
	Profile string
	TCP     bool
	// Means says what a number of ms-diagnostics comes down to; empty for one that is not known.
	Means func(id string) string
	// Again is the command line that walks again.
	Again string
}

// The places of the steps.
const (
	stepDNS = iota
	stepAddress
	stepConnect
	stepHandshake
	stepCertificate
	stepRegister
	stepAuthenticate
	stepRedirect
	stepUnregister
	stepAccount
)

// NewSignIn walks the sign-in of a user over the facts alone; Judge adds what the checks find. It may run beside the checks.
func NewSignIn(store *evidence.Store, m SignInMeta) *SignIn {
	_, domain, _ := strings.Cut(m.URI, "@")
	profile := facts.ProfileOf(m.Profile)
	s := &SignIn{
		Schema: SignInSchema, URI: m.URI, Profile: profile.Name, client: profile.Client, Vantage: vantage(m.Host, m.Scope), Also: []SignInRoot{}, again: m.Again,
		account: m.Scope.SIPUser, means: m.Means, now: m.Now,
	}
	w := &signInWalk{SignIn: s, r: store.NewReader(facts.All), domain: domain, profile: profile, tcp: m.TCP}
	var account SignInStep
	evidence.Parallel(w.follow, func() { account = w.account() })
	s.Steps = append(s.Steps, account)
	for i := range s.Steps {
		s.Steps[i].N = i + 1
	}
	s.clock(store)
	return s
}

// clock gives each step the time of the longest exchange that it was the first to need: the client asks side by side too.
func (s *SignIn) clock(store *evidence.Store) {
	seen := map[evidence.Key]bool{}
	for i := range s.Steps {
		st := &s.Steps[i]
		st.Answer, st.DurationMs = strings.Join(st.answers, "; "), 0
		lineage := store.Lineage(st.rests)
		for _, rec := range store.Records() {
			if lineage[rec.Key] && !seen[rec.Key] {
				seen[rec.Key] = true
				st.DurationMs = max(st.DurationMs, rec.Took.Milliseconds())
			}
		}
	}
}

// Lost tells whether the walk came to something that could not be looked at.
func (s *SignIn) Lost() bool {
	return slices.ContainsFunc(s.Steps, func(st SignInStep) bool { return st.Outcome == StepUnknown })
}

// Judge adds what the checks found: the trust in the certificate and the state of the user's account, the root of where the walk
// ends, how far that reaches, and what to do next. sees gives the message of Communicator with that core, nil if none is known.
func (s *SignIn) Judge(store *evidence.Store, out *engine.Outcome, sees func(core string) *UserSees) {
	j := &signInJudge{SignIn: s, out: out, servers: append([]facts.Endpoint{s.at}, peers(store.NewReader(facts.All), s.at)...)}
	j.certificate()
	j.judgeAccount()
	j.signIn(store)
	s.clock(store)
	end := ""
	for i := range s.Steps {
		st := &s.Steps[i]
		if end != "" && i < stepAccount && st.NotTried == "" {
			*st = SignInStep{N: st.N, What: st.What, Asked: st.Asked, Outcome: StepNotTried, NotTried: end}
		}
		end = cmp.Or(end, ends(st.N, st.Outcome))
		if st.Outcome == StepStops && s.StoppedAt == 0 {
			s.StoppedAt = st.N
			if st.sees != "" {
				s.UserSees = sees(st.sees)
			}
		}
	}
	root := j.root()
	for _, f := range out.Roots {
		if f != root {
			s.Also = append(s.Also, signInRoot(f))
		}
	}
	s.conclude(root)
}

// conclude says how far the fault reaches, and the next command: the first of what mends it.
func (s *SignIn) conclude(root *checks.Finding) {
	switch {
	case root != nil:
		r := signInRoot(root)
		s.Root, s.Reach = &r, reachOf(root.Subject.Scope)
		s.Next = cmp.Or(firstCommand(parseMarkdown(r.Fix)), "ocsdoctor explain "+r.Check+":"+r.Tag)
	case s.StoppedAt > 0 || s.Lost():
		s.Reach, s.Next = s.unexplained(), cmp.Or(s.explain, s.again+" -v")
	case len(s.Also) > 0:
		s.Reach, s.Next = ReachNobody, "ocsdoctor explain "+s.Also[0].Check+":"+s.Also[0].Tag
	default:
		// What is left is what the user's PC sees, beginning with its resolver.
		s.Reach, s.Next = ReachNobody, cmp.Or(s.by, s.again+" -v")
	}
}

// unexplained is how far a fault reaches that no check explains, by what was asked.
func (s *SignIn) unexplained() string {
	switch {
	case s.StoppedAt == 0 || s.StoppedAt-1 == stepConnect && s.Steps[stepConnect].silent:
		return ReachVantage
	case s.StoppedAt-1 == stepAccount || s.StoppedAt-1 == stepAuthenticate:
		return ReachUser
	case s.StoppedAt-1 <= stepAddress:
		return ReachSIPDomain
	}
	return ReachPool
}

func signInRoot(f *checks.Finding) SignInRoot {
	fix, err := f.Fix()
	if err != nil {
		fix = "The text of this fix could not be made: " + err.Error()
	}
	return SignInRoot{
		ID: f.ID(), Check: f.Check.ID, Tag: f.Message.Tag, Subject: Subject{string(f.Subject.Scope), f.Subject.Name},
		Severity: f.Message.Severity.String(), Text: f.Text(), Fix: fix,
	}
}

// firstCommand is the command that a fix begins with; empty where other steps come before the first one.
func firstCommand(blocks []block) string {
	for _, b := range blocks {
		switch {
		case b.kind == codeBlock && len(b.code) > 0:
			return strings.TrimSpace(b.code[0])
		case b.kind == list:
			return ""
		}
	}
	return ""
}

func reachOf(scope checks.Scope) string {
	switch scope {
	case checks.ScopeUser:
		return ReachUser
	case checks.ScopeSIPDomain:
		return ReachSIPDomain
	case checks.ScopeServer, checks.ScopePool, checks.ScopeEndpoint:
		return ReachPool
	case checks.ScopeResolver:
		return ReachVantage
	}
	return ReachEveryone
}

// WriteJSON writes the sign-in in its JSON form.
func (s *SignIn) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(s)
}

// WriteConsole writes the sign-in for a person: where it was asked from and how far the fault reaches, the steps, what the user
// sees, the root with what mends it, and on the last line the one next command.
func (s *SignIn) WriteConsole(w io.Writer, o ConsoleOptions) error {
	c := &console{o: o, width: cmp.Or(o.Width, 80)}
	c.text("", "  ", fmt.Sprintf("%s, asked from %s with resolvers %s, not from the user's PC", s.URI, s.Vantage.Host, cmp.Or(strings.Join(s.Vantage.DNS, ", "), "(none)")))
	reach := s.Reach
	if reach == ReachNobody {
		reach += ", as far as it was followed from here"
	}
	c.text("", "  ", "reaches: "+reach)
	if s.client != "" {
		c.text("", "  ", "client: "+s.client)
	}
	c.line("")
	for _, st := range s.Steps {
		c.step(st)
	}
	if s.UserSees != nil {
		c.line("")
		c.text("the user sees: ", "    ", s.UserSees.EN)
		if s.UserSees.FR != "" {
			c.text("in French: ", "    ", s.UserSees.FR)
		}
	}
	if s.Root != nil {
		c.line("")
		c.text(c.label(s.Root.Severity)+"  ", "   ", s.Root.where())
		c.text("   ", "   ", s.Root.Text)
		c.line("   " + c.paint("head", "fix:"))
		for _, l := range RenderMarkdown(s.Root.Fix, c.width-6) {
			c.line(strings.TrimRight("      "+l, " "))
		}
	}
	if len(s.Also) > 0 {
		c.head("Besides (not what ends the walk)")
		for _, r := range s.Also {
			c.text("  "+c.label(r.Severity)+"  ", "    ", r.Text+" ("+r.where()+")")
		}
	}
	c.line("")
	c.line("next: " + Printable(s.Next))
	_, err := io.WriteString(w, c.b.String())
	return err
}

func (r SignInRoot) where() string { return r.Check + ":" + r.Tag + " on " + r.Subject.Name }

// step writes one step: what came of it, what was asked, and each part of the answer on a line of its own.
func (c *console) step(st SignInStep) {
	words := map[string]string{StepOK: "ok", StepStops: c.paint("error", "STOPS"), StepUnknown: c.paint(policy.VerdictIncomplete, "unknown"), StepNotTried: "not tried"}
	first := fmt.Sprintf("%2d. %s: %s", st.N, st.What, words[st.Outcome])
	if st.Outcome == StepNotTried {
		c.text(first+", ", "    ", st.NotTried)
		return
	}
	if st.DurationMs > 0 {
		first += fmt.Sprintf(", %d ms", st.DurationMs)
	}
	c.line(first)
	c.text("    asked: ", "      ", st.Asked)
	for _, a := range st.answers {
		c.text("    ", "      ", a)
	}
}
