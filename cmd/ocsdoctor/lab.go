package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/fixtures/lab"
)

func labCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "lab NAME[+FAULT...]",
		Short: "Serve a built-in deployment on loopback until interrupted",
		Long: `lab serves a deployment on this machine's loopback with real protocols and prints its addresses, so that other
tools can be tried on it. See list deployments and list faults for the names.`,
		Example: `  ocsdoctor lab todorovic
  ocsdoctor lab todorovic+certificate-expired`,
		Args: one("deployment", "name one of ocsdoctor list deployments: ocsdoctor lab todorovic"),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := lab.Start(c.Context(), args[0], lab.Options{})
			if err != nil {
				return usage("see ocsdoctor list deployments and ocsdoctor list faults", "%v", err)
			}
			defer l.Close()
			if _, err := s.out.Write(addresses(l)); err != nil {
				return err
			}
			<-c.Context().Done()
			return nil
		},
	}
}

// addresses says where the lab's services listen, and how to scan them.
func addresses(l *lab.Lab) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s is served until interrupted (Ctrl-C).\n\n", l.Name)
	for _, service := range sortedKeys(l.Map) {
		proto, addr, _ := strings.Cut(service, " ")
		fmt.Fprintf(&b, "  %-3s  %-21s at %s\n", proto, addr, l.Map[service])
	}
	var resolvers []string
	for _, r := range l.Scope.Resolvers {
		// The lab serves UDP and TCP of a resolver on one port.
		flag := "--dns "
		if r.View == facts.Outside {
			flag = "--dns-external "
		}
		resolvers = append(resolvers, flag+l.Map["udp "+r.Address])
	}
	fmt.Fprintf(&b, "\nTo scan it from another terminal:\n\n  ocsdoctor scan --ad-domain %s", l.Scope.ADDomain)
	for _, d := range l.Scope.SIPDomains {
		fmt.Fprintf(&b, " --sip-domain %s", d)
	}
	for _, srv := range l.Scope.Servers {
		fmt.Fprintf(&b, " --server %s", srv)
	}
	for _, r := range resolvers {
		fmt.Fprintf(&b, " \\\n    %s", r)
	}
	for _, c := range l.Connects() {
		fmt.Fprintf(&b, " \\\n    --connect %s", c)
	}
	fmt.Fprintln(&b)
	return b.Bytes()
}
