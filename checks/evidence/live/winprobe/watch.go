package winprobe

import (
	"bufio"
	"encoding/binary"
	"net"
	"slices"
	"sync/atomic"
)

// watch sees what the SMB library does not tell: with which status a server ended the session setup, whether it took the account for
// a guest, and whether it speaks SMB 2 at all ([MS-SMB2] 2.2.1 and 2.2.6).
type watch struct {
	net.Conn
	in *bufio.Reader
	// pending is the length that the library writes before each message; the two leave as one packet.
	pending []byte

	// What follows is of the frame that is being read: its length, and its beginning.
	length []byte
	left   int
	head   []byte

	answers         atomic.Int64 // but for those that only say that the answer comes later
	status          atomic.Uint32
	guest           atomic.Bool
	foreign, closed atomic.Bool
}

func newWatch(c net.Conn) *watch { return &watch{Conn: c, in: bufio.NewReaderSize(c, maxFragment)} }

const (
	lengthSize  = 4
	smbHeader   = 64
	watchedHead = smbHeader + 8

	commandSessionSetup = 1
	guestOrAnonymous    = 3 // of the session's flags ([MS-SMB2] 2.2.6)
)

func (w *watch) Write(b []byte) (int, error) {
	if w.pending == nil && len(b) == lengthSize {
		w.pending = slices.Clone(b)
		return len(b), nil
	}
	whole := append(w.pending, b...)
	w.pending = nil
	n, err := w.Conn.Write(whole)
	if err != nil {
		w.closed.Store(true)
		return 0, err
	}
	return min(n, len(b)), nil
}

func (w *watch) Read(b []byte) (int, error) {
	n, err := w.in.Read(b)
	w.see(b[:n])
	if err != nil {
		w.closed.Store(true)
	}
	return n, err
}

// see follows the frames in what is read ([MS-SMB2] 2.1: four bytes of length, then the message).
func (w *watch) see(b []byte) {
	for len(b) > 0 {
		if w.left == 0 {
			n := min(lengthSize-len(w.length), len(b))
			w.length = append(w.length, b[:n]...)
			b = b[n:]
			if len(w.length) == lengthSize {
				if w.length[0] != 0 {
					w.foreign.Store(true)
				}
				w.left, w.length, w.head = int(binary.BigEndian.Uint32(w.length)&0xffffff), w.length[:0], w.head[:0]
			}
			continue
		}
		n := min(w.left, len(b))
		if room := watchedHead - len(w.head); room > 0 {
			w.head = append(w.head, b[:min(room, n)]...)
		}
		w.left -= n
		b = b[n:]
		if w.left == 0 {
			w.look(w.head)
		}
	}
}

// look reads the beginning of a message.
func (w *watch) look(head []byte) {
	if len(head) < 4 || string(head[1:4]) != "SMB" {
		w.foreign.Store(true)
		return
	}
	if head[0] != 0xfe || len(head) < smbHeader { // encrypted, or of another version
		w.answers.Add(1)
		return
	}
	status := binary.LittleEndian.Uint32(head[8:])
	if status != statusPending {
		w.answers.Add(1)
	}
	if binary.LittleEndian.Uint16(head[12:]) == commandSessionSetup {
		w.status.Store(status)
		if status == 0 && len(head) == watchedHead {
			w.guest.Store(binary.LittleEndian.Uint16(head[smbHeader+2:])&guestOrAnonymous != 0)
		}
	}
}
