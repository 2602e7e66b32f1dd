package main

import (
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/hostdump"
	"ocsdoctor/checks/evidence/live"
	"ocsdoctor/checks/evidence/live/krb"
)

// scopeFlags say what is to be judged and how it is reached.
type scopeFlags struct {
	config         string
	adDomain       string
	sipDomains     []string
	servers        []string
	dns            []string
	dnsExternal    []string
	dcs            []string
	user           string
	passwordFile   string
	kerberos       bool
	keytab         string
	allowCleartext bool
	hostDumps      []string
	roots          []string
	systemRoots    bool
	connect        []string
	phase          string
	before         string
	checkUsers     []string
	proxy          string
	userAgent      string
	// sipUser is the test account of a sign-in, whose flags signin alone has.
	sipUser, sipPasswordFile string
	manual                   string
	// manualPort is the port of manual where it names none.
	manualPort int
	// signIn is the SIP domain of the user whose sign-in is walked: then no other is judged.
	signIn string
}

// defaultUserAgent is that of Communicator 2007 R2: the server's Client Version Filter reads it.
const defaultUserAgent = "UCCAPI/3.5.6907.0 OC/3.5.6907.0 (Microsoft Office Communicator 2007 R2)"

// scopeNames are the flags that belong to the scope; a bundle or a lab brings its own.
var scopeNames = []string{
	"ad-domain", "sip-domain", "server", "dns", "dns-external", "dc", "user", "password-file", "kerberos", "keytab",
	"allow-cleartext", "host-dump", "roots", "system-roots", "connect", "proxy", "user-agent",
}

func (f *scopeFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.config, "config", "", "`FILE` in YAML with any of these flags as keys; flags win over the environment (OCSDOCTOR_*), which wins over the file")
	fs.StringVar(&f.adDomain, "ad-domain", "", "AD `DOMAIN` (DNS name)")
	fs.StringSliceVar(&f.sipDomains, "sip-domain", nil, "SIP `DOMAIN`; repeatable; default: those defined in AD (needs --user)")
	fs.StringSliceVar(&f.servers, "server", nil, "`FQDN` of an OCS server; repeatable; default: those listed in AD, or where sign-in leads")
	fs.StringSliceVar(&f.dns, "dns", nil, "resolver `HOST[:PORT]` of the inside view; repeatable; default: the system's")
	fs.StringSliceVar(&f.dnsExternal, "dns-external", nil, "resolver `HOST[:PORT]` of the outside view; repeatable")
	fs.StringSliceVar(&f.dcs, "dc", nil, "domain controller `HOST[:PORT]`; repeatable; default: those published in DNS")
	fs.StringVar(&f.user, "user", "", "`ACCOUNT` for LDAP and SMB, DOMAIN\\user or user@domain; the password comes from --password-file, OCSDOCTOR_PASSWORD or a prompt")
	fs.StringVar(&f.passwordFile, "password-file", "", "`FILE` whose first line is the password")
	fs.BoolVar(&f.kerberos, "kerberos", false, "read the directory and the servers as the account of the Kerberos ticket cache (KRB5CCNAME, or what kinit writes)")
	fs.StringVar(&f.keytab, "keytab", "", "`FILE` with the Kerberos key of --user U@REALM, instead of a password")
	fs.BoolVar(&f.allowCleartext, "allow-cleartext", false, "allow the LDAP password to travel without TLS")
	fs.StringArrayVar(&f.hostDumps, "host-dump", nil, "folder or ZIP file that collect.cmd wrote on a server, `[FQDN=]PATH`; it answers for that server; repeatable; see ocsdoctor collector")
	fs.StringArrayVar(&f.roots, "roots", nil, "PEM `FILE` of trust anchors besides those published in AD; repeatable")
	fs.BoolVar(&f.systemRoots, "system-roots", false, "trust this machine's own roots too")
	fs.StringArrayVar(&f.connect, "connect", nil, "dial ADDR:PORT wherever HOST:PORT would be dialled, `HOST:PORT=ADDR:PORT`; also HOST:*=ADDR and *:PORT=ADDR:PORT; repeatable")
	fs.StringVar(&f.phase, "phase", facts.PhaseAuto, "`PHASE` to judge: auto, pre-install or post-install")
	fs.StringVar(&f.before, "before", "", "gate one `STEP` of a deployment: "+strings.Join(checks.StepNames(), ", "))
	fs.StringSliceVar(&f.checkUsers, "check-user", nil, "judge the user with the SIP `URI` by himself, besides the counts of all; repeatable")
	fs.StringVar(&f.proxy, "proxy", "", "fetch revocation lists and OCSP answers by the HTTP proxy at `URL` too; each way has its own verdict")
	fs.StringVar(&f.manual, "manual", "", "the clients are configured by hand with the server `HOST[:PORT]`, and do not look for it in DNS")
	fs.StringVar(&f.userAgent, "user-agent", defaultUserAgent, "User-Agent `TEXT` of SIP requests")
}

// notInFile are flags that make no sense in a configuration file or the environment.
var notInFile = []string{"config", "from", "save-bundle", "lab", "dry-run", "help", "verbose", "quiet"}

// fillFlags gives every flag that was not on the command line the value of the environment, or else of the file.
func fillFlags(c *cobra.Command, configFile string, getenv func(string) string) error {
	given := map[string]bool{}
	c.Flags().Visit(func(f *pflag.Flag) { given[f.Name] = true })
	if c.Name() != "scan" {
		given["output"] = true // what a file says of reports is meant for scan
	}
	var failed error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		name := "OCSDOCTOR_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v := getenv(name)
		if v == "" || given[f.Name] || slices.Contains(notInFile, f.Name) || failed != nil {
			return
		}
		if err := f.Value.Set(v); err != nil {
			failed = usage("unset it or correct it", "%s: %v", name, err)
			return
		}
		given[f.Name] = true
	})
	if failed != nil || configFile == "" {
		return failed
	}
	b, err := readBounded(configFile, 1<<20)
	if err != nil {
		return usage("", "--config: %v", err)
	}
	return fillFromYAML(c.Flags(), configFile, b, given)
}

// yamlProblem is what a parser of YAML says, in one line and with its place as other errors have it: ":3:1: it is defined twice". The
// parser's own text begins with [line:column] and goes on with the lines of the file.
func yamlProblem(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	place, what, ok := strings.Cut(strings.TrimPrefix(text, "["), "] ")
	if !ok || !strings.HasPrefix(text, "[") {
		return ": " + text
	}
	return ":" + place + ": " + what
}

// fillFromYAML reads a mapping of flag names to scalars or lists of scalars. Errors name line and column.
func fillFromYAML(fs *pflag.FlagSet, name string, b []byte, given map[string]bool) error {
	file, err := parser.ParseBytes(b, 0)
	if err != nil {
		return usage("the file is a list of KEY: VALUE lines, see the README", "%s%s", name, yamlProblem(err))
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		var pairs []*ast.MappingValueNode
		switch m := doc.Body.(type) {
		case *ast.MappingNode:
			pairs = m.Values
		case *ast.MappingValueNode:
			pairs = []*ast.MappingValueNode{m}
		case *ast.CommentGroupNode, *ast.NullNode:
		default:
			return usage("the file is a list of KEY: VALUE lines, see the README", "%s: it is not a mapping", name)
		}
		for _, p := range pairs {
			key, pos := p.Key.GetToken().Value, p.Key.GetToken().Position
			f := fs.Lookup(key)
			if f == nil && !slices.Contains(notInFile, key) && (scanCommand(streams{}).Flags().Lookup(key) != nil || signinCommand(streams{}).Flags().Lookup(key) != nil) {
				continue // one file serves all verbs
			}
			if f == nil || slices.Contains(notInFile, key) {
				return usage("the keys are the flags of ocsdoctor scan --help", "%s:%d:%d: unknown key %q", name, pos.Line, pos.Column, key)
			}
			values, err := scalars(p.Value)
			if err != nil {
				return usage("", "%s:%d:%d: %s: %v", name, pos.Line, pos.Column, key, err)
			}
			if given[key] {
				continue
			}
			if list, ok := f.Value.(pflag.SliceValue); ok {
				err = list.Replace(values)
			} else if len(values) != 1 {
				err = errors.New("it takes one value")
			} else {
				err = f.Value.Set(values[0])
			}
			if err != nil {
				return usage("", "%s:%d:%d: %s: %v", name, pos.Line, pos.Column, key, err)
			}
		}
	}
	return nil
}

func scalars(n ast.Node) ([]string, error) {
	switch n := n.(type) {
	case *ast.SequenceNode:
		var out []string
		for _, v := range n.Values {
			s, err := scalars(v)
			if err != nil || len(s) != 1 {
				return nil, errors.New("the list holds something else than plain values")
			}
			out = append(out, s[0])
		}
		return out, nil
	case *ast.NullNode:
		return nil, errors.New("it has no value")
	case ast.ScalarNode:
		return []string{fmt.Sprint(n.GetValue())}, nil
	}
	return nil, errors.New("it takes a value or a list of values")
}

// scope turns the flags into the fact that says what was asked.
func (f *scopeFlags) scope(ctx context.Context, dumps []*hostdump.Dump) (facts.Scope, error) {
	s := facts.Scope{
		ADDomain: facts.Host(f.adDomain), SIPDomains: hosts(f.sipDomains), Servers: hosts(f.servers),
		LDAPUser: f.user, AllowCleartext: f.allowCleartext,
		RootsGiven: len(f.roots) > 0, SystemRoots: f.systemRoots,
	}
	s.Kerberos, s.Keytab = f.kerberos, f.keytab != ""
	collected(&s, dumps)
	if s.ADDomain == "" && len(s.SIPDomains) == 0 && len(s.Servers) == 0 && len(f.dcs) == 0 {
		for _, d := range dumps { // then they are what there is to judge
			s.Servers = append(s.Servers, d.Server)
		}
	}
	s.Name = s.ADDomain
	if err := f.ask(&s); err != nil {
		return s, err
	}
	for _, list := range [][]string{s.SIPDomains, s.Servers, {s.ADDomain}} {
		for _, name := range list {
			if strings.ContainsAny(name, " /:@\t\r\n") || strings.HasPrefix(name, ".") || strings.Contains(name, "..") {
				return s, usage("give a DNS name such as todorovic.adds", "%q is not a DNS name", name)
			}
			if facts.IsAddress(name) {
				return s, usage("give the name, and --connect NAME:*="+name+" if DNS does not know it", "%s is an address; certificates and AD know names", name)
			}
		}
	}
	if s.ADDomain == "" && len(s.SIPDomains) == 0 && len(s.Servers) == 0 && len(f.dcs) == 0 {
		return s, usage("try: ocsdoctor scan --ad-domain AD.DOMAIN --sip-domain SIP.DOMAIN, or ocsdoctor scan --lab todorovic",
			"nothing to scan was named")
	}
	if f.proxy != "" && !isProxy(f.proxy) {
		// The value is not shown: it may hold a password.
		return s, usage("give http://HOST:PORT, without a user name", "--proxy takes the URL of an HTTP proxy")
	}
	s.Proxy = f.proxy
	for _, dc := range f.dcs {
		host, port := facts.SplitHostPort(dc, 389)
		if port == 389 {
			s.DCs = append(s.DCs, host)
		} else {
			s.DCs = append(s.DCs, facts.JoinHostPort(host, port))
		}
	}
	for _, file := range f.roots {
		ders, err := readRoots(file)
		if err != nil {
			return s, usage("give a file with certificates in PEM form", "--roots: %v", err)
		}
		s.Roots = append(s.Roots, ders...)
	}
	inside := f.dns
	if len(inside) == 0 {
		var err error
		if inside, err = systemResolvers(); err != nil {
			return s, usage("give --dns HOST", "the system's resolvers could not be read: %v", err)
		}
	}
	for view, list := range map[string][]string{facts.Inside: inside, facts.Outside: f.dnsExternal} {
		for i, r := range list {
			addr, err := resolverAddress(ctx, r)
			if err != nil {
				return s, usage("give the resolver's address", "--dns %s: %v", r, err)
			}
			s.Resolvers = append(s.Resolvers, facts.Resolver{ID: fmt.Sprintf("%s#%d", view, i+1), View: view, Address: addr})
		}
	}
	slices.SortStableFunc(s.Resolvers, func(a, b facts.Resolver) int { return strings.Compare(a.View, b.View) })
	return s, nil
}

// dumps reads the collected folders that were given.
func (f *scopeFlags) dumps() ([]*hostdump.Dump, error) {
	var out []*hostdump.Dump
	for _, given := range f.hostDumps {
		server, name := "", given
		if host, rest, ok := strings.Cut(given, "="); ok && facts.IsHostName(facts.Host(host)) {
			if _, err := os.Stat(given); err != nil {
				server, name = facts.Host(host), rest
			}
		}
		d, err := hostdump.Open(name)
		if err != nil {
			return nil, usage("give the folder that collect.cmd wrote, or a ZIP file of it; see ocsdoctor collector --help", "--host-dump %s: %v", name, err)
		}
		if server != "" {
			d.Server = server
		}
		if !facts.IsHostName(d.Server) || !strings.Contains(d.Server, ".") {
			return nil, usage("write --host-dump FQDN="+name, "--host-dump %s: it does not say the FQDN of its server", name)
		}
		for _, other := range out {
			if other.Server == d.Server {
				return nil, usage("give one of them", "--host-dump: %s and %s are both of %s", other.Name, d.Name, d.Server)
			}
		}
		if len(f.servers) > 0 && !slices.Contains(hosts(f.servers), d.Server) {
			return nil, usage("name it with --server too, or write --host-dump SERVER="+name+" if it is called otherwise",
				"--host-dump %s: it was collected on %s, which is not among the servers to judge", name, d.Server)
		}
		out = append(out, d)
	}
	return out, nil
}

// collected puts what collected folders there are into a scope.
func collected(s *facts.Scope, dumps []*hostdump.Dump) {
	for _, d := range dumps {
		c := facts.HostDump{Server: d.Server, Name: d.Name}
		if !d.At.IsZero() {
			c.At = &d.At
		}
		s.HostDumps = append(s.HostDumps, c)
	}
}

// isProxy tells whether a URL is that of an HTTP proxy that takes no password.
func isProxy(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	host := facts.Host(u.Hostname())
	port, err := strconv.Atoi(cmp.Or(u.Port(), "80"))
	return (facts.IsHostName(host) || facts.IsAddress(host)) && err == nil && port > 0 && port < 65536
}

// ask puts what is asked of a deployment, whoever names it, into its scope: the phase, the step and the users. A lab may ask for a step
// and for users too.
func (f *scopeFlags) ask(s *facts.Scope) error {
	s.Phase, s.Before, s.UserAgent, s.SIPUser = f.phase, cmp.Or(f.before, s.Before), f.userAgent, f.sipUser
	if f.signIn != "" {
		signInScope(s, f.signIn)
		s.Before = f.before
	}
	if err := f.byHand(s); err != nil {
		return err
	}
	switch f.phase {
	case facts.PhaseAuto, facts.PhasePreInstall, facts.PhasePostInstall:
	default:
		return usage("use auto, pre-install or post-install", "--phase %q", f.phase)
	}
	for _, uri := range f.checkUsers {
		address, _, ok := sipAddress(uri)
		if !ok {
			return usage("give the address as sip:user@"+cmp.Or(slices.Concat(s.SIPDomains, []string{s.ADDomain, "domain"})...), "--check-user %q is no SIP address", uri)
		}
		s.CheckUsers = append(s.CheckUsers, address)
	}
	if s.Before == "" {
		return nil
	}
	step, ok := checks.ParseStep(s.Before)
	if !ok {
		return usage("use one of "+strings.Join(checks.StepNames(), ", "), "--before %q", s.Before)
	}
	phase := facts.PhasePreInstall
	if step > checks.Activation {
		phase = facts.PhasePostInstall // the server is installed by then
	}
	if f.phase != facts.PhaseAuto && f.phase != phase {
		return usage("leave one of them out", "--before %s belongs to the phase %s, not to --phase %s", s.Before, phase, f.phase)
	}
	s.Phase = phase
	return nil
}

// byHand puts the server with which the clients are configured by hand into a scope. A lab may have one of its own.
func (f *scopeFlags) byHand(s *facts.Scope) error {
	if f.manual == "" {
		return nil
	}
	host, port := facts.SplitHostPort(f.manual, cmp.Or(f.manualPort, facts.SIPPort))
	if !facts.IsHostName(host) && !facts.IsAddress(host) {
		return usage("give what stands in the clients' settings, such as ocs.todorovic.adds or ocs.todorovic.adds:5061", "--manual %q is no server", f.manual)
	}
	s.Manual = facts.JoinHostPort(host, port)
	return nil
}

// signInScope leaves in a scope one SIP domain, and the phase in which users sign in unless another was named.
func signInScope(s *facts.Scope, domain string) {
	s.SIPDomains, s.CheckUsers = []string{domain}, nil
	if s.Phase == facts.PhaseAuto || s.Phase == "" {
		s.Phase = facts.PhasePostInstall
	}
}

// sipAddress reads the address of a user, "sip:user@domain", in lower case.
func sipAddress(s string) (uri, domain string, ok bool) {
	uri = strings.ToLower(strings.TrimSpace(s))
	name, ok := strings.CutPrefix(uri, "sip:")
	user, domain, _ := strings.Cut(name, "@")
	ok = ok && user != "" && facts.IsHostName(domain) && !strings.HasPrefix(domain, ".") && !strings.HasSuffix(domain, ".") &&
		!strings.Contains(domain, "..") && !strings.ContainsAny(user, " \t\r\n")
	return uri, domain, ok
}

// resolverAddress is ADDR:PORT of a resolver; one that is given by name is looked up with the system's resolver.
func resolverAddress(ctx context.Context, s string) (string, error) {
	host, port := facts.SplitHostPort(s, 53)
	if _, err := netip.ParseAddr(host); err == nil {
		return facts.JoinHostPort(host, port), nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil || len(addrs) == 0 {
		return "", fmt.Errorf("the name %s leads to no address", host)
	}
	return facts.JoinHostPort(addrs[0], port), nil
}

// readRoots reads the certificates of a PEM file.
func readRoots(name string) ([][]byte, error) {
	b, err := readBounded(name, 16<<20)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			out = append(out, block.Bytes)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no PEM certificate", name)
	}
	return out, nil
}

// credentials adds what proves the account: a ticket cache, a keytab or a password. With a ticket cache the account is
// the one whose tickets it holds.
func (f *scopeFlags) credentials(s streams, o *live.Options) error {
	var err error
	switch {
	case f.kerberos && f.keytab != "":
		return usage("choose one", "--kerberos and --keytab together")
	case f.kerberos && f.user != "":
		return usage("leave --user out, or choose --keytab or --password-file", "--kerberos takes the account from the ticket cache")
	case f.kerberos:
		return readTickets(o)
	case f.keytab != "":
		return f.readKeytab(o)
	}
	o.Password, err = f.password(s)
	return err
}

// readTickets reads the ticket cache.
func readTickets(o *live.Options) error {
	const hint = "run kinit U@REALM first; klist shows what there is"
	name, err := ticketCache(os.Getenv("KRB5CCNAME"), os.Getuid())
	if err != nil {
		return usage("run kinit -c FILE:tickets U@REALM and set KRB5CCNAME=FILE:tickets", "--kerberos: %v", err)
	}
	b, err := readBounded(name, maxCredentials)
	if err != nil {
		return usage(hint, "--kerberos: %v", err)
	}
	cache, err := krb.ReadCache(b)
	if err == nil {
		err = cache.Usable(time.Now())
	}
	if err != nil {
		return usage(hint, "--kerberos: %s: %v", name, err)
	}
	o.TicketCache, o.Scope.LDAPUser = b, cache.Principal()
	return nil
}

// maxCredentials bounds a keytab or ticket cache.
const maxCredentials = 4 << 20

// ticketCache is the file that KRB5CCNAME names, or else the one that MIT and Heimdal use on Unix.
func ticketCache(name string, uid int) (string, error) {
	if name == "" {
		if uid < 0 { // Windows keeps tickets in memory
			return "", errors.New("KRB5CCNAME does not name a ticket cache")
		}
		return fmt.Sprintf("/tmp/krb5cc_%d", uid), nil
	}
	kind, path, ok := strings.Cut(name, ":")
	switch {
	case !ok || len(kind) == 1: // a path, on Windows with its drive
		return name, nil
	case kind == "FILE":
		return path, nil
	}
	return "", fmt.Errorf("a ticket cache of the kind %s is not read, only FILE", kind)
}

// readKeytab reads the keytab, which must have a key of the account.
func (f *scopeFlags) readKeytab(o *live.Options) error {
	const hint = "klist -k -e shows the names and kinds of key in it"
	name, realm, ok := strings.Cut(f.user, "@")
	if !ok || name == "" || realm == "" {
		return usage("give --user U@REALM", "--keytab takes the name of the account in it")
	}
	o.Scope.LDAPUser = name + "@" + strings.ToUpper(realm)
	b, err := readBounded(f.keytab, maxCredentials)
	if err != nil {
		return usage("", "--keytab: %v", err)
	}
	k, err := krb.ReadKeytab(b)
	if err != nil {
		return usage(hint, "--keytab: %s: %v", f.keytab, err)
	}
	if !k.Has(o.Scope.LDAPUser) {
		return usage(hint, "--keytab: %s has no key of %s of the kinds AES and RC4", f.keytab, o.Scope.LDAPUser)
	}
	o.Keytab = b
	return nil
}

// password is the account's.
func (f *scopeFlags) password(s streams) (string, error) {
	return readPassword(s, f.user, f.passwordFile, "password-file", "OCSDOCTOR_PASSWORD")
}

// readPassword is that of an account: from the file that a flag names, the environment, or a prompt on a terminal. Without an account there is none.
func readPassword(s streams, account, file, flag, variable string) (string, error) {
	if account == "" {
		return "", nil
	}
	if file != "" {
		b, err := readBounded(file, 4096)
		if err != nil {
			return "", usage("", "--%s: %v", flag, err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		return strings.TrimSuffix(line, "\r"), nil
	}
	if p := os.Getenv(variable); p != "" {
		return p, nil
	}
	in, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", usage("give --"+flag+" FILE or set "+variable, "no password for %s", account)
	}
	fmt.Fprintf(s.err, "Password of %s: ", account)
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(s.err)
	if err != nil {
		return "", usage("give --"+flag+" FILE", "the password could not be read: %v", err)
	}
	return string(b), nil
}

func hosts(in []string) []string {
	out := []string{}
	for _, s := range in {
		if h := facts.Host(s); h != "" && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// readBounded reads a file that must not be larger than limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return b, nil
}
