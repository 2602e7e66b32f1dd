package iis

import (
	"strconv"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// webServer is IIS on the server, which has to be there for anything to be judged.
func webServer(p *checks.Pass) (facts.WebServer, error) {
	w, err := facts.HostWebServer.Get(p.Facts, facts.ServerQuestion{FQDN: p.Subject.Name})
	if err == nil && !w.Installed {
		err = checks.NotApplicable("IIS is not installed on " + p.Subject.Name)
	}
	return w, err
}

// ocsSite is the site that carries the directories of OCS.
func ocsSite(p *checks.Pass, w facts.WebServer) (facts.WebSite, error) {
	site, ok := w.OCS()
	if !ok {
		return site, checks.NotApplicable("no site of IIS on " + p.Subject.Name + " carries the directories of OCS")
	}
	return site, nil
}

// addresses are those at which clients look for the server.
func addresses(p *checks.Pass) ([]string, error) {
	a, err := facts.Addresses.Get(p.Facts, facts.HostQuestion{Host: p.Subject.Name, View: facts.Inside})
	return a.Addresses, err
}

// httpsBindings are the bindings of a site for TLS on port 443.
func httpsBindings(site facts.WebSite) []facts.WebBinding {
	var out []facts.WebBinding
	for _, b := range site.Bindings {
		if b.Protocol == "https" && b.Port == webPort {
			out = append(out, b)
		}
	}
	return out
}

// written is a binding as IIS writes it.
func written(b facts.WebBinding) string {
	address := b.Address
	if address == "" {
		address = "*"
	}
	return address + ":" + strconv.Itoa(b.Port) + ":" + b.Host
}

// siteArgs describe a site, and by "iis6" the generation, for which other commands hold.
func siteArgs(p *checks.Pass, w facts.WebServer, site facts.WebSite, more ...checks.Arg) []checks.Arg {
	iis6 := ""
	if w.Generation == 6 {
		iis6 = "yes"
	}
	return append(more, checks.A("server", p.Subject.Name), checks.A("site", site.Name), checks.A("id", site.ID), checks.A("iis6", iis6))
}

// webNeeds are what these functions read.
var webNeeds = []evidence.AnyKind{facts.HostWebServer, facts.Addresses}
