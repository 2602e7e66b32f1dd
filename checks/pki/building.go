package pki

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

// buildingNeeds are the kinds that build reads.
var buildingNeeds = []evidence.AnyKind{
	facts.ConfigScope, facts.NetConnect, facts.TLSHandshake, facts.Anchors, facts.PublicKeys, facts.Directory, facts.Search, facts.HTTP,
}

const (
	// maxPlaces bounds the addresses that one chain leads to: those of certificates made on purpose may go on for ever, or in a circle.
	maxPlaces = 10
	// placeAD is what the directory publishes, which members of the domain have among their own.
	placeAD = "Active Directory (CN=AIA)"
)

// built is the chain of what endpoints present, put together as Windows does it: of what the server sends, of what Active Directory publishes,
// and of what certificates say is the certificate of their issuer (AIA).
type built struct {
	certs.Result
	// sent is what comes of what the server sends alone.
	sent certs.Result
	// places are where issuers were looked for besides, in the order in which they were.
	places []*source
	// from says where a certificate that the server does not send was found, by its bytes.
	from map[string]*source
}

// completed tells that the chain is trusted, and was not with what the server sends.
func (b *built) completed() bool {
	return b.Problem == certs.Trusted && b.sent.Problem != certs.Trusted
}

// open tells whether another certificate of an issuer may still help.
func (b *built) open() bool {
	return slices.Contains([]certs.Problem{certs.NoIssuer, certs.NoCA, certs.WrongSignature}, b.Problem)
}

// build puts a chain together, which from then on cites where the rest of it was found. What could not be looked at is excused where it is found
// all the same.
func build(p *checks.Pass, c *chain, known anchors) *built {
	b := &built{Result: certs.Chains(c.leaf, c.above, known.list), from: map[string]*source{}}
	b.sent = b.Result
	if !b.open() {
		return b
	}
	scope, err := facts.ConfigScope.Get(p.Facts, evidence.None{})
	if err != nil {
		b.places = append(b.places, &source{name: "the scope of the scan", err: err, cites: c.cites})
		return b
	}
	pool := slices.Clone(c.above)
	add := func(s *source, found []*x509.Certificate) {
		for _, f := range found {
			if !slices.ContainsFunc(pool, func(k *x509.Certificate) bool { return bytes.Equal(k.Raw, f.Raw) }) {
				pool, b.from[string(f.Raw)] = append(pool, f), s
			}
		}
	}
	if scope.LDAPUser != "" {
		s := &source{name: placeAD, cites: []evidence.Key{facts.PublicKeys.Key(evidence.None{})}}
		published, err := facts.PublicKeys.Get(p.Facts, evidence.None{})
		s.err = err
		found, _ := parseAll(slices.Concat(published.Intermediates, published.NTAuth))
		add(s, found)
		b.places = append(b.places, s)
		b.Result = certs.Chains(c.leaf, pool, known.list)
	}
	seen := map[string]bool{}
	for b.open() {
		asked := b.next(seen, scope)
		if len(asked) == 0 {
			break
		}
		found := make([][]*x509.Certificate, len(asked))
		var fns []func()
		for i, a := range asked {
			fns = append(fns, func() { found[i] = a.fetch(p, scope, c.cites[0]) })
		}
		evidence.Parallel(fns...)
		for i, a := range asked {
			b.places = append(b.places, a.source)
			add(a.source, found[i])
		}
		b.Result = certs.Chains(c.leaf, pool, known.list)
	}
	if b.Problem == certs.Trusted {
		c.cites = distinct(append(c.cites, b.asked()...))
		for _, s := range b.places {
			if s.err != nil {
				p.Excuse(s.err, "the certificate of the issuer was found elsewhere")
			}
		}
	}
	return b
}

// pointer is an address at which a certificate says that the certificate of its issuer is.
type pointer struct {
	*source
	of  *x509.Certificate
	way string
}

// next are the addresses that the ends of the ways which fail point to and that were not asked yet.
func (b *built) next(seen map[string]bool, scope facts.Scope) []pointer {
	var out []pointer
	for _, path := range b.Tried {
		last := path.Certificates[len(path.Certificates)-1]
		for _, u := range last.IssuingCertificateURL {
			if u = strings.ToValidUTF8(u, "\uFFFD"); seen[u] || len(seen) == maxPlaces {
				continue
			}
			seen[u] = true
			out = append(out, pointer{&source{url: u, name: u}, last, facts.Direct})
			if scheme, _, _ := strings.Cut(u, ":"); strings.EqualFold(scheme, "http") && scope.Proxy != "" {
				out = append(out, pointer{&source{url: u, name: u + " by the proxy"}, last, facts.ByProxy})
			}
		}
	}
	return out
}

// fetch reads what stands at the address. The key is the fact that holds the address.
func (a pointer) fetch(p *checks.Pass, scope facts.Scope, from evidence.Key) []*x509.Certificate {
	a.cites = []evidence.Key{from}
	var files [][]byte
	var ok bool
	switch scheme, _, _ := strings.Cut(a.url, ":"); strings.ToLower(scheme) {
	case "http":
		var file []byte
		file, ok = a.get(p, facts.HTTPQuestion{URL: a.url, Way: a.way})
		files = append(files, file)
	case "ldap":
		files, ok = a.inDirectory(p, scope, "cACertificate", from)
	default:
		a.why, ok = "its scheme is neither http nor ldap", false
	}
	if !ok {
		return nil
	}
	var out []*x509.Certificate
	a.why = "it holds no certificate"
	for _, file := range files {
		found, err := certs.ParseIssuers(file)
		if err != nil {
			a.why = err.Error()
		}
		out = append(out, found...)
	}
	if len(out) == 0 {
		return nil
	}
	a.why = ""
	if !slices.ContainsFunc(out, func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, a.of.RawIssuer) }) {
		a.why = "it holds the certificate of " + certs.Describe(out[0].Raw).Subject + ", which is not the issuer"
	}
	return out
}

// get fetches a file over http. Where ok is false, the source says why.
func (s *source) get(p *checks.Pass, q facts.HTTPQuestion) (body []byte, ok bool) {
	s.cites = []evidence.Key{facts.HTTP.Key(q)}
	a, err := facts.HTTP.Get(p.Facts, q)
	switch {
	case err != nil:
		s.fail(p, err)
	case a.Problem != "":
		s.why = a.Problem
	case a.Status != 200:
		s.why = fmt.Sprintf("it answers with the HTTP status %d", a.Status)
	default:
		return a.Body, true
	}
	return nil, false
}

// unread is the gravest of the failures of places that may hold what is missing.
func (b *built) unread() error {
	var errs []error
	for _, s := range b.places {
		errs = append(errs, s.err)
	}
	return gravest(errs...)
}

// excuse passes over places that could not be looked at, where they would not change the verdict.
func (b *built) excuse(p *checks.Pass) {
	for _, s := range b.places {
		if s.err != nil {
			p.Excuse(s.err, "what it may hold would not change the verdict")
		}
	}
}

// asked are the facts that the places rest on.
func (b *built) asked() []evidence.Key {
	var keys []evidence.Key
	for _, s := range b.places {
		keys = append(keys, s.cites...)
	}
	return distinct(keys)
}

// verdicts are what came of the places; "nowhere else" without any.
func (b *built) verdicts() string {
	var out []string
	for _, s := range b.places {
		v := s.verdict()
		if s.why == "" && s.err == nil {
			v += " (read)"
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return "nowhere else: it points to no address"
	}
	return listed(out)
}

// ways are the ways up from the leaf that were tried, each with what ended it.
func (b *built) ways() string {
	var out []string
	for _, path := range b.Tried {
		var names []string
		for _, c := range path.Certificates {
			names = append(names, certs.Describe(c.Raw).Subject)
		}
		last := path.Certificates[len(path.Certificates)-1]
		if why := ending(path.Problem, last); why != "" {
			out = append(out, strings.Join(names, ", issued by ")+": "+why)
		}
	}
	return strings.Join(out[:min(len(out), maxNamed)], "; ")
}

// ending says what ended a way at a certificate; "" where that is not for want of an issuer.
func ending(problem certs.Problem, at *x509.Certificate) string {
	issuer := certs.Describe(at.Raw).Issuer
	switch problem {
	case certs.NoIssuer:
		return "its issuer " + issuer + " is neither sent by the server nor a known trust anchor"
	case certs.NoCA:
		return "what signed it as " + issuer + " has no right to issue certificates"
	case certs.WrongSignature:
		return "it is not signed by what is known as " + issuer
	case certs.NotPermitted:
		return "its name constraints do not permit the names of the server's certificate"
	case certs.UnknownCritical:
		return "it has a critical extension that clients do not know: " + at.UnhandledCriticalExtensions[0].String()
	case certs.UntrustedRoot:
		return "it is a root, and no known trust anchor"
	case certs.GaveUp:
		return "there are more ways than are looked at"
	}
	return ""
}

// buildAll builds all chains that are presented, side by side. What could be read is returned beside the error.
func buildAll(p *checks.Pass) ([]*chain, []*built, anchors, error) {
	var chains []*chain
	var known anchors
	var chainErr, anchorErr error
	evidence.Parallel(
		func() { chains, chainErr = presented(p) },
		func() { known, anchorErr = knownAnchors(p) },
	)
	if anchorErr != nil {
		return nil, nil, known, anchorErr
	}
	return chains, buildEach(p, chains, known), known, chainErr
}

// buildEach builds chains side by side.
func buildEach(p *checks.Pass, chains []*chain, known anchors) []*built {
	out := make([]*built, len(chains))
	var fns []func()
	for i, c := range chains {
		fns = append(fns, func() { out[i] = build(p, c, known) })
	}
	evidence.Parallel(fns...)
	return out
}
