package facts_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

const webConfig = `<?xml version="1.0" encoding="UTF-8"?>
<configuration>
  <system.applicationHost>
    <applicationPools>
      <add name="DefaultAppPool" />
      <add name="LSGroupExpAppPool"><processModel identityType="SpecificUser" userName="AD\RTCComponentService" password="(removed)" /></add>
      <add name="Other"><processModel identityType="LocalSystem" userName="left over" /></add>
      <applicationPoolDefaults><processModel identityType="NetworkService" /></applicationPoolDefaults>
    </applicationPools>
    <sites>
      <site name="Default Web Site" id="1">
        <application path="/"><virtualDirectory path="/" physicalPath="C:\inetpub" /><virtualDirectory path="/Abs/Int" physicalPath="D:\OCS\Abs" /></application>
        <application path="/GroupExpansion/Int" applicationPool="LSGroupExpAppPool"><virtualDirectory path="/" physicalPath="D:\OCS\G" /></application>
        <bindings>
          <binding protocol="http" bindingInformation="*:80:" />
          <binding protocol="HTTPS" bindingInformation="10.0.0.5:443:OCS.ad." />
          <binding protocol="https" bindingInformation="[::1]:443:" />
          <binding protocol="net.tcp" bindingInformation="808:*" />
        </bindings>
      </site>
      <site name="Other" id="2"><bindings><binding protocol="https" bindingInformation="0.0.0.0:8443:" /></bindings></site>
      <applicationDefaults applicationPool="DefaultAppPool" />
    </sites>
    <customMetadata>
      <key path="LM/W3SVC/1">
        <property id="5506" dataType="Binary" userType="1" attributes="None" value="oXiHOzFAMOF0YxIuI7soWvDFEzg=" />
        <property id="1015" dataType="String" userType="1" attributes="Inherit" value="x" />
      </key>
    </customMetadata>
  </system.applicationHost>
  <system.webServer><security><authentication><windowsAuthentication enabled="false" useAppPoolCredentials="true" /></authentication></security></system.webServer>
  <location path="default web site">
    <system.webServer><security><authentication><windowsAuthentication enabled="true" useKernelMode="false" /></authentication></security></system.webServer>
  </location>
  <location path="Default Web Site/Abs/Int">
    <system.webServer><security><authentication><windowsAuthentication useKernelMode="true" useAppPoolCredentials="false" /></authentication></security></system.webServer>
  </location>
</configuration>`

// What the nearest place says holds, setting by setting; a pool that names no account has that of the defaults.
func TestReadWebConfig(t *testing.T) {
	t.Parallel()
	want := facts.WebServer{
		Generation: 7,
		Pools:      []facts.WebPool{{Name: "DefaultAppPool", Identity: "NetworkService"}, {Name: "LSGroupExpAppPool", Identity: `AD\RTCComponentService`}, {Name: "Other", Identity: "LocalSystem"}},
		Stale:      []facts.StaleHash{{Path: "LM/W3SVC/1", Hash: "A178873B314030E17463122E23BB285AF0C51338"}},
		Sites: []facts.WebSite{
			{
				Name: "Default Web Site", ID: "1",
				Bindings: []facts.WebBinding{
					{Protocol: "http", Port: 80}, {Protocol: "https", Address: "10.0.0.5", Port: 443, Host: "ocs.ad"}, {Protocol: "https", Address: "::1", Port: 443}, {Protocol: "net.tcp"},
				},
				Directories: []facts.WebDirectory{
					{Path: "/", Pool: "DefaultAppPool", Physical: `C:\inetpub`, Windows: true, PoolCredentials: true},
					{Path: "/Abs/Int", Pool: "DefaultAppPool", Physical: `D:\OCS\Abs`, Windows: true, KernelMode: true},
					{Path: "/GroupExpansion/Int", Pool: "LSGroupExpAppPool", Physical: `D:\OCS\G`, Windows: true, PoolCredentials: true},
				},
			},
			{Name: "Other", ID: "2", Bindings: []facts.WebBinding{{Protocol: "https", Port: 8443}}},
		},
	}
	for form, content := range map[string][]byte{
		"UTF-8": []byte(webConfig), "with a mark": append([]byte("\xEF\xBB\xBF"), webConfig...),
		"UTF-16": append([]byte{0xFF, 0xFE}, encodeUTF16(strings.Replace(webConfig, "UTF-8", "UTF-16", 1), binary.LittleEndian)...),
	} {
		got, err := facts.ReadWebConfig(content)
		if err != nil {
			t.Errorf("%s: %v", form, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", form, diff)
		}
	}
	site, ok := want.OCS()
	if !ok || site.ID != "1" {
		t.Errorf("the site of OCS is %+v", site)
	}
	if _, ok := (facts.WebServer{Sites: want.Sites[1:]}).OCS(); ok {
		t.Error("a site without its directories is taken for that of OCS")
	}
}

const metabase = `<?xml version ="1.0"?>
<configuration xmlns="urn:microsoft-catalog:XML_Metabase_V64_0"><MBProperty>
<IIsWebService Location ="/LM/W3SVC" AppPoolId="DefaultAppPool" AuthFlags="AuthAnonymous | AuthNTLM"/>
<IIsApplicationPool Location ="/LM/W3SVC/AppPools/DefaultAppPool" AppPoolIdentityType="2"/>
<IIsApplicationPool Location ="/LM/W3SVC/AppPools/LSGroupExpAppPool" AppPoolIdentityType="3" WAMUserName="AD\RTCComponentService" WAMUserPass="(removed)"/>
<IIsWebVirtualDir Location ="/LM/W3SVC/1/ROOT" Path="c:\inetpub\wwwroot" AuthFlags="AuthAnonymous"/>
<IIsWebVirtualDir Location ="/LM/W3SVC/1/ROOT/Abs/Int" Path="D:\OCS\Abs" AuthFlags="AuthNTLM | AuthNegotiate"/>
<IIsWebVirtualDir Location ="/LM/W3SVC/1/ROOT/GroupExpansion/Int" Path="D:\OCS\G" AppPoolId="LSGroupExpAppPool"/>
<IIsWebServer Location ="/LM/W3SVC/1" ServerComment="Default Web Site" SecureBindings=":443:
		10.0.0.6:444:" ServerBindings=":80:"/>
</MBProperty></configuration>`

func TestReadMetabase(t *testing.T) {
	t.Parallel()
	got, err := facts.ReadMetabase([]byte(metabase))
	if err != nil {
		t.Fatal(err)
	}
	want := facts.WebServer{
		Generation: 6,
		Pools:      []facts.WebPool{{Name: "DefaultAppPool", Identity: "NetworkService"}, {Name: "LSGroupExpAppPool", Identity: `AD\RTCComponentService`}},
		Sites: []facts.WebSite{{
			Name: "Default Web Site", ID: "1",
			Bindings: []facts.WebBinding{{Protocol: "http", Port: 80}, {Protocol: "https", Port: 443}, {Protocol: "https", Address: "10.0.0.6", Port: 444}},
			Directories: []facts.WebDirectory{
				{Path: "/", Pool: "DefaultAppPool", Physical: `c:\inetpub\wwwroot`},
				{Path: "/Abs/Int", Pool: "DefaultAppPool", Physical: `D:\OCS\Abs`, Windows: true},
				{Path: "/GroupExpansion/Int", Pool: "LSGroupExpAppPool", Physical: `D:\OCS\G`},
			},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWebConfigRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"an entity":       {`<!DOCTYPE x [<!ENTITY a "aaaa">]><configuration>&a;</configuration>`, "it declares a document type"},
		"another entity":  {"<configuration>\n&a;</configuration>", "line 2 is no XML"},
		"too deep":        {strings.Repeat("<a>", 65), "its elements nest more than 64 deep"},
		"cut off":         {`<configuration><a/>`, "line 1 is no XML"},
		"empty":           {"", "it breaks off"},
		"no XML":          {"\x00\x01<", "line 1 is no XML"},
		"end of no start": {"</a>", "line 1 is no XML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, read := range []func([]byte) (facts.WebServer, error){facts.ReadWebConfig, facts.ReadMetabase} {
				if _, err := read([]byte(c.text)); err == nil || err.Error() != c.want {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// webServer is a world of a server with that configuration and those bindings of HTTP.SYS.
func webServer(version, path string, config facts.FileData, bound ...facts.RegistryKey) world {
	text := func(name, value string) facts.RegistryValue {
		return facts.RegistryValue{Name: name, Type: facts.RegSZ, Data: wide(value)}
	}
	ask := func(key string, values ...string) evidence.Key {
		return facts.Registry.Key(facts.RegistryQuestion{Host: "ocs.ad", Key: key, Values: values})
	}
	return world{other: map[evidence.Key]any{
		ask(`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "CSDVersion", "CurrentBuildNumber", "CurrentVersion", "ProductName", "SystemRoot"): facts.RegistryKey{Exists: true, Values: []facts.RegistryValue{
			text("CurrentVersion", version), text("CurrentBuildNumber", "7600"), text("SystemRoot", `C:\Windows`),
		}},
		ask(`HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment`, "PROCESSOR_ARCHITECTURE"):  facts.RegistryKey{},
		ask(`HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions`, "ProductType"):                          facts.RegistryKey{},
		ask(`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`, "Domain", "Hostname", "NV Hostname"): facts.RegistryKey{},
		facts.File.Key(facts.FileQuestion{Host: "ocs.ad", Path: path}):                                      config,
		facts.Registry.Key(facts.RegistryQuestion{Host: "ocs.ad", Key: `HKLM\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo`, Depth: 1, Values: []string{"AppId", "SslCertHash", "SslCertStoreName"}}): facts.RegistryKey{Exists: true, Keys: bound},
	}}
}

const (
	configPath   = `C:\Windows\System32\inetsrv\config\applicationHost.config`
	metabasePath = `C:\Windows\System32\inetsrv\MetaBase.xml`
)

func TestHostWebServer(t *testing.T) {
	t.Parallel()
	iis := []byte{0x81, 0xe1, 0xc3, 0x4d, 0x4b, 0xe1, 0x21, 0x4a, 0xb0, 0x22, 0x59, 0xfc, 0x66, 0x9b, 0x09, 0x14}
	bound := []facts.RegistryKey{
		{Name: "0.0.0.0:443", Values: []facts.RegistryValue{{Name: "SslCertHash", Type: facts.RegBinary, Data: []byte{0xAB}}, {Name: "AppId", Type: facts.RegBinary, Data: iis}}},
		{Name: "10.0.0.5:443", Values: []facts.RegistryValue{
			{Name: "SslCertHash", Type: facts.RegBinary, Data: []byte{0xCD}}, {Name: "AppId", Type: facts.RegSZ, Data: wide("{4dc3e181-e14b-4a21-b022-59fc669b0914}")},
			{Name: "SslCertStoreName", Type: facts.RegSZ, Data: wide("WebHosting")},
		}},
		{Name: "nonsense"},
	}
	get := func(w world) (facts.WebServer, error) {
		return facts.HostWebServer.Get(w.reader(t), facts.ServerQuestion{FQDN: "ocs.ad"})
	}
	w, err := get(webServer("6.1", configPath, facts.FileData{Exists: true, Content: []byte(webConfig)}, bound...))
	if err != nil || !w.Installed || w.Generation != 7 || len(w.Sites) != 2 {
		t.Fatalf("%+v, %v", w, err)
	}
	want := []facts.TLSBinding{
		{Name: "0.0.0.0:443", Address: "0.0.0.0", Port: 443, Hash: "AB", Store: "MY", App: facts.AppIIS},
		{Name: "10.0.0.5:443", Address: "10.0.0.5", Port: 443, Hash: "CD", Store: "WebHosting", App: facts.AppIIS},
		{Name: "nonsense", Address: "nonsense", Store: "MY"},
	}
	if diff := cmp.Diff(want, w.TLS); diff != "" {
		t.Error(diff)
	}
	if b, _ := w.Bound([]string{"10.0.0.5"}, 443); b.Hash != "CD" {
		t.Error("the binding of the very address does not come first")
	}
	if b, _ := w.Bound([]string{"10.0.0.6"}, 443); b.Hash != "AB" {
		t.Error("the binding of all addresses is not taken")
	}
	if _, ok := w.Bound(nil, 444); ok {
		t.Error("a binding of another port is taken")
	}

	if w, err := get(webServer("5.2", metabasePath, facts.FileData{Exists: true, Content: []byte(metabase)})); err != nil || w.Generation != 6 || len(w.Sites) != 1 {
		t.Errorf("Windows Server 2003: %+v, %v", w, err)
	}
	if w, err := get(webServer("6.1", configPath, facts.FileData{})); err != nil || w.Installed {
		t.Errorf("without IIS: %+v, %v", w, err)
	}
	var f *evidence.Failure
	for name, content := range map[string][]byte{"cut off": []byte("<configuration>"), "larger than what is read": bytes.Repeat([]byte("<a/>\n"), 1<<20/5+1)} {
		if _, err := get(webServer("6.1", configPath, facts.FileData{Exists: true, Content: content})); !errors.As(err, &f) || f.Reason != evidence.Protocol {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The lab's own configuration is read, and what is secret in it does not get through a source's redaction.
func TestLabWebConfig(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.FromSlash("../../../fixtures/deployments/todorovic/hosts/ocs.todorovic.adds/files/applicationHost.config"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte("[enc:")) {
		t.Fatal("the lab's configuration has no password that could leak")
	}
	safe := facts.RedactFile(configPath, content)
	if bytes.Contains(safe, []byte("[enc:")) {
		t.Errorf("%s", safe)
	}
	w, err := facts.ReadWebConfig(safe)
	if err != nil {
		t.Fatal(err)
	}
	site, _ := w.OCS()
	for _, path := range facts.OCSPaths {
		if _, ok := site.Directory(path); !ok {
			t.Errorf("%s is missing", path)
		}
	}
	if d, _ := site.Directory(facts.GroupExpansionPath); !d.Windows || d.KernelMode {
		t.Errorf("%+v", d)
	}
	if p, _ := w.Pool("lsgroupexpapppool"); p.Identity != `TODOROVIC\RTCComponentService` {
		t.Errorf("%+v", p)
	}
}

// A path of a hundred thousand parts, or one that a thousand directories share, costs no more than any other text of its length.
func TestWebConfigOfLongPaths(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a/", 200_000)
	directories := strings.Repeat(`<virtualDirectory path="/"/>`, 10_000)
	for name, c := range map[string]struct {
		read func([]byte) (facts.WebServer, error)
		text string
	}{
		"directories": {facts.ReadWebConfig, `<sites><site name="s"><application path="/` + long + `">` + directories + `</application></site></sites>`},
		"a site":      {facts.ReadWebConfig, `<sites><site name="` + long + `"><application path="/">` + directories + `</application></site></sites>`},
		"a node": {facts.ReadMetabase, `<configuration><IIsWebServer Location="/LM/W3SVC/1"/>` +
			strings.Repeat(`<IIsWebVirtualDir Location="/LM/W3SVC/1/ROOT/`+long+`"/>`, 2) + `</configuration>`},
	} {
		start := time.Now()
		w, err := c.read([]byte(c.text))
		if took := time.Since(start); err != nil || len(w.Sites) != 1 || took > 5*time.Second {
			t.Errorf("%s: %d sites, %v, after %s", name, len(w.Sites), err, took)
		}
	}
}

func FuzzReadWebConfig(f *testing.F) {
	f.Add([]byte(webConfig))
	f.Add([]byte(metabase))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "aaaa">]><configuration>&a;</configuration>`))
	f.Add([]byte(strings.Repeat("<a>", 100)))
	f.Add([]byte("\xFF\xFE<\x00"))
	f.Add([]byte(`<sites><virtualDirectory/></sites>`))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, read := range []func([]byte) (facts.WebServer, error){facts.ReadWebConfig, facts.ReadMetabase} {
			w, err := read(content)
			if err != nil && len(w.Sites)+len(w.Pools) > 0 {
				t.Error("a configuration that cannot be read gives sites")
			}
			for _, s := range w.Sites {
				for _, d := range s.Directories {
					if !strings.HasPrefix(d.Path, "/") {
						t.Errorf("%q", d.Path)
					}
				}
				for _, b := range s.Bindings {
					if b.Port < 0 || b.Port > 65535 {
						t.Errorf("%+v", b)
					}
				}
			}
		}
	})
}
