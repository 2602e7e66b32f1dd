package certs_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks/evidence/certs"
)

// workshop makes certificates, revocation lists and OCSP responses with the openssl command.
type workshop struct {
	dir  string
	made int
	env  []string // nil: that of the test
}

const opensslBudget = 20 * time.Second

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("openssl is not installed; as root: apt-get install openssl")
		}
		t.Skip("openssl is not installed")
	}
	w := &workshop{dir: t.TempDir()}
	for name, args := range map[string][]string{
		"root": {"RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, "issuing": {"RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
		"leaf": {"RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, "other": {"RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
		"rsa1024": {"RSA", "-pkeyopt", "rsa_keygen_bits:1024"}, "rsa512": {"RSA", "-pkeyopt", "rsa_keygen_bits:512"},
		"p256": {"EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, "p384": {"EC", "-pkeyopt", "ec_paramgen_curve:P-384"},
	} {
		w.must(t, append([]string{"genpkey", "-quiet", "-out", w.path("key-" + name), "-algorithm"}, args...)...)
	}
	return w
}

func (w *workshop) path(name string) string { return filepath.Join(w.dir, name) }

// run runs openssl and returns what it printed and whether it exited with 0.
func (w *workshop) run(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), opensslBudget)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("openssl %v: %v", args, ctx.Err())
	}
	return string(out), err == nil
}

// at runs openssl with the clock of another time, for what has no option for it.
func (w *workshop) at(t *testing.T, now time.Time, args ...string) (string, bool) {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	switch {
	case time.Until(now) < time.Hour:
		return w.run(t, args...)
	case err == nil && len(found) > 0:
		w.env = append(os.Environ(), "LD_PRELOAD="+found[0], "FAKETIME="+now.Local().Format("2006-01-02 15:04:05"))
		defer func() { w.env = nil }()
		return w.run(t, args...)
	case os.Getenv("CI") != "":
		t.Fatal("libfaketime is not installed; as root: apt-get install libfaketime")
	}
	t.Skip("libfaketime is not installed")
	return "", false
}

func (w *workshop) must(t *testing.T, args ...string) {
	t.Helper()
	if out, ok := w.run(t, args...); !ok {
		t.Fatalf("openssl %s\n%s", strings.Join(args, " "), out)
	}
}

func (w *workshop) write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w.path(name)
}

// made is a certificate with its key and, once it issued something, its CA folder.
type made struct {
	name, key string
	serial    int
}

func (m made) pem(w *workshop) string { return w.path(m.name + ".pem") }

// spec says how a certificate is made; what is empty is as it should be.
type spec struct {
	subject, key, digest string
	start, end           string // YYYYMMDDHHMMSSZ
	extensions           string
	pss                  bool
}

const (
	caExtensions   = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
	rootExtensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
	leafExtensions = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n" + altNames
	altNames       = "subjectAltName=DNS:ocs.todorovic.adds,DNS:sip.todorovic.fr\n"
)

// authority gives a certificate the folder of openssl ca.
func (w *workshop) authority(t *testing.T, m made) string {
	t.Helper()
	conf := w.path(m.name + ".cnf")
	if _, err := os.Stat(conf); err == nil {
		return conf
	}
	w.write(t, m.name+".index", "")
	w.write(t, m.name+".index.attr", "unique_subject = no\n")
	w.write(t, m.name+".crlnumber", "01\n")
	return w.write(t, m.name+".cnf", fmt.Sprintf(`[ca]
default_ca = c
[c]
database = %[1]s.index
new_certs_dir = .
rand_serial = yes
crlnumber = %[1]s.crlnumber
certificate = %[1]s.pem
private_key = key-%[2]s
default_md = sha256
default_days = 365
default_crl_days = 30
policy = p
copy_extensions = none
[p]
commonName = supplied
[req]
distinguished_name = d
[d]
`, m.name, m.key))
}

// issue makes a certificate with openssl ca; by is nil for a root.
func (w *workshop) issue(t *testing.T, by *made, s spec) made {
	t.Helper()
	w.made++
	m := made{name: fmt.Sprintf("c%03d", w.made), key: s.key, serial: w.made}
	issuer := m
	if by != nil {
		issuer = *by
	}
	conf := w.authority(t, issuer)
	w.must(t, "req", "-new", "-config", conf, "-key", w.path("key-"+s.key), "-subj", "/CN="+s.subject, "-out", w.path(m.name+".csr"))
	args := []string{"ca", "-batch", "-notext", "-config", conf, "-in", m.name + ".csr", "-out", m.name + ".pem", "-extfile", w.write(t, m.name+".ext", s.extensions)}
	if by == nil {
		args = append(args, "-selfsign", "-keyfile", "key-"+s.key)
	}
	if s.digest != "" {
		args = append(args, "-md", s.digest)
	}
	if s.start != "" {
		args = append(args, "-startdate", s.start)
	}
	if s.end != "" {
		args = append(args, "-enddate", s.end)
	}
	if s.pss {
		args = append(args, "-sigopt", "rsa_padding_mode:pss")
	}
	w.must(t, args...)
	return m
}

// revoke revokes a certificate; list makes the issuer's revocation list.
func (w *workshop) revoke(t *testing.T, by, m made, reason string) {
	t.Helper()
	w.must(t, "ca", "-batch", "-config", w.authority(t, by), "-revoke", m.name+".pem", "-crl_reason", reason)
}

func (w *workshop) list(t *testing.T, by made, extensions string, args ...string) string {
	t.Helper()
	w.made++
	out := fmt.Sprintf("l%03d.pem", w.made)
	args = append([]string{"ca", "-gencrl", "-config", w.authority(t, by), "-out", out}, args...)
	if extensions != "" {
		conf, err := os.ReadFile(w.authority(t, by))
		if err != nil {
			t.Fatal(err)
		}
		args[3] = w.write(t, out+".cnf", string(conf)+"[x]\nauthorityKeyIdentifier=keyid\n"+extensions)
		args = append(args, "-crlexts", "x")
	}
	w.must(t, args...)
	return out
}

func (w *workshop) parse(t *testing.T, m made) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(m.pem(w))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	c, err := certs.Parse(block.Bytes)
	if err != nil {
		t.Fatalf("%s: %v", m.name, err)
	}
	return c
}

// presented is what a server sends and what its client knows.
type presented struct {
	leaf        made
	above       []made
	roots       []made
	lists       []string // nil: revocation is not looked at
	deltas      bool
	checkedLeaf bool // only the leaf's revocation is looked at
}

// openssl is the verdict of openssl verify.
func (w *workshop) openssl(t *testing.T, p presented) (string, bool) {
	t.Helper()
	bundle := func(name string, of []made) string {
		var b strings.Builder
		for _, m := range of {
			text, err := os.ReadFile(m.pem(w))
			if err != nil {
				t.Fatal(err)
			}
			b.Write(text)
		}
		return w.write(t, name, b.String())
	}
	args := []string{"verify", "-auth_level", "0", "-purpose", "sslserver", "-no-CApath", "-no-CAstore", "-CAfile", bundle("roots", p.roots)}
	if len(p.above) > 0 {
		args = append(args, "-untrusted", bundle("above", p.above))
	}
	if p.lists != nil {
		all := ""
		for _, l := range p.lists {
			b, err := os.ReadFile(w.path(l))
			if err != nil {
				t.Fatal(err)
			}
			all += string(b)
		}
		if p.checkedLeaf {
			args = append(args, "-crl_check")
		} else {
			args = append(args, "-crl_check_all")
		}
		args = append(args, "-CRLfile", w.write(t, "lists", all))
		if p.deltas {
			args = append(args, "-extended_crl", "-use_deltas") // without the first a delta may be taken for a base
		}
	}
	return w.run(t, append(args, p.leaf.pem(w))...)
}

// ours is the verdict of this package, put together as the checks do.
func (w *workshop) ours(t *testing.T, p presented) (string, bool) {
	t.Helper()
	now := time.Now()
	read := func(list []made) []*x509.Certificate {
		var out []*x509.Certificate
		for _, m := range list {
			out = append(out, w.parse(t, m))
		}
		return out
	}
	leaf := w.parse(t, p.leaf)
	res := certs.Chains(leaf, read(p.above), read(p.roots))
	if res.Problem != certs.Trusted {
		return fmt.Sprintf("problem %d", res.Problem), false
	}
	for _, c := range res.Chain {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return "out of date: " + c.Subject.CommonName, false
		}
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		return "not for servers", false
	}
	if p.lists == nil {
		return "", true
	}
	var lists []*certs.CRL
	for _, name := range p.lists {
		b, err := os.ReadFile(w.path(name))
		if err != nil {
			t.Fatal(err)
		}
		l, err := certs.ParseCRL(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lists = append(lists, l)
	}
	for i, c := range res.Chain[:len(res.Chain)-1] {
		if i > 0 && p.checkedLeaf {
			break
		}
		if s := certs.Judge(c, res.Chain[i+1], lists, nil, now); s != certs.NotRevoked {
			return fmt.Sprintf("%s: standing %d", c.Subject.CommonName, s), false
		}
	}
	return "", true
}

// stamp is a date from now as openssl ca takes it.
func stamp(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format("20060102150405Z") }

// TestChainsAsOpenSSL compares the verdicts over chains made with openssl ca with those of openssl verify.
func TestChainsAsOpenSSL(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	root := w.issue(t, nil, spec{subject: "Root CA", key: "root", extensions: rootExtensions})
	issuing := w.issue(t, &root, spec{subject: "Issuing CA", key: "issuing", extensions: caExtensions})
	good := spec{subject: "ocs.todorovic.adds", key: "leaf", extensions: leafExtensions}
	stranger := w.issue(t, nil, spec{subject: "Other Root CA", key: "other", extensions: rootExtensions})

	// with is a specification that differs in one thing.
	with := func(s spec, change func(*spec)) spec { change(&s); return s }
	leaf := func(change func(*spec)) presented {
		return presented{leaf: w.issue(t, &issuing, with(good, change)), above: []made{issuing}, roots: []made{root}}
	}
	// under is a leaf below an issuing CA that differs.
	under := func(change func(*spec)) presented {
		ca := w.issue(t, &root, with(spec{subject: "Issuing CA", key: "issuing", extensions: caExtensions}, change))
		return presented{leaf: w.issue(t, &ca, good), above: []made{ca}, roots: []made{root}}
	}
	// below is a leaf below a root that differs, with an issuing CA between them.
	below := func(change func(*spec)) presented {
		top := w.issue(t, nil, with(spec{subject: "Root CA", key: "root", extensions: rootExtensions}, change))
		ca := w.issue(t, &top, spec{subject: "Issuing CA", key: "issuing", extensions: strings.Replace(caExtensions, "authorityKeyIdentifier=keyid\n", "", 1)})
		return presented{leaf: w.issue(t, &ca, good), above: []made{ca}, roots: []made{top}}
	}
	same := func(*spec) {}
	constraint := func(line string) presented {
		return under(func(s *spec) { s.extensions += "nameConstraints=critical," + line + "\n" })
	}
	listed := func(p presented, lists ...string) presented { p.lists = lists; return p }
	onlyLeaf := func(p presented) presented { p.checkedLeaf = true; return p }

	// A branch of its own for each state of revocation, since the lists speak of all that the CA issued.
	type branch struct {
		root, issuing, leaf made
		presented
	}
	grow := func() branch {
		top := w.issue(t, nil, spec{subject: "Root CA", key: "root", extensions: rootExtensions})
		ca := w.issue(t, &top, spec{subject: "Issuing CA", key: "issuing", extensions: caExtensions})
		l := w.issue(t, &ca, good)
		return branch{top, ca, l, presented{leaf: l, above: []made{ca}, roots: []made{top}}}
	}
	revokedLeaf := grow()
	w.revoke(t, revokedLeaf.issuing, revokedLeaf.leaf, "keyCompromise")
	revokedCA := grow()
	w.revoke(t, revokedCA.root, revokedCA.issuing, "CACompromise")
	held := grow()
	w.revoke(t, held.issuing, held.leaf, "certificateHold")
	fresh := grow()

	// A delta that brings a revocation: the base is made before it.
	delta := grow()
	freshest := "freshestCRL=URI:http://ca.todorovic.adds/delta.crl\n"
	base := w.list(t, delta.issuing, freshest)
	quiet := w.list(t, delta.issuing, freshest+"2.5.29.27=critical,DER:020101\n")
	w.revoke(t, delta.issuing, delta.leaf, "superseded")
	telling := w.list(t, delta.issuing, freshest+"2.5.29.27=critical,DER:020101\n")
	tooNew := w.list(t, delta.issuing, freshest+"2.5.29.27=critical,DER:020109\n")
	withDelta := func(lists ...string) presented {
		p := onlyLeaf(listed(delta.presented, lists...))
		p.deltas = true
		return p
	}
	staleList := func(by made) string {
		return w.list(t, by, "", "-crl_lastupdate", stamp(-20), "-crl_nextupdate", stamp(-10))
	}
	scope := func(by made, lines string) string {
		return w.list(t, by, "issuingDistributionPoint=critical,@i\n[i]\n"+lines)
	}
	point := "crlDistributionPoints=URI:http://ca.todorovic.adds/a.crl\n"
	pointed := func() branch {
		b := grow()
		b.leaf = w.issue(t, &b.issuing, with(good, func(s *spec) { s.extensions += point }))
		b.presented.leaf = b.leaf
		return b
	}
	twoTier := w.issue(t, &root, good)
	third := w.issue(t, &issuing, spec{subject: "Third CA", key: "other", extensions: caExtensions})
	limited := w.issue(t, &root, spec{subject: "Issuing CA", key: "issuing", extensions: strings.Replace(caExtensions, "CA:TRUE", "CA:TRUE,pathlen:0", 1)})
	belowLimited := w.issue(t, &limited, spec{subject: "Third CA", key: "other", extensions: caExtensions})
	cross := w.issue(t, &stranger, spec{subject: "Root CA", key: "root", extensions: caExtensions})
	renewed := w.issue(t, nil, spec{subject: "Root CA", key: "root", extensions: rootExtensions, end: stamp(3650)})
	selfSigned := w.issue(t, nil, good)
	pointedA, pointedB := pointed(), pointed()

	cases := map[string]presented{
		"good": leaf(same), "good two tiers": {leaf: twoTier, roots: []made{root}},
		"good three tiers":                       {leaf: w.issue(t, &third, good), above: []made{third, issuing}, roots: []made{root}},
		"order does not matter":                  {leaf: w.issue(t, &third, good), above: []made{issuing, root, third}, roots: []made{root}},
		"superfluous certificates":               {leaf: w.issue(t, &issuing, good), above: []made{stranger, third, issuing}, roots: []made{root}},
		"expired leaf":                           leaf(func(s *spec) { s.start, s.end = stamp(-400), stamp(-1) }),
		"not yet valid leaf":                     leaf(func(s *spec) { s.start, s.end = stamp(1), stamp(400) }),
		"expired CA":                             under(func(s *spec) { s.start, s.end = stamp(-400), stamp(-1) }),
		"not yet valid CA":                       under(func(s *spec) { s.start, s.end = stamp(1), stamp(400) }),
		"expired root":                           below(func(s *spec) { s.start, s.end = stamp(-400), stamp(-1) }),
		"wrong issuer":                           {leaf: w.issue(t, &issuing, good), above: []made{third}, roots: []made{root}},
		"missing intermediate":                   {leaf: w.issue(t, &issuing, good), roots: []made{root}},
		"missing second intermediate":            {leaf: w.issue(t, &third, good), above: []made{third}, roots: []made{root}},
		"untrusted root":                         {leaf: w.issue(t, &issuing, good), above: []made{issuing, root}, roots: []made{stranger}},
		"no root known":                          {leaf: w.issue(t, &issuing, good), above: []made{issuing}, roots: []made{stranger}},
		"self-signed":                            {leaf: selfSigned, roots: []made{root}},
		"self-signed and trusted":                {leaf: selfSigned, roots: []made{selfSigned}},
		"same name, other key":                   {leaf: w.issue(t, &issuing, good), above: []made{w.issue(t, &root, spec{subject: "Issuing CA", key: "other", extensions: caExtensions})}, roots: []made{root}},
		"renewed root, same key":                 {leaf: w.issue(t, &issuing, good), above: []made{issuing}, roots: []made{renewed}},
		"cross-signed root":                      {leaf: w.issue(t, &issuing, good), above: []made{issuing, cross}, roots: []made{stranger}},
		"SHA-1 leaf":                             leaf(func(s *spec) { s.digest = "sha1" }),
		"SHA-1 CA":                               under(func(s *spec) { s.digest = "sha1" }),
		"SHA-1 root":                             below(func(s *spec) { s.digest = "sha1" }),
		"MD5 leaf":                               leaf(func(s *spec) { s.digest = "md5" }),
		"MD5 CA":                                 under(func(s *spec) { s.digest = "md5" }),
		"MD5 root":                               below(func(s *spec) { s.digest = "md5" }),
		"SHA-384 leaf":                           leaf(func(s *spec) { s.digest = "sha384" }),
		"SHA-512 CA":                             under(func(s *spec) { s.digest = "sha512" }),
		"PSS leaf":                               leaf(func(s *spec) { s.pss = true }),
		"PSS CA":                                 under(func(s *spec) { s.pss = true }),
		"1024 bit leaf":                          leaf(func(s *spec) { s.key = "rsa1024" }),
		"1024 bit CA":                            under(func(s *spec) { s.key = "rsa1024" }),
		"512 bit leaf":                           leaf(func(s *spec) { s.key = "rsa512" }),
		"512 bit CA":                             under(func(s *spec) { s.key = "rsa512" }),
		"ECDSA leaf":                             leaf(func(s *spec) { s.key = "p256" }),
		"ECDSA CA":                               under(func(s *spec) { s.key = "p384" }),
		"ECDSA CA with SHA-1":                    {leaf: w.issue(t, ptr(w.issue(t, &root, spec{subject: "EC CA", key: "p256", extensions: caExtensions})), with(good, func(s *spec) { s.digest = "sha1" })), above: []made{last(w)}, roots: []made{root}},
		"ECDSA root":                             below(func(s *spec) { s.key = "p256" }),
		"CA flag missing":                        under(func(s *spec) { s.extensions = strings.Replace(s.extensions, "CA:TRUE", "CA:FALSE", 1) }),
		"CA may not sign certificates":           under(func(s *spec) { s.extensions = strings.Replace(s.extensions, "keyCertSign,", "", 1) }),
		"CA without key usage":                   under(func(s *spec) { s.extensions = "basicConstraints=critical,CA:TRUE\n" }),
		"path length 0, leaf below":              {leaf: w.issue(t, &limited, good), above: []made{limited}, roots: []made{root}},
		"path length exceeded":                   {leaf: w.issue(t, &belowLimited, good), above: []made{belowLimited, limited}, roots: []made{root}},
		"path length of the root exceeded":       below(func(s *spec) { s.extensions = strings.Replace(s.extensions, "CA:TRUE", "CA:TRUE,pathlen:0", 1) }),
		"name permitted":                         constraint("permitted;DNS:todorovic.adds,permitted;DNS:todorovic.fr"),
		"one name not permitted":                 constraint("permitted;DNS:todorovic.adds"),
		"name excluded":                          constraint("excluded;DNS:todorovic.fr"),
		"another name excluded":                  constraint("excluded;DNS:example.org"),
		"unknown critical extension of the leaf": leaf(func(s *spec) { s.extensions += "1.2.3.4=critical,ASN1:UTF8String:x\n" }),
		"unknown extension of the leaf":          leaf(func(s *spec) { s.extensions += "1.2.3.4=ASN1:UTF8String:x\n" }),
		"unknown critical extension of the CA":   under(func(s *spec) { s.extensions += "1.2.3.4=critical,ASN1:UTF8String:x\n" }),
		"client certificate":                     leaf(func(s *spec) { s.extensions = strings.Replace(s.extensions, "serverAuth", "clientAuth", 1) }),
		"no extended key usage":                  leaf(func(s *spec) { s.extensions = strings.Replace(s.extensions, "extendedKeyUsage=serverAuth\n", "", 1) }),
		"server and client":                      leaf(func(s *spec) { s.extensions = strings.Replace(s.extensions, "serverAuth", "serverAuth,clientAuth", 1) }),
		"no alternative names":                   leaf(func(s *spec) { s.extensions = strings.Replace(s.extensions, altNames, "", 1) }),
		"version 1 root":                         below(func(s *spec) { s.extensions = "" }),

		"not revoked":                             listed(fresh.presented, w.list(t, fresh.root, ""), w.list(t, fresh.issuing, "")),
		"revoked leaf":                            listed(revokedLeaf.presented, w.list(t, revokedLeaf.root, ""), w.list(t, revokedLeaf.issuing, "")),
		"revoked CA":                              listed(revokedCA.presented, w.list(t, revokedCA.root, ""), w.list(t, revokedCA.issuing, "")),
		"revoked CA, only the leaf looked at":     onlyLeaf(listed(revokedCA.presented, w.list(t, revokedCA.issuing, ""))),
		"on hold":                                 onlyLeaf(listed(held.presented, w.list(t, held.issuing, ""))),
		"no list of the root":                     listed(fresh.presented, w.list(t, fresh.issuing, "")),
		"stale list":                              onlyLeaf(listed(fresh.presented, staleList(fresh.issuing))),
		"stale list that revokes":                 onlyLeaf(listed(revokedLeaf.presented, staleList(revokedLeaf.issuing))),
		"stale list beside a fresh one":           onlyLeaf(listed(fresh.presented, staleList(fresh.issuing), w.list(t, fresh.issuing, ""))),
		"list not valid yet":                      onlyLeaf(listed(fresh.presented, w.list(t, fresh.issuing, "", "-crl_lastupdate", stamp(2), "-crl_nextupdate", stamp(9)))),
		"list of another issuer":                  onlyLeaf(listed(fresh.presented, w.list(t, stranger, ""))),
		"list signed with another key":            onlyLeaf(listed(fresh.presented, w.list(t, w.issue(t, &fresh.root, spec{subject: "Issuing CA", key: "other", extensions: caExtensions}), ""))),
		"SHA-1 list":                              onlyLeaf(listed(fresh.presented, w.list(t, fresh.issuing, "", "-md", "sha1"))),
		"MD5 list that revokes":                   onlyLeaf(listed(revokedLeaf.presented, w.list(t, revokedLeaf.issuing, "", "-md", "md5"))),
		"PSS list":                                onlyLeaf(listed(fresh.presented, w.list(t, fresh.issuing, "", "-sigopt", "rsa_padding_mode:pss"))),
		"list for CAs only":                       onlyLeaf(listed(fresh.presented, scope(fresh.issuing, "onlyCA=TRUE\n"))),
		"list for users only":                     onlyLeaf(listed(fresh.presented, scope(fresh.issuing, "onlyuser=TRUE\n"))),
		"list for some reasons":                   onlyLeaf(listed(fresh.presented, scope(fresh.issuing, "onlysomereasons=keyCompromise\n"))),
		"list of the certificate's point":         onlyLeaf(listed(pointedA.presented, scope(pointedA.issuing, "fullname=URI:http://ca.todorovic.adds/a.crl\n"))),
		"list of another point":                   onlyLeaf(listed(pointedB.presented, scope(pointedB.issuing, "fullname=URI:http://ca.todorovic.adds/b.crl\n"))),
		"list with an unknown critical extension": onlyLeaf(listed(fresh.presented, w.list(t, fresh.issuing, "1.2.3.4=critical,ASN1:UTF8String:x\n"))),
		"base without its delta":                  withDelta(base),
		"base with a quiet delta":                 withDelta(base, quiet),
		"base with a delta that revokes":          withDelta(base, telling),
		"delta alone":                             withDelta(telling),
		"delta for a newer base":                  withDelta(base, tooNew),
	}
	if len(cases) < 60 {
		t.Errorf("there are only %d chains", len(cases))
	}
	w.compareLists(t, cases)
	// differences are where this package means to judge otherwise than openssl verify, and why.
	differences := map[string]string{}
	for name, p := range cases {
		theirs, ok := w.openssl(t, p)
		why, mine := w.ours(t, p)
		if reason, differs := differences[name]; differs != (mine != ok) {
			t.Errorf("%s: ours %v (%s), openssl %v, difference %q\n%s", name, mine, why, ok, reason, theirs)
		}
	}
}

// compareLists holds each list of the cases against the CA of each case that speaks of it: openssl crl says whether it is signed by it.
func (w *workshop) compareLists(t *testing.T, cases map[string]presented) {
	t.Helper()
	compared := 0
	for name, p := range cases {
		for _, l := range p.lists {
			for _, ca := range append(slices.Clone(p.above), p.roots...) {
				b, err := os.ReadFile(w.path(l))
				if err != nil {
					t.Fatal(err)
				}
				list, err := certs.ParseCRL(b)
				if err != nil {
					t.Fatalf("%s: %v", l, err)
				}
				mine := list.SignedBy(w.parse(t, ca))
				// Without the name of the issuer among those that are known it says that it finds no issuer.
				theirs, _ := w.run(t, "crl", "-in", l, "-noout", "-CAfile", ca.pem(w), "-no-CApath", "-no-CAstore")
				if ok := strings.Contains(theirs, "verify OK"); ok != (mine == nil) {
					t.Errorf("%s: the list %s of %s: ours %v, openssl crl says %s", name, l, ca.name, mine, theirs)
				}
				compared++
			}
		}
	}
	if compared < 40 {
		t.Errorf("only %d lists were compared", compared)
	}
}

func ptr(m made) *made { return &m }

// last is the certificate made last but one: the CA that ptr was just given.
func last(w *workshop) made { return made{name: fmt.Sprintf("c%03d", w.made-1), key: "p256"} }

// TestIssuersAsOpenSSL compares what is read of the files that stand at an AIA address with what openssl reads of them.
func TestIssuersAsOpenSSL(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	root := w.issue(t, nil, spec{subject: "Root CA", key: "root", extensions: rootExtensions})
	issuing := w.issue(t, &root, spec{subject: "Issuing CA", key: "issuing", extensions: caExtensions})
	w.must(t, "x509", "-in", root.pem(w), "-outform", "DER", "-out", "one.crt")
	for _, form := range []string{"DER", "PEM"} {
		w.must(t, "crl2pkcs7", "-nocrl", "-certfile", root.pem(w), "-certfile", issuing.pem(w), "-outform", form, "-out", "two."+form)
	}
	w.must(t, "crl2pkcs7", "-nocrl", "-outform", "DER", "-out", "none.p7c")
	for file, print := range map[string][]string{
		"one.crt": {"x509", "-inform", "DER", "-subject", "-noout"}, root.name + ".pem": {"x509", "-subject", "-noout"},
		"two.DER": {"pkcs7", "-inform", "DER", "-print_certs", "-noout"}, "none.p7c": {"pkcs7", "-inform", "DER", "-print_certs", "-noout"},
	} {
		theirs, _ := w.run(t, append(print, "-in", file)...)
		want := strings.Count(theirs, "subject=")
		b, err := os.ReadFile(w.path(file))
		if err != nil {
			t.Fatal(err)
		}
		found, err := certs.ParseIssuers(b)
		if len(found) != want || (err != nil) != (want == 0) {
			t.Errorf("%s: ours %d (%v), openssl %d\n%s", file, len(found), err, want, theirs)
		}
	}
	b, err := os.ReadFile(w.path("two.PEM"))
	if err != nil {
		t.Fatal(err)
	}
	// The differences: Windows and this package read PKCS #7 at such an address in DER alone, as RFC 5280, section 4.2.2.1, has it.
	if found, err := certs.ParseIssuers(b); err == nil {
		t.Errorf("PKCS #7 in PEM: %d", len(found))
	}
}

// TestOCSPAsOpenSSL compares what is read of OCSP responses made with openssl ocsp with what openssl ocsp says of them.
func TestOCSPAsOpenSSL(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	root := w.issue(t, nil, spec{subject: "Root CA", key: "root", extensions: rootExtensions})
	issuing := w.issue(t, &root, spec{subject: "Issuing CA", key: "issuing", extensions: caExtensions})
	good := spec{subject: "ocs.todorovic.adds", key: "leaf", extensions: leafExtensions}
	leaf, revoked, other := w.issue(t, &issuing, good), w.issue(t, &issuing, good), w.issue(t, &issuing, good)
	twin := w.issue(t, &root, spec{subject: "Issuing CA", key: "issuing", extensions: caExtensions})
	foreign := w.issue(t, &twin, good) // not in the issuing CA's index: unknown to its responder
	w.revoke(t, issuing, revoked, "keyCompromise")
	responder := func(by made, change func(*spec)) made {
		s := spec{subject: "Responder", key: "other", extensions: "keyUsage=digitalSignature\nextendedKeyUsage=OCSPSigning\nauthorityKeyIdentifier=keyid\n"}
		change(&s)
		return w.issue(t, &by, s)
	}
	same := func(*spec) {}
	delegated := responder(issuing, same)
	cases := map[string]struct {
		cert, signer made
		args         []string
		another      bool // the response is held against another certificate than it was asked for
		late         int  // it is held against the time so many days later
	}{
		"good, from the issuer":       {cert: leaf, signer: issuing},
		"good, from a responder":      {cert: leaf, signer: delegated},
		"good, SHA-1":                 {cert: leaf, signer: delegated, args: []string{"-rmd", "sha1"}},
		"good, MD5":                   {cert: leaf, signer: issuing, args: []string{"-rmd", "md5"}},
		"good, PSS":                   {cert: leaf, signer: issuing, args: []string{"-rsigopt", "rsa_padding_mode:pss"}},
		"good, without certificates":  {cert: leaf, signer: issuing, args: []string{"-resp_no_certs"}},
		"responder's is not there":    {cert: leaf, signer: delegated, args: []string{"-resp_no_certs"}},
		"good, named by key":          {cert: leaf, signer: delegated, args: []string{"-resp_key_id"}},
		"revoked":                     {cert: revoked, signer: delegated},
		"revoked, from the issuer":    {cert: revoked, signer: issuing},
		"unknown":                     {cert: foreign, signer: issuing},
		"responder without the right": {cert: leaf, signer: responder(issuing, func(s *spec) { s.extensions = strings.Replace(s.extensions, "OCSPSigning", "serverAuth", 1) })},
		"responder of another issuer": {cert: leaf, signer: responder(root, same)},
		"responder out of date":       {cert: leaf, signer: responder(issuing, func(s *spec) { s.start, s.end = stamp(-30), stamp(-1) })},
		"about another certificate":   {cert: leaf, signer: issuing, another: true},
		"good, six days later":        {cert: leaf, signer: issuing, late: 6},
		"out of date":                 {cert: leaf, signer: issuing, late: 8},
		"revoked, and out of date":    {cert: revoked, signer: issuing, late: 8},
		"responder's ends before":     {cert: leaf, signer: responder(issuing, func(s *spec) { s.end = stamp(3) }), late: 5},
	}
	late := func(days int) time.Time { return time.Now().AddDate(0, 0, days) }
	for name, c := range cases {
		w.must(t, "ocsp", "-issuer", issuing.pem(w), "-cert", c.cert.pem(w), "-no_nonce", "-reqout", "request")
		args := []string{"ocsp", "-index", issuing.name + ".index", "-CA", issuing.pem(w), "-rsigner", c.signer.pem(w), "-rkey", "key-" + c.signer.key,
			"-reqin", "request", "-respout", "response", "-ndays", "7"}
		w.must(t, append(args, c.args...)...)
		held := c.cert
		if c.another {
			held = other
		}
		theirs, ok := w.at(t, late(c.late), "ocsp", "-respin", "response", "-issuer", issuing.pem(w), "-cert", held.pem(w), "-no_nonce", "-CAfile", root.pem(w), "-verify_other", issuing.pem(w))
		want := "refused"
		if ok && strings.Contains(theirs, "Response verify OK") {
			for _, status := range []string{"good", "revoked", "unknown"} {
				if strings.Contains(theirs, ".pem: "+status) {
					want = status
				}
			}
			if strings.Contains(theirs, "Status times invalid") {
				want = "out of date"
			}
		}
		b, err := os.ReadFile(w.path("response"))
		if err != nil {
			t.Fatal(err)
		}
		o, err := certs.ParseOCSP(b, w.parse(t, held), w.parse(t, issuing), late(c.late))
		got := "refused"
		if err == nil {
			got = map[certs.OCSPStatus]string{certs.Good: "good", certs.Revoked: "revoked", certs.Unknown: "unknown"}[o.Status]
			if o.ThisUpdate.IsZero() || o.NextUpdate.Before(time.Now().AddDate(0, 0, 6)) {
				t.Errorf("%s: from %v to %v", name, o.ThisUpdate, o.NextUpdate)
			}
			if _, fresh := o.Fresh(late(c.late)); !fresh {
				got = "out of date"
			}
		}
		if got != want {
			t.Errorf("%s: ours %s (%v), openssl %s\n%s", name, got, err, want, theirs)
		}
	}
}
