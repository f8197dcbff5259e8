package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// ledger counts what handlers did, by the number that each request carries.
type ledger struct {
	mu   sync.Mutex
	ran  map[int]int
	born atomic.Int64
	dead atomic.Int64
}

func (l *ledger) note(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ran[n]++
}

type mortal struct {
	ledger *ledger      `msgpack:"-"`
	busy   atomic.Int32 `msgpack:"-"`
	N      int
}

func (m *mortal) ended(context.Context, sessionproc.Reason) { m.ledger.dead.Add(1) }

func (m *mortal) handle(ctx context.Context, n int) (int, error) {
	if !m.busy.CompareAndSwap(0, 1) {
		panic("two handlers at once")
	}
	defer m.busy.Store(0)
	m.ledger.note(n)
	switch n % 97 {
	case 1:
		time.Sleep(time.Duration(n%5) * 100 * time.Microsecond)
	case 2:
		runtime.Gosched()
	case 3:
		sessionproc.FromContext(ctx).Stop("")
	case 4:
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	case 5:
		ints.After(ctx, time.Millisecond, -1)
	}
	m.N++
	return n, nil
}

var (
	mortals = sessionproc.KindOf[int]("mortal")
	give    = sessionproc.MethodOf[int, int](mortals, "give")
	lists   = sessionproc.MethodOf[[]int, []int](mortals, "lists")
	ints    = sessionproc.NoticeOf[int](mortals, "ints")
)

func newMortals(l *ledger) sessionproc.AnyKind {
	k := sessionproc.NewKind(mortals, func(_ context.Context, n int) (*mortal, error) {
		if n%7 == 3 {
			return nil, errNoStock
		}
		l.born.Add(1)
		return &mortal{ledger: l}, nil
	}, sessionproc.KindConfig{Mailbox: 3, MaxSessions: 6})
	sessionproc.HandleCall(k, give, (*mortal).handle, sessionproc.MethodConfig{StartOnCall: true})
	sessionproc.HandleCall(k, lists, func(m *mortal, ctx context.Context, list []int) ([]int, error) {
		n, err := m.handle(ctx, list[0])
		return []int{n}, err
	})
	sessionproc.HandleCast(k, ints, func(m *mortal, ctx context.Context, n int) error {
		_, err := m.handle(ctx, n)
		return err
	})
	k.OnEnd((*mortal).ended)
	return k
}

// TestRandomTrafficLosesDoublesAndLeavesNothing: random starts, calls, casts, cancellations,
// stops and terminates at few IDs. A reply means exactly one run, an error
// which says that nothing ran means none, and in the end nothing is left.
func TestRandomTrafficLosesDoublesAndLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	led := &ledger{ran: map[int]int{}}
	table, err := engine.NewTable(engine.TableConfig{Partitions: partitions,
		Kinds:       []sessionproc.AnyKind{newMortals(led)},
		CallTimeout: 5 * time.Second, StopTimeout: time.Second, MaxStarting: 2, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	l := &local{table}
	var mu sync.Mutex
	var once, never, atMost []int // numbers of requests, by what their outcome says
	judge := func(n int, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			once = append(once, n)
		case sessionproc.MaybeExecuted(err):
			atMost = append(atMost, n)
		default:
			never = append(never, n)
		}
		for _, known := range []error{nil, sessionproc.ErrNotFound, sessionproc.ErrTerminated, sessionproc.ErrOverloaded,
			sessionproc.ErrTooManySessions, context.Canceled, context.DeadlineExceeded} {
			if errors.Is(err, known) {
				return
			}
		}
		assert.NoError(t, err)
	}
	var wg sync.WaitGroup
	stop := time.Now().Add(time.Second)
	var number atomic.Int64
	for g := range 16 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 7))
			for time.Now().Before(stop) {
				stressOne(t, l, rnd, int(number.Add(1)), judge)
			}
		})
	}
	wg.Wait()
	require.NoError(t, table.Shutdown(t.Context(), sessionproc.ReasonClosed))
	require.NoError(t, table.Close(t.Context()))
	requireNothingLeft(t, l)
	require.Zero(t, table.Live("mortal"))
	require.Zero(t, table.LiveWorkers())
	require.Equal(t, led.born.Load(), led.dead.Load(), "each state is told of its end, once")
	t.Logf("%d requests ran once, %d did not run, of %d the outcome is unknown; %d sessions", len(once), len(never),
		len(atMost), led.born.Load())
	for _, n := range once {
		require.Equal(t, 1, led.ran[n], "request %d was answered", n)
	}
	for _, n := range never {
		require.Zero(t, led.ran[n], "request %d surely did not run", n)
	}
	for _, n := range atMost {
		require.LessOrEqual(t, led.ran[n], 1, "request %d", n)
	}
	require.NotEmpty(t, once)
	require.NotEmpty(t, never)
	goleak.VerifyNone(t, before)
}

func stressOne(t *testing.T, l *local, rnd *rand.Rand, n int, judge func(int, error)) {
	id := fmt.Sprint("s", rnd.IntN(8))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch rnd.IntN(6) {
	case 0:
		defer time.AfterFunc(time.Duration(rnd.IntN(300))*time.Microsecond, cancel).Stop()
	case 1:
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(rnd.IntN(300))*time.Microsecond)
		defer stop()
	}
	switch rnd.IntN(12) {
	case 0:
		_, err := mortals.Ensure(ctx, l, id, n)
		assert.NotErrorIs(t, err, sessionproc.ErrAlreadyStarted)
	case 1:
		assert.NotErrorIs(t, mortals.Start(ctx, l, id, n), sessionproc.ErrNotFound)
	case 2:
		_ = l.terminate(ctx, id)
	case 3:
		if err := l.Deliver(ctx, id, engine.Untyped(core.OpCast, "mortal", "ints", n, nil)); err != nil {
			judge(n, err)
		}
	case 4:
		if err := ints.Cast(ctx, l, id, n); err != nil {
			judge(n, err)
		}
	case 5, 6:
		reply, err := lists.Call(ctx, l, id, []int{n})
		if err == nil {
			assert.Equal(t, []int{n}, reply, "the reply of another request")
		}
		judge(n, err)
	case 7:
		var reply int
		err := l.Deliver(ctx, id, engine.Untyped(core.OpCall, "mortal", "give", n, &reply))
		if err == nil {
			assert.Equal(t, n, reply)
		}
		judge(n, err)
	default:
		reply, err := give.Call(ctx, l, id, n)
		if err == nil {
			assert.Equal(t, n, reply, "the reply of another request")
		}
		judge(n, err)
	}
}
