package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// collectCommand is the batch file, with lines that end in LF.
//
//go:embed collect.cmd
var collectCommand string

func collectorCommand(s streams) *cobra.Command {
	var file string
	var force bool
	c := &cobra.Command{
		Use:   "collector",
		Short: "Write collect.cmd, for servers that cannot be reached or where no binary runs",
		Long: `collector writes a batch file that collects what a server says of itself: registry, services, event logs, versions of
programs, the configuration of IIS. It runs on Windows Server 2003 and later with what they come with, changes nothing
but the folder that it makes, and takes no private key and no password. Carry it to the server, run it there as an
administrator, pack the folder that it made into a ZIP file, and give that to scan --host-dump.`,
		Example: `  ocsdoctor collector
  ocsdoctor collector --file D:\tools\collect.cmd
  ocsdoctor scan --ad-domain todorovic.adds --sip-domain todorovic.fr --host-dump ocsdoctor-OCS.zip`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return writeCollector(s, file, force) },
	}
	c.Flags().SortFlags = false
	c.Flags().StringVarP(&file, "file", "f", "collect.cmd", "`FILE` to write; - is standard output")
	c.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	return c
}

// writeCollector writes the batch file as Windows reads it, with lines that end in CR LF.
func writeCollector(s streams, file string, force bool) error {
	text := strings.ReplaceAll(strings.ReplaceAll(collectCommand, "\r\n", "\n"), "\n", "\r\n")
	write := func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	if file == "-" {
		if err := write(s.out); err != nil {
			return usage("", "--file: %v", err)
		}
		return nil
	}
	if err := folderExists("--file", file); err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil && !force {
		return usage("give another --file, or --force to replace it", "%s is there already", file)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return usage("", "--file: %v", err)
	}
	if err := writeFile(file, write); err != nil {
		return usage("", "--file: %v", err)
	}
	fmt.Fprintf(s.err, "%s was written; run it on the server as an administrator, and give the folder that it makes to scan --host-dump\n", file)
	return nil
}
