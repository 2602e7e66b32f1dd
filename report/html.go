package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"strings"

	"github.com/yuin/goldmark"
)

//go:embed report.html
var pageText string

//go:embed report.css
var styleText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"show":     Printable,
	"markdown": markdown,
	"upper":    strings.ToUpper,
	"join":     func(list []string) string { return Printable(strings.Join(list, ", ")) },
	"symbol":   func(severity string) string { return symbols[severity] },
	"plural":   plural,
}).Parse(pageText))

// markdown is the HTML of a check's text. Raw HTML in it is left out, so that an argument from the network cannot bring any.
func markdown(text string) template.HTML {
	var b bytes.Buffer
	if err := goldmark.Convert([]byte(printableLines(text)), &b); err != nil {
		return template.HTML("<pre>" + template.HTMLEscapeString(text) + "</pre>")
	}
	return template.HTML(b.String()) // goldmark escapes all text and drops raw HTML unless told otherwise
}

// problem is a root as the page shows it.
type problem struct {
	Number  int
	Finding Located
	Mark    string
	Follows []Located
	NotSeen []Missing
}

// WriteHTML writes the report as one page without script or outside asset, which reads well without its style too.
func (r *Report) WriteHTML(w io.Writer) error {
	sum := sha256.Sum256([]byte(styleText))
	c := &console{r: r, findings: r.Findings()}
	data := struct {
		*Report
		Style     template.CSS
		StyleHash string
		Problems  []problem
		Unknown   []Missing
		Date      string
		Verdict   string
		Unchecked []Result
		Notices   []Located
	}{
		Report: r, Style: template.CSS(styleText), StyleHash: base64.StdEncoding.EncodeToString(sum[:]),
		Date: r.StartedAt.Format("2006-01-02 15:04 MST"), Verdict: r.sentence(),
	}
	for i, id := range r.Roots {
		p := problem{Number: i + 1, Finding: c.findings[id], Mark: mark(c.findings[id].Finding)}
		for _, follow := range c.consequences(id) {
			p.Follows = append(p.Follows, c.findings[follow])
		}
		for _, m := range r.Missing {
			if m.Under == id {
				p.NotSeen = append(p.NotSeen, m)
			}
		}
		data.Problems = append(data.Problems, p)
	}
	for _, m := range r.Missing {
		if m.Under == "" {
			data.Unknown = append(data.Unknown, m)
		}
	}
	for i := range r.Results {
		res := &r.Results[i]
		if res.Status == "skip" {
			data.Unchecked = append(data.Unchecked, *res)
		}
		for j := range res.Findings {
			if res.Findings[j].Severity == "notice" {
				data.Notices = append(data.Notices, Located{&res.Findings[j], res})
			}
		}
	}
	var b bytes.Buffer
	if err := page.Execute(&b, data); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
