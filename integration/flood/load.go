package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// load calls sessions at a steady rate.
type load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex // guards the rest
	took   []time.Duration
	failed int
	first  error
}

func (s *siege) load(ctx context.Context) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel}
	l.done.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(s.CallRate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			l.done.Go(func() { l.call(s) })
		}
	})
	return l
}

func (l *load) call(s *siege) {
	i := rand.IntN(len(s.counts))
	ctx, cancel := context.WithTimeout(context.Background(), s.CallLimit)
	defer cancel()
	begun := time.Now()
	_, err := add.Call(ctx, s.caller(), sessionID(i), 1)
	if err == nil {
		s.counts[i].Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, time.Since(begun))
	if err != nil {
		l.failed++
		if l.first == nil {
			l.first = err
		}
	}
}

func (l *load) end() (failed, calls int, p99, slowest time.Duration, example error) {
	l.cancel()
	l.done.Wait()
	slices.Sort(l.took)
	calls = len(l.took)
	if calls == 0 {
		return 0, 0, 0, 0, nil
	}
	return l.failed, calls, l.took[calls*99/100], l.took[calls-1], l.first
}

// A result is what the users noticed.
type result struct {
	kind                string
	calls, failed, lost int
	p99, slowest        time.Duration
	example             error // why a call failed
	join, leave         time.Duration
	joinErr, leaveErr   error
	left                int // sessions of the member that left
	attackCPU           time.Duration
	logged              int64
}

var columns = []string{"attack", "calls", "failed", "p99", "slowest", "join", "leave", "its sessions", "lost",
	"warnings"}

func (r result) row() []string {
	took := func(d time.Duration, err error) string {
		if err != nil {
			return "FAILED after " + d.Round(time.Millisecond).String()
		}
		return d.Round(time.Millisecond).String()
	}
	return []string{
		r.kind, fmt.Sprint(r.calls), fmt.Sprint(r.failed), took(r.p99, nil), took(r.slowest, nil), took(r.join, r.joinErr),
		took(r.leave, r.leaveErr), fmt.Sprint(r.left), fmt.Sprint(r.lost), fmt.Sprint(r.logged),
	}
}

// verdict is what was promised and not kept.
func (r result) verdict(p plan) error {
	switch {
	case r.calls == 0:
		return fmt.Errorf("no call was made")
	case r.failed > 0:
		return fmt.Errorf("%d of %d calls failed, first: %w", r.failed, r.calls, r.example)
	case r.joinErr != nil:
		return fmt.Errorf("join: %w", r.joinErr)
	case r.join > p.MaxJoin:
		return fmt.Errorf("a join took %v", r.join)
	case r.leaveErr != nil:
		return fmt.Errorf("leave: %w", r.leaveErr)
	case r.lost > 0:
		return fmt.Errorf("%d sessions were lost or forgot something", r.lost)
	}
	return nil
}
