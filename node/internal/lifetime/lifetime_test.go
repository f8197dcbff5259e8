package lifetime

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNothingBeginsAfterTheEnd(t *testing.T) {
	l := New(t.Context())
	ran := make(chan struct{})
	require.True(t, l.Go(func() { close(ran) }))
	<-ran
	l.End()
	require.False(t, l.Go(func() { t.Error("it ran") }))
	l.Wait()
	require.ErrorIs(t, l.Context().Err(), context.Canceled)
}

func TestWaitWaitsForAllThatHasBegun(t *testing.T) {
	l := New(t.Context())
	var begun, ended atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for l.Go(func() { <-l.Context().Done(); ended.Add(1) }) {
				begun.Add(1)
			}
		})
	}
	for begun.Load() < 100 {
		runtime.Gosched()
	}
	l.End()
	l.Wait()
	all.Wait()
	require.Equal(t, begun.Load(), ended.Load())
}

func TestALifetimeEndsWithItsParent(t *testing.T) {
	parent := New(t.Context())
	child := New(parent.Context())
	require.True(t, child.Go(func() { <-child.Context().Done() }))
	parent.End()
	child.End()
	child.Wait()
}
