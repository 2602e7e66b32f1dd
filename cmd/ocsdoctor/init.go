package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/policy"
	"ocsdoctor/report"
)

// initFlags are the flags of init.
type initFlags struct {
	scanFlags
	file  string
	force bool
}

func initCommand(s streams) *cobra.Command {
	f := &initFlags{}
	c := &cobra.Command{
		Use:   "init",
		Short: "Discover a deployment and write ocsdoctor.yaml",
		Long: `init looks for the forest, its domain controllers, the SIP domains, the pools and the OCS servers, and writes them as a
configuration file for scan --config, with comments that say where each came from. What could not be found is a comment
with the reason. With --user the directory is read; without it, what DNS tells. A password is never written.

Exit codes: 0 the file was written and nothing was missing; 2 wrong usage, nothing written; 3 the file was written,
and something in it could not be looked at.`,
		Example: `  ocsdoctor init --ad-domain todorovic.adds --user TODOROVIC\\svc-scan --roots root.pem
  ocsdoctor init --ad-domain todorovic.adds --file - > ocs.yaml
  ocsdoctor init --lab todorovic --file -
  ocsdoctor scan --config ocsdoctor.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			given := givenFlags(c)
			if err := fillFlags(c, f.config, os.Getenv); err != nil {
				return err
			}
			return f.run(c.Context(), s, given)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	f.register(flags)
	flags.StringVar(&f.lab, "lab", "", "discover the built-in deployment `NAME` instead")
	flags.StringVarP(&f.file, "file", "f", "ocsdoctor.yaml", "`FILE` to write; - is standard output")
	flags.BoolVar(&f.force, "force", false, "replace the file if it is there")
	flags.DurationVar(&f.timeout, "timeout", 60*time.Second, "`DURATION` for the whole discovery")
	return c
}

func (f *initFlags) run(ctx context.Context, s streams, scopeGiven []string) error {
	if f.timeout <= 0 {
		return usage("use something like 60s", "--timeout must be positive")
	}
	if len(scopeGiven) > 0 && f.lab != "" {
		return usage("leave it out", "--%s beside --lab, which brings its own scope", scopeGiven[0])
	}
	if f.file != "-" {
		if err := folderExists("--file", f.file); err != nil {
			return err
		}
		if _, err := os.Stat(f.file); err == nil && !f.force {
			return usage("give another --file, or --force to replace it", "%s is there already", f.file)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return usage("", "--file: %v", err)
		}
	}
	run, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	defer run.close()
	within, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	progress := newProgress(s.err, false, isTerminal(s.err))
	d := discovery{reader: evidence.NewStore(within, progress.watch(run.source)).NewReader(facts.All), scope: run.scope, given: f.reach()}
	text := d.write(run.now)
	progress.done()
	if ctx.Err() != nil {
		return exit(policy.ExitInterrupted)
	}
	if f.file == "-" {
		_, err = s.out.Write(text)
	} else {
		err = writeFile(f.file, func(w io.Writer) error { _, err := w.Write(text); return err })
	}
	if err != nil {
		return usage("", "--file: %v", err)
	}
	if f.file != "-" {
		fmt.Fprintf(s.err, "%s was written; try: ocsdoctor scan --config %s\n", f.file, f.file)
	}
	if d.missing {
		return exit(policy.ExitIncomplete)
	}
	return nil
}

// discovery writes what is found as a configuration file.
type discovery struct {
	reader *evidence.Reader
	scope  facts.Scope
	// given are the flags that say how the deployment is reached: a scan needs them too.
	given []givenFlag
	out   bytes.Buffer
	// missing tells that something could not be looked at.
	missing bool
}

// givenFlag is a flag with the values that it was given.
type givenFlag struct {
	name   string
	values []string
	list   bool
}

// reach are the flags by which a deployment is reached, as they were given.
func (f *initFlags) reach() []givenFlag {
	single := func(name, value string) givenFlag {
		if value == "" {
			return givenFlag{name: name}
		}
		return givenFlag{name, []string{value}, false}
	}
	yes := func(name string, on bool) givenFlag {
		if !on {
			return givenFlag{name: name}
		}
		return givenFlag{name, []string{"true"}, false}
	}
	return []givenFlag{
		single("password-file", f.passwordFile), yes("kerberos", f.kerberos), single("keytab", f.keytab), yes("allow-cleartext", f.allowCleartext),
		{"dns", f.dns, true}, {"dns-external", f.dnsExternal, true}, {"dc", f.dcs, true}, {"connect", f.connect, true}, {"host-dump", f.hostDumps, true}, {"roots", f.roots, true},
		yes("system-roots", f.systemRoots),
	}
}

func (d *discovery) write(now time.Time) []byte {
	none := evidence.None{}
	d.comment("Written by ocsdoctor init on " + now.Format("2006-01-02 15:04 UTC") + ". The keys are the flags of ocsdoctor scan; see scan --help.")
	forest, forestErr := facts.Forest.Get(d.reader, none)
	dir, dirErr := facts.Directory.Get(d.reader, none)

	domain, err := facts.ADDomain.Get(d.reader, none)
	d.section("The AD domain of the OCS servers.", err)
	if err == nil {
		if dirErr == nil && dir.Forest != "" {
			d.comment("Its forest is " + dir.Forest + ".")
		}
		d.key("ad-domain", domain.List[:1], false)
	}

	dcs, err := facts.Controllers.Get(d.reader, none)
	d.section("Domain controllers. They are found in DNS and in the directory at each scan; list them only to restrict a scan to some.", err)
	if err == nil {
		for _, c := range dcs {
			d.comment("  " + describeController(c))
		}
	}
	if forestErr == nil {
		for _, other := range forest.Domains {
			if other.Name != dir.Domain {
				d.comment("Another domain of the forest: " + other.Name)
			}
		}
	}

	sip, err := facts.SIPDomains.Get(d.reader, none)
	d.section("SIP domains: what stands after the @ of a sign-in address.", err)
	if err == nil {
		d.key("sip-domain", sip.List, true)
	}

	pools, err := facts.Pools.Get(d.reader, none)
	d.section("Pools, as AD lists them.", err)
	for _, p := range pools.Pools {
		var ends []string
		for _, e := range p.FrontEnds {
			ends = append(ends, e.Computer)
		}
		d.comment("  " + p.FQDN + ", front ends: " + strings.Join(ends, ", "))
	}
	servers, err := facts.ServerNames.Get(d.reader, none)
	d.section("OCS servers to judge.", err)
	if err == nil {
		d.key("server", servers.List, true)
	}

	d.out.WriteString("\n")
	d.comment("The account to read AD and the servers with. Its password comes from password-file, OCSDOCTOR_PASSWORD or a prompt, and never stands here.")
	if d.scope.LDAPUser != "" && !d.scope.Kerberos {
		d.key("user", []string{d.scope.LDAPUser}, false)
	}
	for _, g := range d.given {
		if len(g.values) > 0 {
			d.key(g.name, g.values, g.list)
		}
	}
	d.out.WriteString("\n")
	d.comment("The root certificates of your PKI in PEM form, roots: [root.pem]; without them trust is judged by what AD publishes.")
	return d.out.Bytes()
}

// describeController is a domain controller in one line.
func describeController(c facts.ControllerRef) string {
	var what []string
	if c.Controller.Site != "" {
		what = append(what, "site "+c.Controller.Site)
	}
	if c.Controller.Catalog {
		what = append(what, "global catalog")
	}
	if c.Controller.ReadOnly {
		what = append(what, "read-only")
	}
	switch {
	case !c.Published:
		what = append(what, "not in DNS")
	case !c.Listed && c.Controller.Host == "":
		what = append(what, "from DNS")
	}
	return strings.TrimSuffix(c.Ask+": "+strings.Join(what, ", "), ": ")
}

// section begins what follows with a comment; err is why it could not be found.
func (d *discovery) section(title string, err error) {
	d.out.WriteString("\n")
	d.comment(title)
	if err == nil {
		return
	}
	var f *evidence.Failure
	why := err.Error()
	if errors.As(err, &f) {
		why = f.Detail
		d.missing = d.missing || f.Reason != evidence.NotConfigured
	}
	d.comment("Not found: " + why)
}

// comment writes text from anywhere as a comment of one line.
func (d *discovery) comment(text string) { fmt.Fprintf(&d.out, "# %s\n", report.Printable(text)) }

// key writes a flag with its value, or values as a list.
func (d *discovery) key(name string, values []string, list bool) {
	if len(values) == 0 {
		d.comment(name + ": none was found")
		return
	}
	var v any = values[0]
	switch {
	case list:
		v = values
	case v == "true":
		v = true
	}
	b, err := yaml.Marshal(map[string]any{name: v})
	if err != nil {
		d.comment(name + ": " + err.Error())
		return
	}
	d.out.Write(b)
}
