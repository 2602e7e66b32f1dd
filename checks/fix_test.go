package checks

import (
	"strings"
	"testing"
)

// A name in a certificate or a record must not become a command of the fix.
func TestAnArgumentBeginsNoLineOfTheFix(t *testing.T) {
	t.Parallel()
	f := &Finding{
		Check:   &Check{ID: "dns/x", doc: &Doc{Fix: map[string]string{"bad": "Delete `{{.name}}`."}}},
		Message: &Message{Tag: "bad"}, Args: []Arg{A("name", "a\n\n    format c:\n")},
	}
	fix, err := f.Fix()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(fix, "\n") || !strings.Contains(fix, "format c:") {
		t.Errorf("the fix is %q", fix)
	}
}
