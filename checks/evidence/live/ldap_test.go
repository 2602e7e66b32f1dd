package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// directory is a small domain controller. Its zero value refuses StartTLS and takes every password.
type directory struct {
	tls         *tls.Config // nil: StartTLS is refused
	implicit    bool        // TLS from the first byte
	diagnostic  string      // not empty: binds are refused with 49 and this text
	bindCode    int64       // result code of binds that are not refused with 49
	code        int64       // result code of searches
	ntlm        bool        // offers NTLM and speaks it
	gss         *acceptor   // nil: no GSSAPI
	pages       int         // pages of one entry each
	hangSearch  bool
	hangs       func() // called when a search hangs; may be nil
	binds       atomic.Int64
	connections atomic.Int64
	clearBinds  atomic.Int64
	dacl        atomic.Int64 // searches that came with the SD_FLAGS control for the DACL alone
}

func (d *directory) handle(c net.Conn) {
	d.connections.Add(1)
	secured := d.implicit
	if d.implicit {
		c = tls.Server(c, d.tls)
	}
	for {
		p, err := ber.ReadPacket(c)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, op := p.Children[0].Value.(int64), p.Children[1]
		switch op.Tag {
		case ldap.ApplicationExtendedRequest:
			if d.tls == nil || d.implicit {
				respond(c, id, result(ldap.ApplicationExtendedResponse, ldap.LDAPResultUnavailable, "no certificate"))
				continue
			}
			respond(c, id, result(ldap.ApplicationExtendedResponse, 0, ""))
			c, secured = tls.Server(c, d.tls), true
		case ldap.ApplicationBindRequest:
			auth := op.Children[2]
			switch {
			case auth.Tag == 3 && d.gss != nil:
				c = d.gss.bind(c, id, auth)
				continue
			case auth.Tag == 3 || auth.Tag > 3 && !d.ntlm:
				respond(c, id, result(ldap.ApplicationBindResponse, ldap.LDAPResultAuthMethodNotSupported, ""))
				continue
			case auth.Tag == 10:
				respond(c, id, challenge())
				continue
			}
			d.binds.Add(1)
			if !secured && auth.Tag == 0 {
				d.clearBinds.Add(1)
			}
			code := d.bindCode
			if d.diagnostic != "" {
				code = ldap.LDAPResultInvalidCredentials
			}
			respond(c, id, result(ldap.ApplicationBindResponse, code, d.diagnostic))
		case ldap.ApplicationSearchRequest:
			d.search(c, id, p)
		}
	}
}

// challenge is the answer to an NTLM negotiate message: a CHALLENGE_MESSAGE ([MS-NLMP] 2.2.1.2) with no target
// information, in the place of the matched DN ([MS-ADTS] 5.1.1.1.3).
func challenge() *ber.Packet {
	m := append([]byte("NTLMSSP\x00\x02\x00\x00\x00"), make([]byte, 36)...)
	binary.LittleEndian.PutUint32(m[20:], 1|1<<9|1<<19) // UNICODE, NTLM, EXTENDED_SESSIONSECURITY
	copy(m[24:], "01234567")
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationBindResponse, nil, "result")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(0), "code"))
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, string(m), "challenge"))
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", "diagnostic"))
	return p
}

func (d *directory) search(c net.Conn, id int64, p *ber.Packet) {
	base := p.Children[1].Children[0].Value.(string)
	if len(p.Children) > 2 {
		for _, child := range p.Children[2].Children {
			// The value is SEQUENCE { INTEGER 4 } ([MS-ADTS] 3.1.1.3.4.1.11).
			if child.Children[0].Value == ldap.ControlTypeMicrosoftSDFlags && string(child.Children[len(child.Children)-1].ByteValue) == "0\x03\x02\x01\x04" {
				d.dacl.Add(1)
			}
		}
	}
	switch {
	case base == "" && d.ntlm:
		respond(c, id, entryOf("", "supportedSASLMechanisms", "GSS-SPNEGO"))
		respond(c, id, result(ldap.ApplicationSearchResultDone, 0, ""))
	case base == "":
		respond(c, id, entryOf("", "defaultNamingContext", "DC=todorovic,DC=adds", "domainFunctionality", "2"))
		respond(c, id, result(ldap.ApplicationSearchResultDone, 0, ""))
	case d.hangSearch:
		if d.hangs != nil {
			d.hangs()
		}
	case strings.HasPrefix(base, "CN=absent"):
		respond(c, id, result(ldap.ApplicationSearchResultDone, ldap.LDAPResultNoSuchObject, ""))
	case d.code != 0:
		respond(c, id, result(ldap.ApplicationSearchResultDone, d.code, ""))
	default:
		page := 0
		for _, child := range p.Children[2].Children {
			if control, err := ldap.DecodeControl(child); err == nil {
				if paging, ok := control.(*ldap.ControlPaging); ok {
					page, _ = strconv.Atoi(string(paging.Cookie))
				}
			}
		}
		page++
		respond(c, id, entryOf("CN="+strconv.Itoa(1000-page)+","+base, "cn", strconv.Itoa(page)))
		paging := &ldap.ControlPaging{PagingSize: 500}
		if page < d.pages {
			paging.SetCookie([]byte(strconv.Itoa(page)))
		}
		controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "controls")
		controls.AppendChild(paging.Encode())
		respond(c, id, result(ldap.ApplicationSearchResultDone, 0, ""), controls)
	}
}

func result(tag ber.Tag, code int64, diagnostic string) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "result")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, "code"))
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", "matched"))
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, diagnostic, "diagnostic"))
	return p
}

func entryOf(dn string, attributes ...string) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "entry")
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, dn, "dn"))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "attributes")
	for i := 0; i < len(attributes); i += 2 {
		a := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "attribute")
		a.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, attributes[i], "type"))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "values")
		set.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, attributes[i+1], "value"))
		a.AppendChild(set)
		list.AppendChild(a)
	}
	p.AppendChild(list)
	return p
}

func respond(c net.Conn, id int64, parts ...*ber.Packet) {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "message")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, "id"))
	for _, part := range parts {
		p.AppendChild(part)
	}
	_, _ = c.Write(p.Bytes())
}

const (
	dc1    = "dc1.todorovic.adds"
	secret = "Correct-Horse-7"
)

// pki is a root and server certificates below it, signed with SHA-1 as a 2003 CA does.
type pki struct{ root tls.Certificate }

func newPKI(t *testing.T) *pki {
	t.Helper()
	return &pki{keyPair(t, rsaKey(t), x509.Certificate{
		Subject: named("Todorovic Root CA").Subject, IsCA: true, BasicConstraintsValid: true, SignatureAlgorithm: x509.SHA1WithRSA,
	}, nil)}
}

func (p *pki) server(t *testing.T, template x509.Certificate) *tls.Config {
	t.Helper()
	template.SignatureAlgorithm = x509.SHA1WithRSA
	return &tls.Config{Certificates: []tls.Certificate{keyPair(t, rsaKey(t), template, &p.root)}, MinVersion: tls.VersionTLS10}
}

// options are those of a run with an account, the root given.
func (p *pki) options(connect ...string) Options {
	return Options{
		Scope:    facts.Scope{LDAPUser: `TODOROVIC\reader`, RootsGiven: true, Roots: [][]byte{p.root.Certificate[0]}},
		Password: secret, Connect: connect,
	}
}

func find(dc, base string) facts.SearchQuestion {
	return facts.NewSearch(dc, base, "sub", "(objectClass=*)", "cn")
}

// noSecret fails when the password stands anywhere in the records.
func (g *rig) noSecret(t *testing.T) {
	t.Helper()
	b, err := json.Marshal(g.store.Records())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), secret) {
		t.Errorf("the password is recorded: %s", b)
	}
}

func TestRootDSEIsReadWithoutAnAccount(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for name, d := range map[string]*directory{
		dc1:          {},
		dc1 + ":636": {implicit: true, tls: p.server(t, named("another.name"))},
	} {
		q := name
		if !strings.Contains(q, ":") {
			q += ":389"
		}
		g := newRig(t, t.Context(), Options{Connect: []string{q + "=" + listen(t, d.handle)}})
		got, err := facts.RootDSE.Get(g.reader(), facts.DCQuestion{DC: name})
		if level, ok := got.Level("domainFunctionality"); err != nil || !ok || level != 2 || got.Get("defaultNamingContext") != "DC=todorovic,DC=adds" ||
			time.Since(got.ReadAt) > time.Minute || got.ReadAt.Location() != time.UTC {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if d.binds.Load() != 0 {
			t.Errorf("%s: there was a bind", name)
		}
	}
}

func TestRootDSEOfWhatIsNoDirectory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handle func(net.Conn)
		reason evidence.Reason
		detail string
	}{
		"HTTP":    {func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); silent(c) }, evidence.Protocol, "not LDAP"},
		"closes":  {func(net.Conn) {}, evidence.Protocol, "ended the LDAP connection"},
		"silent":  {silent, evidence.Timeout, "stays silent"},
		"drips":   {drip(0x30), evidence.Timeout, "stays silent"},
		"garbles": {answers(), evidence.Protocol, "malformed LDAP"},
		"floods":  {flood, evidence.Protocol, "more bytes than are read"},
		"refuses": {answers(result(ldap.ApplicationSearchResultDone, 1, "bind first")), evidence.Denied, "Operations Error"},
		"empty":   {answers(result(ldap.ApplicationSearchResultDone, 0, "")), evidence.Protocol, "without a rootDSE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, t.Context(), Options{Connect: []string{dc1 + ":389=" + listen(t, c.handle)}})
			_, err := facts.RootDSE.Get(g.reader(), facts.DCQuestion{DC: dc1})
			if f := failure(t, err); f.Reason != c.reason || !strings.Contains(f.Detail, c.detail) {
				t.Errorf("%+v", f)
			}
		})
	}
}

// answers the first request with a message of these parts.
func answers(parts ...*ber.Packet) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := ber.ReadPacket(c); err == nil {
			respond(c, 1, parts...)
			silent(c)
		}
	}
}

// flood announces one huge message and sends it.
func flood(c net.Conn) {
	_, _ = c.Write([]byte{0x30, 0x84, 0x40, 0, 0, 0, 0x04, 0x84, 0x3f, 0, 0, 0})
	for b := make([]byte, 1<<16); ; {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

func TestSearchOverStartTLS(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	d := &directory{tls: p.server(t, named(dc1)), pages: 3}
	g := newRig(t, t.Context(), p.options(dc1+":389="+listen(t, d.handle)))
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			res, err := facts.Search.Get(g.reader(), find(dc1, "OU="+strconv.Itoa(i)+",DC=todorovic,DC=adds"))
			if err != nil || len(res.Entries) != 3 || res.Entries[0].Value("cn") != "3" || !strings.HasPrefix(res.Entries[0].DN, "CN=997,") {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	wg.Wait()
	res, err := facts.Search.Get(g.reader(), find(dc1, "CN=absent,DC=todorovic,DC=adds"))
	if err != nil || !res.NoSuchObject {
		t.Errorf("a base that is not: %+v, %v", res, err)
	}
	if d.binds.Load() != 1 || d.clearBinds.Load() != 0 {
		t.Errorf("%d binds, %d of them in clear", d.binds.Load(), d.clearBinds.Load())
	}
	g.noSecret(t)
}

func TestASearchThatIsRefusedTakesNothingFromTheNext(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	d := &directory{tls: p.server(t, named(dc1)), code: ldap.LDAPResultInsufficientAccessRights}
	g := newRig(t, t.Context(), p.options(dc1+":389="+listen(t, d.handle)))
	_, err := facts.Search.Get(g.reader(), find(dc1, "DC=a"))
	if f := failure(t, err); f.Reason != evidence.Denied {
		t.Errorf("%+v", f)
	}
	if res, err := facts.Search.Get(g.reader(), find(dc1, "CN=absent,DC=a")); err != nil || !res.NoSuchObject {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestSearchFallsBackToThePortForTLS(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, c := range []struct{ dc, plain, tls string }{{dc1, ":389", ":636"}, {dc1 + ":3268", ":3268", ":3269"}} {
		plain, sealed := &directory{}, &directory{implicit: true, tls: p.server(t, named(dc1)), pages: 1}
		g := newRig(t, t.Context(), p.options(dc1+c.plain+"="+listen(t, plain.handle), dc1+c.tls+"="+listen(t, sealed.handle)))
		for _, base := range []string{"DC=a", "DC=b"} {
			res, err := facts.Search.Get(g.reader(), find(c.dc, base))
			if err != nil || len(res.Entries) != 1 {
				t.Errorf("%s: %+v, %v", base, res, err)
			}
			rec := g.record(t, facts.Search.Key(find(c.dc, base)))
			for _, port := range []string{c.plain, c.tls} {
				if !slices.ContainsFunc(rec.Needs, func(k evidence.Key) bool { return k.String() == "net.connect("+dc1+port+")" }) {
					t.Errorf("%s does not rest on port %s: %v", base, port, rec.Needs)
				}
			}
		}
		if plain.binds.Load() != 0 || sealed.binds.Load() != 1 {
			t.Errorf("%d binds in clear, %d under TLS", plain.binds.Load(), sealed.binds.Load())
		}
	}
}

// Without that control an ordinary account is not given the security descriptor.
func TestASecurityDescriptorIsAskedForByItsDACLAlone(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	d := &directory{tls: p.server(t, named(dc1)), pages: 2}
	g := newRig(t, t.Context(), p.options(dc1+":389="+listen(t, d.handle)))
	for want, attribute := range []string{"cn", "ntsecuritydescriptor"} {
		q := facts.NewSearch(dc1, "DC=a", "sub", "(objectClass=*)", attribute)
		if res, err := facts.Search.Get(g.reader(), q); err != nil || len(res.Entries) != 2 || d.dacl.Load() != int64(2*want) {
			t.Errorf("%s: %+v, %v, %d pages with the control", attribute, res, err, d.dacl.Load())
		}
	}
}

// The password goes to nobody whose certificate is not good.
func TestThePasswordIsNotSent(t *testing.T) {
	t.Parallel()
	p, stranger := newPKI(t), newPKI(t)
	expired, future, client := named(dc1), named(dc1), named(dc1)
	expired.NotBefore, expired.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	future.NotBefore, future.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for name, c := range map[string]struct {
		tls    *tls.Config
		detail string
	}{
		"a foreign root":       {stranger.server(t, named(dc1)), "--roots"},
		"another name":         {p.server(t, named("dc2.todorovic.adds")), "another name: dc2.todorovic.adds"},
		"expired":              {p.server(t, expired), "expired"},
		"not yet valid":        {p.server(t, future), "not valid yet"},
		"a client certificate": {p.server(t, client), "not for servers"},
		"no TLS":               {nil, "--allow-cleartext"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &directory{tls: c.tls}
			g := newRig(t, t.Context(), p.options(dc1+":389="+listen(t, d.handle), dc1+":636="+closedPort(t)))
			for _, base := range []string{"DC=a", "DC=b"} {
				_, err := facts.Search.Get(g.reader(), find(dc1, base))
				if f := failure(t, err); f.Reason != evidence.Denied || !strings.HasPrefix(f.Detail, "the password was not sent: ") ||
					!strings.Contains(f.Detail, c.detail) || f.Root.String() != "ldap.session("+dc1+":389)" {
					t.Errorf("%+v", f)
				}
			}
			if d.binds.Load() != 0 || d.connections.Load() > 3 {
				t.Errorf("%d binds on %d connections", d.binds.Load(), d.connections.Load())
			}
		})
	}
}

func TestCleartextIsAllowedOnlyWhenAskedForAndNoTLSIsThere(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	d := &directory{pages: 1}
	o := p.options(dc1+":389="+listen(t, d.handle), dc1+":636="+closedPort(t))
	o.Scope.AllowCleartext = true
	if res, err := facts.Search.Get(newRig(t, t.Context(), o).reader(), find(dc1, "DC=a")); err != nil || len(res.Entries) != 1 || d.clearBinds.Load() != 1 {
		t.Errorf("%+v, %v, %d binds", res, err, d.clearBinds.Load())
	}
	bad := &directory{tls: newPKI(t).server(t, named(dc1))}
	o = p.options(dc1 + ":389=" + listen(t, bad.handle))
	o.Scope.AllowCleartext = true
	_, err := facts.Search.Get(newRig(t, t.Context(), o).reader(), find(dc1, "DC=a"))
	if f := failure(t, err); f.Reason != evidence.Denied || bad.binds.Load() != 0 {
		t.Errorf("a bad certificate: %+v, %d binds", f, bad.binds.Load())
	}
}

// Every wrong try counts towards a lockout: there is one, whatever is searched for and on how many domain controllers.
func TestAWrongPasswordIsTriedOnce(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	const diagnostic = "80090308: LdapErr: DSID-0C09042F, comment: AcceptSecurityContext error, data %, v2580\x00"
	for code, detail := range map[string]string{
		"525": "there is no such account", "52e": "the password is wrong", "530": "may not log on at this time", "531": "may not log on from this machine",
		"532": "its password has expired", "533": "it is disabled", "701": "it has expired", "773": "its password must be changed first",
		"775": "it is locked out", "abc": "name or password is wrong",
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			var dcs []*directory
			var connect []string
			for _, dc := range []string{"dc1.d", "dc2.d"} {
				d := &directory{tls: p.server(t, named(dc)), diagnostic: strings.Replace(diagnostic, "%", code, 1)}
				dcs, connect = append(dcs, d), append(connect, dc+":389="+listen(t, d.handle))
			}
			g := newRig(t, t.Context(), p.options(connect...))
			var wg sync.WaitGroup
			for i := range 10 {
				wg.Go(func() {
					_, err := facts.Search.Get(g.reader(), find("dc"+strconv.Itoa(i%2+1)+".d", "OU="+strconv.Itoa(i)+",DC=a"))
					f, ok := err.(*evidence.Failure) //nolint:errorlint // Get promises that type
					if !ok || f.Reason != evidence.Denied || !strings.Contains(f.Detail, detail) || f.Root.Kind != "ldap.account" {
						t.Errorf("%+v", err)
					}
				})
			}
			wg.Wait()
			if n := dcs[0].binds.Load() + dcs[1].binds.Load(); n != 1 {
				t.Errorf("%d binds", n)
			}
			g.noSecret(t)
		})
	}
}

func TestASessionThatHangsIsNotOpenedAgain(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	d := &directory{tls: p.server(t, named(dc1)), hangSearch: true}
	g := newRig(t, t.Context(), p.options(dc1+":389="+listen(t, d.handle)))
	_, err := facts.Search.Get(g.reader(), find(dc1, "DC=a"))
	first := failure(t, err)
	start := time.Now()
	_, err = facts.Search.Get(g.reader(), find(dc1, "DC=b"))
	second := failure(t, err)
	if first.Reason != evidence.Timeout || *first != *second || first.Root != facts.Search.Key(find(dc1, "DC=a")) {
		t.Errorf("%+v, then %+v", first, second)
	}
	if took := time.Since(start); took > budget/2 || d.binds.Load() != 1 {
		t.Errorf("it took %v, %d binds", took, d.binds.Load())
	}
}

func TestSearchWithoutAnAccountIsNotConfigured(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.Context(), Options{})
	_, err := facts.Search.Get(g.reader(), find(dc1, "DC=a"))
	if f := failure(t, err); f.Reason != evidence.NotConfigured || !strings.Contains(f.Detail, "--user") {
		t.Errorf("%+v", f)
	}
	g = newRig(t, t.Context(), Options{Scope: facts.Scope{LDAPUser: "reader@d"}})
	_, err = facts.Search.Get(g.reader(), find(dc1, "DC=a"))
	if f := failure(t, err); f.Reason != evidence.NotConfigured || !strings.Contains(f.Detail, "--password-file") {
		t.Errorf("no password: %+v", f)
	}
}

func TestTheRunsEndClosesTheSession(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	d := &directory{tls: p.server(t, named(dc1)), hangSearch: true}
	ctx, cancel := context.WithCancel(t.Context())
	d.hangs = cancel
	g := newRig(t, ctx, p.options(dc1+":389="+listen(t, d.handle)))
	g.env.Budgets.Exchange = time.Minute
	_, err := facts.Search.Get(g.reader(), find(dc1, "DC=a"))
	if f := failure(t, err); f.Reason != evidence.Interrupted {
		t.Errorf("%+v", f)
	}
}

func TestAServerThatDemandsSigningIsToldOf(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for name, d := range map[string]*directory{"simple": {}, "NTLM": {ntlm: true}} {
		d.bindCode = ldap.LDAPResultStrongAuthRequired
		o := p.options(dc1+":389="+listen(t, d.handle), dc1+":636="+closedPort(t))
		o.Scope.AllowCleartext = !d.ntlm
		_, err := facts.Search.Get(newRig(t, t.Context(), o).reader(), find(dc1, "DC=a"))
		f := failure(t, err)
		for _, part := range []string{`"Domain controller: LDAP server signing requirements"`, "--roots", "--kerberos"} {
			if f.Reason != evidence.Denied || !strings.Contains(f.Detail, part) || f.Root.Kind != "ldap.session" {
				t.Errorf("%s: %+v lacks %s", name, f, part)
			}
		}
	}
}

func TestWithoutTLSNTLMProvesThePassword(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	d := &directory{ntlm: true, pages: 1}
	g := newRig(t, t.Context(), p.options(dc1+":389="+listen(t, d.handle), dc1+":636="+closedPort(t)))
	if res, err := facts.Search.Get(g.reader(), find(dc1, "DC=a")); err != nil || len(res.Entries) != 1 || d.binds.Load() != 1 || d.clearBinds.Load() != 0 {
		t.Errorf("%+v, %v, %d binds, %d in clear", res, err, d.binds.Load(), d.clearBinds.Load())
	}
	g.noSecret(t)
}

// Neither way leads to a second try that could lock the account: not the next way, not the next domain controller.
func TestAPasswordThatNTLMFindsWrongIsTriedOnce(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	wrong := &directory{ntlm: true, diagnostic: "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1"}
	next := &directory{tls: p.server(t, named("dc2.d"))}
	g := newRig(t, t.Context(), p.options(dc1+":389="+listen(t, wrong.handle), dc1+":636="+closedPort(t), "dc2.d:389="+listen(t, next.handle)))
	for _, dc := range []string{dc1, "dc2.d"} {
		_, err := facts.Search.Get(g.reader(), find(dc, "DC=a"))
		if f := failure(t, err); f.Reason != evidence.Denied || f.Detail != "the account of --user is refused: the password is wrong" || f.Root.Kind != "ldap.account" {
			t.Errorf("%s: %+v", dc, f)
		}
	}
	if wrong.binds.Load() != 1 || next.binds.Load() != 0 {
		t.Errorf("%d tries, then %d", wrong.binds.Load(), next.binds.Load())
	}
}
