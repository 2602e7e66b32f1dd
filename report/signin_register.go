package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// register asks to register, and follows where that is redirected to.
func (w *signInWalk) register() {
	st := SignInStep{What: "ask to register", Asked: "REGISTER sip:" + w.domain + " without credentials", Outcome: StepOK, sees: seesIncorrect}
	if w.end == "" {
		question := func(e facts.Endpoint) facts.RegisterQuestion {
			return facts.RegisterQuestion{Endpoint: e, Domain: w.domain, TCP: w.plain}
		}
		d, e, err := ask(w, func(e facts.Endpoint) (facts.Redirection, error) { return facts.Redirected.Get(w.r, question(e)) })
		st.rests = []evidence.Key{facts.Register.Key(question(e)), facts.Redirected.Key(question(e))}
		if e != w.at {
			st.Asked += ", recorded as " + e.String()
		}
		for i, h := range d.Hops {
			to := d.End
			if i+1 < len(d.Hops) {
				to = d.Hops[i+1]
			}
			st.answers = append(st.answers, h.Endpoint.String()+" sends the client on to "+endpointWords(to.Endpoint))
			if d.ProblemKind == "" || i+1 < len(d.Hops) {
				presented(w.r, w.now, &st, to.Endpoint, to.TCP)
			}
		}
		switch {
		case d.Problem != "":
			st.Outcome, st.sees, st.answers = StepStops, seesUnavailable, append(st.answers, d.Problem)
		case st.Outcome == StepOK:
			st.answer(d.Answer, w.means)
		}
		st.looked(err)
	}
	w.add(st)
}

// endpointWords names where a redirect leads.
func endpointWords(e facts.Endpoint) string {
	if e.Host == "" {
		return "nowhere"
	}
	return e.String()
}

// presented adds what a server shows to which the client was sent: its certificate is for its own name, not for the one asked first.
func presented(r *evidence.Reader, now time.Time, st *SignInStep, at facts.Endpoint, tcp bool) {
	if tcp || at.Host == "" {
		return
	}
	h, err := facts.TLSHandshake.Get(r, at)
	if err != nil {
		return // what could not be looked at is the answer's own failure
	}
	says, ok := certificateSays(h, at.Host, now)
	st.answers = append(st.answers, "the certificate of "+at.Host+": "+strings.Join(says, ", "))
	if !ok {
		st.Outcome, st.sees = StepStops, seesCertificate
	}
}

// answer judges the server's answer to a REGISTER without credentials.
func (st *SignInStep) answer(a facts.SIPAnswer, means func(string) string) {
	st.answers = append(st.answers, statusWords(a.Status, a.Phrase))
	for _, c := range a.Challenges {
		st.answers = append(st.answers, strings.TrimSpace(c.Scheme+" "+c.Parameters["targetname"]))
	}
	if d := a.Diagnostics(); d != "" {
		st.answers = append(st.answers, diagnosticsWords(d, a.DiagnosticsID(), means))
	}
	switch {
	case a.NotSIP:
		st.Outcome, st.answers, st.sees = StepStops, []string{"what answers does not speak SIP"}, ""
	case a.Status == 200:
	case a.Status == 401 || a.Status == 407:
		if !a.Offers("NTLM") && !a.Offers("Kerberos") {
			st.Outcome = StepStops
		}
	default:
		st.refused(a.Status, a.DiagnosticsID())
	}
}

func statusWords(status int, phrase string) string {
	return strings.TrimSpace(fmt.Sprint(status, " ", phrase))
}

// refused stops at a refusal with a status and a number of ms-diagnostics.
func (st *SignInStep) refused(status int, id string) {
	st.Outcome = StepStops
	switch {
	case strings.HasPrefix(id, "1700"): // 17000 to 17004: the Client Version Filter ([MS-OCER] section 8.16)
		st.sees = seesVersion
	case !slices.Contains([]int{401, 403, 404, 407}, status):
		st.sees = ""
	}
}

// signIn lets the test account sign in and out again, where everything before that is well.
func (j *signInJudge) signIn(store *evidence.Store) {
	steps := j.Steps[stepAuthenticate : stepUnregister+1]
	why := ""
	for i, st := range j.Steps[:stepAuthenticate] {
		why = cmp.Or(why, ends(i+1, st.Outcome))
	}
	if j.account == "" {
		why = cmp.Or(why, "no test account was given (--sip-user)")
	}
	if why != "" {
		for i := range steps {
			steps[i].NotTried = why
		}
		return
	}
	q, reader := facts.SignInQuestion{Endpoint: j.at, URI: j.URI, TCP: j.plain}, store.NewReader(facts.All)
	r, err := facts.SignIn.Get(reader, q)
	key := facts.SignIn.Key(q)
	first, last := &steps[0], r.Last()
	first.Outcome, first.sees, first.rests = StepOK, seesIncorrect, []evidence.Key{key}
	first.Asked = "REGISTER as " + j.account + ", once"
	var f *evidence.Failure
	if errors.As(err, &f) {
		if first.looked(err); f.Reason == evidence.Denied { // by a domain controller, before the server was asked
			first.Outcome, first.answers, first.missing = StepStops, []string{f.Detail}, evidence.Key{}
		}
		return
	}
	deciding := r.Hops[0]
	first.answers = hopWords(deciding, j.means)
	redirected := len(r.Hops) > 1 || deciding.Status == 301 || deciding.Status == 302
	switch {
	case !redirected && r.SignedIn:
	case !redirected && r.Problem != "":
		first.Outcome, first.answers, first.sees = StepStops, append(first.answers, r.Problem), ""
	case !redirected:
		first.refused(deciding.Status, deciding.DiagnosticsID())
		if deciding.Status == 401 && deciding.DiagnosticsID() == "1000" {
			first.answers = append(first.answers, "most often the account's name or password is wrong; that counts towards its lockout, so look before the next attempt")
		}
		j.explain = explainCommand(deciding)
		return
	}
	second := &steps[1]
	second.Outcome, second.answers, second.rests, second.sees = StepOK, []string{"it is not sent on: " + deciding.Endpoint.Host + " is of its home pool"}, []evidence.Key{key}, seesIncorrect
	if redirected {
		second.answers = nil
		for _, h := range r.Hops[1:] {
			presented(reader, j.now, second, h.Endpoint, h.TCP)
			second.answers = append(second.answers, h.Endpoint.String()+": "+strings.Join(hopWords(h, j.means), ", "))
		}
		switch {
		case r.Problem != "":
			second.Outcome, second.sees, second.answers = StepStops, seesUnavailable, append(second.answers, r.Problem)
			presented(reader, j.now, second, r.Next, r.NextTCP)
		case !r.SignedIn:
			second.refused(last.Status, last.DiagnosticsID())
			j.explain = explainCommand(last)
		}
	}
	third := &steps[2]
	switch {
	case r.Removed != "":
		third.Outcome, third.answers, third.rests = StepOK, []string{r.Removed + ", the registration is removed"}, []evidence.Key{key}
	case r.RemoveProblem != "":
		third.Outcome, third.rests = StepUnknown, []evidence.Key{key}
		third.answers = []string{"the registration may last for " + (time.Duration(r.Expires) * time.Second).String() + ": " + r.RemoveProblem}
	case r.SignedIn:
		third.NotTried = "the server asked for no proof of the account, so nothing was registered"
	}
}

// hopWords is what one server did with the account.
func hopWords(h facts.SignInHop, means func(string) string) []string {
	var out []string
	if h.Status > 0 {
		out = append(out, strings.TrimSpace(h.Scheme+" "+statusWords(h.Status, h.Phrase)))
	}
	switch h.Signature {
	case facts.SignatureRight:
		out = append(out, "signed by the server that knows the account")
	case facts.SignatureWrong, facts.SignatureMissing:
		out = append(out, "the server's signature is "+h.Signature)
	}
	if h.NoTicket != "" {
		out = append(out, "Kerberos gave no ticket: "+h.NoTicket)
	}
	if h.Diagnostics != "" {
		out = append(out, diagnosticsWords(h.Diagnostics, h.DiagnosticsID(), means))
	}
	return out
}

// diagnosticsWords are ms-diagnostics with what its number comes down to, where that is known.
func diagnosticsWords(diagnostics, id string, means func(string) string) string {
	text := "ms-diagnostics " + diagnostics
	if means == nil || id == "" || means(id) == "" {
		return text
	}
	return text + " (" + means(id) + ")"
}

// explainCommand explains the server's reason; empty where it gave none.
func explainCommand(h facts.SignInHop) string {
	if id := h.DiagnosticsID(); id != "" {
		return `ocsdoctor explain "ms-diagnostics ` + id + `"`
	}
	return ""
}
