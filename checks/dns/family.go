// Package dns checks the DNS records by which Communicator 2007 R2 finds its server.
package dns

import (
	"embed"

	"ocsdoctor/checks"
)

//go:embed *.md
var docs embed.FS

var family = checks.NewFamily("dns", docs)

func register(c *checks.Check) *checks.Check { return family.Add(c) }

// Checks are the family's checks.
func Checks() []*checks.Check { return family.Checks() }
