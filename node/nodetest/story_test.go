package nodetest_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

var stories = flag.Int("stories", 2, "how many random stories TestClusterSurvivesRandomFaults tells")

const (
	storyNodes   = 4
	storyTimeout = 2 * time.Second // of a call
)

// Whatever happens to a cluster under load, each call ends by its deadline, the cluster
// settles and serves when it is over, and no goroutine is left.
func TestClusterSurvivesRandomFaults(t *testing.T) {
	for seed := range uint64(*stories) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := &story{t: t, rand: rand.New(rand.NewPCG(seed, 0)), down: map[int]bool{}, stalled: map[int]bool{}}
				s.cluster = nodetest.Start(t, nodetest.Config{
					Nodes: storyNodes, Kinds: []nodetest.KindFunc{cartKind},
					Network: simnet.Config{Seed: seed, Link: simnet.Link{Jitter: time.Millisecond, Loss: 0.01}},
				})
				s.tell()
			})
		})
	}
}

// story is what happens to one cluster.
type story struct {
	t             *testing.T
	rand          *rand.Rand
	cluster       *nodetest.Cluster
	down, stalled map[int]bool
	ok, failed    atomic.Int64
}

func (s *story) tell() {
	ctx, cancel := context.WithCancel(s.t.Context())
	var load sync.WaitGroup
	for range 4 {
		r := rand.New(rand.NewPCG(s.rand.Uint64(), 0))
		load.Go(func() { s.load(ctx, r) })
	}
	for range 25 {
		s.event(s.rand.IntN(storyNodes))
		time.Sleep(time.Duration(s.rand.IntN(5000)) * time.Millisecond)
	}
	s.end()
	cancel()
	load.Wait()
	s.t.Log("calls", s.ok.Load(), "failed", s.failed.Load())
	require.Greater(s.t, s.ok.Load(), s.failed.Load())
	_, err := carts.Ensure(s.t.Context(), s.cluster.Caller(), "last", "ann")
	require.NoError(s.t, err)
}

// load calls sessions until ctx ends, and starts those that are lost.
func (s *story) load(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		id := fmt.Sprintf("cart-%d", r.IntN(40))
		call, end := context.WithTimeout(ctx, storyTimeout)
		begin := time.Now()
		_, err := carts.Ensure(call, s.cluster.Caller(), id, "ann")
		if err == nil {
			_, err = add.Call(call, s.cluster.Caller(), id, item{"tea", 1})
		}
		end()
		assert.LessOrEqual(s.t, time.Since(begin), storyTimeout)
		if err == nil {
			s.ok.Add(1)
		} else {
			s.failed.Add(1)
		}
		time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
	}
}

// event lets something happen to node i.
func (s *story) event(i int) {
	c, next := s.cluster, (i+1+s.rand.IntN(storyNodes-1))%storyNodes
	switch {
	case s.down[i]:
		s.note("restart", i)
		c.Restart(i)
		delete(s.down, i)
		return
	case s.stalled[i]:
		s.note("resume", i)
		c.Resume(i)
		delete(s.stalled, i)
		return
	}
	name, happen := "", func() {}
	switch s.rand.IntN(8) {
	case 0:
		name, happen = "crash", func() { c.Crash(i); s.down[i] = true }
	case 1:
		name, happen = "power off", func() { c.PowerOff(i); s.down[i] = true }
	case 2:
		name, happen = "leave", func() { c.Leave(i); s.down[i] = true }
	case 3:
		name, happen = "stall", func() { c.Stall(i); s.stalled[i] = true }
	case 4:
		name, happen = "isolate", func() { c.Isolate(i) }
	case 5:
		name, happen = "cut", func() { c.Cut(i, next) }
	case 6:
		name, happen = "heal", c.Heal
	case 7:
		name, happen = "reset", func() { c.Network().ResetAfter(c.Host(i), c.Host(next), s.rand.IntN(2000)) }
	}
	if len(s.down)+len(s.stalled) < 2 {
		s.note(name, i)
		happen()
	}
}

func (s *story) note(what string, i int) {
	s.t.Logf("%v: %s %d", time.Now().Format("04:05.000"), what, i)
}

// end undoes all that has happened.
func (s *story) end() {
	c := s.cluster
	c.Heal()
	for i := range storyNodes {
		for j := range storyNodes {
			c.Network().ResetAfter(c.Host(i), c.Host(j), -1)
		}
		if s.stalled[i] {
			c.Resume(i)
		}
		if s.down[i] {
			c.Restart(i)
		}
	}
	c.Settle()
}
