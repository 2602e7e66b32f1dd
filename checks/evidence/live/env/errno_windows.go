package env

import (
	"errors"
	"net"

	"golang.org/x/sys/windows"
)

// isRefused tells whether the other side has no service on that port. Windows reports the ICMP message to a
// datagram as a reset.
func isRefused(err error) bool {
	var op *net.OpError
	datagram := errors.As(err, &op) && op.Net == "udp"
	return errors.Is(err, windows.WSAECONNREFUSED) || datagram && errors.Is(err, windows.WSAECONNRESET)
}

// isUnreachable tells whether no way leads to the address.
func isUnreachable(err error) bool {
	return errors.Is(err, windows.WSAEHOSTUNREACH) || errors.Is(err, windows.WSAENETUNREACH)
}
