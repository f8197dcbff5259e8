package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// limiters are all that bound how often something may be done, set to a rate and a
// burst. try does it once.
var limiters = map[string]func(t *testing.T, rate, burst int) (try func() error){
	"Config.StartRate": func(t *testing.T, rate, burst int) func() error {
		return starts(newLocalWith(t, func(c *engine.TableConfig) { c.StartRate, c.StartBurst = rate, burst },
			script{}.make()))
	},
	"KindConfig.StartRate": func(t *testing.T, rate, burst int) func() error {
		return starts(newScripted(t, script{kind: sessionproc.KindConfig{StartRate: rate, StartBurst: burst}}))
	},
	"both, the kind's is lower": func(t *testing.T, rate, burst int) func() error {
		return starts(newLocalWith(t, func(c *engine.TableConfig) { c.StartRate, c.StartBurst = 2*rate, burst },
			script{kind: sessionproc.KindConfig{StartRate: rate, StartBurst: burst}}.make()))
	},
	"both, the node's is lower": func(t *testing.T, rate, burst int) func() error {
		return starts(newLocalWith(t, func(c *engine.TableConfig) { c.StartRate, c.StartBurst = rate, burst },
			script{kind: sessionproc.KindConfig{StartRate: 2 * rate, StartBurst: burst}}.make()))
	},
	"KindConfig.MessageRate": func(t *testing.T, rate, burst int) func() error {
		l := newScripted(t, script{kind: sessionproc.KindConfig{MessageRate: rate, MessageBurst: burst}})
		l.start(t, "a")
		return func() error {
			_, err := do.Call(t.Context(), l, "a", "")
			return err
		}
	},
}

func starts(l *local) func() error {
	var n atomic.Int64
	return func() error { return scripted.Start(context.Background(), l, fmt.Sprint("s", n.Add(1)), "") }
}

// Many times as many come as may, from everywhere at once: as many pass as may, and what
// the others are told of the next try is true.
func TestLimitersUnderOverloadPassTheirRate(t *testing.T) {
	shorttest.Skip(t)
	const callers, seconds = 8, 5
	for name, limiter := range limiters {
		for _, c := range []struct{ rate, burst int }{{1, 1}, {3, 2}, {7, 7}, {80, 1}, {80, 0}, {33, 10}} {
			t.Run(fmt.Sprint(name, " ", c.rate, " ", c.burst), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					try := limiter(t, c.rate, c.burst)
					var passed, longest atomic.Int64
					var wg sync.WaitGroup
					interval := time.Second / time.Duration(10*c.rate) // of each caller
					for range callers {
						wg.Go(func() {
							for begun := time.Now(); time.Since(begun) < seconds*time.Second; time.Sleep(interval) {
								err := try()
								if err == nil {
									passed.Add(1)
									continue
								}
								limit, ok := errors.AsType[*sessionproc.LimitError](err)
								if assert.True(t, ok, err) {
									longest.Store(max(longest.Load(), int64(limit.RetryAfter)))
								}
							}
						})
					}
					wg.Wait()
					burst := c.burst
					if burst == 0 {
						burst = c.rate
					}
					require.InDelta(t, burst+seconds*c.rate, passed.Load(), 1+float64(c.rate)*interval.Seconds())
					require.LessOrEqual(t, time.Duration(longest.Load()), time.Second/time.Duration(c.rate)+1)

					_, err := exhausted(try)
					limit, ok := errors.AsType[*sessionproc.LimitError](err)
					require.True(t, ok)
					require.Positive(t, limit.RetryAfter)
					time.Sleep(limit.RetryAfter - 1)
					require.Error(t, try(), "too early")
					time.Sleep(time.Nanosecond)
					require.NoError(t, try(), "after RetryAfter")
				})
			})
		}
	}
}

// The same where each caller's time is another one, by a real clock.
func TestLimitersUnderRealOverloadPassTheirRate(t *testing.T) {
	const rate, burst, callers = 200, 200, 64
	for name, limiter := range limiters {
		t.Run(name, func(t *testing.T) {
			try := limiter(t, rate, burst)
			var passed, longest atomic.Int64
			var wg sync.WaitGroup
			_, err := exhausted(try)
			require.Error(t, err)
			begun := time.Now()
			for range callers {
				wg.Go(func() {
					for time.Since(begun) < 300*time.Millisecond {
						if err := try(); err == nil {
							passed.Add(1)
						} else if limit, ok := errors.AsType[*sessionproc.LimitError](err); ok {
							longest.Store(max(longest.Load(), int64(limit.RetryAfter)))
						}
					}
				})
			}
			wg.Wait()
			allowed := rate * time.Since(begun).Seconds()
			late, _ := exhausted(try)
			passed.Add(int64(late))
			t.Logf("allowed %.0f, passed %d, longest RetryAfter %v", allowed, passed.Load(), time.Duration(longest.Load()))
			require.LessOrEqual(t, float64(passed.Load()), rate*time.Since(begun).Seconds()+1)
			require.Greater(t, float64(passed.Load()), 0.8*min(allowed, burst)) // a busy machine may hold up all callers
			require.LessOrEqual(t, time.Duration(longest.Load()), time.Second/rate+1)
		})
	}
}

// exhausted tries until it is refused, and returns how many tries passed before.
func exhausted(try func() error) (passed int, err error) {
	for ; ; passed++ {
		if err := try(); err != nil {
			return passed, err
		}
	}
}

var (
	others = sessionproc.KindOf[string]("other")
	noOne  = sessionproc.MethodOf[string, string](others, "nothing")
)

func newOthers() sessionproc.AnyKind {
	k := sessionproc.NewKind(others, func(context.Context, string) (*struct{}, error) { return new(struct{}), nil },
		sessionproc.KindConfig{})
	sessionproc.HandleCall(k, noOne, func(_ *struct{}, _ context.Context, r string) (string, error) { return r, nil })
	return k
}

// A start that one limit refuses takes nothing of another one, not even for a moment.
func TestRefusedStartsTakeNoPlace(t *testing.T) {
	bubble(t, func(t *testing.T) { // its clock stands still while the loops run, so the rate lets nobody through
		l := newLocalWith(t, func(c *engine.TableConfig) { c.MaxSessions = 2 },
			script{kind: sessionproc.KindConfig{StartRate: 1}}.make(), newOthers())
		l.start(t, "one")
		var over atomic.Bool
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				for !over.Load() {
					assert.Error(t, scripted.Start(context.Background(), l, fmt.Sprint("more", i), ""))
				}
			})
		}
		for range 3000 {
			if !assert.NoError(t, others.Start(t.Context(), l, "other", "")) {
				break
			}
			require.NoError(t, l.terminate(t.Context(), "other"))
		}
		over.Store(true)
		wg.Wait()
	})
}

// A start that is given up before it has run is no start.
func TestAStartThatNeverRanCostsNoToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		l := newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting, c.StartRate, c.StartBurst = 1, 1, 4 },
			script{kind: sessionproc.KindConfig{StartRate: 1, StartBurst: 4},
				start: func(context.Context, string) error { <-gate; return nil }}.make())
		slow := starting(t.Context(), l, "slow")
		synctest.Wait()
		ctx := lasting(t, time.Millisecond)
		for _, id := range names("given-up", 3) {
			starting(ctx, l, id)
		}
		synctest.Wait()
		require.ErrorIs(t, scripted.Start(t.Context(), l, "one-too-many", ""), sessionproc.ErrRateLimited)
		<-ctx.Done()
		synctest.Wait() // until their callers have given up
		close(gate)
		require.NoError(t, <-slow)
		synctest.Wait()
		l.start(t, names("again", 3)...)
	})
}
