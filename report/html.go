package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html
var pageText string

//go:embed report.css
var styleText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"show":     Printable,
	"markdown": func(md string) template.HTML { return template.HTML(markdownHTML(md)) }, // which escapes all text
	"join":     func(list []string) string { return Printable(strings.Join(list, ", ")) },
	"severity": func(s string) string { return symbols[s] + " " + strings.ToUpper(s) },
	"number":   func(i int) int { return i + 1 },
	"dash":     dash,
	"marked":   func(l Located) string { return Printable(marked(l)) },
	"words":    func(p Phase) string { return Printable(p.words()) },
	"folders":  func(v Vantage) string { return Printable(v.collected()) },
}).Parse(pageText))

// WriteHTML writes the report as one page without script or outside asset, which reads well without its style too.
func (r *Report) WriteHTML(w io.Writer) error {
	v := r.view()
	sum := sha256.Sum256([]byte(styleText))
	var b bytes.Buffer
	err := page.Execute(&b, struct {
		*view
		Name, Date, Sentence, Counts, Account, Took string
		Style                                       template.CSS
		StyleHash                                   string
		Columns                                     []string
	}{
		view: v, Name: cmp.Or(r.Deployment.Name, "(no name)"), Date: r.StartedAt.UTC().Format(dateForm), Sentence: v.sentence(), Counts: v.counts(),
		Account: cmp.Or(r.Vantage.User, anonymous), Took: fmt.Sprintf("%s s", seconds(r.DurationMs)),
		Style: template.CSS(styleText), StyleHash: base64.StdEncoding.EncodeToString(sum[:]), Columns: columns(),
	})
	if err != nil {
		return fmt.Errorf("making the page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

func columns() []string {
	var keys []string
	for _, s := range statuses {
		keys = append(keys, s.key)
	}
	return keys
}
