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
func (f *follower) follow(ctx context.Context, nodes func() sessionproc.Subscriber) error {
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

// Sessions publish all the time while each of three nodes in turn leaves and comes
// back. Every subscriber gets every value in order, and the end. To run it with
// 10,000 subscribers of 1,000 sessions:
//
//	go test -run RollingRestarts ./integration -boards 1000 -subscribers 10000 -publish 500ms
func TestSubscribersMissNothingDuringRollingRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 3, newBoards)
		ids := make([]string, *liveBoards)
		for i := range ids {
			ids[i] = sessionproc.NewID()
			require.NoError(t, boards.Start(t.Context(), c.Caller(), ids[i], 0))
			require.NoError(t, advance.Cast(t.Context(), c.Caller(), ids[i], *livePause))
		}
		var mu sync.Mutex // guards up
		up := []sessionproc.Subscriber{c.Node(0), c.Node(1), c.Node(2)}
		followers := make([]follower, *liveSubscribers)
		var all sync.WaitGroup
		for i := range followers {
			f, next := &followers[i], i
			f.id = ids[i%len(ids)]
			all.Go(func() {
				assert.NoError(t, f.follow(t.Context(), func() sessionproc.Subscriber {
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
			rest := []sessionproc.Subscriber{c.Node((i + 1) % 3), c.Node((i + 2) % 3)}
			up = rest
			mu.Unlock()
			c.Leave(i)
			time.Sleep(time.Second)
			c.Restart(i)
			c.Settle()
			mu.Lock()
			up = append(rest, c.Node(i))
			mu.Unlock()
			time.Sleep(2 * time.Second)
		}
		for _, id := range ids {
			require.NoError(t, c.Node(0).Terminate(t.Context(), id))
		}
		all.Wait()
		gaps := 0
		for i := range followers {
			f := &followers[i]
			ended, ok := errors.AsType[*sessionproc.Ended](f.end)
			require.True(t, ok, "%v", f.end)
			require.Equal(t, sessionproc.Terminated, ended.Reason)
			require.Greater(t, f.last, 5)
			gaps += f.gaps
		}
		t.Logf("%d subscribers of %d sessions got up to %d values each, with %d gaps", len(followers), len(ids), followers[0].last, gaps)
		require.Zero(t, gaps, "what a session keeps is enough for a move")
	})
}

// A node dies: subscribers of its sessions are told that they are lost, on time, and
// so are sessions that watch.
func TestAcceptance35_LostWithTheNode(t *testing.T) {
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
		requireEnd(t, lost, dies, sessionproc.Lost)
		require.Less(t, time.Since(began), 10*time.Second)
		_, err = show.Call(t.Context(), c.Node(2), lives, 1)
		require.NoError(t, err)
		requireNext(t, goesOn, 1, 2)
		time.Sleep(2 * time.Second)
		told, err := obits.Call(t.Context(), c.Node(2), watcher, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, []sessionproc.Ended{{ID: dies, Reason: sessionproc.Lost}}, told)
		lost.Close()
		goesOn.Close()
	})
}
