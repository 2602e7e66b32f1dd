package iis

import (
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var kernelMode = &checks.Message{
	Tag:      "kernel-mode",
	Severity: checks.Warning,
	Text:     "Windows authentication of {paths} in the site {site} of {server} is done in the kernel, with the key of the machine instead of the application pool's account",
}

var _ = register(&checks.Check{
	ID:       "iis/kernel-mode-authentication",
	Title:    "the directories of OCS authenticate as their application pool, not in the kernel",
	Scope:    checks.ScopeServer,
	Phases:   checks.PostInstall,
	After:    checks.Activation,
	Needs:    []evidence.AnyKind{facts.HostWebServer},
	Messages: []*checks.Message{kernelMode},
	Run: func(p *checks.Pass) error {
		w, err := webServer(p)
		if err != nil {
			return err
		}
		site, err := ocsSite(p, w)
		if err != nil {
			return err
		}
		if w.Generation == 6 {
			return checks.NotApplicable("IIS 6 does not authenticate in the kernel")
		}
		var paths, identities []string
		for _, path := range facts.OCSPaths {
			d, ok := site.Directory(path)
			if !ok || !d.Windows || !d.KernelMode || d.PoolCredentials {
				continue
			}
			paths = append(paths, d.Path)
			if pool, ok := w.Pool(d.Pool); ok && pool.Identity != "" {
				identities = append(identities, pool.Name+" runs as "+pool.Identity)
			}
		}
		if len(paths) > 0 {
			p.Report(kernelMode, []evidence.Key{w.Config}, siteArgs(p, w, site, checks.A("paths", strings.Join(paths, ", ")), checks.A("first", paths[0]),
				checks.A("identities", strings.Join(identities, ", ")))...)
		}
		return nil
	},
})
