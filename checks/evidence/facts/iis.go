package facts

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/ntds"
)

// WebServer is IIS as it is configured on a server, and what HTTP.SYS, which terminates TLS for it, has bound.
type WebServer struct {
	// Installed tells that IIS has a configuration.
	Installed bool `json:"installed,omitempty"`
	// Generation is 6 on Windows Server 2003, whose configuration is the metabase, and 7 later.
	Generation int       `json:"generation,omitempty"`
	Sites      []WebSite `json:"sites,omitempty"`
	Pools      []WebPool `json:"pools,omitempty"`
	// Stale are the hashes of certificates in properties with the id 5506, which remain of a metabase: upper-case hexadecimal.
	Stale []StaleHash `json:"stale,omitempty"`
	// TLS are the certificates that HTTP.SYS has bound, by address and port.
	TLS []TLSBinding `json:"tls,omitempty"`
	// Config and HTTP are the facts from which the configuration and the bindings of HTTP.SYS were read.
	Config evidence.Key `json:"config"`
	HTTP   evidence.Key `json:"http"`
}

// WebSite is one site.
type WebSite struct {
	Name        string         `json:"name"`
	ID          string         `json:"id"`
	Bindings    []WebBinding   `json:"bindings,omitempty"`
	Directories []WebDirectory `json:"directories,omitempty"`
}

// WebBinding is where a site listens.
type WebBinding struct {
	Protocol string `json:"protocol"`
	// Address is empty for all addresses; Host is empty for every name.
	Address string `json:"address,omitempty"`
	Port    int    `json:"port"`
	Host    string `json:"host,omitempty"`
}

// WebDirectory is a virtual directory, or the root of an application, with the authentication in force there.
type WebDirectory struct {
	// Path begins with a slash: "/Abs/Int".
	Path     string `json:"path"`
	Pool     string `json:"pool,omitempty"`
	Physical string `json:"physical,omitempty"`
	// Windows tells that Windows authentication is on; KernelMode that HTTP.SYS does it, with the key of the machine unless PoolCredentials.
	Windows         bool `json:"windows,omitempty"`
	KernelMode      bool `json:"kernelMode,omitempty"`
	PoolCredentials bool `json:"poolCredentials,omitempty"`
}

// WebPool is an application pool.
type WebPool struct {
	Name string `json:"name"`
	// Identity is the account that it runs as, or the kind of account: "NetworkService".
	Identity string `json:"identity,omitempty"`
}

// StaleHash is the certificate that a property with the id 5506 names for a path of the metabase: "LM/W3SVC/1".
type StaleHash struct {
	Path string `json:"path"`
	Hash string `json:"hash"`
}

// TLSBinding is a certificate that HTTP.SYS has bound.
type TLSBinding struct {
	// Name is the name of its key: "0.0.0.0:443". Address and Port are its parts; Address is "0.0.0.0" for all.
	Name    string `json:"name"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	// Hash is the thumbprint in upper-case hexadecimal; empty when the binding has none.
	Hash  string `json:"hash,omitempty"`
	Store string `json:"store"`
	// App is the application that made the binding, upper case in braces; that of IIS is [AppIIS].
	App string `json:"app,omitempty"`
}

// AppIIS is the application identifier of IIS.
const AppIIS = "{4DC3E181-E14B-4A21-B022-59FC669B0914}"

// The directories of OCS that are looked for, as its setup names them; case does not matter.
const (
	AddressBookPath       = "/Abs/Int"
	GroupExpansionPath    = "/GroupExpansion/Int"
	ConferencePath        = "/Conf/Int"
	PhoneConferencingPath = "/PhoneConferencing/Int"
)

// OCSPaths are those directories.
var OCSPaths = []string{AddressBookPath, GroupExpansionPath, ConferencePath, PhoneConferencingPath}

// Directory is the directory of that path.
func (s WebSite) Directory(path string) (WebDirectory, bool) {
	i := slices.IndexFunc(s.Directories, func(d WebDirectory) bool { return strings.EqualFold(d.Path, path) })
	if i < 0 {
		return WebDirectory{}, false
	}
	return s.Directories[i], true
}

// OCS is the site that carries most of the directories of OCS; ok is false when none has one.
func (w WebServer) OCS() (site WebSite, ok bool) {
	most := 0
	for _, s := range w.Sites {
		n := 0
		for _, path := range OCSPaths {
			if _, has := s.Directory(path); has {
				n++
			}
		}
		if n > most {
			site, most = s, n
		}
	}
	return site, most > 0
}

// Pool is the application pool of that name.
func (w WebServer) Pool(name string) (WebPool, bool) {
	i := slices.IndexFunc(w.Pools, func(p WebPool) bool { return strings.EqualFold(p.Name, name) })
	if i < 0 {
		return WebPool{}, false
	}
	return w.Pools[i], true
}

// Bound is what HTTP.SYS takes for a connection to one of the addresses: a binding of the very address comes before that of all.
func (w WebServer) Bound(addresses []string, port int) (TLSBinding, bool) {
	for _, wanted := range append(slices.Clone(addresses), "0.0.0.0", "::") {
		a, err := netip.ParseAddr(wanted)
		if err != nil {
			continue
		}
		for _, b := range w.TLS {
			if bound, err := netip.ParseAddr(b.Address); err == nil && bound == a && b.Port == port {
				return b, true
			}
		}
	}
	return TLSBinding{}, false
}

// Covers tells whether a binding takes connections to one of the addresses.
func (b WebBinding) Covers(addresses []string) bool {
	return b.Address == "" || slices.Contains(addresses, b.Address)
}

// HostWebServer is IIS on a server. Passwords of its configuration are not read.
var HostWebServer = &evidence.Kind[ServerQuestion, WebServer]{
	Name:   "host.web-server",
	Doc:    "the sites, bindings, directories and application pools of IIS on a server, and the certificates that HTTP.SYS has bound",
	Needs:  []evidence.AnyKind{HostWindows, File, Registry},
	Derive: deriveWebServer,
}

// WebConfigFile is where IIS has its configuration on a Windows.
func WebConfigFile(host string, w Windows) FileQuestion {
	if w.Version == Windows2003 {
		return FileQuestion{host, w.SystemRoot + `\System32\inetsrv\MetaBase.xml`}
	}
	return FileQuestion{host, w.SystemRoot + `\System32\inetsrv\config\applicationHost.config`}
}

func deriveWebServer(r *evidence.Reader, q ServerQuestion) (WebServer, error) {
	win, err := HostWindows.Get(r, q)
	if err != nil {
		return WebServer{}, err
	}
	file := WebConfigFile(q.FQDN, win)
	bindings := RegistryQuestion{Host: q.FQDN, Key: currentControlSet + `\Services\HTTP\Parameters\SslBindingInfo`, Depth: 1, Values: []string{"AppId", "SslCertHash", "SslCertStoreName"}}
	var config FileData
	var bound RegistryKey
	var errs [2]error
	evidence.Parallel(
		func() { config, errs[0] = File.Get(r, file) },
		func() { bound, errs[1] = Registry.Get(r, bindings) },
	)
	if err := errors.Join(errs[:]...); err != nil {
		return WebServer{}, err
	}
	w := WebServer{}
	if config.Exists {
		read := ReadWebConfig
		if win.Version == Windows2003 {
			read = ReadMetabase
		}
		if max(config.Size, int64(len(config.Content))) > maxWebConfig { // what was read of it may be shorter for want of its secrets
			err = fmt.Errorf("it is longer than %d KiB", maxWebConfig>>10)
		} else {
			w, err = read(config.Content)
		}
		if err != nil {
			return WebServer{}, evidence.FailAt(evidence.Protocol, file.Path+" of "+q.FQDN+" cannot be read: "+err.Error(), File.Key(file))
		}
	}
	for _, k := range bound.Keys {
		w.TLS = append(w.TLS, tlsBinding(k))
	}
	w.Installed, w.Config, w.HTTP = config.Exists, File.Key(file), Registry.Key(bindings)
	return w, nil
}

// tlsBinding reads a key below SslBindingInfo. AppId is a text or 16 bytes.
func tlsBinding(k RegistryKey) TLSBinding {
	address, port := SplitHostPort(k.Name, 0)
	b := TLSBinding{Name: k.Name, Address: address, Port: port, Store: k.Text("SslCertStoreName"), Hash: strings.ToUpper(hex.EncodeToString(k.Bytes("SslCertHash")))}
	if b.Store == "" {
		b.Store = StoreMY
	}
	if v, _ := k.Value("AppId"); v.Type == RegBinary {
		if id, err := ntds.ParseGUID(v.Data); err == nil {
			b.App = "{" + strings.ToUpper(string(id)) + "}"
		}
	} else {
		b.App = strings.ToUpper(k.Text("AppId"))
	}
	return b
}

const (
	// maxWebConfig is how much of a file is read; see [File].
	maxWebConfig = 1 << 20
	// maxXMLDepth bounds how deep the elements of a configuration nest; that of IIS has about ten levels.
	maxXMLDepth = 64
	// maxWebPath bounds the path of a directory or node, whose every part is looked up: a longer one is none that is asked about.
	maxWebPath = 512
)

// element is an element of a configuration: its names in lower case, from the outermost on, and its attributes by lower-case name.
type element struct {
	path       []string
	attributes map[string]string
}

// under tells whether the innermost elements have those names.
func (e element) under(names ...string) bool {
	return len(e.path) >= len(names) && slices.Equal(e.path[len(e.path)-len(names):], names)
}

// walkXML calls enter at the start of each element and leave at its end. A document type, and with it every entity, is refused.
func walkXML(content []byte, enter, leave func(element)) error {
	d := xml.NewDecoder(bytes.NewReader(content))
	// What is in UTF-16 has been decoded by then, whatever the declaration says; other bytes than UTF-8 are refused by the decoder.
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var open []element
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if len(open) > 0 || d.InputOffset() == 0 {
				return errors.New("it breaks off")
			}
			return nil
		}
		if err != nil {
			line, _ := d.InputPos()
			return fmt.Errorf("line %d is no XML", line)
		}
		switch t := token.(type) {
		case xml.Directive:
			return errors.New("it declares a document type")
		case xml.StartElement:
			if len(open) == maxXMLDepth {
				return fmt.Errorf("its elements nest more than %d deep", maxXMLDepth)
			}
			e := element{attributes: map[string]string{}}
			if len(open) > 0 {
				e.path = slices.Clone(open[len(open)-1].path)
			}
			e.path = append(e.path, strings.ToLower(t.Name.Local))
			for _, a := range t.Attr {
				e.attributes[strings.ToLower(a.Name.Local)] = a.Value
			}
			open = append(open, e)
			enter(e)
		case xml.EndElement:
			last := open[len(open)-1] // the decoder saw to it that it is there
			open = open[:len(open)-1]
			leave(last)
		}
	}
}

// authentication is what one place of a configuration says of Windows authentication; nil where it says nothing.
type authentication struct{ enabled, kernelMode, poolCredentials *bool }

// over is a with what it leaves open taken from the place above.
func (a authentication) over(above authentication) authentication {
	pick := func(own, above *bool) *bool {
		if own != nil {
			return own
		}
		return above
	}
	return authentication{pick(a.enabled, above.enabled), pick(a.kernelMode, above.kernelMode), pick(a.poolCredentials, above.poolCredentials)}
}

func truth(s string, given bool) *bool {
	if !given {
		return nil
	}
	b := strings.EqualFold(s, "true") || s == "1"
	return &b
}

// configReader gathers what stands where in applicationHost.config.
type configReader struct {
	w           *WebServer
	application string // the path of the one that is open
	pool        string
	defaultPool string
	identity    WebPool // the defaults of application pools
	inPool      bool
	metaPath    string
	location    string
	// places are what each place says, by lower-case path; "" is the whole server.
	places map[string]authentication
	own    map[string]bool // pools that say themselves who they run as
}

// ReadWebConfig reads applicationHost.config of IIS 7: sites, pools and stale hashes. The error says what is wrong with it.
func ReadWebConfig(content []byte) (WebServer, error) {
	w := &WebServer{Generation: 7}
	c := &configReader{w: w, places: map[string]authentication{}, own: map[string]bool{}}
	if err := walkXML(plainText(content), c.enter, c.leave); err != nil {
		return WebServer{}, err
	}
	for i, p := range w.Pools {
		if !c.own[strings.ToLower(p.Name)] {
			w.Pools[i].Identity = c.identity.Identity
		}
	}
	for s := range w.Sites {
		site := &w.Sites[s]
		for i := range site.Directories {
			d := &site.Directories[i]
			if d.Pool == "" {
				d.Pool = c.defaultPool
			}
			a := c.inForce(site.Name + d.Path)
			// The defaults of the schema of IIS 7: Windows authentication off, and in the kernel where it is on.
			d.Windows, d.KernelMode, d.PoolCredentials = is(a.enabled, false), is(a.kernelMode, true), is(a.poolCredentials, false)
		}
	}
	return *w, nil
}

func is(b *bool, byDefault bool) bool {
	if b == nil {
		return byDefault
	}
	return *b
}

// inForce is what holds at a path, "Default Web Site/Abs/Int": the nearest place that says something has the word, for each setting.
func (c *configReader) inForce(path string) authentication {
	if len(path) > 2*maxWebPath { // with the name of a site that is none
		return c.places[""]
	}
	path = strings.Trim(strings.ToLower(path), "/")
	var a authentication
	for {
		a = a.over(c.places[path])
		if path == "" {
			return a
		}
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
}

func (c *configReader) enter(e element) {
	a := e.attributes
	value := func(name string) (string, bool) { v, ok := a[name]; return v, ok }
	switch {
	case e.under("configuration", "location"):
		c.location = strings.Trim(strings.ToLower(a["path"]), "/")
		if c.location == "." {
			c.location = ""
		}
	case e.under("sites", "site"):
		c.w.Sites = append(c.w.Sites, WebSite{Name: a["name"], ID: a["id"]})
	case e.under("site", "bindings", "binding"):
		if site := c.site(); site != nil {
			site.Bindings = append(site.Bindings, webBinding(a["protocol"], a["bindinginformation"]))
		}
	case e.under("sites", "applicationdefaults"):
		c.defaultPool = a["applicationpool"]
	case e.under("site", "application"):
		c.application, c.pool = a["path"], a["applicationpool"]
	case e.under("site", "application", "virtualdirectory"):
		if site := c.site(); site != nil && len(c.application)+len(a["path"]) < maxWebPath {
			path := "/" + strings.Trim(strings.TrimSuffix(c.application, "/")+"/"+strings.TrimPrefix(a["path"], "/"), "/")
			site.Directories = append(site.Directories, WebDirectory{Path: path, Pool: c.pool, Physical: a["physicalpath"]})
		}
	case e.under("applicationpools", "add"):
		c.w.Pools, c.inPool = append(c.w.Pools, WebPool{Name: a["name"]}), true
	case e.under("processmodel"):
		c.processModel(e)
	case e.under("custommetadata", "key"):
		c.metaPath = a["path"]
	case e.under("custommetadata", "key", "property"):
		if a["id"] == "5506" {
			c.w.Stale = append(c.w.Stale, StaleHash{Path: c.metaPath, Hash: hashText(a["value"])})
		}
	case e.under("authentication", "windowsauthentication"):
		c.places[c.location] = authentication{truth(value("enabled")), truth(value("usekernelmode")), truth(value("useapppoolcredentials"))}.over(c.places[c.location])
	}
}

func (c *configReader) leave(e element) {
	switch {
	case e.under("configuration", "location"):
		c.location = ""
	case e.under("applicationpools", "add"):
		c.inPool = false
	}
}

func (c *configReader) site() *WebSite {
	if len(c.w.Sites) == 0 {
		return nil
	}
	return &c.w.Sites[len(c.w.Sites)-1]
}

// processModel reads who a pool runs as, or all pools that do not say.
func (c *configReader) processModel(e element) {
	kind, user := e.attributes["identitytype"], e.attributes["username"]
	identity := kind
	if user != "" && (kind == "" || strings.EqualFold(kind, "SpecificUser") || kind == "3") {
		identity = user
	}
	switch {
	case identity == "":
	case e.under("applicationpooldefaults", "processmodel"):
		c.identity.Identity = identity
	case c.inPool:
		pool := &c.w.Pools[len(c.w.Pools)-1]
		pool.Identity, c.own[strings.ToLower(pool.Name)] = identity, true
	}
}

// webBinding reads "*:443:host", "10.0.0.5:443:", "[::]:443:"; what is not of that form has port 0.
func webBinding(protocol, information string) WebBinding {
	b := WebBinding{Protocol: strings.ToLower(protocol)}
	rest, host, ok1 := cutLast(information, ":")
	address, port, ok2 := cutLast(rest, ":")
	if !ok1 || !ok2 {
		return b
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return b
	}
	b.Port, b.Host = n, Host(host)
	if a, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil && !a.IsUnspecified() {
		b.Address = a.String()
	}
	return b
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// hashText is a SHA-1 that a configuration has in base64 or in hexadecimal, as upper-case hexadecimal; anything else as it is.
func hashText(s string) string {
	const size = 20
	s = strings.TrimSpace(s)
	if b, err := hex.DecodeString(s); err == nil && len(b) == size {
		return strings.ToUpper(s)
	}
	if b, err := base64.StdEncoding.DecodeString(s); err == nil && len(b) == size {
		return strings.ToUpper(hex.EncodeToString(b))
	}
	return s
}

// ReadMetabase reads MetaBase.xml of IIS 6: one element for each node, named by its path: Location="/LM/W3SVC/1/ROOT/Abs/Int". What a
// node does not say, those above it do. There is no kernel-mode authentication in it.
func ReadMetabase(content []byte) (WebServer, error) {
	w := WebServer{Generation: 6}
	type node struct{ flags, pool string }
	nodes := map[string]node{}
	var paths []struct{ site, path, physical string }
	sites := map[string]int{}
	err := walkXML(plainText(content), func(e element) {
		a := e.attributes
		location := strings.Trim(strings.ToLower(a["location"]), "/")
		if len(e.path) < 2 || location == "" || len(location) > maxWebPath {
			return
		}
		nodes[location] = node{a["authflags"], a["apppoolid"]}
		parts := strings.Split(location, "/") // lm, w3svc, 1, root, abs, int
		switch {
		case len(parts) < 3 || parts[0] != "lm" || parts[1] != "w3svc":
		case len(parts) == 4 && parts[2] == "apppools":
			w.Pools = append(w.Pools, WebPool{Name: lastPart(a["location"]), Identity: metabaseIdentity(a)})
		case len(parts) == 3 && e.under("iiswebserver"):
			sites[parts[2]] = len(w.Sites)
			s := WebSite{Name: a["servercomment"], ID: parts[2]}
			for protocol, attribute := range map[string]string{"http": "serverbindings", "https": "securebindings"} {
				for _, binding := range strings.Fields(a[attribute]) {
					s.Bindings = append(s.Bindings, webBinding(protocol, binding))
				}
			}
			slices.SortFunc(s.Bindings, func(a, b WebBinding) int { return a.Port - b.Port })
			w.Sites = append(w.Sites, s)
		case len(parts) > 3 && parts[3] == "root" && e.under("iiswebvirtualdir"):
			original := strings.Split(strings.Trim(a["location"], "/"), "/")
			paths = append(paths, struct{ site, path, physical string }{parts[2], "/" + strings.Join(original[4:], "/"), a["path"]})
		}
	}, func(element) {})
	if err != nil {
		return WebServer{}, err
	}
	for _, p := range paths {
		i, ok := sites[p.site]
		if !ok {
			continue
		}
		d := WebDirectory{Path: p.path, Physical: p.physical}
		var flags string
		for at := "lm/w3svc/" + p.site + "/root" + strings.TrimSuffix(strings.ToLower(p.path), "/"); ; {
			if flags == "" {
				flags = nodes[at].flags
			}
			if d.Pool == "" {
				d.Pool = nodes[at].pool
			}
			up, _, more := cutLast(at, "/")
			if !more {
				break
			}
			at = up
		}
		d.Windows = strings.Contains(strings.ToLower(flags), "authntlm") || strings.Contains(strings.ToLower(flags), "authnegotiate")
		w.Sites[i].Directories = append(w.Sites[i].Directories, d)
	}
	return w, nil
}

func lastPart(location string) string {
	_, name, _ := cutLast(strings.TrimRight(location, "/"), "/")
	return name
}

// metabaseIdentity is who a pool of IIS 6 runs as: AppPoolIdentityType 3 is the account WAMUserName.
func metabaseIdentity(a map[string]string) string {
	switch a["apppoolidentitytype"] {
	case "0":
		return "LocalSystem"
	case "1":
		return "LocalService"
	case "3":
		return a["wamusername"]
	}
	return "NetworkService"
}
