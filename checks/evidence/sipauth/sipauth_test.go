package sipauth

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func isHex(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if want = strings.ReplaceAll(want, " ", ""); !strings.EqualFold(hex.EncodeToString(got), want) {
		t.Errorf("%s is %x, not %s", what, got, want)
	}
}

// The example of NTLM version 2 of [MS-NLMP] 4.2.4. Its flags are those of a connection; what is derived here does not hang on that.
func TestTheExampleOfTheSpecification(t *testing.T) {
	t.Parallel()
	c := Challenge{
		Flags: required | KeyExchange | Strong128 | Weak56, Nonce: [8]byte(unhex(t, "0123456789abcdef")), NetBIOSDomain: "Domain", NetBIOSComputer: "Server",
	}
	c, err := ParseChallenge(c.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	isHex(t, "the key of the password", ntowf2("Password", "User", "Domain"), "0c868a403bfd7a93a3001ef22ef02e3f")
	random := append(bytes.Repeat([]byte{0xaa}, 8), bytes.Repeat([]byte{0x55}, 16)...)
	r, s, err := c.Answer(Account{"Domain", "User", "Password", "COMPUTER"}, fromFileTime(0), bytes.NewReader(random))
	if err != nil {
		t.Fatal(err)
	}
	isHex(t, "the proof", r.NT[:proofLength], "68cd0ab851e51c96aabc927bebef6a1c")
	isHex(t, "the LM response", r.LM, "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa")
	isHex(t, "the encrypted session key", r.Key, "c5dad2544fc9799094ce1ce90bc9d03e")
	isHex(t, "the client's signing key", s.own.sign, "4788dc861b4782f35d43fd98fe1a2d39")
	isHex(t, "the client's sealing key", s.own.seal, "59f600973cc4960a25480a7c196e4c58")
}

// What a real Communicator 2007 R2 and a real OCS 2007 R2 said to one another on 1 March 2010, as recorded by the SIPE project
// (its NTLM tests): the account is COSMO\User with the password Pa$$word.
const (
	realChallenge = `4E544C4D53535000020000000000000038000000F38298E2DD1BAAF4E7E218D1000000000000000096009600380000000502CE0E0000000F
		02000A0043004F0053004D004F000100180043004F0053004D004F002D004F00430053002D00520032000400160063006F0073006D006F002E006C006F0063006100
		6C000300300063006F0073006D006F002D006F00630073002D00720032002E0063006F0073006D006F002E006C006F00630061006C000500160063006F0073006D006F
		002E006C006F00630061006C0000000000`
	realResponse = `4E544C4D53535000030000001800180072000000C600C6008A0000000A000A00480000000800080052000000180018005A0000001000100050010000
		558298620502CE0E0000000F43004F0053004D004F00550073006500720043004F0053004D004F002D004F00430053002D0052003200
		A1E92EFE4E078BF7C5C0049ACC6166C2D6AE875CB0FDAA418DC0C800AE76ECA606D2B9FBEBD04731010100000000000059519A1727B9CA01D6AE875CB0FDAA41
		0000000002000A0043004F0053004D004F000100180043004F0053004D004F002D004F00430053002D00520032000400160063006F0073006D006F002E006C006F00
		630061006C000300300063006F0073006D006F002D006F00630073002D00720032002E0063006F0073006D006F002E006C006F00630061006C000500160063006F00
		73006D006F002E006C006F00630061006C00000000000000000031CB739E1CA80A498591E8AE797115E4`
)

var (
	realRequest = Signed{
		Scheme: "NTLM", Random: "13317733", Number: "1", Realm: "SIP Communications Service", Target: "cosmo-ocs-r2.cosmo.local",
		CallID: "4037df9284354df39065195bd57a4b14", CSeq: "3 REGISTER", From: "<sip:user@cosmo.local>;tag=3e49177a52;epid=c8ca638a15", To: "<sip:user@cosmo.local>",
	}
	realAnswer = Signed{
		Scheme: "NTLM", Random: "9616454F", Number: "1", Realm: "SIP Communications Service", Target: "cosmo-ocs-r2.cosmo.local",
		CallID: "4037df9284354df39065195bd57a4b14", CSeq: "3 REGISTER", From: `"User"<sip:user@cosmo.local>;tag=3e49177a52;epid=c8ca638a15`,
		To: "<sip:user@cosmo.local>;tag=5E61CCD925D17E043D9A74835A88F664", Expires: "7200", Status: "200",
	}
)

func TestTheChallengeOfARealServer(t *testing.T) {
	t.Parallel()
	c, err := ParseChallenge(unhex(t, realChallenge))
	if err != nil {
		t.Fatal(err)
	}
	want := Challenge{
		Flags: 0xE29882F3, Nonce: [8]byte(unhex(t, "DD1BAAF4E7E218D1")), NetBIOSDomain: "COSMO", NetBIOSComputer: "COSMO-OCS-R2", DNSDomain: "cosmo.local",
		DNSComputer: "cosmo-ocs-r2.cosmo.local", Forest: "cosmo.local", Version: Version{5, 2, 3790, 15}, info: c.info,
	}
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(Challenge{})); diff != "" {
		t.Error(diff)
	}
	if got := strings.Join(c.Flags.Names(), " "); got != "UNICODE OEM SIGN SEAL DATAGRAM LM_KEY NTLM ALWAYS_SIGN EXTENDED_SESSIONSECURITY IDENTIFY TARGET_INFO VERSION 128 KEY_EXCH 56" {
		t.Error(got)
	}
	// Written again it is the same message.
	isHex(t, "the challenge", c.Bytes(), hex.EncodeToString(unhex(t, realChallenge)))
}

// The client's answer comes out as the real one, and both sides' signatures are those that were sent.
func TestTheExchangeOfARealClientAndServer(t *testing.T) {
	t.Parallel()
	c, err := ParseChallenge(unhex(t, realChallenge))
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := ParseResponse(unhex(t, realResponse))
	if err != nil {
		t.Fatal(err)
	}
	if recorded.Domain != "COSMO" || recorded.User != "User" || recorded.Workstation != "COSMO-OCS-R2" {
		t.Errorf("%+v", recorded)
	}
	server, ok := recorded.Verify(c, "Pa$$word")
	if !ok {
		t.Fatal("the right password is refused")
	}
	if _, ok := recorded.Verify(c, "Pa$$w0rd"); ok {
		t.Error("a wrong password is taken")
	}
	nonce, at := unhex(t, "D6AE875CB0FDAA41"), fromFileTime(0x01CAB927179A5159)
	if got := at.Format(time.DateTime); got != "2010-03-01 10:08:08" {
		t.Errorf("the time is %s", got)
	}
	exported := arcfour(mac(ntowf2("Pa$$word", "User", "COSMO"), recorded.NT[:proofLength]), recorded.Key)
	made, client, err := c.Answer(Account{"COSMO", "User", "Pa$$word", "COSMO-OCS-R2"}, at, bytes.NewReader(append(nonce, exported...)))
	if err != nil {
		t.Fatal(err)
	}
	made.Version = recorded.Version
	isHex(t, "the response", made.Bytes(), hex.EncodeToString(unhex(t, realResponse)))

	request, answer := realRequest.Buffer(4), realAnswer.Buffer(4)
	isHex(t, "the client's signature", client.Sign(request), "0100000029618e9651b65a7764000000")
	isHex(t, "the server's signature", server.Sign(answer), "01000000E615438A917661BE64000000")
	if !server.Verify(request, client.Sign(request)) || !client.Verify(answer, server.Sign(answer)) {
		t.Error("one side does not take the other's signature")
	}
	if server.Verify(answer, client.Sign(request)) || client.Verify(request, client.Sign(request)) || client.Verify(answer, nil) {
		t.Error("a wrong signature is taken")
	}
}

// What is signed of messages that real clients and servers exchanged (the same source).
func TestBuffer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message Signed
		version int
		want    string
	}{
		"a request": {realRequest, 4, "<NTLM><13317733><1><SIP Communications Service><cosmo-ocs-r2.cosmo.local><4037df9284354df39065195bd57a4b14><3><REGISTER>" +
			"<sip:user@cosmo.local><3e49177a52><sip:user@cosmo.local><><><><>"},
		"an answer": {realAnswer, 4, "<NTLM><9616454F><1><SIP Communications Service><cosmo-ocs-r2.cosmo.local><4037df9284354df39065195bd57a4b14><3><REGISTER>" +
			"<sip:user@cosmo.local><3e49177a52><sip:user@cosmo.local><5E61CCD925D17E043D9A74835A88F664><><><7200><200>"},
		"an answer with an identity": {Signed{
			Scheme: "NTLM", Random: "1B6D47A1", Number: "11", Realm: "SIP Communications Service", Target: "LOC-COMPANYT-FE03.COMPANY.COM",
			CallID: "41CEg82ECa0AC8i3DD7mE673t9CF4b19DAxF780x", CSeq: "1 INVITE", From: `"Sender"<sip:sender@company.com>;tag=2420628112;epid=54392f1bbf01`,
			To: `"recipient"<sip:recipient@company.com>;tag=7aee15546a;epid=3102EB8BD1`, Asserted: `"recipient"<SIP:recipient@company.com>`, Status: "180",
		}, 4, "<NTLM><1B6D47A1><11><SIP Communications Service><LOC-COMPANYT-FE03.COMPANY.COM><41CEg82ECa0AC8i3DD7mE673t9CF4b19DAxF780x><1><INVITE>" +
			"<sip:sender@company.com><2420628112><sip:recipient@company.com><7aee15546a><SIP:recipient@company.com><><><180>"},
		"of a server before OCS 2007": {Signed{
			Scheme: "NTLM", Random: "0878F41B", Number: "1", Realm: "SIP Communications Service", Target: "ocs1.ocs.provo.novell.com",
			CallID: "8592g5DCBa1694i5887m0D0Bt2247b3F38xAE9Fx", CSeq: "3 REGISTER", From: `"Gabriel Burt"<sip:gabriel@ocs.provo.novell.com>;tag=2947328781;epid=1234567890`,
			To: "<sip:gabriel@ocs.provo.novell.com>;tag=B816D65C2300A32CFA6D371F2AF537FD", Expires: "900", Status: "200",
		}, 2, "<NTLM><0878F41B><1><SIP Communications Service><ocs1.ocs.provo.novell.com><8592g5DCBa1694i5887m0D0Bt2247b3F38xAE9Fx><3><REGISTER>" +
			"<sip:gabriel@ocs.provo.novell.com><2947328781><B816D65C2300A32CFA6D371F2AF537FD><900><200>"},
		"without brackets, with a telephone": {Signed{
			From: "sip:a@d;tag=1;x=y", To: "<sip:b@d;tag=no>", Asserted: `"b, c"<sip:b@d>, <tel:+33>`, CSeq: "7  INFO",
		}, 4, "<><><><><><><7><INFO><sip:a@d><1><sip:b@d;tag=no><><sip:b@d><tel:+33><>"},
	} {
		if got := string(c.message.Buffer(c.version)); got != c.want {
			t.Errorf("%s:\n%s\nnot\n%s", name, got, c.want)
		}
	}
}

// A server of 2008 or later tells its clock. The client answers with that time and leaves the older proof out.
func TestTheServersClock(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 1, 2, 3, 456789100, time.UTC)
	c, err := ParseChallenge(Challenge{Flags: client, DNSComputer: "ocs.d", Time: at}.Bytes())
	if err != nil || !c.Time.Equal(at) {
		t.Fatalf("%v, %v", c.Time, err)
	}
	r, own, err := c.Answer(Account{User: "élise", Domain: "D", Password: "é€𝄞"}, at.Add(time.Hour), bytes.NewReader(make([]byte, 24)))
	if err != nil || !bytes.Equal(r.LM, make([]byte, 24)) {
		t.Fatalf("%x, %v", r.LM, err)
	}
	r, err = ParseResponse(r.Bytes())
	if err != nil || r.User != "élise" {
		t.Fatalf("%+v, %v", r, err)
	}
	server, ok := r.Verify(c, "é€𝄞")
	if !ok || !server.Verify([]byte("m"), own.Sign([]byte("m"))) {
		t.Error("a password of other alphabets is refused")
	}
}

// Weaker keys and no key exchange are agreed on by both sides alike.
func TestWeakerSessions(t *testing.T) {
	t.Parallel()
	for _, without := range []Flags{Strong128, Strong128 | Weak56, KeyExchange, Versioned} {
		c, err := ParseChallenge(Challenge{Flags: client &^ without, DNSDomain: "d"}.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		r, own, err := c.Answer(Account{User: "a", Password: "p"}, time.Now(), bytes.NewReader(make([]byte, 24)))
		if err != nil {
			t.Fatal(err)
		}
		if r, err = ParseResponse(r.Bytes()); err != nil {
			t.Fatal(err)
		}
		server, ok := r.Verify(c, "p")
		if !ok || !own.Verify([]byte("m"), server.Sign([]byte("m"))) {
			t.Errorf("without %v: not agreed", without.Names())
		}
	}
	for _, without := range []Flags{Unicode, Sign, ExtendedSessionSecurity, TargetInfo, Datagram, NTLM} {
		if _, _, err := (Challenge{Flags: client &^ without}).Answer(Account{}, time.Now(), bytes.NewReader(make([]byte, 24))); err == nil {
			t.Errorf("without %v it is answered", without.Names())
		}
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	whole := unhex(t, realChallenge)
	for n := range len(whole) {
		if _, err := ParseChallenge(whole[:n]); err == nil {
			t.Errorf("%d bytes of it are taken", n)
		}
	}
	response := unhex(t, realResponse)
	for n := range len(response) {
		if _, err := ParseResponse(response[:n]); err == nil {
			t.Errorf("%d bytes of the response are taken", n)
		}
	}
	if _, err := ParseChallenge(response); err == nil {
		t.Error("a response is taken for a challenge")
	}
	if _, err := ParseChallenge(append(whole, make([]byte, MaxMessage)...)); err == nil {
		t.Error("a message without an end is taken")
	}
	endless := Challenge{Flags: TargetInfo, info: nil}.Bytes()
	endless = append(endless[:challengeHeader], bytes.Repeat([]byte{9, 0, 0, 0}, 2*maxPairs)...)
	endless[40], endless[41] = 0, 2
	if _, err := ParseChallenge(endless); err == nil {
		t.Error("target information without an end is taken")
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(unhex(f, realChallenge))
	f.Add(Challenge{Flags: client, Time: time.Unix(0, 0)}.Bytes())
	f.Add([]byte(signature + "\x02\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseChallenge(b)
		if err != nil {
			return
		}
		for _, s := range []string{c.TargetName, c.NetBIOSDomain, c.NetBIOSComputer, c.DNSDomain, c.DNSComputer, c.Forest} {
			if !utf8.ValidString(s) {
				t.Errorf("%q", s)
			}
		}
		if r, _, err := c.Answer(Account{User: "a", Password: "p"}, time.Unix(0, 0), bytes.NewReader(make([]byte, 24))); err == nil {
			if _, ok := r.Verify(c, "p"); !ok {
				t.Error("the answer is not taken")
			}
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add(unhex(f, realResponse))
	f.Add([]byte(signature + "\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseResponse(b)
		if err != nil {
			return
		}
		if !utf8.ValidString(r.User + r.Domain + r.Workstation) {
			t.Errorf("%+v", r)
		}
		if _, ok := r.Verify(Challenge{}, "a password that nobody has"); ok {
			t.Error("a response is taken that nobody made")
		}
	})
}

func FuzzBuffer(f *testing.F) {
	f.Add("<sip:a@d>;tag=1", "a <b", ">;tag=;<")
	f.Fuzz(func(_ *testing.T, from, to, asserted string) {
		Signed{From: from, To: to, Asserted: asserted, CSeq: from}.Buffer(4)
	})
}
