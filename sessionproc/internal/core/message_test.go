package core

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newWaiting() *Waiting {
	w := &Waiting{Done: make(chan struct{}, 2)}
	w.Ctx = &Ctx{}
	return w
}

func (w *Waiting) signalled() bool {
	select {
	case <-w.Done:
		return true
	default:
		return false
	}
}

// However the caller and the decision meet, no signal is left for the next exchange.
func TestAwaitLeavesNoSignalForTheNextExchange(t *testing.T) {
	reply := func(w *Waiting) { w.Claim(); w.Finish() }
	end := func(w *Waiting) { w.EndWith(Outcome{Err: ErrBadReply}) }
	endRunning := func(w *Waiting) { w.Claim(); end(w) }
	expect := func(w *Waiting) { w.Expect() }
	begin := func(w *Waiting) { w.Signal() } // as a worker does
	for name, steps := range map[string][]func(*Waiting){
		"reply":                        {reply},
		"end":                          {end},
		"expected, then reply":         {expect, reply},
		"expected twice, then reply":   {expect, expect, reply},
		"reply, then expected":         {reply, expect},
		"expected, then end":           {expect, end},
		"expected, then end of a run":  {expect, endRunning},
		"end, then expected":           {end, expect},
		"claimed, expected, then done": {func(w *Waiting) { w.Claim() }, expect, func(w *Waiting) { w.Finish() }},
	} {
		for _, begins := range []bool{false, true} {
			w := newWaiting()
			w.Open()
			if begins {
				begin(w)
			}
			for _, step := range steps {
				step(w)
			}
			o, ok := w.Await(t.Context(), begins)
			require.NotEqual(t, ok, o.Err != nil, name)
			require.False(t, w.signalled(), "%s, begins %v", name, begins)
		}
	}
}

func TestAnExchangeOfTheNextGenerationIsNotEnded(t *testing.T) {
	w := newWaiting()
	w.Open()
	first := w.Generation()
	require.True(t, w.Expect())
	require.True(t, w.Claim())
	w.Finish()
	require.True(t, w.signalled())
	require.True(t, w.reusable())

	w.Open()
	require.NotEqual(t, first, w.Generation())
	w.Drop(first, Outcome{Err: ErrBadReply})
	require.True(t, w.Claim(), "the second exchange was ended for the first")
	w.Drop(first, Outcome{Err: ErrBadReply})
	require.False(t, w.signalled())
	require.NoError(t, w.Ctx.Err())
	require.True(t, w.EndExchange(w.Generation(), Outcome{Err: ErrBadReply}))
	require.True(t, w.signalled())
	require.True(t, w.End.Maybe)
	require.ErrorIs(t, w.Ctx.Err(), context.Canceled)
	require.False(t, w.reusable(), "the session may still hold it")
}

func TestOnlyTheFirstDecisionCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		decide func(w *Waiting)
		state  uint64
		signal bool
	}{
		{"replied", func(w *Waiting) { w.Claim(); w.Finish() }, StateReplied, true},
		{"ended while queued", func(w *Waiting) { w.EndWith(Outcome{Err: ErrBadReply}) }, StateEnded, true},
		{"ended while running", func(w *Waiting) { w.Claim(); w.EndWith(Outcome{Err: ErrBadReply}) }, StateEnded, true},
		{"abandoned while queued", func(w *Waiting) { w.Abandon() }, stateAbandoned, false},
		{"abandoned while running", func(w *Waiting) { w.Claim(); w.Abandon() }, stateAbandoned, false},
	} {
		w := newWaiting()
		w.Open()
		require.True(t, w.Expect())
		c.decide(w)
		require.Equal(t, c.signal, w.signalled(), c.name)
		require.False(t, w.Claim(), c.name)
		w.Finish()
		require.False(t, w.EndWith(Outcome{Err: ErrBadRequest}), c.name)
		_, gone := w.Abandon()
		require.False(t, gone, c.name)
		require.Equal(t, c.state, w.Word.Load()&StateMask, c.name)
		require.False(t, w.signalled(), "%s: signalled twice", c.name)
		require.NotErrorIs(t, w.End.Err, ErrBadRequest, c.name)
	}
}

// A caller that gives up, a handler that finishes, and a Terminate meet at one
// exchange after another: exactly one of them decides, and the caller is
// signalled unless it was the caller.
func TestExactlyOnePartyDecidesAnExchange(t *testing.T) {
	var replied, ended, abandoned int
	w := newWaiting()
	for range 3000 {
		w.Open()
		require.True(t, w.Expect())
		var finished, over, ran, gone bool
		generation := w.Generation()
		var wg sync.WaitGroup
		wg.Go(func() {
			if w.Claim() {
				finished = w.Move(StateRunning, StateReplied)
				if finished {
					w.Signal()
				}
			}
		})
		wg.Go(func() { over = w.EndExchange(generation, Outcome{Err: ErrBadReply}) })
		wg.Go(func() { ran, gone = w.Abandon() })
		wg.Wait()
		decided := 0
		for _, one := range []bool{finished, over, gone} {
			if one {
				decided++
			}
		}
		require.Equal(t, 1, decided, "finished %v, ended %v, abandoned %v (ran %v)", finished, over, gone, ran)
		require.Equal(t, !gone, w.signalled())
		switch {
		case finished:
			replied++
			continue
		case over:
			ended++
			require.ErrorIs(t, w.End.Err, ErrBadReply)
		default:
			abandoned++
		}
		w = newWaiting()
	}
	t.Logf("replied %d, ended %d, abandoned %d", replied, ended, abandoned)
	require.Positive(t, ended+abandoned)
}

func TestClosedExchangeCanBeUsedAgain(t *testing.T) {
	w := newWaiting()
	w.Open()
	w.Close()
	require.True(t, w.reusable())
	require.False(t, w.signalled())
	w.Open()
	require.True(t, w.EndWith(Outcome{Err: context.DeadlineExceeded})) // as the timer does
	w.Close()
	require.True(t, w.reusable())
	require.False(t, w.signalled(), "the next exchange would find it ended")
}

// One pooled message serves many exchanges with one timer that is never
// stopped: it ends the right ones, at their deadline, and no other.
func TestTheLazyTimerEndsTheRightExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 100 * time.Millisecond
		rnd := rand.New(rand.NewPCG(1, 2))
		w := newWaiting()
		ended, replied, unlimited := 0, 0, 0
		for range 2000 {
			work := time.Duration(rnd.IntN(130)) * time.Millisecond
			limited := rnd.IntN(3) > 0
			begin := time.Now()
			w.Limit(0)
			if limited {
				w.Limit(SinceEpoch(begin.Add(timeout)))
			}
			w.Ctx = &Ctx{}
			w.Open()
			w.Arm()
			go func(w *Waiting) {
				time.Sleep(work)
				if w.Claim() {
					w.Finish()
				}
			}(w)
			o, ok := w.Await(context.Background(), false)
			took := time.Since(begin)
			switch {
			case ok:
				require.Equal(t, work, took)
				require.True(t, !limited || work <= timeout, "it was not ended")
				replied++
				if !limited {
					unlimited++
				}
			default:
				require.True(t, limited, "it had no limit")
				require.Equal(t, timeout, took)
				require.ErrorIs(t, o.Err, context.DeadlineExceeded)
				require.False(t, o.Maybe)
				require.ErrorIs(t, w.Ctx.Err(), context.DeadlineExceeded)
				ended++
				w = newWaiting()
			}
			time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
		}
		time.Sleep(time.Second)
		require.Greater(t, ended, 100)
		require.Greater(t, replied, 1000)
		require.Greater(t, unlimited, 100)
	})
}

// A timer that fires while one exchange ends and the next begins must not leave
// that one without a timer.
func TestFiringTimerLeavesTheNextExchangeATimer(t *testing.T) {
	met := 0
	for i := range 20000 {
		w := newWaiting()
		w.Limit(SinceEpoch(time.Now()))
		w.Open()
		w.Expect()
		w.Claim()
		w.armed.Store(true) // as if its timer fires just now
		w.timer = time.AfterFunc(time.Hour, w.expire)
		w.timer.Stop()
		if i%2 == 0 {
			w.Finish()
		}
		go w.expire()
		runtime.Gosched()
		w.Finish()
		<-w.Done
		if !w.reusable() {
			continue // it was ended
		}
		met++
		w.Limit(SinceEpoch(time.Now()))
		w.Ctx = &Ctx{}
		w.Open()
		w.Expect()
		w.Arm()
		select {
		case <-w.Done:
		case <-time.After(5 * time.Second):
			t.Fatal("an exchange was never ended")
		}
	}
	require.Positive(t, met)
}

// Exchanges that end around their deadline, in real time: none is ended for
// another, and none that should end is forgotten.
func TestLazyTimerEndsOnlyDueExchangesUnderRace(t *testing.T) {
	var ended, replied atomic.Int64
	stop := time.Now().Add(400 * time.Millisecond)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			w := newWaiting()
			for time.Now().Before(stop) {
				deadline := time.Now().Add(100 * time.Microsecond)
				w.Limit(SinceEpoch(deadline))
				w.Ctx = &Ctx{}
				w.Open()
				w.Expect()
				w.Arm()
				if rnd.IntN(2) == 0 { // the handler is as fast as the deadline
					time.Sleep(time.Duration(rnd.IntN(150)) * time.Microsecond)
					if w.Claim() {
						w.Finish()
					}
				}
				select {
				case <-w.Done:
				case <-time.After(5 * time.Second):
					assert.Fail(t, "an exchange was never ended")
					return
				}
				if w.Word.Load()&StateMask == StateReplied {
					replied.Add(1)
					continue
				}
				assert.False(t, time.Now().Before(deadline), "ended before its deadline")
				ended.Add(1)
				w = newWaiting()
			}
		})
	}
	wg.Wait()
	require.Positive(t, ended.Load())
	require.Positive(t, replied.Load())
}

// A caller, a worker that signals it and runs the handler, one that ends the exchange and a
// ctx that ends meet in one exchange after another: each has one outcome, and no signal is
// left for the next.
func TestAwaitUnderRaceHasOneOutcome(t *testing.T) {
	var replied, ended, gone int
	w := newWaiting()
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 20000 {
		begins, kills, stops := rnd.IntN(3) > 0, rnd.IntN(3) == 0, rnd.IntN(3) == 0
		yields := rnd.IntN(4)
		w.Ctx = &Ctx{}
		w.Open()
		generation := w.Generation()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if begins {
				w.Signal()
			}
			if w.Claim() {
				for range yields {
					runtime.Gosched()
				}
				w.Finish()
			}
		})
		if kills {
			wg.Go(func() { w.EndExchange(generation, Outcome{Err: ErrBadReply}) })
		}
		if stops {
			wg.Go(cancel)
		}
		o, ok := w.Await(ctx, begins)
		wg.Wait()
		cancel()
		require.False(t, w.signalled(), "exchange %d: a signal is left", i)
		switch {
		case ok:
			replied++
			require.True(t, w.reusable())
		case errors.Is(o.Err, ErrBadReply):
			ended++
			require.True(t, kills)
		default:
			gone++
			require.True(t, stops)
			require.ErrorIs(t, o.Err, context.Canceled)
			w = newWaiting()
		}
	}
	t.Logf("replied %d, ended %d, given up %d", replied, ended, gone)
	require.Positive(t, min(replied, ended, gone))
}
