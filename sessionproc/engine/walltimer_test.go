package engine_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// dated is a session whose do sets a timer for a time, a number of tenths from the beginning.
func dated(t *testing.T, tenths time.Duration) (l *local, came func() []ring) {
	begin := time.Now()
	return alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, r string) {
		require.NoError(t, note.At(ctx, "at", begin.Add(tenths*tenth), r))
	})
}

func wind(t *testing.T, l *local, what string) {
	t.Helper()
	_, err := do.Call(t.Context(), l, "a", what)
	require.NoError(t, err)
}

func TestATimerForATimeFiresOnceThen(t *testing.T) {
	for name, at := range map[string]time.Time{
		"later":          time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC),
		"elsewhere":      time.Date(2000, 1, 1, 2, 0, 1, 0, time.FixedZone("", 2*60*60)),
		"now":            time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		"past":           time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		"zero":           {},
		"before 1970":    time.Unix(-1, 0),
		"in 1970":        time.Unix(0, 0),
		"the last":       time.Unix(0, math.MaxInt64),
		"after the last": time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, came := alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, r string) {
					require.NoError(t, note.At(ctx, "at", at, r))
				})
				due := max(0, time.Until(at))
				wind(t, l, "rings")
				if due > time.Hour {
					time.Sleep(time.Minute)
					require.Empty(t, came())
					return
				}
				if due > 0 {
					time.Sleep(due - 1)
					require.Empty(t, came())
				}
				time.Sleep(time.Minute)
				require.Equal(t, []ring{{due, "rings"}}, came())
			})
		})
	}
}

func TestATimerForATimeHasANameLikeOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, came := alarms(t, sessionproc.KindConfig{MaxTimers: 1}, func(ctx context.Context, r string) {
			switch r {
			case "at":
				require.NoError(t, note.At(ctx, "name", time.Now().Add(tenth), r))
			case "after":
				require.NoError(t, note.AfterNamed(ctx, "name", tenth, r))
			case "every":
				require.NoError(t, note.EveryNamed(ctx, "name", tenth, r))
			case "cancel":
				require.True(t, sessionproc.FromContext(ctx).CancelTimer("name"))
				require.False(t, sessionproc.FromContext(ctx).CancelTimer("name"))
			case "refused":
				require.ErrorIs(t, note.At(ctx, "another", time.Now(), r), sessionproc.ErrTooManyTimers)
				require.Panics(t, func() { _ = note.At(ctx, "", time.Now(), r) })
			}
		})
		for _, what := range []string{"after", "at", "every", "at", "refused", "cancel", "at", "cancel", "after", "at"} {
			wind(t, l, what)
		}
		time.Sleep(10 * tenth)
		require.Equal(t, []ring{{tenth, "at"}}, came())
	})
}

// A clock that is set on, as after a sleep of the machine, makes timers for times overdue, and no others.
func TestAClockThatIsSetOnFiresTimersForTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		begin := time.Now()
		l, came := alarms(t, sessionproc.KindConfig{}, func(ctx context.Context, r string) {
			require.NoError(t, note.At(ctx, "at", begin.Add(time.Minute), "at"))
			require.NoError(t, note.At(ctx, "tomorrow", begin.Add(5*time.Minute), "tomorrow"))
			note.After(ctx, time.Minute, "after")
		})
		wind(t, l, "")
		time.Sleep(tenth)
		l.table.Sleep(2 * time.Minute)
		time.Sleep(3 * tenth)
		got := came()
		require.Len(t, got, 1)
		require.Equal(t, "at", got[0].msg)
		time.Sleep(time.Minute)
		require.Len(t, came(), 2)
		require.Equal(t, ring{time.Minute, "after"}, came()[1])
		l.table.Sleep(-2 * time.Minute) // it was wrong; what has fired does not fire again
		time.Sleep(4*time.Minute - time.Second)
		require.Len(t, came(), 2)
		time.Sleep(time.Second)
		require.Equal(t, ring{5 * time.Minute, "tomorrow"}, came()[2])
	})
}

func TestATimerForATimeWaitsForAClockThatIsSetBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, came := dated(t, 10)
		wind(t, l, "rings")
		time.Sleep(9*tenth + tenth/2)
		l.table.Sleep(-10 * tenth)
		time.Sleep(10*tenth + tenth/4)
		require.Empty(t, came())
		time.Sleep(100 * tenth)
		require.Equal(t, []ring{{20 * tenth, "rings"}}, came())
	})
}

// A clock that runs away from the monotonic one bit by bit is followed.
func TestATimerForATimeFollowsAClockThatDrifts(t *testing.T) {
	for _, drift := range []time.Duration{tenth / 2, -tenth / 2} {
		bubble(t, func(t *testing.T) {
			l, came := dated(t, 100)
			wind(t, l, "rings")
			for range 300 {
				time.Sleep(tenth)
				l.table.Sleep(drift)
			}
			require.Len(t, came(), 1)
			due := 100 * tenth * tenth / (tenth + drift)
			require.GreaterOrEqual(t, came()[0].at, due-tenth)
			require.LessOrEqual(t, came()[0].at, due+3*tenth)
		})
	}
}

// A pause holds timers for times, and what became overdue fires once after it.
func TestATimerForATimeFiresAfterAPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, came := dated(t, 1000)
		wind(t, l, "rings")
		time.Sleep(tenth)
		l.table.Pause(errors.New("paused"))
		l.table.Sleep(time.Hour)
		time.Sleep(20 * tenth)
		require.Empty(t, came())
		l.table.Unpause()
		require.Equal(t, []ring{{21 * tenth, "rings"}}, came())
		time.Sleep(2000 * tenth)
		require.Len(t, came(), 1)
	})
}

// The time on the way counts, and the clock of the node that has the session.
func TestATimerForATimeTravels(t *testing.T) {
	for _, c := range []struct {
		name   string
		ahead  time.Duration // the other node's clock
		onWay  time.Duration
		firing time.Duration
	}{
		{"at once", 0, 0, 100 * tenth},
		{"some time on the way", 0, 50 * tenth, 100 * tenth},
		{"overdue on the way", 0, 200 * tenth, 210 * tenth},
		{"a clock ahead", 20 * tenth, 50 * tenth, 80 * tenth},
		{"a clock far ahead", time.Hour, 50 * tenth, 60 * tenth},
		{"a clock behind", -20 * tenth, 50 * tenth, 120 * tenth},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l, came := dated(t, 100)
				there, cameThere := dated(t, 100)
				require.NoError(t, there.terminate(t.Context(), "a"))
				there.table.Sleep(c.ahead)
				wind(t, l, "rings")
				time.Sleep(10 * tenth)
				b, err := take(t, l, "a")
				require.NoError(t, err)
				time.Sleep(c.onWay)
				require.NoError(t, land(there, "a", b))
				l.table.Forget(part("a"), "a", nil)()
				time.Sleep(500 * tenth)
				require.Empty(t, came())
				require.Equal(t, []ring{{c.firing, "rings"}}, cameThere())
			})
		})
	}
}

// A session whose move has come to nothing has its timer still.
func TestATimerForATimeFiresWhereASealedSessionRunsOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, came := dated(t, 20)
		wind(t, l, "rings")
		_, err := take(t, l, "a")
		require.NoError(t, err)
		l.table.Sleep(time.Hour)
		time.Sleep(5 * tenth)
		require.Empty(t, came())
		l.table.Resume(part("a"), "a")
		require.Equal(t, []ring{{5 * tenth, "rings"}}, came())
		time.Sleep(50 * tenth)
		require.Len(t, came(), 1)
	})
}

// A release that lacks At has it as a timer for the time that is left.
func TestAReleaseWithoutTimersForTimesHasThemForTheTimeThatIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, _ := dated(t, 100)
		there, cameThere := dated(t, 100)
		require.NoError(t, there.terminate(t.Context(), "a"))
		wind(t, l, "rings")
		time.Sleep(10 * tenth)
		b, err := take(t, l, "a")
		require.NoError(t, err)
		var fields map[string]any
		require.NoError(t, msgpack.Unmarshal(b, &fields))
		timers := fields["Timers"].([]any)
		require.Len(t, timers, 1)
		require.Contains(t, timers[0], "At")
		delete(timers[0].(map[string]any), "At")
		require.NotContains(t, fields, "Critical", "no release refuses it")
		b, err = msgpack.Marshal(fields)
		require.NoError(t, err)
		require.NoError(t, land(there, "a", b))
		l.table.Forget(part("a"), "a", nil)()
		there.table.Sleep(time.Hour)
		time.Sleep(500 * tenth)
		require.Equal(t, []ring{{100 * tenth, "rings"}}, cameThere())
	})
}

// Promoted, a copy has the time that its node's clock shows, whatever its standby has measured.
func TestATimerForATimeOfAPromotedCopy(t *testing.T) {
	for name, c := range map[string]struct{ at, firing time.Duration }{
		"due later": {100 * tenth, 100 * tenth},
		"overdue":   {20 * tenth, 50 * tenth},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				begin := time.Now()
				var got []ring
				code := shopCode{
					run: func(ctx context.Context, _ *shop, _ string) error {
						return shopTick.At(ctx, "at", begin.Add(c.at), "rings")
					},
					tick: func(_ context.Context, _ *shop, what string) {
						got = append(got, ring{time.Since(begin), what})
					},
				}
				l, s := newKeptWith(t, 0, atBoot(1), code.make())
				require.NoError(t, shops.Start(t.Context(), l, "a", 5))
				_, err := shopRun.Call(t.Context(), l, "a", "")
				require.NoError(t, err)
				kept := s.lastOf("a")
				require.NoError(t, l.terminate(t.Context(), "a"))
				other, _ := newKeptWith(t, 0, atBoot(2), code.make())
				time.Sleep(50 * tenth)
				promoteFrom(t, other, "a", engine.Copy{Body: kept.Body, Age: 5 * time.Hour})
				time.Sleep(500 * tenth)
				synctest.Wait()
				require.Equal(t, []ring{{c.firing, "rings"}}, got)
			})
		})
	}
}

func TestDetailsTellTheTimeOfATimer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		begin := time.Now()
		l, _ := dated(t, 10)
		wind(t, l, "rings")
		time.Sleep(tenth)
		l.table.Sleep(2 * tenth)
		require.Equal(t, []engine.TimerInfo{{Notice: "note", Left: 7 * tenth, At: begin.Add(10 * tenth).UnixNano()}},
			details(t, l, "a").Timers)
	})
}
