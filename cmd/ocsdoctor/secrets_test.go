package main

import (
	"bytes"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
)

// The passwords that stand in the files of a server get into no bundle.
func TestNoPasswordOfAServerIsInABundle(t *testing.T) {
	t.Parallel()
	bundle := filepath.Join(t.TempDir(), "b.zip")
	if code, _, errs := call(t, "scan", "--lab", "todorovic", "--only", "iis/*", "--save-bundle", bundle); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	there := false
	for _, word := range strings.Split(unzipped(t, bundle), `"`) { // the content of a file is in base64
		content, err := base64.StdEncoding.DecodeString(word)
		if err != nil {
			continue
		}
		there = there || bytes.Contains(content, []byte("LSGroupExpAppPool"))
		if bytes.Contains(content, []byte("[enc:")) {
			t.Errorf("the bundle holds an encrypted password: %s", content)
		}
	}
	if !there {
		t.Error("the bundle does not hold the configuration of IIS")
	}
}
