package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A queue is a session with a mailbox of 4 whose messages take as long as they say.
var (
	queues  = sessionproc.KindOf[sessionproc.None]("queue")
	serveIt = sessionproc.MethodOf[errand, []string](queues, "serve")
	leaveIt = sessionproc.NoticeOf[errand](queues, "leave")
	hurryIt = sessionproc.NoticeOf[errand](queues, "hurry") // NoWait
	tellAll = sessionproc.NoticeOf[errand](queues, "tell")
)

type errand struct {
	Name    string
	Takes   time.Duration
	Ballast []byte
}

type queue struct{ Done []string }

func (q *queue) do(ctx context.Context, e errand) {
	select {
	case <-time.After(e.Takes):
	case <-ctx.Done():
	}
	q.Done = append(q.Done, e.Name)
}

func newQueues() sessionproc.AnyKind {
	k := sessionproc.NewKind(queues, startsAs[queue], sessionproc.KindConfig{Mailbox: 4})
	sessionproc.HandleCall(k, serveIt, func(q *queue, ctx context.Context, e errand) ([]string, error) {
		q.do(ctx, e)
		return slices.Clone(q.Done), nil
	})
	cast := func(q *queue, ctx context.Context, e errand) error {
		q.do(ctx, e)
		return nil
	}
	sessionproc.HandleCast(k, leaveIt, cast)
	sessionproc.HandleCast(k, hurryIt, cast, sessionproc.MethodConfig{NoWait: true})
	sessionproc.HandleCast(k, tellAll, cast)
	return k
}

// queueOn is a cluster and a session on node 0 of it whose mailbox is full, behind a
// message that takes as long as it says.
func queueOn(t *testing.T, nodes int, takes time.Duration, tune ...func(i int, cfg *node.Config)) (c *nodetest.Cluster,
	id string) {
	t.Helper()
	cfg := nodetest.Config{Nodes: nodes, Kinds: []nodetest.KindFunc{newQueues}}
	for _, f := range tune {
		cfg.Tune = f
	}
	c = nodetest.Start(t, cfg)
	id = ownedBy(c, 0, "queue-")
	require.NoError(t, queues.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
	require.NoError(t, leaveIt.Cast(t.Context(), c.Node(0), id, errand{Name: "first", Takes: takes}))
	synctest.Wait()
	for i := range 4 {
		require.NoError(t, leaveIt.Cast(t.Context(), c.Node(0), id, errand{Name: strconv.Itoa(i)}))
	}
	return c, id
}

func inspect(t *testing.T, c *nodetest.Cluster, id string) node.Inspection {
	t.Helper()
	i, err := c.Node(0).Inspect(t.Context(), id, node.InspectOptions{})
	require.NoError(t, err)
	return i
}

// Callers of all nodes stand in one line, and each gets its fair share.
func TestCallersOfAllNodesShareOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, takes = 99, 10 * time.Millisecond
		c := nodetest.NewCluster(t, 3, newQueues)
		id := ownedBy(c, 0, "queue-")
		require.NoError(t, queues.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
		var wg sync.WaitGroup
		var mu sync.Mutex
		var longest time.Duration
		counts := make([]int, callers)
		stop := time.Now().Add(20 * callers * takes)
		for i := range callers {
			wg.Go(func() {
				for time.Now().Before(stop) {
					begun := time.Now()
					_, err := serveIt.Call(context.Background(), c.Node(i%3), id, errand{Name: "", Takes: takes})
					mu.Lock()
					longest = max(longest, time.Since(begun))
					if counts[i]++; err != nil {
						t.Error(err)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, longest, (callers+2)*takes)
		require.InDelta(t, 20, slices.Min(counts), 2)
		require.InDelta(t, 20, slices.Max(counts), 2)
	})
}

// Whoever casts in a tight loop, from wherever, is slowed down and never refused.
func TestTightLoopOfRemoteCastsIsNeverRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := nodetest.NewCluster(t, 2, newQueues)
		id := ownedBy(c, 0, "queue-")
		require.NoError(t, queues.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
		var want []string
		for i := range 500 {
			want = append(want, strconv.Itoa(i))
			require.NoError(t, leaveIt.Cast(context.Background(), c.Node(1), id,
				errand{Name: strconv.Itoa(i), Takes: time.Millisecond}))
		}
		got, err := serveIt.Call(t.Context(), c.Node(1), id, errand{Name: "last"})
		require.NoError(t, err)
		require.Equal(t, append(want, "last"), got)
	})
}

// How long which request waits for a place, here and from another node.
func TestEachRequestWaitsItsOwnTimeForAPlace(t *testing.T) {
	for i, place := range []string{"owner", "remote"} {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, id := queueOn(t, 2, time.Minute)
				n := c.Node(i)
				untyped := func(ctx context.Context) error { return n.Cast(ctx, id, "leave", errand{}) }
				typed := func(ctx context.Context) error { return leaveIt.Cast(ctx, n, id, errand{}) }
				call := func(ctx context.Context) error { _, err := serveIt.Call(ctx, n, id, errand{}); return err }
				for what, w := range map[string]struct {
					ctx  time.Duration // 0: none
					send func(ctx context.Context) error
					want time.Duration
				}{
					"cast":                         {0, typed, 50 * time.Millisecond},
					"untyped cast":                 {0, untyped, 50 * time.Millisecond},
					"cast with a deadline":         {time.Second, typed, time.Second},
					"untyped cast with a deadline": {time.Second, untyped, time.Second},
					"cast with a short one":        {30 * time.Millisecond, typed, 30 * time.Millisecond},
					"call":                         {0, call, 15 * time.Second},
					"call with a deadline":         {time.Second, call, time.Second},
					"hasty cast": {time.Second,
						func(ctx context.Context) error { return hurryIt.Cast(ctx, n, id, errand{}) }, 0},
				} {
					ctx := context.Background()
					if w.ctx > 0 {
						ctx = lasting(t, w.ctx)
					}
					begun := time.Now()
					err := w.send(ctx)
					require.WithinDuration(t, begun.Add(w.want), time.Now(), 25*time.Millisecond, what)
					require.ErrorIs(t, err, sessionproc.ErrOverloaded, what)
					require.Equal(t, ctx.Err() != nil || w.want > time.Second, errIsDeadline(err), "%s: %v", what, err)
					require.False(t, sessionproc.MaybeExecuted(err), what)
				}
				require.Zero(t, inspect(t, c, id).Line)
			})
		})
	}
}

func errIsDeadline(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// A broadcast passes over who has no room, also where the session moves just then.
func TestBroadcastDoesNotWaitForFullMailboxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, id := queueOn(t, 2, time.Minute)
		begun := time.Now()
		r, err := tellAll.Broadcast(t.Context(), c.Node(1), errand{Name: "news"})
		require.NoError(t, err)
		require.Equal(t, sessionproc.Reach{Full: 1}, r)
		for i := range 2 {
			err = c.Node(i).Deliver(lasting(t, time.Second), id, engine.Coded("queue", "tell", nil, true))
			require.ErrorIs(t, err, sessionproc.ErrOverloaded)
		}
		require.Less(t, time.Since(begun), 20*time.Millisecond)
	})
}

// When a session moves or is renewed, its line is sent on.
func TestTheLineFollowsItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, id := queueOn(t, 3, time.Second)
		done := make(chan error, 20)
		for i := range 20 {
			e := errand{Name: fmt.Sprint("late ", i)}
			go func() {
				if ctx := lasting(t, time.Minute); i%2 == 0 {
					done <- leaveIt.Cast(ctx, c.Node(i%3), id, e)
				} else {
					_, err := serveIt.Call(ctx, c.Node(i%3), id, e)
					done <- err
				}
			}()
			synctest.Wait()
		}
		time.Sleep(10 * time.Millisecond)
		require.Equal(t, 20, inspect(t, c, id).Line)
		c.Drain(0)
		for range 20 {
			require.NoError(t, <-done)
		}
		got, err := serveIt.Call(t.Context(), c.Node(1), id, errand{Name: "last"})
		require.NoError(t, err)
		require.Equal(t, []string{"first", "0", "1", "2", "3"}, got[:5])
		require.Len(t, got, 26)
		slices.Sort(got)
		require.Len(t, slices.Compact(got), 26, "each once")
	})
}

// A request whose caller has gone is taken out of the line of another node.
func TestACancelledRequestOfAnotherNodeLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, id := queueOn(t, 2, time.Minute)
		ctx, cancel := context.WithCancel(lasting(t, time.Minute))
		done := make(chan error, 2)
		go func() { done <- leaveIt.Cast(ctx, c.Node(1), id, errand{}) }()
		go func() { _, err := serveIt.Call(ctx, c.Node(1), id, errand{}); done <- err }()
		time.Sleep(10 * time.Millisecond)
		require.Equal(t, 2, inspect(t, c, id).Line)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.ErrorIs(t, <-done, context.Canceled)
		time.Sleep(10 * time.Millisecond)
		require.Zero(t, inspect(t, c, id).Line)
	})
}

// A node that holds MaxInflight takes no request into a line: it is asked again.
func TestRequestsForANodeWithoutRoomAreAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, id := queueOn(t, 2, time.Minute, func(_ int, cfg *node.Config) { cfg.MaxInflight = 64 << 10 })
		big := errand{Ballast: make([]byte, 60<<10)}
		go func() { _, _ = serveIt.Call(lasting(t, time.Second), c.Node(1), id, big) }()
		time.Sleep(10 * time.Millisecond)
		begun := time.Now()
		require.ErrorIs(t, leaveIt.Cast(context.Background(), c.Node(1), id, big), sessionproc.ErrOverloaded)
		require.WithinDuration(t, begun.Add(50*time.Millisecond), time.Now(), 50*time.Millisecond)
		other := ownedBy(c, 0, "other-")
		require.NoError(t, queues.Start(lasting(t, 5*time.Second), c.Node(0), other, sessionproc.None{}))
		require.NoError(t, leaveIt.Cast(lasting(t, 5*time.Second), c.Node(1), other, big), "once there is room")
		_, err := serveIt.Call(lasting(t, 5*time.Second), c.Node(1), other, big)
		require.NoError(t, err)
	})
}

// Of these requests no more than 64 wait for one session, each at its node.
func TestRequestsThatAskAgainAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, id := queueOn(t, 2, time.Second, func(_ int, cfg *node.Config) { cfg.MaxInflight = 64 << 10 })
		big := errand{Ballast: make([]byte, 60<<10)}
		results := make(chan error, 80)
		for range 80 {
			go func() {
				_, err := serveIt.Call(context.Background(), c.Node(1), id, big)
				results <- err
			}()
			synctest.Wait()
		}
		for range 80 - 64 - 1 {
			err := <-results
			require.ErrorIs(t, err, sessionproc.ErrOverloaded)
			require.False(t, sessionproc.MaybeExecuted(err))
		}
		for range 64 + 1 {
			require.NoError(t, <-results)
		}
	})
}
