package sipprobe

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"ocsdoctor/checks/evidence/facts"
)

const (
	// maxMessage bounds one message in bytes.
	maxMessage = 64 << 10
	// maxMessages bounds what is read from a connection: provisional answers included.
	maxMessages = 256 << 10
	// maxHeaders bounds the header fields of a message; folded lines count.
	maxHeaders = 100
	// maxRaw is what is kept of a message.
	maxRaw = 16 << 10
	// version is how a response begins (RFC 3261, section 7.2).
	version = "SIP/2.0"
)

var errTooLong = errors.New("the message is too long")

// read returns the final response. Empty lines before a message are keep-alives (RFC 3261, section 7.5); provisional
// responses and requests of the server's own are passed over. What is not SIP is an answer too, however it ends.
func read(r *bufio.Reader) (facts.SIPAnswer, error) {
	for {
		raw, isSIP, err := head(r)
		if !isSIP && len(raw) > 0 {
			return facts.SIPAnswer{NotSIP: true, Raw: cut(raw)}, nil
		}
		if err != nil {
			return facts.SIPAnswer{}, err
		}
		a := Parse(raw)
		n, _ := strconv.Atoi(a.Header("Content-Length"))
		body, err := io.ReadAll(io.LimitReader(r, int64(min(max(n, 0), maxMessage))))
		if a.Status >= 200 || a.NotSIP {
			a.Raw = cut(append(raw, body...)) // a body that does not come whole takes nothing from the answer
			return a, nil
		}
		if err != nil {
			return facts.SIPAnswer{}, err
		}
	}
}

// head reads a message up to the empty line. isSIP is false as soon as its first line cannot be SIP; what came of
// a line before an error is returned with it.
func head(r *bufio.Reader) (raw []byte, isSIP bool, err error) {
	isSIP = true
	for lines := 0; ; {
		line, err := r.ReadSlice('\n')
		line = slices.Clone(line)
		blank := len(bytes.TrimRight(line, "\r\n")) == 0
		if len(raw) == 0 && blank && err == nil {
			continue
		}
		if len(raw) == 0 {
			isSIP = startsSIP(line, err == nil)
		}
		raw = append(raw, line...)
		lines++
		switch {
		case !isSIP:
			return more(r, raw), false, err
		case err == bufio.ErrBufferFull, len(raw) > maxMessage, lines > maxHeaders+1: //nolint:errorlint // ReadSlice promises this very value
			return raw, true, errTooLong
		case err != nil:
			return raw, true, err
		case blank:
			return raw, true, nil
		}
	}
}

// more adds what has come already, so that the reader of a report sees a little of what answered.
func more(r *bufio.Reader, raw []byte) []byte {
	b, _ := r.Peek(r.Buffered())
	return append(raw, b...)
}

// startsSIP tells whether a line may be the first of a message: a status line, a request line, or the beginning of one that was cut off.
func startsSIP(line []byte, whole bool) bool {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) >= len(version) && bytes.EqualFold(line[:len(version)], []byte(version)) {
		return true
	}
	if whole {
		return len(line) > len(version) && bytes.EqualFold(line[len(line)-len(version):], []byte(version))
	}
	return bytes.EqualFold(line, []byte(version)[:min(len(line), len(version))])
}

func cut(b []byte) []byte { return b[:min(len(b), maxRaw)] }

// longNames are the header fields with a compact form (RFC 3261, section 7.3.3, and the IANA registry).
var longNames = map[string]string{
	"a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition", "e": "Content-Encoding", "f": "From",
	"i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact", "o": "Event", "r": "Refer-To",
	"s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires", "y": "Identity",
}

// Parse takes one message apart. It is tolerant of lines that are no header field: the raw text has them. A request has
// status 0. A message that does not begin as SIP has NotSIP.
func Parse(raw []byte) facts.SIPAnswer {
	raw = raw[:min(len(raw), maxMessage)]
	first, rest, whole := bytes.Cut(raw, []byte("\n"))
	if !startsSIP(first, true) {
		return facts.SIPAnswer{NotSIP: true, Raw: cut(raw)}
	}
	a := facts.SIPAnswer{Raw: cut(raw)}
	if status, ok := statusLine(first); ok {
		a.Status, a.Phrase = status, phrase(first)
	} else if bytes.EqualFold(first[:min(len(first), len(version))], []byte(version)) {
		return facts.SIPAnswer{NotSIP: true, Raw: cut(raw)}
	}
	if !whole {
		return a
	}
	for line := range bytes.Lines(rest) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 || len(a.Headers) >= maxHeaders {
			break
		}
		if line[0] == ' ' || line[0] == '\t' { // folded (RFC 3261, section 7.3.1)
			if n := len(a.Headers); n > 0 {
				h := &a.Headers[n-1]
				h.Value = append(append(h.Value, ' '), bytes.TrimSpace(line)...)
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		name = bytes.TrimRight(name, " \t")
		if !ok || !isToken(string(name)) {
			continue
		}
		n := string(name)
		if long, ok := longNames[strings.ToLower(n)]; ok {
			n = long
		}
		a.Headers = append(a.Headers, facts.SIPHeader{Name: n, Value: bytes.Clone(bytes.TrimSpace(value))})
	}
	for _, h := range a.Headers {
		if strings.EqualFold(h.Name, "WWW-Authenticate") || strings.EqualFold(h.Name, "Proxy-Authenticate") {
			if c, ok := challenge(string(h.Value)); ok {
				a.Challenges = append(a.Challenges, c)
			}
		}
	}
	return a
}

// statusLine reads "SIP/2.0 401 Unauthorized".
func statusLine(line []byte) (status int, ok bool) {
	parts := strings.SplitN(strings.TrimSpace(string(line)), " ", 3)
	if len(parts) < 2 || !strings.EqualFold(parts[0], version) || len(parts[1]) != 3 {
		return 0, false
	}
	n, err := strconv.Atoi(parts[1])
	return n, err == nil && n >= 100 && n < 700
}

// phrase is the reason phrase of a status line.
func phrase(line []byte) string {
	parts := strings.SplitN(strings.TrimSpace(string(line)), " ", 3)
	if len(parts) < 3 {
		return ""
	}
	return text(parts[2])
}

// challenge reads "NTLM realm="...", targetname="...", version=4" (RFC 3261, section 25.1). Parameters without
// a value are kept as empty; of two with one name the first counts.
func challenge(s string) (facts.Challenge, bool) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	if !isToken(scheme) {
		return facts.Challenge{}, false
	}
	c := facts.Challenge{Scheme: scheme, Parameters: map[string]string{}}
	for rest = strings.TrimLeft(rest, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		end := strings.IndexAny(rest, "=,")
		if end < 0 {
			end = len(rest)
		}
		name, value := strings.ToLower(strings.TrimSpace(rest[:end])), ""
		rest = rest[end:]
		if strings.HasPrefix(rest, "=") {
			value, rest = parameterValue(strings.TrimLeft(rest[1:], " \t"))
		}
		if _, twice := c.Parameters[name]; !twice && isToken(name) {
			c.Parameters[name] = text(value)
		}
	}
	return c, true
}

// parameterValue reads a quoted string, with backslash escapes, or what stands before the next comma. A quoted
// string without its end goes to the end.
func parameterValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ",")
		return strings.TrimSpace(value), rest
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			_, rest, _ = strings.Cut(s[i+1:], ",")
			return b.String(), rest
		case '\\':
			if i++; i == len(s) {
				return b.String(), ""
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// isToken tells whether a text is a token (RFC 3261, section 25.1).
func isToken(s string) bool {
	for _, r := range s {
		alphanumeric := r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !alphanumeric && !strings.ContainsRune("-.!%*_+`'~", r) {
			return false
		}
	}
	return s != ""
}

// text makes what came from the wire valid UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
