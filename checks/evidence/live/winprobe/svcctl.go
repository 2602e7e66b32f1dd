package winprobe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// svcctl is [MS-SCMR]: 367abb81-9844-35f1-ad32-98f038001003, version 2.0.
var svcctl = service{
	pipe:   "svcctl",
	syntax: syntax{[16]byte{0x81, 0xbb, 0x7a, 0x36, 0x44, 0x98, 0xf1, 0x35, 0xad, 0x32, 0x98, 0xf0, 0x38, 0x00, 0x10, 0x03}, 2},
	name:   "its service control manager",
	hint:   "its service control manager is not reached over the network",
}

// The operations, and the rights to the manager that are asked for, to connect and to enumerate ([MS-SCMR] 3.1.4).
const (
	opCloseServiceHandle     = 0
	opEnumServicesStatusW    = 14
	opOpenSCManagerW         = 15
	opEnumServicesStatusExW  = 42
	managerConnectEnumerate  = 0x0001 | 0x0004
	serviceWin32             = 0x30 // services that are programs, not drivers (2.2.47)
	serviceStateAll          = 3
	servicesPage             = 64 << 10 // bytes of one answer, all of which are sent
	maxServices              = 10_000
	maxServicesPages         = 100
	maxServiceName           = 2 * 257 // bytes, with the NUL (3.1.4.11)
	serviceStatusSize        = 7 * 4   // SERVICE_STATUS (2.2.47)
	serviceStatusProcessSize = 9 * 4   // SERVICE_STATUS_PROCESS (2.2.49)
)

// Services is win.services.
func (c *Client) Services(ctx context.Context, tr *env.Trace, r *evidence.Reader, q facts.ServerQuestion) (facts.ServiceList, error) {
	s, err := c.server(ctx, tr, r, q.FQDN)
	if err != nil {
		return facts.ServiceList{}, err
	}
	list, err := s.services(ctx, tr)
	if err != nil {
		return facts.ServiceList{}, err
	}
	tr.Log(fmt.Sprintf("services: %d", len(list)))
	return facts.ServiceList{Services: list}, nil
}

func (s *server) services(ctx context.Context, tr *env.Trace) (list []facts.Service, err error) {
	err = s.with(ctx, tr, svcctl, func(p *pipe) error {
		var args writer
		args.null() // this machine
		args.null() // its active database
		args.u32(managerConnectEnumerate)
		answer, err := p.ask(opOpenSCManagerW, args.b)
		if err != nil {
			return err
		}
		manager, code := answer.handle(), answer.u32()
		if err := p.serviceError(answer, code); err != nil {
			return err
		}
		list, err = p.services(manager, true)
		var f *fault
		if errors.As(err, &f) && f.status == faultNoSuchCall { // Samba, as Windows before 2000, knows the older operation only
			tr.Log("the operation that tells process ids is not there")
			list, err = p.services(manager, false)
		}
		if err != nil {
			return p.final(err)
		}
		args = writer{}
		args.handle(manager)
		_, err = p.ask(opCloseServiceHandle, args.b)
		return err
	})
	return list, err
}

// serviceError is the failure of an answer that cannot be read, or that is a Windows error.
func (p *pipe) serviceError(r *reader, code uint32) error {
	switch {
	case r.bad:
		return p.malformed(svcctl)
	case code == errorAccessDenied:
		return evidence.Fail(evidence.Denied, "the services of "+p.server.endpoint.Host+" may not be listed: the account has no right to it")
	case code != errorSuccess:
		return evidence.Fail(evidence.Protocol, fmt.Sprintf("the services of %s cannot be listed: error %d", p.server.endpoint.Host, code))
	}
	return nil
}

// services lists all services, page by page: REnumServicesStatusExW ([MS-SCMR] 3.1.4.28) or REnumServicesStatusW (3.1.4.11), whose
// error is a *fault where the server does not know the operation.
func (p *pipe) services(manager handle, ex bool) ([]facts.Service, error) {
	var out []facts.Service
	resume := uint32(0)
	for range maxServicesPages {
		var args writer
		args.handle(manager)
		op := uint16(opEnumServicesStatusW)
		if ex {
			op = opEnumServicesStatusExW
			args.u32(0) // SC_ENUM_PROCESS_INFO
		}
		args.u32(serviceWin32)
		args.u32(serviceStateAll)
		args.u32(servicesPage)
		args.number(resume)
		if ex {
			args.null() // of any group
		}
		r, err := p.try(op, args.b)
		if err != nil {
			return nil, err
		}
		page, next, code, err := servicesAnswer(r, ex)
		if err != nil {
			return nil, p.malformed(svcctl)
		}
		out = append(out, page...)
		switch {
		case code != errorMoreData:
			return out, p.serviceError(r, code)
		case len(page) == 0 || len(out) > maxServices:
			return nil, evidence.Fail(evidence.Protocol, p.server.endpoint.Host+" lists its services without end")
		}
		resume = next
	}
	return nil, evidence.Fail(evidence.Protocol, p.server.endpoint.Host+" lists its services in more pages than are read")
}

// servicesAnswer reads a page: an array of ENUM_SERVICE_STATUS_PROCESSW ([MS-SCMR] 2.2.12) or ENUM_SERVICE_STATUSW (2.2.11), whose names
// are offsets into the same buffer.
func servicesAnswer(r *reader, ex bool) (page []facts.Service, resume, code uint32, err error) {
	b := r.conformant()
	r.u32() // bytes that the rest takes
	n := r.u32()
	resume = r.number()
	code = r.u32()
	size := 8 + serviceStatusSize
	if ex {
		size = 8 + serviceStatusProcessSize
	}
	if r.bad || uint64(n)*uint64(size) > uint64(len(b)) {
		return nil, 0, 0, errShort
	}
	for i := range int(n) {
		e := b[i*size : (i+1)*size]
		field := func(at int) uint32 { return binary.LittleEndian.Uint32(e[at:]) }
		s := facts.Service{State: facts.ServiceState(field(12)), ExitCode: field(20), SpecificExitCode: field(24)}
		if ex {
			s.PID = field(36)
		}
		var named, shown bool
		s.Name, _, named = zeroTerminated(within(b, field(0)), int(field(0)))
		s.DisplayName, _, shown = zeroTerminated(within(b, field(4)), int(field(4)))
		if !named || !shown {
			return nil, 0, 0, errShort
		}
		page = append(page, s)
	}
	return page, resume, code, nil
}

// within cuts a buffer where a name that begins at an offset ends at the latest.
func within(b []byte, offset uint32) []byte {
	return b[:min(uint64(len(b)), uint64(offset)+maxServiceName)]
}
