// Package bundle writes and reads recorded facts: a zip with manifest.json and one JSON file for each kind
// of fact. A bundle from elsewhere is hostile input: names, sizes and counts are bounded.
package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
)

// Schema is the value of the manifest's field "schema".
const Schema = "ocsdoctor.bundle/1"

// The bounds of a bundle that is read.
const (
	maxFiles   = 200
	maxFile    = 256 << 20 // bytes of one file, unpacked
	maxTotal   = 512 << 20 // bytes of all files, unpacked
	maxRecords = 1_000_000
)

// Manifest says what a bundle is and where it comes from.
type Manifest struct {
	Schema string `json:"schema"`
	// Tool is the version that recorded it.
	Tool string `json:"tool"`
	// CapturedAt is when the scan began; recorded facts are judged as of then.
	CapturedAt time.Time `json:"capturedAt"`
	// Host is the machine that scanned.
	Host string `json:"host"`
	// Hosts are the logical endpoints that were contacted.
	Hosts []string `json:"hosts"`
}

// Write writes a bundle. The records go in one file per kind, in the order given.
func Write(w io.Writer, m Manifest, records []*evidence.Record) error {
	m.Schema = Schema
	if m.Hosts == nil {
		m.Hosts = []string{}
	}
	z := zip.NewWriter(w)
	add := func(name string, v any) error {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: m.CapturedAt})
		if err != nil {
			return err
		}
		enc := json.NewEncoder(f)
		enc.SetIndent("", " ")
		return enc.Encode(v)
	}
	if err := add("manifest.json", m); err != nil {
		return err
	}
	byKind := map[string][]*evidence.Record{}
	for _, r := range records {
		byKind[r.Key.Kind] = append(byKind[r.Key.Kind], r)
	}
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		if err := add("facts/"+kind+".json", byKind[kind]); err != nil {
			return err
		}
	}
	return z.Close()
}

var factFile = regexp.MustCompile(`^facts/([a-z0-9]+(?:[.-][a-z0-9]+)*)\.json$`)

// Read reads a bundle. The error says what is wrong and in which file.
func Read(in io.ReaderAt, size int64) (Manifest, evidence.Recorded, error) {
	var m Manifest
	z, err := zip.NewReader(in, size)
	if err != nil {
		return m, nil, fmt.Errorf("it is not a zip file: %w", err)
	}
	if len(z.File) > maxFiles {
		return m, nil, fmt.Errorf("it holds %d files, more than %d", len(z.File), maxFiles)
	}
	files := map[string][]byte{}
	total := 0
	for _, f := range z.File {
		if f.Name != "manifest.json" && !factFile.MatchString(f.Name) {
			return m, nil, fmt.Errorf("%q is not a name that a bundle holds", f.Name)
		}
		if _, ok := files[f.Name]; ok {
			return m, nil, fmt.Errorf("%s: it is there twice", f.Name)
		}
		b, err := unpack(f, min(maxFile, maxTotal-total))
		if err != nil {
			return m, nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		files[f.Name] = b
		total += len(b)
	}
	if m, err = readManifest(files["manifest.json"]); err != nil {
		return m, nil, fmt.Errorf("manifest.json: %w", err)
	}
	facts := evidence.Recorded{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name == "manifest.json" {
			continue
		}
		kind := factFile.FindStringSubmatch(name)[1]
		if err := readFacts(files[name], kind, facts); err != nil {
			return m, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return m, facts, nil
}

func unpack(f *zip.File, limit int) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, errors.New("it is too large")
	}
	return b, nil
}

func readManifest(b []byte) (Manifest, error) {
	var m Manifest
	if b == nil {
		return m, errors.New("it is missing")
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, err
	}
	if m.Schema != Schema {
		return m, fmt.Errorf("its schema is %q, not %q", m.Schema, Schema)
	}
	if m.CapturedAt.IsZero() {
		return m, errors.New("it has no time of capture")
	}
	return m, nil
}

func readFacts(b []byte, kind string, into evidence.Recorded) error {
	var records []*evidence.Record
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&records); err != nil {
		return err
	}
	if len(into)+len(records) > maxRecords {
		return fmt.Errorf("more than %d facts", maxRecords)
	}
	for i, r := range records {
		switch {
		case r == nil || r.Key.Kind != kind:
			return fmt.Errorf("fact %d is not of the kind %s", i+1, kind)
		case strings.ContainsAny(r.Key.Query, "\r\n"):
			return fmt.Errorf("fact %d: its key has a line break", i+1)
		case into[r.Key] != nil:
			return fmt.Errorf("fact %d: %s is there twice", i+1, r.Key)
		case (r.Failure == nil) == (len(r.Value) == 0):
			return fmt.Errorf("fact %d: %s has neither value nor failure, or both", i+1, r.Key)
		}
		into[r.Key] = r
	}
	return nil
}
