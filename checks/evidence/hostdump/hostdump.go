// Package hostdump is the source that answers from the folder, or a ZIP file of it, that collect.cmd wrote on a server. A folder comes
// from anywhere: what is read of it is bounded, and nothing in it is prose that depends on the language of Windows.
package hostdump

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// The bounds of a folder.
const (
	maxFiles    = 1000
	maxFile     = 128 << 20 // bytes of one file
	maxTotal    = 256 << 20 // bytes of all files
	maxManifest = 1 << 20
	maxContent  = 1 << 20 // bytes of a file of the server that a fact has
	maxFolders  = 8       // levels
)

// Dump is what one server's folder holds.
type Dump struct {
	// Server is the FQDN of the machine by its own word, or by that of whoever gave the folder.
	Server string
	// Name is the last part of where it was read from.
	Name string
	// At is when it was collected; zero if the folder does not say.
	At time.Time

	manifest *manifest
	files    map[string][]byte

	// Each file is read once, however many lines of the manifest name it: by lower-case name.
	registry map[string]func() (*regKey, error)
	services func() (facts.ServiceList, error)
	events   map[string]func() (facts.EventList, error)
}

// Open reads a folder or a ZIP file of one. The error says what is wrong with it, and in which file.
func Open(name string) (*Dump, error) {
	base := filepath.Base(filepath.Clean(name))
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		root, err := os.OpenRoot(name) // which leads nowhere outside of the folder, by links neither
		if err != nil {
			return nil, err
		}
		defer func() { _ = root.Close() }()
		return read(base, root.FS())
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readZIP(base, f, st.Size())
}

// FromZIP reads a ZIP file that is in memory. name is what it is called.
func FromZIP(name string, b []byte) (*Dump, error) {
	return readZIP(name, bytes.NewReader(b), int64(len(b)))
}

func readZIP(name string, r io.ReaderAt, size int64) (*Dump, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("it is neither a folder nor a ZIP file: %w", err)
	}
	if len(z.File) > maxFiles {
		return nil, fmt.Errorf("it holds %d files, more than %d", len(z.File), maxFiles)
	}
	seen := map[string]bool{}
	for _, f := range z.File {
		// Windows' own packer writes backslashes on some versions.
		f.Name = strings.ReplaceAll(f.Name, `\`, "/")
		switch name := strings.TrimSuffix(f.Name, "/"); {
		case !isName(name):
			return nil, fmt.Errorf("%q is no name of a file in a folder", f.Name)
		case seen[strings.ToLower(name)]:
			return nil, fmt.Errorf("%s: it is there twice", f.Name)
		case f.UncompressedSize64 > maxFile:
			return nil, fmt.Errorf("%s: it is larger than %d bytes", f.Name, maxFile)
		case f.Mode()&fs.ModeType&^fs.ModeDir != 0:
			return nil, fmt.Errorf("%s: it is no plain file", f.Name)
		default:
			seen[strings.ToLower(name)] = true
		}
	}
	return read(name, z)
}

// read reads all files of a folder, which may stand in a folder of its own, as when it was packed with it.
func read(name string, from fs.FS) (*Dump, error) {
	files, err := readFiles(from)
	if err != nil {
		return nil, err
	}
	top, err := topFolder(files)
	if err != nil {
		return nil, err
	}
	d := &Dump{Name: name, files: map[string][]byte{}, registry: map[string]func() (*regKey, error){}, events: map[string]func() (facts.EventList, error){}}
	for file, b := range files {
		if inside, ok := strings.CutPrefix(file, top); ok {
			d.files[inside] = b
		}
	}
	text := d.files[manifestName]
	if len(text) > maxManifest {
		return nil, fmt.Errorf("%s: it is larger than %d bytes", manifestName, maxManifest)
	}
	// The code page stands in it, and is ASCII.
	m, err := parseManifest(decode(text, ""))
	if err == nil && m.codePage != "" {
		m, err = parseManifest(decode(text, m.codePage))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	d.manifest, d.Server, d.At = m, m.server(), m.at
	for _, e := range m.entries {
		file := strings.ToLower(e.file)
		b, page := d.files[file], m.codePage
		switch e.kind {
		case "registry":
			d.registry[file] = sync.OnceValues(func() (*regKey, error) { return parseReg(decode(b, page), page) })
		case "services":
			d.services = sync.OnceValues(func() (facts.ServiceList, error) { return parseServices(decode(b, page)) })
		case "events":
			d.events[file] = sync.OnceValues(func() (facts.EventList, error) { return parseEvents(b, page) })
		}
	}
	return d, nil
}

// readFiles reads every file, its name in lower case.
func readFiles(from fs.FS) (map[string][]byte, error) {
	files := map[string][]byte{}
	total, count := 0, 0
	err := fs.WalkDir(from, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if count++; count > maxFiles {
			return fmt.Errorf("it holds more than %d files", maxFiles)
		}
		if e.IsDir() {
			if strings.Count(name, "/") >= maxFolders {
				return fmt.Errorf("%s: it is more than %d folders deep", name, maxFolders)
			}
			return nil
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s: it is no plain file", name)
		}
		f, err := from.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		limit := min(maxFile, maxTotal-total)
		b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case len(b) > limit:
			return fmt.Errorf("%s: it is too large: a file may have %d bytes, and all together %d", name, maxFile, maxTotal)
		}
		total += len(b)
		files[strings.ToLower(name)] = b
		return nil
	})
	return files, err
}

// topFolder is where the manifest stands, "" or "FOLDER/".
func topFolder(files map[string][]byte) (string, error) {
	var tops []string
	for name := range files {
		if path.Base(name) == manifestName && strings.Count(name, "/") < 2 {
			tops = append(tops, strings.TrimSuffix(name, manifestName))
		}
	}
	switch {
	case files[manifestName] != nil:
		return "", nil
	case len(tops) == 0:
		return "", fmt.Errorf("it has no %s: collect.cmd did not write it, or did not come to its end", manifestName)
	case len(tops) > 1:
		return "", errors.New("it holds the folders of several servers: give each by itself")
	}
	return tops[0], nil
}

// Source answers for the servers whose folders were given; Next is asked of all others, and all else.
type Source struct {
	Dumps []*Dump
	Next  evidence.Source
}

// Fetch implements evidence.Source.
func (s Source) Fetch(ctx context.Context, req evidence.Request) *evidence.Record {
	d := s.of(host(req.Query))
	if d == nil || !answers(req.Kind) {
		return s.Next.Fetch(ctx, req)
	}
	started := time.Now()
	rec := &evidence.Record{Key: req.Key, Via: "host dump " + d.Name, At: d.At}
	if rec.At.IsZero() {
		rec.At = started.UTC()
	}
	value, err := d.answer(req)
	if err == nil {
		rec.Value, err = json.Marshal(value)
	}
	if err != nil && !errors.As(err, &rec.Failure) {
		rec.Failure = evidence.Fail(evidence.Internal, err.Error())
	}
	rec.Took = time.Since(started)
	return rec
}

func (s Source) of(server string) *Dump {
	for _, d := range s.Dumps {
		if server != "" && d.Server == server {
			return d
		}
	}
	return nil
}

// host is the server that a question is about.
func host(q evidence.Query) string {
	switch q := q.(type) {
	case facts.ServerQuestion:
		return q.FQDN
	case facts.RegistryQuestion:
		return q.Host
	case facts.EventsQuestion:
		return q.Host
	case facts.FileQuestion:
		return q.Host
	}
	return ""
}

// answers tells whether a kind is one that a folder holds.
func answers(k evidence.AnyKind) bool {
	for _, known := range []evidence.AnyKind{facts.Registry, facts.Services, facts.Events, facts.File, facts.FileVersion, facts.SIPListeners} {
		if k == known {
			return true
		}
	}
	return false
}

// answer reads what is asked out of the folder. What it does not hold is not-recorded; what it holds in a form that cannot be
// read, protocol.
func (d *Dump) answer(req evidence.Request) (any, error) {
	switch q := req.Query.(type) {
	case facts.RegistryQuestion:
		return d.registryKey(q)
	case facts.EventsQuestion:
		return d.eventList(q.Log)
	case facts.FileQuestion:
		if req.Kind == facts.FileVersion {
			return d.version(q.Path)
		}
		return d.file(q.Path)
	case facts.ServerQuestion:
		if req.Kind == facts.SIPListeners {
			return d.listeners()
		}
		return d.serviceList()
	}
	return nil, evidence.Fail(evidence.Internal, "no reader of a collected folder answers "+req.Kind.KindName())
}

// lacks is the failure of what was not collected.
func (d *Dump) lacks(what string) error {
	return evidence.Fail(evidence.NotRecorded, "the collected folder "+d.Name+" does not hold "+what)
}

// unreadable is the failure of a file that is not of the form that its command writes.
func (d *Dump) unreadable(e *entry, err error) error {
	return evidence.Fail(evidence.Protocol, fmt.Sprintf("%s in the collected folder %s: %v", e.file, d.Name, err))
}

// usable tells why an entry cannot be read; nil if it can. A command that ended well and wrote nothing did not say that there is
// nothing: some say so when they do not work.
func (d *Dump) usable(e *entry) error {
	b, ok := d.files[strings.ToLower(e.file)]
	switch {
	case e.how != "0":
		return d.lacks(fmt.Sprintf("%s: the command ended with code %s", e.title(), e.how))
	case !ok:
		return d.lacks(fmt.Sprintf("the file %s with %s", e.file, e.title()))
	case len(bytes.Trim(b, "\x00\r\n\t \xFE\xFF\xEF\xBB\xBF")) == 0:
		return d.lacks(fmt.Sprintf("%s: the command wrote nothing", e.title()))
	}
	return nil
}

// title is what an entry is, for people.
func (e *entry) title() string {
	switch e.kind {
	case "registry", "values":
		return "the registry key " + e.what
	case "value":
		return "the registry value " + e.what
	case "services":
		return "the list of services"
	case "events":
		return "the event log " + e.what
	case "version":
		return "the version of " + e.what
	case "wmi":
		return "the WMI class " + e.what
	}
	return "the file " + e.what
}

// find is the last entry of a kind about something.
func (d *Dump) find(kind, what string) *entry {
	for i := len(d.manifest.entries) - 1; i >= 0; i-- {
		if e := d.manifest.entries[i]; e.kind == kind && strings.EqualFold(e.what, what) {
			return e
		}
	}
	return nil
}

// registryKey reads a key below a root that was exported: one that is not there does not exist. Of several roots the closest one that
// can be read answers. Of a key of which only values were read, those are all that is known.
func (d *Dump) registryKey(q facts.RegistryQuestion) (facts.RegistryKey, error) {
	path := splitKey(q.Key)
	gone := facts.RegistryKey{Name: path[len(path)-1]}
	names := map[string]bool{}
	for _, v := range q.Values {
		names[strings.ToLower(v)] = true
	}
	k, err := d.exported(path, q.Depth, names)
	if err == nil || q.Depth > 0 {
		return k, err
	}
	key := strings.Join(path, `\`)
	var read []*entry
	if e := d.find("values", key); e != nil {
		read = append(read, e)
	} else {
		for _, v := range q.Values {
			e := d.find("value", v+" "+key)
			if e == nil {
				return gone, err
			}
			read = append(read, e)
		}
	}
	if len(read) == 0 {
		return gone, err
	}
	k = gone
	for _, e := range read {
		if k.Exists = true; e.how == absent {
			continue
		}
		if err := d.usable(e); err != nil {
			return gone, err
		}
		values, err := parseQuery(decode(d.files[strings.ToLower(e.file)], d.manifest.codePage), path)
		if err != nil {
			return gone, d.unreadable(e, err)
		}
		for _, v := range values {
			if len(names) == 0 || names[strings.ToLower(v.Name)] {
				k.Values = append(k.Values, v)
			}
		}
	}
	return k, nil
}

// exported reads a key below a root that was exported.
func (d *Dump) exported(path []string, depth int, names map[string]bool) (facts.RegistryKey, error) {
	gone := facts.RegistryKey{Name: path[len(path)-1]}
	err := d.lacks("the registry key " + strings.Join(path, `\`))
	for length := len(path); length > 0; length-- {
		e := d.find("registry", strings.Join(path[:length], `\`))
		if e == nil {
			continue
		}
		if e.how == absent {
			return gone, nil
		}
		if why := d.usable(e); why != nil {
			err = why
			continue
		}
		tree, why := d.registry[strings.ToLower(e.file)]()
		if why != nil {
			err = d.unreadable(e, why)
			continue
		}
		if tree.find(path[:length]) == nil { // then the command did not do what it should
			err = d.lacks(e.title() + ": the export does not hold it")
			continue
		}
		k := tree.find(path)
		if k == nil {
			return gone, nil
		}
		return k.fact(depth, names), nil
	}
	return facts.RegistryKey{}, err
}

func (d *Dump) serviceList() (facts.ServiceList, error) {
	e := d.find("services", "")
	if e == nil {
		return facts.ServiceList{}, d.lacks("the list of services")
	}
	if err := d.usable(e); err != nil {
		return facts.ServiceList{}, err
	}
	l, err := d.services()
	if err != nil {
		return facts.ServiceList{}, d.unreadable(e, err)
	}
	return l, nil
}

func (d *Dump) eventList(log string) (facts.EventList, error) {
	e := d.find("events", log)
	switch {
	case e == nil:
		return facts.EventList{}, d.lacks("the event log " + log)
	case e.how == absent:
		return facts.EventList{}, nil
	}
	if err := d.usable(e); err != nil {
		return facts.EventList{}, err
	}
	l, err := d.events[strings.ToLower(e.file)]()
	if err != nil {
		return facts.EventList{}, d.unreadable(e, err)
	}
	return l, nil
}

func (d *Dump) file(path string) (facts.FileData, error) {
	e := d.find("file", path)
	switch {
	case e == nil:
		return facts.FileData{}, d.lacks("the file " + path)
	case e.how == absent:
		return facts.FileData{}, nil
	case e.how == present:
		return facts.FileData{Exists: true}, nil
	}
	if err := d.usable(e); err != nil {
		return facts.FileData{}, err
	}
	b := d.files[strings.ToLower(e.file)]
	return facts.FileData{Exists: true, Size: int64(len(b)), Content: facts.RedactFile(path, b[:min(len(b), maxContent)])}, nil
}

func (d *Dump) version(path string) (facts.VersionData, error) {
	e := d.find("version", path)
	switch {
	case e == nil:
		return facts.VersionData{}, d.lacks("the version of " + path)
	case e.how == absent:
		return facts.VersionData{}, nil
	}
	if err := d.usable(e); err != nil {
		return facts.VersionData{}, err
	}
	v, err := parseVersion(decode(d.files[strings.ToLower(e.file)], d.manifest.codePage))
	if err != nil {
		return facts.VersionData{}, d.unreadable(e, err)
	}
	return v, nil
}

// listenerClass is the WMI class in which OCS tells of the addresses on which it listens.
const listenerClass = "MSFT_SIPListeningAddressData"

func (d *Dump) listeners() (facts.SIPListenerList, error) {
	e := d.find("wmi", listenerClass)
	switch {
	case e == nil:
		return facts.SIPListenerList{}, d.lacks("the WMI class " + listenerClass)
	case e.how == absent:
		return facts.SIPListenerList{}, nil
	}
	if err := d.usable(e); err != nil {
		return facts.SIPListenerList{}, err
	}
	l, err := parseListeners(decode(d.files[strings.ToLower(e.file)], d.manifest.codePage))
	if err != nil {
		return facts.SIPListenerList{}, d.unreadable(e, err)
	}
	return l, nil
}
