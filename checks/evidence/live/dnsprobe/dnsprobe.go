// Package dnsprobe asks one resolver one question, as a stub resolver does.
package dnsprobe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// maxStray bounds the datagrams that do not belong to a question, so that a flood of them does not keep the processor busy.
const maxStray = 1000

// Answer asks the resolver. The question is plain, without EDNS, which old Windows DNS servers and the firewalls of
// their time do not all let through (RFC 6891, section 6.2.6); a truncated answer is asked for again over TCP (RFC 7766).
// Every response code is a value. A message that does not belong to the question is not listened to (RFC 5452, section 9.1).
func Answer(ctx context.Context, e *env.Env, tr *env.Trace, r *evidence.Reader, q facts.DNSQuestion) (facts.DNSAnswerData, error) {
	scope, err := facts.ConfigScope.Get(r, evidence.None{})
	if err != nil {
		return facts.DNSAnswerData{}, err
	}
	i := slices.IndexFunc(scope.Resolvers, func(s facts.Resolver) bool { return s.ID == q.Server })
	if i < 0 {
		return facts.DNSAnswerData{}, evidence.Fail(evidence.Internal, "there is no resolver "+q.Server)
	}
	host, port := facts.SplitHostPort(scope.Resolvers[i].Address, 53)
	p := &probe{env: e, trace: tr, name: q.Server}
	if p.query, err = message(q); err != nil {
		return facts.DNSAnswerData{}, evidence.Fail(evidence.Protocol, "DNS cannot carry this question: "+q.String())
	}
	target, err := e.Target(r, "udp", facts.Endpoint{Host: host, Port: port})
	if err != nil {
		return facts.DNSAnswerData{}, err
	}
	m, raw, err := p.ask(ctx, target, p.datagram)
	if err != nil {
		return facts.DNSAnswerData{}, err
	}
	truncated := m.Truncated
	if truncated {
		tr.Log("the answer was truncated; asked again over TCP")
		if target, err = e.Target(r, "tcp", target.Endpoint); err != nil {
			return facts.DNSAnswerData{}, err
		}
		if m, raw, err = p.ask(ctx, target, p.stream); err != nil {
			return facts.DNSAnswerData{}, err
		}
	}
	return facts.DNSAnswerData{Rcode: rcode(m.Rcode), Authoritative: m.Authoritative, TCP: truncated, Records: records(m.Answer), Raw: raw}, nil
}

// message is the question as it is sent.
func message(q facts.DNSQuestion) (*dns.Msg, error) {
	typ, ok := dns.StringToType[q.Type]
	if !ok {
		return nil, fmt.Errorf("unknown record type %q", q.Type)
	}
	m := new(dns.Msg).SetQuestion(dns.Fqdn(q.Name), typ)
	_, err := m.Pack()
	return m, err
}

type probe struct {
	env   *env.Env
	trace *env.Trace
	name  string
	query *dns.Msg
}

// errStray says that something came, but nothing that answers the question.
var errStray = errors.New("only stray messages")

// ask has one exchange, of as many attempts as the budget has, and returns the answer and its bytes.
func (p *probe) ask(ctx context.Context, t env.Target, try func(*dns.Conn) (*dns.Msg, []byte, error)) (m *dns.Msg, raw []byte, err error) {
	budget := p.env.Budgets.DNSAttempt * env.DNSAttempts
	err = p.env.Exchange(ctx, p.trace, t, budget, func(ctx context.Context) error {
		stray := false
		for n := range env.DNSAttempts {
			if n > 0 {
				p.trace.Attempt()
			}
			var err error
			m, raw, err = p.attempt(ctx, t, try)
			switch {
			case err == nil:
				return nil
			case ctx.Err() == nil && !errors.Is(err, errStray) && !errors.Is(err, os.ErrDeadlineExceeded):
				return err
			}
			stray = stray || errors.Is(err, errStray)
			p.trace.Log(fmt.Sprintf("attempt %d over %s: no answer in time", n+1, t.Network))
		}
		if stray {
			return evidence.Fail(evidence.Protocol, p.name+" answers with messages that are malformed or belong to another question")
		}
		return os.ErrDeadlineExceeded
	})
	return m, raw, err
}

// attempt sends the question once, with a new id and from a new port, and waits for its answer.
func (p *probe) attempt(ctx context.Context, t env.Target, try func(*dns.Conn) (*dns.Msg, []byte, error)) (*dns.Msg, []byte, error) {
	within, cancel := context.WithTimeout(ctx, p.env.Budgets.DNSAttempt)
	defer cancel()
	conn, err := p.env.Connect(within, t)
	if err != nil {
		if within.Err() != nil {
			err = os.ErrDeadlineExceeded
		}
		return nil, nil, err
	}
	defer func() { _ = conn.Close() }()
	defer env.CloseAtEnd(ctx, conn)()
	if deadline, ok := within.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, nil, err
		}
	}
	p.query.Id = dns.Id()
	c := &dns.Conn{Conn: conn, UDPSize: dns.MaxMsgSize}
	if err := c.WriteMsg(p.query); err != nil {
		return nil, nil, err
	}
	return try(c)
}

// datagram reads until the answer comes or the deadline does.
func (p *probe) datagram(c *dns.Conn) (*dns.Msg, []byte, error) {
	buf := make([]byte, dns.MaxMsgSize)
	for stray := range maxStray {
		n, err := c.Conn.Read(buf)
		if err != nil {
			if stray > 0 && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed)) {
				err = errStray
			}
			return nil, nil, err
		}
		if m := p.read(buf[:n]); m != nil {
			return m, slices.Clone(buf[:n]), nil
		}
	}
	return nil, nil, errStray
}

// stream reads the one answer that a connection carries.
func (p *probe) stream(c *dns.Conn) (*dns.Msg, []byte, error) {
	raw, err := c.ReadMsgHeader(nil)
	if err != nil && !errors.Is(err, dns.ErrShortRead) {
		return nil, nil, err
	}
	if m := p.read(raw); m != nil {
		return m, raw, nil
	}
	return nil, nil, errStray
}

// read takes a message apart; nil when it is malformed or does not answer the question.
func (p *probe) read(raw []byte) *dns.Msg {
	m := new(dns.Msg)
	if m.Unpack(raw) != nil || !m.Response || m.Id != p.query.Id || m.Opcode != dns.OpcodeQuery {
		return nil
	}
	if len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return m // a server that does not understand the question need not repeat it
	}
	asked := p.query.Question[0]
	if len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, asked.Name) || m.Question[0].Qtype != asked.Qtype || m.Question[0].Qclass != asked.Qclass {
		return nil
	}
	return m
}

// rcode is the name of a response code (RFC 6895, section 2.3).
func rcode(n int) string {
	if s, ok := dns.RcodeToString[n]; ok {
		return s
	}
	return fmt.Sprintf("RCODE%d", n)
}

// records are those of the answer section, in an order of their own: servers turn theirs with each question.
func records(rrs []dns.RR) []facts.Record {
	var out []facts.Record
	for _, rr := range rrs {
		h := rr.Header()
		if h.Class != dns.ClassINET {
			continue
		}
		rec := facts.Record{Name: facts.Host(h.Name), Type: dns.TypeToString[h.Rrtype], TTL: h.Ttl}
		switch rr := rr.(type) {
		case *dns.A:
			rec.Address = rr.A.String()
		case *dns.AAAA:
			rec.Address = rr.AAAA.String()
		case *dns.CNAME:
			rec.Target = facts.Host(rr.Target)
		case *dns.NS:
			rec.Target = facts.Host(rr.Ns)
		case *dns.SRV:
			rec.Target, rec.Priority, rec.Weight, rec.Port = facts.Host(rr.Target), rr.Priority, rr.Weight, int(rr.Port)
		default:
			continue
		}
		out = append(out, rec)
	}
	slices.SortStableFunc(out, func(a, b facts.Record) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Priority, b.Priority),
			cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Address, b.Address))
	})
	return out
}
