package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ocsdoctor/checks"
	"ocsdoctor/checks/all"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/knowledge"
	"ocsdoctor/checks/policy"
	"ocsdoctor/report"
)

func signinCommand(s streams) *cobra.Command {
	f := &scanFlags{failOn: checks.Error.String()}
	var output string
	c := &cobra.Command{
		Use:   "signin sip:USER@DOMAIN",
		Short: "Walk the sign-in of one user the way Communicator does it",
		Long: `signin follows Communicator 2007 R2 with automatic configuration step by step: the names that it asks for in DNS, the
server that wins, the connection, the certificate, the challenge; and what the server will find of the user in Active
Directory. It says where the client stops, how far that reaches, what the user sees, and what mends it. It
tries no password of the user: the walk ends at the challenge.

Exit codes are those of scan: 0 nothing at or above error; 1 findings; 2 wrong usage; 3 incomplete; 4 a bug.`,
		Example: `  ocsdoctor signin sip:alice@todorovic.fr --ad-domain todorovic.adds
  ocsdoctor signin sip:alice@todorovic.fr --ad-domain todorovic.adds --user TODOROVIC\\svc-scan --roots root.pem
  ocsdoctor signin sip:alice@todorovic.fr --lab todorovic+certificate-expired -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			given := givenFlags(c)
			if err := fillFlags(c, f.config, os.Getenv); err != nil {
				return err
			}
			return f.signin(c.Context(), s, args[0], output, given)
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	f.register(fs)
	fs.StringVar(&f.lab, "lab", "", "serve the built-in deployment `NAME[+FAULT...]` in this process and sign in there")
	fs.StringVar(&f.from, "from", "", "walk over the facts recorded in a bundle `FILE`; no socket is opened")
	fs.DurationVar(&f.timeout, "timeout", 60*time.Second, "`DURATION` for the whole walk")
	fs.StringVarP(&output, "output", "o", "console", "`FORMAT`: console or json")
	fs.StringVar(&f.color, "color", "auto", "`WHEN` to colour: auto, always or never; NO_COLOR is honoured")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "show every question as it is answered")
	return c
}

// signin walks the sign-in of a user over the same facts and judgements as a scan.
func (f *scanFlags) signin(ctx context.Context, s streams, uri, output string, scopeGiven []string) error {
	if err := f.check(); err != nil {
		return err
	}
	f.checkUsers = []string{uri}
	if domain := uri[strings.LastIndexByte(uri, '@')+1:]; f.lab == "" && f.from == "" && len(f.sipDomains) == 0 && domain != uri {
		f.sipDomains = []string{domain}
	}
	switch {
	case output != "console" && output != "json":
		return usage("use console or json", "unknown format %q", output)
	case f.timeout <= 0:
		return usage("use something like 60s", "--timeout must be positive")
	case f.from != "" && f.lab != "":
		return usage("choose one", "--from and --lab together")
	case len(scopeGiven) > 0 && (f.from != "" || f.lab != ""):
		return usage("leave it out", "--%s beside --from or --lab, which bring their own scope", scopeGiven[0])
	}
	run, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	defer run.close()
	within, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	progress := newProgress(s.err, f.verbose, isTerminal(s.err))
	store := evidence.NewStore(within, progress.watch(run.source))
	started := time.Now()
	out := engine.Run(store, signinChecks(), run.now)
	progress.done()
	opts := policy.Options{Known: all.Checks(), Now: time.Now(), FailOn: checks.Error, Interrupted: ctx.Err() != nil}
	rep := report.New(store, out, policy.Decide(out, opts), report.Meta{
		Version: version, Scope: run.scope, Host: run.host, Started: run.now, Duration: time.Since(started), FailOn: opts.FailOn,
	})
	walk := report.NewSignIn(store, out, rep, strings.ToLower(strings.TrimSpace(uri)), run.now, sees)
	if output == "json" {
		err = walk.WriteJSON(s.out)
	} else {
		err = walk.WriteConsole(s.out, f.console(s.out, isTerminal(s.out)))
	}
	if err != nil {
		return usage("", "%v", err)
	}
	return exit(rep.ExitCode)
}

// signinChecks are those that judge what a sign-in meets.
func signinChecks() []*checks.Check {
	return slices.DeleteFunc(all.Checks(), func(c *checks.Check) bool {
		return !slices.Contains([]string{"dns", "net", "pki", "signin", "account"}, c.Family()) && c.ID != "ad/dc-reachable"
	})
}

// sees is what Communicator shows, by the core of the message. No source gives its own French wording.
func sees(core string) report.UserSees {
	for _, e := range knowledge.Find(core) {
		if e.Kind == knowledge.Message && e.ID == core {
			return report.UserSees{EN: e.Says}
		}
	}
	return report.UserSees{}
}
