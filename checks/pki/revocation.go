package pki

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

// revocationNeeds are the kinds that examine reads.
var revocationNeeds = buildingNeeds

const (
	// maxSources bounds the addresses of one certificate that are asked; real ones have two or three.
	maxSources = 8
	// maxGET bounds the URL of an OCSP request in bytes; a longer one is posted (RFC 5019, section 5).
	maxGET = 255
)

// source is one address that may say whether a certificate was revoked, asked in one way.
type source struct {
	// url is as the certificate has it; name tells the way too.
	url, name string
	// delta tells that a delta is expected there, responder that it is one of OCSP, and web that it is fetched over http.
	delta, responder, web bool
	cites                 []evidence.Key
	// lists and response are authentic: the issuer's own, and about the certificate.
	lists    []*certs.CRL
	response *certs.OCSP
	// why says what keeps it from proving anything, and err that it could not be looked at; a usable source has neither.
	why string
	err error
}

func (s *source) usable() bool { return s.why == "" && s.err == nil }

// verdict is the source with what came of it.
func (s *source) verdict() string {
	switch {
	case s.err != nil:
		return s.name + " (" + detail(s.err) + ")"
	case s.why != "":
		return s.name + " (" + s.why + ")"
	}
	return s.name
}

func detail(err error) string {
	var f *evidence.Failure
	if errors.As(err, &f) {
		return f.Detail
	}
	return err.Error()
}

// examined is a certificate below the root of a trusted chain, with all that its sources say.
type examined struct {
	*member
	issuer  *x509.Certificate
	sources []*source
}

// examine asks all sources of each certificate below the root of the trusted chains. What could be read is returned beside the error.
func examine(p *checks.Pass) ([]*examined, error) {
	var chains []*chain
	var roads []*built
	var scope facts.Scope
	var chainErr, scopeErr error
	evidence.Parallel(
		func() { chains, roads, _, chainErr = buildAll(p) },
		func() { scope, scopeErr = facts.ConfigScope.Get(p.Facts, evidence.None{}) },
	)
	if scopeErr != nil || roads == nil {
		return nil, gravest(chainErr, scopeErr)
	}
	errs := []error{chainErr}
	issuers := map[string]*x509.Certificate{}
	below := func(c *chain) []*x509.Certificate {
		res := roads[slices.Index(chains, c)]
		if res.Problem != certs.Trusted {
			errs = append(errs, gravest(res.unread(), checks.NotApplicable("the certificate on "+strings.Join(c.endpoints, ", ")+" leads to no known trust anchor")))
			return nil
		}
		for i, cert := range res.Chain[:len(res.Chain)-1] {
			issuers[string(cert.Raw)] = res.Chain[i+1]
		}
		return res.Chain[min(1, len(res.Chain)-1) : len(res.Chain)-1]
	}
	var out []*examined
	var fns []func()
	for _, m := range members(chains, below) {
		issuer := issuers[string(m.certificate.Raw)]
		if issuer == nil { // not trusted, or itself an anchor
			continue
		}
		m.cites = distinct(append(m.cites, facts.Anchors.Key(evidence.None{})))
		e := &examined{member: m, issuer: issuer}
		out, fns = append(out, e), append(fns, func() { e.ask(p, scope) })
	}
	evidence.Parallel(fns...)
	err := gravest(errs...)
	if err == nil && len(out) == 0 {
		err = checks.NotApplicable("no certificate below a root is presented")
	}
	return out, err
}

// gravest picks the error that a result has to show: what was tried and failed, then what was not configured, then what does not apply.
func gravest(errs ...error) error {
	rank := func(err error) int {
		var f *evidence.Failure
		switch {
		case err == nil:
			return 3
		case !errors.As(err, &f):
			return 2
		case f.Reason == evidence.NotConfigured:
			return 1
		}
		return 0
	}
	return slices.MinFunc(append(slices.Clone(errs), nil), func(a, b error) int { return rank(a) - rank(b) })
}

// ask asks the sources side by side, and then those of the deltas that certificate and lists name.
func (e *examined) ask(p *checks.Pass, scope facts.Scope) {
	ways := []string{facts.Direct}
	if scope.Proxy != "" {
		ways = append(ways, facts.ByProxy)
	}
	run := func(urls []string, s source) {
		var fns []func()
		for i, u := range urls {
			s := s
			s.url, s.name = u, u
			scheme, _, _ := strings.Cut(u, ":")
			switch scheme = strings.ToLower(scheme); {
			case i == maxSources:
				s.err = evidence.FailAt(evidence.Protocol, "a certificate names more addresses than are asked", e.cites[0])
				e.sources = append(e.sources, &s)
			case i > maxSources:
			case scheme == "http":
				for _, way := range ways {
					s := s
					s.web = true
					if way == facts.ByProxy {
						s.name += " by the proxy"
					}
					e.sources, fns = append(e.sources, &s), append(fns, func() { e.fetch(p, &s, way) })
				}
			case scheme == "ldap" && !s.responder:
				e.sources, fns = append(e.sources, &s), append(fns, func() { e.search(p, &s, scope) })
			default:
				s.why, s.cites = "its scheme is neither http nor ldap", e.cites
				e.sources = append(e.sources, &s)
			}
		}
		evidence.Parallel(fns...)
	}
	run(crlAddresses(e.certificate), source{})
	deltas := certs.FreshestCRL(e.certificate)
	for _, s := range e.sources {
		for _, l := range s.lists {
			deltas = append(deltas, l.Freshest...)
		}
	}
	slices.Sort(deltas)
	deltas = slices.Compact(deltas)
	var responders []string
	for _, u := range e.certificate.OCSPServer {
		responders = append(responders, strings.ToValidUTF8(u, "\uFFFD"))
	}
	run(responders, source{responder: true})
	run(deltas, source{delta: true})
}

// fetch reads a source over http.
func (e *examined) fetch(p *checks.Pass, s *source, way string) {
	q := facts.HTTPQuestion{URL: s.url, Way: way}
	if s.responder {
		request, err := certs.OCSPRequest(e.certificate, e.issuer)
		if err != nil {
			s.why, s.cites = "its issuer's key cannot be named in a request", e.cites
			return
		}
		body := base64.StdEncoding.EncodeToString(request)
		if get := strings.TrimSuffix(s.url, "/") + "/" + url.QueryEscape(body); len(get) <= maxGET {
			q.URL = get
		} else {
			q.Body = body
		}
	}
	body, ok := s.get(p, q)
	switch {
	case !ok:
	case s.responder:
		var err error
		if s.response, err = certs.ParseOCSP(body, e.certificate, e.issuer, p.Now); err != nil {
			s.why = err.Error()
			return
		}
		s.why, _ = s.response.Fresh(p.Now)
		if s.response.Status == certs.Unknown {
			s.why = "it does not know the certificate"
		}
	default:
		e.read(s, [][]byte{body}, p.Now)
	}
}

// fail sorts a failure: that a name leads nowhere, or that a host refuses, is the source's own verdict; all else may lie between it and us.
func (s *source) fail(p *checks.Pass, err error) {
	var f *evidence.Failure
	if s.err = err; !errors.As(err, &f) || f.Reason != evidence.NoTarget {
		return
	}
	if f.Root.Kind == facts.NetConnect.Name {
		host, port := facts.SplitHostPort(f.Root.Query, 0)
		if c, err := facts.NetConnect.Get(p.Facts, facts.Endpoint{Host: host, Port: port}); err != nil || c.Result != facts.Refused {
			return
		}
	}
	p.Excuse(err, "it is the verdict on the address")
	s.why, s.err, s.cites = f.Detail, nil, append(s.cites, f.Root)
}

// search reads a source in the directory.
func (e *examined) search(p *checks.Pass, s *source, scope facts.Scope) {
	s.cites = e.cites
	if values, ok := s.inDirectory(p, scope, "certificateRevocationList", e.cites[0]); ok {
		e.read(s, values, p.Now)
	}
}

// inDirectory reads the values that an address in the directory leads to: "ldap:///DN?attribute?base?filter" (RFC 4516) means the reader's own
// domain controller. The key is the fact that holds the address. Where ok is false, the source says why.
func (s *source) inDirectory(p *checks.Pass, scope facts.Scope, attribute string, from evidence.Key) (values [][]byte, ok bool) {
	host, rest, _ := strings.Cut(strings.TrimPrefix(s.url[len("ldap:"):], "//"), "/")
	parts := strings.Split(rest, "?")
	dn, err := url.PathUnescape(parts[0])
	if len(parts) > 1 && parts[1] != "" {
		attribute, _, _ = strings.Cut(parts[1], ";") // ";binary" is how it is sent (RFC 4522), which AD does in any case
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"
	switch {
	case err != nil || dn == "" || strings.Trim(attribute, letters) != "":
		s.why = "it names no object and attribute"
		return nil, false
	case host != "":
		s.err = evidence.FailAt(evidence.NoTarget, "the LDAP server "+host+", which a certificate names, is not asked", from)
		return nil, false
	case scope.LDAPUser == "":
		s.err = evidence.FailAt(evidence.NotConfigured, "what a certificate points to in Active Directory is read with an account: give --user", facts.ConfigScope.Key(evidence.None{}))
		return nil, false
	}
	dir, err := facts.Directory.Get(p.Facts, evidence.None{})
	if err != nil {
		s.err = err
		return nil, false
	}
	if !strings.HasSuffix(strings.ToLower(dn), ","+strings.ToLower(dir.RootDN)) {
		s.err = evidence.FailAt(evidence.NoTarget, "a certificate points into the directory of another forest: "+dn, from)
		return nil, false
	}
	q := facts.NewSearch(dir.DC, dn, "base", "(objectClass=*)", attribute)
	s.cites = []evidence.Key{facts.Search.Key(q)}
	res, err := facts.Search.Get(p.Facts, q)
	switch {
	case err != nil:
		s.err = err
		return nil, false
	case len(res.Entries) == 0:
		s.why = "there is no such object in Active Directory"
		return nil, false
	}
	// Windows keeps a single zero byte in an attribute whose value was taken away.
	return slices.DeleteFunc(slices.Clone(res.Entries[0].Values(attribute)), func(v []byte) bool { return len(v) < 2 }), true
}

// read takes the lists of a source in. One usable list is enough.
func (e *examined) read(s *source, values [][]byte, now time.Time) {
	s.why = "it holds no revocation list"
	usable := false
	for _, v := range values {
		list, err := certs.ParseCRL(v)
		if err == nil {
			err = list.SignedBy(e.issuer)
		}
		switch {
		case err != nil:
			s.why = err.Error()
			continue
		case list.Delta != s.delta && list.Delta:
			s.why = "it is a delta, without its base"
		case list.Delta != s.delta:
			s.why = "it is no delta"
		case !list.Covers(e.certificate):
			s.why = "its scope does not hold the certificate"
		default:
			var ok bool
			s.why, ok = list.Usable(e.certificate, e.issuer, now)
			usable = usable || ok
			s.lists = append(s.lists, list)
		}
	}
	if usable {
		s.why = ""
	}
}

// decides tells whether one source at least, deltas aside, can prove that the certificate stands well.
func (e *examined) decides() bool {
	return slices.ContainsFunc(e.sources, func(s *source) bool { return !s.delta && s.usable() })
}

// unread is the gravest of the failures of sources, deltas or not, to which no way led. Those to which another way led are excused.
func (e *examined) unread(p *checks.Pass, delta bool) error {
	var errs []error
	for _, s := range e.sources {
		if s.err == nil || s.delta != delta {
			continue
		}
		if slices.ContainsFunc(e.sources, func(o *source) bool { return o.url == s.url && o.err == nil }) {
			p.Excuse(s.err, "the address was read by another way")
			continue
		}
		errs = append(errs, s.err)
	}
	return gravest(errs...)
}

// excuse passes over what could not be looked at, since a source that was read decides.
func (e *examined) excuse(p *checks.Pass, delta bool) {
	for _, s := range e.sources {
		if s.err != nil && s.delta == delta {
			p.Excuse(s.err, "another source of the same certificate is usable")
		}
	}
}

// copies are the authentic lists of the sources, deltas aside.
func (e *examined) copies() []*certs.CRL {
	var out []*certs.CRL
	for _, s := range e.sources {
		if !s.delta {
			out = append(out, s.lists...)
		}
	}
	return out
}

// ended tells whether a list is out of date.
func ended(l *certs.CRL, now time.Time) bool {
	return !l.NextUpdate.IsZero() && now.After(l.NextUpdate)
}

// asked are the facts that the certificate and its sources rest on.
func (e *examined) asked() []evidence.Key {
	keys := slices.Clone(e.cites)
	for _, s := range e.sources {
		keys = append(keys, s.cites...)
	}
	return distinct(keys)
}

// args describe the certificate and what its sources said. Certificates of one issuer with the same addresses have one cause in common,
// so that issuer and addresses are what identifies a finding.
func (e *examined) args(p *checks.Pass, which func(*source) bool) []checks.Arg {
	var urls, verdicts []string
	for _, s := range e.sources {
		if !slices.Contains(urls, s.url) {
			urls = append(urls, s.url)
		}
		if which(s) {
			verdicts = append(verdicts, s.verdict())
		}
	}
	ca := ""
	if !e.leaf {
		ca = "yes"
	}
	return append(e.member.args(p), checks.A("ca", ca), checks.A("addresses", strings.Join(urls, " ")), checks.A("sources", cmp.Or(listed(verdicts), "none")))
}
