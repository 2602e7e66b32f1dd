// Package iis checks the web server of OCS, which serves the address book and the other web components.
package iis

import (
	"embed"

	"ocsdoctor/checks"
)

//go:embed *.md
var docs embed.FS

var family = checks.NewFamily("iis", docs)

func register(c *checks.Check) *checks.Check { return family.Add(c) }

// Checks are the family's checks.
func Checks() []*checks.Check { return family.Checks() }
