package main

import (
	"archive/zip"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"ocsdoctor/checks"
	"ocsdoctor/checks/all"
	"ocsdoctor/checks/engine"
	"ocsdoctor/checks/evidence"
	"ocsdoctor/checks/evidence/hostdump"
	"ocsdoctor/checks/evidence/live"
	"ocsdoctor/checks/policy"
	"ocsdoctor/fixtures/lab"
)

func unzipped(t *testing.T, name string) string {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	var b strings.Builder
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&b, r); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
	}
	return b.String()
}

// labScan scans the lab in this process and keeps the store.
func labScan(t testing.TB, l *lab.Lab) (*evidence.Store, *engine.Outcome) {
	t.Helper()
	dumps, err := labDumps(l)
	if err != nil {
		t.Fatal(err)
	}
	collected(&l.Scope, dumps)
	src, err := live.New(live.Options{Scope: l.Scope, Password: l.Password, Lab: l.Map})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	store := evidence.NewStore(ctx, withScope(l.Scope, time.Now(), hostdump.Source{Dumps: dumps, Next: src}))
	return store, engine.Run(store, all.Checks(), time.Now())
}

func startLab(t testing.TB, spec string, o lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.Start(t.Context(), spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

type judged struct{ check, subject string }

// Taking any one fact out of a healthy recording never leaves a check green that rested on it.
func TestKnockOut(t *testing.T) {
	t.Parallel()
	store, out := labScan(t, startLab(t, "todorovic", lab.Options{}))
	restsOn := map[judged]map[evidence.Key]bool{}
	for _, r := range out.Results {
		if r.Status == engine.StatusPass {
			restsOn[judged{r.Check.ID, r.Subject.Name}] = store.Lineage(r.Read)
		}
	}
	records := store.Records()
	if len(restsOn) < 12 || len(records) < 20 {
		t.Fatalf("only %d checks pass on %d facts", len(restsOn), len(records))
	}
	now, rested := time.Now(), 0
	for _, gone := range records {
		rest := evidence.Recorded{}
		for _, r := range records {
			if r != gone {
				rest[r.Key] = r
			}
		}
		replay := engine.Run(evidence.NewStore(t.Context(), rest), all.Checks(), now)
		used := false
		for _, r := range replay.Results {
			lineage := restsOn[judged{r.Check.ID, r.Subject.Name}]
			if !lineage[gone.Key] {
				continue
			}
			used = true
			if r.Status == engine.StatusPass {
				t.Errorf("%s on %s passes without %s", r.Check.ID, r.Subject.Name, gone.Key)
			}
		}
		if used {
			rested++
		}
	}
	if rested < 15 {
		t.Errorf("only %d facts were rested on: the test tests little", rested)
	}
}

// No question is asked twice: each distinct one costs one exchange.
func TestEveryQuestionIsAskedOnce(t *testing.T) {
	t.Parallel()
	l := startLab(t, "todorovic", lab.Options{})
	labScan(t, l)
	queries := l.Queries()
	slices.Sort(queries)
	if len(queries) < 15 {
		t.Fatalf("the lab saw only %v", queries)
	}
	for i, q := range queries {
		if i > 0 && q == queries[i-1] {
			t.Errorf("asked twice: %s", q)
		}
	}
}

// silentServer accepts connections and datagrams on one port and never answers.
func silentServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	pc, err := net.ListenPacket("udp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	return ln.Addr().String()
}

// Servers that accept and never answer cost one budget each: the scan ends in time, what hangs on them is unknown
// with their address as root, and the rest is judged.
func TestSilentServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ports   []string
		unknown []string
		judged  []string
		roots   []string
	}{
		"DNS": {[]string{":53"}, []string{"dns/sip-host", "ad/dc-reachable", "net/sip-port"}, nil,
			[]string{"net.address(192.168.1.10:53/udp)"}},
		"LDAP": {[]string{":389"}, []string{"ad/dc-reachable", "ad/domain-functional-level", "ad/forest-functional-level"},
			[]string{"net/sip-port", "dns/sip-tls-srv", "iis/https-443", "signin/challenge"},
			[]string{"net.address(dc1.todorovic.adds:389/tcp)", "net.address(dc2.todorovic.adds:389/tcp)"}},
		"SIP": {[]string{":5061"}, []string{"pki/server-name", "signin/challenge"},
			[]string{"net/sip-port", "ad/dc-reachable", "iis/https-443", "dns/sip-host"}, []string{"net.address(ocs.todorovic.adds:5061/tcp)"}},
		"all at once": {[]string{":53", ":389", ":5061", ":443"}, []string{"dns/sip-host", "ad/dc-reachable"}, nil,
			[]string{"net.address(192.168.1.10:53/udp)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLab(t, "todorovic", lab.Options{})
			for service := range l.Map {
				for _, p := range c.ports {
					if strings.HasSuffix(service, p) {
						l.Map[service] = silentServer(t)
					}
				}
			}
			start := time.Now()
			_, out := labScan(t, l)
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("the scan took %v", took)
			}
			if d := policy.Decide(out, policy.Options{FailOn: checks.Error}); d.ExitCode != policy.ExitIncomplete {
				t.Errorf("exit %d", d.ExitCode)
			}
			status := map[string]engine.Status{}
			for _, r := range out.Results {
				status[r.Check.ID] = r.Status
				if r.Status == engine.StatusUnknown && !slices.Contains(c.roots, r.Missing.Root.String()) {
					t.Errorf("%s hangs on %s (%s)", r.Check.ID, r.Missing.Root, r.Missing.Detail)
				}
			}
			for _, id := range c.unknown {
				if status[id] != engine.StatusUnknown {
					t.Errorf("%s is %q", id, status[id])
				}
			}
			for _, id := range c.judged {
				if status[id] != engine.StatusPass {
					t.Errorf("%s is %q", id, status[id])
				}
			}
			if len(out.Roots) > 0 {
				t.Errorf("there are roots: %v", out.Roots)
			}
		})
	}
}
