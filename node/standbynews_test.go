package node_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// The kind under test publishes what it is set to.
var (
	dials   = sessionproc.KindOf[sessionproc.None]("dial")
	dialSet = sessionproc.NoticeOf[int](dials, "set")
	dialGet = sessionproc.MethodOf[sessionproc.None, int](dials, "get")
	dialNow = sessionproc.EventOf[int](dials, "now")
)

type dial struct{ N int }

func dialKind(cfg sessionproc.KindConfig) nodetest.KindFunc {
	return nodetest.Kind(func() *sessionproc.Kind[dial, sessionproc.None] {
		k := sessionproc.NewKind(dials, func(context.Context, sessionproc.None) (*dial, error) { return new(dial), nil }, cfg)
		sessionproc.HandleCast(k, dialSet, func(d *dial, ctx context.Context, n int) error {
			d.N = n
			return dialNow.Publish(ctx, n)
		})
		sessionproc.HandleCall(k, dialGet, func(d *dial, _ context.Context, _ sessionproc.None) (int, error) {
			return d.N, nil
		}, sessionproc.MethodConfig{ReadOnly: true})
		sessionproc.HandleEvent(k, dialNow, func(d *dial) int { return d.N })
		return k
	})
}

// A subscriber gets what a session has published last, and nothing need change for that once the cluster is well
// again: whatever becomes of the record with it, and of the standbys.
func TestSubscribersGetTheLastValueWhateverBecomesOfItsRecord(t *testing.T) {
	shorttest.Skip(t)
	const owner, other, third = 0, 1, 2
	for name, c := range map[string]struct {
		nodes, quorum int
		kind          sessionproc.KindConfig
		strike, mend  func(c *nodetest.Cluster)
	}{
		"the quorum is lost for a while": {2, 2, sessionproc.KindConfig{Replicas: 1},
			func(c *nodetest.Cluster) { c.Isolate(owner) },
			func(c *nodetest.Cluster) { c.Heal() }},
		"the quorum is lost for a while, and standbys are to be two": {2, 2, sessionproc.KindConfig{Replicas: 2},
			func(c *nodetest.Cluster) { c.Isolate(owner) },
			func(c *nodetest.Cluster) { c.Heal() }},
		"the owner is of a minority, and the others go on": {3, 2, sessionproc.KindConfig{Replicas: 1},
			func(c *nodetest.Cluster) { c.Isolate(owner) },
			func(c *nodetest.Cluster) { c.Heal() }},
		"the quorum leaves, and another member comes": {2, 2, sessionproc.KindConfig{Replicas: 1},
			func(c *nodetest.Cluster) { c.PowerOff(other) },
			func(c *nodetest.Cluster) { c.Add() }},
		"too few keep standbys": {2, 0, sessionproc.KindConfig{Replicas: 1, MinReplicas: 1},
			func(c *nodetest.Cluster) { c.PowerOff(other) },
			func(c *nodetest.Cluster) { c.Add() }},
		"too few keep standbys for a while": {3, 0, sessionproc.KindConfig{Replicas: 2, MinReplicas: 2},
			func(c *nodetest.Cluster) { c.Cut(owner, other) },
			func(c *nodetest.Cluster) { c.Heal() }},
		"a standby stands still": {3, 0, sessionproc.KindConfig{Replicas: 2},
			func(c *nodetest.Cluster) { c.Stall(other) },
			func(c *nodetest.Cluster) { c.Resume(other) }},
		"two sides go on": {3, 0, sessionproc.KindConfig{Replicas: 2},
			func(c *nodetest.Cluster) { c.Isolate(owner) },
			func(c *nodetest.Cluster) { c.Heal() }},
		"a standby dies": {3, 0, sessionproc.KindConfig{Replicas: 2},
			func(c *nodetest.Cluster) { c.PowerOff(third) },
			func(c *nodetest.Cluster) {}},
		"the session moves": {2, 0, sessionproc.KindConfig{Replicas: 1},
			func(c *nodetest.Cluster) { c.Stall(other) },
			func(c *nodetest.Cluster) { c.Resume(other); c.Settle(); c.Leave(owner) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := nodetest.Start(t, nodetest.Config{Nodes: c.nodes, Kinds: []nodetest.KindFunc{dialKind(c.kind)},
					Tune: func(_ int, cfg *node.Config) { cfg.Quorum = c.quorum }})
				cl.Settle()
				time.Sleep(repairTime)
				id := idAt(cl, owner)
				require.NoError(t, dials.Start(t.Context(), cl.Node(owner), id, sessionproc.None{}))
				var subs []*sessionproc.Subscription[int]
				for i := range c.nodes {
					sub, err := dialNow.Subscribe(t.Context(), cl.Node(i), id, sessionproc.SubscribeOptions{})
					require.NoError(t, err)
					defer sub.Close()
					subs = append(subs, sub)
				}
				time.Sleep(time.Second)
				c.strike(cl)
				for n := 1; n <= 2; n++ {
					require.NoError(t, dialSet.Cast(t.Context(), cl.Node(owner), id, n))
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(15 * time.Second)
				c.mend(cl)
				time.Sleep(time.Minute)
				want, err := dialGet.Call(t.Context(), cl.Caller(), id, sessionproc.None{})
				require.NoError(t, err)
				require.Equal(t, 2, want)
				for i, sub := range subs {
					last, err := lastValue(t, sub)
					if !errors.Is(err, sessionproc.ErrClosed) { // its node is gone
						require.NoError(t, err)
						require.Equal(t, want, last, "at node %d", i)
					}
				}
			})
		})
	}
}

// lastValue reads what a subscriber has, and returns the last value and how the subscription has ended.
func lastValue(t *testing.T, sub *sessionproc.Subscription[int]) (last int, err error) {
	for {
		select {
		case <-sub.Ready():
		default:
			return last, nil
		}
		u, err := sub.Next(t.Context())
		if err != nil {
			return last, err
		}
		last = u.Value
	}
}
