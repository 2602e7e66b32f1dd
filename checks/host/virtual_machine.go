package host

import (
	"slices"
	"strings"

	"ocsdoctor/checks"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

var (
	virtualStandard = &checks.Message{
		Tag:      "standard-edition",
		Severity: checks.Warning,
		Text:     "{server} is a virtual machine ({machine}), on which Standard Edition is not supported",
	}
	virtualServices = &checks.Message{
		Tag:      "unsupported-services",
		Severity: checks.Warning,
		Text:     "{server} is a virtual machine ({machine}) and runs {services}, which are not supported on one",
	}
	virtualSupported = &checks.Message{
		Tag:      "supported-role",
		Severity: checks.Notice,
		Text:     "{server} is a virtual machine ({machine}); for {role} that is supported",
	}
	virtualBeforeSetup = &checks.Message{
		Tag:      "before-setup",
		Severity: checks.Warning,
		Text:     "{server}, on which OCS is about to be set up, is a virtual machine ({machine})",
	}
)

var _ = register(&checks.Check{
	ID:       "host/virtual-machine",
	Title:    "the OCS server is a physical machine, unless its role is supported on a virtual one",
	Scope:    checks.ScopeServer,
	Phases:   checks.BothPhases,
	Needs:    []evidence.AnyKind{facts.Registry, facts.OCSServices, facts.ServerPhase, facts.Pools},
	Messages: []*checks.Message{virtualStandard, virtualServices, virtualSupported, virtualBeforeSetup},
	Run: func(p *checks.Pass) error {
		q := facts.RegistryQuestion{Host: p.Subject.Name, Key: `HKLM\HARDWARE\DESCRIPTION\System`, Depth: 1,
			Values: []string{"SystemBiosVersion", "SystemManufacturer", "SystemProductName", "VideoBiosVersion"}}
		var system facts.RegistryKey
		var services facts.OCSServiceList
		var systemErr, servicesErr error
		evidence.Parallel(
			func() { system, systemErr = facts.Registry.Get(p.Facts, q) },
			func() { services, servicesErr = facts.OCSServices.Get(p.Facts, server(p)) },
		)
		for _, err := range []error{systemErr, servicesErr} {
			if err != nil {
				return err
			}
		}
		cites := []evidence.Key{facts.Registry.Key(q)}
		machine := virtualMachine(system)
		if machine == "" {
			if machine = guestService(services); machine != "" {
				cites = []evidence.Key{services.Cite}
			}
		}
		if machine == "" {
			return nil
		}
		return judgeVirtual(p, machine, services, cites)
	},
})

// hypervisors are words in what the firmware of a virtual machine says of itself.
var hypervisors = []string{"vmware", "virtualbox", "vbox", "kvm", "qemu", "bochs", "xen", "hvm domu", "parallels", "rhev", "openstack", "virtual platform"}

// virtualMachine is what the firmware says the machine is, when that is a virtual one. On Windows Server 2003 only versions are there.
func virtualMachine(system facts.RegistryKey) string {
	bios := system.Find("BIOS")
	maker, product := bios.Text("SystemManufacturer"), bios.Text("SystemProductName")
	text := strings.ToLower(strings.Join(slices.Concat([]string{maker, product}, system.Texts("SystemBiosVersion"), system.Texts("VideoBiosVersion")), " "))
	isHyperV := strings.Contains(strings.ToLower(maker), "microsoft") && strings.Contains(strings.ToLower(product), "virtual")
	if !isHyperV && !slices.ContainsFunc(hypervisors, func(h string) bool { return strings.Contains(text, h) }) {
		return ""
	}
	if product == "" {
		return "its firmware says so"
	}
	return strings.TrimSpace(maker + " " + product)
}

// guests are the services that the makers of hypervisors install in a virtual machine.
var guests = map[string]string{
	"vmicheartbeat": "Microsoft Hyper-V", "VMTools": "VMware", "VBoxService": "VirtualBox", "xensvc": "Xen", "1-vmsrvc": "Microsoft Virtual Server",
}

// guestService is the hypervisor whose service runs on the server; "" for none. It may be installed on a physical machine that once was a virtual one, where it
// does not run.
func guestService(l facts.OCSServiceList) string {
	for _, s := range l.Others {
		for name, maker := range guests {
			if strings.EqualFold(s.Name, name) && s.State == facts.ServiceRunning {
				return maker
			}
		}
	}
	return ""
}

// judgeVirtual judges a virtual machine by its role. Since 13 May 2009 an Enterprise front end for presence and instant messages, and the Access Edge, are
// supported on one, Standard Edition and everything with voice, video or meetings are not.
func judgeVirtual(p *checks.Pass, machine string, l facts.OCSServiceList, cites []evidence.Key) error {
	args := []checks.Arg{checks.A("server", p.Subject.Name), checks.A("machine", machine)}
	before, err := facts.BeforeSetup(p.Facts, server(p))
	if err != nil {
		return err
	}
	if before {
		p.Report(virtualBeforeSetup, cites, args...)
		return nil
	}
	front, ok := l.Find(facts.FrontEndService)
	standard, err := isStandard(p, l)
	if err != nil {
		return err
	}
	if standard {
		p.Report(virtualStandard, cites, args...)
		return nil
	}
	var media []string
	for _, s := range l.Of(slices.Concat(facts.ConferencingServices, facts.ApplicationServices, facts.EdgeServices, []string{facts.MediationServer})) {
		if !s.Disabled() && s.Name != "RTCIMMCU" && !strings.EqualFold(s.Name, facts.MonitorService) {
			media = append(media, s.Label)
		}
	}
	if len(media) > 0 {
		p.Report(virtualServices, append(cites, l.Cite), append(args, checks.A("services", strings.Join(media, ", ")))...)
		return nil
	}
	role := "a server without Front-End"
	if ok && !front.Disabled() {
		role = "a front end of an Enterprise pool for presence and instant messages"
	}
	p.Report(virtualSupported, cites, append(args, checks.A("role", role))...)
	return nil
}

// isStandard tells whether the server is a Standard Edition one: by its pool, or, where AD does not tell, by the SQL Server instance beside it.
func isStandard(p *checks.Pass, l facts.OCSServiceList) (bool, error) {
	_, instance := l.Find(facts.SQLService)
	pools, err := facts.Pools.Get(p.Facts, evidence.None{})
	if err != nil {
		if !evidence.Excusable(err) {
			return false, err
		}
		p.Excuse(err, "the SQL Server instance RTC tells a Standard Edition server")
		return instance, nil
	}
	if pool, ok := pools.Of(p.Subject.Name); ok {
		return pool.Type&facts.EnterpriseEdition == 0, nil
	}
	return instance, nil
}
