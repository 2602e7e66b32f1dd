// Package checktest runs the examples of a family of checks: facts in, tags out.
//
// The examples of the check dns/sip-host are the file testdata/sip_host.txtar of its package. It holds
// cases, each in a few files:
//
//	CASE/subject       the subject, as "SCOPE NAME" or as JSON of checks.Subject
//	CASE/now           the time of judging in RFC 3339; default 2010-06-01T08:00:00Z
//	CASE/zone(VIEW)    records, one on a line: NAME TYPE DATA; every resolver of the view answers from them
//	CASE/directory     what every domain controller holds, as LDIF; see [directory.parse]. CASE/directory(DC) is added to it for one
//	CASE/certificates  certificates to make: a JSON list, see [certSpec]
//	CASE/lists         revocation lists to make: a JSON list, see [listSpec]
//	CASE/ocsp(URL)     an OCSP responder at that address, see [responderSpec]
//	CASE/host(FQDN)/F  the file F of the folder that collect.cmd writes on a server (manifest.txt, registry.reg, services.txt, events/system.xml, ...), see [example.times]
//	CASE/KIND(QUERY)   one fact in JSON; {"$failure": {"reason": ..., "detail": ..., "root": ...}} is one that could not be looked at
//	CASE/want          the outcome
//
// What stands under common/ instead of CASE/ holds for every case that does not have a file of that name
// itself; a directory of a case changes the common one, and so do the registry, events, services and manifest of a server. In a fact the text "@cert NAME" stands for the description of a certificate that was made, and
// "@der NAME" for its bytes, and "@crl NAME" for the bytes of a list; the last two also as a value in a directory.
//
// The first line of want is the status, if need be with a part of its reason: "unknown: cannot be reached".
// Each line after it is the tag of a finding, if need be with a part of its text: "wrong-port: port 443".
// A line that begins with "> " is a part of the fix of the finding above it.
package checktest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"ocsdoctor/checks"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/hostdump"
)

// Run runs the examples of each check of a family. It fails when an example does not come out as it says,
// when a message is never provoked, when no case passes, when a kind in Needs is never read, when a check
// passes although a fact was taken away, when a fix cannot be filled in, and when Run panics.
func Run(t *testing.T, family []*checks.Check) {
	t.Helper()
	if len(family) == 0 {
		t.Fatal("the family has no checks")
	}
	for _, c := range family {
		t.Run(c.Stem(), func(t *testing.T) {
			t.Parallel()
			runCheck(t, c)
		})
	}
}

// Sources are the cases of a file in the form of examples, by name, without subject and want: deployments for a test of what several
// checks make of them together.
func Sources(t *testing.T, path string) map[string]evidence.Source {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := readCases(text)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	out := map[string]evidence.Source{}
	for _, ex := range cases {
		out[ex.name] = ex
	}
	return out
}

func runCheck(t *testing.T, c *checks.Check) {
	t.Helper()
	for _, problem := range documentation(c) {
		t.Error(problem)
	}
	path := filepath.Join("testdata", c.Stem()+".txtar")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("the examples of %s: %v", c.ID, err)
	}
	cases, err := parseCases(text)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var sum coverage
	for _, ex := range cases {
		for _, problem := range sum.judge(c, ex) {
			t.Errorf("%s: case %s: %s", path, ex.name, problem)
		}
	}
	for _, problem := range sum.gaps(c) {
		t.Errorf("%s: %s", path, problem)
	}
}

// documentation tells which sections of the check's Markdown are missing.
func documentation(c *checks.Check) []string {
	var problems []string
	d := c.Doc()
	if d == nil {
		return []string{c.ID + ": no Markdown"}
	}
	for heading, text := range map[string]string{
		"What": d.What, "Why it matters": d.Why, "How it is checked": d.How, "References": d.References,
	} {
		if text == "" {
			problems = append(problems, fmt.Sprintf("%s: nothing stands under ## %s", c.ID, heading))
		}
	}
	for _, m := range c.Messages {
		if d.Fix[m.Tag] == "" {
			problems = append(problems, fmt.Sprintf("%s: nothing stands under ### %s", c.ID, m.Tag))
		}
	}
	slices.Sort(problems)
	return problems
}

// coverage is what all cases of a check have shown so far.
type coverage struct {
	passed   bool
	provoked []string
	kinds    []string
}

// gaps tells what no case has shown.
func (sum *coverage) gaps(c *checks.Check) []string {
	var problems []string
	if !sum.passed {
		problems = append(problems, "no case passes")
	}
	for _, m := range c.Messages {
		if !slices.Contains(sum.provoked, m.Tag) {
			problems = append(problems, "no case provokes "+m.Tag)
		}
	}
	for _, k := range c.Needs {
		if !slices.Contains(sum.kinds, k.KindName()) {
			problems = append(problems, "no case makes the check read "+k.KindName()+", which is in Needs")
		}
	}
	return problems
}

// judge runs one case and tells what does not come out as the case says.
func (sum *coverage) judge(c *checks.Check, ex *example) []string {
	if ex.subject.Scope != c.Scope {
		return []string{fmt.Sprintf("the subject has the scope %s, the check has %s", ex.subject.Scope, c.Scope)}
	}
	store := evidence.NewStore(context.Background(), ex)
	res := engine.RunCheck(store, c, ex.subject, ex.now)
	for _, f := range res.Findings {
		sum.provoked = append(sum.provoked, f.Message.Tag)
	}
	for _, k := range res.Read {
		sum.kinds = append(sum.kinds, k.Kind)
	}
	sum.passed = sum.passed || res.Status == engine.StatusPass
	problems := ex.compare(res)
	used := evidence.Recorded{}
	for _, rec := range store.Records() {
		used[rec.Key] = rec
	}
	for _, key := range ex.own {
		if used[key] == nil {
			problems = append(problems, fmt.Sprintf("nothing reads %s", key))
		}
	}
	for _, key := range sortedKeys(used) {
		rest := evidence.Recorded{}
		for k, rec := range used {
			if k != key {
				rest[k] = rec
			}
		}
		without := engine.RunCheck(evidence.NewStore(context.Background(), rest), c, ex.subject, ex.now)
		if without.Status == engine.StatusPass {
			problems = append(problems, fmt.Sprintf("the check passes although %s was taken away", key))
		}
	}
	return problems
}

func sortedKeys(m evidence.Recorded) []evidence.Key {
	var keys []evidence.Key
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b evidence.Key) int { return cmp.Compare(a.String(), b.String()) })
	return keys
}

// example is one case. As a source it answers with the case's facts.
type example struct {
	name    string
	subject checks.Subject
	now     time.Time
	want    want
	facts   evidence.Recorded
	zones   map[string]zone // by view
	// responders are those of OCSP by their address.
	responders map[string]responderSpec
	made       made
	// dcs are the directories by domain controller; "" is what all hold, nil if no case has a directory.
	dcs map[string]directory
	// servers are the folders collected on servers.
	servers []*hostdump.Dump
	// own are the facts that the case itself writes down, each of which has to be read.
	own []evidence.Key
}

// Fetch implements evidence.Source.
func (ex *example) Fetch(ctx context.Context, req evidence.Request) *evidence.Record {
	if q, ok := req.Query.(facts.DNSQuestion); ok && ex.facts[req.Key] == nil {
		view, _, _ := strings.Cut(q.Server, "#")
		if z, ok := ex.zones[view]; ok {
			return &evidence.Record{Key: req.Key, Via: "example", Value: z.answer(q)}
		}
	}
	if q, ok := req.Query.(facts.HTTPQuestion); ok && ex.facts[req.Key] == nil {
		for address, spec := range ex.responders {
			if q.URL == address || strings.HasPrefix(q.URL, address+"/") {
				return ex.answered(req.Key, address, spec, q)
			}
		}
	}
	if rec := ex.onServer(ctx, req); rec != nil {
		return rec
	}
	if rec := ex.searched(req); rec != nil && ex.facts[req.Key] == nil {
		return rec
	}
	return ex.facts.Fetch(ctx, req)
}

// answered is what a responder says.
func (ex *example) answered(key evidence.Key, address string, spec responderSpec, q facts.HTTPQuestion) *evidence.Record {
	rec := &evidence.Record{Key: key, Via: "example"}
	a, err := ex.made.respond(address, spec, q)
	if err == nil {
		rec.Value, err = json.Marshal(a)
	}
	if err != nil {
		rec.Failure = evidence.Fail(evidence.Internal, err.Error())
	}
	return rec
}

// searched answers what is asked of a directory; nil where the example has none.
func (ex *example) searched(req evidence.Request) *evidence.Record {
	var value json.RawMessage
	var err error
	switch q := req.Query.(type) {
	case facts.SearchQuestion:
		d := ex.directory(q.DC)
		if d == nil {
			return nil
		}
		value, err = d.search(q)
	case facts.UsersQuestion:
		d := ex.directory(q.DC)
		if d == nil {
			return nil
		}
		value, err = d.users(q)
	default:
		return nil
	}
	if err != nil {
		return &evidence.Record{Key: req.Key, Via: "example", Failure: evidence.Fail(evidence.Internal, err.Error())}
	}
	return &evidence.Record{Key: req.Key, Via: "example", Value: value}
}

func (ex *example) directory(dc string) directory {
	host, _ := facts.SplitHostPort(dc, 0)
	if d, ok := ex.dcs[host]; ok {
		return d
	}
	return ex.dcs[""]
}

// readDirectories reads the files directory and directory(DC), the common ones first.
func (ex *example) readDirectories(files ...map[string]string) error {
	var names []string
	for _, f := range files {
		for name := range f {
			if isDirectory(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names) // "directory" first
	for _, name := range names {
		dc := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "directory"), "("), ")")
		d := directory{}
		sources := []string{"directory"}
		if dc != "" {
			sources = append(sources, name)
		}
		for _, source := range sources {
			for _, f := range files {
				text, err := ex.made.inline(f[source])
				if err == nil {
					err = d.parse(text, ex.now)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", source, err)
				}
			}
		}
		if ex.dcs == nil {
			ex.dcs = map[string]directory{}
		}
		ex.dcs[dc] = d
	}
	return nil
}

func isDirectory(file string) bool {
	return file == "directory" || strings.HasPrefix(file, "directory(")
}

// want is the outcome that a case expects.
type want struct {
	status   engine.Status
	reason   string
	findings []wantFinding
}

type wantFinding struct {
	tag, text string
	fix       []string
}

func (w wantFinding) String() string {
	if w.text == "" {
		return w.tag
	}
	return w.tag + ": " + w.text
}

// fits tells whether a finding is the one that is expected.
func (w wantFinding) fits(f *checks.Finding) bool {
	return f.Message.Tag == w.tag && strings.Contains(f.Text(), w.text)
}

func (ex *example) compare(res *engine.Result) []string {
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if res.Status != ex.want.status || !strings.Contains(res.Reason, ex.want.reason) {
		bad("the status is %s (reason %q), it should be %s (%q)", res.Status, res.Reason, ex.want.status, ex.want.reason)
	}
	left := slices.Clone(res.Findings)
	for _, w := range ex.want.findings {
		i := slices.IndexFunc(left, w.fits)
		if i < 0 {
			bad("the finding %q is missing", w)
			continue
		}
		fix, _ := left[i].Fix()
		for _, part := range w.fix {
			if !strings.Contains(fix, part) {
				bad("the fix of %s does not hold %q; it is:\n%s", w.tag, part, fix)
			}
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, f := range left {
		bad("there is one finding more: %s: %s", f.Message.Tag, f.Text())
	}
	for _, f := range res.Findings {
		if _, err := f.Fix(); err != nil {
			bad("the fix of %s: %v", f.Message.Tag, err)
		}
		if f.Text() == "" || strings.ContainsAny(f.Text(), "{}") {
			bad("the text of %s is not filled in: %q", f.Message.Tag, f.Text())
		}
	}
	return problems
}

const commonPrefix = "common/"

// defaultNow is the time of judging of a case that names none.
var defaultNow = time.Date(2010, 6, 1, 8, 0, 0, 0, time.UTC)

// parseCases reads a file of examples for one check. The cases are in the order in which the file names them first.
func parseCases(text []byte) ([]*example, error) {
	cases, err := readCases(text)
	if err != nil {
		return nil, err
	}
	for _, ex := range cases {
		switch {
		case ex.subject.Name == "":
			return nil, fmt.Errorf("case %s: no subject", ex.name)
		case ex.want.status == "":
			return nil, fmt.Errorf("case %s: no want", ex.name)
		}
	}
	return cases, nil
}

func readCases(text []byte) ([]*example, error) {
	files := map[string]map[string]string{} // case, name, text
	var order []string
	for _, f := range txtar.Parse(text).Files {
		name, file, ok := strings.Cut(f.Name, "/")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form CASE/FILE", f.Name)
		}
		if files[name] == nil {
			files[name] = map[string]string{}
			order = append(order, name)
		}
		if _, twice := files[name][file]; twice {
			return nil, fmt.Errorf("%q is there twice", f.Name)
		}
		files[name][file] = string(f.Data)
	}
	common := files[strings.TrimSuffix(commonPrefix, "/")]
	var out []*example
	for _, name := range order {
		if name+"/" == commonPrefix {
			continue
		}
		ex, err := parseCase(name, files[name], common)
		if err != nil {
			return nil, fmt.Errorf("case %s: %w", name, err)
		}
		out = append(out, ex)
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no case")
	}
	return out, nil
}

func parseCase(name string, own, common map[string]string) (*example, error) {
	ex := &example{name: name, now: defaultNow, facts: evidence.Recorded{}, zones: map[string]zone{}, responders: map[string]responderSpec{}}
	all := map[string]string{}
	for file, text := range common {
		all[file] = text
	}
	for file, text := range own {
		all[file] = text
	}
	var err error
	if ex.made, err = makeCertificates(all["certificates"], all["lists"]); err != nil {
		return nil, err
	}
	for file, text := range all {
		if _, _, ok := serverFile(file); ok || isDirectory(file) {
			continue
		}
		if err := ex.add(file, text); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if key, err := evidence.ParseKey(file); err == nil && ex.facts[key] != nil {
			if _, isOwn := own[file]; isOwn {
				ex.own = append(ex.own, key)
			}
		}
	}
	if err := errors.Join(ex.readDirectories(common, own), ex.readServers(common, own)); err != nil {
		return nil, err
	}
	slices.SortFunc(ex.own, func(a, b evidence.Key) int { return cmp.Compare(a.String(), b.String()) })
	return ex, nil
}

// add reads one file of a case.
func (ex *example) add(file, text string) (err error) {
	switch {
	case file == "subject":
		ex.subject, err = parseSubject(text)
	case file == "now":
		ex.now, err = time.Parse(time.RFC3339, strings.TrimSpace(text))
	case file == "want":
		ex.want, err = parseWant(text)
	case file == "certificates", file == "lists":
	case strings.HasPrefix(file, "zone(") && strings.HasSuffix(file, ")"):
		ex.zones[file[len("zone("):len(file)-1]], err = parseZone(text)
	case strings.HasPrefix(file, "ocsp(") && strings.HasSuffix(file, ")"):
		var spec responderSpec
		err = json.Unmarshal([]byte(text), &spec)
		ex.responders[file[len("ocsp("):len(file)-1]] = spec
	default:
		err = ex.addFact(file, text)
	}
	return err
}

func (ex *example) addFact(file, text string) error {
	key, err := evidence.ParseKey(file)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(facts.All, func(k evidence.AnyKind) bool { return k.KindName() == key.Kind })
	switch {
	case i < 0:
		return errors.New("there is no such kind of fact")
	case facts.All[i].Derived():
		return errors.New("this kind of fact is derived: write down the facts that it is derived from")
	}
	value, err := ex.made.expand([]byte(text))
	if err != nil {
		return err
	}
	rec := &evidence.Record{Key: key, Via: "example"}
	var failed struct {
		Failure *evidence.Failure `json:"$failure"`
	}
	if json.Unmarshal(value, &failed) == nil && failed.Failure != nil {
		rec.Failure = failed.Failure
	} else {
		rec.Value = value
	}
	ex.facts[key] = rec
	return nil
}

func parseSubject(text string) (checks.Subject, error) {
	text = strings.TrimSpace(text)
	var s checks.Subject
	if strings.HasPrefix(text, "{") {
		err := json.Unmarshal([]byte(text), &s)
		return s, err
	}
	scope, name, ok := strings.Cut(text, " ")
	if !ok {
		return s, fmt.Errorf("%q is not of the form SCOPE NAME", text)
	}
	return checks.Subject{Scope: checks.Scope(scope), Name: name}, nil
}

func parseWant(text string) (want, error) {
	var w want
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if fix, ok := strings.CutPrefix(line, "> "); ok {
			if len(w.findings) == 0 {
				return w, fmt.Errorf("%q stands under no finding", line)
			}
			last := &w.findings[len(w.findings)-1]
			last.fix = append(last.fix, fix)
			continue
		}
		word, rest, _ := strings.Cut(line, ": ")
		if w.status == "" {
			w.status, w.reason = engine.Status(word), rest
			if !slices.Contains(engine.Statuses, w.status) {
				return w, fmt.Errorf("%q is no status", word)
			}
			continue
		}
		w.findings = append(w.findings, wantFinding{tag: word, text: rest})
	}
	return w, nil
}
