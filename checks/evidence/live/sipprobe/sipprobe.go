// Package sipprobe sends a REGISTER without credentials over TLS, as Communicator begins a sign-in, and reads the answer.
package sipprobe

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/tlsprobe"
)

// user is the address that is registered: it exists nowhere, and without credentials no logon is attempted.
const user = "ocsdoctor"

// Register is sip.register: the first request of a sign-in, without credentials. Something else than SIP is a value.
func Register(ctx context.Context, e *env.Env, tr *env.Trace, r *evidence.Reader, q facts.RegisterQuestion) (facts.SIPAnswer, error) {
	h, err := facts.TLSHandshake.Get(r, q.Endpoint)
	if err != nil {
		return facts.SIPAnswer{}, err
	}
	if !h.Completed {
		return facts.SIPAnswer{}, evidence.FailAt(evidence.NoTarget, q.Endpoint.String()+" does not complete a TLS handshake: the server "+h.Problem(),
			facts.TLSHandshake.Key(q.Endpoint))
	}
	scope, err := facts.ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return facts.SIPAnswer{}, err
	}
	if !validDomain(q.Domain) {
		return facts.SIPAnswer{}, evidence.Fail(evidence.NoTarget, "the SIP domain has characters that no SIP address can have")
	}
	if strings.ContainsFunc(scope.UserAgent, unicode.IsControl) {
		return facts.SIPAnswer{}, evidence.Fail(evidence.NotConfigured, "--user-agent holds control characters")
	}
	target, err := e.Target(r, "tcp", q.Endpoint)
	if err != nil {
		return facts.SIPAnswer{}, err
	}
	config := tlsprobe.Modern(q.Endpoint.Host)
	if h.Legacy {
		config = tlsprobe.Legacy(q.Endpoint.Host)
	}
	var a facts.SIPAnswer
	err = e.Talk(ctx, tr, target, e.Budgets.Exchange, func(ctx context.Context, conn net.Conn) (err error) {
		c := tls.Client(conn, config)
		if err := c.HandshakeContext(ctx); err != nil {
			return err
		}
		if _, err := io.WriteString(c, request(q.Domain, scope.UserAgent, conn.LocalAddr().String())); err != nil {
			return err
		}
		a, err = read(bufio.NewReaderSize(io.LimitReader(c, maxMessages), maxMessage))
		switch {
		case err == nil:
			a.ReadAt = time.Now().UTC()
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errTooLong):
			return evidence.Fail(evidence.Protocol, q.Endpoint.String()+" answers REGISTER with more than a SIP response may have")
		}
		return evidence.Fail(evidence.Protocol, q.Endpoint.String()+" closed the connection without an answer to REGISTER")
	})
	if err != nil {
		return facts.SIPAnswer{}, err
	}
	if a.NotSIP {
		tr.Log("REGISTER: the answer is not SIP")
	} else {
		tr.Log(fmt.Sprintf("REGISTER: %d %s", a.Status, a.Phrase))
	}
	return a, nil
}

// validDomain tells whether a name can stand in a SIP address (RFC 3261, section 25.1: hostname). Names of other
// alphabets are let through as they are.
func validDomain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7F || strings.ContainsRune(`<>"@;:?,/\`, r)
	})
}

// request is the REGISTER that Communicator 2007 R2 sends first. epid is required: without it the server
// answers with ms-diagnostics 4010.
func request(domain, userAgent, local string) string {
	uri := user + "@" + domain
	id := random(16)
	lines := []string{
		"REGISTER sip:" + domain + " SIP/2.0",
		"Via: SIP/2.0/TLS " + local,
		"Max-Forwards: 70",
		"From: <sip:" + uri + ">;tag=" + random(5) + ";epid=" + random(5),
		"To: <sip:" + uri + ">",
		"Call-ID: " + random(16),
		"CSeq: 1 REGISTER",
		"Contact: <sip:" + local + ";transport=tls;ms-opaque=" + random(5) + `>;methods="INVITE, MESSAGE, INFO, SUBSCRIBE, OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER, BENOTIFY"` +
			`;proxy=replace;+sip.instance="<urn:uuid:` + strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-") + `>"`,
		"User-Agent: " + userAgent,
		"Supported: gruu-10, adhoclist, msrtc-event-categories",
		"Event: registration",
		"ms-keep-alive: UAC;hop-hop=yes",
		"Content-Length: 0",
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// random is a token of n bytes in hexadecimal.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
