package winprobe

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

// writer marshals the arguments of a call as NDR, little endian (C706, chapter 14).
type writer struct {
	b    []byte
	refs uint32
}

func (w *writer) align(n int) {
	for len(w.b)%n != 0 {
		w.b = append(w.b, 0)
	}
}

func (w *writer) u16(n uint16) { w.align(2); w.b = binary.LittleEndian.AppendUint16(w.b, n) }

func (w *writer) u32(n uint32) { w.align(4); w.b = binary.LittleEndian.AppendUint32(w.b, n) }

// null is a unique pointer to nothing.
func (w *writer) null() { w.u32(0) }

// ref is a unique pointer; what it points to follows where NDR puts it.
func (w *writer) ref() {
	w.refs++
	w.u32(0x20000 + 4*w.refs)
}

// number is a unique pointer to a number.
func (w *writer) number(n uint32) {
	w.ref()
	w.u32(n)
}

// handle is a context handle, 20 bytes on the wire (C706, appendix N, ndr_context_handle).
func (w *writer) handle(h handle) {
	w.align(4)
	w.b = append(w.b, h[:]...)
}

// text is an RPC_UNICODE_STRING ([MS-DTYP] 2.3.10) whose length counts a final NUL, if it has one.
func (w *writer) text(s string) {
	units := utf16.Encode([]rune(s))
	w.align(4)
	w.u16(uint16(2 * len(units)))
	w.u16(uint16(2 * len(units)))
	w.ref()
	w.u32(uint32(len(units)))
	w.u32(0)
	w.u32(uint32(len(units)))
	for _, u := range units {
		w.b = binary.LittleEndian.AppendUint16(w.b, u)
	}
}

// room is an empty RPC_UNICODE_STRING into which the server may write n characters.
func (w *writer) room(n int) {
	w.align(4)
	w.u16(0)
	w.u16(uint16(2 * n))
	w.ref()
	w.u32(uint32(n))
	w.u32(0)
	w.u32(0)
}

// buffer is a unique pointer to n bytes of room, of which none are sent.
func (w *writer) buffer(n uint32) {
	w.ref()
	w.u32(n)
	w.u32(0)
	w.u32(0)
}

// handle is what a server calls an open key, manager or log.
type handle [20]byte

var errShort = errors.New("an answer that is cut short")

// reader unmarshals an answer. After its end, or after something that cannot be, it gives zeros, and bad is set.
type reader struct {
	b   []byte
	off int
	bad bool
}

func (r *reader) align(n int) { r.take((n - r.off%n) % n) }

// take is the next n bytes; nil when there are not as many.
func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b)-r.off {
		r.bad = true
		return nil
	}
	r.off += n
	return r.b[r.off-n : r.off]
}

func (r *reader) u16() uint16 {
	r.align(2)
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	r.align(4)
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) handle() (h handle) {
	r.align(4)
	copy(h[:], r.take(len(h)))
	return h
}

// number is what a unique pointer points to; 0 for none.
func (r *reader) number() uint32 {
	if r.u32() == 0 {
		return 0
	}
	return r.u32()
}

// varying is a conformant varying array of elements of a size (C706, 14.3.3.4): room, offset, count, and count elements.
func (r *reader) varying(size int) []byte {
	room, offset, n := r.u32(), r.u32(), r.u32()
	if offset != 0 || n > room || uint64(n)*uint64(size) > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	return r.take(int(n) * size)
}

// conformant is a conformant array of bytes: their number, and they.
func (r *reader) conformant() []byte {
	n := r.u32()
	if uint64(n) > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

// buffer is what a unique pointer to bytes points to.
func (r *reader) buffer() []byte {
	if r.u32() == 0 {
		return nil
	}
	return r.varying(1)
}

// text is an RPC_UNICODE_STRING, without its final NUL.
func (r *reader) text() string {
	r.align(4)
	n := r.u16()
	r.u16()
	if r.u32() == 0 {
		return ""
	}
	b := r.varying(2)
	return text(b[:min(int(n)&^1, len(b))])
}

// text is little-endian UTF-16 without its final NUL.
func text(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	if n := len(units); n > 0 && units[n-1] == 0 {
		units = units[:n-1]
	}
	return string(utf16.Decode(units))
}

// zeroTerminated is the UTF-16 text at an offset of a buffer, which ends at a NUL; ok is false when it does not end in the buffer.
func zeroTerminated(b []byte, offset int) (s string, next int, ok bool) {
	if offset < 0 || offset > len(b) {
		return "", 0, false
	}
	for i := offset; i+1 < len(b); i += 2 {
		if b[i] == 0 && b[i+1] == 0 {
			return text(b[offset:i]), i + 2, true
		}
	}
	return "", 0, false
}
