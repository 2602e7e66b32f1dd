// Package httpprobe fetches what certificates point to: revocation lists, issuers, OCSP responses. What it fetches
// is named by whoever made the certificate, so that schemes, size, redirects and time are bounded.
package httpprobe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/certs"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

const (
	maxRedirects = 5
	maxHeader    = 64 << 10
	maxURL       = 4096
)

// Fetch is http.fetch. That a server answers something useless is a value; a failure is only what could not be looked at.
func Fetch(ctx context.Context, e *env.Env, tr *env.Trace, r *evidence.Reader, q facts.HTTPQuestion) (facts.HTTPAnswer, error) {
	scope, err := facts.ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return facts.HTTPAnswer{}, err
	}
	body, err := base64.StdEncoding.DecodeString(q.Body)
	if err != nil {
		return facts.HTTPAnswer{}, evidence.Fail(evidence.Internal, "the request is not in base64")
	}
	var a facts.HTTPAnswer
	left := e.Budgets.Fetch // for all hops together
	for at := q.URL; ; {
		u, why := readable(at)
		if why != "" {
			a.Problem = why
			return a, nil
		}
		via := u
		if q.Way == facts.ByProxy {
			if via, why = readable(scope.Proxy); why != "" {
				return facts.HTTPAnswer{}, evidence.Fail(evidence.NotConfigured, "--proxy: "+why)
			}
		}
		target, err := e.Connected(r, endpoint(via))
		if err != nil {
			return facts.HTTPAnswer{}, err
		}
		if left <= 0 {
			return facts.HTTPAnswer{}, evidence.Fail(evidence.Timeout, target.String()+", to which another place redirects, would answer too late")
		}
		var hop answer
		err = e.Talk(ctx, tr, target, left, func(ctx context.Context, conn net.Conn) (err error) {
			start := time.Now()
			defer func() { left -= time.Since(start) }()
			hop, err = exchange(conn, u, body, q.Way == facts.ByProxy)
			if (err != nil || hop.problem != "") && ctx.Err() != nil { // whose end closed the connection
				return ctx.Err()
			}
			return err
		})
		if err != nil {
			return facts.HTTPAnswer{}, err
		}
		a.Status, a.Type = hop.status, hop.kind
		if hop.next == "" {
			a.Body, a.Problem = hop.body, hop.problem
			tr.Log(fmt.Sprintf("%s: %d, %d bytes", u.Host, a.Status, len(a.Body)))
			return a, nil
		}
		if len(a.Redirects) == maxRedirects {
			a.Problem = fmt.Sprintf("it redirects more than %d times", maxRedirects)
			return a, nil
		}
		next, err := u.Parse(hop.next)
		if err != nil {
			a.Problem = "it redirects to something that is no URL"
			return a, nil
		}
		at = next.String()
		a.Redirects = append(a.Redirects, strings.ToValidUTF8(at, "\uFFFD"))
	}
}

// readable reads a URL; why says what keeps it from being fetched.
func readable(s string) (u *url.URL, why string) {
	if len(s) > maxURL {
		return nil, "its URL is too long"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, "it is no URL"
	case u.Scheme != "http":
		return nil, "its scheme is not http"
	case u.User != nil:
		return nil, "its URL holds a user name"
	case !facts.IsHostName(strings.ToLower(u.Hostname())) && !facts.IsAddress(u.Hostname()):
		return nil, "its URL names no host"
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return nil, "its URL names no port"
		}
	}
	return u, ""
}

func endpoint(u *url.URL) facts.Endpoint {
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = 80
	}
	return facts.Endpoint{Host: facts.Host(u.Hostname()), Port: port}
}

// answer is that of one hop.
type answer struct {
	status        int
	kind          string
	body          []byte
	next, problem string
}

// exchange sends one request and reads the answer.
func exchange(conn net.Conn, u *url.URL, body []byte, proxied bool) (answer, error) {
	req := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{"User-Agent": {"Microsoft-CryptoAPI/6.1"}}, Close: true}
	if len(body) > 0 {
		req.Method, req.Body, req.ContentLength = http.MethodPost, io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.Header.Set("Content-Type", "application/ocsp-request")
	}
	write := req.Write
	if proxied {
		write = req.WriteProxy
	}
	if err := write(conn); err != nil {
		return answer{}, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHeader}
	res, err := http.ReadResponse(bufio.NewReader(limited), req)
	if err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return answer{}, err
		}
		return answer{problem: "its answer is not HTTP"}, nil
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{status: res.StatusCode, kind: strings.ToValidUTF8(res.Header.Get("Content-Type"), "\uFFFD")}
	switch res.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if a.next = res.Header.Get("Location"); a.next != "" {
			return a, nil
		}
	}
	tooLong := fmt.Sprintf("it is longer than %d MiB", certs.MaxCRL>>20)
	if res.ContentLength > certs.MaxCRL {
		a.problem = tooLong
		return a, nil
	}
	limited.N = certs.MaxCRL + maxHeader
	b, err := io.ReadAll(io.LimitReader(res.Body, certs.MaxCRL+1))
	switch {
	case len(b) > certs.MaxCRL || limited.N <= 0:
		a.problem = tooLong
	case errors.Is(err, io.ErrUnexpectedEOF):
		a.problem = "it ends before its announced length"
	case err != nil:
		return answer{}, err
	default:
		a.body = b
	}
	return a, nil
}
