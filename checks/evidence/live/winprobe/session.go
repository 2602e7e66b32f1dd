package winprobe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/cloudsoda/go-smb2"

	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/facts"
	"ocsdoctor/checks/evidence/live/env"
)

// server is the one session that a server gets in a run.
type server struct {
	env      *env.Env
	endpoint facts.Endpoint
	// turn is held by the question that opens the session; it guards what follows.
	turn    chan struct{}
	opened  bool
	target  env.Target
	failure *evidence.Failure

	session *smb2.Session
	watch   *watch
	// ctx ends with the run.
	ctx context.Context

	mu    sync.Mutex
	pools map[string]*pool
	// shares are those that questions have opened; silent are those of which a file was asked for in vain.
	shares map[string]*smb2.Share
	silent map[string]*evidence.Failure
}

// sessionKey names the session with a server, or what stands in it: a pipe, a share. It is the root of every question that that could
// not serve, and no kind of its own.
func sessionKey(e facts.Endpoint, in ...string) evidence.Key {
	return evidence.Key{Kind: "win.session", Query: strings.Join(append([]string{e.String()}, in...), ` \`)}
}

// open makes the session ready, once.
func (s *server) open(ctx context.Context, tr *env.Trace, target env.Target, way account) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return env.Ended(ctx)
	}
	if !s.opened {
		s.target = target
		err := s.start(ctx, tr, way)
		if f := env.Ended(ctx); f != nil {
			return f
		}
		s.opened = true
		if err != nil {
			s.failure = evidence.Rooted(err, sessionKey(s.endpoint))
		}
	}
	if s.failure != nil {
		return s.failure
	}
	return nil
}

// start connects and proves the account.
func (s *server) start(ctx context.Context, tr *env.Trace, way account) error {
	return s.env.Prove(ctx, func() error {
		initiator, err := way.initiator(ctx, tr)
		if err != nil {
			return err
		}
		err = s.env.Exchange(ctx, tr, s.target, s.env.Budgets.Exchange, func(within context.Context) error {
			conn, err := s.env.Connect(within, s.target)
			if err != nil {
				return err
			}
			s.watch = newWatch(conn)
			stop := env.CloseAtEnd(within, conn)
			defer stop()
			d := smb2.Dialer{Initiator: initiator, Negotiator: smb2.Negotiator{RequireMessageSigning: true}}
			err = guard(func() (err error) {
				s.session, err = d.DialConn(within, s.watch, s.endpoint.Host)
				return err
			})
			if err == nil && s.watch.guest.Load() {
				err = evidence.Fail(evidence.Denied, s.endpoint.Host+" knows the account as a guest only")
			}
			if err != nil {
				_ = conn.Close()
				return s.setup(within, err, way)
			}
			s.ctx = ctx
			context.AfterFunc(ctx, func() { _ = conn.Close() }) // the run's end is the session's
			tr.Log("SMB session: accepted, with " + way.String() + "; answers are signed")
			return nil
		})
		if errors.Is(err, errNotSMB2) {
			return s.oldSMB(ctx, tr)
		}
		return err
	})
}

// errNotSMB2 marks a server that hung up on SMB 2.
var errNotSMB2 = evidence.Fail(evidence.Protocol, "no SMB 2")

// setup is what the error of a session setup amounts to.
func (s *server) setup(ctx context.Context, err error, way account) error {
	var own *evidence.Failure
	status := s.watch.status.Load()
	why, known := setups[status]
	switch {
	case errors.As(err, &own):
		return own
	case ctx.Err() != nil:
		return ctx.Err()
	case s.watch.foreign.Load():
		return evidence.Fail(evidence.Protocol, s.endpoint.String()+" answers something that is not SMB")
	case known:
		return evidence.Fail(evidence.Denied, s.endpoint.Host+" "+why)
	case refusals[status] != "":
		return way.refused(refusals[status])
	case status != 0 && status != statusMoreProcessing:
		return refusedWith("the SMB session with "+s.endpoint.Host, status)
	case s.watch.closed.Load() && s.watch.answers.Load() == 0:
		return errNotSMB2
	case s.watch.closed.Load():
		return evidence.Fail(evidence.Protocol, s.endpoint.String()+" ended the connection during the SMB session setup")
	case strings.Contains(err.Error(), "signature"):
		return evidence.Fail(evidence.Protocol, s.endpoint.Host+" does not sign its SMB answers, or wrongly")
	}
	return evidence.Fail(evidence.Protocol, s.endpoint.String()+" answers the SMB session setup with something malformed")
}

// oldNegotiate is SMB_COM_NEGOTIATE of SMB 1 with the dialect NT LM 0.12 ([MS-CIFS] 2.2.4.52.1), with its length before it.
var oldNegotiate = append([]byte{0, 0, 0, 47, 0xff, 'S', 'M', 'B', 0x72, 0, 0, 0, 0, 0x18, 0x01, 0x28,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 2}, "NT LM 0.12\x00"...)

// oldSMB finds out why a server hung up on SMB 2: Windows Server 2003 and older speak SMB 1 only.
func (s *server) oldSMB(ctx context.Context, tr *env.Trace) error {
	old := false
	err := s.env.Talk(ctx, tr, s.target, s.env.Budgets.Exchange, func(_ context.Context, conn net.Conn) error {
		if _, err := conn.Write(oldNegotiate); err != nil {
			return err
		}
		var answer [8]byte
		_, err := io.ReadFull(conn, answer[:])
		old = err == nil && string(answer[4:]) == "\xffSMB"
		return err
	})
	if old {
		return evidence.Fail(evidence.Protocol, s.endpoint.Host+" speaks SMB 1 only, as Windows Server 2003 does, which is not spoken here:"+
			" run collect.cmd on it and give its folder with --host-dump")
	}
	if f := env.Ended(ctx); f != nil {
		return f
	}
	if err != nil {
		tr.Log("SMB 1: " + evidence.Rooted(err, sessionKey(s.endpoint)).Detail)
	}
	return evidence.Fail(evidence.Protocol, s.endpoint.String()+" ended the connection when SMB 2 was spoken to it")
}

// broken tells whether the connection of the session is over.
func (s *server) broken() bool { return s.watch.closed.Load() }

// talk has one exchange over the session. What fn returns other than a failure is judged as an error of the connection.
func (s *server) talk(ctx context.Context, tr *env.Trace, fn func(context.Context) error) error {
	return s.env.Exchange(ctx, tr, s.target, s.env.Budgets.Exchange, func(within context.Context) error {
		err := guard(func() error { return fn(within) })
		var own *evidence.Failure
		switch {
		case err == nil, errors.As(err, &own):
			return err
		case within.Err() != nil:
			return within.Err()
		case s.broken():
			return evidence.FailAt(evidence.Protocol, s.endpoint.String()+" ended the SMB session", sessionKey(s.endpoint))
		}
		if status, ok := statusOf(err); ok {
			return refusedWith("a request to "+s.endpoint.Host, status)
		}
		return evidence.Fail(evidence.Protocol, s.endpoint.Host+" answers wrongly: "+err.Error())
	})
}

// guard turns a panic of the library, which trusts its input, into an error.
func guard(fn func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("what it sent is malformed")
		}
	}()
	return fn()
}

// maxPipes is how many pipes of one interface a server has open: as many as there are exchanges with one address at a time. With 8,
// some of Samba's were left without an answer.
const maxPipes = 4

// pool holds the pipes to one interface.
type pool struct {
	slots chan struct{}

	mu   sync.Mutex
	idle []*pipe
	// failure is why no pipe is opened any more: one could not be, or a call did not come to its end. It is asked once.
	failure *evidence.Failure
}

// pipe is an open pipe, in use by one goroutine at a time.
type pipe struct {
	*association
	server *server
	tr     *env.Trace
	ctx    context.Context
	cancel context.CancelFunc
	// hives are the handles of the registry's roots.
	hives map[uint16]handle
	// left is how many sub-keys of the registry are still open.
	left int
	lost bool
}

// with runs fn with a pipe to an interface, which is idle or is opened. fn's context is that of pipe.ctx.
func (s *server) with(ctx context.Context, tr *env.Trace, i service, fn func(*pipe) error) error {
	s.mu.Lock()
	p := s.pools[i.pipe]
	if p == nil {
		p = &pool{slots: make(chan struct{}, maxPipes)}
		s.pools[i.pipe] = p
	}
	s.mu.Unlock()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return env.Ended(ctx)
	}
	p.mu.Lock()
	var use *pipe
	if n := len(p.idle); n > 0 {
		use, p.idle = p.idle[n-1], p.idle[:n-1]
	}
	failure := p.failure
	p.mu.Unlock()
	if failure != nil {
		return failure
	}
	var err error
	if use == nil {
		use, err = s.dial(ctx, tr, i)
	}
	if err == nil {
		use.ctx, use.tr = ctx, tr
		err = fn(use)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case use == nil:
	case use.lost:
		use.cancel()
	default:
		p.idle = append(p.idle, use)
		return err
	}
	if f := env.Ended(ctx); f != nil {
		return f
	}
	if p.failure == nil {
		p.failure = evidence.Rooted(err, sessionKey(s.endpoint, i.pipe))
	}
	return p.failure
}

// service is an interface with the pipe that leads to it.
type service struct {
	pipe string
	syntax
	// name is what people call it, hint what it means that its pipe is not there.
	name, hint string
}

// smbPipe is a pipe of the SMB library. Its reads end when its context does.
type smbPipe struct {
	file *smb2.File
	end  context.CancelFunc
}

func (p smbPipe) Read(b []byte) (int, error)  { return p.file.ReadAt(b, 0) }
func (p smbPipe) Write(b []byte) (int, error) { return p.file.WriteAt(b, 0) }
func (p smbPipe) Close() error                { p.end(); return nil }

// ipc is the share that pipes stand in.
const ipc = "IPC$"

// share opens a share of the server, once.
func (s *server) share(within context.Context, name string) (*smb2.Share, error) {
	s.mu.Lock()
	share := s.shares[name]
	s.mu.Unlock()
	if share != nil {
		return share, nil
	}
	share, err := s.session.WithContext(within).Mount(name)
	if status, ok := statusOf(err); ok {
		switch status {
		case statusBadNetworkName, statusObjectNameNotFound:
			return nil, evidence.FailAt(evidence.Unreachable, s.endpoint.Host+" has no share "+name, sessionKey(s.endpoint, name))
		case statusAccessDenied:
			return nil, evidence.FailAt(evidence.Denied, s.endpoint.Host+" refuses the share "+name+": the account has no right to it",
				sessionKey(s.endpoint, name))
		}
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shares[name] = share
	return share, nil
}

// dial opens a pipe and binds to its interface. A pipe is opened for reading and writing because requests are written to it.
func (s *server) dial(ctx context.Context, tr *env.Trace, i service) (*pipe, error) {
	p := &pipe{server: s, hives: map[uint16]handle{}}
	life, end := context.WithCancel(s.ctx)
	p.cancel = end
	err := s.talk(ctx, tr, func(within context.Context) error {
		defer context.AfterFunc(within, end)()
		share, err := s.share(within, ipc)
		if err != nil {
			return err
		}
		file, err := share.WithContext(life).OpenFile(i.pipe, os.O_RDWR, 0)
		if err != nil {
			status, ok := statusOf(err)
			switch {
			case ok && (status == statusObjectNameNotFound || status == statusPipeNotAvailable):
				return evidence.Fail(evidence.Unreachable, s.endpoint.Host+" has no pipe \\"+i.pipe+": "+i.hint)
			case ok && status == statusAccessDenied:
				return evidence.Fail(evidence.Denied, s.endpoint.Host+" refuses "+i.name+" (the pipe \\"+i.pipe+"): the account has no right to it")
			}
			return err
		}
		p.association, err = bind(smbPipe{file, end}, i.syntax)
		if errors.Is(err, errNak) {
			return evidence.Fail(evidence.Protocol, s.endpoint.Host+": "+err.Error()+" \\"+i.pipe)
		}
		return err
	})
	if err != nil {
		end()
		return nil, err
	}
	return p, nil
}

// try has the server carry out one call within the budget of one exchange. The error is a *fault where the server did not, else a
// failure; a pipe whose call did not come to its end is lost.
func (p *pipe) try(op uint16, args []byte) (answer *reader, err error) {
	var f *fault
	err = p.server.talk(p.ctx, p.tr, func(within context.Context) error {
		defer context.AfterFunc(within, p.cancel)()
		var err error
		if answer, err = p.call(op, args); errors.As(err, &f) {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		p.lost = true
		return nil, err
	case f != nil:
		return nil, f
	}
	return answer, nil
}

// ask is try for a call to which there is no other way.
func (p *pipe) ask(op uint16, args []byte) (*reader, error) {
	answer, err := p.try(op, args)
	return answer, p.final(err)
}

// final makes a fault the failure that it is where there is no other way.
func (p *pipe) final(err error) error {
	var f *fault
	switch {
	case !errors.As(err, &f):
		return err
	case f.status == faultAccessDenied:
		return evidence.Fail(evidence.Denied, p.server.endpoint.Host+" refuses a call: the account has no right to it")
	}
	return evidence.Fail(evidence.Protocol, fmt.Sprintf("%s does not carry out a call (fault 0x%08X)", p.server.endpoint.Host, f.status))
}

// malformed is the failure of an answer that cannot be read.
func (p *pipe) malformed(i service) *evidence.Failure {
	return evidence.Fail(evidence.Protocol, p.server.endpoint.Host+" answers wrongly on the pipe \\"+i.pipe)
}
