// Package all lists the families of checks.
package all

import (
	"cmp"
	"slices"

	"ocsdoctor/checks"
	"ocsdoctor/checks/account"
	"ocsdoctor/checks/ad"
	"ocsdoctor/checks/dns"
	"ocsdoctor/checks/host"
	"ocsdoctor/checks/iis"
	"ocsdoctor/checks/net"
	"ocsdoctor/checks/patch"
	"ocsdoctor/checks/pki"
	"ocsdoctor/checks/service"
	"ocsdoctor/checks/setup"
	"ocsdoctor/checks/signin"
)

// Checks are all checks in the order of their ids.
func Checks() []*checks.Check {
	out := slices.Concat(account.Checks(), ad.Checks(), dns.Checks(), host.Checks(), iis.Checks(), net.Checks(), patch.Checks(), pki.Checks(), service.Checks(),
		setup.Checks(), signin.Checks())
	slices.SortFunc(out, func(a, b *checks.Check) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
