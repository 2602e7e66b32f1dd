package httpprobe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
	"ocsdoctor/checks/evidence/live/tlsprobe"
)

const (
	// maxPage is how much of a page is read for the number in the text of an error.
	maxPage = 16 << 10
	// maxSchemes bounds the schemes that are kept.
	maxSchemes = 16
	// httpsPort is the port that a URL of https need not name.
	httpsPort = 443
)

// Page is https.page. It speaks TLS in the way in which the handshake with the endpoint was completed before.
func Page(ctx context.Context, e *env.Env, tr *env.Trace, r *evidence.Reader, q facts.PageQuestion) (facts.Page, error) {
	h, err := facts.TLSHandshake.Get(r, q.Endpoint)
	if err != nil {
		return facts.Page{}, err
	}
	if !h.Completed {
		return facts.Page{}, evidence.FailAt(evidence.NoTarget, q.Endpoint.String()+" completes no TLS handshake: "+h.Problem(), facts.TLSHandshake.Key(q.Endpoint))
	}
	target, err := e.Connected(r, q.Endpoint)
	if err != nil {
		return facts.Page{}, err
	}
	config := tlsprobe.Modern(q.Host)
	if h.Legacy {
		config = tlsprobe.Legacy(q.Host)
	}
	var p facts.Page
	err = e.Talk(ctx, tr, target, e.Budgets.Exchange, func(ctx context.Context, conn net.Conn) (err error) {
		p, err = page(tls.Client(conn, config), q)
		if (err != nil || p.Problem != "") && ctx.Err() != nil { // whose end closed the connection
			return ctx.Err()
		}
		return err
	})
	if err != nil {
		return facts.Page{}, err
	}
	tr.Log(fmt.Sprintf("%s: %d %s", q.Path, p.Status, p.Problem))
	return p, nil
}

// page sends the request and reads the head of the answer and the beginning of its body. The error is a time-out.
func page(conn net.Conn, q facts.PageQuestion) (facts.Page, error) {
	host := q.Host
	if q.Port != httpsPort {
		host = q.Endpoint.String()
	}
	req := &http.Request{
		Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: host, Path: q.Path}, Host: host, Header: http.Header{"User-Agent": {"ocsdoctor"}}, Close: true,
	}
	silent := func(err error) bool {
		var timeout net.Error
		return errors.As(err, &timeout) && timeout.Timeout()
	}
	if err := req.Write(conn); err != nil {
		if silent(err) {
			return facts.Page{}, err
		}
		return facts.Page{Problem: "the connection is closed at the request"}, nil
	}
	limited := &io.LimitedReader{R: conn, N: maxHeader + maxPage}
	res, err := http.ReadResponse(bufio.NewReader(limited), req)
	switch {
	case err != nil && silent(err):
		return facts.Page{}, err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return facts.Page{Problem: "the connection is closed before an answer"}, nil
	case err != nil:
		return facts.Page{Problem: "the answer is not HTTP"}, nil
	}
	defer func() { _ = res.Body.Close() }()
	p := facts.Page{
		Status: res.StatusCode, Server: text(res.Header.Get("Server")), Location: text(res.Header.Get("Location")), Schemes: schemes(res.Header.Values("WWW-Authenticate")),
	}
	if body, err := io.ReadAll(io.LimitReader(res.Body, maxPage)); err == nil || len(body) > 0 {
		p.SubStatus = subStatus(p.Status, body)
	}
	return p, nil
}

// maxText bounds what is kept of a header.
const maxText = 512

func text(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "\uFFFD") }

// schemes are the names of the schemes in the values of WWW-Authenticate, each of which holds one or more challenges with or without
// parameters (RFC 7235, section 4.1).
func schemes(values []string) []string {
	var out []string
	for _, v := range values {
		quoted := false
		for _, part := range strings.FieldsFunc(v, func(r rune) bool {
			if r == '"' {
				quoted = !quoted
			}
			return r == ',' && !quoted
		}) {
			name, _, _ := strings.Cut(strings.TrimSpace(part), " ")
			if name != "" && !strings.ContainsAny(name, `="`) && len(out) < maxSchemes {
				out = append(out, text(name))
			}
		}
	}
	return out
}

var errorNumber = regexp.MustCompile(`\b([45]\d\d)\.(\d{1,2})\b`)

// subStatus is the number behind the point in the text of an error page of IIS: "HTTP Error 403.4 - Forbidden", in every language.
func subStatus(status int, body []byte) int {
	for _, found := range errorNumber.FindAllSubmatch(body, maxSchemes) {
		if string(found[1]) == strconv.Itoa(status) {
			n, err := strconv.Atoi(string(found[2]))
			if err == nil {
				return n
			}
		}
	}
	return 0
}
