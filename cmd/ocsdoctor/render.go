package main

import (
	"github.com/spf13/cobra"

	"ocsdoctor/report"
)

func renderCommand(s streams) *cobra.Command {
	o := &outputFlags{}
	c := &cobra.Command{
		Use:   "render REPORT.json",
		Short: "Write a JSON report in another format",
		Long: `render reads a report that scan -o json wrote ("-" for standard input) and writes it in any format. It exits with the
report's own exit code, like the scan that made it.`,
		Example: `  ocsdoctor scan --lab todorovic -o json=r.json
  ocsdoctor render r.json -o html=report.html`,
		Args: one("report", "give the file that scan -o json wrote, or - for standard input"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			targets, err := o.targets()
			if err != nil {
				return err
			}
			var r *report.Report
			if args[0] == "-" {
				r, err = report.Read(s.in)
			} else {
				r, err = readReport(args[0])
			}
			if err != nil {
				return usage("give a report that scan -o json wrote", "%s: %v", args[0], err)
			}
			if err := o.write(r, targets, s); err != nil {
				return usage("", "%v", err)
			}
			return exit(r.ExitCode)
		},
	}
	o.registerOutput(c.Flags())
	return c
}
