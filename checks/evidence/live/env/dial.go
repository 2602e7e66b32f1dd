package env

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// maxAddresses bounds how many addresses of one host are tried.
const maxAddresses = 8

// Target is one place to dial.
type Target struct {
	// Endpoint is the logical host and port, which reports show.
	Endpoint facts.Endpoint
	// Network is "tcp" or "udp".
	Network string
	// Address is the logical ADDR:PORT; empty when --connect replaces it.
	Address string
	// Real is the ADDR:PORT that is dialled; empty when the lab does not serve Address.
	Real string
}

// String is the logical form, "host:port/proto".
func (t Target) String() string { return t.Endpoint.String() + "/" + t.Network }

// parseConnect reads --connect values into a map from HOST:PORT, HOST:* or *:PORT.
func parseConnect(values []string) (map[string]string, error) {
	m := map[string]string{}
	for _, v := range values {
		from, to, ok := strings.Cut(v, "=")
		i := strings.LastIndexByte(from, ':')
		if !ok || i < 1 {
			return nil, fmt.Errorf("--connect %q has no HOST:PORT before or no ADDR:PORT after the =", v)
		}
		host, port := facts.Host(strings.Trim(from[:i], "[]")), from[i+1:]
		if port == "*" {
			a, err := netip.ParseAddr(strings.Trim(to, "[]"))
			if err != nil || host == "*" || host == "" {
				return nil, fmt.Errorf("--connect %q: HOST:* takes an IP address", v)
			}
			m[host+":*"] = a.String()
			continue
		}
		n, err := strconv.ParseUint(port, 10, 16)
		a, errTo := netip.ParseAddrPort(to)
		if err != nil || errTo != nil || n == 0 || a.Port() == 0 || host == "" {
			return nil, fmt.Errorf("--connect %q takes a port from 1 to 65535 and an IP address with a port", v)
		}
		m[host+":"+strconv.FormatUint(n, 10)] = a.String()
	}
	return m, nil
}

// mapped is what --connect makes of an endpoint; the most exact entry wins.
func (e *Env) mapped(ep facts.Endpoint) (string, bool) {
	port := strconv.Itoa(ep.Port)
	if to, ok := e.connect[ep.Host+":"+port]; ok {
		return to, true
	}
	if to, ok := e.connect[ep.Host+":*"]; ok {
		return net.JoinHostPort(to, port), true
	}
	to, ok := e.connect["*:"+port]
	return to, ok
}

// Targets lists where an endpoint may be dialled: what --connect says, else the addresses of the host as the inside view
// has them, through the lab's map. A host without an address is no-target.
func (e *Env) Targets(r *evidence.Reader, network string, ep facts.Endpoint) ([]Target, error) {
	if to, ok := e.mapped(ep); ok {
		return []Target{{Endpoint: ep, Network: network, Real: to}}, nil
	}
	var addrs []string
	if a, err := netip.ParseAddr(ep.Host); err == nil {
		addrs = []string{a.String()}
	} else {
		h, err := facts.Addresses.Get(r, facts.HostQuestion{Host: ep.Host, View: facts.Inside})
		if err != nil {
			return nil, err
		}
		if addrs = h.Addresses; len(addrs) == 0 {
			return nil, evidence.FailAt(evidence.NoTarget, ep.Host+" leads nowhere: "+h.Absence(),
				facts.DNSLookup.Key(facts.LookupQuestion{Name: ep.Host, Type: "A", View: facts.Inside}))
		}
	}
	var out []Target
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		t := Target{Endpoint: ep, Network: network, Address: facts.JoinHostPort(a, ep.Port)}
		t.Real = t.Address
		if e.lab != nil {
			t.Real = e.lab[network+" "+t.Address]
		}
		out = append(out, t)
	}
	return out, nil
}

// Connect dials a target within the deadline of ctx. The caller closes the connection.
func (e *Env) Connect(ctx context.Context, t Target) (net.Conn, error) {
	if t.Real == "" {
		return nil, evidence.Fail(evidence.Internal, "the lab does not serve "+t.Network+" "+t.Address)
	}
	e.mu.Lock()
	e.contacted[t.String()] = true
	e.mu.Unlock()
	var d net.Dialer
	conn, err := d.DialContext(ctx, t.Network, t.Real)
	if err != nil {
		return nil, fmt.Errorf("dialling %s: %w", t, err)
	}
	return conn, nil
}

// Target is the target of an endpoint to have exchanges with: the one that took net.connect's connection, else the first.
func (e *Env) Target(r *evidence.Reader, network string, ep facts.Endpoint) (Target, error) {
	targets, err := e.Targets(r, network, ep)
	if err != nil {
		return Target{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if t, ok := e.reached[ep]; ok && network == "tcp" {
		return t, nil
	}
	return targets[0], nil
}

// Connected is the target of a TCP endpoint that net.connect reached; what it did not reach is no-target.
func (e *Env) Connected(r *evidence.Reader, ep facts.Endpoint) (Target, error) {
	c, err := facts.NetConnect.Get(r, ep)
	if err != nil {
		return Target{}, err
	}
	if c.Result != facts.Connected {
		return Target{}, evidence.FailAt(evidence.NoTarget, ep.String()+": "+connectWords[c.Result], facts.NetConnect.Key(ep))
	}
	return e.Target(r, "tcp", ep)
}

// connectWords say what came of a connect that did not succeed.
var connectWords = map[string]string{
	facts.Refused: "the connection is refused", facts.Unreachable: "no way leads there", facts.NoAnswer: "the connect is not answered",
}

// Reach is net.connect: it tries all addresses of an endpoint side by side. The result is of the first that takes the
// connection, or else of the last.
func (e *Env) Reach(ctx context.Context, tr *Trace, r *evidence.Reader, ep facts.Endpoint) (facts.Connect, error) {
	targets, err := e.Targets(r, "tcp", ep)
	if err != nil {
		return facts.Connect{}, err
	}
	results, errs := make([]string, len(targets)), make([]error, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { results[i], errs[i] = e.try(ctx, tr, t) })
	}
	wg.Wait()
	chosen := len(targets) - 1
	for i, res := range results {
		if errs[i] != nil {
			return facts.Connect{}, errs[i]
		}
		tr.Log("connect to " + targets[i].logical() + ": " + res)
	}
	if i := slices.Index(results, facts.Connected); i >= 0 {
		chosen = i
		e.mu.Lock()
		e.reached[ep] = targets[chosen]
		e.mu.Unlock()
	}
	c := facts.Connect{Result: results[chosen]}
	for i, t := range targets {
		if i != chosen && t.Address != "" {
			c.Addresses = append(c.Addresses, host(t.Address))
			if c.Result == facts.Connected && results[i] != facts.Connected {
				c.Dead = append(c.Dead, host(t.Address)+" ("+results[i]+")")
			}
		}
	}
	if a := targets[chosen].Address; a != "" {
		c.Addresses = append(c.Addresses, host(a))
	}
	return c, nil
}

// host is the address without the port.
func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return h
}

// try makes one connect. A time-out is a result here and says nothing about a server that takes connections and stays silent.
func (e *Env) try(ctx context.Context, tr *Trace, t Target) (string, error) {
	release, f := e.address(t).take(ctx, nil)
	if f != nil {
		return "", f
	}
	defer release()
	tr.Attempt()
	within, cancel := context.WithTimeout(ctx, e.Budgets.Connect)
	defer cancel()
	done := tr.clock()
	conn, err := e.Connect(within, t)
	done()
	if err == nil {
		_ = conn.Close()
	}
	return outcome(ctx, within, err)
}

// logical names the target with its address, where it has one.
func (t Target) logical() string {
	if t.Address == "" {
		return t.Endpoint.String()
	}
	return t.Address
}

// outcome turns the error of a connect into a result.
func outcome(run, within context.Context, err error) (string, error) {
	if err == nil {
		return facts.Connected, nil
	}
	if f := Ended(run); f != nil {
		return "", f
	}
	var own *evidence.Failure
	switch {
	case errors.As(err, &own):
		return "", own
	case isRefused(err):
		return facts.Refused, nil
	case within.Err() != nil, isTimeout(err):
		return facts.NoAnswer, nil
	}
	return facts.Unreachable, nil
}

// isTimeout tells a time-out of ours, or of the operating system's, which may give up earlier.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
