package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
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
	// UserSees is what Communicator shows at that step; nil when it does not stop, or when no source gives the text.
	UserSees *UserSees `json:"userSees"`
	// Root is the finding that explains where the walk ends, nil for none; Next the one command to run next.
	Root *SignInRoot `json:"root"`
	Next string      `json:"next"`
	// Also are the other roots among what was judged, the most severe first.
	Also []SignInRoot `json:"also"`

	// at is where the client goes; Host is empty when DNS leads nowhere.
	at facts.Endpoint
	// by asks DNS again for the record that won.
	by, again string
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
	stepChallenge
	stepAccount
)

// NewSignIn walks the sign-in of a user over the facts alone; Judge adds what the checks find. It may run beside the checks.
func NewSignIn(store *evidence.Store, m SignInMeta) *SignIn {
	_, domain, _ := strings.Cut(m.URI, "@")
	s := &SignIn{
		Schema: SignInSchema, URI: m.URI, Profile: "communicator-2007-r2", Vantage: vantage(m.Host, m.Scope), Also: []SignInRoot{}, again: m.Again,
	}
	w := &signInWalk{SignIn: s, r: store.NewReader(facts.All), domain: domain, now: m.Now}
	var account SignInStep
	evidence.Parallel(w.follow, func() { account = w.account() })
	s.Steps = append(s.Steps, account)
	seen := map[evidence.Key]bool{}
	for i := range s.Steps {
		st := &s.Steps[i]
		st.N, st.Answer = i+1, strings.Join(st.answers, "; ")
		// The time of the longest exchange that it was the first to need: the client asks side by side too.
		lineage := store.Lineage(st.rests)
		for _, rec := range store.Records() {
			if lineage[rec.Key] && !seen[rec.Key] {
				seen[rec.Key] = true
				st.DurationMs = max(st.DurationMs, rec.Took.Milliseconds())
			}
		}
	}
	return s
}

// signInWalk makes the steps from facts.
type signInWalk struct {
	*SignIn
	r      *evidence.Reader
	domain string
	now    time.Time
	// end is why nothing more is tried; empty while the walk goes on.
	end string
}

// add adds a step, and says what it means for those that follow.
func (w *signInWalk) add(st SignInStep) {
	if w.end != "" {
		st = SignInStep{What: st.What, Asked: st.Asked, Outcome: StepNotTried, NotTried: w.end}
		if w.at.Host == "" { // nobody to ask
			st.Asked = ""
		}
	}
	w.Steps = append(w.Steps, st)
	w.end = cmp.Or(w.end, ends(len(w.Steps), st.Outcome))
}

// ends is why the steps after the one of that number are not tried; empty when they are.
func ends(n int, outcome string) string {
	switch outcome {
	case StepStops:
		return fmt.Sprintf("the client stops at step %d", n)
	case StepUnknown:
		return fmt.Sprintf("what step %d would give is not known", n)
	case StepNotTried:
		return fmt.Sprintf("step %d was not tried", n)
	}
	return ""
}

// looked settles a step whose fact could not be read; err is nil for one that was.
func (st *SignInStep) looked(err error) {
	var f *evidence.Failure
	if !errors.As(err, &f) {
		return
	}
	if f.Reason == evidence.NotConfigured {
		st.Outcome, st.NotTried, st.answers = StepNotTried, f.Detail, nil
		return
	}
	st.Outcome, st.answers, st.missing = StepUnknown, []string{"could not look: " + f.Detail}, f.Root
}

// follow goes the client's way to the challenge.
func (w *signInWalk) follow() {
	d := w.discover()
	w.at = facts.Endpoint{Host: d.Host, Port: d.Port}
	w.connect()
	w.certificate(w.handshake())
	w.register()
	w.add(SignInStep{
		What: "authenticate", Asked: "REGISTER with the answer to the challenge", Outcome: StepNotTried,
		NotTried: "no test account was given; this version goes as far as the challenge",
	})
}

// discover is the client's questions to DNS, and where the host that wins leads.
func (w *signInWalk) discover() facts.DiscoveryWalk {
	q := facts.DiscoveryQuestion{Domain: w.domain, View: facts.Inside}
	d, err := facts.Discovery.Get(w.r, q)
	st := SignInStep{What: "find the server in DNS", Asked: "the SRV records of " + w.domain + ", or else its hosts", Outcome: StepOK, sees: seesUnavailable}
	st.rests = append(d.Cites(), facts.Discovery.Key(q))
	for _, s := range d.SRV {
		st.answers = append(st.answers, s.Name+": "+srvAnswer(s)+wins(d, s.Name))
		if s.Name == d.By {
			w.by = "nslookup -type=srv " + s.Name + "."
		}
	}
	for _, h := range d.Hosts {
		st.answers = append(st.answers, h.Name+": "+cmp.Or(strings.Join(h.Addresses, ", "), "leads nowhere")+wins(d, h.Name))
		if h.Name == d.By {
			w.by = "nslookup " + h.Name + "."
		}
	}
	if d.Host == "" {
		st.Outcome = StepStops
	}
	st.looked(err)
	w.add(st)

	st = SignInStep{What: "find its address", Asked: d.Host, Outcome: StepOK, sees: seesUnavailable, answers: []string{strings.Join(d.Addresses, ", ")}}
	if len(d.Addresses) == 0 && d.Host != "" {
		a, err := facts.Addresses.Get(w.r, facts.HostQuestion{Host: d.Host, View: facts.Inside})
		st.Outcome, st.answers = StepStops, []string{a.Absence()}
		st.looked(err)
	}
	for _, typ := range []string{"A", "AAAA"} {
		st.rests = append(st.rests, facts.DNSLookup.Key(facts.LookupQuestion{Name: d.Host, Type: typ, View: facts.Inside}))
	}
	w.add(st)
	return d
}

// wins marks the record that decides.
func wins(d facts.DiscoveryWalk, name string) string {
	if d.By != name {
		return ""
	}
	return ", wins"
}

func srvAnswer(s facts.SRVStep) string {
	var out []string
	for _, r := range s.Records {
		out = append(out, cmp.Or(r.Target, ".")+" port "+strconv.Itoa(r.Port))
	}
	return cmp.Or(strings.Join(out, ", "), "no record")
}

// ask reads a fact of the endpoint that the client goes to. A recording of a scan may hold it under another name of the same
// server alone; e is the one that was read.
func ask[T any](w *signInWalk, get func(e facts.Endpoint) (T, error)) (v T, e facts.Endpoint, err error) {
	v, err = get(w.at)
	var f *evidence.Failure
	if !errors.As(err, &f) || f.Reason != evidence.NotRecorded {
		return v, w.at, err
	}
	for _, e := range peers(w.r, w.at) {
		if other, err := get(e); err == nil {
			return other, e, nil
		}
	}
	return v, w.at, err
}

// peers are the endpoints of the OCS servers that have the address of another endpoint, under their own names.
func peers(r *evidence.Reader, at facts.Endpoint) []facts.Endpoint {
	if at.Host == "" {
		return nil
	}
	own, err := facts.Addresses.Get(r, facts.HostQuestion{Host: at.Host, View: facts.Inside})
	if err != nil {
		return nil
	}
	names, err := facts.ServerNames.Get(r, evidence.None{})
	if err != nil {
		return nil
	}
	var out []facts.Endpoint
	leads, errs := facts.AddressesOf(r, names.List, facts.Inside)
	for i, name := range names.List {
		if errs[i] == nil && name != at.Host && facts.Leads(leads[i].Addresses, own.Addresses) {
			out = append(out, facts.Endpoint{Host: name, Port: at.Port})
		}
	}
	return out
}

// asked names an endpoint, and the other name under which it was read.
func (w *signInWalk) asked(e facts.Endpoint) string {
	if e == w.at {
		return e.String()
	}
	return w.at.String() + ", recorded as " + e.String()
}

func (w *signInWalk) connect() {
	st := SignInStep{What: "connect", Asked: "TCP " + w.at.String(), Outcome: StepOK, sees: seesUnavailable}
	if w.end == "" {
		c, e, err := ask(w, func(e facts.Endpoint) (facts.Connect, error) { return facts.NetConnect.Get(w.r, e) })
		st.Asked, st.answers, st.rests = "TCP "+w.asked(e), []string{c.Result}, []evidence.Key{facts.NetConnect.Key(e)}
		if n := len(c.Addresses); n > 0 {
			st.answers[0] += " at " + c.Addresses[n-1]
		}
		if c.Result != facts.Connected {
			st.Outcome, st.silent = StepStops, c.Result != facts.Refused
		}
		st.looked(err)
	}
	w.add(st)
}

func (w *signInWalk) handshake() facts.Handshake {
	var h facts.Handshake
	st := SignInStep{What: "secure the connection", Asked: "TLS handshake with " + w.at.String(), Outcome: StepOK}
	if w.end == "" {
		var e facts.Endpoint
		var err error
		h, e, err = ask(w, func(e facts.Endpoint) (facts.Handshake, error) { return facts.TLSHandshake.Get(w.r, e) })
		st.Asked, st.rests = "TLS handshake with "+w.asked(e), []evidence.Key{facts.TLSHandshake.Key(e)}
		st.answers = []string{h.Version + ", " + h.CipherSuite}
		if !h.Completed {
			st.Outcome, st.answers = StepStops, []string{h.Problem()}
		}
		st.looked(err)
	}
	w.add(st)
	return h
}

// certificate compares name and dates. Whether the root is trusted takes the chain, which the checks judge.
func (w *signInWalk) certificate(h facts.Handshake) {
	st := SignInStep{What: "verify the certificate", Asked: "is it for " + w.at.Host + ", in date, and from a trusted root", Outcome: StepOK, sees: seesCertificate}
	leaf, ok := h.Leaf()
	st.answers = []string{"it is for " + leaf.Names()}
	switch {
	case !ok:
		st.Outcome, st.answers = StepStops, []string{"no certificate that can be read"}
	case !leaf.Carries(w.at.Host):
		st.Outcome = StepStops
		st.answers[0] += " and not for " + w.at.Host
	}
	for _, c := range h.Chain {
		name, from, until := c.Subject, c.NotBefore.UTC().Format(dateForm), c.NotAfter.UTC().Format(dateForm)
		switch {
		case c.Problem != "" || c.SelfSigned && c.Thumbprint != leaf.Thumbprint: // of a root that is sent along, the client takes its own copy
		case w.now.After(c.NotAfter):
			st.Outcome, st.answers = StepStops, append(st.answers, name+" expired on "+until)
		case w.now.Before(c.NotBefore):
			st.Outcome, st.answers = StepStops, append(st.answers, name+" is not valid before "+from)
		case c.Thumbprint == leaf.Thumbprint:
			st.answers = append(st.answers, "valid until "+until)
		}
	}
	w.add(st)
}

func (w *signInWalk) register() {
	st := SignInStep{What: "ask to register", Asked: "REGISTER sip:" + w.domain + " without credentials", Outcome: StepOK, sees: seesIncorrect}
	if w.end == "" {
		a, e, err := ask(w, func(e facts.Endpoint) (facts.SIPAnswer, error) {
			return facts.Register.Get(w.r, facts.RegisterQuestion{Endpoint: e, Domain: w.domain})
		})
		st.rests = []evidence.Key{facts.Register.Key(facts.RegisterQuestion{Endpoint: e, Domain: w.domain})}
		if e != w.at {
			st.Asked += ", recorded as " + e.String()
		}
		st.answer(a)
		st.looked(err)
	}
	w.add(st)
}

// answer judges the server's answer to a REGISTER without credentials.
func (st *SignInStep) answer(a facts.SIPAnswer) {
	st.answers = []string{strings.TrimSpace(strconv.Itoa(a.Status) + " " + a.Phrase)}
	for _, c := range a.Challenges {
		st.answers = append(st.answers, strings.TrimSpace(c.Scheme+" "+c.Parameters["targetname"]))
	}
	diagnostics := cmp.Or(a.Header("ms-diagnostics"), a.Header("ms-diagnostics-public"))
	if diagnostics != "" {
		st.answers = append(st.answers, "ms-diagnostics "+diagnostics)
	}
	switch {
	case a.NotSIP:
		st.Outcome, st.answers, st.sees = StepStops, []string{"what answers does not speak SIP"}, ""
	case a.Status == 200:
	case a.Status == 401 || a.Status == 407:
		if !a.Offers("NTLM") && !a.Offers("Kerberos") {
			st.Outcome = StepStops
		}
	case a.Status/100 == 3:
		st.Outcome = StepUnknown
		st.answers = append(st.answers, "it sends the client on to "+cmp.Or(a.Header("Contact"), "nowhere")+", which is not followed")
	default:
		st.Outcome = StepStops
		switch {
		case strings.HasPrefix(diagnostics, "1700"): // 17000 to 17004: the Client Version Filter ([MS-OCER] section 8.16)
			st.sees = seesVersion
		case a.Status != 403 && a.Status != 404:
			st.sees = ""
		}
	}
}

// account is what the server will find of the user in AD once he has shown who he is. It does not hang on the way there.
func (w *signInWalk) account() SignInStep {
	key := facts.AllUsers.Key(evidence.None{})
	st := SignInStep{What: "be found by the server", Asked: w.URI + " in Active Directory", Outcome: StepOK, sees: seesIncorrect, rests: []evidence.Key{key}}
	if w.Vantage.User == "" {
		st.Outcome, st.NotTried, st.rests = StepNotTried, "no account to read AD with was given (--user)", nil
		return st
	}
	table, err := facts.AllUsers.Get(w.r, evidence.None{})
	if err != nil {
		st.looked(err)
		return st
	}
	var is []facts.User
	for _, u := range table.Users {
		if strings.EqualFold(u.URI, w.URI) {
			is = append(is, u)
		}
	}
	switch {
	case len(is) == 0:
		st.Outcome, st.answers = StepStops, []string{"no account has this address"}
		return st
	case table.Hidden():
		st.Outcome, st.NotTried = StepNotTried, "the account given may not read who is enabled for OCS: it has to be a member of RTCUniversalReadOnlyAdmins"
		return st
	case len(is) > 1:
		st.Outcome = StepStops
	}
	pools, poolsErr := facts.Pools.Get(w.r, evidence.None{})
	for _, u := range is {
		text := table.DN(u)
		switch home := table.HomeOf(u); {
		case u.Enabled == nil || !*u.Enabled:
			st.Outcome = StepStops
			text += ", not enabled for OCS"
		case home == "":
			st.Outcome = StepStops
			text += ", enabled, without a home server"
		default:
			text += ", enabled, at home on " + home
			for _, p := range pools.Pools {
				if poolsErr == nil && (strings.EqualFold(p.Service, home) || strings.EqualFold(p.DN, home)) {
					text = strings.TrimSuffix(text, home) + p.FQDN
				}
			}
		}
		st.answers = append(st.answers, text)
	}
	return st
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
	j.account()
	end := ""
	for i := range s.Steps {
		st := &s.Steps[i]
		if end != "" && i <= stepChallenge {
			*st = SignInStep{N: st.N, What: st.What, Asked: st.Asked, Outcome: StepNotTried, NotTried: end}
		}
		end = cmp.Or(end, ends(st.N, st.Outcome))
		st.Answer = strings.Join(st.answers, "; ")
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
		s.Reach, s.Next = s.unexplained(), s.again+" -v"
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
	case s.StoppedAt-1 == stepAccount:
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

// signInJudge finds what the checks say of the steps.
type signInJudge struct {
	*SignIn
	out *engine.Outcome
	// servers are the endpoint that the client goes to, under all its names.
	servers []facts.Endpoint
}

// cites are the facts by which checks judge what a step sees.
func (j *signInJudge) cites(step int) []evidence.Key {
	var keys []evidence.Key
	for _, e := range j.servers {
		switch step {
		case stepConnect:
			keys = append(keys, facts.NetConnect.Key(e))
		case stepHandshake, stepCertificate:
			keys = append(keys, facts.TLSHandshake.Key(e))
		case stepRegister:
			keys = append(keys, facts.Register.Key(facts.RegisterQuestion{Endpoint: e, Domain: strings.SplitN(j.URI, "@", 2)[1]}))
		}
	}
	return append(keys, j.Steps[step].rests...)
}

// findings are those that fit and cite one of the facts, the most severe first.
func (j *signInJudge) findings(keys []evidence.Key, fits func(*checks.Finding) bool) []*checks.Finding {
	var list []*checks.Finding
	for _, r := range j.out.Results {
		for _, f := range r.Findings {
			if fits(f) && slices.ContainsFunc(f.Cites, func(k evidence.Key) bool { return slices.Contains(keys, k) }) {
				list = append(list, f)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *checks.Finding) int { return cmp.Compare(b.Message.Severity, a.Message.Severity) })
	return list
}

// certificate lets what the checks find of the certificate stop the client: a critical finding means that users cannot sign in.
func (j *signInJudge) certificate() {
	st := &j.Steps[stepCertificate]
	if st.Outcome == StepNotTried {
		return
	}
	fatal := j.findings(j.cites(stepCertificate), func(f *checks.Finding) bool {
		return f.Check.Family() == "pki" && f.Message.Severity == checks.Critical
	})
	if len(fatal) > 0 && st.Outcome == StepOK {
		st.Outcome, st.answers = StepStops, append(st.answers, fatal[0].Text())
	}
	for _, r := range j.out.Results {
		about := slices.ContainsFunc(j.servers, func(e facts.Endpoint) bool { return e.Host == r.Subject.Name })
		switch {
		case r.Check.ID != "pki/chain-trusted" || !about && r.Subject.Name != engine.NotDiscovered:
		case r.Status == engine.StatusPass:
			st.answers = append(st.answers, "its chain leads to a trusted root")
		case r.Missing != nil:
			st.answers = append(st.answers, "whether its root is trusted was not judged: "+r.Missing.Detail)
		}
	}
}

// account lets what the checks find of the user stop him: any error, and an account that cannot log on.
func (j *signInJudge) account() {
	st := &j.Steps[stepAccount]
	if st.Outcome != StepOK {
		return
	}
	for _, r := range j.out.Results {
		for _, f := range r.Findings {
			if j.stopsUser(f) {
				st.Outcome, st.answers = StepStops, append(st.answers, f.Text())
			}
		}
	}
}

func (j *signInJudge) stopsUser(f *checks.Finding) bool {
	return f.Subject.Scope == checks.ScopeUser && f.Subject.Name == j.URI &&
		(f.Message.Severity >= checks.Error || f.Check.ID == "account/user-account-usable" && f.Message.Severity == checks.Warning)
}

// root is the root of the finding that explains where the walk ends: one that cites what that step saw, or else what an earlier
// one did, for DNS may send the client to the wrong place.
func (j *signInJudge) root() *checks.Finding {
	stops := func(f *checks.Finding) bool { return f.Message.Severity >= checks.Error }
	end := j.StoppedAt - 1
	if end == stepAccount {
		for _, f := range j.out.Roots {
			if j.stopsUser(f) {
				return f
			}
		}
		if list := j.findings(j.Steps[end].rests, j.stopsUser); len(list) > 0 {
			return j.out.Root(list[0])
		}
		return nil
	}
	if end < 0 {
		end = slices.IndexFunc(j.Steps, func(st SignInStep) bool { return st.Outcome == StepUnknown })
		for _, m := range j.out.Missing {
			if end >= 0 && m.Under != nil && m.Failure.Root == j.Steps[end].missing {
				return j.out.Root(m.Under)
			}
		}
		if end == stepAccount {
			return nil
		}
	}
	for ; end >= 0; end-- {
		if list := j.findings(j.cites(end), stops); len(list) > 0 {
			return j.out.Root(list[0])
		}
	}
	return nil
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
