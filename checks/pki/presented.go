package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"strconv"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

// webPort is where IIS serves the web components of OCS.
const webPort = 443

// handshake reads what an endpoint presents. Without a certificate that can be read there is nothing to judge.
func handshake(r *evidence.Reader, e facts.Endpoint) (facts.Handshake, error) {
	h, err := facts.TLSHandshake.Get(r, e)
	if err != nil {
		return facts.Handshake{}, err
	}
	key := facts.TLSHandshake.Key(e)
	switch {
	case len(h.Chain) == 0:
		return facts.Handshake{}, evidence.FailAt(evidence.NoTarget, e.String()+" presents no certificate: "+h.Problem(), key)
	case h.Chain[0].Problem != "":
		return facts.Handshake{}, evidence.FailAt(evidence.Protocol, "the certificate on "+e.String()+" cannot be read: "+h.Chain[0].Problem, key)
	}
	return h, nil
}

// chain is what one or more endpoints of a server send: its own certificate and those above it.
type chain struct {
	endpoints []string
	cites     []evidence.Key
	sent      []facts.Certificate
	leaf      *x509.Certificate
	// above are those sent beside the leaf.
	above []*x509.Certificate
}

// presented reads the chains on the SIP port and on the HTTPS port, each distinct one once. An HTTPS port that is closed
// presents nothing; iis/https-443 speaks of that. What could be read is returned beside the error.
func presented(p *checks.Pass) ([]*chain, error) {
	sip, web := facts.Endpoint{Host: p.Subject.Name, Port: facts.SIPPort}, facts.Endpoint{Host: p.Subject.Name, Port: webPort}
	var found [2]*chain
	var errs [2]error
	evidence.Parallel(func() {
		found[0], errs[0] = chainAt(p.Facts, sip)
	}, func() {
		c, err := facts.NetConnect.Get(p.Facts, web)
		if err != nil || c.Result != facts.Connected {
			errs[1] = err
			return
		}
		found[1], errs[1] = chainAt(p.Facts, web)
	})
	var out []*chain
	for _, c := range found {
		switch {
		case c == nil:
		case len(out) == 1 && slices.EqualFunc(out[0].sent, c.sent, sameCertificate):
			out[0].endpoints, out[0].cites = append(out[0].endpoints, c.endpoints...), append(out[0].cites, c.cites...)
		default:
			out = append(out, c)
		}
	}
	return out, errors.Join(errs[:]...)
}

func sameCertificate(a, b facts.Certificate) bool { return string(a.DER) == string(b.DER) }

func chainAt(r *evidence.Reader, e facts.Endpoint) (*chain, error) {
	h, err := handshake(r, e)
	if err != nil {
		return nil, err
	}
	c := &chain{endpoints: []string{e.String()}, cites: []evidence.Key{facts.TLSHandshake.Key(e)}, sent: h.Chain}
	for i, sent := range h.Chain {
		parsed, err := certs.Parse(sent.DER)
		switch {
		case err != nil:
			return nil, evidence.FailAt(evidence.Protocol, "a certificate of the chain on "+e.String()+" cannot be read: "+err.Error(), c.cites[0])
		case i == 0:
			c.leaf = parsed
		default:
			c.above = append(c.above, parsed)
		}
	}
	return c, nil
}

// member is a certificate of a chain, looked at once for all endpoints whose chain it is in.
type member struct {
	certificate *x509.Certificate
	leaf        bool
	endpoints   []string
	cites       []evidence.Key
}

// members are the distinct certificates of all chains: each leaf and what above gives for its chain.
func members(chains []*chain, above func(*chain) []*x509.Certificate) []*member {
	var out []*member
	add := func(c *x509.Certificate, leaf bool, on *chain) {
		i := slices.IndexFunc(out, func(m *member) bool { return bytes.Equal(m.certificate.Raw, c.Raw) })
		if i < 0 {
			i, out = len(out), append(out, &member{certificate: c, leaf: leaf})
		}
		out[i].endpoints, out[i].cites = append(out[i].endpoints, on.endpoints...), append(out[i].cites, on.cites...)
		sent := func(s facts.Certificate) bool { return bytes.Equal(s.DER, c.Raw) }
		if key := facts.Anchors.Key(evidence.None{}); !slices.ContainsFunc(on.sent, sent) && !slices.Contains(out[i].cites, key) {
			out[i].cites = append(out[i].cites, key)
		}
	}
	for _, c := range chains {
		add(c.leaf, true, c)
		for _, ca := range above(c) {
			add(ca, false, c)
		}
	}
	return out
}

// belowRoot are the certificates that the server sends without those that are self-signed, with which a chain ends.
func belowRoot(chains []*chain) []*member {
	all := members(chains, func(c *chain) []*x509.Certificate { return c.above })
	return slices.DeleteFunc(all, func(m *member) bool { return certs.Describe(m.certificate.Raw).SelfSigned })
}

// leaves are the servers' own certificates.
func leaves(chains []*chain) []*member {
	return members(chains, func(*chain) []*x509.Certificate { return nil })
}

// maxNamed bounds how many names a text lists.
const maxNamed = 5

// listed writes names in a sentence: at most maxNamed of them.
func listed(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return strings.Join(names[:maxNamed], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(names, ", ")
}

// distinct are keys without repetition, in their order.
func distinct(keys []evidence.Key) []evidence.Key {
	var out []evidence.Key
	for _, k := range keys {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// args describe the certificate and where it is presented; web is set when port 443 depends on it too.
func (m *member) args(p *checks.Pass) []checks.Arg {
	web := ""
	if slices.Contains(m.endpoints, facts.JoinHostPort(p.Subject.Name, webPort)) {
		web = "yes"
	}
	return append(certificateArgs(p, certs.Describe(m.certificate.Raw), strings.Join(m.endpoints, ", ")), checks.A("web", web))
}

// anchors are the trust anchors known to the scan.
type anchors struct {
	list []*x509.Certificate
	// unread counts those that cannot be read, one of which may be the one that is looked for.
	unread int
	read   []string
	// published are those of list, in DER, that AD publishes.
	published [][]byte
	cites     []evidence.Key
}

func knownAnchors(p *checks.Pass) (anchors, error) {
	l, err := facts.Anchors.Get(p.Facts, evidence.None{})
	if err != nil {
		return anchors{}, err
	}
	a := anchors{read: l.Read, cites: []evidence.Key{facts.Anchors.Key(evidence.None{})}}
	for _, known := range l.Anchors {
		if known.Store == facts.StoreAD {
			a.published = append(a.published, known.DER)
		}
		c, err := certs.Parse(known.DER)
		if err != nil {
			a.unread++
			continue
		}
		a.list = append(a.list, c)
	}
	return a, nil
}

// certificateArgs are the arguments that describe a certificate and where it is presented.
func certificateArgs(p *checks.Pass, c facts.Certificate, endpoints string) []checks.Arg {
	return []checks.Arg{
		checks.A("server", p.Subject.Name), checks.A("endpoints", endpoints), checks.A("subject", c.Subject), checks.A("issuer", c.Issuer),
		checks.A("thumbprint", c.Thumbprint), checks.A("notBefore", date(c.NotBefore)), checks.A("notAfter", date(c.NotAfter)),
	}
}
