package hostdump

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"ocsdoctor/checks/evidence/facts"
)

// manifestName is the file that says what a folder is. Its lines are NAME=VALUE:
//
//	collect=1                          the version of collect.cmd's format
//	computer=OCS                       the NetBIOS name
//	host=ocs, domain=todorovic.adds    the DNS name, of the computer's own
//	oemcp=850                          the code page of the console
//	time=20100405121500.000000+120     when it began, as WMI writes a time; empty if WMI did not say
//	registry=0 FILE KEY                how reg export of a key went, and what it wrote
//	values=0 FILE KEY                  reg query: the values of a key, not what is below it
//	value=0 FILE NAME KEY              reg query /v: one value; "absent" if the key can be read and has none of that name
//	services=0 FILE                    sc queryex
//	events=0 FILE LOG                  wevtutil qe, or on 2003 a saved log
//	file=0 FILE PATH                   a file of the server
//	version=0 FILE PATH                wmic datafile
//	wmi=0 FILE CLASS                   wmic path
//
// The number is the exit code of the command. Where the command was not needed to know, "absent" stands in its place, or "present" for
// a file of which only that is known; FILE is then "-". Lines with other names are for people. Of two lines that say of the same, the
// later one wins.
const manifestName = "manifest.txt"

// formatVersion is the version of the format that is read.
const formatVersion = "1"

const maxEntries = 5000

// manifest is what a folder says of itself.
type manifest struct {
	computer, host, domain, codePage string
	at                               time.Time
	entries                          []*entry
}

// entry is one thing that was collected.
type entry struct {
	kind string
	// how is an exit code, "absent" or "present".
	how  string
	file string
	// what is the key, log, path or class.
	what string
}

// The words in the place of an exit code.
const (
	absent  = "absent"
	present = "present"
)

// collected are the kinds of entry, and whether something stands after the file's name.
var collected = map[string]bool{"registry": true, "values": true, "value": true, "services": false, "events": true, "file": true, "version": true, "wmi": true}

func parseManifest(text string) (*manifest, error) {
	m := &manifest{}
	version := ""
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch name {
		case "collect":
			version = value
		case "computer":
			m.computer = value
		case "host":
			m.host = value
		case "domain":
			m.domain = value
		case "oemcp":
			m.codePage = value
		case "time":
			m.at = wmiTime(value)
		}
		if _, known := collected[name]; !known {
			continue
		}
		if len(m.entries) == maxEntries {
			return nil, fmt.Errorf("line %d: more than %d entries", n, maxEntries)
		}
		e, err := parseEntry(name, value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		m.entries = append(m.entries, e)
	}
	switch {
	case version == "":
		return nil, errors.New("it has no line collect=")
	case version != formatVersion:
		return nil, fmt.Errorf("its format is %q; this program reads %s", version, formatVersion)
	}
	return m, nil
}

func parseEntry(kind, value string) (*entry, error) {
	how, rest, _ := strings.Cut(value, " ")
	file, what, _ := strings.Cut(strings.TrimSpace(rest), " ")
	e := &entry{kind: kind, how: how, file: file, what: strings.TrimSpace(what)}
	switch kind {
	case "registry", "values":
		e.what = strings.Join(splitKey(e.what), `\`)
	case "value":
		name, key, _ := strings.Cut(e.what, " ")
		e.what = name + " " + strings.Join(splitKey(strings.TrimSpace(key)), `\`)
	}
	_, err := strconv.ParseInt(how, 10, 64)
	switch {
	case err != nil && how != absent && (how != present || kind != "file"):
		return nil, fmt.Errorf("%q is no exit code", how)
	case file == "":
		return nil, errors.New("it names no file")
	case collected[kind] && e.what == "":
		return nil, fmt.Errorf("it does not say of what the %s is", kind)
	case file != "-" && !isName(file):
		return nil, fmt.Errorf("%q is no name of a file in the folder", file)
	}
	return e, nil
}

// isName tells whether a text is a file below the folder: "registry/01.reg".
func isName(s string) bool {
	return s != "" && !strings.ContainsAny(s, `\:`) && !path.IsAbs(s) && path.Clean(s) == s && s != "." && s != ".." && !strings.HasPrefix(s, "../")
}

// server is the FQDN that the machine gives itself; empty if it does not say, or says something that is no name.
func (m *manifest) server() string {
	name := m.host
	if name == "" {
		name = m.computer
	}
	if name != "" && m.domain != "" {
		name += "." + m.domain
	}
	if name = facts.Host(name); !facts.IsHostName(name) {
		return ""
	}
	return name
}

// wmiTime reads a time as WMI writes it (CIM_DATETIME): "20100405121500.000000+120", the offset in minutes. Zero if it is none.
func wmiTime(s string) time.Time {
	const layout = "20060102150405.000000"
	if len(s) != len(layout)+4 {
		return time.Time{}
	}
	t, err := time.Parse(layout, s[:len(layout)])
	minutes, err2 := strconv.Atoi(s[len(layout):])
	if err != nil || err2 != nil {
		return time.Time{}
	}
	return t.Add(-time.Duration(minutes) * time.Minute)
}
