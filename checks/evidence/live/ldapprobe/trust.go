package ldapprobe

import (
	"crypto/x509"
	"slices"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/live/systemroots"
)

// trust judges whether a server may be sent the password.
type trust struct {
	anchors []*x509.Certificate
	now     time.Time
	// what names what is not sent without it.
	what string
	// bad is set by verify when the certificate is not good.
	bad bool
}

// newTrust takes the anchors that were given, and the machine's own if asked for. Those that AD publishes cannot vouch
// for the server that they are read from.
func (c *Client) newTrust() (*trust, error) {
	scope := c.env.Scope()
	ders := scope.Roots
	if scope.SystemRoots {
		l, err := systemroots.Read()
		if err != nil {
			return nil, evidence.Fail(evidence.NotConfigured, "--system-roots: "+err.Error())
		}
		ders = slices.Clone(ders)
		for _, a := range l.Anchors {
			ders = append(ders, a.DER)
		}
	}
	t := &trust{now: time.Now(), what: "password"}
	if scope.Kerberos || scope.Keytab {
		t.what = "ticket"
	}
	for _, der := range ders {
		if a, err := certs.Parse(der); err == nil {
			t.anchors = append(t.anchors, a)
		}
	}
	return t, nil
}

// verify returns a *evidence.Failure unless the chain leads to an anchor, is in date throughout, is signed with nothing
// weaker than SHA-1, and its first certificate is a server's of that name.
func (t *trust) verify(host string, chain []*x509.Certificate) error {
	bad := func(why string) error {
		t.bad = true
		return evidence.Fail(evidence.Denied, "the "+t.what+" was not sent: the certificate of "+host+" "+why)
	}
	if len(chain) == 0 {
		return bad("is missing")
	}
	if d := certs.Describe(chain[0].Raw); !d.Matches(host) {
		return bad("is for another name: " + short(d.Names()))
	}
	res := certs.Chains(chain[0], chain[1:], t.anchors)
	if res.Problem != certs.Trusted {
		return bad("leads to no trusted root; give its root with --roots")
	}
	for i, c := range res.Chain {
		switch {
		case t.now.After(c.NotAfter):
			return bad("or one above it has expired: " + short(certs.Name(c.RawSubject)))
		case t.now.Before(c.NotBefore):
			return bad("or one above it is not valid yet: " + short(certs.Name(c.RawSubject)))
		case i < len(res.Chain)-1 && c.SignatureAlgorithm == x509.MD5WithRSA:
			return bad("or one above it is signed with MD5: " + short(certs.Name(c.RawSubject)))
		}
	}
	leaf := chain[0]
	usages := leaf.ExtKeyUsage
	restricted := len(usages) > 0 || len(leaf.UnknownExtKeyUsage) > 0
	if restricted && !slices.Contains(usages, x509.ExtKeyUsageServerAuth) && !slices.Contains(usages, x509.ExtKeyUsageAny) {
		return bad("is not for servers")
	}
	return nil
}

// short cuts what a certificate says of itself to what a sentence bears.
func short(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return text(s[:most]) + "..."
}
