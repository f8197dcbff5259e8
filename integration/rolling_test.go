package integration_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
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
	liveBoards      = flag.Int("boards", 40, "`sessions` that publish in TestSubscribersMissNothingDuringRollingRestarts")
	liveSubscribers = flag.Int("subscribers", 400, "`subscribers` of them")
	livePause       = flag.Duration("publish", 20*time.Millisecond, "`time` between two values of one session")
)

// follower is a subscriber that checks what it gets.
type follower struct {
	id   string
	last int
	gaps int
	end  error
}

// follow reads until the end of the session. A subscription that its node's end has
// ended goes on at another node, from where it was.
func (f *follower) follow(ctx context.Context, nodes func() *node.Node) error {
	var after sessionproc.Position
	for first := true; ; {
		sub, err := shown.Subscribe(ctx, nodes(), f.id, sessionproc.SubscribeOptions{After: after, Buffer: 1000})
		if errors.Is(err, sessionproc.ErrClosed) {
			continue // the node has just left
		}
		if err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		for u, err := range sub.All(ctx) {
			if errors.Is(err, sessionproc.ErrClosed) {
				break
			}
			if err != nil {
				sub.Close()
				f.end = err
				return nil
			}
			switch {
			case first:
			case u.Gap:
				f.gaps++
				if u.Value < f.last {
					return fmt.Errorf("%d after %d", u.Value, f.last)
				}
			case u.Value != f.last+1:
				return fmt.Errorf("%d after %d, and no gap", u.Value, f.last)
			}
			first, f.last, after = false, u.Value, u.Position
		}
		sub.Close()
	}
}

// replicas is a cluster of three that are restarted.
type replicas interface {
	node(i int) *node.Node
	leave(i int)
	restart(i int) // and wait until all see it
}

type simulated struct{ c *nodetest.Cluster }

func (s simulated) node(i int) *node.Node { return s.c.Node(i) }
func (s simulated) leave(i int)           { s.c.Leave(i) }
func (s simulated) restart(i int)         { s.c.Restart(i); s.c.Settle() }

// onLoopback is replicas on real sockets.
type onLoopback struct {
	t       *testing.T
	members []*member
}

func (l *onLoopback) node(i int) *node.Node { return l.members[i].Node }
func (l *onLoopback) leave(i int)           { require.NoError(l.t, l.members[i].Leave(l.t.Context())) }

func (l *onLoopback) restart(i int) {
	cfg := node.Config{Slot: l.members[i].Slot()}
	for k, m := range l.members {
		if k != i {
			cfg.Join = append(cfg.Join, m.Addr())
		}
	}
	var err error
	l.members[i], err = startNode(l.t.Context(), cfg)
	require.NoError(l.t, err)
	for _, m := range l.members {
		require.NoError(l.t, m.awaitServing(within(l.t, 20*time.Second), len(l.members)))
	}
}

// To run it with 10,000 subscribers of 1,000 sessions:
//
//	go test -run RollingRestarts ./integration -boards 1000 -subscribers 10000 -publish 500ms
func TestSubscribersMissNothingDuringRollingRestarts(t *testing.T) {
	t.Run("simulated", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { missNothing(t, simulated{nodetest.NewCluster(t, 3, newBoards)}) })
	})
	t.Run("loopback", func(t *testing.T) {
		l := &onLoopback{t, newCluster(t, 3, node.Config{})}
		t.Cleanup(func() {
			for _, m := range l.members {
				_ = m.Close()
			}
		})
		missNothing(t, l)
	})
}

// missNothing has sessions publish all the time while each of three nodes in turn
// leaves and comes back. Every subscriber gets every value in order, and the end.
func missNothing(t *testing.T, c replicas) {
	ids := make([]string, *liveBoards)
	for i := range ids {
		ids[i] = sessionproc.NewID()
		require.NoError(t, boards.Start(t.Context(), c.node(0), ids[i], 0))
		require.NoError(t, advance.Cast(t.Context(), c.node(0), ids[i], *livePause))
	}
	var mu sync.Mutex // guards up
	up := []*node.Node{c.node(0), c.node(1), c.node(2)}
	followers := make([]follower, *liveSubscribers)
	var all sync.WaitGroup
	for i := range followers {
		f, next := &followers[i], i
		f.id = ids[i%len(ids)]
		all.Go(func() {
			assert.NoError(t, f.follow(t.Context(), func() *node.Node {
				mu.Lock()
				defer mu.Unlock()
				next++
				return up[next%len(up)]
			}), "follower %d", i)
		})
	}
	time.Sleep(time.Second)
	for i := range 3 {
		mu.Lock()
		rest := []*node.Node{c.node((i + 1) % 3), c.node((i + 2) % 3)}
		up = rest
		mu.Unlock()
		c.leave(i)
		time.Sleep(time.Second)
		c.restart(i)
		mu.Lock()
		up = append(rest, c.node(i))
		mu.Unlock()
		time.Sleep(2 * time.Second)
	}
	for _, id := range ids {
		require.NoError(t, c.node(0).Terminate(t.Context(), id))
	}
	all.Wait()
	gaps := 0
	for i := range followers {
		f := &followers[i]
		ended, ok := errors.AsType[*sessionproc.Ended](f.end)
		require.True(t, ok, "%v", f.end)
		require.Equal(t, sessionproc.ReasonTerminated, ended.Reason)
		require.Greater(t, f.last, 5)
		gaps += f.gaps
	}
	t.Logf("%d subscribers of %d sessions got up to %d values each, with %d gaps", len(followers), len(ids),
		followers[0].last, gaps)
	require.Zero(t, gaps, "what a session keeps is enough for a move")
}

// A node dies: subscribers of its sessions are told that they are lost, on time, and
// so are sessions that watch.
func TestAcceptance35_SubscribersHearOfSessionsLostWithANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newBoards)
		at := func(owner int) string {
			for {
				if id := sessionproc.NewID(); c.Owner(id) == owner {
					require.NoError(t, boards.Start(t.Context(), c.Node(0), id, 1))
					return id
				}
			}
		}
		dies, lives, watcher := at(1), at(2), at(0)
		_, err := mind.Call(t.Context(), c.Node(0), watcher, dies)
		require.NoError(t, err)
		lost := subscribe(t, c.Node(0), dies, shown, sessionproc.SubscribeOptions{})
		goesOn := subscribe(t, c.Node(0), lives, shown, sessionproc.SubscribeOptions{})
		requireNext(t, lost, 1, 1)
		c.Crash(1)
		began := time.Now()
		requireEnd(t, lost, dies, sessionproc.ReasonLost)
		require.Less(t, time.Since(began), 10*time.Second)
		_, err = show.Call(t.Context(), c.Node(2), lives, 1)
		require.NoError(t, err)
		requireNext(t, goesOn, 1, 2)
		time.Sleep(2 * time.Second)
		told, err := obits.Call(t.Context(), c.Node(2), watcher, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, []sessionproc.Ended{{ID: dies, Reason: sessionproc.ReasonLost}}, told)
		lost.Close()
		goesOn.Close()
	})
}
