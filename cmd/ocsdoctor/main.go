// Command ocsdoctor judges an Office Communications Server 2007 R2 deployment over the network and says
// what is wrong, why, and what mends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"ocsdoctor/checks/policy"
	"ocsdoctor/report"
)

// version is stamped by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the next one ends the program at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are the standard streams: results go to out, everything for people to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// fault is an error that ends the program with its own exit code; hint says what to do.
type fault struct {
	code int
	msg  string
	hint string
}

func (f *fault) Error() string { return f.msg }

// usage is what was asked wrongly: exit code 2, nothing judged.
func usage(hint, format string, args ...any) error {
	return &fault{policy.ExitUsage, fmt.Sprintf(format, args...), hint}
}

// exit ends with a code and says nothing: the report has said it.
func exit(code int) error {
	if code == policy.ExitOK {
		return nil
	}
	return &fault{code: code}
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := &cobra.Command{
		Use:   "ocsdoctor",
		Short: "Health check and diagnostics for Office Communications Server 2007 R2",
		Long: `ocsdoctor looks at an Office Communications Server 2007 R2 deployment from the outside (AD, DNS,
certificates, ports, sign-in) and names the one cause of what is wrong, the proof, and what mends it.
Nothing is installed or changed on any server.`,
		Example: `  ocsdoctor scan --ad-domain todorovic.adds --sip-domain todorovic.fr --server ocs.todorovic.adds
  ocsdoctor scan --lab todorovic+certificate-expired
  ocsdoctor explain dns/sip-tls-srv`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("see "+c.CommandPath()+" --help", "%v", err)
	})
	root.AddCommand(scanCommand(s), collectorCommand(s), explainCommand(s), listCommand(s), renderCommand(s), labCommand(s), initCommand(s), signinCommand(s), versionCommand(s))
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return policy.ExitOK
	}
	var f *fault
	if !errors.As(err, &f) {
		// What cobra itself refuses: an unknown verb, a wrong number of arguments.
		f = &fault{policy.ExitUsage, err.Error(), "see ocsdoctor --help"}
	}
	if f.msg != "" {
		fmt.Fprintf(s.err, "ocsdoctor: %s\n", report.Printable(f.msg))
		if f.hint != "" {
			fmt.Fprintf(s.err, "hint: %s\n", report.Printable(f.hint))
		}
	}
	return f.code
}

// one demands exactly one argument; the hint says what it is.
func one(what, hint string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return usage(hint, "%s takes one %s, and %d were given", c.Name(), what, len(args))
	}
}
