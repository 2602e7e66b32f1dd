package facts

import (
	"slices"
	"strings"

	"ocsdoctor/checks/evidence"
)

// The short names of services that checks ask for. On an Edge server RtcSrv is the Access Edge.
const (
	FrontEndService = "RtcSrv"
	AppHostService  = "RTCAPPSRV"
	MonitorService  = "RtcQmsAgent"
	MediationServer = "RTCMEDSRV"
	SQLService      = "MSSQL$RTC" // the instance of a Standard Edition server
)

// The services of OCS by role. Which of them a server has is a matter of its role and of what was installed: that one is not there is no fault.
var (
	ConferencingServices = []string{"RTCIMMCU", "RTCACPMCU", "RTCDATAMCU", "RTCAVMCU", "RTCASMCU"}
	ApplicationServices  = []string{AppHostService, "RTCCAA", "RTCCAS", "RTCACD", "RTCCCS", MonitorService}
	EdgeServices         = []string{"RTCDATAPROXY", "RTCMEDIARELAY", "RTCMRAUTH"}
)

// labels are what the services are called in English; on a server they have names in its own language.
var labels = map[string]string{
	"RtcSrv": "Front-End", "RTCIMMCU": "IM Conferencing", "RTCACPMCU": "Telephony Conferencing", "RTCDATAMCU": "Web Conferencing",
	"RTCAVMCU": "Audio/Video Conferencing", "RTCASMCU": "Application Sharing", "RTCAPPSRV": "Application Host", "RTCCAA": "Conferencing Attendant",
	"RTCCAS": "Conferencing Announcement", "RTCACD": "Response Group", "RTCCCS": "Outside Voice Control", "RtcQmsAgent": "Monitoring Agent",
	"RTCDATAPROXY": "Web Conferencing Edge", "RTCMEDIARELAY": "Audio/Video Edge", "RTCMRAUTH": "Audio/Video Authentication",
	"RTCMEDSRV": "Mediation", "MSSQL$RTC": "SQL Server (RTC)",
}

// The start types of a service ([MS-SCMR] 2.2.15).
const (
	StartAutomatic = 2
	StartManual    = 3
	StartDisabled  = 4
)

// OCSService is a service of OCS as it stands on a server.
type OCSService struct {
	Service
	// Label is its English name, Access Edge for RtcSrv on an Edge server.
	Label string `json:"label"`
	// Start is its start type, Account the name that it logs on as ("TODOROVIC\RTCService").
	Start   uint32 `json:"start"`
	Account string `json:"account,omitempty"`
	// DependsOn are short names of services; a group begins with "+".
	DependsOn []string `json:"dependsOn,omitempty"`
	// Program is the command line of its process.
	Program string `json:"program,omitempty"`
	// Cite is how it is configured.
	Cite evidence.Key `json:"cite"`
}

// Running and Disabled say what they say.
func (s OCSService) Running() bool { return s.State == ServiceRunning }

// Disabled tells that nobody can start it. So setup leaves a service that was not activated.
func (s OCSService) Disabled() bool { return s.Start == StartDisabled }

// OCSServiceList is the services of OCS on a server, and its SQL Server instance.
type OCSServiceList struct {
	Services []OCSService `json:"services,omitempty"`
	// Others are all other services, for those that they depend on.
	Others []Service    `json:"others,omitempty"`
	Cite   evidence.Key `json:"cite"`
}

// Find is the service of that short name.
func (l OCSServiceList) Find(name string) (OCSService, bool) {
	i := slices.IndexFunc(l.Services, func(s OCSService) bool { return strings.EqualFold(s.Name, name) })
	if i < 0 {
		return OCSService{}, false
	}
	return l.Services[i], true
}

// Of are those of the names that the server has, in their order.
func (l OCSServiceList) Of(names []string) []OCSService {
	var out []OCSService
	for _, n := range names {
		if s, ok := l.Find(n); ok {
			out = append(out, s)
		}
	}
	return out
}

// Edge tells whether the server is an Edge server: it has one of the services that no other role has.
func (l OCSServiceList) Edge() bool { return len(l.Of(EdgeServices)) > 0 }

// OCSServices are the services of OCS on a server, with how they are configured.
var OCSServices = &evidence.Kind[ServerQuestion, OCSServiceList]{
	Name:   "host.ocs-services",
	Doc:    "the services of OCS on a server: state, exit codes, start type, account, dependencies",
	Needs:  []evidence.AnyKind{Services, Registry},
	Derive: deriveOCSServices,
}

func deriveOCSServices(r *evidence.Reader, q ServerQuestion) (OCSServiceList, error) {
	all, err := Services.Get(r, q)
	if err != nil {
		return OCSServiceList{}, err
	}
	l := OCSServiceList{Cite: Services.Key(q)}
	var found []Service
	var questions []RegistryQuestion
	for _, s := range all.Services {
		if labelOf(s.Name) == "" {
			l.Others = append(l.Others, s)
			continue
		}
		found = append(found, s)
		questions = append(questions, ServiceConfigQuestion(q.FQDN, s.Name))
	}
	keys, errs := evidence.GetAll(r, Registry, questions)
	for i, s := range found {
		if errs[i] != nil {
			return OCSServiceList{}, errs[i]
		}
		start, known := keys[i].DWord("Start")
		if !known {
			continue // deleted, and gone at the next restart
		}
		l.Services = append(l.Services, OCSService{
			Service: s, Label: labelOf(s.Name), Start: start, Account: keys[i].Text("ObjectName"), DependsOn: keys[i].Texts("DependOnService"),
			Program: keys[i].Text("ImagePath"), Cite: Registry.Key(questions[i]),
		})
	}
	slices.SortFunc(l.Services, func(a, b OCSService) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	if l.Edge() {
		for i := range l.Services {
			if strings.EqualFold(l.Services[i].Name, FrontEndService) {
				l.Services[i].Label = "Access Edge"
			}
		}
	}
	return l, nil
}

func labelOf(name string) string {
	for short, label := range labels {
		if strings.EqualFold(short, name) {
			return label
		}
	}
	return ""
}
