package winprobe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The sizes of PDUs. A fragment is as long as Windows itself makes them ([MS-RPCE] 3.3.1.5.2 leaves it to the two sides); no more is
// read of one answer than maxAnswer.
const (
	maxFragment = 5840
	minFragment = 1432 // every side takes as much (C706, 12.6.3.1: MustRecvFragSize)
	maxAnswer   = 4 << 20
	headerSize  = 16
	requestSize = headerSize + 8
)

// The types of PDUs and the flags of fragments (C706, 12.6.3.1).
const (
	pduRequest  = 0
	pduResponse = 2
	pduFault    = 3
	pduBind     = 11
	pduBindAck  = 12
	pduBindNak  = 13

	flagFirst = 1
	flagLast  = 2
)

// syntax names an interface, or the way arguments are written, with its version.
type syntax struct {
	uuid    [16]byte
	version uint32
}

// ndr is the transfer syntax: NDR 2.0, 8a885d04-1ceb-11c9-9fe8-08002b104860 (C706, appendix I).
var ndr = syntax{[16]byte{0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60}, 2}

// association is a conversation over a pipe with one interface of a server: one call after the other (C706, chapter 12). No security is
// asked for: the SMB session knows who asks and signs ([MS-RPCE] 2.1.1.2).
type association struct {
	pipe io.ReadWriter
	id   uint32
	// most is how long a fragment to the server may be.
	most int
	// in holds what was read, but not yet used.
	in  []byte
	buf []byte
}

// fault is a server's answer that it did not carry out the call.
type fault struct{ status uint32 }

func (f *fault) Error() string { return fmt.Sprintf("the call fails with status 0x%08x", f.status) }

// The statuses of a fault that mean something here (C706, appendix E; [MS-RPCE] 2.2.2.11).
const (
	faultAccessDenied = 5
	faultNoSuchCall   = 0x1c010002
)

// errNak is a server's answer that it does not know the interface.
var errNak = errors.New("it does not serve the interface on that pipe")

// bind opens a conversation with an interface (C706, 12.6.4.3 and 12.6.4.4).
func bind(pipe io.ReadWriter, iface syntax) (*association, error) {
	a := &association{pipe: pipe, id: 1, most: minFragment, buf: make([]byte, 64<<10)}
	body := binary.LittleEndian.AppendUint16(nil, maxFragment) // sent
	body = binary.LittleEndian.AppendUint16(body, maxFragment) // and read
	body = binary.LittleEndian.AppendUint32(body, 0)           // a new association group
	body = append(body, 1, 0, 0, 0, 0, 0, 1, 0)                // one context, 0, with one transfer syntax
	for _, s := range []syntax{iface, ndr} {
		body = append(body, s.uuid[:]...)
		body = binary.LittleEndian.AppendUint32(body, s.version)
	}
	if err := a.converse(a.pdu(pduBind, flagFirst|flagLast, body)); err != nil {
		return nil, err
	}
	p, err := a.next()
	if err != nil {
		return nil, err
	}
	switch p.kind {
	case pduBindAck:
	case pduBindNak:
		return nil, errNak
	default:
		return nil, fmt.Errorf("a PDU of type %d in answer to the bind", p.kind)
	}
	if err := a.acknowledged(p.body); err != nil {
		return nil, err
	}
	return a, nil
}

// acknowledged reads a bind_ack.
func (a *association) acknowledged(body []byte) error {
	r := reader{b: body, off: 0}
	r.u16()
	most := int(r.u16())
	r.u32()
	r.take(int(r.u16())) // the secondary address
	r.align(4)
	n := r.take(4)
	result := r.u16()
	switch {
	case r.bad || n[0] == 0:
		return errors.New("a bind_ack that is cut short")
	case result != 0:
		return errNak
	case most < minFragment:
		return errors.New("a bind_ack with fragments that are too small")
	}
	a.most = min(most, maxFragment)
	return nil
}

// call has the server carry out an operation of the interface, and gives what it answers. The error is a *fault where the server says so.
func (a *association) call(op uint16, args []byte) (*reader, error) {
	if len(a.in) > 0 {
		return nil, errors.New("something that was not asked for")
	}
	a.id++
	for first := true; first || len(args) > 0; first = false {
		part := args[:min(len(args), a.most-requestSize)]
		args = args[len(part):]
		var flags byte
		if first {
			flags |= flagFirst
		}
		if len(args) == 0 {
			flags |= flagLast
		}
		// How long all is, the context, the operation (C706, 12.6.4.9).
		body := binary.LittleEndian.AppendUint32(make([]byte, 0, 8+len(part)), uint32(len(part)+len(args)))
		body = binary.LittleEndian.AppendUint16(body, 0)
		body = binary.LittleEndian.AppendUint16(body, op)
		pdu := a.pdu(pduRequest, flags, append(body, part...))
		if len(args) > 0 {
			if _, err := a.pipe.Write(pdu); err != nil {
				return nil, err
			}
			continue
		}
		if err := a.converse(pdu); err != nil {
			return nil, err
		}
	}
	var answer []byte
	for first := true; ; first = false {
		p, err := a.next()
		if err != nil {
			return nil, err
		}
		if p.kind == pduFault {
			r := reader{b: p.body}
			r.take(8)
			f := &fault{r.u32()}
			if r.bad {
				return nil, errShort
			}
			return nil, f
		}
		switch {
		case p.kind != pduResponse || len(p.body) < 8:
			return nil, fmt.Errorf("a PDU of type %d in answer to a call", p.kind)
		case p.call != a.id:
			return nil, errors.New("an answer to another call")
		case first != (p.flags&flagFirst != 0):
			return nil, errors.New("fragments in the wrong order")
		case len(answer)+len(p.body) > maxAnswer:
			return nil, errors.New("an answer that is longer than is read")
		}
		if first && p.flags&flagLast != 0 {
			return &reader{b: p.body[8:]}, nil
		}
		answer = append(answer, p.body[8:]...)
		if p.flags&flagLast != 0 {
			return &reader{b: answer}, nil
		}
	}
}

// pdu is a PDU with its header (C706, 12.6.3.1): version 5.0, little endian, ASCII and IEEE (14.1).
func (a *association) pdu(kind, flags byte, body []byte) []byte {
	h := make([]byte, headerSize, headerSize+len(body))
	h[0], h[2], h[3], h[4] = 5, kind, flags, 0x10
	binary.LittleEndian.PutUint16(h[8:], uint16(headerSize+len(body)))
	binary.LittleEndian.PutUint32(h[12:], a.id)
	return append(h, body...)
}

// converse sends a PDU and reads what comes next. A read of a pipe waits on the server until there is something to read, whichever of
// the two comes first ([MS-SMB2] 3.3.5.12); sent together, they take one round trip instead of two.
func (a *association) converse(pdu []byte) error {
	type result struct {
		n   int
		err error
	}
	got := make(chan result, 1)
	go func() {
		n, err := a.pipe.Read(a.buf)
		got <- result{n, err}
	}()
	_, err := a.pipe.Write(pdu)
	if err != nil {
		if c, ok := a.pipe.(io.Closer); ok {
			_ = c.Close() // which ends the read
		}
	}
	r := <-got
	if err == nil {
		err = r.err
	}
	a.in = a.buf[:r.n]
	return err
}

// received is a PDU of the server's.
type received struct {
	kind, flags byte
	call        uint32
	body        []byte
}

// next reads a PDU. Its body is valid until the next one is read.
func (a *association) next() (received, error) {
	for {
		p, n, err := parse(a.in)
		if err != nil {
			return p, err
		}
		if n > 0 {
			a.in = a.in[n:]
			return p, nil
		}
		// A part of a fragment: it goes to the front of the buffer, which holds more than a fragment.
		have := copy(a.buf, a.in)
		more, err := a.pipe.Read(a.buf[have:])
		if err != nil {
			return p, err
		}
		if more == 0 {
			return p, io.ErrUnexpectedEOF
		}
		a.in = a.buf[:have+more]
	}
}

// parse reads the PDU at the beginning of b, which is n bytes long; 0 when there is only a part of it.
func parse(b []byte) (p received, n int, err error) {
	if len(b) < headerSize {
		return p, 0, nil
	}
	p = received{kind: b[2], flags: b[3], call: binary.LittleEndian.Uint32(b[12:])}
	n = int(binary.LittleEndian.Uint16(b[8:]))
	switch {
	case b[0] != 5 || b[4]&0xf0 != 0x10:
		return p, 0, errors.New("something that is no DCE/RPC")
	case n < headerSize || n > maxFragment:
		return p, 0, errors.New("a fragment of a length that was not agreed")
	case binary.LittleEndian.Uint16(b[10:]) != 0:
		return p, 0, errors.New("a fragment with an authentication that was not agreed")
	case len(b) < n:
		return p, 0, nil
	}
	p.body = b[headerSize:n]
	return p, n, nil
}
