package main

import (
	"go/format"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheThreeFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "dns", "testdata"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := write(root, "dns/srv-single-target"); err == nil {
		t.Error("a folder without family.go was taken for a family")
	}
	if err := os.WriteFile(filepath.Join(root, "dns", "family.go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(root, "dns/srv-single-target"); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"srv_single_target.go": `"dns/srv-single-target"`, "srv_single_target.md": "# dns/srv-single-target", "testdata/srv_single_target.txtar": "Examples of dns/srv-single-target.",
	} {
		b, err := os.ReadFile(filepath.Join(root, "dns", file))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %q: %v", file, want, err)
		}
		if strings.HasSuffix(file, ".go") {
			if clean, err := format.Source(b); err != nil || string(clean) != string(b) {
				t.Errorf("%s is not formatted: %v", file, err)
			}
		}
	}
	if err := write(root, "dns/srv-single-target"); err == nil {
		t.Error("files that exist were overwritten")
	}
	if err := write(root, "Not/An id"); err == nil {
		t.Error("a malformed id was taken")
	}
}
