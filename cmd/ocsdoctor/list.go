package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ocsdoctor/checks"
	"ocsdoctor/checks/all"
	"ocsdoctor/fixtures/lab"
)

// listed is one check as list -o json shows it.
type listed struct {
	ID     string   `json:"id"`
	Title  string   `json:"title"`
	Family string   `json:"family"`
	Scope  string   `json:"scope"`
	Phases []string `json:"phases"`
	Tags   []string `json:"tags"`
}

func listCommand(s streams) *cobra.Command {
	var phase, family, output string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the checks; list faults and list deployments show the lab's",
		Example: `  ocsdoctor list --family dns
  ocsdoctor list faults -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			rows := []listed{}
			var families []string
			for _, c := range all.Checks() {
				families = append(families, c.Family())
				if family != "" && c.Family() != family || phase != "" && !slices.Contains(c.Phases.Names(), phase) {
					continue
				}
				l := listed{c.ID, c.Title, c.Family(), string(c.Scope), c.Phases.Names(), []string{}}
				for _, m := range c.Messages {
					l.Tags = append(l.Tags, m.Tag)
				}
				rows = append(rows, l)
			}
			switch {
			case family != "" && !slices.Contains(families, family):
				return usage("the families are those of ocsdoctor list", "unknown family %q", family)
			case phase != "" && !slices.Contains(checks.BothPhases.Names(), phase):
				return usage("use pre-install or post-install", "--phase %q", phase)
			}
			return show(s.out, output, rows, []string{"CHECK", "EXPECTATION"}, func(l listed) []string {
				return []string{l.ID, l.Title}
			})
		},
	}
	c.PersistentFlags().StringVarP(&output, "output", "o", "console", "`FORMAT`: console or json")
	c.Flags().StringVar(&phase, "phase", "", "only the checks of `PHASE`: pre-install or post-install")
	c.Flags().StringVar(&family, "family", "", "only the checks of `FAMILY`: ad, dns, net, pki, ...")
	c.AddCommand(&cobra.Command{
		Use:   "faults",
		Short: "List the faults of the built-in lab",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			faults, err := lab.Faults()
			if err != nil {
				return err
			}
			type row struct {
				Name       string `json:"name"`
				Deployment string `json:"deployment"`
				Root       string `json:"root"`
				Summary    string `json:"summary"`
			}
			rows := []row{}
			for _, f := range faults {
				rows = append(rows, row{f.Name, f.Deployment, f.Root, f.Summary})
			}
			return show(s.out, output, rows, []string{"FAULT", "ROOT", "WHAT IS BROKEN"}, func(r row) []string {
				return []string{r.Name, r.Root, r.Summary}
			})
		},
	}, &cobra.Command{
		Use:   "deployments",
		Short: "List the deployments of the built-in lab",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return show(s.out, output, lab.Names(), nil, func(n string) []string { return []string{n} })
		},
	})
	return c
}

// show prints rows as a table or as a JSON array.
func show[T any](w io.Writer, output string, rows []T, head []string, cells func(T) []string) error {
	switch output {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	case "console":
	default:
		return usage("use console or json", "unknown format %q", output)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells []string) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	}
	if head != nil {
		line(head)
	}
	for _, r := range rows {
		line(cells(r))
	}
	return t.Flush()
}
