//go:build !windows

package main

import (
	"github.com/miekg/dns"
)

// systemResolvers lists the resolvers that this machine uses.
func systemResolvers() ([]string, error) {
	conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	return conf.Servers, nil
}
