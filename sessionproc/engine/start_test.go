package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

var errNoStock = sessionproc.NewError("no_stock", "no stock")

func TestConcurrentStartsHaveOneWinner(t *testing.T) {
	var ran atomic.Int64
	l := newScripted(t, script{start: func(context.Context, string) error { ran.Add(1); return nil }})
	for round := range 20 {
		id := fmt.Sprint("s", round)
		var won, lost, ensured atomic.Int64
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if i%10 == 9 {
					started, err := scripted.Ensure(t.Context(), l, id, "")
					assert.NoError(t, err)
					if started {
						won.Add(1)
					}
					ensured.Add(1)
					return
				}
				switch err := scripted.Start(t.Context(), l, id, ""); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, sessionproc.ErrAlreadyStarted):
					assert.False(t, sessionproc.MaybeExecuted(err))
					lost.Add(1)
				default:
					assert.NoError(t, err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 5, ensured.Load())
		require.EqualValues(t, round+1, ran.Load())
	}
}

// Who waits for a start that fails gets a turn; only the failed one sees its
// error.
func TestWaitingStartersGetTheirTurnAfterAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int64
		gate := make(chan struct{})
		l := newScripted(t, script{start: func(context.Context, string) error {
			if n := calls.Add(1); n == 1 {
				<-gate
				return fmt.Errorf("first: %w", errNoStock)
			} else if n == 2 {
				panic("second")
			}
			return nil
		}})
		first := starting(t.Context(), l, "a")
		synctest.Wait()
		var others []<-chan error
		for range 10 {
			others = append(others, starting(t.Context(), l, "a"))
			synctest.Wait()
		}
		require.False(t, l.started(t, "a"))
		close(gate)
		err := <-first
		require.ErrorIs(t, err, errNoStock)
		require.ErrorContains(t, err, "first: no stock")
		require.True(t, sessionproc.MaybeExecuted(err))
		var crashed, started, late int
		for _, done := range others {
			switch err := <-done; {
			case err == nil:
				started++
			case errors.Is(err, sessionproc.ErrCrashed):
				crashed++
			case errors.Is(err, sessionproc.ErrAlreadyStarted):
				late++
			default:
				require.NoError(t, err)
			}
		}
		require.Equal(t, []int{1, 1, 8}, []int{crashed, started, late})
		require.EqualValues(t, 3, calls.Load())
		require.True(t, l.started(t, "a"))
	})
}

func TestMaxStartingBoundsStartsAndKeepsTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var running, most atomic.Int64
		var mu sync.Mutex
		var order []string
		s := script{start: func(_ context.Context, arg string) error {
			most.Store(max(most.Load(), running.Add(1)))
			mu.Lock()
			order = append(order, arg)
			mu.Unlock()
			time.Sleep(time.Second)
			running.Add(-1)
			return nil
		}}
		l := newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting = 2 }, s.make())
		ids := names("s", 10)
		begin := time.Now()
		var all []<-chan error
		for _, id := range ids {
			all = append(all, starting(t.Context(), l, id))
			synctest.Wait()
		}
		for i, done := range all {
			require.NoError(t, <-done)
			require.Equal(t, time.Duration(i/2+1)*time.Second, time.Since(begin))
		}
		require.EqualValues(t, 2, most.Load())
		require.ElementsMatch(t, ids, order)
		for i := 0; i < 10; i += 2 {
			require.ElementsMatch(t, ids[i:i+2], order[i:i+2])
		}
	})
}

// A start that waits for its turn obeys its deadline, is not run later, and
// leaves its place and its ID to others.
func TestAStartGivenUpInTheQueueFreesItsPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ran sync.Map
		gate := make(chan struct{})
		s := script{kind: sessionproc.KindConfig{MaxSessions: 3}, start: func(_ context.Context, arg string) error {
			ran.Store(arg, true)
			if arg == "slow" {
				<-gate
			}
			return nil
		}}
		l := newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting = 1 }, s.make())
		slow := starting(t.Context(), l, "slow")
		synctest.Wait()
		ctx := lasting(t, 50*time.Millisecond)
		begin := time.Now()
		givenUp := starting(ctx, l, "given-up")
		synctest.Wait()
		next := starting(t.Context(), l, "next")
		err := <-givenUp
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.Equal(t, 50*time.Millisecond, time.Since(begin))
		again := starting(t.Context(), l, "given-up")
		synctest.Wait()
		close(gate)
		require.NoError(t, <-slow)
		require.NoError(t, <-next)
		require.NoError(t, <-again)
		_, gaveUpRan := ran.Load("given-up")
		require.True(t, gaveUpRan, "the second start of that ID")
		require.Equal(t, 3, l.table.Live("scripted"))
		require.Equal(t, 3, l.table.Len())
	})
}

// Without a deadline of its own a start has the node's.
func TestAQueuedStartHasTheDefaultDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := script{start: func(context.Context, string) error { <-gate; return nil }}
		l := newLocalWith(t, func(c *engine.TableConfig) { c.MaxStarting = 1 }, s.make())
		begin := time.Now()
		running := starting(context.Background(), l, "a")
		synctest.Wait()
		queued := starting(context.Background(), l, "b")
		for i, done := range []<-chan error{running, queued} {
			err := <-done
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, i == 0, sessionproc.MaybeExecuted(err))
		}
		require.WithinDuration(t, begin.Add(15*time.Second), time.Now(), 20*time.Millisecond)
		close(gate)
		synctest.Wait()
		require.True(t, l.started(t, "a"), "its function has run to its end")
		require.False(t, l.started(t, "b"))
		require.Equal(t, 1, l.table.Len())
	})
}

func TestAPanicInAStartFunctionIsContained(t *testing.T) {
	l := newScripted(t, script{start: func(_ context.Context, arg string) error {
		if arg == "bad" {
			panic("secret")
		}
		return nil
	}})
	for range 200 { // more than MaxStarting
		err := scripted.Start(t.Context(), l, "bad", "bad")
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		require.NotContains(t, err.Error(), "secret")
		require.True(t, sessionproc.MaybeExecuted(err))
	}
	require.False(t, l.started(t, "bad"))
	require.NoError(t, scripted.Start(t.Context(), l, "bad", "good"))
}

func TestANilStateIsAnError(t *testing.T) {
	ref := sessionproc.KindOf[int]("nil")
	k := sessionproc.NewKind(ref, func(context.Context, int) (*counter, error) { return nil, nil },
		sessionproc.KindConfig{})
	l := newLocal(t, k)
	require.ErrorContains(t, ref.Start(t.Context(), l, "a", 1), "neither a state nor an error")
	requireNothingLeft(t, l)
}

func TestCallWithStartOnCallStartsTheSession(t *testing.T) {
	var args sync.Map
	s := script{method: sessionproc.MethodConfig{StartOnCall: true}, start: func(ctx context.Context, arg string) error {
		id := sessionproc.FromContext(ctx).ID()
		if _, ok := ctx.Deadline(); !ok {
			return errors.New("no deadline")
		}
		if id == "fails" {
			return errNoStock
		}
		if id == "panics" {
			panic("secret")
		}
		args.Store(id, arg)
		return nil
	}, kind: sessionproc.KindConfig{MaxSessions: 2}}
	l := newScripted(t, s)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, err := do.Call(t.Context(), l, "a", "hello")
			assert.NoError(t, err)
			assert.Equal(t, "hello", got)
		})
	}
	wg.Wait()
	arg, _ := args.Load("a")
	require.Equal(t, "", arg, "the zero argument")
	require.Equal(t, 1, l.table.Len())

	require.ErrorIs(t, note.Cast(t.Context(), l, "b", ""), sessionproc.ErrNotFound, "the notice does not start")
	_, err := do.Call(t.Context(), l, "fails", "")
	require.ErrorIs(t, err, sessionproc.ErrNotFound)
	require.ErrorIs(t, err, errNoStock)
	require.False(t, sessionproc.MaybeExecuted(err))
	_, err = do.Call(t.Context(), l, "panics", "")
	require.ErrorIs(t, err, sessionproc.ErrCrashed)
	require.NotContains(t, err.Error(), "secret")

	_, err = do.Call(t.Context(), l, "b", "")
	require.NoError(t, err)
	_, err = do.Call(t.Context(), l, "c", "")
	require.ErrorIs(t, err, sessionproc.ErrTooManySessions)
	require.Equal(t, 2, l.table.Live("scripted"))
}

func TestMaxSessionsIsExact(t *testing.T) {
	var alive atomic.Int64
	l := newScripted(t, script{kind: sessionproc.KindConfig{MaxSessions: 5},
		start: func(_ context.Context, arg string) error {
			if arg == "bad" {
				return errNoStock
			}
			assert.LessOrEqual(t, alive.Add(1), int64(5))
			runtime.Gosched()
			return nil
		}, end: func(context.Context, sessionproc.Reason) { alive.Add(-1) }})
	l.start(t, names("s", 4)...)
	for range 20 {
		var won atomic.Int64
		var wg sync.WaitGroup
		for _, id := range names("x", 30) {
			wg.Go(func() {
				switch err := scripted.Start(t.Context(), l, id, ""); {
				case err == nil:
					won.Add(1)
					assert.ErrorIs(t, scripted.Start(t.Context(), l, "s0", ""), sessionproc.ErrAlreadyStarted,
						"existence comes before the limit")
					assert.NoError(t, l.terminate(t.Context(), id))
				default:
					assert.ErrorIs(t, err, sessionproc.ErrTooManySessions)
				}
			})
		}
		wg.Wait()
		require.Positive(t, won.Load())
		require.Equal(t, 4, l.table.Live("scripted"))
		require.ErrorIs(t, scripted.Start(t.Context(), l, "bad", "bad"), errNoStock)
	}
}

// Who has been told that a session is over can have its place.
func TestEndedSessionFreesItsPlaceAtOnce(t *testing.T) {
	l := newScripted(t, script{kind: sessionproc.KindConfig{MaxSessions: 1},
		do: func(context.Context, string) (string, error) { panic(panicText) }})
	for i := range 500 {
		id := fmt.Sprint("s", i)
		l.start(t, id)
		if i%2 == 0 {
			_, err := do.Call(t.Context(), l, id, "")
			require.ErrorIs(t, err, sessionproc.ErrCrashed)
		} else {
			require.NoError(t, l.terminate(t.Context(), id))
		}
	}
}

// A start that succeeded at once is not kept until its time would be over. The
// runtime itself keeps a few of the timers that were stopped.
func TestFinishedStartIsGarbage(t *testing.T) {
	type argument struct{ Numbers [64]int }
	ref := sessionproc.KindOf[*argument]("argument")
	k := sessionproc.NewKind(ref, startsAs[counter], sessionproc.KindConfig{})
	l := newLocal(t, k)
	var all []weak.Pointer[argument]
	for _, id := range names("s", 200) {
		arg := new(argument)
		all = append(all, weak.Make(arg))
		require.NoError(t, ref.Start(context.Background(), l, id, arg))
	}
	require.Eventually(t, func() bool {
		runtime.GC()
		kept := 0
		for _, arg := range all {
			if arg.Value() != nil {
				kept++
			}
		}
		return kept < 100
	}, 30*time.Second, time.Millisecond)
}

func TestTerminateDuringAFailingStartReturns(t *testing.T) {
	l := newScripted(t, script{start: func(context.Context, string) error { return errNoStock }})
	for range 3000 {
		start := starting(t.Context(), l, "a")
		for len(start) == 0 {
			_ = note.Cast(t.Context(), l, "a", "")
			if err := l.terminate(t.Context(), "a"); err != nil {
				require.ErrorIs(t, err, sessionproc.ErrNotFound)
			}
			runtime.Gosched() // with one processor the start would wait for the end of this one's time
		}
		require.Error(t, <-start)
	}
	require.Zero(t, l.table.Live("scripted"))
}

// The start that a message causes takes nothing of the mailbox's room from it.
func TestStartOnCallTakesNoRoomInTheMailbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newScripted(t, script{
			method: sessionproc.MethodConfig{StartOnCall: true}, kind: sessionproc.KindConfig{Mailbox: 1},
			start: func(context.Context, string) error { time.Sleep(time.Second); return nil },
		})
		first := doing(t.Context(), l, "a", "1")
		synctest.Wait() // the start runs, the call waits
		second := doing(t.Context(), l, "a", "2")
		synctest.Wait()
		require.Equal(t, 1, details(t, l, "a").Line)
		require.NoError(t, <-first)
		require.NoError(t, <-second)
	})
}
