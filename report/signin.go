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
)

// SignInSchema names the JSON form of a sign-in.
const SignInSchema = "ocsdoctor.signin/1"

// The outcomes of a step.
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
	ReachNobody    = "nobody, as far as can be seen from here"
)

// SignIn is the sign-in of one user as Communicator walks it.
type SignIn struct {
	Schema  string       `json:"schema"`
	URI     string       `json:"uri"`
	Profile string       `json:"profile"`
	Vantage Vantage      `json:"vantage"`
	Reach   string       `json:"reach"`
	Steps   []SignInStep `json:"steps"`
	// StoppedAt is the number of the step at which the client stops; 0 when nothing stops it as far as it was followed.
	StoppedAt int `json:"stoppedAt"`
	// UserSees is what Communicator shows at that step; nil when it does not stop.
	UserSees *UserSees `json:"userSees"`
	// Root is the finding that explains it, nil for none; Next the one command to run next.
	Root *SignInRoot `json:"root"`
	Next string      `json:"next"`
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

	families []string // of the checks that judge what it sees
	sees     string   // the core of the message that the user sees when it stops
	cites    []evidence.Key
}

// UserSees is a message of Communicator, in English and French; a wording that no source gives is empty.
type UserSees struct {
	EN string `json:"en"`
	FR string `json:"fr"`
}

// SignInRoot is the finding that explains where the walk stops.
type SignInRoot struct {
	ID       string `json:"id"`
	Check    string `json:"check"`
	Tag      string `json:"tag"`
	Subject  string `json:"subject"`
	Severity string `json:"severity"`
	Text     string `json:"text"`
	Fix      string `json:"fix"`
}

// The cores of what Communicator shows, by which the knowledge base finds the whole.
const (
	seesUnavailable = "server temporarily unavailable"
	seesCertificate = "problem verifying the certificate"
	seesIncorrect   = "sign-in address, user name, or password incorrect"
)

// NewSignIn walks the sign-in of a user over the facts of a run, and looks for the root of where it stops in the run's report. sees
// gives the message with that core.
func NewSignIn(store *evidence.Store, out *engine.Outcome, rep *Report, uri string, now time.Time, sees func(core string) UserSees) *SignIn {
	w := &signInWalk{reader: store.NewReader(facts.All), uri: uri, now: now}
	_, w.domain, _ = strings.Cut(strings.ToLower(uri), "@")
	w.walk(out)
	s := &SignIn{Schema: SignInSchema, URI: uri, Profile: "communicator-2007-r2", Vantage: rep.Vantage, Steps: w.steps}
	measure(store, s.Steps)
	for i := range s.Steps {
		s.Steps[i].N = i + 1
		if s.Steps[i].Outcome == StepStops && s.StoppedAt == 0 {
			s.StoppedAt = i + 1
			u := sees(s.Steps[i].sees)
			s.UserSees = &u
		}
	}
	s.explain(rep)
	return s
}

// measure gives each step the time of the longest exchange that it was the first to need.
func measure(store *evidence.Store, steps []SignInStep) {
	seen := map[evidence.Key]bool{}
	for i := range steps {
		lineage := store.Lineage(steps[i].cites)
		for _, rec := range store.Records() {
			if lineage[rec.Key] && !seen[rec.Key] {
				seen[rec.Key] = true
				steps[i].DurationMs = max(steps[i].DurationMs, rec.Took.Milliseconds())
			}
		}
	}
}

// explain finds the root, how far it reaches, and what to do next.
func (s *SignIn) explain(rep *Report) {
	found := rep.Findings()
	// The step that stops the client says which checks judge what it sees there; the first of their roots is the most severe.
	var root *Located
	for _, id := range rep.Roots {
		l := found[id]
		if l.Severity == "warning" {
			continue // it stops nobody today
		}
		family, _, _ := strings.Cut(l.Result.Check, "/")
		fits := s.StoppedAt > 0 && slices.Contains(s.Steps[s.StoppedAt-1].families, family)
		if root == nil || fits {
			root = &l
		}
		if fits {
			break
		}
	}
	unknown := slices.IndexFunc(s.Steps, func(st SignInStep) bool { return st.Outcome == StepUnknown })
	switch {
	case root != nil:
		s.Root = &SignInRoot{
			ID: root.ID, Check: root.Result.Check, Tag: root.Tag, Subject: root.Result.Subject.Name, Severity: root.Severity, Text: root.Text, Fix: root.Fix,
		}
		s.Reach = reachOf(root.Result.Subject.Scope)
		s.Next = "ocsdoctor explain " + root.Result.Check
	case s.StoppedAt > 0:
		s.Reach = ReachVantage
		s.Next = "ocsdoctor scan -v --sip-domain " + domainOf(s.URI)
	case unknown >= 0:
		s.Reach = ReachVantage
		s.Next = "ocsdoctor signin " + s.URI + " -v"
	default:
		s.Reach = ReachNobody
		s.Next = "ocsdoctor scan --sip-domain " + domainOf(s.URI)
	}
}

func domainOf(uri string) string { _, d, _ := strings.Cut(uri, "@"); return d }

func reachOf(scope string) string {
	switch scope {
	case "user":
		return ReachUser
	case "sip-domain":
		return ReachSIPDomain
	case "server", "pool", "endpoint", "account":
		return ReachPool
	case "resolver":
		return ReachVantage
	}
	return ReachEveryone
}

// signInWalk makes the steps.
type signInWalk struct {
	reader      *evidence.Reader
	uri, domain string
	now         time.Time
	steps       []SignInStep
	stopped     bool
}

// step adds a step; after one that stops, nothing more is tried.
func (w *signInWalk) step(st SignInStep) {
	if w.stopped {
		st.Outcome, st.NotTried, st.Answer, st.cites = StepNotTried, "the client does not get this far", "", nil
	}
	w.stopped = w.stopped || st.Outcome == StepStops || st.Outcome == StepUnknown
	w.steps = append(w.steps, st)
}

// looked settles what a fact that could not be read makes of a step.
func looked(st SignInStep, err error) SignInStep {
	var f *evidence.Failure
	if e, ok := err.(*evidence.Failure); ok { //nolint:errorlint // Get promises this very type
		f = e
	}
	if f == nil {
		return st
	}
	st.Outcome, st.Answer = StepUnknown, "could not look: "+f.Detail
	if f.Reason == evidence.NotConfigured {
		st.Outcome, st.NotTried = StepNotTried, f.Detail
	}
	return st
}

func (w *signInWalk) walk(out *engine.Outcome) {
	d := w.discover()
	at := facts.Endpoint{Host: d.Host, Port: cmp.Or(d.Port, facts.SIPPort)}
	if at.Host == "" {
		at.Host = "(no server)"
	}
	w.connect(at)
	w.certificate(at, w.handshake(at), out)
	w.register(at)
	w.step(SignInStep{
		What: "sign in with the challenge", Asked: "REGISTER with the answer to the challenge", Outcome: StepNotTried,
		NotTried: "no test account is tried; this walk ends at the challenge",
	})
	w.account()
}

// discover is the client's questions to DNS.
func (w *signInWalk) discover() facts.DiscoveryWalk {
	q := facts.DiscoveryQuestion{Domain: w.domain, View: facts.Inside}
	d, err := facts.Discovery.Get(w.reader, q)
	var asked, answers []string
	for _, s := range d.SRV {
		asked = append(asked, s.Name+" SRV")
		answers = append(answers, s.Name+": "+srvAnswer(s))
	}
	for _, h := range d.Hosts {
		asked = append(asked, h.Name+" A")
		answers = append(answers, h.Name+": "+cmp.Or(strings.Join(h.Addresses, ", "), "does not exist"))
	}
	st := SignInStep{
		What: "find the server in DNS", Asked: strings.Join(asked, ", then "), Answer: strings.Join(answers, "; "), Outcome: StepOK,
		families: []string{"dns"}, sees: seesUnavailable, cites: d.Cites(),
	}
	switch {
	case err != nil:
		st.Asked = "the SRV records of " + w.domain
		st = looked(st, err)
	case d.Host == "":
		st.Outcome = StepStops
	default:
		st.Answer += "; " + d.By + " wins: " + facts.JoinHostPort(d.Host, d.Port)
	}
	w.step(st)

	st = SignInStep{
		What: "find its address", Asked: cmp.Or(d.Host, "(no server)") + " A", Answer: strings.Join(d.Addresses, ", "), Outcome: StepOK,
		families: []string{"dns"}, sees: seesUnavailable, cites: []evidence.Key{facts.Addresses.Key(facts.HostQuestion{Host: d.Host, View: facts.Inside})},
	}
	if len(d.Addresses) == 0 {
		st.Outcome, st.Answer = StepStops, "no address"
	}
	w.step(st)
	return d
}

func srvAnswer(s facts.SRVStep) string {
	var out []string
	for _, r := range s.Records {
		out = append(out, fmt.Sprintf("%s port %d", cmp.Or(r.Target, "."), r.Port))
	}
	return cmp.Or(strings.Join(out, ", "), "does not exist")
}

func (w *signInWalk) connect(at facts.Endpoint) {
	st := SignInStep{
		What: "connect", Asked: "TCP " + at.String(), Outcome: StepOK, families: []string{"net", "service", "patch"}, sees: seesUnavailable,
		cites: []evidence.Key{facts.NetConnect.Key(at)},
	}
	if !w.stopped {
		c, err := facts.NetConnect.Get(w.reader, at)
		st.Answer = c.Result
		if c.Result != facts.Connected {
			st.Outcome = StepStops
		}
		st = looked(st, err)
	}
	w.step(st)
}

func (w *signInWalk) handshake(at facts.Endpoint) facts.Handshake {
	st := SignInStep{
		What: "secure the connection", Asked: "TLS handshake with " + at.String(), Outcome: StepOK, families: []string{"net"}, sees: seesUnavailable,
		cites: []evidence.Key{facts.TLSHandshake.Key(at)},
	}
	var h facts.Handshake
	if !w.stopped {
		var err error
		h, err = facts.TLSHandshake.Get(w.reader, at)
		st.Answer = strings.TrimSpace(h.Version + " " + h.CipherSuite)
		if !h.Completed {
			st.Outcome, st.Answer = StepStops, "the server "+h.Problem()
		}
		st = looked(st, err)
	}
	w.step(st)
	return h
}

// certificate is what the client looks at before it says a word. Trust is judged by the checks, since it takes the chain.
func (w *signInWalk) certificate(at facts.Endpoint, h facts.Handshake, out *engine.Outcome) {
	st := SignInStep{What: "verify the certificate", Asked: "is it for " + at.Host + ", in date, and from a trusted root", Outcome: StepOK,
		families: []string{"pki"}, sees: seesCertificate, cites: []evidence.Key{facts.TLSHandshake.Key(at)}}
	leaf, ok := h.Leaf()
	st.Answer = fmt.Sprintf("%s for %s, until %s, from %s", leaf.Subject, leaf.Names(), leaf.NotAfter.Format("2006-01-02"), leaf.Issuer)
	switch {
	case w.stopped:
	case !ok:
		st.Outcome, st.Answer = StepStops, "no certificate that can be read"
	case !leaf.Carries(at.Host), w.now.After(leaf.NotAfter), w.now.Before(leaf.NotBefore):
		st.Outcome = StepStops
	default:
		for _, r := range out.Results {
			if !strings.HasPrefix(r.Check.ID, "pki/") {
				continue
			}
			for _, f := range r.Findings {
				if f.Message.Severity == checks.Critical && strings.Contains(f.Arg("endpoints"), at.String()) {
					st.Outcome, st.Answer = StepStops, st.Answer+"; "+f.Text()
				}
			}
			if r.Check.ID == "pki/chain-trusted" && r.Status != engine.StatusPass && len(r.Findings) == 0 {
				st.Answer += "; whether its root is trusted could not be told: " + r.Reason
			}
		}
		// The server may be judged under another name than the one that the client asks.
		if trust := slices.IndexFunc(out.Roots, func(f *checks.Finding) bool {
			return strings.HasPrefix(f.Check.ID, "pki/") && f.Message.Severity == checks.Critical
		}); trust >= 0 && st.Outcome == StepOK {
			st.Outcome, st.Answer = StepStops, st.Answer+"; "+out.Roots[trust].Text()
		}
	}
	w.step(st)
}

func (w *signInWalk) register(at facts.Endpoint) {
	q := facts.RegisterQuestion{Endpoint: at, Domain: w.domain}
	st := SignInStep{
		What: "ask to register", Asked: "REGISTER sip:" + w.domain + " without credentials", Outcome: StepOK,
		families: []string{"signin", "service", "patch"}, sees: seesIncorrect, cites: []evidence.Key{facts.Register.Key(q)},
	}
	if !w.stopped {
		a, err := facts.Register.Get(w.reader, q)
		var offers []string
		usable := false
		for _, c := range a.Challenges {
			offers = append(offers, strings.TrimSpace(c.Scheme+" "+c.Parameters["targetname"]))
			usable = usable || strings.EqualFold(c.Scheme, "NTLM") || strings.EqualFold(c.Scheme, "Kerberos") || strings.EqualFold(c.Scheme, "TLS-DSK")
		}
		st.Answer = fmt.Sprintf("%d %s", a.Status, a.Phrase)
		if len(offers) > 0 {
			st.Answer += ", offers " + strings.Join(offers, "; ")
		}
		switch {
		case a.NotSIP:
			st.Outcome, st.Answer, st.sees = StepStops, "something that is not SIP", seesUnavailable
		case a.Status != 200 && !usable:
			st.Outcome = StepStops
		}
		st = looked(st, err)
	}
	w.step(st)
}

// account is what the server will find of the user in AD once he has shown who he is.
func (w *signInWalk) account() {
	st := SignInStep{
		What: "be found by the server", Asked: w.uri + " in Active Directory", Outcome: StepOK, families: []string{"account"}, sees: seesIncorrect,
		cites: []evidence.Key{facts.AllUsers.Key(evidence.None{})},
	}
	if w.stopped { // it does not hang on the way there, and may be a second fault
		w.stopped = false
		defer func() { w.stopped = true }()
	}
	table, err := facts.AllUsers.Get(w.reader, evidence.None{})
	var is []facts.User
	for _, u := range table.Users {
		if strings.EqualFold(u.URI, w.uri) {
			is = append(is, u)
		}
	}
	switch {
	case err != nil:
		st = looked(st, err)
	case len(is) == 0:
		st.Outcome, st.Answer = StepStops, "no account has this address"
	case len(is) > 1:
		st.Outcome, st.Answer = StepStops, fmt.Sprintf("%d objects have this address", len(is))
	case table.Hidden():
		st.Outcome, st.NotTried = StepNotTried, "the account of --user may not read what is enabled for OCS: it has to be a member of RTCUniversalReadOnlyAdmins"
	default:
		u := is[0]
		st.Answer = table.DN(u)
		switch {
		case u.Enabled == nil || !*u.Enabled:
			st.Outcome, st.Answer = StepStops, st.Answer+", not enabled for Communications Server"
		case u.Home < 0:
			st.Outcome, st.Answer = StepStops, st.Answer+", without a home server"
		default:
			st.Answer += ", enabled, at home on " + table.HomeOf(u)
		}
	}
	w.step(st)
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
func (s *SignIn) WriteConsole(out io.Writer, o ConsoleOptions) error {
	c := &console{o: o, width: cmp.Or(o.Width, 80)}
	c.text("", "", fmt.Sprintf("%s, asked from %s with resolvers %s, not from the user's PC", s.URI, s.Vantage.Host, cmp.Or(strings.Join(s.Vantage.DNS, ", "), "(none)")))
	c.text("", "", "reaches: "+s.Reach)
	c.line("")
	for _, st := range s.Steps {
		mark := map[string]string{StepOK: "ok", StepStops: c.paint("error", "STOPS"), StepUnknown: c.paint("warning", "unknown"), StepNotTried: "not tried"}[st.Outcome]
		c.text(fmt.Sprintf("%2d. ", st.N), "    ", fmt.Sprintf("%s: %s", st.What, st.Asked))
		answer := cmp.Or(st.NotTried, st.Answer)
		if st.NotTried == "" && st.DurationMs > 0 {
			answer += fmt.Sprintf(" (%d ms)", st.DurationMs)
		}
		c.text("    "+mark+": ", "    ", answer)
	}
	if s.UserSees != nil {
		c.line("")
		c.text("the user sees: ", "    ", s.UserSees.EN)
	}
	if s.Root != nil {
		c.line("")
		c.text(c.paint(s.Root.Severity, symbols[s.Root.Severity]+" "+strings.ToUpper(s.Root.Severity))+"  ", "   ",
			s.Root.Check+":"+s.Root.Tag+" on "+s.Root.Subject)
		c.text("   ", "   ", s.Root.Text)
		for _, l := range RenderMarkdown(s.Root.Fix, c.width-3) {
			c.line(strings.TrimRight("   "+l, " "))
		}
	}
	c.line("")
	c.line("next: " + Printable(s.Next))
	_, err := io.WriteString(out, c.b.String())
	return err
}
