package knowledge

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// named are the entries as "kind id".
func named(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, string(e.Kind)+" "+e.ID)
	}
	return out
}

func TestCodesAreFoundInEverySpelling(t *testing.T) {
	t.Parallel()
	const (
		evaluation = "fault-code 0xC3E93C23"
		principal  = "fault-code 0x80090322"
		update     = "kb KB974571"
	)
	for query, want := range map[string][]string{
		"0xC3E93C23":     {evaluation},
		"0xc3e93c23":     {evaluation},
		"0XC3E93C23":     {evaluation},
		"C3E93C23":       {evaluation},
		"c3ee78f8":       {"fault-code 0xC3EE78F8"},
		"3286842403":     {evaluation},
		"-1008124893":    {evaluation},
		"%%3286842403.":  {evaluation},
		" 0xC3E93C23 \n": {evaluation},
		"80090322":       {principal},
		"2148074274":     {principal},
		"-2146893022":    {principal},

		"12290":               {"event 12290"},
		"event 12290":         {"event 12290"},
		"Event ID: 12290":     {"event 12290"},
		"événement 12290":     {"event 12290"},
		"14336":               {"event 14347"},
		"1609":                {"event 1021"},
		"1010":                {"ms-diagnostics 1010"},
		"ms-diagnostics 1010": {"ms-diagnostics 1010"},
		`ms-diagnostics: 1013;reason="Significant time skew";source="ocs.todorovic.adds"`: {"ms-diagnostics 1013"},
		"17002": {"ms-diagnostics 17000"},
		"4011":  {"ms-diagnostics 4010"},

		"KB974571":  {update},
		"kb974571":  {update},
		"KB 974571": {update},
		"974571":    {update},
		"MS09-056":  {update},
		"KB968730":  {"kb KB938397"},
		"KB2827753": {"kb KB2726391"},

		"8418":        {"win32 8418"},
		"1722":        {"win32 1722"},
		"58":          {"win32 1722"},
		"0x6BA":       {"win32 1722"},
		"0x80070005":  {"win32 5"},
		"-2147024891": {"win32 5"},
		"error 1326":  {"win32 1069"},
		"0":           {"win32 0"},

		"service-specific error 3286842403 (0xC3E93C23).":       {evaluation},
		"7024 with 3286842466, see event 7038 and KB974571":     {update, "event 7038", "fault-code 0xC3E93C62"},
		"SIP/2.0 504, server at 10.0.0.5:5061, code 0xC3FC200D": {"fault-code 0xC3FC200D"},
	} {
		if got := named(Find(query)); !slices.Equal(got, want) {
			t.Errorf("Find(%q) = %q, want %q", query, got, want)
		}
	}
}

// Every entry is found by its own id, whatever else has the number, and by each of its other codes.
func TestEveryEntryIsFoundByEachOfItsCodes(t *testing.T) {
	t.Parallel()
	for _, e := range All() {
		for _, code := range slices.Concat([]string{e.ID}, e.Also, e.Forms()) {
			if !slices.Contains(named(Find(code)), string(e.Kind)+" "+e.ID) {
				t.Errorf("%s %s is not found by %q", e.Kind, e.ID, code)
			}
		}
	}
}

func TestANumberOfSeveralKindsGivesThemAll(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{}
	for _, k := range kinds {
		files["data/"+string(k)+".yaml"] = &fstest.MapFile{Data: []byte("- id: \"7\"\n")}
	}
	all, err := read(files)
	if err != nil || len(all) != len(kinds) {
		t.Fatalf("read: %d entries, %v", len(all), err)
	}
	for _, r := range references("7") {
		for _, e := range all {
			if r.means(e) != (e.Kind != Message) {
				t.Errorf("the number 7 means %s: %v", e.Kind, r.means(e))
			}
		}
	}
}

func TestMessagesAreFoundByTheirWords(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"temporarily unavailable": "message server temporarily unavailable",
		"Cannot sign in because the server is temporarily unavailable. If the problem persists, contact your system administrator.": "message server temporarily unavailable",
		"server temporaryly unavailable":                                "message server temporarily unavailable",
		"le serveur est temporairement indisponible":                    "message server temporarily unavailable",
		"problem verifying the certificate":                             "message problem verifying the certificate",
		"There was a problem verifying the certificate from the server": "message problem verifying the certificate",
		"certificat": "message problem verifying the certificate",
		"problème de vérification du certificat":             "message problem verifying the certificate",
		"sign-in address, user name or password incorrectly": "message sign-in address, user name, or password incorrect",
		"mot de passe incorrect":                             "message sign-in address, user name, or password incorrect",
		"Cannot synchronize address book":                    "message cannot synchronize address book",
		"carnet d'adresses":                                  "message cannot synchronize address book",
		"the version of the client is not supported":         "message client version not supported",
		"evaluation period has expired":                      "fault-code 0xC3E93C23",
		"stored procedure version mismatch":                  "fault-code 0xC3EE78F8",
		"check the computer clock":                           "fault-code 0xC3EC78D8",
		"SSL Certificate Settings deleted for Port":          "event 15300",
		"The RPC server is unavailable":                      "win32 1722",
		"ocsasnfix":                                          "kb KB974571",
	} {
		got := named(Find(query))
		if len(got) == 0 || got[0] != want {
			t.Errorf("Find(%q) = %q, want %q first", query, got, want)
		}
		if len(got) > maxTexts {
			t.Errorf("Find(%q) gives %d entries", query, len(got))
		}
	}
}

func TestWhatIsUnknownIsNotFound(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "  ", "0xDEADBEEF", "0xC3E93C24", "C3E93C24", "KB974572", "12291", "99999", "-7", "KB1", "event 1010", "MS99-001", "0x", "the of and", "xyzzy", "my printer is on fire",
		"99999999999999999999", "port 5061 in 2007", "0x3F2", strings.Repeat("a", 3*maxQuery), "\x1b[31m\x00"} {
		if got := Find(query); len(got) > 0 {
			t.Errorf("Find(%q) = %q, want nothing", query, named(got))
		}
	}
}

func TestNearNames(t *testing.T) {
	t.Parallel()
	checks := []string{"dns/sip-tls-srv", "dns/sip-host", "pki/validity"}
	for query, want := range map[string][]string{
		"dns/sip-tls-serv": {"dns/sip-tls-srv"},
		"0xC3E93C24":       {"0xC3E93C23", "0xC3E93C62"},
		"KB974572":         {"KB974571"},
		"xyzzy-plugh":      nil,
		"":                 nil,
	} {
		if got := Near(query, checks); !slices.Equal(got, want) {
			t.Errorf("Near(%q) = %q, want %q", query, got, want)
		}
	}
}

var (
	checkID   = regexp.MustCompile(`^(ad|account|dns|net|pki|iis|signin|setup|patch|service|host)/[a-z0-9]+(-[a-z0-9]+)*$`)
	idOfKinds = map[Kind]*regexp.Regexp{
		FaultCode:     regexp.MustCompile(`^0x[0-9A-F]{8}$`),
		Event:         regexp.MustCompile(`^[0-9]{1,6}$`),
		MSDiagnostics: regexp.MustCompile(`^[0-9]{1,5}$`),
		KB:            regexp.MustCompile(`^(KB[0-9]{6,7}|MS[0-9]{2}-[0-9]{3})$`),
		Win32:         regexp.MustCompile(`^[0-9]{1,5}$`),
		Message:       regexp.MustCompile(`^[A-Za-z]`),
	}
)

func TestEveryEntryIsComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	count := map[Kind]int{}
	for _, e := range All() {
		name := string(e.Kind) + " " + e.ID
		count[e.Kind]++
		if e.Title == "" || e.Says == "" || len(e.Means) == 0 || len(e.Do) == 0 || e.Source == "" {
			t.Errorf("%s: title, says, means, do or source is missing", name)
		}
		if (e.Where != "") != (e.Kind == Event) {
			t.Errorf("%s: an event says where it stands, and nothing else does; this has %q", name, e.Where)
		}
		for _, c := range e.Means {
			if c.Cause == "" || c.Decides == "" {
				t.Errorf("%s: a cause lacks its text or what decides", name)
			}
		}
		for _, s := range e.Do {
			if s.Text == "" || slices.Contains(s.Run, "") {
				t.Errorf("%s: a step without text, or an empty command", name)
			}
		}
		for _, id := range append([]string{e.ID}, e.Also...) {
			if !idOfKinds[e.Kind].MatchString(id) {
				t.Errorf("%s: %q is not the way a code of this kind is written", name, id)
			}
			if seen[string(e.Kind)+id] {
				t.Errorf("%s: %q is explained twice", name, id)
			}
			seen[string(e.Kind)+id] = true
		}
		for _, id := range e.Checks {
			if !checkID.MatchString(id) {
				t.Errorf("%s: %q is no check id", name, id)
			}
		}
		if len(slices.Compact(slices.Sorted(slices.Values(e.Checks)))) != len(e.Checks) {
			t.Errorf("%s: a check is named twice", name)
		}
	}
	for _, k := range kinds {
		if count[k] < 5 {
			t.Errorf("there are only %d entries of kind %s", count[k], k)
		}
	}
}

// What is not certain is said apart, and no command rests on it: an update that may not be removable is removed only
// where the text says on which Windows.
func TestNothingUncertainIsACommand(t *testing.T) {
	t.Parallel()
	for _, e := range All() {
		for _, s := range e.Do {
			for _, c := range s.Run {
				if strings.Contains(c, "wusa") && !strings.Contains(s.Text, "without a service pack") {
					t.Errorf("%s: %q is printed without saying that it is not for Service Pack 1", e.ID, c)
				}
				if strings.ContainsAny(c, "\n\t\"\u00a0\u2011\u201c\u201d") || strings.TrimSpace(c) != c {
					t.Errorf("%s: %q cannot be copied as it stands", e.ID, c)
				}
				for _, u := range e.Uncertain {
					if strings.Contains(u, c) {
						t.Errorf("%s: %q is a command and uncertain", e.ID, c)
					}
				}
			}
		}
		for _, text := range append([]string{e.Title, e.Says, e.Source}, e.Uncertain...) {
			if regexp.MustCompile(`\[[A-Z](: [^]]*)?\]`).MatchString(text) {
				t.Errorf("%s: %q has a mark of the notes it was made from", e.ID, text)
			}
		}
	}
}

// DNS names in commands end in a dot, else Windows appends its own suffixes.
func TestNamesGivenToNslookupEndInADot(t *testing.T) {
	t.Parallel()
	for _, e := range All() {
		for _, s := range e.Do {
			for _, c := range s.Run {
				if strings.HasPrefix(c, "nslookup") && !strings.HasSuffix(c, ".") {
					t.Errorf("%s: %q does not end in a dot", e.ID, c)
				}
			}
		}
	}
}

func TestMalformedDataIsRefused(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{}
	for _, k := range kinds {
		files["data/"+string(k)+".yaml"] = &fstest.MapFile{Data: []byte("- id: a\n  tittle: b\n")}
	}
	if _, err := read(files); err == nil || !strings.Contains(err.Error(), "data/fault-code.yaml") || !strings.Contains(err.Error(), "tittle") {
		t.Errorf("a field of an unknown name: %v", err)
	}
	if _, err := read(fstest.MapFS{}); err == nil {
		t.Error("a missing file is not noticed")
	}
}

func FuzzFind(f *testing.F) {
	for _, s := range []string{"0xC3E93C23", "-1008124893", "KB974571", "event 12290", "ms-diagnostics: 1010;source=", "problème de certificat", "0x", "-", "%%", "\xff\xfe", "KB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if got := Find(query); len(got) > len(All()) {
			t.Errorf("%d entries", len(got))
		}
		if got := Near(query, nil); len(got) > 3 {
			t.Errorf("%d near names", len(got))
		}
	})
}
