package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/bundle"
	"ocsdoctor/checks/evidence/facts"
)

// taken is what collect.cmd takes, as its own lines say.
type taken struct {
	keys             map[string]bool            // with all below them
	values           map[string]map[string]bool // single values by key; nil: all of the key's own
	logs, files      map[string]bool
	versions, owners map[string]bool // paths, and services whose programs are looked at
	instances        map[string]bool // keys that name instances of SQL Server, of whose setup one value is taken
}

var (
	collectSet  = regexp.MustCompile(`^set "(\w+)=(.*)"$`)
	collectLoop = regexp.MustCompile(`^for (%%\w) in \(([^)]*)\) do (call .*)$`)
	collectCall = regexp.MustCompile(`^call :(\w+) (.*)$`)
	collectWord = regexp.MustCompile(`"[^"]*"|\S+`)
)

// readCollector reads the calls of collect.cmd.
func readCollector() taken {
	t := taken{map[string]bool{}, map[string]map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	set := map[string]string{"SystemRoot": `C:\Windows`}
	expand := func(s string) string {
		for range 3 { // one stands in the value of another
			for name, value := range set {
				s = strings.ReplaceAll(s, "%"+name+"%", value)
			}
		}
		return s
	}
	for line := range strings.Lines(collectCommand) {
		line = strings.TrimSpace(line)
		if m := collectSet.FindStringSubmatch(line); m != nil && set[m[1]] == "" {
			set[m[1]] = m[2]
		}
		lines := []string{line}
		if m := collectLoop.FindStringSubmatch(line); m != nil {
			lines = nil
			for _, item := range strings.Fields(m[2]) {
				lines = append(lines, strings.ReplaceAll(m[3], m[1], item))
			}
		}
		for _, line := range lines {
			m := collectCall.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			var words []string
			for _, w := range collectWord.FindAllString(m[2], -1) {
				words = append(words, strings.ToLower(expand(strings.Trim(w, `"`))))
			}
			t.take(m[1], words)
		}
	}
	return t
}

func (t taken) take(what string, words []string) {
	last := words[len(words)-1]
	switch what {
	case "key":
		t.keys[strings.Join(words, `\`)] = true
	case "values":
		t.values[last] = nil
	case "value":
		if t.values[words[0]] == nil {
			t.values[words[0]] = map[string]bool{}
		}
		t.values[words[0]][words[1]] = true
	case "events":
		t.logs[last] = true
	case "config", "metabase", "there":
		t.files[last] = true
	case "version":
		t.versions[last] = true
	case "program":
		t.owners[last] = true
	case "instance":
		t.keys[last+`\microsoft sql server\instance names`] = true
		t.instances[last+`\microsoft sql server\instance names\sql`] = true
	}
}

// registry tells whether a question can be answered.
func (t taken) registry(key string, depth int, names []string) bool {
	key = strings.ToLower(key)
	for k := key; k != ""; k = k[:max(0, strings.LastIndexByte(k, '\\'))] {
		if t.keys[k] {
			return true
		}
	}
	single, ok := t.values[key]
	if !ok || depth > 0 {
		return false
	}
	for _, n := range names {
		if single != nil && !single[strings.ToLower(n)] {
			return false
		}
	}
	return single == nil || len(names) > 0
}

// fieldsOf splits the query of a key into its parts.
func fieldsOf(t *testing.T, query string) []string {
	t.Helper()
	var out []string
	for query = strings.TrimSpace(query); query != ""; query = strings.TrimSpace(query) {
		if query[0] != '"' {
			var part string
			part, query, _ = strings.Cut(query, " ")
			out = append(out, part)
			continue
		}
		quoted, err := strconv.QuotedPrefix(query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		part, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		out, query = append(out, part), query[len(quoted):]
	}
	return out
}

// Whatever the checks ask of a server, collect.cmd takes: on 2008 R2, which the lab's server has, and what they ask of 2003 besides.
func TestCollectorTakesWhatChecksAsk(t *testing.T) {
	t.Parallel()
	all := readCollector()
	var asked []evidence.Key
	programs := map[string]bool{}
	for _, phase := range []string{"post-install", "pre-install"} {
		file := filepath.Join(t.TempDir(), "b.zip")
		if code, out, errs := call(t, "scan", "--lab", "todorovic", "--phase", phase, "--save-bundle", file, "-q"); code == 2 || code == 4 {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, recorded, err := bundle.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for key, rec := range recorded {
			asked = append(asked, key)
			var k facts.RegistryKey
			if key.Kind != facts.Registry.Name || rec.Value == nil || json.Unmarshal(rec.Value, &k) != nil {
				continue
			}
			if all.owners[strings.ToLower(k.Name)] {
				programs[strings.ToLower(k.Text("ImagePath"))] = true
			}
			if path := strings.ToLower(fieldsOf(t, key.Query)[1]); all.instances[path] && k.Exists {
				setup := strings.TrimSuffix(path, `instance names\sql`) + strings.ToLower(k.Text("RTC")) + `\setup`
				all.values[setup] = map[string]bool{"sqldataroot": true}
			}
		}
	}
	for _, key := range []string{
		`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\HotFix`, `HKLM\SOFTWARE\Microsoft\Updates\Windows Server 2003`,
		`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\Oc Manager\Subcomponents`, `HKLM\SYSTEM\CurrentControlSet\Control\Windows`,
	} {
		asked = append(asked, facts.Registry.Key(facts.RegistryQuestion{Host: "x", Key: key, Depth: 2}))
	}
	asked = append(asked,
		facts.Registry.Key(facts.RegistryQuestion{Host: "x", Key: `HKLM\SYSTEM\CurrentControlSet\Control\Lsa`, Values: []string{"FIPSAlgorithmPolicy"}}),
		facts.File.Key(facts.FileQuestion{Host: "x", Path: `C:\Windows\System32\inetsrv\MetaBase.xml`}),
		facts.FileVersion.Key(facts.FileQuestion{Host: "x", Path: `C:\Windows\System32\msasn1.dll`}),
		facts.Events.Key(facts.EventsQuestion{Host: "x", Log: "Application"}),
	)
	n := 0
	for _, key := range asked {
		f := fieldsOf(t, key.Query)
		if len(f) == 0 || f[0] != "ocs.todorovic.adds" && f[0] != "x" {
			continue // of the CA, where nobody collects
		}
		var ok bool
		switch key.Kind {
		case facts.Registry.Name:
			depth, err := strconv.Atoi(f[2])
			if err != nil {
				t.Fatal(key, err)
			}
			ok = all.registry(f[1], depth, f[3:])
		case facts.Events.Name:
			ok = all.logs[strings.ToLower(f[1])]
		case facts.File.Name:
			ok = all.files[strings.ToLower(f[1])]
		case facts.FileVersion.Name:
			ok = all.versions[strings.ToLower(f[1])] || programs[strings.ToLower(f[1])]
		default:
			continue
		}
		if n++; !ok {
			t.Errorf("collect.cmd does not take %s", key)
		}
	}
	if n < 50 {
		t.Errorf("only %d questions were asked", n)
	}
}

// It takes no secrets: not a key under which they stand, with what is below it.
func TestCollectorTakesNoSecrets(t *testing.T) {
	t.Parallel()
	all := readCollector()
	for _, key := range []string{
		`HKLM\SAM`, `HKLM\SECURITY\Policy\Secrets`, `HKLM\SYSTEM\CurrentControlSet\Control\Lsa\JD`, `HKLM\SYSTEM\CurrentControlSet\Control\Lsa\Data`,
		`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon`, `HKLM\SYSTEM\CurrentControlSet\Services\SNMP\Parameters\ValidCommunities`,
		`HKLM\SOFTWARE\Microsoft\SystemCertificates\MY\Keys`, `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment`,
	} {
		if all.registry(key, 0, nil) {
			t.Errorf("collect.cmd takes %s", key)
		}
	}
	if all.registry(`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, 0, []string{"DigitalProductId"}) {
		t.Error("collect.cmd takes the product key")
	}
}

// Each label of the batch file is there once, and each that is called or jumped to is there: cmd looks for it only when it gets there.
func TestCollectorLabels(t *testing.T) {
	t.Parallel()
	labels := map[string]int{"eof": 1}
	for _, m := range regexp.MustCompile(`(?m)^:(\w+)`).FindAllStringSubmatch(collectCommand, -1) {
		if labels[m[1]]++; labels[m[1]] > 1 {
			t.Errorf("the label %s is there twice", m[1])
		}
	}
	used := regexp.MustCompile(`goto :?(\w+)|call :(\w+)`).FindAllStringSubmatch(collectCommand, -1)
	for _, m := range used {
		if labels[m[1]+m[2]] == 0 {
			t.Errorf("there is no label %s", m[1]+m[2])
		}
	}
	if len(used) < 50 {
		t.Errorf("only %d jumps were found", len(used))
	}
}
