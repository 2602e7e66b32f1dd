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

// A name from DNS must not add a second command to the one that a reader copies; in prose it is shown as it is.
func TestAnArgumentEndsNoCommandOfTheFix(t *testing.T) {
	t.Parallel()
	f := &Finding{
		Check:   &Check{ID: "dns/x", doc: &Doc{Fix: map[string]string{"bad": "Look up {{.name}} of {{.domain}}:\n\n    nslookup {{.name}}. {{.domain}}\n"}}},
		Message: &Message{Tag: "bad"}, Args: []Arg{A("name", "x&format c:|\ue001&y"), A("domain", "todorovic.fr")},
	}
	fix, err := f.Fix()
	if err != nil {
		t.Fatal(err)
	}
	if want := "Look up x&format c:|&y of todorovic.fr:\n\n    nslookup x?format c:??y. todorovic.fr"; fix != want {
		t.Errorf("the fix is %q, want %q", fix, want)
	}
}
