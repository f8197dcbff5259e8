package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Whatever has brought a state, it arrives once, before the messages that it has
// brought along and those that wait for it.
func TestOnArriveRunsOnceBeforeAnyMessage(t *testing.T) {
	cfg := sessionproc.KindConfig{Restart: sessionproc.RestartLastState}
	for _, c := range []struct {
		reason sessionproc.ArrivalReason
		id     string // under which it goes on
		bring  func(t *testing.T, from, to *inn)
	}{
		{sessionproc.ArrivalMoved, "a", func(t *testing.T, from, to *inn) { travel(t, from.local, to.local, "a") }},
		{sessionproc.ArrivalPromoted, "a", func(t *testing.T, from, to *inn) {
			b, err := take(t, from.local, "a")
			require.NoError(t, err)
			r, err := to.table.Restore(part("a"), "a", b)
			require.NoError(t, err)
			r.Renew()
			require.NoError(t, r.Insert())
		}},
		{sessionproc.ArrivalRenewed, "b", func(t *testing.T, from, to *inn) {
			travel(t, from.local, to.local, "a")
			synctest.Wait()
			require.NoError(t, to.renew(t.Context(), "a", "b"))
		}},
		{sessionproc.ArrivalRestarted, "a", func(t *testing.T, from, to *inn) {
			travel(t, from.local, to.local, "a")
			_, err := guestSay.Call(t.Context(), to, "a", "crash")
			require.ErrorIs(t, err, sessionproc.ErrCrashed)
		}},
	} {
		t.Run(string(c.reason), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				from, to := newInn(t, 1, cfg, nil), newInn(t, 2, cfg, nil)
				from.begin(t, "a", "first")
				for _, s := range []string{"nap", "queued"} { // the second one moves along
					require.NoError(t, guestHear.Cast(t.Context(), from, "a", s))
				}
				c.bring(t, from, to)
				to.says(t, c.id, "last", "first", "nap", "queued", "last")
				from.requireBook(t)
				want := []string{string(c.reason)}
				if c.reason == sessionproc.ArrivalRenewed || c.reason == sessionproc.ArrivalRestarted {
					want = []string{"moved", string(c.reason)}
				}
				to.requireBook(t, want...)
			})
		})
	}
}

// A session that is idle arrives too, and costs no memory beside its record afterwards.
func TestOnArriveRunsForAnIdleSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to := newInn(t, 1, sessionproc.KindConfig{}, nil), newInn(t, 2, sessionproc.KindConfig{}, nil)
		from.begin(t, "a", "first")
		life := from.table.Life(part("a"), "a")
		travel(t, from.local, to.local, "a")
		synctest.Wait()
		to.requireBook(t, "moved")
		require.Zero(t, to.table.Extra(part("a"), "a"))
		require.Equal(t, life, to.table.Life(part("a"), "a"))
	})
}

// The start function prepares what is new, and what has not left needs nothing.
func TestOnArriveDoesNotRunForAStateThatStayed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newInn(t, 1, sessionproc.KindConfig{Restart: sessionproc.RestartFresh}, nil)
		in.begin(t, "a", "first")
		_, err := guestSay.Call(t.Context(), in, "a", "crash")
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		in.says(t, "a", "fresh", "first", "fresh")

		_, err = take(t, in.local, "a")
		require.NoError(t, err)
		in.table.Resume(part("a"), "a") // its target has refused it
		in.says(t, "a", "back", "first", "fresh", "back")

		in.begin(t, "b", "other")
		require.ErrorIs(t, in.renew(t.Context(), "a", "b"), sessionproc.ErrAlreadyStarted)
		in.says(t, "a", "same", "first", "fresh", "back", "same")
		in.requireBook(t)
	})
}

// What is on its way on before it could arrive arrives where it runs.
func TestOnArriveRunsOnlyWhereTheSessionRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := newInn(t, 1, sessionproc.KindConfig{}, nil), newInn(t, 2, sessionproc.KindConfig{}, nil),
			newInn(t, 3, sessionproc.KindConfig{}, nil)
		a.begin(t, "a", "first")
		b.table.Pause(errAway)
		travel(t, a.local, b.local, "a")
		synctest.Wait()
		b.requireBook(t)
		travel(t, b.local, c.local, "a")
		c.says(t, "a", "here", "first", "here")
		b.table.Unpause()
		synctest.Wait()
		b.requireBook(t)
		c.requireBook(t, "moved")

		b.table.Pause(errAway)
		travel(t, c.local, b.local, "a")
		_, err := take(t, b.local, "a")
		require.NoError(t, err)
		b.table.Resume(part("a"), "a")
		synctest.Wait()
		b.requireBook(t)
		b.table.Unpause()
		synctest.Wait()
		b.requireBook(t, "moved")
	})
}

// A session that ends before it could arrive arrives to be told so.
func TestOnArriveRunsBeforeOnEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from, to := newInn(t, 1, sessionproc.KindConfig{}, nil), newInn(t, 2, sessionproc.KindConfig{}, nil)
		from.begin(t, "a", "first")
		to.table.Pause(errAway)
		travel(t, from.local, to.local, "a")
		to.table.Lose(part("a"), "a", sessionproc.ReasonLost)
		synctest.Wait()
		to.requireBook(t, "moved", "end lost")
		to.table.Unpause()
	})
}

// The messages and the end of a session wait for its arrival, whose ctx tells of the end.
func TestMessagesAndEndWaitForOnArrive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var causes []error
		from := newInn(t, 1, sessionproc.KindConfig{}, nil)
		to := newInn(t, 2, sessionproc.KindConfig{SlowHandler: time.Second},
			func(ctx context.Context, _ *guest, _ sessionproc.Arrival, _ int) error {
				_, has := ctx.Deadline()
				require.True(t, has)
				<-ctx.Done()
				causes = append(causes, ctx.Err())
				return nil
			})
		from.begin(t, "a", "first")
		travel(t, from.local, to.local, "a")
		ctx := lasting(t, 2*time.Second)
		_, err := guestSay.Call(ctx, to, "a", "late")
		require.ErrorContains(t, err, "the handler of OnArrive, which ran for 2s")
		require.False(t, sessionproc.MaybeExecuted(err))
		details, there := to.table.Details(part("a"), "a")
		require.True(t, there)
		require.True(t, details.Busy)
		require.Equal(t, "OnArrive", details.Method)
		require.Equal(t, int64(1), to.table.Supervision().Slow)
		require.NoError(t, to.terminate(t.Context(), "a"))
		require.Equal(t, []error{context.Canceled}, causes)
		to.requireBook(t, "moved", "end terminated")
	})
}

// An arrival is no use of a session and no change of it.
func TestOnArriveIsNoUseAndNoChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := sessionproc.KindConfig{IdleTimeout: time.Minute}
		from, to := newInn(t, 1, cfg, nil), newInn(t, 2, cfg, nil)
		from.begin(t, "a", "first")
		time.Sleep(40 * time.Second)
		before, _ := from.table.Version(part("a"), "a")
		travel(t, from.local, to.local, "a")
		synctest.Wait()
		after, _ := to.table.Version(part("a"), "a")
		require.Equal(t, before, after)
		time.Sleep(25 * time.Second)
		to.requireBook(t, "moved", "end expired")
	})
}

// An OnArrive that fails or panics is a crash, and KindConfig.Restart says what follows.
func TestFailedOnArriveIsACrash(t *testing.T) {
	fails := errors.New("the house is full")
	ways := map[string]func() error{"error": func() error { return fails }, "panic": func() error { panic(fails) }}
	for name, way := range ways {
		for _, c := range []struct {
			policy sessionproc.RestartPolicy
			times  int // that it fails
			want   []string
			book   []string
		}{
			{sessionproc.RestartNever, 1, nil, []string{"moved"}},
			{sessionproc.RestartLastState, 1, []string{"first", "here"}, []string{"moved", "restarted"}},
			{sessionproc.RestartLastState, 9, nil, []string{"moved", "restarted", "restarted"}},
			{sessionproc.RestartFresh, 1, []string{"first", "here"}, []string{"moved"}},
		} {
			t.Run(fmt.Sprint(name, c.policy, c.times), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					cfg := sessionproc.KindConfig{Restart: c.policy, RestartBudget: 2}
					from := newInn(t, 1, cfg, nil)
					to := newInn(t, 2, cfg, func(_ context.Context, _ *guest, _ sessionproc.Arrival, before int) error {
						if before < c.times {
							return way()
						}
						return nil
					})
					from.begin(t, "a", "first")
					travel(t, from.local, to.local, "a")
					time.Sleep(time.Second)
					got, err := guestSay.Call(t.Context(), to, "a", "here")
					if c.want == nil {
						require.ErrorIs(t, err, sessionproc.ErrNotFound)
					} else {
						require.NoError(t, err)
					}
					require.Equal(t, c.want, got)
					to.requireBook(t, c.book...)
					require.Contains(t, to.log.String(), "session crashed")
					require.Contains(t, to.log.String(), "reference=")
					require.Contains(t, to.log.String(), fails.Error())
					require.NotZero(t, to.table.Supervision().Crashes)
				})
			})
		}
	}
}

// The end of a pause does nothing to what has been sealed meanwhile.
func TestASessionSealedDuringAPauseIsEncodedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newInn(t, 1, sessionproc.KindConfig{}, nil)
		in.begin(t, "a", "first")
		for _, s := range []string{"nap", "queued"} {
			require.NoError(t, guestHear.Cast(t.Context(), in, "a", s))
		}
		in.table.Pause(errAway)
		time.Sleep(2 * time.Second) // the nap is over, and the other cast is held
		encoded := 0
		done := func([]byte, error) { encoded++ }
		require.True(t, in.table.Seal(part("a"), "a", errAway, func() bool { return true }, done))
		synctest.Wait()
		in.table.Unpause()
		synctest.Wait()
		require.Equal(t, 1, encoded)
		in.table.Resume(part("a"), "a")
		in.says(t, "a", "last", "first", "nap", "queued", "last")
	})
}
