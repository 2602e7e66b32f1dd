// Package env is what every probe stands on: one dialer with the user's map of addresses, one queue and one memory
// for each real address, budgets, and the story of what was tried. No probe dials in any other way.
package env

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
)

// The budgets of one run. A probe waits for a slot first and starts its deadline second, so they are times on the wire.
const (
	// DNSAttempt is how long one question may stay without an answer before it is sent once more.
	DNSAttempt = 2 * time.Second
	// DNSAttempts is how often a question is sent.
	DNSAttempts = 2
	// ConnectBudget is for one TCP connect; all addresses of a host are tried side by side. A lost SYN is
	// sent again after one second, so that two may be lost.
	ConnectBudget = 3 * time.Second
	// ExchangeBudget is for one LDAP, TLS or SIP exchange, its connect included.
	ExchangeBudget = 5 * time.Second
	// FetchBudget is for one HTTP fetch with its redirects. Windows gives the first URL of a certificate as long.
	FetchBudget = 15 * time.Second
)

const (
	// dnsSlots is how many questions one resolver is asked at the same time.
	dnsSlots = 16
	// slots is how many exchanges of another protocol one address has at the same time.
	slots = 4
	// dnsPort is the port that makes an address a resolver.
	dnsPort = 53
)

// Budgets are those of a run; tests shorten them.
type Budgets struct{ DNSAttempt, Connect, Exchange, Fetch time.Duration }

// Env is one run's way to the network. It is safe for use by several goroutines.
type Env struct {
	// Budgets are set before the first use.
	Budgets Budgets

	scope    facts.Scope
	password string
	sip      string
	keytab   []byte
	tickets  []byte
	connect  map[string]string
	lab      map[string]string

	mu        sync.Mutex
	addresses map[string]*address
	contacted map[string]bool
	reached   map[facts.Endpoint]Target

	// gate lets one proof of the account through at a time; refused, which it guards, is set once one was refused.
	gate    chan struct{}
	refused *evidence.Failure
}

// Options is what an Env is made from.
type Options struct {
	Scope facts.Scope
	// Password is that of Scope.LDAPUser; it never enters a record.
	Password string
	// SIPPassword is that of Scope.SIPUser, with the same care.
	SIPPassword string
	// Keytab or TicketCache is the content of the file that stands in for a password with Scope.Keytab or Scope.Kerberos.
	// It never enters a record either.
	Keytab, TicketCache []byte
	// Connect are --connect values: HOST:PORT=ADDR:PORT, HOST:*=ADDR or *:PORT=ADDR:PORT.
	Connect []string
	// Lab maps "tcp 10.0.0.10:5061" to a loopback address; not nil means that nothing else is ever dialled.
	Lab map[string]string
}

// New makes the way to the network of one run. The error says which --connect value is malformed.
func New(o Options) (*Env, error) {
	connect, err := parseConnect(o.Connect)
	if err != nil {
		return nil, err
	}
	return &Env{
		Budgets: Budgets{DNSAttempt, ConnectBudget, ExchangeBudget, FetchBudget},
		scope:   o.Scope, password: o.Password, sip: o.SIPPassword, keytab: o.Keytab, tickets: o.TicketCache, connect: connect, lab: o.Lab,
		addresses: map[string]*address{}, contacted: map[string]bool{}, reached: map[facts.Endpoint]Target{},
		gate: make(chan struct{}, 1),
	}, nil
}

// Scope is what the user asked for.
func (e *Env) Scope() facts.Scope { return e.scope }

// Password is that of Scope.LDAPUser. It is for the bind alone and never enters a record, a log or an error.
func (e *Env) Password() string { return e.password }

// SIPPassword is that of Scope.SIPUser, with the same care.
func (e *Env) SIPPassword() string { return e.sip }

// Keytab and TicketCache are the files that stand in for a password, with the same care.
func (e *Env) Keytab() []byte { return e.keytab }

// TicketCache is the content of the ticket cache; see Keytab.
func (e *Env) TicketCache() []byte { return e.tickets }

// Contacted lists what was dialled as "host:port/proto", by logical name, sorted.
func (e *Env) Contacted() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]string, 0, len(e.contacted))
	for k := range e.contacted {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Ended is the failure of what the end of the run cut short; nil while the run goes on. The clock is asked too, since
// a socket's deadline may strike before the context's does.
func Ended(ctx context.Context) *evidence.Failure {
	deadline, ok := ctx.Deadline()
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded), err == nil && ok && !time.Now().Before(deadline):
		return evidence.FailAt(evidence.Timeout, "the scan's --timeout ended it", evidence.RunEnded)
	case err == nil:
		return nil
	}
	return evidence.FailAt(evidence.Interrupted, "the scan was interrupted", evidence.RunEnded)
}

// Trace is the story of how one fact came about.
type Trace struct {
	mu       sync.Mutex
	log      []string
	took     time.Duration
	attempts int
}

// Log adds a line, in our own words and without a secret.
func (t *Trace) Log(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, line)
}

// Attempt counts one try.
func (t *Trace) Attempt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attempts++
}

// clock starts to count time on the wire; what it returns stops it.
func (t *Trace) clock() (stop func()) {
	start := time.Now()
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.took += time.Since(start)
	}
}

// Record writes the story into a record.
func (t *Trace) Record(rec *evidence.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rec.Log, rec.Took, rec.Attempts = slices.Clone(t.log), t.took, t.attempts
}

// address is the memory of one real address.
type address struct {
	slots chan struct{}
	// died is closed once failure is set.
	died chan struct{}

	mu      sync.Mutex
	alive   bool
	failure *evidence.Failure
}

func (e *Env) address(t Target) *address {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := t.Real + "/" + t.Network
	a, ok := e.addresses[key]
	if !ok {
		n := slots
		if t.Endpoint.Port == dnsPort || t.Network == "udp" {
			n = dnsSlots
		}
		a = &address{slots: make(chan struct{}, n), died: make(chan struct{})}
		e.addresses[key] = a
	}
	return a
}

// answered remembers that the address is not silent.
func (a *address) answered() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.alive = true
}

// silent takes note of a time-out and returns its failure: the address's own when it never answered anything.
func (a *address) silent(t Target) *evidence.Failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.failure != nil:
		return a.failure
	case a.alive:
		return evidence.Fail(evidence.Timeout, t.String()+" did not answer in time")
	}
	a.failure = evidence.FailAt(evidence.Timeout, t.String()+" stays silent", facts.AddressKey(t.Endpoint, t.Network))
	close(a.died)
	return a.failure
}

func (a *address) dead() *evidence.Failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failure
}

// take waits for a slot of the address and returns what gives it back. As soon as died is closed the failure is the
// address's own; nil means that its death does not matter.
func (a *address) take(ctx context.Context, died <-chan struct{}) (release func(), f *evidence.Failure) {
	select {
	case <-died:
		return nil, a.dead()
	default:
	}
	select {
	case a.slots <- struct{}{}:
	case <-died:
		return nil, a.dead()
	case <-ctx.Done():
		return nil, Ended(ctx)
	}
	select { // both may have been ready
	case <-died:
		<-a.slots
		return nil, a.dead()
	default:
	}
	return func() { <-a.slots }, nil
}

// Exchange runs one exchange with a target: it waits for a slot, starts the deadline, runs fn, and tells what a time-out
// means. fn must end when its context does. The error is a *evidence.Failure: the one that fn returned, or what
// its network error amounts to.
func (e *Env) Exchange(ctx context.Context, tr *Trace, t Target, budget time.Duration, fn func(context.Context) error) error {
	a := e.address(t)
	release, f := a.take(ctx, a.died)
	if f != nil {
		return f
	}
	defer release()
	tr.Attempt()
	defer tr.clock()()
	within, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	err := fn(within)
	if err == nil {
		a.answered()
		return nil
	}
	if f := Ended(ctx); f != nil {
		return f
	}
	var own *evidence.Failure
	switch {
	case errors.As(err, &own):
		a.answered()
		return own
	case within.Err() != nil || isTimeout(err):
		return a.silent(t)
	case isRefused(err):
		return evidence.FailAt(evidence.Unreachable, t.String()+" refuses the connection", facts.AddressKey(t.Endpoint, t.Network))
	case isDialError(err), t.Network == "udp":
		return evidence.FailAt(evidence.Unreachable, "no way leads to "+t.String(), facts.AddressKey(t.Endpoint, t.Network))
	}
	a.answered()
	return evidence.Fail(evidence.Protocol, t.String()+" closed the connection")
}

// Talk is an Exchange over a connection of its own, which is closed at its end.
func (e *Env) Talk(ctx context.Context, tr *Trace, t Target, budget time.Duration, fn func(context.Context, net.Conn) error) error {
	return e.Exchange(ctx, tr, t, budget, func(ctx context.Context) error {
		conn, err := e.Connect(ctx, t)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		defer CloseAtEnd(ctx, conn)()
		return fn(ctx, conn)
	})
}

// CloseAtEnd closes a connection as soon as ctx ends, so that no library that waits on it can outlive its budget.
// What it returns takes that back.
func CloseAtEnd(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.Close() })
}

// isDialError tells whether an error is of the way to a server, not of the conversation with it.
func isDialError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || isUnreachable(err)
}
