package tlsprobe

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"

	"golang.org/x/crypto/cryptobyte"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// Numbers of hellos (RFC 5246, section 7.4.1; RFC 5746, section 3.3; RFC 6066, section 3; RFC 8422, section 5.1; RFC 8446, section 4.2).
const (
	clientHello         = 1
	noRenegotiation     = 0x00ff // TLS_EMPTY_RENEGOTIATION_INFO_SCSV: a server that insists on RFC 5746 is content
	serverName          = 0
	supportedGroups     = 10
	pointFormats        = 11
	signatureAlgorithms = 13
	keyShare            = 51
)

// algorithms are the signatures that a hello from TLS 1.2 on takes: RSA and ECDSA with every hash of RFC 5246, section 7.4.1.4.1, and RSASSA-PSS.
var algorithms = []uint16{0x0401, 0x0501, 0x0601, 0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0201, 0x0203}

// offer is what a hello offers.
type offer struct {
	host     string
	min, max uint16
	suites   []uint16
}

// hello is a ClientHello in its record. Before TLS 1.0 there are no extensions.
func (o offer) hello() []byte {
	var b cryptobyte.Builder
	b.AddUint8(recordHandshake)
	b.AddUint16(min(o.max, tls.VersionTLS10))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(clientHello)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(min(o.max, tls.VersionTLS12))
			b.AddBytes(random(32))
			b.AddUint8(0) // no session
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, s := range append(slices.Clone(o.suites), noRenegotiation) {
					b.AddUint16(s)
				}
			})
			b.AddBytes([]byte{1, 0}) // no compression
			if o.max >= tls.VersionTLS10 {
				b.AddUint16LengthPrefixed(o.extensions)
			}
		})
	})
	return b.BytesOrPanic()
}

func (o offer) extensions(b *cryptobyte.Builder) {
	add := func(number uint16, body func(*cryptobyte.Builder)) {
		b.AddUint16(number)
		b.AddUint16LengthPrefixed(body)
	}
	list := func(numbers ...uint16) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, n := range numbers {
					b.AddUint16(n)
				}
			})
		}
	}
	if facts.IsHostName(o.host) {
		add(serverName, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(o.host)) })
			})
		})
	}
	add(supportedGroups, list(uint16(tls.X25519), uint16(tls.CurveP256), uint16(tls.CurveP384), uint16(tls.CurveP521)))
	add(pointFormats, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 0}) })
	if o.max >= tls.VersionTLS12 {
		add(signatureAlgorithms, list(algorithms...))
	}
	if o.max >= tls.VersionTLS13 {
		add(supportedVersions, func(b *cryptobyte.Builder) {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
				for v := o.max; v >= max(o.min, tls.VersionTLS10); v-- {
					b.AddUint16(v)
				}
			})
		})
		add(keyShare, list()) // none: the server asks for one, and with that has said what it speaks
	}
}

// ssl2Suites are the cipher kinds of SSL 2.0: RC4, RC2 and DES with MD5, with and without export restrictions.
var ssl2Suites = []uint32{0x010080, 0x020080, 0x030080, 0x040080, 0x050080, 0x060040, 0x0700c0}

// ssl2Hello is a CLIENT-HELLO of SSL 2.0, whose record says its length in two bytes with the first bit set.
func ssl2Hello() []byte {
	const challenge = 16
	var b cryptobyte.Builder
	b.AddUint8(clientHello)
	b.AddUint16(facts.SSL2)
	b.AddUint16(uint16(3 * len(ssl2Suites)))
	b.AddUint16(0) // no session
	b.AddUint16(challenge)
	for _, s := range ssl2Suites {
		b.AddUint24(s)
	}
	b.AddBytes(random(challenge))
	body := b.BytesOrPanic()
	return append([]byte{0x80, byte(len(body))}, body...)
}

// random makes bytes that no other hello has. Nothing rests on them: no handshake is completed.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// listen reads what a server sends until it is the client's turn. The error is that of the way to the server; the end of the connection
// is none.
func listen(r io.Reader) (transcript, error) {
	in := bufio.NewReader(io.LimitReader(r, maxSeen))
	t := transcript{alert: -1}
	end := func(err error) (transcript, error) {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			return t, err
		}
		t.closed = true
		return t, nil
	}
	for !t.done {
		header := make([]byte, headerSize)
		n, err := io.ReadFull(in, header)
		t.received = t.received || n > 0
		length, ok := t.header(header[:n])
		switch {
		case err != nil && (n == 0 || t.tls):
			return end(err)
		case !ok:
			return t, nil
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			return end(err)
		}
		if !t.record(header[0], body) {
			break
		}
	}
	return t, nil
}

// listenSSL2 reads a SERVER-HELLO of SSL 2.0 and tells whether it is one: type 4, whether a session is found, the type of the
// certificate, the version.
func listenSSL2(r io.Reader) (bool, error) {
	b := make([]byte, 7)
	_, err := io.ReadFull(r, b)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return false, err
	}
	return err == nil && b[0]&0x80 != 0 && b[2] == 4 && b[5] == 0 && b[6] == 2, nil
}

// surveyor asks one server.
type surveyor struct {
	ctx    context.Context
	env    *env.Env
	trace  *env.Trace
	target env.Target

	mu     sync.Mutex
	survey facts.TLSSurvey
	spoken []uint16
	suites []uint16
}

// Survey is tls.survey. A server that speaks nothing is a value; one that stays silent on the first hello is a failure.
func Survey(ctx context.Context, e *env.Env, tr *env.Trace, r *evidence.Reader, ep facts.Endpoint) (facts.TLSSurvey, error) {
	target, err := e.Connected(r, ep)
	if err != nil {
		return facts.TLSSurvey{}, err
	}
	s := &surveyor{ctx: ctx, env: e, trace: tr, target: target}
	first, err := s.ask(s.offer(facts.SSL3, facts.TLS13))
	if err != nil {
		return facts.TLSSurvey{}, err
	}
	if first.received && !first.tls {
		s.survey.Problem = "answered something that is not TLS"
		return s.survey, nil
	}
	newest := uint16(facts.TLS13 + 1)
	if s.speaks(first) {
		newest = first.version
	}
	// A server that took the first hello speaks nothing newer than it chose. One that refused may have stumbled over what it does not know.
	fns := []func(){s.askSSL2}
	for _, v := range facts.TLSVersions[1:] {
		if v < newest {
			fns = append(fns, func() { s.askVersion(v) })
		}
	}
	evidence.Parallel(fns...)
	s.askSuites()
	if f := env.Ended(ctx); f != nil {
		return facts.TLSSurvey{}, f
	}
	return s.result(first), nil
}

// offer is every suite that exists at the newest of some versions.
func (s *surveyor) offer(oldest, newest uint16) offer {
	o := offer{host: s.target.Endpoint.Host, min: oldest, max: newest}
	for _, suite := range facts.TLSSuites {
		if suite.Since <= newest && (suite.Since < facts.TLS13 || newest >= facts.TLS13) {
			o.suites = append(o.suites, suite.ID)
		}
	}
	return o
}

// ask sends a hello and takes down what is answered. The error is that there was no answer. An answer that begins and does not come to its end
// in time is stalled.
func (s *surveyor) ask(o offer) (transcript, error) {
	var t transcript
	err := s.env.Talk(s.ctx, s.trace, s.target, s.env.Budgets.Exchange, func(ctx context.Context, conn net.Conn) (err error) {
		if _, err = conn.Write(o.hello()); err != nil {
			return err
		}
		if t, err = listen(conn); t.version == 0 && t.alert < 0 && ctx.Err() != nil { // whose end closed the connection
			return ctx.Err()
		}
		t.stalled = ctx.Err() != nil
		return err
	})
	if err != nil {
		return t, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.survey.ClientCertificateAsked = s.survey.ClientCertificateAsked || t.asked
	if t.issuerBytes > s.survey.IssuerBytes {
		s.survey.Issuers, s.survey.IssuerBytes = t.issuers, t.issuerBytes
	}
	return t, nil
}

// speaks takes down the version and the suite of an answer that has a hello. ok is false for one that has none.
func (s *surveyor) speaks(t transcript) (ok bool) {
	if facts.TLSVersionName(t.version) == "" || facts.TLSSuiteName(t.suite) == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.spoken, t.version) {
		s.spoken = append(s.spoken, t.version)
	}
	if !slices.Contains(s.suites, t.suite) {
		s.suites = append(s.suites, t.suite)
	}
	return true
}

func (s *surveyor) unanswered(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.survey.Unanswered, what) {
		s.survey.Unanswered = append(s.survey.Unanswered, what)
	}
}

func (s *surveyor) askVersion(v uint16) {
	t, err := s.ask(s.offer(v, v))
	switch {
	case err != nil:
		s.unanswered(facts.TLSVersionName(v))
	case t.version == v:
		s.speaks(t)
	}
}

func (s *surveyor) askSSL2() {
	spoken := false
	err := s.env.Talk(s.ctx, s.trace, s.target, s.env.Budgets.Exchange, func(ctx context.Context, conn net.Conn) (err error) {
		if _, err = conn.Write(ssl2Hello()); err != nil {
			return err
		}
		if spoken, err = listenSSL2(conn); !spoken && ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	})
	switch {
	case err != nil:
		s.unanswered(facts.TLSVersionName(facts.SSL2))
	case spoken:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.spoken = append(s.spoken, facts.SSL2)
	}
}

// suiteGroups is in how many parts the suites are asked for side by side.
const suiteGroups = 4

// askSuites asks for the suites at the newest version up to TLS 1.2: of each part of them the server picks one after the other until it
// refuses the rest.
func (s *surveyor) askSuites() {
	at := uint16(0)
	for _, v := range s.spoken {
		if v >= facts.SSL3 && v <= facts.TLS12 {
			at = max(at, v)
		}
	}
	if at == 0 {
		return
	}
	all := slices.DeleteFunc(s.offer(at, at).suites, func(id uint16) bool { return slices.Contains(s.suites, id) })
	size := (len(all) + suiteGroups - 1) / suiteGroups
	var fns []func()
	for part := range slices.Chunk(all, max(size, 1)) {
		fns = append(fns, func() { s.askPart(offer{s.target.Endpoint.Host, at, at, slices.Clone(part)}) })
	}
	evidence.Parallel(fns...)
}

func (s *surveyor) askPart(o offer) {
	for len(o.suites) > 0 {
		t, err := s.ask(o)
		if err != nil {
			s.unanswered("suites")
			return
		}
		i := slices.Index(o.suites, t.suite)
		if i < 0 || t.version != o.max || !s.speaks(t) {
			return
		}
		if t.stalled { // each further one would cost as much
			s.unanswered("suites")
			return
		}
		o.suites = slices.Delete(o.suites, i, i+1)
	}
}

// result puts down what was found, in the order of the tables.
func (s *surveyor) result(first transcript) facts.TLSSurvey {
	for _, v := range facts.TLSVersions {
		if slices.Contains(s.spoken, v) {
			s.survey.Versions = append(s.survey.Versions, facts.TLSVersionName(v))
		}
	}
	for _, suite := range facts.TLSSuites {
		if slices.Contains(s.suites, suite.ID) {
			s.survey.Suites = append(s.survey.Suites, suite.Name)
		}
	}
	slices.Sort(s.survey.Unanswered)
	if len(s.spoken) == 0 {
		s.survey.Problem = first.problem(Legacy(s.target.Endpoint.Host))
	}
	return s.survey
}
