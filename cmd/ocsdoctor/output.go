package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"ocsdoctor/report"
)

// target is one report to write: a format, and a file or standard output.
type target struct {
	format string
	file   string // empty: standard output
}

// outputFlags are the flags of verbs that write reports.
type outputFlags struct {
	outputs        []string
	color          string
	verbose, quiet bool
}

func (o *outputFlags) registerOutput(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&o.outputs, "output", "o", nil, "`FORMAT[=FILE]`: console, json, junit or html; repeatable; without FILE to standard output")
	fs.StringVar(&o.color, "color", "auto", "`WHEN` to colour: auto, always or never; NO_COLOR is honoured")
	fs.BoolVarP(&o.verbose, "verbose", "v", false, "show every check, and every question as it is answered")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "show only the roots and the verdict, no progress")
}

var formats = []string{"console", "json", "junit", "html"}

// targets reads the -o values. Two reports on standard output, or an unknown format, are usage errors.
func (o outputFlags) targets() ([]target, error) {
	values := o.outputs
	if len(values) == 0 {
		values = []string{"console"}
	}
	var out []target
	onStdout := 0
	for _, v := range values {
		format, file, hasFile := strings.Cut(v, "=")
		known := false
		for _, f := range formats {
			known = known || f == format
		}
		switch {
		case !known:
			return nil, usage("the formats are "+strings.Join(formats, ", "), "unknown format %q", format)
		case hasFile && file == "":
			return nil, usage("write -o "+format+"=FILE", "-o %s: the file name is missing", v)
		case hasFile:
			if err := folderExists("-o "+v, file); err != nil {
				return nil, err
			}
		default:
			onStdout++
		}
		out = append(out, target{format, file})
	}
	if onStdout > 1 {
		return nil, usage("give all but one a file: -o "+out[1].format+"=FILE", "only one report can go to standard output")
	}
	return out, nil
}

// folderExists refuses a file in a folder that is not there, before any work is done for it.
func folderExists(flag, file string) error {
	if st, err := os.Stat(filepath.Dir(file)); err != nil || !st.IsDir() {
		return usage("create the folder first", "%s: the folder %s does not exist", flag, filepath.Dir(file))
	}
	return nil
}

// write writes the report to every target.
func (o outputFlags) write(r *report.Report, targets []target, s streams) error {
	for _, t := range targets {
		if t.file == "" {
			if err := o.render(r, t.format, s.out, isTerminal(s.out)); err != nil {
				return fmt.Errorf("writing the report: %w", err)
			}
			continue
		}
		err := writeFile(t.file, func(w io.Writer) error { return o.render(r, t.format, w, false) })
		if err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	return nil
}

func (o outputFlags) render(r *report.Report, format string, w io.Writer, terminal bool) error {
	switch format {
	case "json":
		return r.WriteJSON(w)
	case "junit":
		return r.WriteJUnit(w)
	case "html":
		return r.WriteHTML(w)
	}
	return r.WriteConsole(w, o.console(w, terminal))
}

// console says how a person is shown something.
func (o outputFlags) console(w io.Writer, terminal bool) report.ConsoleOptions {
	opt := report.ConsoleOptions{Width: 80, Verbose: o.verbose, Quiet: o.quiet}
	if terminal {
		opt.Width = width(w)
	}
	opt.Color = o.color == "always" || o.color == "auto" && terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return opt
}

// check refuses flags that mean nothing.
func (o outputFlags) check() error {
	switch o.color {
	case "auto", "always", "never":
	default:
		return usage("use auto, always or never", "--color %q", o.color)
	}
	if o.verbose && o.quiet {
		return usage("choose one", "-v and -q together")
	}
	return nil
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is the terminal's, within what reads well.
func width(w any) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return max(40, min(n, 120))
		}
	}
	return 80
}

// writeFile writes a file whole or not at all: beside its place first, then by renaming.
func writeFile(name string, fill func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err = fill(f); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
