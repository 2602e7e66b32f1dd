//go:build !windows

package env

import (
	"errors"
	"syscall"
)

// isRefused tells whether the other side has no service on that port: a reset to TCP, an ICMP message to UDP.
func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED)
}

// isUnreachable tells whether no way leads to the address.
func isUnreachable(err error) bool {
	return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}
