package node_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// firstOf is the error of an outcome of many.
func firstOf(failed map[string]error) error {
	return errors.Join(slices.Collect(maps.Values(failed))...)
}

// losses are how a node with sessions is lost that have been started or ended together, and whose answer does not
// arrive.
var losses = map[string]func(t *testing.T, c *nodetest.Cluster, call func(ctx context.Context) error) error{
	"crash": lost,
	"close": func(t *testing.T, c *nodetest.Cluster, call func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for i := 2; i < c.Len(); i++ {
			c.Network().CutOneWay(c.Host(i), c.Host(1)) // its standbys do not answer
		}
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		time.Sleep(200 * time.Millisecond)
		require.Empty(t, done)
		require.NoError(t, c.Node(1).Close())
		c.Crash(1)
		c.Heal()
		return <-done
	},
}

// The node of many sessions is lost with the answers to their starts. Those are made again, and find the sessions that
// the first ones have started. Another start finds them too, and that is an error.
func TestStartsOfManyAreMadeAgain(t *testing.T) {
	starts := map[string]func(ctx context.Context, n *node.Node, ids []string) map[string]error{
		"typed": func(ctx context.Context, n *node.Node, ids []string) map[string]error {
			all := map[string]sessionproc.None{}
			for _, id := range ids {
				all[id] = sessionproc.None{}
			}
			return meters.StartMany(ctx, n, all)
		},
		"untyped": func(ctx context.Context, n *node.Node, ids []string) map[string]error {
			all := map[string]node.StartOptions{}
			for _, id := range ids {
				all[id] = node.StartOptions{Kind: "meter", Arg: sessionproc.None{}}
			}
			return n.StartMany(ctx, all)
		},
	}
	for name, start := range starts {
		for how, lose := range losses {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const sessions = 60
					c := startMeters(t, 4, 0, nil)
					var ids []string
					for i := range sessions {
						ids = append(ids, fmt.Sprint("m", i))
					}
					taken := idOf(t, c, 1, sessions)
					require.NoError(t, meters.Start(t.Context(), c.Node(0), taken, sessionproc.None{}))
					var failed map[string]error
					require.ErrorIs(t, lose(t, c, func(ctx context.Context) error {
						failed = start(ctx, c.Node(0), ids)
						return firstOf(failed)
					}), sessionproc.ErrAlreadyStarted)
					require.Len(t, failed, 1)
					require.ErrorIs(t, failed[taken], sessionproc.ErrAlreadyStarted)
					failed = start(t.Context(), c.Node(0), ids)
					for _, id := range ids {
						require.ErrorIs(t, failed[id], sessionproc.ErrAlreadyStarted)
						require.Equal(t, 0, countedAt(t, c, id))
					}
				})
			})
		}
	}
}

// The same of ends: those that are made again find no sessions, as it should be.
func TestEndsOfManyAreMadeAgain(t *testing.T) {
	for how, lose := range losses {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const sessions = 60
				c := startMeters(t, 4, sessions, nil)
				ids := []string{}
				for i := range sessions {
					ids = append(ids, fmt.Sprint("m", i))
				}
				require.NoError(t, lose(t, c, func(ctx context.Context) error {
					return firstOf(c.Node(0).TerminateMany(ctx, ids))
				}))
				failed := c.Node(0).TerminateMany(t.Context(), ids)
				for _, id := range ids {
					require.ErrorIs(t, failed[id], sessionproc.ErrNotFound)
				}
			})
		})
	}
}

// A start of which each node dies gets two of them, among many as alone, and the caller is told that it may have run.
func TestAStartOfManyThatKillsItsNodeRunsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *nodetest.Cluster
		var runs atomic.Int32
		deadly := sessionproc.KindOf[int]("deadly")
		c = nodetest.Start(t, nodetest.Config{Nodes: 5, Tune: func(i int, cfg *node.Config) {
			cfg.StandbyMemory = 1 << 30
			cfg.Kinds = []sessionproc.AnyKind{sessionproc.NewKind(deadly, func(ctx context.Context, _ int) (*meter, error) {
				runs.Add(1)
				dies(ctx, c, i)
				return nil, ctx.Err()
			}, sessionproc.KindConfig{Replicas: 1})}
		}})
		c.Settle()
		c.Drain(0) // no session comes to the node of the caller
		c.Settle()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := firstOf(deadly.StartMany(ctx, c.Node(0), map[string]int{"d": 1}))
		require.ErrorIs(t, err, sessionproc.ErrUnavailable)
		require.NoError(t, ctx.Err())
		require.EqualValues(t, 2, runs.Load())
	})
}

// A Terminate that is made again leaves a session alone that another client has started since.
func TestATerminateThatIsMadeAgainSparesWhatWasStartedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions = 60
		c := startMeters(t, 4, sessions, nil)
		var ids []string
		for i := range sessions {
			if id := fmt.Sprint("m", i); c.Owner(id) == 1 {
				ids = append(ids, id)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		errs := make([]error, len(ids))
		var starting sync.WaitGroup
		time.AfterFunc(300*time.Millisecond, func() { // node 1 has crashed
			for i, id := range ids {
				starting.Go(func() { errs[i] = meters.Start(ctx, c.Node(2+i%2), id, sessionproc.None{}) })
			}
		})
		require.NoError(t, lost(t, c, func(ctx context.Context) error {
			return firstOf(c.Node(0).TerminateMany(ctx, ids))
		}))
		starting.Wait()
		started := 0
		for i, id := range ids {
			if errs[i] == nil {
				started++
			} else { // its end was not durable yet at its standby, node 0
				require.ErrorIs(t, errs[i], sessionproc.ErrAlreadyStarted)
			}
			there, err := c.Node(0).Started(ctx, id)
			require.NoError(t, err)
			require.Equal(t, errs[i] == nil, there, id)
		}
		require.NotZero(t, started)
	})
}
