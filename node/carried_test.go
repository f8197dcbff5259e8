package node_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// baggage is the key of a number of bytes in a caller's ctx, and of the number of those
// that have arrived in a handler's.
type baggage struct{}

var (
	porters = sessionproc.KindOf[sessionproc.None]("porter")
	carries = sessionproc.MethodOf[sessionproc.None, int](porters, "carries")
	tip     = sessionproc.NoticeOf[sessionproc.None](porters, "tip")
)

type porter struct{ Started int }

// newPorters makes a kind that tells what has arrived with its start and with a call.
func newPorters() sessionproc.AnyKind {
	arrived := func(ctx context.Context) int {
		n, ok := ctx.Value(baggage{}).(int)
		if !ok {
			return -1
		}
		return n
	}
	k := sessionproc.NewKind(porters, func(ctx context.Context, _ sessionproc.None) (*porter, error) {
		return &porter{arrived(ctx)}, sessionproc.FromContext(ctx).SetLabel("user", "ann")
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, carries, func(p *porter, ctx context.Context, _ sessionproc.None) (int, error) {
		if n := arrived(ctx); n != p.Started {
			return 0, fmt.Errorf("%d bytes came with the start, %d with the call", p.Started, n)
		}
		return p.Started, nil
	})
	sessionproc.HandleCast(k, tip, func(*porter, context.Context, sessionproc.None) error { return nil })
	return k
}

// What Inject returns travels up to a size, and beyond it the request goes on without: here
// and there alike.
func TestInjectedValueTooLargeToTravelIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		c := tuned(t, 2, log.of0(func(_ int, cfg *node.Config) {
			cfg.Inject = func(ctx context.Context) []byte {
				n, _ := ctx.Value(baggage{}).(int)
				return bytes.Repeat([]byte{1}, n)
			}
			cfg.Extract = func(ctx context.Context,
				b []byte) context.Context {
				return context.WithValue(ctx, baggage{}, len(b))
			}
		}), newPorters)
		c.Settle()
		time.Sleep(time.Second)
		n := c.Node(0)
		for _, place := range []int{0, 1} {
			for _, size := range []int{0, 1, 1024, 1025, 1 << 20} {
				want := size
				if size == 0 || size > 1024 {
					want = -1
				}
				begun := time.Now()
				ctx := context.WithValue(t.Context(), baggage{}, size)
				ids := owned(c, place, 3, fmt.Sprint("p", size, "-"))
				require.NoError(t, porters.Start(ctx, n, ids[0], sessionproc.None{}))
				require.NoError(t, n.Start(ctx, ids[1], node.StartOptions{Kind: "porter"}))
				require.Empty(t, porters.StartMany(ctx, n, map[string]sessionproc.None{ids[2]: {}}))
				for _, id := range ids {
					got, err := carries.Call(ctx, n, id, sessionproc.None{})
					require.NoError(t, err)
					require.Equal(t, want, got, size)
					require.NoError(t, n.Call(ctx, id, "carries", nil, &got))
					require.Equal(t, want, got, size)
					require.NoError(t, tip.Cast(ctx, n, id, sessionproc.None{}))
					_, err = porters.Ensure(ctx, n, id, sessionproc.None{})
					require.NoError(t, err)
				}
				reach, err := tip.Broadcast(ctx, n, sessionproc.None{})
				require.NoError(t, err)
				require.Equal(t, 3, reach.Delivered)
				_, err = n.Stats(ctx)
				require.NoError(t, err)
				ended, err := n.TerminateLabelled(ctx, "user", "ann")
				require.NoError(t, err)
				require.Equal(t, 3, ended)
				require.Less(t, time.Since(begun), time.Second)
				time.Sleep(2 * time.Second) // until sessions are no longer taken for those just ended
			}
		}
		require.Len(t, log.Lines("does not travel"), 1)
		time.Sleep(time.Minute)
		for range 2 {
			_, err := n.Stats(context.WithValue(t.Context(), baggage{}, 2000))
			require.NoError(t, err)
		}
		lines := log.Lines("does not travel")
		require.Len(t, lines, 2, "once a minute")
		require.Contains(t, lines[1], "bytes=2000 limit=1024")
	})
}

// A query that no member would take is a bad one, and none of the members is to blame.
func TestAQueryThatIsTooLargeIsABadRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newPorters)
		for _, err := range c.Node(0).List(t.Context(), node.ListOptions{Node: "n1", Prefix: string(make([]byte, 5<<20))}) {
			require.ErrorIs(t, err, sessionproc.ErrBadRequest)
			require.NotErrorIs(t, err, sessionproc.ErrUnavailable)
		}
	})
}
