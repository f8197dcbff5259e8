package nodetest_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A kind that has a standby.
var (
	tallies  = sessionproc.KindOf[sessionproc.None]("tally")
	tick     = sessionproc.MethodOf[int, int](tallies, "tick")
	slowTick = sessionproc.MethodOf[int, int](tallies, "slow")
)

type tally struct{ N int }

func newTallies() *sessionproc.Kind[tally, sessionproc.None] {
	k := sessionproc.NewKind(tallies, func(context.Context, sessionproc.None) (*tally, error) { return &tally{}, nil },
		sessionproc.KindConfig{Replicas: 1, StartOnCall: true})
	sessionproc.HandleCall(k, tick, (*tally).add)
	sessionproc.HandleCall(k, slowTick, func(s *tally, ctx context.Context, by int) (int, error) {
		time.Sleep(2 * time.Second)
		return s.add(ctx, by)
	})
	return k
}

func (s *tally) add(_ context.Context, by int) (int, error) {
	s.N += by
	return s.N, nil
}

// trap crashes a node at a step, once it is set.
type trap struct {
	c       *nodetest.Cluster
	at      nodetest.Step
	peers   bool         // the other node of the step crashes
	only    int          // if not 0, a step with this other node
	left    atomic.Int64 // so many such steps go by before
	set     atomic.Bool
	met     chan int     // the node that has crashed
	standby atomic.Int64 // the node that has stored the last record
}

// lay starts three nodes with a trap that is not set.
func lay(t *testing.T, at nodetest.Step, peers bool) *trap {
	t.Helper()
	r := &trap{at: at, peers: peers, met: make(chan int, 1)}
	r.c = nodetest.Start(t, nodetest.Config{Kinds: []nodetest.KindFunc{nodetest.Kind(newTallies)}, OnStep: r.step})
	time.Sleep(5 * time.Second) // until each partition is where it belongs
	return r
}

func (r *trap) step(s nodetest.Step, node, peer int) {
	if s == nodetest.RecordStored {
		r.standby.Store(int64(node))
	}
	if s != r.at || r.only != 0 && peer != r.only || !r.set.Load() {
		return
	}
	if r.left.Add(-1) >= 0 || !r.set.CompareAndSwap(true, false) {
		return
	}
	if r.peers {
		node = peer
	}
	r.c.Host(node).Crash()
	r.met <- node
}

// sprung waits until a node has crashed, and sees to the rest of that.
func (r *trap) sprung(t *testing.T) (node int) {
	t.Helper()
	select {
	case node = <-r.met:
		r.c.Crash(node)
	case <-time.After(time.Minute):
		require.Fail(t, "no node has made the step", string(r.at))
	}
	return node
}

// A call that changes a session runs once, at whichever step of its record its owner or its standby crashes.
func TestACallRunsOnceThoughANodeCrashesAtAStepOfItsRecord(t *testing.T) {
	for _, at := range []nodetest.Step{nodetest.RecordSent, nodetest.RecordStored, nodetest.RecordAcked} {
		for _, ownerDies := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, the owner dies: %t", at, ownerDies), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := lay(t, at, ownerDies == (at == nodetest.RecordStored))
					owner := r.c.Owner("ann")
					n, err := tick.Call(t.Context(), r.c.Node(owner), "ann", 1)
					require.NoError(t, err)
					require.Equal(t, 1, n)
					standby := int(r.standby.Load())
					caller := r.c.Node(3 - owner - standby)

					r.set.Store(true)
					var calling sync.WaitGroup
					calling.Go(func() {
						n, err := tick.Call(within(t, time.Minute), caller, "ann", 10)
						assert.NoError(t, err)
						assert.Equal(t, 11, n)
					})
					require.Equal(t, ownerDies, r.sprung(t) == owner)
					calling.Wait()
					r.c.Settle()
					n, err = tick.Call(t.Context(), caller, "ann", 100)
					require.NoError(t, err)
					require.Equal(t, 111, n)
				})
			})
		}
	}
}

// Whichever node crashes at a step of a move, the session is there afterwards with all that it was told.
func TestASessionIsThereThoughANodeCrashesAtAStepOfItsMove(t *testing.T) {
	for _, at := range []nodetest.Step{nodetest.SessionSealed, nodetest.SessionCommitted, nodetest.ActiveSent,
		nodetest.ActiveHeard} {
		for _, peers := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, the peer dies: %t", at, peers), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := lay(t, at, peers)
					owner := r.c.Owner("ann")
					_, err := tick.Call(t.Context(), r.c.Node(owner), "ann", 1)
					require.NoError(t, err)
					r.set.Store(true)
					leaving, n := sync.WaitGroup{}, r.c.Node(owner)
					leaving.Go(func() { _ = n.Drain(within(t, time.Minute)) })
					dead := r.sprung(t)
					leaving.Wait()
					r.c.Settle()
					sum, err := tick.Call(t.Context(), r.c.Node((dead+1)%3), "ann", 10)
					require.NoError(t, err)
					require.Equal(t, 11, sum)
				})
			})
		}
	}
}

// After the crash of an owner its session is recovered by steps of which tests are told.
func TestARecoveryIsToldStepByStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		seen := map[nodetest.Step]int{}
		c := nodetest.Start(t, nodetest.Config{Kinds: []nodetest.KindFunc{nodetest.Kind(newTallies)},
			OnStep: func(s nodetest.Step, node, peer int) {
				mu.Lock()
				defer mu.Unlock()
				if seen[s]++; s == nodetest.SessionPromoted {
					assert.Equal(t, -1, peer)
				} else {
					assert.True(t, peer >= 0 && peer < 3 && peer != node, "%s: %d and %d", s, node, peer)
				}
			}})
		time.Sleep(5 * time.Second)
		_, err := tick.Call(t.Context(), c.Caller(), "ann", 1)
		require.NoError(t, err)
		mu.Lock()
		clear(seen)
		mu.Unlock()
		c.Crash(c.Owner("ann"))
		c.Settle()
		_, err = tick.Call(t.Context(), c.Caller(), "ann", 1)
		require.NoError(t, err)
		mu.Lock()
		defer mu.Unlock()
		for _, s := range []nodetest.Step{nodetest.RecoverSent, nodetest.RecoverHeard, nodetest.ReportSent,
			nodetest.ReportHeard, nodetest.SessionPromoted, nodetest.RecordSent, nodetest.RecordStored, nodetest.RecordAcked} {
			require.NotZero(t, seen[s], "%s: %v", s, seen)
		}
	})
}

// A call is handled when its session is to move already, so that no record of it is made. The target dies, and the
// session goes on from what was sealed for it: the call is answered from there, or when that has standbys.
func TestACallIsAnsweredThoughTheTargetOfItsSessionDies(t *testing.T) {
	for _, at := range []nodetest.Step{nodetest.SessionSealed, nodetest.SessionCommitted} {
		for _, local := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, the caller is at the source: %t", at, local), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := lay(t, at, true)
					owner := r.c.Owner("ann")
					_, err := tick.Call(t.Context(), r.c.Node(owner), "ann", 1)
					require.NoError(t, err)
					target := int(r.standby.Load())
					caller, source := r.c.Node(3-owner-target), r.c.Node(owner)
					if local {
						caller = source
					}
					r.set.Store(true)
					var under sync.WaitGroup
					under.Go(func() {
						n, err := slowTick.Call(within(t, time.Minute), caller, "ann", 10)
						assert.NoError(t, err)
						assert.Equal(t, 11, n)
					})
					time.Sleep(10 * time.Millisecond) // until it is with its handler
					under.Go(func() { _ = source.Drain(within(t, time.Minute)) })
					require.Equal(t, target, r.sprung(t))
					under.Wait()
					n, err := tick.Call(within(t, time.Minute), caller, "ann", 100)
					require.NoError(t, err)
					require.Equal(t, 111, n)
				})
			})
		}
	}
}

// The target is a node that joins. When it has died, sessions go on where they were.
func TestCallsAreAnsweredThoughANodeThatJoinsDies(t *testing.T) {
	for _, at := range []nodetest.Step{nodetest.SessionSealed, nodetest.SessionCommitted} {
		t.Run(string(at), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const sessions = 40
				r := lay(t, at, true)
				var under sync.WaitGroup
				for i := range sessions {
					id := fmt.Sprint("ann", i)
					_, err := tick.Call(t.Context(), r.c.Caller(), id, 1)
					require.NoError(t, err)
					source := r.c.Node(r.c.Owner(id))
					under.Go(func() {
						n, err := slowTick.Call(within(t, time.Minute), source, id, 10)
						assert.NoError(t, err)
						assert.Equal(t, 11, n)
					})
				}
				r.set.Store(true)
				joined := r.c.Add()
				require.Equal(t, joined, r.sprung(t))
				under.Wait()
				for i := range sessions {
					n, err := tick.Call(within(t, time.Minute), r.c.Caller(), fmt.Sprint("ann", i), 100)
					require.NoError(t, err)
					require.Equal(t, 111, n)
				}
			})
		})
	}
}
