package main

import (
	"errors"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// systemResolvers lists the resolvers of the network adapters that are up.
func systemResolvers() ([]string, error) {
	const flags = windows.GAA_FLAG_SKIP_UNICAST | windows.GAA_FLAG_SKIP_ANYCAST | windows.GAA_FLAG_SKIP_MULTICAST
	for size := uint32(16 << 10); size <= 1<<20; {
		buf := make([]byte, size)
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&buf[0]))
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, flags, 0, first, &size)
		if errors.Is(err, windows.ERROR_BUFFER_OVERFLOW) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var out []string
		for a := first; a != nil; a = a.Next {
			if a.OperStatus != windows.IfOperStatusUp {
				continue
			}
			for d := a.FirstDnsServerAddress; d != nil; d = d.Next {
				if ip := d.Address.IP(); ip != nil && !slices.Contains(out, ip.String()) {
					out = append(out, ip.String())
				}
			}
		}
		return out, nil
	}
	return nil, errors.New("the list of network adapters is too large")
}
