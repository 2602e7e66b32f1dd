package report

import (
	"cmp"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

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
			keys = append(keys, facts.Register.Key(facts.RegisterQuestion{Endpoint: e, Domain: strings.SplitN(j.URI, "@", 2)[1], TCP: j.plain}))
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
	if st.Outcome == StepNotTried || j.plain {
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

// judgeAccount lets what the checks find of the user stop him: any error, and an account that cannot log on.
func (j *signInJudge) judgeAccount() {
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
		return j.ofTheUser()
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
		if end == stepAuthenticate || end == stepRedirect || end == stepUnregister { // the checks have no account to sign in with
			return j.ofTheUser()
		}
		if list := j.findings(j.cites(end), stops); len(list) > 0 {
			return j.out.Root(list[0])
		}
	}
	return nil
}

// ofTheUser is the root of what the checks find of the user; nil for nothing.
func (j *signInJudge) ofTheUser() *checks.Finding {
	for _, f := range j.out.Roots {
		if j.stopsUser(f) {
			return f
		}
	}
	if list := j.findings(j.Steps[stepAccount].rests, j.stopsUser); len(list) > 0 {
		return j.out.Root(list[0])
	}
	return nil
}
