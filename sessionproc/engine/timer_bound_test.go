package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A handler that takes longer than a tick's interval: one tick waits, and users get
// through behind it. Later ticks stay on the grid of the first one.
func TestSlowTicksLeaveRoomForUsers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		begin := time.Now()
		var at []time.Duration
		l := newScripted(t, script{
			kind: sessionproc.KindConfig{Mailbox: 4},
			start: func(ctx context.Context, _ string) error {
				note.Every(ctx, 5*time.Millisecond, "tick")
				return nil
			},
			note: func(_ context.Context, m string) error {
				if m == "tick" {
					at = append(at, time.Since(begin))
					time.Sleep(8 * time.Millisecond)
				}
				return nil
			},
		})
		l.start(t, "a")
		for range 20 {
			time.Sleep(time.Second + time.Millisecond)
			synctest.Wait()
			require.LessOrEqual(t, details(t, l, "a").Waiting, 1)
			called := time.Now()
			_, err := do.Call(t.Context(), l, "a", "")
			require.NoError(t, err)
			require.LessOrEqual(t, time.Since(called), 16*time.Millisecond, "what runs, and one tick")
			require.NoError(t, note.Cast(t.Context(), l, "a", "user"))
		}
		require.NoError(t, l.terminate(t.Context(), "a"))
		require.Greater(t, len(at), 2000, "it is always busy with ticks")
	})
}

// Whatever a handler takes, the ticks it misses are made up for by one, and those after
// it are where they would have been.
func TestMissedTicksAreMadeUpForByOne(t *testing.T) {
	shorttest.Skip(t)
	for _, blocks := range []time.Duration{tenth / 2, tenth + tenth/2, 10*tenth + tenth/3, time.Hour + tenth/7} {
		t.Run(blocks.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, came := alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, r string) {
					if r == "block" {
						time.Sleep(blocks)
					} else {
						note.Every(ctx, tenth, "tick")
					}
				})
				_, err := do.Call(t.Context(), l, "a", "")
				require.NoError(t, err)
				time.Sleep(2*tenth + tenth/10) // two ticks have come
				long := lasting(t, 2*time.Hour)
				_, err = do.Call(long, l, "a", "block")
				require.NoError(t, err)
				free := 2*tenth + tenth/10 + blocks
				missed := free >= 3*tenth
				want := []ring{{tenth, "tick"}, {2 * tenth, "tick"}}
				if missed {
					want = append(want, ring{free, "tick"})
				}
				for next, n := free/tenth*tenth+tenth, 0; n < 3; next, n = next+tenth, n+1 {
					want = append(want, ring{next, "tick"})
				}
				time.Sleep(3 * tenth)
				require.Equal(t, want, came())
			})
		})
	}
}

// Timers of any number take no place in the mailbox from users.
func TestTimersTakeNoPlaceFromUsers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, open, first := blockedBy(t, sessionproc.KindConfig{Mailbox: 4, MailboxBytes: 1000}, func(ctx context.Context) {
			for i := range 50 {
				_ = note.EveryNamed(ctx, "every "+strconv.Itoa(i), tenth, "1234567890")
				_ = note.AfterNamed(ctx, "after "+strconv.Itoa(i), tenth, "1234567890")
			}
		})
		time.Sleep(10 * tenth)
		synctest.Wait()
		require.Equal(t, 100, details(t, l, "a").Waiting, "one of each timer")
		for range 4 {
			require.NoError(t, note.Cast(t.Context(), l, "a", "1234567890"))
		}
		require.Error(t, note.Cast(t.Context(), l, "a", ""), "by number")
		open()
		require.NoError(t, <-first)
		synctest.Wait()
		require.Zero(t, details(t, l, "a").Waiting)
		require.Len(t, details(t, l, "a").Timers, 50)
		require.NoError(t, note.Cast(t.Context(), l, "a", ""))
	})
}

// blockedBy is a session whose handler does something and then waits.
func blockedBy(t *testing.T, cfg sessionproc.KindConfig, first func(ctx context.Context)) (l *local, open func(),
	done <-chan error) {
	gate := make(chan struct{})
	l = newScripted(t, script{kind: cfg, do: func(ctx context.Context, r string) (string, error) {
		if r == "block" {
			first(ctx)
			<-gate
		}
		return r, nil
	}})
	l.start(t, "a")
	done = doing(t.Context(), l, "a", "block")
	synctest.Wait()
	return l, func() { close(gate) }, done
}

func TestTimerBeyondMaxTimersIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		limited := func(t *testing.T, err error) {
			require.ErrorIs(t, err, sessionproc.ErrTooManyTimers)
			var limit *sessionproc.LimitError
			require.ErrorAs(t, err, &limit)
			require.Equal(t, "KindConfig.MaxTimers", limit.Limit)
			require.EqualValues(t, 10, limit.Max)
		}
		l := newScripted(t, script{kind: sessionproc.KindConfig{MaxTimers: 10},
			do: func(ctx context.Context, r string) (string, error) {
				switch r {
				case "fill":
					for i := range 10 {
						require.NoError(t, note.EveryNamed(ctx, strconv.Itoa(i), time.Hour, ""))
						if i >= 5 {
							require.True(t, sessionproc.FromContext(ctx).CancelTimer(strconv.Itoa(i)))
							require.NoError(t, note.AfterNamed(ctx, strconv.Itoa(i), time.Hour, ""))
						}
					}
				case "one more":
					note.After(ctx, 0, "refused")
					note.Every(ctx, tenth, "refused")
					err := note.AfterNamed(ctx, "newer", time.Hour, "")
					limited(t, err)
					limited(t, note.EveryNamed(ctx, "newer", time.Hour, ""))
					require.NoError(t, note.EveryNamed(ctx, "7", time.Hour, ""), "in place of another one")
					return "", err
				case "cancelled":
					require.True(t, sessionproc.FromContext(ctx).CancelTimer("0"))
					require.NoError(t, note.EveryNamed(ctx, "new", time.Hour, ""))
					require.True(t, sessionproc.FromContext(ctx).CancelTimer("new"))
					note.After(ctx, 0, "")
					time.Sleep(tenth) // its message waits now
					limited(t, note.EveryNamed(ctx, "new", time.Hour, ""))
				case "handled":
					require.NoError(t, note.EveryNamed(ctx, "new", time.Hour, ""))
				}
				return "", nil
			}})
		l.start(t, "a")
		for _, r := range []string{"fill", "one more", "cancelled", "handled", "one more"} {
			_, err := do.Call(t.Context(), l, "a", r)
			if r == "one more" {
				require.ErrorContains(t, err, "KindConfig.MaxTimers is 10")
				require.NotErrorIs(t, err, sessionproc.ErrTooManyTimers, "a handler's error arrives as its text, here as elsewhere")
			} else {
				require.NoError(t, err)
			}
		}
		require.Len(t, details(t, l, "a").Timers, 10)
	})
}

func TestMaxTimersIs1000ByDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		set := 0
		l, _ := alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, _ string) {
			for ; set < 2000; set++ {
				if err := note.AfterNamed(ctx, strconv.Itoa(set), time.Hour, ""); err != nil {
					require.ErrorIs(t, err, sessionproc.ErrTooManyTimers)
					break
				}
			}
		})
		_, err := do.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
		require.Equal(t, 1000, set)
	})
}

// To set, replace and cancel a timer by its name takes the same time among 40,000 as
// among few. It took a look at each: a minute for these.
func TestNamedTimerCostsTheSameAmongMany(t *testing.T) {
	const many = 40_000
	l := newScripted(t, script{kind: sessionproc.KindConfig{MaxTimers: many},
		do: func(ctx context.Context, _ string) (string, error) {
			for range 2 {
				for i := range many {
					if err := note.AfterNamed(ctx, strconv.Itoa(i), time.Hour, ""); err != nil {
						return "", err
					}
				}
			}
			for i := range many {
				if name := strconv.Itoa(i); !sessionproc.FromContext(ctx).CancelTimer(name) {
					return "", errors.New("there is no timer " + name)
				}
			}
			return "", nil
		}})
	l.start(t, "a")
	begun := time.Now()
	_, err := do.Call(t.Context(), l, "a", "")
	require.NoError(t, err)
	require.Less(t, time.Since(begun), 5*time.Second)
}

// While the node has no quorum nothing of a timer wakes up; after it each fires once.
func TestTimersAreHeldDuringAPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, came := alarms(t, sessionproc.KindConfig{Mailbox: 2}, func(ctx context.Context, _ string) {
			for i := range 10 {
				require.NoError(t, note.EveryNamed(ctx, strconv.Itoa(i), tenth, "every"))
				note.After(ctx, tenth, "after")
			}
			note.After(ctx, time.Minute, "later")
		})
		_, err := do.Call(t.Context(), l, "a", "")
		require.NoError(t, err)
		l.table.Pause(sessionproc.ErrNoQuorum)
		time.Sleep(50 * tenth)
		synctest.Wait()
		require.Equal(t, 1, l.table.ArmedTimers(part("a"), "a"), "the one that is not due yet")
		require.Empty(t, came())
		l.table.Unpause()
		require.Len(t, came(), 20)
		time.Sleep(tenth)
		require.Len(t, came(), 30)
		time.Sleep(time.Minute)
		require.Contains(t, came(), ring{time.Minute, "later"})
	})
}

// A timer that is due in a pause and moves in it fires where the session comes to, once
// that is not paused; one that stays fires here.
func TestHeldTimersMove(t *testing.T) {
	for _, stays := range []bool{false, true} {
		t.Run(fmt.Sprint(stays), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, came := alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, _ string) {
					note.After(ctx, tenth, "after")
					note.Every(ctx, tenth, "every")
				})
				there, cameThere := alarms(t, sessionproc.KindConfig{}, nil)
				require.NoError(t, there.terminate(t.Context(), "a"))
				_, err := do.Call(t.Context(), l, "a", "")
				require.NoError(t, err)
				l.table.Pause(errAway)
				time.Sleep(5 * tenth)
				synctest.Wait()
				if stays {
					_, err := take(t, l, "a")
					require.NoError(t, err)
					l.table.Resume(part("a"), "a")
					require.Empty(t, came())
					l.table.Unpause()
					require.Len(t, came(), 2)
					return
				}
				there.table.Pause(errAway)
				travel(t, l, there, "a")
				l.table.Unpause()
				require.Empty(t, append(came(), cameThere()...))
				there.table.Unpause()
				require.Len(t, cameThere(), 2)
				require.Empty(t, came())
			})
		})
	}
}

// A tick that waits when its session moves is the only one there, too.
func TestWaitingTickMovesAndStaysTheOnlyOne(t *testing.T) {
	for _, shut := range []time.Duration{0, tenth, 10 * tenth} {
		t.Run(shut.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, _ := alarms(t, sessionproc.KindConfig{Mailbox: 2}, func(ctx context.Context, _ string) {
					note.Every(ctx, tenth, "every")
					note.After(ctx, tenth, "after")
					time.Sleep(tenth + tenth/2)
				})
				there, came := alarms(t, sessionproc.KindConfig{Mailbox: 2}, nil)
				require.NoError(t, there.terminate(t.Context(), "a"))
				there.table.Pause(errAway) // so that what has come waits
				call := doing(t.Context(), l, "a", "")
				time.Sleep(tenth + tenth/4)
				travel(t, l, there, "a")
				require.NoError(t, <-call)
				time.Sleep(shut)
				synctest.Wait()
				require.Equal(t, 2, details(t, there, "a").Waiting)
				require.Len(t, details(t, there, "a").Timers, 1)
				there.table.Unpause()
				at := tenth + tenth/2 + shut
				require.ElementsMatch(t, []ring{{at, "every"}, {at, "after"}}, came())
				time.Sleep(tenth)
				require.Len(t, came(), 3)
				require.Equal(t, ring{at/tenth*tenth + tenth, "every"}, came()[2])
			})
		})
	}
}
