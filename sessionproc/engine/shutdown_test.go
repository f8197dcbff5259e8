package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func TestShutdownEndsAllAndWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told ends
		l := newScripted(t, script{
			end: func(ctx context.Context, r sessionproc.Reason) {
				time.Sleep(100 * time.Millisecond)
				told.note(ctx, r)
			},
			do: func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", nil },
		})
		ids := names("s", 200)
		l.start(t, ids...)
		call := doing(t.Context(), l, "s0", "")
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, l.table.Shutdown(t.Context(), sessionproc.ReasonClosed))
		require.Equal(t, 100*time.Millisecond, time.Since(begin))
		require.ErrorIs(t, <-call, sessionproc.ErrClosed)
		for _, id := range ids {
			require.Equal(t, []sessionproc.Reason{sessionproc.ReasonClosed}, told.of(id), id)
		}
		requireNothingLeft(t, l)
		require.ErrorIs(t, scripted.Start(t.Context(), l, "new", ""), sessionproc.ErrClosed)
		require.NoError(t, l.table.Shutdown(t.Context(), sessionproc.ReasonClosed))
	})
}

func TestShutdownIsBoundedByItsCtx(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := script{do: func(context.Context, string) (string, error) { <-gate; return "", nil },
			start: func(ctx context.Context, arg string) error {
				if arg == "starting" {
					<-gate
				}
				return nil
			}}
		l := newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting = 1 }, s.make())
		l.start(t, "a", "b")
		call, start := doing(t.Context(), l, "a", ""), starting(t.Context(), l, "starting")
		synctest.Wait()
		queued := starting(t.Context(), l, "queued")
		synctest.Wait()
		ctx := lasting(t, time.Second)
		err := l.table.Shutdown(ctx, sessionproc.ReasonClosed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "2 sessions have not ended", "what has not begun to start has nothing to end")
		for _, done := range []<-chan error{call, start, queued} {
			require.ErrorIs(t, <-done, sessionproc.ErrClosed)
		}
		close(gate)
	})
}

// Two who wait for the last session both see it go.
func TestShutdownAndCloseAtOnceBothReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{do: func(context.Context, string) (string, error) {
			time.Sleep(time.Second)
			return "",
				nil
		}})
		l.start(t, "a")
		doing(t.Context(), l, "a", "")
		synctest.Wait()
		done := make(chan error, 3)
		go func() { done <- l.table.Shutdown(t.Context(), sessionproc.ReasonClosed) }()
		go func() { done <- l.table.Shutdown(t.Context(), sessionproc.ReasonClosed) }()
		synctest.Wait()
		go func() { done <- l.table.Close(t.Context()) }()
		for range 3 {
			require.NoError(t, <-done)
		}
	})
}

func TestEndPartitionEndsThatPartitionOnly(t *testing.T) {
	var told ends
	l := newScripted(t, script{end: told.note})
	ids := names("s", 50)
	l.start(t, ids...)
	require.Equal(t, 1, l.table.EndPartition(part("s7"), sessionproc.ReasonMoved))
	require.Eventually(t, func() bool { return l.table.Len() == 49 }, 30*time.Second, time.Millisecond)
	require.Equal(t, []sessionproc.Reason{sessionproc.ReasonMoved}, told.of("s7"))
	require.False(t, l.started(t, "s7"))
	require.True(t, l.started(t, "s8"))
	require.Zero(t, l.table.EndPartition(part("s7"), sessionproc.ReasonMoved))
	l.start(t, "s7")
}
