package integration_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// startTight starts a session with a small mailbox whose handler blocks, and
// returns what its caller is told in the end.
func startTight(t *testing.T, p place, tokens tight) (id string, blocked chan error) {
	t.Helper()
	id = p.id(t)
	require.NoError(t, tokens.kind.Start(t.Context(), p.from, id, sessionproc.None{}))
	p.move(t)
	t.Cleanup(func() { events.open(id) })
	blocked = make(chan error, 1)
	go func() {
		_, err := tokens.block.Call(t.Context(), p.from, id, sessionproc.None{})
		blocked <- err
	}()
	events.await(t, id, "blocked")
	return id, blocked
}

// putUntilFull casts until the mailbox takes no more. A cast without a deadline waits
// 50 ms for its place.
func putUntilFull(t *testing.T, p place, tokens tight, id string, size int) (taken int) {
	t.Helper()
	for range 100 {
		begun := time.Now()
		err := tokens.put.Cast(t.Context(), p.from, id, make([]byte, size))
		if err != nil {
			require.ErrorIs(t, err, sessionproc.ErrOverloaded)
			require.False(t, sessionproc.MaybeExecuted(err))
			require.GreaterOrEqual(t, time.Since(begun), 45*time.Millisecond)
			return taken
		}
		taken++
	}
	require.FailNow(t, "the mailbox has no end")
	return 0
}

func TestAcceptance16_AFullMailboxRefusesCastsAfterAWhile(t *testing.T) {
	for _, c := range []struct {
		name      string
		tokens    tight
		size      int
		low, high int
	}{
		{"by_number", narrow, 10, 4, 4},
		{"by_bytes", thin, 5 << 10, 2, 3}, // of 16 KiB
	} {
		t.Run(c.name, func(t *testing.T) {
			eachPlace(t, func(t *testing.T, p place) {
				other := p.startCounter(t, 0)
				id, blocked := startTight(t, p, c.tokens)
				taken := putUntilFull(t, p, c.tokens, id, c.size)
				require.GreaterOrEqual(t, taken, c.low)
				require.LessOrEqual(t, taken, c.high)

				// Others go on.
				for i := range 20 {
					n, err := add.Call(t.Context(), p.from, other, 1)
					require.NoError(t, err)
					require.Equal(t, i+1, n)
				}
				events.open(id)
				require.NoError(t, <-blocked)
				n, err := c.tokens.count.Call(t.Context(), p.from, id, sessionproc.None{})
				require.NoError(t, err)
				require.Equal(t, taken, n, "what was taken has been handled, and nothing else")
			})
		})
	}
}

func TestAcceptance16_NoWaitFailsAtOnce(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id, _ := startTight(t, p, narrow)
		putUntilFull(t, p, narrow, id, 10)
		quickly(t, 5*time.Second, func() { // of CallTimeout's 15
			require.ErrorIs(t, narrow.hurry.Cast(within(t, time.Minute), p.from, id, nil), sessionproc.ErrOverloaded)
			_, err := narrow.press.Call(within(t, time.Minute), p.from, id, sessionproc.None{})
			require.ErrorIs(t, err, sessionproc.ErrOverloaded)
			require.False(t, sessionproc.MaybeExecuted(err))
		})
	})
}

func TestAcceptance16_RequestsWaitUntilTheirContextEnds(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id, _ := startTight(t, p, narrow)
		putUntilFull(t, p, narrow, id, 10)
		for _, send := range []func(ctx context.Context) error{
			func(ctx context.Context) error { return narrow.put.Cast(ctx, p.from, id, nil) },
			func(ctx context.Context) error {
				_, err := narrow.count.Call(ctx, p.from, id, sessionproc.None{})
				return err
			},
		} {
			start := time.Now()
			var err error
			quickly(t, 500*time.Millisecond, func() { err = send(within(t, 200*time.Millisecond)) })
			took := time.Since(start)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			if !p.remote() { // else the owner's word may come too late
				require.ErrorIs(t, err, sessionproc.ErrOverloaded)
				require.False(t, sessionproc.MaybeExecuted(err))
			}
			require.GreaterOrEqual(t, took, 150*time.Millisecond)
		}
	})
}

// Calls and casts from both nodes come in the order in which they arrived.
func TestAcceptance16_WaitingRequestsAreServedInOrder(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id, blocked := startTight(t, p, narrow)
		taken := putUntilFull(t, p, narrow, id, 10)
		ctx := within(t, time.Minute)
		const all = 20
		errs := make(chan error, all)
		for i := range all {
			from := p.from
			if i%3 == 2 {
				from = p.owner()
			}
			go func() {
				if i%2 == 0 {
					errs <- narrow.put.Cast(ctx, from, id, nil)
					return
				}
				n, err := narrow.count.Call(ctx, from, id, sessionproc.None{})
				if want := taken + (i+1)/2; err == nil && n != want {
					err = fmt.Errorf("call %d came after %d casts, not after %d", i, n, want)
				}
				errs <- err
			}()
			require.Eventually(t, func() bool {
				at, err := p.from.Inspect(ctx, id, node.InspectOptions{})
				return err == nil && at.Line == i+1
			}, 30*time.Second, time.Millisecond)
		}
		events.open(id)
		require.NoError(t, <-blocked)
		for range all {
			require.NoError(t, <-errs)
		}
	})
}

func TestAcceptance17_TerminateTellsEveryWaitingCallerAtOnce(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		t.Cleanup(func() { events.open(id) })
		ends := make(chan error, 4)
		go func() {
			_, err := hold.Call(t.Context(), p.from, id, sessionproc.None{})
			ends <- err
		}()
		events.await(t, id, "held")
		for i := range 3 {
			go func() {
				_, err := mark.Call(t.Context(), p.from, id, i)
				ends <- err
			}()
		}
		time.Sleep(100 * time.Millisecond) // they are queued; if not, they find no session

		terminated := make(chan error, 1)
		go func() { terminated <- p.from.Terminate(t.Context(), id) }()
		quickly(t, time.Second, func() { // the handler is still there
			for range 4 {
				require.ErrorIs(t, <-ends, sessionproc.ErrTerminated)
			}
		})
		events.open(id)
		require.NoError(t, <-terminated)
		requireAbsent(t, p.from, id)
	})
}

func TestAcceptance17_TerminateEndsTheRunningHandlersContext(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		done := make(chan error, 1)
		go func() {
			_, err := waitForEnd.Call(t.Context(), p.from, id, sessionproc.None{})
			done <- err
		}()
		events.await(t, id, "waiting")
		quickly(t, time.Second, func() {
			require.NoError(t, p.from.Terminate(t.Context(), id))
			require.ErrorIs(t, <-done, sessionproc.ErrTerminated)
			events.await(t, id, "ctx ended")
			events.await(t, id, "ended "+string(sessionproc.ReasonTerminated))
		})
	})
}

// TestManyBigRepliesArriveAtOnce asks for more at once than the output of a
// connection may hold: whoever reads gets it all.
func TestManyBigRepliesArriveAtOnce(t *testing.T) {
	eachStillPlace(t, func(t *testing.T, p place) {
		const callers, size = 64, 1 << 20
		errs := make(chan error, callers)
		for range callers {
			id := p.id(t)
			require.NoError(t, hoards.Start(t.Context(), p.from, id, sessionproc.None{}))
			go func() {
				reply, err := giveUp.Call(t.Context(), p.from, id, size)
				if err == nil && len(reply) != size {
					err = errors.New("a short reply")
				}
				errs <- err
			}()
		}
		for range callers {
			require.NoError(t, <-errs)
		}
	})
}
