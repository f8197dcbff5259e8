package integration_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// whileMoving runs f with a probe that is told to move while its handler runs:
// it is sealed, and no other node has it yet.
func whileMoving(t *testing.T, f func(t *testing.T, p place, id string)) {
	p := moving.get(t)
	id := p.startProbe(t)
	held := p.hold(t, id)
	owner := p.owner().Slot()
	moved := p.beginMove(t)
	defer func() {
		events.open(id)
		if err := <-held; err != nil { // what runs when the session is sealed is answered
			require.ErrorIs(t, err, sessionproc.ErrTerminated)
		}
		moved()
	}()
	require.Eventually(t, func() bool {
		where, err := p.from.Where(id)
		return err == nil && where.Owner.Slot != owner
	}, 30*time.Second, time.Millisecond, "the session is to be elsewhere")
	time.Sleep(100 * time.Millisecond) // it is sealed now, or at worst the test is lenient
	f(t, p, id)
}

func TestAcceptance13_DeadlineHoldsWhileTheSessionMoves(t *testing.T) {
	whileMoving(t, func(t *testing.T, p place, id string) {
		for range 5 {
			quickly(t, 500*time.Millisecond, func() {
				_, err := mark.Call(within(t, 50*time.Millisecond), p.from, id, 1)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		}
		events.open(id)
		got, err := marks.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Empty(t, got, "the calls that were given up have not run")
	})
}

func TestAcceptance14_CancelHoldsWhileTheSessionMoves(t *testing.T) {
	whileMoving(t, func(t *testing.T, p place, id string) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		quickly(t, time.Second, func() {
			_, err := mark.Call(ctx, p.from, id, 1)
			require.ErrorIs(t, err, context.Canceled)
		})
	})
}

func TestAcceptance15_OrderIsKeptWhileTheSessionMoves(t *testing.T) {
	whileMoving(t, func(t *testing.T, p place, id string) {
		time.AfterFunc(200*time.Millisecond, func() { events.open(id) })
		var want []int
		for i := range 300 {
			require.NoError(t, note.Cast(t.Context(), p.from, id, i))
			want = append(want, i)
		}
		got, err := marks.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestAcceptance17_TerminateEndsASessionThatMoves(t *testing.T) {
	whileMoving(t, func(t *testing.T, p place, id string) {
		time.AfterFunc(200*time.Millisecond, func() { events.open(id) })
		require.NoError(t, p.from.Terminate(t.Context(), id))
		events.await(t, id, "ended "+string(sessionproc.ReasonTerminated))
		_, err := mark.Call(t.Context(), p.from, id, 1)
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
	})
}

func TestAcceptance18_CallCycleIsRefusedWhileItsSessionsMove(t *testing.T) {
	p := moving.get(t)
	a, b := p.startProbe(t), p.startProbe(t)
	moved := p.beginMove(t)
	for range 20 {
		quickly(t, 2*time.Second, func() {
			got, err := pass.Call(t.Context(), p.from, a, []string{b, a})
			require.NoError(t, err)
			require.True(t, got.Cycle, got.Err)
		})
	}
	moved()
}

func TestAcceptance19_StopHoldsWhileTheSessionMoves(t *testing.T) {
	whileMoving(t, func(t *testing.T, p place, id string) {
		quitted := make(chan error, 1)
		go func() { // it waits in the mailbox, or finds the session where it has gone
			_, err := quit.Call(t.Context(), p.from, id, "checked out")
			quitted <- err
		}()
		time.Sleep(50 * time.Millisecond)
		events.open(id)
		require.NoError(t, <-quitted)
		events.await(t, id, "ended checked out")
		require.Eventually(t, func() bool {
			started, err := p.from.Started(t.Context(), id)
			return err == nil && !started
		}, 30*time.Second, 5*time.Millisecond)
	})
}
