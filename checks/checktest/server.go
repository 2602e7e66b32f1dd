package checktest

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/hostdump"
	"ocsdoctor/checks/evidence/ntds"
)

// manifest is that of a folder of which an example writes none: its files are those that collect.cmd always writes.
const manifest = `collect=1
host=%s
domain=%s
registry=0 registry.reg HKLM
services=0 services.txt
events=0 events/system.xml System
events=0 events/application.xml Application
events=0 events/ocs.xml Office Communications Server
file=0 files/applicationHost.config C:\Windows\System32\inetsrv\config\applicationHost.config
`

// serverFile splits "host(ocs.todorovic.adds)/registry.reg"; ok is false for any other file of a case.
func serverFile(name string) (server, file string, ok bool) {
	rest, ok := strings.CutPrefix(name, "host(")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ")/")
}

// readServers puts together the folders of the servers: what a reader takes line by line or block by block, the later one winning, is
// the common text and the case's own behind it; any other file is the case's own or else the common one.
func (ex *example) readServers(common, own map[string]string) error {
	folders := map[string]map[string]string{}
	for _, files := range []map[string]string{common, own} {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			server, file, ok := serverFile(name)
			if !ok {
				continue
			}
			if folders[server] == nil {
				host, domain, _ := strings.Cut(server, ".")
				folders[server] = map[string]string{"manifest.txt": fmt.Sprintf(manifest, host, domain)}
			}
			text := files[name]
			added := path.Ext(file) == ".reg" || path.Ext(file) == ".xml" || file == "services.txt" || file == "manifest.txt"
			if old := folders[server][file]; added && old != "" {
				text = old + "\n" + text
			}
			folders[server][file] = text
		}
	}
	for server, files := range folders {
		packed, err := ex.pack(files)
		if err != nil {
			return fmt.Errorf("host(%s): %w", server, err)
		}
		d, err := hostdump.FromZIP(server, packed)
		if err != nil {
			return fmt.Errorf("host(%s): %w", server, err)
		}
		ex.servers = append(ex.servers, d)
	}
	return nil
}

// pack fills in the times of a folder and packs it.
func (ex *example) pack(files map[string]string) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		t, err := template.New(name).Funcs(ex.times()).Funcs(ex.stores()).Parse(files[name])
		if err != nil {
			return nil, err
		}
		f, err := w.Create(name)
		if err == nil {
			err = t.Execute(f, nil)
		}
		if err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// times are the functions by which a file of a server names a time after the case's now: {{at "-2h"}} as an event has it, and
// {{high "-2h"}} with {{low "-2h"}} for the two halves of a FILETIME in the registry.
func (ex *example) times() template.FuncMap {
	at := func(after string) (time.Time, error) {
		d, err := time.ParseDuration(after)
		return ex.now.Add(d), err
	}
	half := func(shift uint) func(string) (string, error) {
		return func(after string) (string, error) {
			t, err := at(after)
			return fmt.Sprintf("%08x", uint32(ntds.ToFileTime(t)>>shift)), err
		}
	}
	return template.FuncMap{
		"at": func(after string) (string, error) {
			t, err := at(after)
			return t.UTC().Format("2006-01-02T15:04:05.000000000Z"), err
		},
		"high": half(32), "low": half(0),
	}
}

// onServer answers what is asked of a server; nil where the example has no folder of it.
func (ex *example) onServer(ctx context.Context, req evidence.Request) *evidence.Record {
	if len(ex.servers) == 0 || ex.facts[req.Key] != nil {
		return nil
	}
	rec := hostdump.Source{Dumps: ex.servers, Next: evidence.Recorded{}}.Fetch(ctx, req)
	if rec.Via == "recorded" { // no server of the example was asked
		return nil
	}
	return rec
}
