package facts_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"ocsdoctor/checks/evidence/facts"
)

func encodeUTF16(s string, order binary.AppendByteOrder) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

// No form in which a server's files keep a password survives, and what is not secret stays.
func TestRedactFile(t *testing.T) {
	t.Parallel()
	const config = `C:\Windows\System32\inetsrv\config\applicationHost.config`
	const metabase = `C:\WINDOWS\system32\inetsrv\MetaBase.xml`
	const pool = `<processModel identityType="SpecificUser" userName="TODOROVIC\RTCComponentService" password="[enc:AesProvider:TopSecret:enc]" />`
	const poolRemoved = `<processModel identityType="SpecificUser" userName="TODOROVIC\RTCComponentService" password="(removed)" />`
	for name, c := range map[string]struct{ path, text, want string }{
		"encrypted password of a pool": {config, pool, poolRemoved},
		"password in the clear":        {config, `<virtualDirectory path="/" password='TopSecret' userName="u"/>`, `<virtualDirectory path="/" password="(removed)" userName="u"/>`},
		"other case and spaces":        {config, "<p PassWord\t=\n \"Top\nSecret\"/>", "<p PassWord\t=\n \"(removed)\"/>"},
		"a value that breaks off":      {config, `<p password="TopSec`, `<p password="(removed)"`},
		"a quote in the other quote":   {config, `<p password='Top"Secret' a="b"/>`, `<p password="(removed)" a="b"/>`},
		"session key":                  {config, `<add name="AesProvider" sessionKey="TopSecret==" keyContainerName="iisConfigurationKey" />`, `<add name="AesProvider" sessionKey="(removed)" keyContainerName="iisConfigurationKey" />`},
		"machine key":                  {config, `<machineKey validationKey="TopSecret" decryptionKey="TopSecret" />`, `<machineKey validationKey="(removed)" decryptionKey="(removed)" />`},
		"connection string":            {`C:\inetpub\web.config`, `<add name="x" connectionString="Server=.;Pwd=TopSecret"/>`, `<add name="x" connectionString="(removed)"/>`},
		"setting":                      {config, `<add key="SvcPassword" value="TopSecret"/><add key="Color" value="red"/>`, `<add key="SvcPassword" value="(removed)"/><add key="Color" value="red"/>`},
		"setting, the value first":     {config, `<add value='TopSecret' key="SvcPassword"/><add value="red" key="Color"/>`, `<add value="(removed)" key="SvcPassword"/><add value="red" key="Color"/>`},
		"encrypted elsewhere":          {config, `<p other="[enc:X:TopSecret:enc]" next="kept"/>`, `<p other="(removed)" next="kept"/>`},
		"encrypted, breaking off":      {config, `<p other="[enc:X:TopSecret" next="kept"/>`, `<p other="(removed)" next="kept"/>`},
		"in a comment":                 {config, `<!-- password="TopSecret" -->`, `<!-- password="(removed)" -->`},
		"metabase":                     {metabase, `<IIsWebService WAMUserPass="TopSecret" AnonymousUserPass="TopSecret" UNCPassword="TopSecret" WAMUserName="IWAM" />`, `<IIsWebService WAMUserPass="(removed)" AnonymousUserPass="(removed)" UNCPassword="(removed)" WAMUserName="IWAM" />`},
		"secured property of a metabase": {metabase, `<Custom Name="X" ID="1" Value="TopSecret" Type="STRING" Attributes="INHERIT | SECURE"/><Custom Value="kept" Attributes="INHERIT"/>`,
			`<Custom Name="X" ID="1" Value="(removed)" Type="STRING" Attributes="INHERIT | SECURE"/><Custom Value="kept" Attributes="INHERIT"/>`},
		"secured, the other way round": {metabase, `<Custom Attributes="SECURE" Name="X" Value="TopSecret"/>`, `<Custom Attributes="SECURE" Name="X" Value="(removed)"/>`},
		"command in a log":             {`D:\log.HTML`, `lcscmd /server /action:activate /user:RTCService /password:TopSecret /role:se`, `lcscmd /server /action:activate /user:RTCService /password:(removed) /role:se`},
		"what is another thing":        {`C:\Windows\x.pol`, pool, pool},
		"nothing secret":               {config, `<binding protocol="https" bindingInformation="*:443:" />`, `<binding protocol="https" bindingInformation="*:443:" />`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for form, content := range map[string][]byte{
				"UTF-8":                 []byte(c.text),
				"UTF-16":                append([]byte{0xFF, 0xFE}, encodeUTF16(c.text, binary.LittleEndian)...),
				"UTF-16 without a mark": encodeUTF16(c.text, binary.LittleEndian),
				"big-endian UTF-16":     append([]byte{0xFE, 0xFF}, encodeUTF16(c.text, binary.BigEndian)...),
				"big-endian, no mark":   encodeUTF16(c.text, binary.BigEndian),
				"UTF-16, odd last byte": append(encodeUTF16(c.text, binary.LittleEndian), '!'),
			} {
				if strings.HasSuffix(c.path, ".pol") && form != "UTF-8" {
					continue
				}
				if got := string(facts.RedactFile(c.path, content)); got != c.want {
					t.Errorf("%s: %s", form, got)
				}
			}
		})
	}
}

func FuzzRedactFile(f *testing.F) {
	f.Add([]byte(`<p password="x`), []byte(`" a='b'/>`))
	f.Add([]byte("\xFF\xFE<"), []byte("\x00"))
	f.Add([]byte(`<Custom Value="`), []byte(`" Attributes="SECURE"/>`))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		// Whatever stands around it, unless a quote was open before, an attribute that is whole loses its value.
		const secret = "k7Qp2VtopSecret"
		before = bytes.Map(func(r rune) rune {
			if r == '"' || r == '\'' || r == 0 {
				return -1
			}
			return r
		}, before)
		text := bytes.Join([][]byte{before, after}, []byte(` password="`+secret+`" `))
		if got := facts.RedactFile("a.config", text); bytes.Contains(got, []byte(secret)) {
			t.Errorf("%q", got)
		}
	})
}
