package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// generator makes requests at a rate: each is due at its moment, whether the
// ones before have ended or not, and its latency counts from then.
type generator struct {
	out   *outbox
	rand  *rand.Rand
	write func(ctx context.Context, session int, en entry) (outcome, *failure)
	spawn func(ctx context.Context, due time.Time) // starts a session and ends it; nil: none
	kind  request
	size  int // sessions

	writer  int             // the child's number
	serials []atomic.Uint64 // of the last write to each session, if they are ledgers

	rates  chan float64
	wait   sync.WaitGroup // requests under way
	slots  chan struct{}
	cancel context.CancelFunc
	ended  chan struct{}
}

const (
	requestTimeout = 10 * time.Second
	inFlight       = 4096        // requests of one generator; the next one is late, which counts
	spawnEvery     = 20          // one in so many is a start
	stoodStill     = time.Second // a process that wakes so late was stopped: nobody was there to make requests
)

// begin has the generator run until stop, at no rate yet.
func (g *generator) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	g.rates, g.slots, g.cancel, g.ended = make(chan float64), make(chan struct{}, inFlight), cancel, make(chan struct{})
	go g.run(ctx)
}

// stop returns when all requests have ended.
func (g *generator) stop() {
	g.cancel()
	<-g.ended
}

// drive sets the rate, in requests a second. At 0 it returns when all have ended.
func (g *generator) drive(rate float64) {
	select {
	case g.rates <- rate:
	case <-g.ended:
	}
	if rate == 0 {
		g.wait.Wait()
	}
}

func (g *generator) run(ctx context.Context) {
	defer close(g.ended)
	defer g.wait.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	rate, due := 0.0, time.Now()
	for {
		var next <-chan time.Time
		if rate > 0 {
			timer.Reset(time.Until(due))
			next = timer.C
		}
		asleep := time.Now()
		select {
		case <-ctx.Done():
			return
		case r := <-g.rates:
			if rate = r; rate > 0 {
				due = time.Now().Add(g.gap(rate))
			}
			continue
		case <-next:
		}
		if now := time.Now(); min(now.Sub(due), now.Sub(asleep)) > stoodStill {
			due = now
		}
		for now := time.Now(); !due.After(now); due = due.Add(g.gap(rate)) {
			g.slots <- struct{}{}
			g.one(due)
		}
	}
}

// gap is the time to the next request: requests come as those of many
// independent people do.
func (g *generator) gap(rate float64) time.Duration {
	return time.Duration(g.rand.ExpFloat64() / rate * float64(time.Second))
}

func (g *generator) one(due time.Time) {
	session, start := g.rand.IntN(g.size), g.spawn != nil && g.rand.IntN(spawnEvery) == 0
	g.wait.Go(func() {
		defer func() { <-g.slots }()
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		if start {
			g.spawn(ctx, due)
			return
		}
		g.request(ctx, g.kind, session, due)
	})
}

func (g *generator) request(ctx context.Context, kind request, session int, due time.Time) {
	en := entry{Writer: g.writer}
	if g.serials != nil {
		en.Serial = g.serials[session].Add(1)
	}
	w, f := g.write(ctx, session, en)
	g.out.add(record{Request: kind, Session: session, Outcome: w, Writer: en.Writer, Serial: en.Serial,
		Due: due.UnixNano(), Done: time.Now().UnixNano(), Failure: f})
}

// saturate has some callers write one after another for d.
func (g *generator) saturate(d time.Duration) {
	const callers = 16
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var wait sync.WaitGroup
	for range callers {
		r := rand.New(rand.NewPCG(rand.Uint64(), 0))
		wait.Go(func() {
			for ctx.Err() == nil {
				within, cancel := context.WithTimeout(context.Background(), requestTimeout)
				g.request(within, warmWrite, r.IntN(g.size), time.Now())
				cancel()
			}
		})
	}
	wait.Wait()
}

// each calls f with 0 to n-1, some at a time, and returns the first error.
func each(ctx context.Context, n int, f func(i int) error) error {
	const workers = 32
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	wait.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
