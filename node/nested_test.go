package node_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	logins = sessionproc.KindOf[login]("login")
	visit  = sessionproc.MethodOf[string, sessionproc.None](logins, "visit")
)

// login says what its start function does, and with which other session.
type login struct{ Does, ID string }

func newLogins() sessionproc.AnyKind {
	k := sessionproc.NewKind(logins, func(ctx context.Context, l login) (*struct{}, error) {
		if l.Does == "" {
			return new(struct{}), nil
		}
		time.Sleep(100 * time.Millisecond) // until all places are taken
		cluster := sessionproc.FromContext(ctx).Cluster()
		switch l.Does {
		case "start":
			return new(struct{}), logins.Start(ctx, cluster, l.ID, login{})
		case "ensure":
			_, err := logins.Ensure(ctx, cluster, l.ID, login{})
			return new(struct{}), err
		case "stats":
			_, err := cluster.(*node.Node).Stats(ctx)
			return new(struct{}), err
		case "renew":
			_, err := cluster.(*node.Node).Renew(ctx, l.ID)
			return new(struct{}), err
		}
		_, err := visit.Call(ctx, cluster, l.ID, l.Does)
		return new(struct{}), err
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, visit, func(_ *struct{}, ctx context.Context, id string) (sessionproc.None, error) {
		if id == "call" {
			return sessionproc.None{}, nil
		}
		return sessionproc.None{}, logins.Start(ctx, sessionproc.FromContext(ctx).Cluster(), id, login{})
	}, sessionproc.MethodConfig{StartOnCall: true})
	return k
}

// The start functions of two nodes hold all places there, and wait for sessions that
// start at the other node.
func TestStartsNestedAcrossNodesDoNotWaitForPlaces(t *testing.T) {
	for _, does := range []string{"start", "ensure", "call", "a handler that starts", "renew"} {
		t.Run(does, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := tuned(t, 2, func(_ int, cfg *node.Config) { cfg.MaxStarting = 2 }, newLogins)
				c.Settle()
				time.Sleep(time.Second) // until the partitions have moved too
				var wg sync.WaitGroup
				begun := time.Now()
				for i := range 2 {
					outer, inner := owned(c, i, 2, "outer"), owned(c, 1-i, 2, "inner")
					helpers := owned(c, i, 2, "helper")
					for k := range outer {
						l := login{does, inner[k]}
						switch does {
						case "a handler that starts":
							require.NoError(t, logins.Start(t.Context(), c.Node(i), helpers[k], login{}))
							l = login{inner[k], helpers[k]}
						case "renew": // of one that waits for its turn
							wg.Go(func() {
								time.Sleep(10 * time.Millisecond)
								assert.NoError(t, logins.Start(t.Context(), c.Node(i), inner[k], login{}))
							})
						}
						wg.Go(func() { assert.NoError(t, logins.Start(t.Context(), c.Node(k), outer[k], l)) })
					}
				}
				wg.Wait()
				require.Less(t, time.Since(begun), time.Second)
			})
		})
	}
}

// All queries that a node answers at a time may be starts of sessions whose start
// functions ask it something.
func TestQueriesOfStartFunctionsDoNotWaitForQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newLogins)
		c.Settle()
		time.Sleep(time.Second)
		c.Node(1).AnswerQueries()
		ctx := lasting(t, time.Second)
		_, err := c.Node(0).Stats(ctx)
		require.Error(t, err, "others wait")
		begun := time.Now()
		require.NoError(t, logins.Start(t.Context(), c.Node(0), ownedBy(c, 0, "a"), login{Does: "stats"}))
		require.Less(t, time.Since(begun), time.Second)
	})
}
