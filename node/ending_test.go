package node_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The end of a session is known for a while, and all that it has published before,
// though its partition has another owner since, who has not heard of it.
func TestEndIsKnownAfterItsPartitionHasMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := lasting(t, time.Minute)
		c := nodetest.NewCluster(t, 2, newCounters)
		at := map[string]sessionproc.Position{} // where subscribers were when they went away
		for len(at) < 40 {
			id := sessionproc.NewID()
			require.NoError(t, counters.Start(ctx, c.Node(0), id, 0))
			_, err := add.Call(ctx, c.Node(0), id, 1)
			require.NoError(t, err)
			sub, err := added.Subscribe(ctx, c.Node(1), id, sessionproc.SubscribeOptions{})
			require.NoError(t, err)
			u, err := sub.Next(ctx)
			require.NoError(t, err)
			sub.Close()
			at[id] = u.Position
			_, err = add.Call(ctx, c.Node(0), id, 1)
			require.NoError(t, err)
			require.NoError(t, c.Node(0).Terminate(ctx, id))
		}
		newcomer := c.Add()
		c.Settle()
		asked := 0
		for id, after := range at {
			if c.Owner(id) != newcomer {
				continue
			}
			asked++
			sub, err := added.Subscribe(ctx, c.Node(1), id, sessionproc.SubscribeOptions{After: after})
			require.NoError(t, err)
			u, err := sub.Next(ctx)
			require.NoError(t, err)
			require.Equal(t, 2, u.Value)
			require.False(t, u.Gap)
			_, err = sub.Next(ctx)
			ended, ok := errors.AsType[*sessionproc.Ended](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, sessionproc.ReasonTerminated, ended.Reason)

			_, err = added.Subscribe(ctx, c.Node(1), id, sessionproc.SubscribeOptions{})
			require.ErrorIs(t, err, sessionproc.ErrNotFound)
			after.Incarnation.Number++
			_, err = added.Subscribe(ctx, c.Node(1), id, sessionproc.SubscribeOptions{After: after})
			require.ErrorIs(t, err, sessionproc.ErrNotFound, "nobody knows that life")
		}
		require.Positive(t, asked)
	})
}

// A member that does not answer delays the answer that nobody knows a life by a second.
func TestSilentMemberDelaysAnUnknownEndByASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newCounters)
		id := idAt(c, 1)
		c.Stall(2)
		begun := time.Now()
		after := sessionproc.Position{Incarnation: sessionproc.Incarnation{Boot: 1, Number: 1}, Offset: 1}
		_, err := added.Subscribe(t.Context(), c.Node(0), id, sessionproc.SubscribeOptions{After: after})
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		require.InDelta(t, time.Second, time.Since(begun), float64(200*time.Millisecond))
	})
}
