package ldapprobe

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/krb"
)

// script is a connection on which the server says what the fuzzer wants once it was asked, and ends it.
type script struct {
	net.Conn
	asked chan struct{}
	say   *bytes.Reader
}

func newScript(b []byte) *script {
	return &script{asked: make(chan struct{}, 16), say: bytes.NewReader(b)}
}

func (s *script) Read(b []byte) (int, error) {
	if s.say.Len() == int(s.say.Size()) {
		<-s.asked
	}
	return s.say.Read(b)
}

func (s *script) Write(b []byte) (int, error) {
	select {
	case s.asked <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (s *script) Close() error                  { return nil }
func (s *script) SetDeadline(_ time.Time) error { return nil }

// seeds: a rootDSE with its end, a refusal, an answer to StartTLS, and wrecks of them.
var seeds = [][]byte{
	{},
	{0x30, 0x84},
	{0x30, 0x17, 2, 1, 1, 0x64, 0x12, 4, 0, 0x30, 0x0e, 0x30, 0x0c, 4, 5, 'a', 't', 't', 'r', '1', 0x31, 3, 4, 1, 'v', 0x30, 0x0c, 2, 1, 1, 0x65, 7, 0x0a, 1, 0, 4, 0, 4, 0},
	{0x30, 0x0c, 2, 1, 1, 0x65, 7, 0x0a, 1, 1, 4, 0, 4, 0},
	{0x30, 0x0c, 2, 1, 1, 0x78, 7, 0x0a, 1, 0, 4, 0, 4, 0},
	{0x30, 5, 2, 1, 1, 0x65, 0},
	{0x30, 0x80, 0x30, 0x80, 0x30, 0x80, 0x30, 0x80},
	[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
}

func FuzzAnswer(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := env.New(env.Options{})
		if err != nil {
			t.Fatal(err)
		}
		l := New(e).converse(newScript(b), maxRootDSE)
		defer l.close()
		_, err = l.ldap.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", rootAttributes, nil))
		var own *evidence.Failure
		if err := l.judge(t.Context(), facts.Endpoint{Host: "dc1.d", Port: plainPort}, err); err != nil && !errors.As(err, &own) {
			t.Errorf("the error is %v", err)
		}
	})
}

func FuzzStartTLS(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newScript(b)
		how, err := startTLS(t.Context(), s)
		if accepted := how == "" && err == nil; accepted && len(b) < 14 {
			t.Errorf("%x is taken for an answer to StartTLS", b)
		}
	})
}

// Nothing that is not signed with the context's key comes through a layer.
func FuzzLayer(f *testing.F) {
	for _, s := range append(seeds, []byte{0, 0, 0, 0}, []byte{0, 0, 0, 2, 5, 4}, []byte{0xff, 0xff, 0xff, 0xff}) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newScript(b)
		s.asked <- struct{}{}
		l := &layer{Conn: s}
		l.lay(&krb.Context{}, 1<<16)
		if n, err := l.Read(make([]byte, 16)); n != 0 || err == nil {
			t.Errorf("%d bytes come out of %x", n, b)
		}
	})
}

func TestRefusalsAreReadAsActiveDirectoryWritesThem(t *testing.T) {
	t.Parallel()
	for diagnostic, want := range map[string]string{
		"80090308: LdapErr: DSID-0C09042F, comment: AcceptSecurityContext error, data 532, v1db1": "its password has expired",
		"80090308: LdapErr: DSID-0C09042F, comment: AcceptSecurityContext error, data 52E, v1db1": "the password is wrong",
		"Simple Bind Failed: NT_STATUS_LOGON_FAILURE":                                             "name or password is wrong",
	} {
		if got := refusal(&ldap.Error{ResultCode: ldap.LDAPResultInvalidCredentials, Err: errors.New(diagnostic)}); got != want {
			t.Errorf("%s: %s", diagnostic, got)
		}
	}
}
