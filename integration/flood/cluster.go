package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	counters = sessionproc.KindOf[sessionproc.None]("counter")
	add      = sessionproc.MethodOf[int, int](counters, "add")
)

type counter struct{ N int }

func newCounters() sessionproc.AnyKind {
	k := sessionproc.NewKind(counters, func(context.Context, sessionproc.None) (*counter, error) {
		return &counter{},
			nil
	},
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, add, func(c *counter, _ context.Context, n int) (int, error) {
		c.N += n
		return c.N, nil
	})
	return k
}

// memberAddr is the i-th member's.
func memberAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 1, 0, byte(1 + i%250)}) }

// from is the machine's network, dialling from one address.
type from struct {
	net.ListenConfig
	addr netip.Addr
}

func (f *from) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(f.addr, 0))}
	return d.DialContext(ctx, network, address)
}

// lines counts what is logged.
type lines struct {
	slog.Handler
	count *atomic.Int64
}

func (l lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (l lines) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l lines) WithGroup(string) slog.Handler                    { return l }
func (l lines) Handle(context.Context, slog.Record) error {
	l.count.Add(1)
	return nil
}

// A siege is a cluster under attack.
type siege struct {
	plan
	secret string
	logged atomic.Int64
	mu     sync.Mutex // guards nodes
	nodes  []*node.Node
	counts []atomic.Int64 // of each session, what was added for sure
}

func (s *siege) start(ctx context.Context, i int, join string) (*node.Node, error) {
	cfg := node.Config{
		Slot: fmt.Sprintf("m%d", i), Bind: netip.AddrPortFrom(memberAddr(i), 0).String(), Secret: s.secret,
		Network: &from{addr: memberAddr(i)}, Kinds: []sessionproc.AnyKind{newCounters()},
		Logger: slog.New(lines{count: &s.logged}), JoinTimeout: 20 * time.Second,
	}
	if join != "" {
		cfg.Join = []string{join}
	}
	return node.Start(ctx, cfg)
}

// caller is one of the nodes that calls are made by.
func (s *siege) caller() *node.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[rand.IntN(len(s.nodes))]
}

func (s *siege) keep(change func([]*node.Node) []*node.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = change(slices.Clone(s.nodes))
}

func sessionID(i int) string { return fmt.Sprintf("session-%d", i) }

// run starts three members, attacks them, and has one more join and one leave.
func (p plan) run(ctx context.Context) (r result, err error) {
	s := &siege{plan: p, counts: make([]atomic.Int64, p.Sessions)}
	if !p.Plain {
		s.secret = node.NewSecret()
	}
	defer func() {
		for _, n := range s.nodes {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := s.gather(ctx); err != nil {
		return r, err
	}
	load := s.load(ctx)
	a := p.Attack
	for _, n := range s.nodes {
		a.Targets = append(a.Targets, n.Addr())
	}
	var attack *child.Process
	if a.Kind != "none" {
		if attack, err = child.Start(attackRole, a); err != nil {
			return r, err
		}
	}
	begun := time.Now()
	r = result{kind: a.Kind}
	time.Sleep(p.Time / 5)
	r.join, r.joinErr = s.joinOne(ctx)
	r.left, r.leave, r.leaveErr = s.leaveOne(ctx)
	time.Sleep(time.Until(begun.Add(p.Time)))
	r.failed, r.calls, r.p99, r.slowest, r.example = load.end()
	if attack != nil {
		if cpu, err := attack.CPU(); err == nil {
			r.attackCPU = cpu
		}
		err = attack.Stop()
	}
	r.logged = s.logged.Load()
	r.lost = s.lost(ctx)
	return r, err
}

// gather starts the members and the sessions.
func (s *siege) gather(ctx context.Context) error {
	join := ""
	for i := range 3 {
		n, err := s.start(ctx, i, join)
		if err != nil {
			return err
		}
		s.keep(func(all []*node.Node) []*node.Node { return append(all, n) })
		join = s.nodes[0].Addr()
	}
	for i := range s.Sessions {
		if err := counters.Start(ctx, s.caller(), sessionID(i), sessionproc.None{}); err != nil {
			return err
		}
	}
	return nil
}

// joinOne starts a fourth member, from an address that nobody knows yet.
func (s *siege) joinOne(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	n, err := s.start(ctx, 3, s.nodes[0].Addr())
	if err == nil {
		s.keep(func(all []*node.Node) []*node.Node { return append(all, n) })
	}
	return time.Since(begun), err
}

// leaveOne has the second member leave, and returns how many sessions it had.
func (s *siege) leaveOne(ctx context.Context) (int, time.Duration, error) {
	gone := s.nodes[1]
	s.keep(func(all []*node.Node) []*node.Node { return slices.Delete(all, 1, 2) })
	sessions := gone.Sessions()
	begun := time.Now()
	err := gone.Leave(ctx)
	return sessions, time.Since(begun), err
}

// lost counts the sessions that are gone, or have forgotten something.
func (s *siege) lost(ctx context.Context) (lost int) {
	for i := range s.counts {
		n, err := add.Call(ctx, s.caller(), sessionID(i), 0)
		if err != nil || int64(n) < s.counts[i].Load() {
			lost++
		}
	}
	return lost
}
