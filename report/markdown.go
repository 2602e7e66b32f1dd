package report

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The checks' texts are a small Markdown: paragraphs, headings, lists, indented or fenced code, `code`, *name*, **strong**
// and links. Nothing else has a meaning, there is no escape character and no raw HTML: a UNC path, a wildcard name or
// any other argument from the network comes out as it went in.

// block is one part of a Markdown text.
type block struct {
	kind blockKind
	// text is a paragraph's or heading's, on one line.
	text string
	// code is the lines of a code block, without its indentation.
	code []string
	// items are a list's.
	items []item
}

type blockKind int

const (
	paragraph blockKind = iota
	heading
	codeBlock
	list
)

// item is one item of a list.
type item struct {
	mark   string // "- " or "3. "
	gap    bool   // an empty line stands before it
	blocks []block
}

// maxDepth bounds the nesting of lists; deeper ones are text.
const maxDepth = 4

func parseMarkdown(md string) []block {
	return parseBlocks(strings.Split(printableLines(md), "\n"), 0)
}

func parseBlocks(lines []string, depth int) []block {
	var out []block
	for len(lines) > 0 {
		line := lines[0]
		trimmed := strings.TrimSpace(line)
		mark := ""
		if depth < maxDepth {
			mark = listMark(trimmed)
		}
		var b block
		var n int
		switch {
		case trimmed == "":
			lines = lines[1:]
			continue
		case strings.HasPrefix(trimmed, "```"):
			b, n = fencedCode(lines)
		case indent(line) >= 4:
			b, n = indentedCode(lines)
		case mark != "":
			b, n = parseList(lines, depth)
		case strings.HasPrefix(trimmed, "#") && strings.HasPrefix(strings.TrimLeft(trimmed, "#"), " "):
			b, n = block{kind: heading, text: strings.TrimSpace(strings.TrimLeft(trimmed, "#"))}, 1
		default:
			b, n = parseParagraph(lines)
		}
		out, lines = append(out, b), lines[n:]
	}
	return out
}

func fencedCode(lines []string) (block, int) {
	b, margin := block{kind: codeBlock}, indent(lines[0])
	for i, l := range lines[1:] {
		if strings.HasPrefix(strings.TrimSpace(l), "```") {
			return b, i + 2
		}
		b.code = append(b.code, cutIndent(l, margin))
	}
	return b, len(lines)
}

func indentedCode(lines []string) (block, int) {
	b, end := block{kind: codeBlock}, 0
	for i, l := range lines {
		if strings.TrimSpace(l) == "" {
			continue
		}
		if indent(l) < 4 {
			break
		}
		for ; end <= i; end++ {
			b.code = append(b.code, cutIndent(lines[end], 4))
		}
	}
	return b, end
}

func parseParagraph(lines []string) (block, int) {
	var words []string
	for i, l := range lines {
		if t := strings.TrimSpace(l); i > 0 && (t == "" || beginsBlock(t)) {
			return block{kind: paragraph, text: strings.Join(words, " ")}, i
		}
		words = append(words, strings.Fields(l)...)
	}
	return block{kind: paragraph, text: strings.Join(words, " ")}, len(lines)
}

// beginsBlock tells whether a line ends the paragraph before it. A number other than 1 is part of the sentence, as in CommonMark.
func beginsBlock(trimmed string) bool {
	mark := listMark(trimmed)
	return strings.HasPrefix(trimmed, "```") || mark == "- " || mark == "* " || mark == "1. "
}

// parseList takes the items that follow each other; what is indented as far as an item's text belongs to it.
func parseList(lines []string, depth int) (block, int) {
	b, i, gap := block{kind: list}, 0, false
	for i < len(lines) {
		trimmed := strings.TrimSpace(lines[i])
		mark := listMark(trimmed)
		if mark == "" || indent(lines[i]) >= 4 {
			break
		}
		margin := indent(lines[i]) + len(mark)
		own := []string{trimmed[len(mark):]}
		end := i + 1
		for j := end; j < len(lines); j++ {
			l := strings.TrimSpace(lines[j])
			if l == "" {
				continue
			}
			// The line after the mark may go on at the margin of the page, like any line of a paragraph.
			lazy := j == i+1 && listMark(l) == "" && !beginsBlock(l)
			if indent(lines[j]) < margin && !lazy {
				break
			}
			for ; end <= j; end++ {
				own = append(own, cutIndent(lines[end], margin))
			}
		}
		b.items = append(b.items, item{mark: mark, gap: gap, blocks: parseBlocks(own, depth+1)})
		i, gap = end, false
		for i < len(lines) && strings.TrimSpace(lines[i]) == "" {
			i, gap = i+1, true
		}
	}
	return b, i
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

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// cutIndent takes away at most n leading spaces.
func cutIndent(line string, n int) string { return line[min(n, indent(line)):] }

// RenderMarkdown sets the small Markdown of the checks for a terminal: paragraphs and list items are wrapped to width
// characters; code is indented and never wrapped, so that a command stays one line to copy. `code` and *name* keep their
// marks, which show where a name begins and ends.
func RenderMarkdown(md string, width int) []string { return renderBlocks(parseMarkdown(md), width) }

func renderBlocks(blocks []block, width int) []string {
	var out []string
	for i, b := range blocks {
		if i > 0 {
			out = append(out, "")
		}
		switch b.kind {
		case codeBlock:
			for _, l := range b.code {
				out = append(out, strings.TrimRight("    "+l, " "))
			}
		case list:
			for j, it := range b.items {
				if j > 0 && it.gap {
					out = append(out, "")
				}
				lead := it.mark
				for _, l := range renderBlocks(it.blocks, width-len(it.mark)) {
					out = append(out, strings.TrimRight(lead+l, " "))
					lead = strings.Repeat(" ", len(it.mark))
				}
			}
		default:
			out = append(out, wrap(plainText(b.text), width, width)...)
		}
	}
	return out
}

// plainText is a paragraph for a terminal.
func plainText(text string) string {
	var b strings.Builder
	for _, s := range spans(text) {
		switch s.kind {
		case codeSpan:
			b.WriteString("`" + s.text + "`")
		case nameSpan:
			b.WriteString("*" + s.text + "*")
		case linkSpan:
			b.WriteString(s.text + " (" + s.target + ")")
		default:
			b.WriteString(s.text)
		}
	}
	return b.String()
}

// markdownHTML is the same text for a page. All text is escaped and no tag has an attribute that the text could choose;
// a link is shown as text, since its target may come from the network.
func markdownHTML(md string) string {
	var b strings.Builder
	writeBlocks(&b, parseMarkdown(md))
	return b.String()
}

func writeBlocks(b *strings.Builder, blocks []block) {
	for _, bl := range blocks {
		switch bl.kind {
		case codeBlock:
			b.WriteString("<pre><code>" + html.EscapeString(strings.Join(bl.code, "\n")) + "</code></pre>\n")
		case list:
			open, end := "<ul>", "</ul>"
			if number, ok := strings.CutSuffix(bl.items[0].mark, ". "); ok {
				n, _ := strconv.Atoi(number) // listMark: one or two digits
				open, end = fmt.Sprintf(`<ol start="%d">`, n), "</ol>"
			}
			b.WriteString(open + "\n")
			for _, it := range bl.items {
				b.WriteString("<li>")
				if len(it.blocks) == 1 && it.blocks[0].kind == paragraph {
					writeSpans(b, it.blocks[0].text)
				} else {
					writeBlocks(b, it.blocks)
				}
				b.WriteString("</li>\n")
			}
			b.WriteString(end + "\n")
		case heading:
			b.WriteString("<p><strong>")
			writeSpans(b, bl.text)
			b.WriteString("</strong></p>\n")
		default:
			b.WriteString("<p>")
			writeSpans(b, bl.text)
			b.WriteString("</p>\n")
		}
	}
}

func writeSpans(b *strings.Builder, text string) {
	for _, s := range spans(text) {
		t := html.EscapeString(s.text)
		switch s.kind {
		case codeSpan:
			b.WriteString("<code>" + t + "</code>")
		case nameSpan:
			b.WriteString("<em>" + t + "</em>")
		case strongSpan:
			b.WriteString("<strong>" + t + "</strong>")
		case linkSpan:
			b.WriteString(t + " (<code>" + html.EscapeString(s.target) + "</code>)")
		default:
			b.WriteString(t)
		}
	}
}

// span is a part of a line that is set alike.
type span struct {
	kind   spanKind
	text   string
	target string // of a link
}

type spanKind int

const (
	textSpan spanKind = iota
	codeSpan
	nameSpan
	strongSpan
	linkSpan
)

// maxLink bounds the text and the target of a link, in bytes, and with it the time that a line full of brackets takes.
const maxLink = 300

// spans takes a line apart. What is opened and not closed is text. Each mark is looked for only until it once was not found,
// so that a line of nothing but marks costs no more than its length.
func spans(line string) []span {
	var out []span
	missing := map[string]bool{}
	until := func(rest, end string) (string, bool) {
		if missing[end] {
			return "", false
		}
		text, _, ok := strings.Cut(rest, end)
		missing[end] = !ok
		return text, ok
	}
	start := 0
	add := func(at int, s span, length int) int {
		if at > start {
			out = append(out, span{text: line[start:at]})
		}
		out = append(out, s)
		start = at + length
		return start
	}
	for i := 0; i < len(line); {
		rest := line[i:]
		switch {
		case rest[0] == '`':
			if t, ok := until(rest[1:], "`"); ok && t != "" {
				i = add(i, span{kind: codeSpan, text: t}, len(t)+2)
				continue
			}
		case strings.HasPrefix(rest, "**"):
			if t, ok := until(rest[2:], "**"); ok && emphasised(line[:i], t, rest[2+len(t)+2:]) {
				i = add(i, span{kind: strongSpan, text: t}, len(t)+4)
				continue
			}
			i++ // both marks are text
		case rest[0] == '*':
			if t, ok := until(rest[1:], "*"); ok && emphasised(line[:i], t, rest[1+len(t)+1:]) {
				i = add(i, span{kind: nameSpan, text: t}, len(t)+2)
				continue
			}
		case rest[0] == '[':
			near := rest[1:min(len(rest), maxLink)]
			if t, target, ok := strings.Cut(near, "]("); ok && t != "" && !strings.ContainsAny(t, "[]") {
				if target, _, ok := strings.Cut(target, ")"); ok && target != "" {
					i = add(i, span{kind: linkSpan, text: t, target: target}, len(t)+len(target)+4)
					continue
				}
			}
		}
		i++
	}
	if start < len(line) {
		out = append(out, span{text: line[start:]})
	}
	return out
}

// emphasised tells whether the asterisks around text are marks and not part of names such as *.example.com: inside they touch
// a letter, a digit, a quote or a closing sign, outside they touch none of the first two.
func emphasised(before, text, after string) bool {
	word := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	first, _ := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	left, _ := utf8.DecodeLastRuneInString(before)
	right, _ := utf8.DecodeRuneInString(after)
	return (word(first) || strings.ContainsRune(`"'(<`, first)) && !unicode.IsSpace(last) && !word(left) && !word(right)
}
