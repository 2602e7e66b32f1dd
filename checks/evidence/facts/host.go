package facts

import (
	"cmp"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"ocsdoctor/checks/evidence"
)

// RegistryQuestion asks for a key of a server's registry and what stands below it.
type RegistryQuestion struct {
	Host string
	// Key begins with a hive: "HKLM\SOFTWARE\...".
	Key string
	// Depth is how far down sub-keys are read: 0 for the key's own values, 1 for those of its sub-keys too, at most 4.
	Depth int
	// Values are the names of the values that are read; empty means all.
	Values []string
}

func (q RegistryQuestion) String() string {
	return fields(append([]string{q.Host, q.Key, strconv.Itoa(q.Depth)}, sorted(q.Values)...)...)
}

// RegistryKey is a key of a registry. That it is not there is a value.
type RegistryKey struct {
	Name   string          `json:"name"`
	Exists bool            `json:"exists"`
	Values []RegistryValue `json:"values,omitempty"`
	Keys   []RegistryKey   `json:"keys,omitempty"`
}

// RegistryValue is a value as the registry holds it.
type RegistryValue struct {
	// Name is empty for the key's default value.
	Name string `json:"name"`
	// Type is one of the REG_ numbers.
	Type uint32 `json:"type"`
	// Data is little endian; texts are UTF-16 with a final NUL, if their writer gave them one.
	Data []byte `json:"data,omitempty"`
}

// The types of registry values that are read ([MS-RRP] 3.1.1.5).
const (
	RegSZ       = 1
	RegExpandSZ = 2
	RegBinary   = 3
	RegDWord    = 4
	RegMultiSZ  = 7
	RegQWord    = 11
)

// Registry is a key of a server's registry, as an administrator reads it over the network or a collected folder has it.
var Registry = &evidence.Kind[RegistryQuestion, RegistryKey]{
	Name:  "win.registry",
	Doc:   "a key of a server's registry, with what stands below it",
	Needs: []evidence.AnyKind{ConfigScope, NetConnect, Addresses, DNSLookup},
}

// Find is the key at a path below this one: "Sub\Key". One that is not there does not exist.
func (k RegistryKey) Find(path string) RegistryKey {
	for part := range strings.SplitSeq(path, `\`) {
		next := RegistryKey{Name: part}
		for _, sub := range k.Keys {
			if strings.EqualFold(sub.Name, part) {
				next = sub
				break
			}
		}
		k = next
	}
	return k
}

// Value is the value of that name.
func (k RegistryKey) Value(name string) (RegistryValue, bool) {
	for _, v := range k.Values {
		if strings.EqualFold(v.Name, name) {
			return v, true
		}
	}
	return RegistryValue{}, false
}

// Text is the value of that name as text (REG_SZ, REG_EXPAND_SZ); "" when it is absent or of another type.
func (k RegistryKey) Text(name string) string {
	v, _ := k.Value(name)
	if v.Type != RegSZ && v.Type != RegExpandSZ {
		return ""
	}
	s, _, _ := strings.Cut(UTF16(v.Data), "\x00")
	return s
}

// DWord is the value of that name as a number; ok is false when it is absent or of another type.
func (k RegistryKey) DWord(name string) (n uint32, ok bool) {
	v, _ := k.Value(name)
	if v.Type != RegDWord || len(v.Data) != 4 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(v.Data), true
}

// Texts is the value of that name as a list (REG_MULTI_SZ); one text is a list of one.
func (k RegistryKey) Texts(name string) []string {
	v, _ := k.Value(name)
	if v.Type != RegMultiSZ {
		if s := k.Text(name); s != "" {
			return []string{s}
		}
		return nil
	}
	var out []string
	for s := range strings.SplitSeq(UTF16(v.Data), "\x00") {
		if s == "" {
			break
		}
		out = append(out, s)
	}
	return out
}

// Bytes is the value of that name as it is held; nil when it is absent.
func (k RegistryKey) Bytes(name string) []byte {
	v, _ := k.Value(name)
	return v.Data
}

// UTF16 is little-endian UTF-16 as text; an odd last byte is left out.
func UTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// ServiceState is the state of a service ([MS-SCMR] 2.2.47).
type ServiceState uint32

// The states of a service.
const (
	ServiceStopped         ServiceState = 1
	ServiceStartPending    ServiceState = 2
	ServiceStopPending     ServiceState = 3
	ServiceRunning         ServiceState = 4
	ServiceContinuePending ServiceState = 5
	ServicePausePending    ServiceState = 6
	ServicePaused          ServiceState = 7
)

func (s ServiceState) String() string {
	names := []string{"", "stopped", "starting", "stopping", "running", "continuing", "pausing", "paused"}
	if int(s) < len(names) && s > 0 {
		return names[s]
	}
	return "in state " + strconv.FormatUint(uint64(s), 10)
}

// Service is what the service control manager says of a service now. How it is configured stands in the registry.
type Service struct {
	Name        string       `json:"name"`
	DisplayName string       `json:"displayName,omitempty"`
	State       ServiceState `json:"state"`
	// ExitCode is a Windows error; with 1066, ERROR_SERVICE_SPECIFIC_ERROR, SpecificExitCode is the service's own.
	ExitCode         uint32 `json:"exitCode,omitempty"`
	SpecificExitCode uint32 `json:"specificExitCode,omitempty"`
	PID              uint32 `json:"pid,omitempty"`
}

// ServiceList is every service of a server.
type ServiceList struct {
	Services []Service `json:"services,omitempty"`
}

// Find is the service of that short name.
func (l ServiceList) Find(name string) (Service, bool) {
	for _, s := range l.Services {
		if strings.EqualFold(s.Name, name) {
			return s, true
		}
	}
	return Service{}, false
}

// Services are the states of a server's services.
var Services = &evidence.Kind[ServerQuestion, ServiceList]{
	Name:  "win.services",
	Doc:   "the services of a server, with their states and exit codes",
	Needs: []evidence.AnyKind{ConfigScope, NetConnect, Addresses, DNSLookup},
}

// EventsQuestion asks for the newest records of an event log of a server: "System", "Application", "Office Communications Server".
type EventsQuestion struct{ Host, Log string }

func (q EventsQuestion) String() string { return fields(q.Host, q.Log) }

// EventList is the newest records of a log, the newest first.
type EventList struct {
	Exists bool    `json:"exists"`
	Events []Event `json:"events,omitempty"`
	// Complete tells that the log's oldest record is among them.
	Complete bool `json:"complete,omitempty"`
}

// Event is one record ([MS-EVEN] 2.2.3).
type Event struct {
	Source string    `json:"source"`
	ID     uint32    `json:"id"`
	Type   uint16    `json:"type,omitempty"` // 1 error, 2 warning, 4 information
	Time   time.Time `json:"time"`
	// Strings are those that the message's text is filled with; no text is kept, since it is in the server's language.
	Strings []string `json:"strings,omitempty"`
}

// Code is the number by which an event is known: the identifier without severity and facility.
func (e Event) Code() uint32 { return e.ID & 0xFFFF }

// Events are the newest records of an event log.
var Events = &evidence.Kind[EventsQuestion, EventList]{
	Name:  "win.events",
	Doc:   "the newest records of an event log of a server, at most 2000",
	Needs: []evidence.AnyKind{ConfigScope, NetConnect, Addresses, DNSLookup},
}

// FileQuestion names a file of a server by its local path: "C:\Windows\...".
type FileQuestion struct{ Host, Path string }

func (q FileQuestion) String() string { return fields(q.Host, q.Path) }

// FileData is the beginning of a file, at most 1 MiB. That it is not there is a value.
type FileData struct {
	Exists  bool   `json:"exists"`
	Size    int64  `json:"size,omitempty"`
	Content []byte `json:"content,omitempty"`
}

// File is a file of a server.
var File = &evidence.Kind[FileQuestion, FileData]{
	Name:  "win.file",
	Doc:   "a file of a server, read over an administrative share",
	Needs: []evidence.AnyKind{ConfigScope, NetConnect, Addresses, DNSLookup},
}

// VersionData is the version that a program's file carries: "3.5.6907.0". That the file is not there is a value.
type VersionData struct {
	Exists  bool   `json:"exists"`
	Version string `json:"version,omitempty"`
}

// FileVersion is the file version of a program on a server.
var FileVersion = &evidence.Kind[FileQuestion, VersionData]{
	Name:  "win.file-version",
	Doc:   "the version of a program's file on a server",
	Needs: []evidence.AnyKind{ConfigScope, NetConnect, Addresses, DNSLookup},
}

// SIPListenerList is what OCS says of the addresses on which it listens. Where it is not installed there is no such class.
type SIPListenerList struct {
	Exists    bool          `json:"exists"`
	Listeners []SIPListener `json:"listeners,omitempty"`
}

// SIPListener is one instance of MSFT_SIPListeningAddressData.
type SIPListener struct {
	Enabled   bool   `json:"enabled,omitempty"`
	IPAddress string `json:"ipAddress,omitempty"`
	Port      int    `json:"port,omitempty"`
	// Transport is the number of the transport as the class has it.
	Transport int `json:"transport,omitempty"`
	// TLSCertIssuer is the DER of the issuer's name of its certificate, and TLSCertSN the serial number; empty where it has none.
	TLSCertIssuer []byte `json:"tlsCertIssuer,omitempty"`
	TLSCertSN     []byte `json:"tlsCertSN,omitempty"`
}

// SIPListeners are the addresses on which OCS listens, with the certificate that it is told to use there. Only a collected folder has them.
var SIPListeners = &evidence.Kind[ServerQuestion, SIPListenerList]{
	Name:  "win.sip-listeners",
	Doc:   "the addresses on which OCS listens by its own word, with their certificates",
	Needs: []evidence.AnyKind{ConfigScope},
}

// Windows is what a server runs.
type Windows struct {
	// Version is "5.2", "6.0" or "6.1", Build 3790, 6001, 6002, 7600 or 7601.
	Version     string `json:"version"`
	Build       int    `json:"build"`
	ServicePack int    `json:"servicePack,omitempty"`
	// Product is its name as Windows says it.
	Product string `json:"product,omitempty"`
	X64     bool   `json:"x64,omitempty"`
	// DomainController tells that the machine is one.
	DomainController bool `json:"domainController,omitempty"`
	// SystemDrive is "C:", SystemRoot "C:\Windows".
	SystemRoot string `json:"systemRoot"`
	// Computer is the machine's own FQDN, lower case.
	Computer string `json:"computer"`
	// Cite is the fact that the version was read from.
	Cite evidence.Key `json:"cite"`
}

// The versions of Windows on which OCS 2007 R2 runs.
const (
	Windows2003   = "5.2"
	Windows2008   = "6.0"
	Windows2008R2 = "6.1"
)

// Generation is the name by which people know it: "Windows Server 2008 R2".
func (w Windows) Generation() string {
	switch w.Version {
	case Windows2003:
		return "Windows Server 2003"
	case Windows2008:
		return "Windows Server 2008"
	case Windows2008R2:
		return "Windows Server 2008 R2"
	}
	return w.Product
}

// Name is the version as people say it, with its service pack: "Windows Server 2008 R2 Standard, Service Pack 1".
func (w Windows) Name() string {
	name := w.Product
	if name == "" {
		name = w.Generation()
	}
	if name == "" {
		name = "Windows " + w.Version
	}
	if w.ServicePack > 0 {
		name += ", Service Pack " + strconv.Itoa(w.ServicePack)
	}
	return name
}

// SystemDrive is the drive that Windows stands on: "C:".
func (w Windows) SystemDrive() string {
	drive, _, _ := strings.Cut(w.SystemRoot, `\`)
	return drive
}

const currentControlSet = `HKLM\SYSTEM\CurrentControlSet`

// HostWindows is the version of Windows that a server runs, and what the machine is in its domain.
var HostWindows = &evidence.Kind[ServerQuestion, Windows]{
	Name:   "host.windows",
	Doc:    "the version of Windows that a server runs, its architecture and its place in the domain",
	Needs:  []evidence.AnyKind{Registry},
	Derive: deriveWindows,
}

func deriveWindows(r *evidence.Reader, q ServerQuestion) (Windows, error) {
	questions := []RegistryQuestion{
		{q.FQDN, `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, 0, []string{"CSDVersion", "CurrentBuildNumber", "CurrentVersion", "ProductName", "SystemRoot"}},
		{q.FQDN, currentControlSet + `\Control\Session Manager\Environment`, 0, []string{"PROCESSOR_ARCHITECTURE"}},
		{q.FQDN, currentControlSet + `\Control\ProductOptions`, 0, []string{"ProductType"}},
		{q.FQDN, currentControlSet + `\Services\Tcpip\Parameters`, 0, []string{"Domain", "Hostname", "NV Hostname"}},
	}
	keys, errs := evidence.GetAll(r, Registry, questions)
	for _, err := range errs {
		if err != nil {
			return Windows{}, err
		}
	}
	version := keys[0]
	w := Windows{
		Version: version.Text("CurrentVersion"), Product: version.Text("ProductName"), SystemRoot: version.Text("SystemRoot"),
		X64:              strings.EqualFold(keys[1].Text("PROCESSOR_ARCHITECTURE"), "AMD64"),
		DomainController: strings.EqualFold(keys[2].Text("ProductType"), "LanmanNT"),
		Cite:             Registry.Key(questions[0]),
	}
	w.Build, _ = strconv.Atoi(version.Text("CurrentBuildNumber"))
	if pack, ok := strings.CutPrefix(version.Text("CSDVersion"), "Service Pack "); ok {
		number, _, _ := strings.Cut(pack, ",")
		w.ServicePack, _ = strconv.Atoi(number)
	}
	if w.Version == "" || w.Build == 0 || w.SystemRoot == "" {
		return Windows{}, evidence.FailAt(evidence.Protocol, "the registry of "+q.FQDN+" does not say which Windows it is", w.Cite)
	}
	name := keys[3].Text("NV Hostname")
	if name == "" {
		name = keys[3].Text("Hostname")
	}
	if name != "" {
		w.Computer = Host(name + "." + keys[3].Text("Domain"))
	}
	return w, nil
}

// Product is OCS as it stands on a server.
type Product struct {
	Installed bool `json:"installed,omitempty"`
	// Version is that of the core components: "3.5" for 2007 R2, "3.0" for 2007; more digits may follow.
	Version string `json:"version,omitempty"`
	// InstallDir ends in a backslash.
	InstallDir string `json:"installDir,omitempty"`
	// Activated tells that a service is not disabled, as all are between setup and activation. One alone may have been disabled since.
	Activated bool         `json:"activated,omitempty"`
	Cite      evidence.Key `json:"cite"`
}

// coreProduct is the key of the core components (ocscore.msi).
const coreProduct = `{A766C25B-A1D1-4711-A726-AC3E7CA4AAB3}`

// activatedServices are of those that activation enables, whatever the role.
var activatedServices = []string{FrontEndService, "RTCIMMCU", AppHostService}

// HostOCS is what a server's registry says of OCS on it.
var HostOCS = &evidence.Kind[ServerQuestion, Product]{
	Name:   "host.ocs",
	Doc:    "whether OCS is installed and activated on a server, where, and in which version",
	Needs:  []evidence.AnyKind{Registry},
	Derive: deriveOCS,
}

func deriveOCS(r *evidence.Reader, q ServerQuestion) (Product, error) {
	questions := []RegistryQuestion{
		{q.FQDN, `HKLM\SOFTWARE\Microsoft\Real-Time Communications`, 1, nil},
	}
	for _, service := range activatedServices {
		questions = append(questions, ServiceConfigQuestion(q.FQDN, service))
	}
	keys, errs := evidence.GetAll(r, Registry, questions)
	if err := cmp.Or(errs...); err != nil {
		return Product{}, err
	}
	core := keys[0].Find(coreProduct)
	p := Product{Version: core.Text("Version"), InstallDir: core.Text("InstallDir"), Cite: Registry.Key(questions[0])}
	if p.InstallDir != "" && !strings.HasSuffix(p.InstallDir, `\`) {
		p.InstallDir += `\`
	}
	p.Installed = core.Exists || keys[1].Exists
	for _, key := range keys[1:] {
		start, known := key.DWord("Start")
		p.Activated = p.Activated || known && start != StartDisabled
	}
	return p, nil
}

// ServiceConfigQuestion asks for how a service is configured: Start, ObjectName, ImagePath, DependOnService.
func ServiceConfigQuestion(host, service string) RegistryQuestion {
	return RegistryQuestion{Host: host, Key: currentControlSet + `\Services\` + service, Values: []string{"DependOnService", "ImagePath", "ObjectName", "Start"}}
}
