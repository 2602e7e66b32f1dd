package live

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

const winHost = "ocs.todorovic.adds"

var aKey = facts.RegistryQuestion{Host: winHost, Key: `HKLM\SOFTWARE\Microsoft`}

// readSMB reads a message with its length before it.
func readSMB(c net.Conn) []byte {
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil
	}
	b := make([]byte, int(length[2])<<8|int(length[3]))
	if _, err := io.ReadFull(c, b); err != nil {
		return nil
	}
	return b
}

// oldSMB speaks SMB 1 only, as Windows Server 2003 does: it hangs up on SMB 2.
func oldSMB(c net.Conn) {
	b := readSMB(c)
	if bytes.HasPrefix(b, []byte("\xffSMB\x72")) && bytes.HasSuffix(b, []byte("\x02NT LM 0.12\x00")) {
		_, _ = c.Write(append([]byte{0, 0, 0, 37, 0xff, 'S', 'M', 'B', 0x72}, make([]byte, 32)...))
	}
}

func TestWhatIsNoSMB2(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		serve  func(net.Conn)
		reason evidence.Reason
		detail string
	}{
		"Windows Server 2003": {oldSMB, evidence.Protocol, winHost + " speaks SMB 1 only, as Windows Server 2003 does, which is not spoken here:" +
			" run collect.cmd on it and give its folder with --host-dump"},
		"a server that hangs up": {func(c net.Conn) { readSMB(c) }, evidence.Protocol, winHost + ":445 ended the connection when SMB 2 was spoken to it"},
		"a web server": {func(c net.Conn) { readSMB(c); _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); silent(c) },
			evidence.Protocol, winHost + ":445 answers something that is not SMB"},
		"a silent server": {silent, evidence.Timeout, winHost + ":445/tcp stays silent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			addr := listen(t, func(c net.Conn) { connections.Add(1); tc.serve(c) })
			scope := facts.Scope{LDAPUser: `TODOROVIC\reader`}
			g := newRig(t, t.Context(), Options{Scope: scope, Password: "hunter2", Connect: []string{"*:445=" + addr}})
			_, err := facts.Registry.Get(g.reader(), aKey)
			if f := failure(t, err); f.Reason != tc.reason || f.Detail != tc.detail {
				t.Errorf("%s: %s", f.Reason, f.Detail)
			}
			asked := connections.Load()
			_, again := facts.Services.Get(g.reader(), facts.ServerQuestion{FQDN: winHost})
			if a, b := failure(t, err), failure(t, again); b.Detail != a.Detail || b.Root != a.Root {
				t.Errorf("then: %s of %s, want the same as before, of %s", b.Detail, b.Root, a.Root)
			}
			if n := connections.Load(); n != asked {
				t.Errorf("the server is asked again: %d connections, then %d", asked, n)
			}
			g.noSecret(t)
		})
	}
}

// The account is one for LDAP and SMB, and so is the count of wrong tries that locks it out.
func TestAPasswordThatLDAPRefusedIsNotTriedOverSMB(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	d := &directory{tls: p.server(t, named("dc1.d")), diagnostic: "80090308: LdapErr: DSID-0C09042F, comment: AcceptSecurityContext error, data 52e, v2580\x00"}
	var spoken atomic.Int32
	smb := listen(t, func(c net.Conn) {
		if readSMB(c) != nil {
			spoken.Add(1)
		}
	})
	g := newRig(t, t.Context(), p.options("dc1.d:389="+listen(t, d.handle), "*:445="+smb))
	_, first := facts.Search.Get(g.reader(), find("dc1.d", "DC=a"))
	_, then := facts.Registry.Get(g.reader(), aKey)
	a, b := failure(t, first), failure(t, then)
	if a.Reason != evidence.Denied || a.Detail != b.Detail || a.Root != b.Root {
		t.Errorf("%v of %s over LDAP, %v of %s over SMB", a, a.Root, b, b.Root)
	}
	if n := spoken.Load(); n != 0 {
		t.Errorf("SMB is spoken %d times", n)
	}
}

func TestAServerThatRefusesConnectionsIsNotAsked(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.Context(), Options{Scope: facts.Scope{LDAPUser: "reader@todorovic.adds"}, Password: "hunter2", Connect: []string{"*:445=" + closedPort(t)}})
	_, err := facts.FileVersion.Get(g.reader(), facts.FileQuestion{Host: winHost, Path: `C:\Windows\System32\msasn1.dll`})
	if f := failure(t, err); f.Reason != evidence.NoTarget || f.Root.Kind != "net.connect" {
		t.Errorf("%v of %s", f, f.Root)
	}
}

func TestWindowsWithoutAnAccountIsNotConfigured(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		scope          facts.Scope
		password, want string
	}{
		"no account":  {facts.Scope{}, "", "--user or --kerberos"},
		"no password": {facts.Scope{LDAPUser: `TODOROVIC\reader`}, "", "--password-file"},
		"a DN":        {facts.Scope{LDAPUser: "CN=reader,DC=todorovic,DC=adds"}, "hunter2", `DOMAIN\user`},
		"no cache":    {facts.Scope{LDAPUser: "reader@TODOROVIC.ADDS", Kerberos: true}, "", "ticket cache"},
	} {
		addr := listen(t, silent)
		g := newRig(t, t.Context(), Options{Scope: tc.scope, Password: tc.password, Connect: []string{"*:445=" + addr}})
		_, err := facts.Events.Get(g.reader(), facts.EventsQuestion{Host: winHost, Log: "System"})
		if f := failure(t, err); f.Reason != evidence.NotConfigured || !strings.Contains(f.Detail, tc.want) || f.Root.Kind != facts.ConfigScope.Name {
			t.Errorf("%s: %v of %s, want that %q is missing", name, f, f.Root, tc.want)
		}
	}
}

func TestQuestionsThatAWindowsServerCannotBeAsked(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.Context(), Options{Scope: facts.Scope{LDAPUser: `TODOROVIC\reader`}, Password: "hunter2"})
	for _, q := range []facts.RegistryQuestion{{Host: winHost, Key: `HKCU\Software`}, {Host: winHost, Key: `HKLM\SOFTWARE`, Depth: 5}} {
		_, err := facts.Registry.Get(g.reader(), q)
		if f := failure(t, err); f.Reason != evidence.Internal {
			t.Errorf("%s: %v", q, f)
		}
	}
	for _, path := range []string{`Windows\x`, `\\other\share\x`, `1:\x`, `C:\`} {
		_, err := facts.File.Get(g.reader(), facts.FileQuestion{Host: winHost, Path: path})
		if f := failure(t, err); f.Reason != evidence.Internal {
			t.Errorf("%s: %v", path, f)
		}
	}
}
