// Package signin checks how an OCS server answers a client that signs in, before any password is sent.
package signin

import (
	"embed"

	"ocsdoctor/checks"
)

//go:embed *.md
var docs embed.FS

var family = checks.NewFamily("signin", docs)

func register(c *checks.Check) *checks.Check { return family.Add(c) }

// Checks are the family's checks.
func Checks() []*checks.Check { return family.Checks() }
