package report

import (
	"cmp"
	"crypto/x509"
	"slices"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// question asks where the client goes in a view. That of the default client is the one that the checks ask.
func (w *signInWalk) question(view string) facts.DiscoveryQuestion {
	q := facts.DiscoveryQuestion{Domain: w.domain, View: view, TCP: w.tcp}
	if w.profile.Name != facts.Profiles[0].Name {
		q.Profile = w.profile.Name
	}
	return q
}

// discover is the client's questions to DNS, inside and, where a resolver there was given, outside; it returns the server that the
// client inside stays with.
func (w *signInWalk) discover() facts.Way {
	var inside, outside facts.DiscoveryWalk
	var err, outsideErr error
	seen := slices.ContainsFunc(w.Vantage.DNS, func(s string) bool { return strings.HasPrefix(s, facts.Outside) })
	evidence.Parallel(func() {
		inside, err = facts.Discovery.Get(w.r, w.question(facts.Inside))
	}, func() {
		if seen {
			outside, outsideErr = facts.Discovery.Get(w.r, w.question(facts.Outside))
		}
	})
	st := SignInStep{What: "find the server in DNS", Asked: "the SRV records of " + w.domain + ", or else its hosts", Outcome: StepOK, sees: seesUnavailable}
	st.rests = append(inside.Cites(), facts.Discovery.Key(w.question(facts.Inside)))
	way, passed := w.choose(inside)
	switch {
	case inside.Configured:
		st.Asked, st.answers = "nothing", []string{"the client is configured by hand with " + facts.JoinHostPort(way.Host, way.Port)}
		w.by = "nslookup " + way.Host + "."
	default:
		st.answers = w.names(inside, facts.Inside, way, passed)
		w.by = "nslookup " + way.By + "."
		if slices.ContainsFunc(inside.SRV, func(s facts.SRVStep) bool { return s.Name == way.By }) {
			w.by = "nslookup -type=srv " + way.By + "."
		}
		st.answers = append(st.answers, w.strict(inside)...)
	}
	if way.Host == "" {
		st.Outcome, w.by = StepStops, ""
	}
	if seen && !inside.Configured {
		st.answers = append(st.answers, w.outside(outside, outsideErr)...)
		st.answers = append(st.answers, "a client inside goes to "+destination(way)+", one outside to "+destination(outside.Way))
		if outsideErr != nil {
			st.answers = st.answers[:len(st.answers)-1]
		}
	}
	if scope, failed := facts.ConfigScope.Get(w.r, evidence.None{}); err != nil && failed == nil && scope.Manual != "" {
		st.Asked = "the address of " + scope.Manual + ", with which the client is configured by hand"
	}
	st.looked(err)
	w.add(st)
	return way
}

// outside is what a client outside meets in DNS. What comes after DNS there cannot be walked from inside.
func (w *signInWalk) outside(d facts.DiscoveryWalk, err error) []string {
	if err != nil {
		st := SignInStep{}
		st.looked(err)
		return []string{"outside: " + cmp.Or(strings.Join(st.answers, "; "), st.NotTried)}
	}
	var out []string
	for _, a := range w.names(d, facts.Outside, d.Way, nil) {
		out = append(out, "outside: "+a)
	}
	return out
}

func destination(way facts.Way) string {
	if way.Host == "" {
		return "nowhere"
	}
	return way.Host + " port " + strconv.Itoa(way.Port) + " at " + cmp.Or(strings.Join(way.Addresses, ", "), "no address")
}

// strict says that the client may refuse the name of the server. The documents disagree, so that the walk goes on.
func (w *signInWalk) strict(d facts.DiscoveryWalk) []string {
	if d.Host == "" || d.TCP || d.By == d.Host || !strings.HasPrefix(w.profile.Name, "communicator") || facts.StrictlyIn(d.Host, w.domain) {
		return nil
	}
	return []string{d.Host + " is neither " + w.domain + " nor directly below it: the client may refuse it unless its policy sets DisableStrictDNSNaming"}
}

// choose is the server that the client stays with, and why it left those before it behind, by the record that led there.
func (w *signInWalk) choose(d facts.DiscoveryWalk) (facts.Way, map[facts.Endpoint]string) {
	passed := map[facts.Endpoint]string{}
	if !w.profile.TriesOn {
		return d.Way, passed
	}
	for _, way := range d.Ways {
		why := w.obstacle(way)
		if why == "" {
			return way, passed
		}
		passed[facts.Endpoint{Host: way.By, Port: way.Port}] = why
	}
	return d.Way, passed // none will do: the first shows what is wrong
}

// obstacle is why a client that tries on goes on to the next server; empty where it stays, or where that could not be looked at.
func (w *signInWalk) obstacle(way facts.Way) string {
	e := facts.Endpoint{Host: way.Host, Port: way.Port}
	if way.Host == "" {
		return "it offers no service"
	}
	if len(way.Addresses) == 0 {
		return "it leads nowhere"
	}
	c, err := facts.NetConnect.Get(w.r, e)
	switch {
	case err != nil:
		return ""
	case c.Result != facts.Connected:
		return c.Result
	case way.TCP:
		return ""
	}
	h, err := facts.TLSHandshake.Get(w.r, e)
	switch {
	case err != nil:
		return ""
	case !h.Completed:
		return h.Problem()
	}
	if says, ok := certificateSays(h, way.Host, w.now); !ok {
		return "its certificate: " + strings.Join(says, "; ")
	}
	if anchors, err := facts.Anchors.Get(w.r, evidence.None{}); err == nil && len(anchors.Anchors) > 0 && !issuedBelow(h, anchors) {
		return "its certificate comes from no root that is known here"
	}
	return ""
}

// issuedBelow tells whether what a server presents names a known root as its issuer. Whether the chain holds is for the checks to judge.
func issuedBelow(h facts.Handshake, anchors facts.AnchorList) bool {
	roots := map[string]bool{}
	for _, a := range anchors.Anchors {
		if c, err := x509.ParseCertificate(a.DER); err == nil {
			roots[string(c.RawSubject)] = true
		}
	}
	return slices.ContainsFunc(h.Chain, func(c facts.Certificate) bool {
		parsed, err := x509.ParseCertificate(c.DER)
		return err == nil && roots[string(parsed.RawIssuer)]
	})
}

// names are the names that were asked for with what came back, and those that exist and lead no client there.
func (w *signInWalk) names(d facts.DiscoveryWalk, view string, way facts.Way, passed map[facts.Endpoint]string) []string {
	var out []string
	for _, h := range d.Before {
		out = append(out, h.Name+": "+addressesOr(h.Addresses, "leads nowhere"))
	}
	// Hosts are asked for one after the other, and SRV records too by a client that tries on: none after the one that will do.
	over := false
	say := func(name, answer string, exists, inTurn bool, ports ...int) {
		switch {
		case over && (!exists || name == way.Host):
			return
		case name == way.By:
			answer += ", wins"
			over = inTurn && passed[facts.Endpoint{Host: name, Port: way.Port}] == ""
		case over || exists && !w.profile.TriesOn:
			answer += ", never reached"
		}
		for _, port := range ports {
			if why := passed[facts.Endpoint{Host: name, Port: port}]; why != "" {
				answer += ", port " + strconv.Itoa(port) + " passed over: " + why
			}
		}
		out = append(out, name+": "+answer)
	}
	for _, s := range d.SRV {
		var ports []int
		if len(s.Records) > 0 {
			ports = []int{s.Records[0].Port}
		}
		say(s.Name, srvAnswer(s), len(s.Records) > 0, w.profile.TriesOn, ports...)
	}
	for _, h := range d.Hosts {
		var ports []int
		for _, way := range d.Ways {
			if way.By == h.Name {
				ports = append(ports, way.Port)
			}
		}
		say(h.Name, addressesOr(h.Addresses, "leads nowhere"), len(h.Addresses) > 0, true, ports...)
	}
	return append(out, w.unasked(d, view)...)
}

// unasked are the records of sign-in that exist in a view and that this client does not ask for. What cannot be read of them is left
// out: the client does not need it either.
func (w *signInWalk) unasked(d facts.DiscoveryWalk, view string) []string {
	asked := map[string]bool{d.Host: true}
	for _, s := range d.SRV {
		asked[s.Name] = true
	}
	for _, h := range d.Hosts {
		asked[h.Name] = true
	}
	var srv []facts.LookupQuestion
	for _, service := range []string{facts.ServiceInternal, facts.ServiceInternalTCP, facts.ServiceTLS, facts.ServiceTCP} {
		if name := facts.SRVName(service, w.domain); !asked[name] {
			srv = append(srv, facts.LookupQuestion{Name: name, Type: "SRV", View: view})
		}
	}
	var hosts []string
	for _, label := range []string{"sipinternal.", "sip.", "sipexternal."} {
		if name := label + w.domain; !asked[name] {
			hosts = append(hosts, name)
		}
	}
	var out []string
	lookups, errs := evidence.GetAll(w.r, facts.DNSLookup, srv)
	for i, q := range srv {
		if errs[i] != nil || len(lookups[i].Records) == 0 {
			continue
		}
		why := w.profile.Client + " does not ask for it"
		if service, _ := strings.CutSuffix(q.Name, "."+w.domain); w.profile.Asks(service) {
			why += " where SIP is allowed over TLS alone"
		}
		out = append(out, q.Name+": "+srvAnswer(facts.SRVStep{Records: lookups[i].Records})+", never reached: "+why)
	}
	found, errs := facts.AddressesOf(w.r, hosts, view)
	for i, name := range hosts {
		if errs[i] == nil && len(found[i].Addresses) > 0 {
			out = append(out, name+": "+strings.Join(found[i].Addresses, ", ")+", never reached: there is an SRV record")
		}
	}
	return out
}

// address is where the host that wins leads.
func (w *signInWalk) address(way facts.Way) {
	st := SignInStep{What: "find its address", Asked: way.Host, Outcome: StepOK, sees: seesUnavailable, answers: []string{strings.Join(way.Addresses, ", ")}}
	if len(way.Addresses) == 0 && way.Host != "" {
		a, err := facts.Addresses.Get(w.r, facts.HostQuestion{Host: way.Host, View: facts.Inside})
		st.Outcome, st.answers = StepStops, []string{a.Absence()}
		st.looked(err)
	}
	for _, typ := range []string{"A", "AAAA"} {
		st.rests = append(st.rests, facts.DNSLookup.Key(facts.LookupQuestion{Name: way.Host, Type: typ, View: facts.Inside}))
	}
	w.add(st)
}

func addressesOr(addresses []string, none string) string {
	return cmp.Or(strings.Join(addresses, ", "), none)
}

func srvAnswer(s facts.SRVStep) string {
	var out []string
	for _, r := range s.Records {
		out = append(out, cmp.Or(r.Target, ".")+" port "+strconv.Itoa(r.Port))
	}
	return cmp.Or(strings.Join(out, ", "), "no record")
}
