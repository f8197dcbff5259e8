package engine_test

import (
	"context"
	"math/bits"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// lifeUnit is how many numbers the sums of one life of the session have. Each call of a life adds another
// power of two: so a sum says which calls are in it.
const lifeUnit = 1 << (bits.UintSize - 16)

// A plan is what happens to the session of TestWhatWasAnsweredSurvivesACrash.
type plan struct {
	steps    []int // what is asked
	pauses   []int // after each of them, in ms
	outcomes []int // of records; 0: it fails
	delays   []int // of records, in ms
}

// A crashing is a node with one session, which crashes at last.
type crashing struct {
	t     *testing.T
	l     *local
	s     *standbys
	asks  sync.WaitGroup
	lives int // starts that were tried
	calls int
	ends  int // that were tried

	mu       sync.Mutex
	seen     []int         // sums that somebody was told: by calls, reads and events
	answered map[int]int64 // answers to changing calls, and when they came
	started  int           // the last life whose start was acknowledged
	over     int           // no life up to this one may come back
}

// Whatever a node has acknowledged before it crashes is in the last record that was durable: changes,
// what was read or published, starts and ends. Everybody is answered, and changes are in their order.
func TestWhatWasAnsweredSurvivesACrash(t *testing.T) {
	if bits.UintSize < 64 {
		t.Skip("the sums need 64 bits")
	}
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(what string, most, from, to int) []int {
			return rapid.SliceOfN(rapid.IntRange(0, most), from, to).Draw(rt, what)
		}
		p := plan{draw("steps", 9, 1, 40), draw("pauses", 4, 40, 40), draw("outcomes", 9, 16, 16), draw("delays", 4, 16, 16)}
		synctest.Test(t, func(t *testing.T) { p.run(t) })
		if t.Failed() {
			rt.FailNow()
		}
	})
}

func (p plan) run(t *testing.T) {
	c := &crashing{t: t, answered: map[int]int64{}}
	defer func() {
		if t.Failed() {
			t.Logf("%+v", p)
		}
	}()
	code := shopCode{kind: sessionproc.KindConfig{Restart: sessionproc.RestartLastState, RestartBudget: 1000}}
	code.run = func(ctx context.Context, s *shop, what string) error {
		if s.N++; what == "panic" {
			panic("no more")
		}
		s.N += -1 + 1<<len(what)
		return shopTotal.Publish(ctx, s.N)
	}
	c.l, c.s = newKept(t, 0, code.make())
	n := 0
	c.s.next = func() (time.Duration, error) {
		n++
		if p.outcomes[n%16] == 0 {
			return time.Duration(p.delays[n%16]) * time.Millisecond, errFull
		}
		return time.Duration(p.delays[n%16]) * time.Millisecond, nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c.start(ctx)
	c.subscribe(ctx)
	for i, step := range p.steps {
		c.step(ctx, step)
		if p.pauses[i] > 0 {
			time.Sleep(time.Duration(p.pauses[i]) * time.Millisecond)
			synctest.Wait()
		}
	}
	synctest.Wait()
	c.check(code)
	c.asks.Wait()
}

func (c *crashing) ask(f func() (int, error), told func(n int)) {
	c.asks.Go(func() {
		if n, err := f(); err == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			told(n)
		}
	})
	synctest.Wait()
}

func (c *crashing) start(ctx context.Context) {
	c.lives++
	life := c.lives
	c.ask(func() (int, error) { return life, shops.Start(ctx, c.l, "a", life*lifeUnit) },
		func(life int) { c.started = max(c.started, life) })
}

// subscribe notes the values that a subscriber gets, in all lives.
func (c *crashing) subscribe(ctx context.Context) {
	c.asks.Go(func() {
		for ctx.Err() == nil {
			sub, err := shopTotal.Subscribe(ctx, c.l, "a", sessionproc.SubscribeOptions{})
			for err == nil {
				var u sessionproc.Update[int]
				if u, err = sub.Next(ctx); err == nil {
					c.mu.Lock()
					c.saw(u.Value)
					c.mu.Unlock()
				}
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
}

// saw notes a sum that somebody was told. What is read after a record has failed may be undone: it does
// not wait for the next one.
func (c *crashing) saw(n int) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if !c.s.failed {
		c.seen = append(c.seen, n)
	}
}

func (c *crashing) step(ctx context.Context, step int) {
	changed := func(n int) {
		c.seen = append(c.seen, n)
		c.answered[n] = time.Now().UnixNano()
	}
	c.calls++
	bit := 1 << c.calls
	switch step {
	case 0, 1, 2:
		c.ask(func() (int, error) { return shopAdd.Call(ctx, c.l, "a", bit) }, changed)
	case 3:
		_ = shopBump.Cast(ctx, c.l, "a", bit)
	case 4:
		c.ask(func() (int, error) { return shopGet.Call(ctx, c.l, "a", sessionproc.None{}) }, c.saw)
	case 5: // it publishes, and answers what it was before
		c.ask(func() (int, error) { return shopRun.Call(ctx, c.l, "a", string(make([]byte, c.calls))) }, changed)
	case 6:
		c.ask(func() (int, error) { return shopRun.Call(ctx, c.l, "a", "panic") }, c.saw)
	case 7:
		c.ends++
		c.mu.Lock()
		life := c.started
		c.mu.Unlock()
		c.ask(func() (int, error) { return life, c.l.terminate(ctx, "a") }, func(life int) { c.over = max(c.over, life) })
	case 8:
		c.start(ctx)
	case 9:
		moved := sessionproc.ErrUnavailable
		if c.l.table.Seal(part("a"), "a", moved, func() bool { return true }, func([]byte, error) {}) {
			synctest.Wait()
			c.l.table.Resume(part("a"), "a")
		}
	}
}

// check compares what was said with what would be left if the node crashed now.
func (c *crashing) check(code shopCode) {
	t := c.t
	c.s.mu.Lock()
	r, there := c.s.durable["a"]
	c.s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	left, life := 0, 0
	if there && r.Form == engine.FormRunning {
		c.mu.Unlock()
		read := getting(t.Context(), revive(t, c.s, "a", code), "a")
		c.mu.Lock()
		left = requireAnswered(t, read, "what was revived").n
		life = left / lifeUnit
		require.Greater(t, life, c.over, "a life that has ended is back")
	} else {
		require.True(t, c.ends > 0 || c.started == 0, "a session is lost")
		return
	}
	require.GreaterOrEqual(t, life, c.started, "a start is lost")
	for _, n := range c.seen {
		require.LessOrEqual(t, n/lifeUnit, life, "what was said is lost with its life")
		if n/lifeUnit == life {
			require.Zero(t, n&^left, "something is lost that was said")
		}
	}
	for n, at := range c.answered {
		for m, later := range c.answered {
			if at < later && n/lifeUnit == m/lifeUnit {
				require.Less(t, n, m+lifeUnit)
				require.Zero(t, n&^m, "an answer has passed another one")
			}
		}
	}
}
