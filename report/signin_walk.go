package report

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// signInWalk makes the steps from facts.
type signInWalk struct {
	*SignIn
	r      *evidence.Reader
	domain string
	// profile is the client, which may do without TLS where tcp is set.
	profile facts.Profile
	tcp     bool
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
	way := w.discover()
	w.at, w.plain = facts.Endpoint{Host: way.Host, Port: way.Port}, way.TCP
	w.address(way)
	w.connect()
	w.certificate(w.handshake())
	w.register()
	for _, st := range accountSteps {
		w.Steps = append(w.Steps, SignInStep{What: st[0], Asked: st[1], Outcome: StepNotTried})
	}
}

// accountSteps take an account to sign in with.
var accountSteps = [][2]string{
	{"authenticate", "REGISTER with the answer to the challenge"},
	{"be redirected to the home pool", "where the server sends the account on"},
	{"unregister", "REGISTER that expires at once"},
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
	switch {
	case w.plain:
		st.Asked, st.answers = "nothing", []string{"the client speaks SIP over TCP without TLS here"}
	case w.end == "":
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
	var ok bool
	if st.answers, ok = certificateSays(h, w.at.Host, w.now); w.plain {
		st.Asked, st.answers = "nothing", []string{"without TLS there is none"}
	} else if !ok {
		st.Outcome = StepStops
	}
	w.add(st)
}

// certificateSays is what a client reads in what a server presents when it asked for that host; ok is false where it stops there.
func certificateSays(h facts.Handshake, host string, now time.Time) (says []string, ok bool) {
	leaf, ok := h.Leaf()
	says = []string{"it is for " + leaf.Names()}
	switch {
	case !ok:
		says = []string{"no certificate that can be read"}
	case !leaf.Carries(host):
		ok = false
		says[0] += " and not for " + host
	}
	for _, c := range h.Chain {
		name, from, until := c.Subject, c.NotBefore.UTC().Format(dateForm), c.NotAfter.UTC().Format(dateForm)
		switch {
		case c.Problem != "" || c.SelfSigned && c.Thumbprint != leaf.Thumbprint: // of a root that is sent along, the client takes its own copy
		case now.After(c.NotAfter):
			ok, says = false, append(says, name+" expired on "+until)
		case now.Before(c.NotBefore):
			ok, says = false, append(says, name+" is not valid before "+from)
		case c.Thumbprint == leaf.Thumbprint:
			says = append(says, "valid until "+until)
		}
	}
	return says, ok
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
