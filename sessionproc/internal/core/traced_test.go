package core

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

type colour struct{}

// What a trace begins with the ctx that it is given may go on while the handler's ctx gets the values.
func TestTheCtxOfATraceIsReadWhileValuesAreAdded(t *testing.T) {
	c := &Ctx{Head: &Head{}}
	c.Rare().Values = context.WithValue(context.Background(), colour{}, "red")
	var readers sync.WaitGroup
	begun := c.Begin(func(ctx context.Context) context.Context {
		for range 4 {
			readers.Go(func() {
				for range 1000 {
					if ctx.Value(colour{}) != "red" {
						panic("the values of the message are gone")
					}
				}
			})
		}
		return context.WithValue(ctx, colour{}, "blue")
	})
	require.Equal(t, "blue", begun.Value(colour{}))
	require.Equal(t, "blue", c.Value(colour{}))
	require.Equal(t, c, Calling(begun))
	readers.Wait()
}

func TestATraceThatAddsNothingCostsNothing(t *testing.T) {
	c := &Ctx{Head: &Head{}}
	same := func(ctx context.Context) context.Context { return ctx }
	require.Zero(t, testing.AllocsPerRun(100, func() { c.Begin(same) }))
	require.Nil(t, c.Origin())
}
