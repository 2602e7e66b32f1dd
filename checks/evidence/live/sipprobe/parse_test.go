package sipprobe

import (
	"bufio"
	"bytes"
	"testing"
	"unicode/utf8"

	"ocsdoctor/checks/evidence/facts"
)

func TestParse(t *testing.T) {
	t.Parallel()
	a := Parse([]byte("SIP/2.0 200 OK d'accord\r\nm: <sip:a>\r\nno header\r\nBad name: x\r\nServer :  RTC/3.5 \r\n  folded\r\n\r\nBody: no"))
	if a.Status != 200 || a.Phrase != "OK d'accord" || len(a.Headers) != 2 || a.Header("Contact") != "<sip:a>" || a.Header("server") != "RTC/3.5 folded" {
		t.Errorf("%+v", a)
	}
	for _, raw := range []string{"", "GET / HTTP/1.0\r\n\r\n", "SIP/2.0\r\n\r\n", "SIP/2.0 99 x\r\n\r\n", "SIP/2.0 4000 x\r\n\r\n", "SIP/3.0 200 OK\r\n\r\n"} {
		if a := Parse([]byte(raw)); !a.NotSIP {
			t.Errorf("%q is taken for SIP: %+v", raw, a)
		}
	}
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]map[string]string{
		`NTLM`: {},
		`NTLM realm="SIP Communications Service", targetname="ocs.d", version=4`: {"realm": "SIP Communications Service", "targetname": "ocs.d", "version": "4"},
		`NTLM gssapi-data="TlRM==", realm = "a\"b\\c,d" ,stale`:                  {"gssapi-data": "TlRM==", "realm": `a"b\c,d`, "stale": ""},
		`NTLM a=1,A=2,,b="open`: {"a": "1", "b": "open"},
		`NTLM b="x\`:            {"b": "x"},
	} {
		c, ok := challenge(s)
		if !ok || c.Scheme != "NTLM" || len(c.Parameters) != len(want) {
			t.Errorf("%s: %+v", s, c)
		}
		for k, v := range want {
			if c.Parameters[k] != v {
				t.Errorf("%s: %s is %q", s, k, c.Parameters[k])
			}
		}
	}
	if _, ok := challenge(`"quoted" a=1`); ok {
		t.Error("a scheme in quotes was taken")
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"", "\r\n\r\n", "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: NTLM realm=\"a\"\r\nl: 3\r\n\r\nabc", "SIP/2.0 100 Trying\r\n\r\nSIP/2.0 200 OK\r\n\r\n",
		"OPTIONS sip:a SIP/2.0\r\n\r\nSIP/2.0 200 OK\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 400\r\n\r\n", "SIP/2.0 200 \xff\r\nA:\xff\r\n folded\r\n\r\n", "SIP/2",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := read(bufio.NewReaderSize(bytes.NewReader(b), maxMessage))
		if err == nil && !a.NotSIP && (a.Status < 200 || a.Status > 699) {
			t.Errorf("the final status is %d", a.Status)
		}
		if len(a.Raw) > maxRaw || len(a.Headers) > maxHeaders || !utf8.ValidString(a.Phrase) {
			t.Errorf("out of bounds: %d bytes, %d headers, phrase %q", len(a.Raw), len(a.Headers), a.Phrase)
		}
		Parse(b)
	})
}

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{"", "NTLM", `NTLM realm="a\"b,c", version=4`, `x a="`, `x =,=,`, "x \xff=\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := challenge(s)
		if !ok {
			return
		}
		for k, v := range c.Parameters {
			if !isToken(k) || !utf8.ValidString(v) {
				t.Errorf("parameter %q is %q", k, v)
			}
		}
	})
}

// The signature of an answer is judged, whatever the answer holds.
func FuzzAuthenticationInfo(f *testing.F) {
	f.Add(`NTLM rspauth="0100000000000000", srand="AB", snum="1", opaque="01", qop="auth", targetname="ocs.d", realm="a"`, "<sip:a@d>;tag=1", "3 REGISTER")
	f.Add(`NTLM rspauth="zz"`, "", "")
	f.Add(`Kerberos rspauth=`, "<", "\xff")
	f.Fuzz(func(t *testing.T, info, from, cseq string) {
		s := &association{session: deaf{}, offer: facts.Challenge{Parameters: map[string]string{"version": cseq}}}
		a := Parse([]byte("SIP/2.0 200 OK\r\nAuthentication-Info: " + info + "\r\nFrom: " + from + "\r\nTo: " + from + "\r\nCSeq: " + cseq + "\r\n\r\n"))
		if got := s.judge(a); got == facts.SignatureRight {
			t.Errorf("the signature of %q is taken for right", info)
		}
	})
}

// deaf is a session that takes no signature.
type deaf struct{}

func (deaf) Sign([]byte) []byte { return nil }

func (deaf) Verify(_, _ []byte) bool { return false }
