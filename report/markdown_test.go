package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestMarkdown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, md, console, page string }{
		{"a paragraph is wrapped", "one two\nthree four five six seven", "one two three four five six\nseven", "<p>one two three four five six seven</p>\n"},
		{"marks of code and names stay in the console", "In *DNS*, `a b` **now**", "In *DNS*, `a b` now", "<p>In <em>DNS</em>, <code>a b</code> <strong>now</strong></p>\n"},
		{"wildcards, UNC paths and underscores are no marks", `*.a.example, *.b.example \\ocs\share _ldap._tcp 2 * 3 * 4`, "*.a.example, *.b.example\n\\\\ocs\\share _ldap._tcp 2 * 3\n* 4",
			"<p>*.a.example, *.b.example \\\\ocs\\share _ldap._tcp 2 * 3 * 4</p>\n"},
		{"what is not closed is text", "a `b *c **d [e](f", "a `b *c **d [e](f", "<p>a `b *c **d [e](f</p>\n"},
		{"a link is text", "see [here](http://a.example/)", "see here (http://a.example/)", "<p>see here (<code>http://a.example/</code>)</p>\n"},
		{"HTML is text", "<b>a</b> &lt;", "<b>a</b> &lt;", "<p>&lt;b&gt;a&lt;/b&gt; &amp;lt;</p>\n"},
		{"code is never wrapped", "Run:\n\n    a long command that is wider than the page\n\n    b", "Run:\n\n    a long command that is wider than the page\n\n    b",
			"<p>Run:</p>\n<pre><code>a long command that is wider than the page\n\nb</code></pre>\n"},
		{"fenced code", "```\na  <b>\n\n# c\n```\nd", "    a  <b>\n\n    # c\n\nd", "<pre><code>a  &lt;b&gt;\n\n# c</code></pre>\n<p>d</p>\n"},
		{"code belongs to its step", "1. Stop it:\n\n       net stop x\n\n2. Start it,\n   then wait.\n\nDone.",
			"1. Stop it:\n\n       net stop x\n\n2. Start it, then wait.\n\nDone.",
			"<ol start=\"1\">\n<li><p>Stop it:</p>\n<pre><code>net stop x</code></pre>\n</li>\n<li>Start it, then wait.</li>\n</ol>\n<p>Done.</p>\n"},
		{"a long item is indented", "- one two three four five six seven\n- eight", "- one two three four five\n  six seven\n- eight", "<ul>\n<li>one two three four five six seven</li>\n<li>eight</li>\n</ul>\n"},
		{"a list in a list", "- a\n  - b\n  - c\n- d", "- a\n\n  - b\n  - c\n- d", "<ul>\n<li><p>a</p>\n<ul>\n<li>b</li>\n<li>c</li>\n</ul>\n</li>\n<li>d</li>\n</ul>\n"},
		{"a heading", "## Then\ngo", "Then\n\ngo", "<p><strong>Then</strong></p>\n<p>go</p>\n"},
		{"a number at the beginning of a line is no list", "the year\n2010. And on", "the year 2010. And on", "<p>the year 2010. And on</p>\n"},
		{"control characters are shown", "a\x1b[1m\u202eb\n\n    c\x07", "a\\x1b[1m\\u202eb\n\n    c\\x07", "<p>a\\x1b[1m\\u202eb</p>\n<pre><code>c\\x07</code></pre>\n"},
		{"nothing", " \n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.console, strings.Join(RenderMarkdown(c.md, 28), "\n")); diff != "" {
				t.Errorf("console:\n%s", diff)
			}
			if diff := cmp.Diff(c.page, markdownHTML(c.md)); diff != "" {
				t.Errorf("page:\n%s", diff)
			}
		})
	}
}

// A text of nothing but marks takes no more time than its length.
func TestMarkdownIsLinear(t *testing.T) {
	t.Parallel()
	for _, mark := range []string{"`", "*", "**", "[", "](", "* ", "- ", "1. ", "\n", "- \n", "    \n", " - a\n\n"} {
		began := time.Now()
		text := strings.Repeat(mark, 100_000)
		RenderMarkdown(text, 80)
		markdownHTML(text)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%q takes %v", mark, took)
		}
	}
}

// Whatever the text, the page stays well formed and nothing is sent that a terminal would act on.
func FuzzMarkdown(f *testing.F) {
	for _, seed := range []string{"1. a\n\n       b\n- c\n  - d", "```\nx", "*a* **b** `c` [d](e) ![f](g)", "- - - - - - a", "    \n\n    a", "<a href=x>\x1b\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, md string) {
		page := markdownHTML(md)
		dec := xml.NewDecoder(strings.NewReader("<div>" + page + "</div>"))
		for {
			tok, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %q", err, page)
			}
			if e, ok := tok.(xml.StartElement); ok {
				switch e.Name.Local {
				case "div", "p", "pre", "code", "ul", "ol", "li", "em", "strong":
				default:
					t.Fatalf("there is an element %s in %q", e.Name.Local, page)
				}
			}
		}
		lines := strings.Join(RenderMarkdown(md, 40), "\n")
		for _, r := range lines {
			if r != '\n' && hidden(r) || !utf8.ValidString(lines) {
				t.Fatalf("%q is sent", lines)
			}
		}
	})
}
