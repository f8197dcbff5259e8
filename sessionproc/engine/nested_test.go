package engine_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// nestings are the ways in which a start function, of session id, can wait for the start
// of another session. A session "shared" waits for its turn already.
var nestings = map[string]func(ctx context.Context, l *local, id string) error{
	"Start": func(ctx context.Context, l *local, id string) error { return scripted.Start(ctx, l, "inner-"+id, "") },
	"Ensure": func(ctx context.Context, l *local, id string) error {
		_, err := scripted.Ensure(ctx, l, "inner", "")
		return err
	},
	"StartMany": func(ctx context.Context, l *local, id string) error {
		for _, err := range scripted.StartMany(ctx, l, map[string]string{"x" + id: "", "y" + id: "", "z" + id: ""}) {
			return err
		}
		return nil
	},
	"untyped Start": func(ctx context.Context, l *local, id string) error {
		return l.Deliver(ctx, "inner-"+id, engine.Untyped(core.OpStart, "scripted", "", "", nil))
	},
	"StartOnCall": func(ctx context.Context, l *local, id string) error {
		_, err := do.Call(ctx, l, "inner-"+id, "")
		return err
	},
	"untyped StartOnCall": func(ctx context.Context, l *local, id string) error {
		return l.Deliver(ctx, "inner-"+id, engine.Untyped(core.OpCall, "scripted", "do", "", nil))
	},
	"a handler that starts": func(ctx context.Context, l *local, id string) error {
		_, err := do.Call(ctx, l, "helper-"+id, "start inner-"+id)
		return err
	},
	"an untyped call of a handler that starts": func(ctx context.Context, l *local, id string) error {
		return l.Deliver(ctx, "helper-"+id, engine.Untyped(core.OpCall, "scripted", "do", "start inner-"+id, nil))
	},
	"a start whose start function starts": func(ctx context.Context, l *local, id string) error {
		return scripted.Start(ctx, l, "inner-"+id, "start innermost-"+id)
	},
	"Ensure of one that waits": func(ctx context.Context, l *local, _ string) error {
		_, err := scripted.Ensure(ctx, l, "shared", "")
		return err
	},
	"a call of one that waits": func(ctx context.Context, l *local, _ string) error {
		_, err := do.Call(ctx, l, "shared", "")
		return err
	},
	"an untyped call of one that waits": func(ctx context.Context, l *local, _ string) error {
		return l.Deliver(ctx, "shared", engine.Untyped(core.OpCall, "scripted", "do", "", nil))
	},
	"Terminate of one that waits": func(ctx context.Context, l *local, id string) error {
		if id == "a" {
			return l.terminate(ctx, "shared")
		}
		time.Sleep(time.Millisecond) // so that no place is free before
		return nil
	},
}

// nestingScript is a script whose start function waits for what nest does, and whose handlers
// and start functions start a session if they are told "start" and its ID.
func nestingScript(l **local, nest func(ctx context.Context, l *local, id string) error) script {
	starts := func(ctx context.Context, what string) error {
		var id string
		if _, err := fmt.Sscanf(what, "start %s", &id); err == nil {
			return scripted.Start(ctx, *l, id, "")
		}
		return nil
	}
	return script{
		method: sessionproc.MethodConfig{StartOnCall: true},
		start: func(ctx context.Context, arg string) error {
			if arg != "outer" {
				return starts(ctx, arg)
			}
			time.Sleep(2 * time.Millisecond) // until all places are taken, and "shared" waits
			return nest(ctx, *l, sessionproc.FromContext(ctx).ID())
		},
		do: func(ctx context.Context, r string) (string, error) { return r, starts(ctx, r) },
	}
}

// All places are held by start functions that wait for other starts.
func TestStartsInStartFunctionsDoNotWaitForPlaces(t *testing.T) {
	for name, nest := range nestings {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var l *local
				l = newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting = 2 }, nestingScript(&l, nest).make())
				l.start(t, "helper-a", "helper-b")
				begun := time.Now()
				var wg sync.WaitGroup
				for _, id := range []string{"a", "b"} {
					wg.Go(func() { assert.NoError(t, scripted.Start(t.Context(), l, id, "outer")) })
				}
				synctest.Wait()
				shared := starting(t.Context(), l, "shared")
				synctest.Wait()
				require.Empty(t, shared)
				wg.Wait()
				if err := <-shared; name == "Terminate of one that waits" {
					require.ErrorIs(t, err, sessionproc.ErrTerminated)
					require.Equal(t, 3*time.Millisecond, time.Since(begun))
				} else {
					require.NoError(t, err)
					require.Equal(t, 2*time.Millisecond, time.Since(begun))
				}
				running, queued := l.table.Starts()
				require.Zero(t, running+queued)
			})
		})
	}
}

// What nobody waits for waits for its turn, and so does what a session does whose start
// function has returned.
func TestOtherStartsOfAStartFunctionWaitForPlaces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var l *local
		gate, left := make(chan struct{}), make(chan context.Context, 1)
		s := script{notice: sessionproc.MethodConfig{StartOnCall: true}, start: func(ctx context.Context, arg string) error {
			switch arg {
			case "casts":
				return note.Cast(ctx, l, "cast", "")
			case "leaves":
				left <- ctx
			case "blocks":
				<-gate
			}
			return nil
		}}
		l = newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting = 1 }, s.make())
		require.NoError(t, scripted.Start(t.Context(), l, "first", "leaves"))
		require.NoError(t, scripted.Start(t.Context(), l, "second", "casts"))
		synctest.Wait()
		require.True(t, l.started(t, "cast"), "in its turn")
		blocked := make(chan error, 1)
		go func() { blocked <- scripted.Start(t.Context(), l, "third", "blocks") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(<-left), time.Second)
		defer cancel()
		require.ErrorIs(t, scripted.Start(ctx, l, "late", ""), context.DeadlineExceeded)
		close(gate)
		require.NoError(t, <-blocked)
	})
}

// Start functions that start the next one for ever end where the chain of calls ends.
func TestNestedStartsAreBounded(t *testing.T) {
	for name, next := range map[string]func(ctx context.Context, l *local, id string) error{
		"Start": func(ctx context.Context, l *local, id string) error { return scripted.Start(ctx, l, id, "outer") },
		"untyped Start": func(ctx context.Context, l *local, id string) error {
			return l.Deliver(ctx, id, engine.Untyped(core.OpStart, "scripted", "", "outer", nil))
		},
		"StartOnCall": func(ctx context.Context, l *local, id string) error {
			_, err := do.Call(ctx, l, id, "")
			return err
		},
		"untyped StartOnCall": func(ctx context.Context, l *local, id string) error {
			return l.Deliver(ctx, id, engine.Untyped(core.OpCall, "scripted", "do", "", nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var l *local
				var ran atomic.Int64
				s := script{method: sessionproc.MethodConfig{StartOnCall: true}, start: func(ctx context.Context, _ string) error {
					return next(ctx, l, fmt.Sprint("s", ran.Add(1)))
				}}
				l = newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting = 2 }, s.make())
				begun := time.Now()
				require.ErrorContains(t, next(t.Context(), l, "s0"), "more than 16 sessions wait for one another")
				require.Zero(t, time.Since(begun))
				require.EqualValues(t, 16, ran.Load())
			})
		})
	}
}

// Some starts nest, some are given up, some fail, some panic: no place is lost or made up.
func TestNestedStartsLoseNoPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var l *local
		var plain, most atomic.Int64
		s := script{method: sessionproc.MethodConfig{StartOnCall: true}, start: func(ctx context.Context, arg string) error {
			if engine.HoldsPlace(ctx) != true {
				return fmt.Errorf("%s holds no place", arg)
			}
			switch arg {
			case "nests":
				_, _ = scripted.Ensure(ctx, l, "inner", "plain")
				_, _ = do.Call(ctx, l, "inner-"+sessionproc.FromContext(ctx).ID(), "")
			case "fails":
				return errNoStock
			case "panics":
				panic("at the start")
			case "alone":
				most.Store(max(most.Load(), plain.Add(1)))
				defer plain.Add(-1)
			}
			time.Sleep(3 * time.Millisecond)
			return nil
		}}
		l = newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting = 3 }, s.make())
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%50)*time.Millisecond)
				defer cancel()
				arg := []string{"nests", "fails", "panics", "plain", "nests"}[i%5]
				_ = scripted.Start(ctx, l, fmt.Sprint("s", i), arg)
				if i%7 == 0 {
					_ = l.terminate(t.Context(), fmt.Sprint("s", i))
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		time.Sleep(time.Minute)
		running, queued := l.table.Starts()
		require.Zero(t, running)
		require.Zero(t, queued)
		for i := range 30 {
			wg.Go(func() { assert.NoError(t, scripted.Start(t.Context(), l, fmt.Sprint("alone", i), "alone")) })
		}
		wg.Wait()
		require.EqualValues(t, 3, most.Load(), "what nests with nothing keeps to MaxStarting")
	})
}
