package winprobe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"ocsdoctor/checks/evidence/facts"
)

// rpcServer answers on a pipe: each call with what handle gives, in fragments of a size; with a fault where that is nil.
type rpcServer struct {
	t        *testing.T
	handle   func(op uint16, args []byte) []byte
	fragment int
}

// dial gives the client's end of a pipe to the server.
func (s *rpcServer) dial() io.ReadWriter {
	client, server := net.Pipe()
	s.t.Cleanup(func() { _ = client.Close() })
	go s.serve(server)
	return client
}

func (s *rpcServer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	var args []byte
	for {
		h := make([]byte, headerSize)
		if _, err := io.ReadFull(c, h); err != nil {
			return
		}
		body := make([]byte, int(binary.LittleEndian.Uint16(h[8:]))-headerSize)
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		id := binary.LittleEndian.Uint32(h[12:])
		if h[2] == pduBind {
			_, _ = c.Write(serverPDU(pduBindAck, flagFirst|flagLast, id, bindAck(0)))
			continue
		}
		args = append(args, body[8:]...)
		if h[3]&flagLast == 0 {
			continue
		}
		answer := s.handle(binary.LittleEndian.Uint16(body[6:]), args)
		args = nil
		if answer == nil {
			_, _ = c.Write(serverPDU(pduFault, flagFirst|flagLast, id, binary.LittleEndian.AppendUint32(make([]byte, 8), faultNoSuchCall)))
			continue
		}
		for first := true; first || len(answer) > 0; first = false {
			part := answer[:min(len(answer), s.fragment)]
			answer = answer[len(part):]
			var flags byte
			if first {
				flags |= flagFirst
			}
			if len(answer) == 0 {
				flags |= flagLast
			}
			_, _ = c.Write(serverPDU(pduResponse, flags, id, append(make([]byte, 8), part...)))
		}
	}
}

// bindAck is the body of a bind_ack with a result, as Samba sends it.
func bindAck(result uint16) []byte {
	b := binary.LittleEndian.AppendUint16(nil, 4280)
	b = binary.LittleEndian.AppendUint16(b, 4280)
	b = append(b, 0x78, 0x56, 0, 0)
	b = append(b, 12, 0)
	b = append(b, "\\PIPE\\winreg\x00"[:12]...)
	b = append(b, 0, 0) // to a multiple of 4
	b = append(b, 1, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, result)
	b = append(b, 0, 0)
	return append(append(b, ndr.uuid[:]...), 2, 0, 0, 0)
}

func serverPDU(kind, flags byte, id uint32, body []byte) []byte {
	a := association{id: id}
	return a.pdu(kind, flags, body)
}

func TestCallsGoThroughInFragments(t *testing.T) {
	t.Parallel()
	question, answer := bytes.Repeat([]byte("question"), 1000), bytes.Repeat([]byte("answer"), 3000)
	s := &rpcServer{t, func(op uint16, args []byte) []byte {
		if op != 7 || !bytes.Equal(args, question) {
			t.Errorf("operation %d with %d bytes, want 7 with %d", op, len(args), len(question))
		}
		return answer
	}, 1000}
	a, err := bind(s.dial(), winreg.syntax)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := a.call(7, question)
		if err != nil || !bytes.Equal(r.b, answer) {
			t.Fatalf("call: %v, want %d bytes", err, len(answer))
		}
	}
}

// canned is a server that says what it says, whatever it is asked: one PDU in each message, as pipes have it.
type canned struct{ stream []byte }

func (c *canned) Read(b []byte) (int, error) {
	if len(c.stream) == 0 {
		return 0, io.EOF
	}
	n := len(c.stream)
	if n >= headerSize {
		n = min(n, max(headerSize, int(binary.LittleEndian.Uint16(c.stream[8:]))))
	}
	n = copy(b, c.stream[:n])
	c.stream = c.stream[n:]
	return n, nil
}

func (*canned) Write(b []byte) (int, error) { return len(b), nil }

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	ack := serverPDU(pduBindAck, 3, 1, bindAck(0))
	response := func(flags byte, id uint32) []byte { return serverPDU(pduResponse, flags, id, make([]byte, 12)) }
	faulty := serverPDU(pduFault, 3, 2, append(make([]byte, 8), 5, 0, 0, 0))
	authenticated := response(3, 2)
	authenticated[10] = 8
	for name, tc := range map[string]struct {
		stream []byte
		want   string
	}{
		"nothing":               {nil, "EOF"},
		"HTTP":                  {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "no DCE/RPC"},
		"bind_nak":              {serverPDU(pduBindNak, 3, 1, make([]byte, 4)), errNak.Error()},
		"another interface":     {serverPDU(pduBindAck, 3, 1, bindAck(2)), errNak.Error()},
		"half a bind_ack":       {serverPDU(pduBindAck, 3, 1, bindAck(0)[:20]), "bind_ack that is cut short"},
		"a response to a bind":  {response(3, 1), "type 2 in answer to the bind"},
		"a fault":               {slices.Concat(ack, faulty), "status 0x00000005"},
		"half a response":       {slices.Concat(ack, response(3, 2)[:20]), "EOF"},
		"another call's":        {slices.Concat(ack, response(3, 9)), "another call"},
		"the end first":         {slices.Concat(ack, response(2, 2)), "wrong order"},
		"two beginnings":        {slices.Concat(ack, response(1, 2), response(3, 2)), "wrong order"},
		"an authentication":     {slices.Concat(ack, authenticated), "authentication"},
		"without its beginning": {slices.Concat(ack, serverPDU(pduResponse, 3, 2, make([]byte, 4))), "type 2"},
		"without an end":        {slices.Concat(ack, response(0, 2), response(0, 2)), "wrong order"},
	} {
		a, err := bind(&canned{tc.stream}, winreg.syntax)
		if err == nil {
			_, err = a.call(1, nil)
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// atOnce sends all that it has to say in one message.
type atOnce struct{ canned }

func (a *atOnce) Read(b []byte) (int, error) {
	n := copy(b, a.stream)
	a.stream = nil
	return n, nil
}

func TestAnAnswerBeforeTheQuestionIsNone(t *testing.T) {
	t.Parallel()
	stream := append(serverPDU(pduBindAck, 3, 1, bindAck(0)), serverPDU(pduResponse, 3, 2, make([]byte, 12))...)
	a, err := bind(&atOnce{canned{stream}}, winreg.syntax)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.call(1, nil); err == nil || !strings.Contains(err.Error(), "not asked for") {
		t.Errorf("%v, want that it was not asked for", err)
	}
}

// endless repeats a fragment in the middle of an answer for ever.
type endless struct {
	canned
	middle []byte
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.stream) > 0 {
		return e.canned.Read(b)
	}
	return copy(b, e.middle), nil
}

func TestAnAnswerWithoutEndIsNotReadForEver(t *testing.T) {
	t.Parallel()
	begin := append(serverPDU(pduBindAck, 3, 1, bindAck(0)), serverPDU(pduResponse, flagFirst, 2, make([]byte, 8))...)
	a, err := bind(&endless{canned{begin}, serverPDU(pduResponse, 0, 2, make([]byte, 5000))}, winreg.syntax)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.call(1, nil); err == nil || !strings.Contains(err.Error(), "longer than is read") {
		t.Errorf("%v, want that it is too long", err)
	}
}

func FuzzRPC(f *testing.F) {
	ack := serverPDU(pduBindAck, 3, 1, bindAck(0))
	f.Add([]byte{})
	f.Add(ack)
	f.Add(append(ack, serverPDU(pduResponse, 3, 2, make([]byte, 40))...))
	f.Add(append(append(ack, serverPDU(pduResponse, 1, 2, make([]byte, 40))...), serverPDU(pduResponse, 2, 2, make([]byte, 40))...))
	f.Add(append(ack, serverPDU(pduFault, 3, 2, make([]byte, 16))...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		a, err := bind(&canned{stream}, winreg.syntax)
		if err != nil {
			return
		}
		r, err := a.call(opEnumKey, []byte{1})
		var fault *fault
		if err == nil && len(r.b) > len(stream) || errors.As(err, &fault) && r != nil {
			t.Errorf("%d bytes of answer in a stream of %d: %v", len(r.b), len(stream), err)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	var w writer
	w.text("CurrentVersion\x00")
	w.number(1)
	w.ref()
	w.u32(8)
	w.u32(0)
	w.u32(8)
	w.b = append(w.b, "3\x00.\x005\x00\x00\x00"...)
	w.number(8)
	w.number(8)
	w.u32(0)
	f.Add(w.b)
	f.Add(servicesPageAnswer(serviceBuffer([]facts.Service{{Name: "RtcSrv", DisplayName: "Front-End"}}, true), 1, 0, 0)[:300])
	f.Add(servicesPageAnswer(serviceBuffer([]facts.Service{{Name: "RtcSrv"}}, false), 1, 0, 0))
	event := eventRecord(facts.Event{Source: "OCS Server", Strings: []string{"a", "b"}}, 1)
	f.Add(append(binary.LittleEndian.AppendUint32(nil, uint32(len(event))), event...))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, read := range map[string]func(*reader) int{
			"value":     func(r *reader) int { v, data, _ := valueAnswer(r, true); return len(v.Name)/3 + len(data) },
			"queried":   func(r *reader) int { _, data, _ := valueAnswer(r, false); return len(data) },
			"key":       func(r *reader) int { return len(enumKeyAnswer(r)) / 3 },
			"info":      func(r *reader) int { infoAnswer(r); return 0 },
			"handle":    func(r *reader) int { r.handle(); r.u32(); return 0 },
			"values":    func(r *reader) int { v, _ := valuesAnswer(r, []string{"a", "b"}); return len(v) },
			"services":  func(r *reader) int { page, _, _, _ := servicesAnswer(r, false); return len(page) },
			"processes": func(r *reader) int { page, _, _, _ := servicesAnswer(r, true); return len(page) },
			"events":    func(r *reader) int { events, _ := eventRecords(r.conformant()); return len(events) },
		} {
			if n := read(&reader{b: b}); n > len(b) {
				t.Errorf("%s: %d bytes out of %d", name, n, len(b))
			}
		}
	})
}
