package integration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestAcceptance10_MissingSessionIsNotFound(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		p.move(t)
		_, typedCall := get.Call(t.Context(), p.from, id, sessionproc.None{})
		for what, err := range map[string]error{
			"typed call": typedCall,
			"call":       p.from.Call(t.Context(), id, "get", nil, nil),
			"typed cast": addOne.Cast(t.Context(), p.from, id, sessionproc.None{}),
			"cast":       p.from.Cast(t.Context(), id, "add one", nil),
			"touch":      p.from.Touch(t.Context(), id),
			"terminate":  p.from.Terminate(t.Context(), id),
		} {
			require.ErrorIs(t, err, sessionproc.ErrNotFound, what)
			var op *sessionproc.OpError
			require.ErrorAs(t, err, &op, what)
			require.Equal(t, id, op.ID, what)
			require.Contains(t, err.Error(), sessionproc.LogID(id), what)
			require.NotContains(t, err.Error(), id, "%s: an ID is a secret", what)
			require.False(t, sessionproc.MaybeExecuted(err), what)
		}
		err := p.from.Call(t.Context(), id, "no such method", nil, nil)
		require.ErrorIs(t, err, sessionproc.ErrUnknownMethod, "no kind has it, so there is nothing to find")
		require.NotErrorIs(t, err, sessionproc.ErrNotFound)
		requireAbsent(t, p.from, id, "nothing was started by it")
	})
}

func TestAcceptance11_RequestsThatCannotBeServedAreRefused(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startCounter(t, 3)
		p.move(t)
		err := p.from.Call(t.Context(), id, "subtract", 1, nil)
		require.ErrorIs(t, err, sessionproc.ErrUnknownMethod)
		require.ErrorContains(t, err, "subtract")
		require.ErrorIs(t, p.from.Cast(t.Context(), id, "subtract", 1), sessionproc.ErrUnknownMethod)

		err = p.from.Call(t.Context(), id, add.Name(), "one", nil)
		require.ErrorIs(t, err, sessionproc.ErrBadRequest)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.ErrorIs(t, p.from.Call(t.Context(), id, add.Name(), map[string]int{"one": 1}, nil), sessionproc.ErrBadRequest)
		requireCount(t, p, id, 3)

		_, err = marks.Call(t.Context(), p.from, id, sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrWrongKind)
		require.ErrorContains(t, err, counters.Name())
		require.ErrorContains(t, err, probes.Name())
		err = note.Cast(t.Context(), p.from, id, 1)
		require.ErrorIs(t, err, sessionproc.ErrWrongKind)
		require.ErrorContains(t, err, counters.Name())
		require.ErrorContains(t, err, probes.Name())
		requireCount(t, p, id, 3)
	})
}

func TestAcceptance12_ErrorsOfHandlersReachTheCaller(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		_, err := fail.Call(t.Context(), p.from, id, "own")
		require.ErrorIs(t, err, errOutOfStock)
		require.NotErrorIs(t, err, errSoldOut)
		require.True(t, sessionproc.MaybeExecuted(err))

		_, err = fail.Call(t.Context(), p.from, id, "wrapped")
		require.ErrorIs(t, err, errOutOfStock)
		require.ErrorContains(t, err, "looked twice")

		_, err = fail.Call(t.Context(), p.from, id, "the till is jammed")
		require.ErrorContains(t, err, "the till is jammed")
		require.NotErrorIs(t, err, errOutOfStock)
		for _, ours := range []error{sessionproc.ErrNotFound, sessionproc.ErrCrashed, sessionproc.ErrBadRequest} {
			require.NotErrorIs(t, err, ours)
		}

		_, err = fail.Call(within(t, 5*time.Second), p.from, id, "nil")
		require.NotErrorIs(t, err, context.DeadlineExceeded, "an answer at once")
		require.ErrorContains(t, err, "the error is a nil *sessionproc.Error, not nil")
		require.True(t, sessionproc.MaybeExecuted(err))
	})
}

func TestAcceptance13_DeadlineEndsTheCallAndOnlyIt(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		start := time.Now()
		quickly(t, 100*time.Millisecond, func() {
			_, err := sleep.Call(within(t, 50*time.Millisecond), p.from, id, nap{500 * time.Millisecond, "late"})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.True(t, sessionproc.MaybeExecuted(err))
		})
		require.GreaterOrEqual(t, time.Since(start), 49*time.Millisecond)

		// The late reply comes while this one waits.
		for _, token := range []string{"first", "second"} {
			got, err := sleep.Call(t.Context(), p.from, id, nap{0, token})
			require.NoError(t, err)
			require.Equal(t, token, got)
		}
	})
}

func TestAcceptance13_QueuedCallDoesNotRunAfterItsDeadline(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		held := p.hold(t, id)

		_, err := mark.Call(within(t, 50*time.Millisecond), p.from, id, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		if !p.remote() {
			require.False(t, sessionproc.MaybeExecuted(err), "it is certain on the own node")
		} else {
			time.Sleep(100 * time.Millisecond) // the owner hears of it
		}
		events.open(id)
		require.NoError(t, <-held)
		got, err := marks.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Empty(t, got, "the call that was given up has not run")
	})
}

func TestAcceptance14_CancelEndsTheHandlersContext(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() {
			_, err := waitForEnd.Call(ctx, p.from, id, sessionproc.None{})
			done <- err
		}()
		events.await(t, id, "waiting")
		quickly(t, time.Second, func() {
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
			events.await(t, id, "ctx ended")
		})
	})
}

func TestAcceptance14_DeadlineEndsTheHandlersContext(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		_, err := waitForEnd.Call(within(t, 100*time.Millisecond), p.from, id, sessionproc.None{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		quickly(t, time.Second, func() { events.await(t, id, "ctx ended") })
	})
}

func TestAcceptance15_OrderOfOneGoroutineIsKept(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		var want []int
		moved := func() {}
		for i := range 1000 {
			if i == 300 {
				moved = p.beginMove(t)
			}
			require.NoError(t, note.Cast(t.Context(), p.from, id, i))
			want = append(want, i)
		}
		got, err := marks.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, want, got)
		moved()
	})
}

func TestAcceptance18_CallCycleIsRefusedAtOnce(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		a, b, c := p.startProbe(t), p.startProbe(t), idOn(t, p.from, p.all()[2].Slot())
		require.NoError(t, probes.Start(t.Context(), p.from, c, probeArg{}))
		p.move(t)
		for name, cycle := range map[string][]string{
			"to itself":              {a, a},
			"A, B, A":                {a, b, a},
			"over a third node":      {a, c, a},
			"at the end of a detour": {a, b, c, b},
		} {
			quickly(t, time.Second, func() {
				got, err := pass.Call(t.Context(), p.from, cycle[0], cycle[1:])
				require.NoError(t, err, name)
				require.True(t, got.Cycle, "%s: %s", name, got.Err)
				for _, id := range cycle {
					require.Contains(t, got.Err, sessionproc.LogID(id), name)
				}
			})
		}
		got, err := pass.Call(t.Context(), p.from, a, []string{b, c})
		require.NoError(t, err)
		require.Equal(t, passed{Hops: 2}, got, "a chain without a cycle")
	})
}

func TestAcceptance19_StopFromAHandlerDeliversTheReply(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		got, err := quit.Call(t.Context(), p.from, id, "checked out")
		require.NoError(t, err)
		require.Equal(t, "bye", got)
		events.await(t, id, "ended checked out")
		require.Eventually(t, func() bool {
			_, err := whoAmI.Call(t.Context(), p.from, id, sessionproc.None{})
			return errors.Is(err, sessionproc.ErrNotFound)
		}, 30*time.Second, 5*time.Millisecond)
	})
}
