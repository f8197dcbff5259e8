package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a sealed session still runs can be interrupted: it is shown where it is,
// its ctx ends, and its caller has the answer.
func TestInterruptedHandlerAnswersItsCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		running := make(chan struct{})
		awaitsItsCtx := func(ctx context.Context, _ string) (string, error) {
			close(running)
			<-ctx.Done()
			return "done", nil
		}
		l := newScripted(t, script{do: awaitsItsCtx, note: func(ctx context.Context, _ string) error { return ctx.Err() }})
		l.start(t, "a", "b")
		require.Equal(t, map[string]int{"scripted": 2}, l.table.Kinds())
		answer := doing(t.Context(), l, "a", "")
		<-running
		require.Empty(t, l.table.Interrupt(part("a"), "a"), "not sealed")
		require.Empty(t, l.table.Interrupt(part("c"), "c"), "not there")

		errMoved, taken := errors.New("moved"), make(chan error, 2)
		seal := func(id string) {
			require.True(t, l.table.Seal(part(id), id, errMoved, func() bool { return true },
				func(_ []byte, err error) { taken <- err }))
		}
		seal("b")
		require.NoError(t, <-taken)
		require.Empty(t, l.table.Interrupt(part("b"), "b"), "nothing runs")
		seal("a")
		require.Empty(t, taken)
		stack := l.table.Interrupt(part("a"), "a")
		require.Contains(t, stack, "TestInterruptedHandlerAnswersItsCaller")
		require.NotContains(t, stack, "\n\n", "one goroutine's")
		require.NoError(t, <-answer)
		require.NoError(t, <-taken)
		l.table.Resume(part("a"), "a")
		l.table.Resume(part("b"), "b")
	})
}
