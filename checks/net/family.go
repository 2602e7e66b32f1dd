// Package net checks that the ports of OCS can be reached. It judges how connects ended and makes none itself.
package net

import (
	"embed"

	"ocsdoctor/checks"
)

//go:embed *.md
var docs embed.FS

var family = checks.NewFamily("net", docs)

func register(c *checks.Check) *checks.Check { return family.Add(c) }

// Checks are the family's checks.
func Checks() []*checks.Check { return family.Checks() }
