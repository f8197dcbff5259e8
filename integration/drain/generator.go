package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node"
)

// calls is what came of a generator's calls.
type calls struct {
	Made      int
	Added     int64 // by those that were answered
	Failures  []string
	Failed    int
	Latencies []time.Duration // of those that were answered, from when they were due
}

const (
	callTimeout = 10 * time.Second
	keptErrors  = 5
)

// generator calls sessions of one owner at random moments, whether earlier calls have
// ended or not.
type generator struct {
	n     *node.Node
	rate  float64
	tried int
	owned []bool // by partition
	stop  chan struct{}
	wait  sync.WaitGroup

	mu   sync.Mutex // guards made
	made calls
}

func newGenerator(n *node.Node, o order) (*generator, error) {
	g := &generator{n: n, rate: o.Rate, tried: o.Count, stop: make(chan struct{})}
	for number := range min(o.Count, 20_000) { // enough to meet each partition
		at, err := n.Where(sessionID(number))
		if err != nil {
			return nil, err
		}
		if at.Partition >= len(g.owned) {
			g.owned = slices.Grow(g.owned, at.Partition+1-len(g.owned))[:at.Partition+1]
		}
		g.owned[at.Partition] = g.owned[at.Partition] || at.Owner.Slot == o.Owner
	}
	return g, nil
}

func (g *generator) start() {
	if g.rate > 0 {
		g.wait.Go(g.run)
	}
}

func (g *generator) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := time.Now(); ; {
		due = due.Add(time.Duration(rand.ExpFloat64() / g.rate * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
			g.wait.Go(func() { g.call(due) })
		case <-g.stop:
			return
		}
	}
}

// pick returns a session of the owner.
func (g *generator) pick() string {
	for {
		id := sessionID(rand.IntN(g.tried))
		if at, err := g.n.Where(id); err == nil && at.Partition < len(g.owned) && g.owned[at.Partition] {
			return id
		}
	}
}

func (g *generator) call(due time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_, err := add.Call(ctx, g.n, g.pick(), 1)
	took := time.Since(due)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.made.Made++
	if err != nil {
		g.made.Failed++
		if len(g.made.Failures) < keptErrors {
			g.made.Failures = append(g.made.Failures, fmt.Sprintf("after %v: %v", took.Round(time.Millisecond), err))
		}
		return
	}
	g.made.Added++
	g.made.Latencies = append(g.made.Latencies, took)
}

// end calls no more, and waits for all calls.
func (g *generator) end() *calls {
	close(g.stop)
	g.wait.Wait()
	return &g.made
}
