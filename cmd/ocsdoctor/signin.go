package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ocsdoctor/checks"
	"ocsdoctor/checks/all"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/knowledge"
	"ocsdoctor/checks/policy"
	"ocsdoctor/report"
)

// signinFlags are the flags of signin.
type signinFlags struct {
	scanFlags
	format             string
	profile, transport string
}

func signinCommand(s streams) *cobra.Command {
	f := &signinFlags{}
	c := &cobra.Command{
		Use:   "signin sip:USER@DOMAIN",
		Short: "Walk the sign-in of one user the way Communicator does it",
		Long: `signin follows Communicator 2007 R2, or another client, step by step: the names that it asks for in DNS, inside and (with
--dns-external) outside, the server that wins and the records that are never reached, the connection, the certificate, the challenge; and what the server will find of the user in Active
Directory, when --user is given. It says where the client stops, how far that reaches, what the user sees, and what
mends it. The SIP domain is that of the address.

It tries no password of the user: the walk ends at the challenge. With --sip-user a test account signs in under the address and out again.
Give an account of its own for that, not a person's: a wrong password counts towards the lockout of the account, as any failed logon does.
It is proved once in a run, whatever happens, only after everything before it was well, and its password is neither shown nor recorded.

Exit codes are those of scan: 0 nothing stops the user and nothing is at or above error; 1 something does or is;
2 wrong usage; 3 incomplete: something could not be looked at; 4 a bug; 130 interrupted.`,
		Example: `  ocsdoctor signin sip:alice@todorovic.fr
  ocsdoctor signin sip:alice@todorovic.fr --ad-domain todorovic.adds --user TODOROVIC\\svc-scan --roots root.pem
  ocsdoctor signin sip:test@todorovic.fr --sip-user TODOROVIC\\test --sip-password-file test.txt --roots root.pem
  ocsdoctor signin sip:alice@todorovic.fr --manual ocs.todorovic.adds --profile communicator-2007
  ocsdoctor signin sip:alice@todorovic.fr --lab todorovic+certificate-expired -o json`,
		Args: one("address", "give the address as sip:USER@DOMAIN"),
		RunE: func(c *cobra.Command, args []string) error {
			for _, name := range ofTheAddress {
				if c.Flags().Changed(name) {
					return usage("leave it out", "--%s beside a sign-in, which has user and SIP domain in its address", name)
				}
			}
			given := givenFlags(c)
			if err := fillFlags(c, f.config, os.Getenv); err != nil {
				return err
			}
			return f.run(c.Context(), s, args[0], given, again(c, args[0]))
		},
	}
	fs := c.Flags()
	fs.SortFlags = false
	f.register(fs)
	for _, name := range ofTheAddress {
		fs.Lookup(name).Hidden = true // a configuration file may have them, for scan
	}
	fs.StringVar(&f.profile, "profile", facts.Profiles[0].Name, "`CLIENT` that signs in: "+strings.Join(facts.ProfileNames(), ", "))
	fs.StringVar(&f.transport, "transport", "", "`HOW` SIP travels: tls, or tcp for a client that may do without TLS (default: as the client has it)")
	fs.StringVar(&f.sipUser, "sip-user", "", "test `ACCOUNT` that signs in, DOMAIN\\user or user@realm; it is tried once, and a wrong password counts towards its lockout")
	fs.StringVar(&f.sipPasswordFile, "sip-password-file", "", "`FILE` whose first line is its password; or OCSDOCTOR_SIP_PASSWORD, or a prompt")
	fs.StringVar(&f.lab, "lab", "", "serve the built-in deployment `NAME[+FAULT...]` in this process and sign in there")
	fs.StringVar(&f.from, "from", "", "walk over the facts recorded in a bundle `FILE`; no socket is opened")
	fs.DurationVar(&f.timeout, "timeout", 60*time.Second, "`DURATION` for the whole walk; each probe has its own, shorter budget")
	fs.StringVarP(&f.format, "output", "o", "console", "`FORMAT`: console or json")
	fs.StringVar(&f.color, "color", "auto", "`WHEN` to colour: auto, always or never; NO_COLOR is honoured")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "show every question as it is answered")
	return c
}

// ofTheAddress are the flags of a scan that the address of a sign-in stands for.
var ofTheAddress = []string{"sip-domain", "check-user"}

// again is the command line that walks the same way again, without the flags that only say how it is shown.
func again(c *cobra.Command, uri string) string {
	words := []string{c.CommandPath(), quoted(uri)}
	c.Flags().Visit(func(f *pflag.Flag) { // what fillFlags sets is not visited: it is there the next time too
		values := []string{f.Value.String()}
		switch list, ok := f.Value.(pflag.SliceValue); {
		case slices.Contains([]string{"output", "color", "verbose"}, f.Name):
			return
		case ok:
			values = list.GetSlice()
		case f.Value.Type() == "bool":
			words = append(words, "--"+f.Name)
			return
		}
		for _, v := range values {
			words = append(words, "--"+f.Name, quoted(v))
		}
	})
	return strings.Join(words, " ")
}

// quoted is a word of a command line, in quotes where a shell would read more than letters in it.
func quoted(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@+,=") == "" && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// run walks the sign-in over the same facts and judgements as a scan.
func (f *signinFlags) run(ctx context.Context, s streams, address string, scopeGiven []string, again string) error {
	if err := f.check(); err != nil {
		return err
	}
	uri, domain, ok := sipAddress(address)
	switch {
	case !ok:
		return usage("give it as sip:alice@todorovic.fr", "%q is no SIP address", address)
	case f.format != "console" && f.format != "json":
		return usage("use console or json", "unknown format %q", f.format)
	case !slices.Contains(facts.ProfileNames(), f.profile):
		return usage("use one of "+strings.Join(facts.ProfileNames(), ", "), "--profile %q", f.profile)
	case !slices.Contains([]string{"", "tls", "tcp"}, f.transport):
		return usage("use tls or tcp", "--transport %q", f.transport)
	case f.timeout <= 0:
		return usage("use something like 60s", "--timeout must be positive")
	case f.sipUser != "" && !validAccount(f.sipUser):
		return usage(`give it as DOMAIN\user or user@realm`, "--sip-user %q", f.sipUser)
	case f.sipUser == "" && f.sipPasswordFile != "":
		return usage("give --sip-user too", "--sip-password-file without an account")
	case f.sipUser != "" && f.from != "":
		return usage("leave it out", "--sip-user beside --from, which opens no socket")
	case f.from != "" && f.lab != "":
		return usage("choose one", "--from and --lab together")
	case len(scopeGiven) > 0 && (f.from != "" || f.lab != ""):
		return usage("leave it out", "--%s beside --from or --lab, which bring their own scope", scopeGiven[0])
	}
	tcp := f.transport == "tcp" || f.transport == "" && facts.ProfileOf(f.profile).TCP
	if f.transport == "tcp" {
		f.manualPort = facts.SIPTCPPort
	}
	f.checkUsers, f.sipDomains, f.signIn = []string{uri}, nil, domain
	run, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	defer run.close()
	if f.from != "" {
		signInScope(&run.scope, domain)
		run.scope.CheckUsers = []string{uri}
		run.source = withScope(run.scope, run.now, run.source)
	}

	within, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	progress := newProgress(s.err, f.verbose, isTerminal(s.err))
	store := evidence.NewStore(within, progress.watch(run.source))
	var walk *report.SignIn
	var out *engine.Outcome
	evidence.Parallel(func() {
		walk = report.NewSignIn(store, report.SignInMeta{URI: uri, Host: run.host, Scope: run.scope, Now: run.now, Again: again, Profile: f.profile, TCP: tcp, Means: means})
	}, func() {
		out = engine.Run(store, signinChecks(), run.now)
	})
	says := sees
	if !strings.HasPrefix(f.profile, "communicator") {
		says = func(string) *report.UserSees { return nil } // what other clients show, no source says
	}
	walk.Judge(store, out, says)
	progress.done()
	decision := policy.Decide(out, policy.Options{
		Known: all.Checks(), Now: time.Now(), FailOn: checks.Error, Interrupted: ctx.Err() != nil, Stopped: walk.StoppedAt > 0, Lost: walk.Lost(),
	})
	if f.format == "json" {
		err = walk.WriteJSON(s.out)
	} else {
		err = walk.WriteConsole(s.out, f.console(s.out, isTerminal(s.out)))
	}
	if err != nil {
		return usage("", "writing the sign-in: %v", err)
	}
	return exit(decision.ExitCode)
}

// validAccount tells whether a name is that of an account with its domain.
func validAccount(name string) bool {
	domain, user, ok := strings.Cut(name, `\`)
	if !ok {
		user, domain, ok = strings.Cut(name, "@")
	}
	return ok && user != "" && domain != "" && !strings.ContainsFunc(name, unicode.IsControl)
}

// signinChecks are those that judge what a sign-in meets, and what explains their findings.
func signinChecks() []*checks.Check {
	families := []string{"dns", "net", "pki", "iis", "signin", "account"}
	others := []string{
		"ad/dc-reachable", "ad/sip-domain-defined", "ad/sip-domain-consistent",
		// Why nothing listens, or listens to nobody.
		"service/front-end", "service/sql", "host/firewall", "host/schannel-protocols", "patch/ocsasnfix", "patch/database-upgraded-first",
	}
	return slices.DeleteFunc(all.Checks(), func(c *checks.Check) bool {
		return !slices.Contains(families, c.Family()) && !slices.Contains(others, c.ID)
	})
}

// means is what a number of ms-diagnostics comes down to; empty for one that is not known.
func means(id string) string {
	for _, e := range knowledge.All() {
		if e.Kind == knowledge.MSDiagnostics && (e.ID == id || slices.Contains(e.Also, id)) {
			return e.Title
		}
	}
	return ""
}

// sees is what Communicator shows, by the core of the message.
func sees(core string) *report.UserSees {
	for _, e := range knowledge.All() {
		if e.Kind == knowledge.Message && e.ID == core {
			return &report.UserSees{EN: e.Says, FR: e.French}
		}
	}
	return nil
}
