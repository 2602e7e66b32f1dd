package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ocsdoctor/checks"
	"ocsdoctor/checks/all"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/bundle"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/hostdump"
	"ocsdoctor/checks/evidence/live"
	"ocsdoctor/checks/policy"
	"ocsdoctor/fixtures/lab"
	"ocsdoctor/report"
)

// scanFlags are the flags of scan.
type scanFlags struct {
	scopeFlags
	outputFlags
	only, skip []string
	timeout    time.Duration
	failOn     string
	strict     bool
	waivers    string
	baseline   string
	saveBundle string
	from       string
	lab        string
	dryRun     bool
}

func scanCommand(s streams) *cobra.Command {
	f := &scanFlags{}
	c := &cobra.Command{
		Use:   "scan",
		Short: "Judge a deployment: live, from a bundle, or the built-in lab",
		Long: `scan asks DNS, domain controllers and OCS servers what they say, judges it, and prints each cause with its
proof and what mends it. What needs more than was given is skipped, with the flag that would enable it.

Exit codes: 0 nothing at or above --fail-on; 1 findings; 2 wrong usage, nothing judged; 3 incomplete: something
could not be looked at; 4 a bug; 130 interrupted (the report of what was done is still written).`,
		Example: `  ocsdoctor scan --ad-domain todorovic.adds --sip-domain todorovic.fr --server ocs.todorovic.adds
  ocsdoctor scan --config ocs.yaml -o console -o junit=TEST-ocsdoctor.xml --fail-on critical
  ocsdoctor scan --ad-domain todorovic.adds --sip-domain todorovic.fr --save-bundle monday.zip
  ocsdoctor scan --from monday.zip --only 'pki/*'
  ocsdoctor scan --config ocs.yaml --before setup
  ocsdoctor scan --ad-domain todorovic.adds --sip-domain todorovic.fr --host-dump ocsdoctor-OCS.zip
  ocsdoctor scan --lab todorovic+certificate-expired`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			given := givenFlags(c)
			if err := fillFlags(c, f.config, os.Getenv); err != nil {
				return err
			}
			return f.run(c.Context(), s, given)
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	f.register(fs)
	fs.StringVar(&f.lab, "lab", "", "serve the built-in deployment `NAME[+FAULT...]` in this process and scan it")
	fs.StringVar(&f.from, "from", "", "judge the facts recorded in a bundle `FILE`; no socket is opened")
	fs.StringVar(&f.saveBundle, "save-bundle", "", "record the facts in `FILE` (zip)")
	fs.BoolVar(&f.dryRun, "dry-run", false, "print the questions that would be asked, dial nothing")
	fs.StringSliceVar(&f.only, "only", nil, "run only the checks that match `GLOB` (dns/*); repeatable")
	fs.StringSliceVar(&f.skip, "skip", nil, "leave out the checks that match `GLOB`; repeatable")
	fs.DurationVar(&f.timeout, "timeout", 60*time.Second, "`DURATION` for the whole scan; each probe has its own, shorter budget")
	fs.StringVar(&f.failOn, "fail-on", "error", "lowest `SEVERITY` that makes exit code 1: critical, error or warning")
	fs.BoolVar(&f.strict, "strict", false, "what could not be looked at, or was not configured, counts as a finding")
	fs.StringVar(&f.waivers, "waivers", "", "YAML `FILE` of accepted findings")
	fs.StringVar(&f.baseline, "baseline", "", "an earlier JSON report `FILE`: only new findings count for the gate")
	f.registerOutput(fs)
	return c
}

// givenFlags are the names of the flags on the command line.
func givenFlags(c *cobra.Command) []string {
	var names []string
	for _, n := range scopeNames {
		if c.Flags().Changed(n) {
			names = append(names, n)
		}
	}
	// Of a lab anything can be asked; a bundle holds what was asked when it was recorded.
	for _, n := range []string{"phase", "before", "check-user", "manual"} {
		if c.Flags().Changed("from") && c.Flags().Changed(n) {
			names = append(names, n)
		}
	}
	return names
}

func (f *scanFlags) run(ctx context.Context, s streams, scopeGiven []string) error {
	if err := f.check(); err != nil {
		return err
	}
	targets, err := f.targets()
	if err != nil {
		return err
	}
	selected, err := selectChecks(f.only, f.skip)
	if err != nil {
		return err
	}
	opts, err := f.policy()
	if err != nil {
		return err
	}
	if f.saveBundle != "" {
		if err := folderExists("--save-bundle", f.saveBundle); err != nil {
			return err
		}
	}
	if f.timeout <= 0 {
		return usage("use something like 60s", "--timeout must be positive")
	}
	if f.from != "" && f.lab != "" {
		return usage("choose one", "--from and --lab together")
	}
	if len(scopeGiven) > 0 && (f.from != "" || f.lab != "") {
		return usage("leave it out", "--%s beside --from or --lab, which bring their own scope", scopeGiven[0])
	}
	run, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	defer run.close()
	if f.dryRun {
		return dryRun(run.scope, selected, s.out)
	}

	scanCtx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	progress := newProgress(s.err, f.verbose, isTerminal(s.err) && !f.quiet)
	store := evidence.NewStore(scanCtx, progress.watch(run.source))
	started := time.Now()
	out := engine.Run(store, selected, run.now)
	progress.done()
	opts.Interrupted = ctx.Err() != nil
	decision := policy.Decide(out, opts)
	rep := report.New(store, out, decision, report.Meta{
		Version: version, Scope: run.scope, Host: run.host, Started: run.now, Duration: time.Since(started),
		FailOn: opts.FailOn, Baseline: opts.Baseline,
	})
	// The report first: it is what the scan was for, even where the bundle cannot be written.
	if err := f.write(rep, targets, s); err != nil {
		return usage("", "%v", err)
	}
	if f.saveBundle != "" {
		m := bundle.Manifest{Tool: version, CapturedAt: run.now, Host: run.host, Hosts: run.hosts()}
		err := writeFile(f.saveBundle, func(w io.Writer) error { return bundle.Write(w, m, store.Records()) })
		if err != nil {
			return usage("", "--save-bundle: %v", err)
		}
	}
	return exit(rep.ExitCode)
}

// scanRun is where the facts of one scan come from.
type scanRun struct {
	scope  facts.Scope
	source evidence.Source
	// now is the time of capture.
	now   time.Time
	host  string
	hosts func() []string
	close func()
}

// open prepares the source: a bundle, the lab, or the network.
func (f *scanFlags) open(ctx context.Context, s streams) (*scanRun, error) {
	if f.from != "" {
		return openBundle(f.from)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	run := &scanRun{now: time.Now().UTC(), host: host, close: func() {}}
	o := live.Options{Connect: f.connect}
	var dumps []*hostdump.Dump
	if f.lab != "" {
		l, err := lab.Start(ctx, f.lab, lab.Options{})
		if err != nil {
			return nil, usage("see ocsdoctor list deployments and ocsdoctor list faults", "--lab: %v", err)
		}
		run.close = l.Close
		o.Scope, o.Password, o.Lab = l.Scope, l.Password, l.Map
		if dumps, err = labDumps(l); err == nil {
			err = f.ask(&o.Scope)
		}
		if _, name, ok := strings.Cut(f.sipUser, `\`); ok { // a file may give another one, which is wrong
			o.SIPPassword = l.SIPPasswords[strings.ToLower(name)]
		}
		if err != nil {
			run.close()
			return nil, err
		}
		collected(&o.Scope, dumps)
	} else {
		if dumps, err = f.dumps(); err != nil {
			return nil, err
		}
		if o.Scope, err = f.scope(ctx, dumps); err != nil {
			return nil, err
		}
		if !f.dryRun || f.kerberos || f.keytab != "" { // a file is read, a password not asked for
			if err = f.credentials(s, &o); err != nil {
				return nil, err
			}
		}
	}
	if o.SIPPassword == "" || f.sipPasswordFile != "" {
		if o.SIPPassword, err = readPassword(s, f.sipUser, f.sipPasswordFile, "sip-password-file", "OCSDOCTOR_SIP_PASSWORD"); err != nil {
			run.close()
			return nil, err
		}
	}
	src, err := live.New(o)
	if err != nil {
		run.close()
		return nil, usage("write HOST:PORT=ADDR:PORT, HOST:*=ADDR or *:PORT=ADDR:PORT", "%v", err)
	}
	run.scope, run.hosts = o.Scope, src.Hosts
	run.source = withScope(o.Scope, run.now, hostdump.Source{Dumps: dumps, Next: src})
	return run, nil
}

// labDumps are the folders collected on the servers of a lab.
func labDumps(l *lab.Lab) ([]*hostdump.Dump, error) {
	var dumps []*hostdump.Dump
	for _, server := range sortedKeys(l.Hosts) {
		d, err := hostdump.FromZIP(server+".zip", l.Hosts[server])
		if err != nil {
			return nil, fmt.Errorf("the lab's folder of %s: %w", server, err)
		}
		dumps = append(dumps, d)
	}
	return dumps, nil
}

// withScope puts the scope, which is a fact too, before a source.
func withScope(scope facts.Scope, now time.Time, next evidence.Source) evidence.Source {
	key := facts.ConfigScope.Key(evidence.None{})
	rec := &evidence.Record{Key: key, Via: "config", At: now}
	v, err := json.Marshal(scope)
	if err != nil {
		rec.Failure = evidence.Fail(evidence.Internal, err.Error())
	}
	rec.Value = v
	return evidence.Layered{Given: map[evidence.Key]*evidence.Record{key: rec}, Next: next}
}

func openBundle(name string) (*scanRun, error) {
	b, err := readBounded(name, 512<<20)
	if err != nil {
		return nil, usage("give a file that --save-bundle wrote", "--from: %v", err)
	}
	m, recorded, err := bundle.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, usage("give a file that --save-bundle wrote", "--from %s: %v", name, err)
	}
	run := &scanRun{
		source: recorded, now: m.CapturedAt, host: m.Host, close: func() {},
		hosts: func() []string { return m.Hosts },
	}
	if rec := recorded[facts.ConfigScope.Key(evidence.None{})]; rec != nil && rec.Value != nil {
		if err := json.Unmarshal(rec.Value, &run.scope); err != nil {
			return nil, usage("give a file that --save-bundle wrote", "--from %s: facts/config.scope.json: %v", name, err)
		}
	}
	return run, nil
}

// policy reads what decides the gate: severity, waivers, baseline.
func (f *scanFlags) policy() (policy.Options, error) {
	o := policy.Options{Strict: f.strict, Known: all.Checks(), Now: time.Now()}
	sev, ok := checks.ParseSeverity(f.failOn)
	if !ok || sev == checks.Notice {
		return o, usage("use critical, error or warning", "--fail-on %q", f.failOn)
	}
	o.FailOn = sev
	if f.waivers != "" {
		var err error
		if o.Waivers, err = readWaivers(f.waivers); err != nil {
			return o, usage("see the README for the form of a waiver file", "--waivers %s: %v", f.waivers, err)
		}
	}
	if f.baseline != "" {
		r, err := readReport(f.baseline)
		if err != nil {
			return o, usage("give a report that -o json wrote", "--baseline %s: %v", f.baseline, err)
		}
		o.Baseline = map[string]bool{}
		for id := range r.Findings() {
			o.Baseline[id] = true
		}
	}
	return o, nil
}

// selectChecks applies --only and --skip. A pattern that matches no check is a usage error.
func selectChecks(only, skip []string) ([]*checks.Check, error) {
	const hint = "see ocsdoctor list"
	known := all.Checks()
	match := func(pattern string) (map[*checks.Check]bool, error) {
		re := regexp.MustCompile("^" + strings.ReplaceAll(strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*"), `\?`, ".") + "$")
		m := map[*checks.Check]bool{}
		for _, c := range known {
			if re.MatchString(c.ID) {
				m[c] = true
			}
		}
		if len(m) == 0 {
			return nil, usage(hint, "%q matches no check", pattern)
		}
		return m, nil
	}
	out := known
	if len(only) > 0 {
		keep := map[*checks.Check]bool{}
		for _, p := range only {
			m, err := match(p)
			if err != nil {
				return nil, err
			}
			for c := range m {
				keep[c] = true
			}
		}
		out = slices.DeleteFunc(slices.Clone(out), func(c *checks.Check) bool { return !keep[c] })
	}
	for _, p := range skip {
		m, err := match(p)
		if err != nil {
			return nil, err
		}
		out = slices.DeleteFunc(slices.Clone(out), func(c *checks.Check) bool { return m[c] })
	}
	if len(out) == 0 {
		return nil, usage(hint, "--only and --skip leave no check")
	}
	return out, nil
}

// dryRun prints the questions that are known before the first answer, and the kinds of those that follow from answers.
func dryRun(scope facts.Scope, selected []*checks.Check, w io.Writer) error {
	rec := &asked{}
	store := evidence.NewStore(context.Background(), withScope(scope, time.Time{}, rec))
	engine.Run(store, selected, time.Time{})
	first, kinds := rec.questions(), map[string]string{}
	var visit func(k evidence.AnyKind)
	visit = func(k evidence.AnyKind) {
		if !k.Derived() && k != facts.ConfigScope {
			kinds[k.KindName()] = k.KindDoc()
		}
		for _, n := range k.KindNeeds() {
			visit(n)
		}
	}
	for _, c := range selected {
		for _, k := range c.Needs {
			visit(k)
		}
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, "Questions known before the first answer:")
	for _, q := range first {
		fmt.Fprintf(&b, "  %s\n", report.Printable(q))
	}
	fmt.Fprintln(&b, "\nKinds of question that these checks may ask, as answers come in:")
	for _, name := range sortedKeys(kinds) {
		fmt.Fprintf(&b, "  %-15s %s\n", name, kinds[name])
	}
	_, err := w.Write(b.Bytes())
	return err
}

// readReport reads a JSON report from a file.
func readReport(name string) (*report.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return report.Read(f)
}
