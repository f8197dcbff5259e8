package node_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A handler that saves its session again and again, while that is to move, does so without delay. Each save is
// durable, and the session moves when the handler has returned.
func TestAHandlerSavesWhileItsSessionIsToMove(t *testing.T) {
	orders := sessionproc.KindOf[sessionproc.None]("order")
	pay := sessionproc.MethodOf[int, int](orders, "pay")
	const saves, pause = 20, 100 * time.Millisecond
	kind := nodetest.Kind(func() *sessionproc.Kind[purse, sessionproc.None] {
		k := sessionproc.NewKind(orders, func(context.Context, sessionproc.None) (*purse, error) {
			return new(purse), nil
		}, sessionproc.KindConfig{Replicas: 1, StartOnCall: true})
		sessionproc.HandleCall(k, pay, func(s *purse, ctx context.Context, n int) (int, error) {
			for range n {
				time.Sleep(pause)
				s.N++
				began := time.Now()
				if err := sessionproc.FromContext(ctx).Save(ctx); err != nil {
					return s.N, err
				}
				if took := time.Since(began); took >= pause {
					return s.N, fmt.Errorf("a save waits for its standby only, and took %v", took)
				}
			}
			return s.N, nil
		})
		return k
	})
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.Start(t, nodetest.Config{Nodes: 3, Kinds: []nodetest.KindFunc{kind}})
		c.Settle()
		ids := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		before := map[string]int{}
		results := make(chan error, len(ids))
		for _, id := range ids {
			_, err := pay.Call(t.Context(), c.Caller(), id, 0)
			require.NoError(t, err)
			before[id] = c.Owner(id)
			go func() {
				n, err := pay.Call(t.Context(), c.Caller(), id, saves)
				if err == nil {
					require.Equal(t, saves, n)
				}
				results <- err
			}()
		}
		c.Add()
		c.Settle()
		for range ids {
			require.NoError(t, <-results)
		}
		time.Sleep(10 * time.Second)
		moved := 0
		for _, id := range ids {
			if c.Owner(id) != before[id] {
				moved++
			}
			n, err := pay.Call(t.Context(), c.Caller(), id, 0)
			require.NoError(t, err)
			require.Equal(t, saves, n)
		}
		require.Positive(t, moved, "the new node gets some of them")
	})
}
