package pki

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
)

// storedCertificate is an entry of a store of the server that can be read.
type storedCertificate struct {
	facts.StoredCertificate
	parsed *x509.Certificate
}

// parsedStore are the entries of a store that can be read, and how many cannot.
func parsedStore(s facts.CertificateStores, store string) (out []storedCertificate, unread int) {
	for _, entry := range s.In(store) {
		c, err := certs.Parse(entry.DER)
		if entry.Problem != "" || err != nil {
			unread++
			continue
		}
		out = append(out, storedCertificate{entry, c})
	}
	return out, unread
}

// storeKey is the fact that holds a store of the server.
func storeKey(p *checks.Pass, place, store string) evidence.Key {
	return facts.Registry.Key(facts.StoreQuestion(p.Subject.Name, place, store))
}

// ownStore is the key of the store of the server's own certificates.
func ownStore(p *checks.Pass) evidence.Key { return storeKey(p, facts.PlaceMachine, facts.StoreMY) }

// assigned are the listeners of OCS that have a certificate, each distinct one once.
func assigned(l facts.SIPListenerList) []facts.SIPListener {
	var out []facts.SIPListener
	for _, s := range l.Listeners {
		same := func(o facts.SIPListener) bool {
			return bytes.Equal(o.TLSCertIssuer, s.TLSCertIssuer) && bytes.Equal(o.TLSCertSN, s.TLSCertSN)
		}
		if s.Enabled && len(s.TLSCertSN) > 0 && !slices.ContainsFunc(out, same) {
			out = append(out, s)
		}
	}
	return out
}

// namesCertificate tells whether a listener names a certificate, by its issuer and serial number. The bytes of the number may stand in either order: WMI gives
// them as CryptoAPI holds them, the least significant first, which is not documented.
func namesCertificate(l facts.SIPListener, c *x509.Certificate) bool {
	reversed := slices.Clone(l.TLSCertSN)
	slices.Reverse(reversed)
	number := func(b []byte) *big.Int {
		n := new(big.Int).SetBytes(b)
		if len(b) > 0 && b[0]&0x80 != 0 && c.SerialNumber.Sign() < 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		return n
	}
	return bytes.Equal(l.TLSCertIssuer, c.RawIssuer) && (number(l.TLSCertSN).Cmp(c.SerialNumber) == 0 || number(reversed).Cmp(c.SerialNumber) == 0)
}

// certificateOf is the entry of a store that a listener names.
func certificateOf(l facts.SIPListener, store []storedCertificate) (storedCertificate, bool) {
	i := slices.IndexFunc(store, func(c storedCertificate) bool { return namesCertificate(l, c.parsed) })
	if i < 0 {
		return storedCertificate{}, false
	}
	return store[i], true
}

// usage is a certificate of the server that is in use, known by its thumbprint.
type usage struct {
	thumbprint string
	// at says where: "ocs.todorovic.adds:5061", "HTTP.SYS at 0.0.0.0:443".
	at []string
	// sip tells that the Front-End service uses it.
	sip   bool
	cites []evidence.Key
}

// used gathers what is in use: what is presented on the two ports, what HTTP.SYS has bound to the HTTPS port, and what OCS is told to use. Where one of
// these cannot be looked at, the others are what there is to judge.
func used(p *checks.Pass, store []storedCertificate) []usage {
	var out []usage
	add := func(thumbprint, at string, sip bool, cite evidence.Key) {
		i := slices.IndexFunc(out, func(u usage) bool { return u.thumbprint == thumbprint })
		if i < 0 {
			i, out = len(out), append(out, usage{thumbprint: thumbprint})
		}
		out[i].at, out[i].cites, out[i].sip = append(out[i].at, at), append(out[i].cites, cite), out[i].sip || sip
	}
	host, server := p.Subject.Name, facts.ServerQuestion{FQDN: p.Subject.Name}
	var handshakes [2]facts.Handshake
	var errs [4]error
	var web facts.WebServer
	var listeners facts.SIPListenerList
	ports := []int{facts.SIPPort, webPort}
	evidence.Parallel(
		func() {
			handshakes[0], errs[0] = facts.TLSHandshake.Get(p.Facts, facts.Endpoint{Host: host, Port: ports[0]})
		},
		func() {
			handshakes[1], errs[1] = facts.TLSHandshake.Get(p.Facts, facts.Endpoint{Host: host, Port: ports[1]})
		},
		func() { web, errs[2] = facts.HostWebServer.Get(p.Facts, server) },
		func() { listeners, errs[3] = facts.SIPListeners.Get(p.Facts, server) },
	)
	excuseUnused(p, errs, len(assigned(listeners)) > 0)
	for i, h := range handshakes {
		if leaf, ok := h.Leaf(); ok {
			e := facts.Endpoint{Host: host, Port: ports[i]}
			add(leaf.Thumbprint, e.String(), ports[i] == facts.SIPPort, facts.TLSHandshake.Key(e))
		}
	}
	for _, b := range web.TLS {
		if b.Port == webPort && b.Hash != "" && strings.EqualFold(b.Store, facts.StoreMY) {
			add(b.Hash, "HTTP.SYS at "+b.Name, false, web.HTTP)
		}
	}
	for _, l := range assigned(listeners) {
		if c, ok := certificateOf(l, store); ok {
			add(c.Thumbprint, "the Front-End service", true, facts.SIPListeners.Key(server))
		}
	}
	return out
}

// excuseUnused tells what can be done without: of the Front-End service its port or its own word, of IIS its port or HTTP.SYS. errs are those of port 5061, of port 443, of IIS and
// of OCS's own word, in which something was told or not.
func excuseUnused(p *checks.Pass, errs [4]error, told bool) {
	const elsewhere = "the certificate is known from another place"
	if told {
		p.Excuse(errs[0], elsewhere)
	}
	p.Excuse(errs[3], "what the port presents is judged")
	if errs[2] == nil {
		p.Excuse(errs[1], elsewhere)
	}
	if errs[1] == nil {
		p.Excuse(errs[2], elsewhere)
	}
}

// serverStores are the stores of the server that decide what it trusts.
type serverStores struct {
	// read tells that they were read.
	read bool
	// roots are those of ROOT and AuthRoot, intermediates those of CA.
	roots, intermediates, disallowed []storedCertificate
	unreadRoots, unreadIntermediates int
}

func readStores(p *checks.Pass) (serverStores, error) {
	stores, err := facts.HostCertificates.Get(p.Facts, facts.ServerQuestion{FQDN: p.Subject.Name})
	if err != nil {
		return serverStores{}, err
	}
	s := serverStores{read: true}
	for _, store := range []string{facts.StoreRoot, facts.StoreAuthRoot} {
		found, unread := parsedStore(stores, store)
		s.roots, s.unreadRoots = append(s.roots, found...), s.unreadRoots+unread
	}
	s.intermediates, s.unreadIntermediates = parsedStore(stores, facts.StoreCA)
	s.disallowed, _ = parsedStore(stores, facts.StoreDisallowed)
	return s, nil
}

// rootKeys are the facts that hold the roots.
func (s serverStores) rootKeys(p *checks.Pass) []evidence.Key {
	return []evidence.Key{
		storeKey(p, facts.PlaceMachine, facts.StoreRoot), storeKey(p, facts.PlaceMachine, facts.StoreAuthRoot),
		storeKey(p, facts.PlacePolicy, facts.StoreRoot), storeKey(p, facts.PlaceEnterprise, facts.StoreRoot),
	}
}

func parsedOf(entries []storedCertificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, e := range entries {
		out = append(out, e.parsed)
	}
	return out
}

// add counts the roots of the server among the anchors.
func (a *anchors) add(p *checks.Pass, s serverStores) {
	if !s.read {
		return
	}
	a.list = append(a.list, parsedOf(s.roots)...)
	a.unread += s.unreadRoots
	a.read = append(slices.Clone(a.read), "the stores of the server")
	a.cites = append(a.cites, facts.HostCertificates.Key(facts.ServerQuestion{FQDN: p.Subject.Name}))
}
