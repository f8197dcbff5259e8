package integration_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/integration/relay"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// allKinds makes the kinds of the tests, afresh for each node.
func allKinds() []sessionproc.AnyKind {
	return []sessionproc.AnyKind{
		newCounters(), newProbes(), newPings(), newPongs(), newFragile(), newLastWords(), newParcels(), newBags(),
		newClocks(),
		narrow.new(sessionproc.KindConfig{Mailbox: 4}), thin.new(sessionproc.KindConfig{MailboxBytes: 16 << 10}),
		newPairs(), newIdlers(), newVolunteers(), newHoards(), newMayflies(), newAlarms(), newPhoenixes(), newHasties(),
		newBadges(), newLoungers(), snug.new(sessionproc.KindConfig{Mailbox: 2}),
		newBoards(), newFlickers(),
		newBulletins(), newClerks(), newButlers(),
	}
}

// A counter holds a number.
var (
	counters = sessionproc.KindOf[int]("counter")
	get      = sessionproc.MethodOf[sessionproc.None, int](counters, "get")
	add      = sessionproc.MethodOf[int, int](counters, "add")
	addOne   = sessionproc.NoticeOf[sessionproc.None](counters, "add one")
)

type counter struct{ N int }

// startsAs is the start function of a kind whose state begins empty.
func startsAs[S, Arg any](context.Context, Arg) (*S, error) { return new(S), nil }

func newCounters() sessionproc.AnyKind {
	k := sessionproc.NewKind(counters, func(ctx context.Context, n int) (*counter, error) {
		events.tell(sessionproc.FromContext(ctx).ID(), "started")
		return &counter{N: n}, nil
	}, sessionproc.KindConfig{RenewRate: 1000, RenewBurst: 1000})
	sessionproc.HandleCall(k, get, func(c *counter, _ context.Context, _ sessionproc.None) (int, error) {
		return c.N,
			nil
	},
		sessionproc.MethodConfig{ReadOnly: true})
	sessionproc.HandleCall(k, add, func(c *counter, _ context.Context, n int) (int, error) { c.N += n; return c.N, nil })
	sessionproc.HandleCast(k, addOne, func(c *counter, _ context.Context, _ sessionproc.None) error { c.N++; return nil })
	return k
}

// A probe does whatever a test wants to see.
var (
	probes     = sessionproc.KindOf[probeArg]("probe")
	whoAmI     = sessionproc.MethodOf[sessionproc.None, identity](probes, "who_am_i")
	sleep      = sessionproc.MethodOf[nap, string](probes, "sleep")
	hold       = sessionproc.MethodOf[sessionproc.None, sessionproc.None](probes, "hold")
	waitForEnd = sessionproc.MethodOf[sessionproc.None, sessionproc.None](probes, "wait_for_end")
	mark       = sessionproc.MethodOf[int, int](probes, "mark")
	note       = sessionproc.NoticeOf[int](probes, "note")
	marks      = sessionproc.MethodOf[sessionproc.None, []int](probes, "marks")
	fail       = sessionproc.MethodOf[string, sessionproc.None](probes, "fail")
	crash      = sessionproc.MethodOf[string, sessionproc.None](probes, "crash")
	pass       = sessionproc.MethodOf[[]string, passed](probes, "pass")
	quit       = sessionproc.MethodOf[string, string](probes, "quit")
)

type probeArg struct{ Number *int }

type identity struct{ ID, Kind, StartID, StartKind, Number string }

type nap struct {
	For   time.Duration
	Token string
}

// passed is what came of a call along a chain of sessions.
type passed struct {
	Hops  int
	Cycle bool
	Err   string
}

type probe struct {
	Start identity
	Marks []int
}

// ended tells the test why the session has ended.
func (p *probe) ended(_ context.Context, reason sessionproc.Reason) {
	events.tell(p.Start.StartID, "ended "+string(reason))
}

var (
	errOutOfStock = sessionproc.NewError("out_of_stock", "none is left")
	errSoldOut    = sessionproc.NewError("sold_out", "none was ever there")
)

func newProbes() sessionproc.AnyKind {
	k := sessionproc.NewKind(probes, startProbe, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, whoAmI, (*probe).whoAmI)
	sessionproc.HandleCall(k, sleep, (*probe).sleep)
	sessionproc.HandleCall(k, hold, (*probe).hold)
	sessionproc.HandleCall(k, waitForEnd, (*probe).waitForEnd)
	sessionproc.HandleCall(k, mark, (*probe).mark)
	sessionproc.HandleCast(k, note, (*probe).note)
	sessionproc.HandleCall(k, marks, (*probe).marks)
	sessionproc.HandleCall(k, fail, (*probe).fail)
	sessionproc.HandleCall(k, crash, (*probe).crash)
	sessionproc.HandleCall(k, pass, (*probe).pass)
	sessionproc.HandleCall(k, quit, (*probe).quit)
	k.OnEnd((*probe).ended)
	return k
}

func startProbe(ctx context.Context, arg probeArg) (*probe, error) {
	s := sessionproc.FromContext(ctx)
	p := &probe{Start: identity{StartID: s.ID(), StartKind: s.Kind(), Number: "none"}}
	if arg.Number != nil {
		p.Start.Number = fmt.Sprint(*arg.Number)
	}
	return p, nil
}

func (p *probe) whoAmI(ctx context.Context, _ sessionproc.None) (identity, error) {
	s := sessionproc.FromContext(ctx)
	who := p.Start
	who.ID, who.Kind = s.ID(), s.Kind()
	return who, nil
}

// sleep pays no heed to the end of its ctx.
func (p *probe) sleep(_ context.Context, n nap) (string, error) {
	events.tell(p.Start.StartID, "asleep")
	time.Sleep(n.For)
	return n.Token, nil
}

// hold returns when the test says so, and pays no heed to its ctx.
func (p *probe) hold(ctx context.Context, _ sessionproc.None) (sessionproc.None, error) {
	s := sessionproc.FromContext(ctx)
	if err := s.SetLabel("held", s.ID()); err != nil { // a value of no other test: it is remembered when it is ended
		return sessionproc.None{}, err
	}
	events.tell(p.Start.StartID, "held")
	<-events.gate(p.Start.StartID)
	return sessionproc.None{}, nil
}

func (p *probe) waitForEnd(ctx context.Context, _ sessionproc.None) (sessionproc.None, error) {
	events.tell(p.Start.StartID, "waiting")
	select {
	case <-ctx.Done():
		events.tell(p.Start.StartID, "ctx ended")
	case <-time.After(10 * time.Second):
	}
	return sessionproc.None{}, ctx.Err()
}

func (p *probe) mark(_ context.Context, n int) (int, error) {
	p.Marks = append(p.Marks, n)
	return len(p.Marks), nil
}

func (p *probe) note(_ context.Context, n int) error {
	p.Marks = append(p.Marks, n)
	return nil
}

func (p *probe) marks(context.Context, sessionproc.None) ([]int, error) { return p.Marks, nil }

func (p *probe) fail(_ context.Context, how string) (sessionproc.None, error) {
	switch how {
	case "own":
		return sessionproc.None{}, errOutOfStock
	case "wrapped":
		return sessionproc.None{}, fmt.Errorf("looked twice: %w", errOutOfStock)
	case "nil":
		return sessionproc.None{}, (*sessionproc.Error)(nil)
	default:
		return sessionproc.None{}, errors.New(how)
	}
}

func (p *probe) crash(_ context.Context, text string) (sessionproc.None, error) { panic(text) }

// pass calls the first of ids, which calls the next, and so on.
func (p *probe) pass(ctx context.Context, ids []string) (passed, error) {
	if len(ids) == 0 {
		return passed{}, nil
	}
	r, err := pass.Call(ctx, sessionproc.FromContext(ctx).Cluster(), ids[0], ids[1:])
	if err != nil {
		return passed{Cycle: errors.Is(err, sessionproc.ErrCallCycle), Err: err.Error()}, nil
	}
	r.Hops++
	return r, nil
}

func (p *probe) quit(ctx context.Context, reason string) (string, error) {
	sessionproc.FromContext(ctx).Stop(sessionproc.Reason(reason))
	return "bye", nil
}

// Pings and pongs call each other.

type player struct{}

func newPings() sessionproc.AnyKind {
	k := sessionproc.NewKind(relay.Pings, startsAs[player], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, relay.Ping, func(_ *player, ctx context.Context, b relay.Ball) (int, error) {
		return hit(ctx, b, relay.Pong)
	})
	return k
}

func newPongs() sessionproc.AnyKind {
	k := sessionproc.NewKind(relay.Pongs, startsAs[player], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, relay.Pong, func(_ *player, ctx context.Context, b relay.Ball) (int, error) {
		return hit(ctx, b, relay.Ping)
	})
	return k
}

func hit(ctx context.Context, b relay.Ball, next *sessionproc.Method[relay.Ball, int]) (int, error) {
	b.Hits++
	if len(b.Route) == 0 {
		return b.Hits, nil
	}
	to := b.Route[0]
	b.Route = b.Route[1:]
	return next.Call(ctx, sessionproc.FromContext(ctx).Cluster(), to, b)
}
