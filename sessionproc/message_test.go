package sessionproc

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

func newWaiting() *waiting {
	w := &waiting{done: make(chan struct{}, 2)}
	w.ctx = &handlerCtx{}
	return w
}

func (w *waiting) signalled() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func TestAnExchangeOfTheNextGenerationIsNotEnded(t *testing.T) {
	w := newWaiting()
	w.open()
	first := w.generation()
	require.True(t, w.expect())
	require.True(t, w.begin())
	w.finish()
	require.True(t, w.signalled())
	require.True(t, w.reusable())

	w.open()
	require.NotEqual(t, first, w.generation())
	w.Drop(first, outcome{err: errBadReply})
	require.True(t, w.begin(), "the second exchange was ended for the first")
	w.Drop(first, outcome{err: errBadReply})
	require.False(t, w.signalled())
	require.NoError(t, w.ctx.Err())
	require.True(t, w.endExchange(w.generation(), outcome{err: errBadReply}))
	require.True(t, w.signalled())
	require.True(t, w.end.maybe)
	require.ErrorIs(t, w.ctx.Err(), context.Canceled)
	require.False(t, w.reusable(), "the session may still hold it")
}

func TestOnlyTheFirstDecisionCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		decide func(w *waiting)
		state  uint64
		signal bool
	}{
		{"replied", func(w *waiting) { w.begin(); w.finish() }, stateReplied, true},
		{"ended while queued", func(w *waiting) { w.endWith(outcome{err: errBadReply}) }, stateEnded, true},
		{"ended while running", func(w *waiting) { w.begin(); w.endWith(outcome{err: errBadReply}) }, stateEnded, true},
		{"abandoned while queued", func(w *waiting) { w.abandon() }, stateAbandoned, false},
		{"abandoned while running", func(w *waiting) { w.begin(); w.abandon() }, stateAbandoned, false},
	} {
		w := newWaiting()
		w.open()
		require.True(t, w.expect())
		c.decide(w)
		require.Equal(t, c.signal, w.signalled(), c.name)
		require.False(t, w.begin(), c.name)
		w.finish()
		require.False(t, w.endWith(outcome{err: errBadRequest}), c.name)
		_, gone := w.abandon()
		require.False(t, gone, c.name)
		require.Equal(t, c.state, w.word.Load()&stateMask, c.name)
		require.False(t, w.signalled(), "%s: signalled twice", c.name)
		require.NotErrorIs(t, w.end.err, errBadRequest, c.name)
	}
}

// A caller that gives up, a handler that finishes, and a Terminate meet at one
// exchange after another: exactly one of them decides, and the caller is
// signalled unless it was the caller.
func TestExactlyOnePartyDecides(t *testing.T) {
	var replied, ended, abandoned int
	w := newWaiting()
	for range 3000 {
		w.open()
		require.True(t, w.expect())
		var finished, over, ran, gone bool
		generation := w.generation()
		var wg sync.WaitGroup
		wg.Go(func() {
			if w.begin() {
				finished = w.move(stateRunning, stateReplied)
				if finished {
					w.signal()
				}
			}
		})
		wg.Go(func() { over = w.endExchange(generation, outcome{err: errBadReply}) })
		wg.Go(func() { ran, gone = w.abandon() })
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
			require.ErrorIs(t, w.end.err, errBadReply)
		default:
			abandoned++
		}
		w = newWaiting()
	}
	t.Logf("replied %d, ended %d, abandoned %d", replied, ended, abandoned)
	require.Positive(t, ended+abandoned)
}

func TestCloseTakesBackAnExchange(t *testing.T) {
	w := newWaiting()
	w.open()
	w.close()
	require.True(t, w.reusable())
	require.False(t, w.signalled())
	w.open()
	require.True(t, w.endWith(outcome{err: context.DeadlineExceeded})) // as the timer does
	w.close()
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
			w.limit(0)
			if limited {
				w.limit(sinceEpoch(begin.Add(timeout)))
			}
			w.ctx = &handlerCtx{}
			w.open()
			w.arm()
			go func(w *waiting) {
				time.Sleep(work)
				if w.begin() {
					w.finish()
				}
			}(w)
			o, ok := w.await(context.Background(), false)
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
				require.ErrorIs(t, o.err, context.DeadlineExceeded)
				require.False(t, o.maybe)
				require.ErrorIs(t, w.ctx.Err(), context.DeadlineExceeded)
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
func TestAFiringTimerThatMeetsTheNextExchange(t *testing.T) {
	met := 0
	for i := range 20000 {
		w := newWaiting()
		w.limit(sinceEpoch(time.Now()))
		w.open()
		w.expect()
		w.begin()
		w.armed.Store(true) // as if its timer fires just now
		w.timer = time.AfterFunc(time.Hour, w.expire)
		w.timer.Stop()
		if i%2 == 0 {
			w.finish()
		}
		go w.expire()
		runtime.Gosched()
		w.finish()
		<-w.done
		if !w.reusable() {
			continue // it was ended
		}
		met++
		w.limit(sinceEpoch(time.Now()))
		w.ctx = &handlerCtx{}
		w.open()
		w.expect()
		w.arm()
		select {
		case <-w.done:
		case <-time.After(5 * time.Second):
			t.Fatal("an exchange was never ended")
		}
	}
	require.Positive(t, met)
}

// Exchanges that end around their deadline, in real time: none is ended for
// another, and none that should end is forgotten.
func TestTheLazyTimerUnderRace(t *testing.T) {
	var ended, replied atomic.Int64
	stop := time.Now().Add(400 * time.Millisecond)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			w := newWaiting()
			for time.Now().Before(stop) {
				deadline := time.Now().Add(100 * time.Microsecond)
				w.limit(sinceEpoch(deadline))
				w.ctx = &handlerCtx{}
				w.open()
				w.expect()
				w.arm()
				if rnd.IntN(2) == 0 { // the handler is as fast as the deadline
					time.Sleep(time.Duration(rnd.IntN(150)) * time.Microsecond)
					if w.begin() {
						w.finish()
					}
				}
				select {
				case <-w.done:
				case <-time.After(5 * time.Second):
					assert.Fail(t, "an exchange was never ended")
					return
				}
				if w.word.Load()&stateMask == stateReplied {
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
func TestAwaitUnderRace(t *testing.T) {
	var replied, ended, gone int
	w := newWaiting()
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 20000 {
		begins, kills, stops := rnd.IntN(3) > 0, rnd.IntN(3) == 0, rnd.IntN(3) == 0
		yields := rnd.IntN(4)
		w.ctx = &handlerCtx{}
		w.open()
		generation := w.generation()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if begins {
				w.signal()
			}
			if w.begin() {
				for range yields {
					runtime.Gosched()
				}
				w.finish()
			}
		})
		if kills {
			wg.Go(func() { w.endExchange(generation, outcome{err: errBadReply}) })
		}
		if stops {
			wg.Go(cancel)
		}
		o, ok := w.await(ctx, begins)
		wg.Wait()
		cancel()
		require.False(t, w.signalled(), "exchange %d: a signal is left", i)
		switch {
		case ok:
			replied++
			require.True(t, w.reusable())
		case errors.Is(o.err, errBadReply):
			ended++
			require.True(t, kills)
		default:
			gone++
			require.True(t, stops)
			require.ErrorIs(t, o.err, context.Canceled)
			w = newWaiting()
		}
	}
	t.Logf("replied %d, ended %d, given up %d", replied, ended, gone)
	require.Positive(t, min(replied, ended, gone))
}
