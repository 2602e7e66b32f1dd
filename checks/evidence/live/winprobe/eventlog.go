package winprobe

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// eventlog is [MS-EVEN]: 82273fdc-e32a-18c3-3f78-827929dc23ea, version 0.0.
var eventlog = service{
	pipe:   "eventlog",
	syntax: syntax{[16]byte{0xdc, 0x3f, 0x27, 0x82, 0x2a, 0xe3, 0xc3, 0x18, 0x3f, 0x78, 0x82, 0x79, 0x29, 0xdc, 0x23, 0xea}, 0},
	name:   "its event logs",
	hint:   "its service Windows Event Log is not running",
}

// The operations ([MS-EVEN] 3.1.4) and how records are read: one after the other, the newest first (3.1.4.7).
const (
	opCloseLog       = 2
	opOpenLog        = 7
	opReadLog        = 10
	readNewestFirst  = 0x1 | 0x8
	eventsPage       = 64 << 10  // bytes of one answer, all of which are sent
	maxEventRecord   = 256 << 10 // bytes of one record; Windows itself takes 64 KB
	maxEvents        = 2000
	maxEventStrings  = 256
	eventHeaderSize  = 56
	eventLogVersion  = 1
	eventRecordMagic = 0x654c664c // "LfLe"
)

// eventLogs is the key of the registry whose sub-keys are the logs of a server.
const eventLogs = `SYSTEM\CurrentControlSet\Services\EventLog\`

// Events is win.events. The event log service opens Application for a name that it does not know ([MS-EVEN] 3.1.4.3), so that the
// registry is asked first whether there is such a log; System and Application are on every Windows.
func (c *Client) Events(ctx context.Context, tr *env.Trace, r *evidence.Reader, q facts.EventsQuestion) (facts.EventList, error) {
	s, err := c.server(ctx, tr, r, q.Host)
	if err != nil {
		return facts.EventList{}, err
	}
	if !strings.EqualFold(q.Log, "System") && !strings.EqualFold(q.Log, "Application") {
		w := &walk{server: s, key: `HKLM\` + eventLogs + q.Log, values: []string{"File"}}
		k, err := w.read(ctx, tr, opOpenLocalMachine, eventLogs+q.Log, 0)
		if err != nil || !k.Exists {
			return facts.EventList{}, err
		}
	}
	out, err := s.events(ctx, tr, q.Log)
	if err != nil {
		return facts.EventList{}, err
	}
	tr.Log(fmt.Sprintf("%s: %d records", q.Log, len(out.Events)))
	return out, nil
}

func (s *server) events(ctx context.Context, tr *env.Trace, name string) (out facts.EventList, err error) {
	err = s.with(ctx, tr, eventlog, func(p *pipe) error {
		var args writer
		args.null() // this machine
		args.text(name)
		args.text("") // which module reads: none
		args.u32(eventLogVersion)
		args.u32(eventLogVersion)
		answer, err := p.ask(opOpenLog, args.b)
		if err != nil {
			return err
		}
		log, status := answer.handle(), answer.u32()
		switch {
		case answer.bad:
			return p.malformed(eventlog)
		case status == statusObjectNameNotFound:
			return nil
		case status != 0:
			return refusedWith("the event log "+name+" of "+s.endpoint.Host, status)
		}
		out.Exists = true
		if out.Events, out.Complete, err = p.records(log, name); err != nil {
			return err
		}
		args = writer{}
		args.handle(log)
		_, err = p.ask(opCloseLog, args.b)
		return err
	})
	return out, err
}

// records reads the newest records: ElfrReadELW ([MS-EVEN] 3.1.4.7). complete tells that the oldest one is among them.
func (p *pipe) records(log handle, name string) (out []facts.Event, complete bool, err error) {
	what := "the event log " + name + " of " + p.server.endpoint.Host
	for room := uint32(eventsPage); len(out) < maxEvents; {
		var args writer
		args.handle(log)
		args.u32(readNewestFirst)
		args.u32(0) // which record: not looked at
		args.u32(room)
		r, err := p.ask(opReadLog, args.b)
		if err != nil {
			return nil, false, err
		}
		b := r.conformant()
		n, needed, status := r.u32(), r.u32(), r.u32()
		switch {
		case r.bad || uint64(n) > uint64(len(b)):
			return nil, false, p.malformed(eventlog)
		case status == statusEndOfFile:
			return out, true, nil
		case status == statusBufferTooSmall && needed > room && needed <= maxEventRecord:
			room = min(max(needed, 2*room), maxEventRecord) // so that a server whose need grows is asked a few times only
			continue
		case status != 0:
			return nil, false, refusedWith(what, status)
		case n == 0: // as Samba says that there are no more
			return out, true, nil
		}
		page, ok := eventRecords(b[:n])
		if !ok {
			return nil, false, p.malformed(eventlog)
		}
		out = append(out, page...)
		room = eventsPage
	}
	return out[:maxEvents], false, nil
}

// eventRecords reads EVENTLOGRECORDs, one behind the other ([MS-EVEN] 2.2.3); ok is false when they are malformed.
func eventRecords(b []byte) (out []facts.Event, ok bool) {
	le := binary.LittleEndian
	for len(b) > 0 {
		if len(b) < eventHeaderSize {
			return nil, false
		}
		length := int(le.Uint32(b))
		if length < eventHeaderSize || length > len(b) || le.Uint32(b[4:]) != eventRecordMagic {
			return nil, false
		}
		rec := b[:length]
		b = b[length:]
		e := facts.Event{ID: le.Uint32(rec[20:]), Type: le.Uint16(rec[24:]), Time: time.Unix(int64(le.Uint32(rec[12:])), 0).UTC()}
		if e.Source, _, ok = zeroTerminated(rec, eventHeaderSize); !ok {
			return nil, false
		}
		at := int(le.Uint32(rec[36:]))
		for range min(le.Uint16(rec[26:]), maxEventStrings) {
			var s string
			if s, at, ok = zeroTerminated(rec, at); !ok {
				return nil, false
			}
			e.Strings = append(e.Strings, s)
		}
		out = append(out, e)
	}
	return out, true
}
