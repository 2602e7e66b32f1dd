// Package ad checks Active Directory: that its domain controllers answer and that it is ready for OCS 2007 R2.
package ad

import (
	"embed"

	"ocsdoctor/checks"
)

//go:embed *.md
var docs embed.FS

var family = checks.NewFamily("ad", docs)

func register(c *checks.Check) *checks.Check { return family.Add(c) }

// Checks are the family's checks.
func Checks() []*checks.Check { return family.Checks() }
