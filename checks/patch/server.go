package patch

import (
	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// server is the question about the subject.
func server(p *checks.Pass) facts.ServerQuestion { return facts.ServerQuestion{FQDN: p.Subject.Name} }

// host is what every check of an update reads: the Windows of a server, OCS on it, and its updates.
type host struct {
	windows facts.Windows
	ocs     facts.Product
	updates facts.UpdateList
}

func readHost(p *checks.Pass) (host, error) {
	var h host
	var errs [3]error
	evidence.Parallel(
		func() { h.windows, errs[0] = facts.HostWindows.Get(p.Facts, server(p)) },
		func() { h.ocs, errs[1] = facts.HostOCS.Get(p.Facts, server(p)) },
		func() { h.updates, errs[2] = facts.HostUpdates.Get(p.Facts, server(p)) },
	)
	for _, err := range errs {
		if err != nil {
			return h, err
		}
	}
	return h, nil
}

// certificateDecoding is KB974571 on a server: the update, and whether what it changes is in effect.
func (h host) certificateDecoding() (facts.Update, facts.Effect) {
	u := h.updates.Find(facts.KB974571)
	return u, facts.EffectOf(u, h.windows)
}

// cites are the facts by which an update is judged.
func (h host) cites() []evidence.Key { return []evidence.Key{h.updates.Cite, h.windows.Cite} }

// args are what the fix of a finding about an update names.
func (h host) args(p *checks.Pass, u facts.Update) []checks.Arg {
	return []checks.Arg{
		checks.A("server", p.Subject.Name), checks.A("generation", h.windows.Generation()), checks.A("windows", h.windows.Name()),
		checks.A("package", u.Name), checks.A("state", u.State),
	}
}

// affected tells whether MS09-056 was made for a version of Windows on which OCS 2007 R2 runs.
func affected(w facts.Windows) bool {
	return w.Version == facts.Windows2003 || w.Version == facts.Windows2008 || w.Version == facts.Windows2008R2
}
