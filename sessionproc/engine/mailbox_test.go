package engine_test

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// blocked is a session whose handler of do waits for the gate.
func blocked(t *testing.T, cfg sessionproc.KindConfig, method ...sessionproc.MethodConfig) (l *local, open func(),
	first <-chan error) {
	gate := make(chan struct{})
	method = append(method, sessionproc.MethodConfig{})
	l = newScripted(t, script{kind: cfg, method: method[0], notice: method[0],
		do: func(_ context.Context, r string) (string, error) {
			if r == "block" {
				<-gate
			}
			return r, nil
		}})
	l.start(t, "a", "other")
	first = doing(t.Context(), l, "a", "block")
	synctest.Wait()
	open = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	return l, open, first
}

func TestMailboxIsBoundedByCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, open, first := blocked(t, sessionproc.KindConfig{Mailbox: 4})
		for range 3 {
			require.NoError(t, note.Cast(t.Context(), l, "a", ""))
		}
		fourth := doing(t.Context(), l, "a", "")
		synctest.Wait()
		requireInVain(t, l, "")
		_, err := do.Call(t.Context(), l, "other", "")
		require.NoError(t, err)
		open()
		require.Error(t, <-first, "its time is over")
		require.Error(t, <-fourth)
		for range 50 { // and all its places are free again
			require.NoError(t, note.Cast(t.Context(), l, "a", ""))
			_, err = do.Call(t.Context(), l, "a", "")
			require.NoError(t, err)
		}
	})
}

func TestMailboxIsBoundedByBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, open, first := blocked(t, sessionproc.KindConfig{MailboxBytes: 1000})
		large := strings.Repeat("x", 5000)
		require.NoError(t, note.Cast(t.Context(), l, "a", large), "an empty mailbox takes it")
		requireInVain(t, l, "")
		open()
		require.Error(t, <-first, "its time is over")
		synctest.Wait()
		_, err := do.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
		synctest.Wait()
		n := 0
		for ; note.Cast(t.Context(), l, "a", strings.Repeat("y", 84)) == nil && n < 1000; n++ {
			if n%5 == 4 {
				synctest.Wait() // they are handled, so their bytes are free
			}
		}
		require.Equal(t, 1000, n)
	})
}

// requireInVain wants calls and casts to session a to wait for a place for as long as they
// should, and to fail then.
func requireInVain(t *testing.T, l *local, msg string) {
	t.Helper()
	for what, c := range map[string]struct {
		ctx  time.Duration // 0: no deadline
		send func(ctx context.Context) error
		wait time.Duration
		is   []error
	}{
		"cast": {0, func(ctx context.Context) error { return note.Cast(ctx, l, "a", msg) }, tenth / 2,
			nil},
		"cast with a deadline": {time.Second, func(ctx context.Context) error { return note.Cast(ctx, l, "a", msg) },
			time.Second, []error{context.DeadlineExceeded}},
		"call": {0, func(ctx context.Context) error { return <-doing(ctx, l, "a", msg) },
			15 * time.Second, []error{context.DeadlineExceeded}},
		"call with a deadline": {time.Second, func(ctx context.Context) error { return <-doing(ctx, l, "a", msg) },
			time.Second, []error{context.DeadlineExceeded}},
		"untyped cast": {0, untypedTo(l, core.OpCast, "note", msg), tenth / 2, nil},
		"untyped cast, deadline": {time.Second, untypedTo(l, core.OpCast, "note", msg), time.Second,
			[]error{context.DeadlineExceeded}},
		"untyped call": {0, untypedTo(l, core.OpCall, "do", msg), 15 * time.Second,
			[]error{context.DeadlineExceeded}},
		"untyped call, deadline": {time.Second, untypedTo(l, core.OpCall, "do", msg), time.Second,
			[]error{context.DeadlineExceeded}},
		"cast of a short ctx": {time.Millisecond, func(ctx context.Context) error { return note.Cast(ctx, l, "a", msg) },
			time.Millisecond, []error{context.DeadlineExceeded}},
		"untyped cast, short ctx": {time.Millisecond, untypedTo(l, core.OpCast, "note", msg), time.Millisecond,
			[]error{context.DeadlineExceeded}},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		if c.ctx > 0 {
			ctx, cancel = context.WithTimeout(ctx, c.ctx)
		}
		begun := time.Now()
		err := c.send(ctx)
		cancel()
		require.WithinDuration(t, begun.Add(c.wait), time.Now(), 20*time.Millisecond, what)
		for _, is := range append(c.is, sessionproc.ErrOverloaded) {
			require.ErrorIs(t, err, is, what)
		}
		require.False(t, sessionproc.MaybeExecuted(err), what)
		require.ErrorContains(t, err, "for a place in the mailbox", what)
		require.Zero(t, details(t, l, "a").Line, what)
	}
}

func untypedTo(l *local, op core.Op, method, msg string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		return l.Deliver(ctx, "a", engine.Untyped(op, "scripted", method, msg, nil))
	}
}

func TestOneThousandCastsAndACallKeepTheirOrder(t *testing.T) {
	var got []string
	l := newScripted(t, script{
		note: func(_ context.Context, m string) error { got = append(got, m); return nil },
		do:   func(context.Context, string) (string, error) { return strconv.Itoa(len(got)), nil },
	})
	l.start(t, "a")
	for i := range 1000 {
		require.NoError(t, note.Cast(t.Context(), l, "a", strconv.Itoa(i)))
	}
	n, err := do.Call(t.Context(), l, "a", "")
	require.NoError(t, err)
	require.Equal(t, "1000", n)
	for i, m := range got {
		require.Equal(t, strconv.Itoa(i), m)
	}
}

// A queued message whose caller has gone is not run.
func TestAQueuedCallPastItsDeadlineNeverRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ran []string
		gate := make(chan struct{})
		l := newScripted(t, script{do: func(_ context.Context, r string) (string, error) {
			ran = append(ran, r)
			if r == "block" {
				<-gate
			}
			return r, nil
		}})
		l.start(t, "a")
		first := doing(t.Context(), l, "a", "block")
		synctest.Wait()
		ctx := lasting(t, 50*time.Millisecond)
		begin := time.Now()
		late, byDefault := doing(ctx, l, "a", "late"), doing(context.Background(), l, "a", "default")
		err := <-late
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.Equal(t, 50*time.Millisecond, time.Since(begin))
		err = <-byDefault
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.ErrorIs(t, <-first, context.DeadlineExceeded)
		require.WithinDuration(t, begin.Add(15*time.Second), time.Now(), 20*time.Millisecond)
		close(gate)
		_, err = do.Call(t.Context(), l, "a", "next")
		require.NoError(t, err)
		require.Equal(t, []string{"block", "next"}, ran)
	})
}

// A running call returns at its deadline too, and its late reply reaches
// nobody.
func TestARunningCallReturnsAtItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{do: func(_ context.Context, r string) (string, error) {
			if r == "slow" {
				time.Sleep(500 * time.Millisecond)
			}
			return r, nil
		}})
		l.start(t, "a")
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			begin := time.Now()
			_, err := do.Call(ctx, l, "a", "slow")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.True(t, sessionproc.MaybeExecuted(err))
			require.Equal(t, 50*time.Millisecond, time.Since(begin))
			got, err := do.Call(t.Context(), l, "a", "quick")
			require.NoError(t, err)
			require.Equal(t, "quick", got)
			cancel()
		}
	})
}

// MethodConfig.Timeout stands in for the node's CallTimeout.
func TestMethodTimeoutReplacesCallTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{method: sessionproc.MethodConfig{Timeout: 300 * time.Millisecond},
			do: func(ctx context.Context, r string) (string, error) { <-ctx.Done(); return r, ctx.Err() }})
		l.start(t, "a")
		begin := time.Now()
		_, err := do.Call(context.Background(), l, "a", "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 300*time.Millisecond, time.Since(begin))
	})
}

// A session with a full mailbox lets another one run after 64 messages, even on
// one processor. The bound is four turns of 64, as now and then Go's scheduler
// gives a goroutine that has just yielded the next turn too; one that never
// yields would come to 1,000.
func TestAHotSessionYields(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var handled, seen atomic.Int64
	gate := make(chan struct{})
	l := newScripted(t, script{
		note: func(ctx context.Context, m string) error {
			if m == "other" {
				seen.Store(handled.Load())
				return nil
			}
			if handled.Add(1) == 10 {
				return note.Cast(ctx, sessionproc.FromContext(ctx).Cluster(), "other", "other")
			}
			return nil
		},
		do: func(context.Context, string) (string, error) { <-gate; return "", nil },
	})
	l.start(t, "hot", "other")
	first := doing(t.Context(), l, "hot", "")
	require.Eventually(t, func() bool { return note.Cast(t.Context(), l, "hot", "") == nil }, time.Second,
		time.Millisecond)
	for range 1000 {
		require.NoError(t, note.Cast(t.Context(), l, "hot", ""))
	}
	close(gate)
	require.NoError(t, <-first)
	_, err := do.Call(t.Context(), l, "hot", "")
	require.NoError(t, err)
	_, err = do.Call(t.Context(), l, "other", "")
	require.NoError(t, err)
	require.LessOrEqual(t, seen.Load(), int64(4*64))
	require.GreaterOrEqual(t, seen.Load(), int64(10))
}
