// Package setup checks whether a server is ready for the setup of OCS 2007 R2: its Windows, and the features and programs that setup builds on.
package setup

import (
	"embed"

	"ocsdoctor/checks"
)

//go:embed *.md
var docs embed.FS

var family = checks.NewFamily("setup", docs)

func register(c *checks.Check) *checks.Check { return family.Add(c) }

// Checks are the family's checks.
func Checks() []*checks.Check { return family.Checks() }
