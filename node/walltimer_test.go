package node_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	auctions  = sessionproc.KindOf[time.Time]("auction")
	strikes   = sessionproc.MethodOf[sessionproc.None, []time.Time](auctions, "strikes")
	breakDown = sessionproc.MethodOf[sessionproc.None, sessionproc.None](auctions, "break down")
	hammer    = sessionproc.NoticeOf[sessionproc.None](auctions, "hammer")
)

// An auction knows when its hammer fell.
type auction struct{ Strikes []time.Time }

func newAuctions(replicas int) nodetest.KindFunc {
	return nodetest.Kind(func() *sessionproc.Kind[auction, time.Time] {
		k := sessionproc.NewKind(auctions, func(ctx context.Context, at time.Time) (*auction, error) {
			return new(auction), hammer.At(ctx, "hammer", at, sessionproc.None{})
		}, sessionproc.KindConfig{Replicas: replicas, Restart: sessionproc.RestartLastState})
		sessionproc.HandleCall(k, strikes, func(a *auction, _ context.Context, _ sessionproc.None) ([]time.Time, error) {
			return a.Strikes, nil
		}, sessionproc.MethodConfig{ReadOnly: true})
		sessionproc.HandleCall(k, breakDown, func(*auction, context.Context, sessionproc.None) (
			n sessionproc.None, _ error) {
			panic("on purpose")
		})
		sessionproc.HandleCast(k, hammer, func(a *auction, _ context.Context, _ sessionproc.None) error {
			a.Strikes = append(a.Strikes, time.Now())
			return nil
		})
		return k
	})
}

// A timer for a time fires then, once, whatever happens to its session before: it moves, is renewed, restarts,
// or loses its node. One that is overdue by then fires at once.
func TestATimerForATimeFiresThenWhereverItsSessionIs(t *testing.T) {
	shorttest.Skip(t)
	const due = time.Minute
	for name, c := range map[string]struct {
		replicas int
		by       time.Duration // at the latest, after due
		happens  func(t *testing.T, c *nodetest.Cluster, id string) (newID string)
	}{
		"it stays": {0, 0, func(_ *testing.T, _ *nodetest.Cluster, id string) string { return id }},
		"it moves": {0, 0, func(_ *testing.T, c *nodetest.Cluster, id string) string {
			c.Leave(c.Owner(id))
			return id
		}},
		"it is renewed and moves": {0, 0, func(t *testing.T, c *nodetest.Cluster, id string) string {
			newID := renewed(t, c, id)
			c.Leave(c.Owner(newID))
			return newID
		}},
		"it restarts": {0, 0, func(t *testing.T, c *nodetest.Cluster, id string) string {
			_, err := breakDown.Call(t.Context(), c.Caller(), id, sessionproc.None{})
			require.ErrorIs(t, err, sessionproc.ErrCrashed)
			return id
		}},
		"its node crashes": {1, 0, func(_ *testing.T, c *nodetest.Cluster, id string) string {
			c.Crash(c.Owner(id))
			return id
		}},
		"its node crashes when it is due": {1, 5 * time.Second, func(_ *testing.T, c *nodetest.Cluster, id string) string {
			time.Sleep(due - 10*time.Second - time.Millisecond)
			c.Crash(c.Owner(id))
			return id
		}},
		"its node loses power when it is due": {1, 10 * time.Second,
			func(_ *testing.T, c *nodetest.Cluster, id string) string {
				time.Sleep(due - 10*time.Second - time.Millisecond)
				c.PowerOff(c.Owner(id))
				return id
			}},
		"its renewed session's node crashes": {1, 0, func(t *testing.T, c *nodetest.Cluster, id string) string {
			newID := renewed(t, c, id)
			c.Crash(c.Owner(newID))
			return newID
		}},
		"its node stands still when it is due": {1, 10 * time.Second,
			func(_ *testing.T, c *nodetest.Cluster, id string) string {
				time.Sleep(due - 11*time.Second)
				i := c.Owner(id)
				c.Stall(i)
				time.Sleep(3 * time.Second)
				c.Resume(i)
				return id
			}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := nodetest.Start(t, nodetest.Config{Nodes: 3, Kinds: []nodetest.KindFunc{newAuctions(c.replicas)}})
				cluster.Settle()
				at := time.Now().Add(due)
				require.NoError(t, auctions.Start(t.Context(), cluster.Caller(), "vase", at))
				time.Sleep(10 * time.Second)
				id := c.happens(t, cluster, "vase")
				cluster.Settle()
				if left := time.Until(at); left > 0 {
					i, err := cluster.Node(cluster.Owner(id)).Inspect(t.Context(), id, node.InspectOptions{})
					require.NoError(t, err)
					require.Len(t, i.Timers, 1)
					require.True(t, i.Timers[0].Wall)
					require.True(t, at.Equal(i.Timers[0].Due))
				}
				time.Sleep(2 * due)
				fell, err := strikes.Call(t.Context(), cluster.Caller(), id, sessionproc.None{})
				require.NoError(t, err)
				require.Len(t, fell, 1)
				require.False(t, fell[0].Before(at), "%v before", at.Sub(fell[0]))
				require.LessOrEqual(t, fell[0].Sub(at), c.by+10*time.Millisecond) // a record may come first
			})
		})
	}
}

func renewed(t *testing.T, c *nodetest.Cluster, id string) (newID string) {
	t.Helper()
	newID, err := c.Node(c.Owner(id)).Renew(t.Context(), id)
	require.NoError(t, err)
	return newID
}
