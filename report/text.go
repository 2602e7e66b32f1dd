package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable shows what a terminal would act on: control characters, line breaks, directional overrides and bytes that are
// no UTF-8 become visible escapes. Text from the network goes through it wherever it is shown.
func Printable(s string) string {
	safe := func(r rune) bool { return r != utf8.RuneError && !hidden(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case safe(r) || r == utf8.RuneError:
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// hidden tells the characters that change what a reader sees without being seen: C0 and C1 controls, DEL, line and paragraph
// separators, and format characters such as directional overrides (Unicode categories Cc, Cf, Zl, Zp).
func hidden(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// printableLines is Printable for a text of several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = Printable(strings.ReplaceAll(l, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// wrap breaks a text into lines of at most width characters, between words; a longer word stays whole.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// RenderMarkdown sets the small Markdown of the checks for a terminal: paragraphs and list items are wrapped to width,
// code is indented and never wrapped, so that a command stays one line to copy.
func RenderMarkdown(md string, width int) []string {
	var out, para []string
	flush := func() {
		if len(para) == 0 {
			return
		}
		text := strings.Join(para, " ")
		para = nil
		first, rest := "", ""
		if mark := listMark(text); mark != "" {
			first, rest = mark, strings.Repeat(" ", len(mark))
			text = text[len(mark):]
		}
		for i, l := range wrap(text, width-len(first)) {
			if i == 0 {
				out = append(out, first+l)
			} else {
				out = append(out, rest+l)
			}
		}
	}
	blank := func() {
		if n := len(out); n > 0 && out[n-1] != "" {
			out = append(out, "")
		}
	}
	fenced, inList := false, false
	for _, line := range strings.Split(printableLines(md), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			flush()
			blank()
			fenced = !fenced
		case fenced:
			out = append(out, "    "+line)
		case trimmed == "":
			flush()
			blank()
			inList = false
		case strings.HasPrefix(line, "    ") && len(para) == 0 && !inList:
			out = append(out, line)
		case listMark(trimmed) != "":
			flush()
			inList = true
			para = append(para, trimmed)
		case strings.HasPrefix(trimmed, "#"):
			flush()
			blank()
			out = append(out, strings.TrimSpace(strings.TrimLeft(trimmed, "#")))
		default:
			para = append(para, trimmed)
		}
	}
	flush()
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// listMark is the "- " or "1. " at the beginning of a list item; "" of other text.
func listMark(s string) string {
	if strings.HasPrefix(s, "- ") || strings.HasPrefix(s, "* ") {
		return s[:2]
	}
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if digits > 0 && digits < 3 && strings.HasPrefix(s[digits:], ". ") {
		return s[:digits+2]
	}
	return ""
}
