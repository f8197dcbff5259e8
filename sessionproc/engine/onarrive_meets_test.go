package engine_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// Whichever of two copies goes on, and however they are joined, OnMerge, OnEnd and the
// next message see states that have arrived.
func TestCopiesArriveBeforeTheyMeet(t *testing.T) {
	notJoined := []string{"merged", "merge", "merged", "end conflict", "merged"}
	for name, c := range map[string]struct {
		here, there string // what is said to either
		later       bool   // the one there has the higher incarnation
		want        []string
		book        []string
	}{
		"joined":               {"b", "c", false, []string{"a", "b", "a", "c"}, []string{"merged", "merge"}},
		"one has seen all":     {"", "c", false, []string{"a", "c"}, []string{"merged"}},
		"not joined, here":     {"no merge", "c", false, []string{"a", "no merge"}, notJoined},
		"not joined, there":    {"no merge", "c", true, []string{"a", "c"}, notJoined},
		"the other is behind":  {"b", "", false, []string{"a", "b"}, nil},
		"both are as they was": {"", "", false, []string{"a"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cfg := sessionproc.KindConfig{}
				first, here, there := newInn(t, 1, cfg, nil), newInn(t, 2, cfg, nil), newInn(t, 3, cfg, nil)
				first.begin(t, "a", "a")
				b, err := take(t, first.local, "a")
				require.NoError(t, err)
				for _, l := range []*inn{here, there} {
					r, err := l.table.Restore(part("a"), "a", b)
					require.NoError(t, err)
					if (l == there) == c.later {
						l.begin(t, "x", "")
						l.begin(t, "y", "")
					}
					r.Renew()
					require.NoError(t, r.Insert())
					synctest.Wait()
					l.requireBook(t, "promoted")
				}
				for l, s := range map[*inn]string{here: c.here, there: c.there} {
					if s != "" {
						l.says(t, "a", s, "a", s)
					}
				}
				here.meets(t, there, "a")
				got, err := guestTell.Call(t.Context(), here, "a", sessionproc.None{})
				require.NoError(t, err)
				require.Equal(t, c.want, got)
				here.requireBook(t, append([]string{"promoted"}, c.book...)...)
			})
		})
	}
}

// A copy that comes while the session is on its way, and has not arrived itself.
func TestCopyMeetsASessionThatHasNotArrived(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := sessionproc.KindConfig{}
		from, here, there := newInn(t, 1, cfg, nil), newInn(t, 2, cfg, nil), newInn(t, 3, cfg, nil)
		from.begin(t, "a", "a")
		there.begin(t, "a", "c")
		there.says(t, "a", "d", "c", "d")
		here.table.Pause(errAway)
		travel(t, from.local, here.local, "a")
		synctest.Wait()
		here.meets(t, there, "a")
		synctest.Wait()
		b, err := take(t, here.local, "a")
		require.NoError(t, err)
		here.table.Forget(part("a"), "a", nil)()
		require.NoError(t, land(from.local, "b", b))
		from.says(t, "b", "on", "a", "c", "d", "on")
		here.requireBook(t, "merged", "merged", "merge")
		here.table.Unpause()
	})
}

// What travels cannot be changed by an OnArrive.
func TestOnArriveCannotChangeWhatTravels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		refused := make(map[string]error)
		to := newInn(t, 2, sessionproc.KindConfig{}, func(ctx context.Context, _ *guest, _ sessionproc.Arrival, _ int) error {
			s := sessionproc.FromContext(ctx)
			guestHear.After(ctx, time.Second, "after")
			guestHear.Every(ctx, time.Second, "every")
			refused["AfterNamed"] = guestHear.AfterNamed(ctx, "other", time.Second, "named")
			refused["EveryNamed"] = guestHear.EveryNamed(ctx, "kept", time.Second, "named")
			refused["SetLabel"] = s.SetLabel("user", "bob")
			refused["no label"] = s.SetLabel("user", "")
			refused["Publish"] = guestNews.Publish(ctx, 1)
			require.False(t, s.CancelTimer("kept"))
			sessionproc.Watch(ctx, "another", guestTold)
			require.False(t, sessionproc.Unwatch(ctx, "another", guestTold))
			require.Equal(t, map[string]string{"user": "ann"}, s.Labels())
			return nil
		})
		from := newInn(t, 1, sessionproc.KindConfig{}, nil)
		from.begin(t, "a", "first")
		_, err := guestSettle.Call(t.Context(), from, "a", sessionproc.None{})
		require.NoError(t, err)
		travel(t, from.local, to.local, "a")
		synctest.Wait()
		require.Len(t, refused, 5)
		for what, err := range refused {
			require.ErrorContains(t, err, "OnArrive cannot change what travels with the session; do that in a handler", what)
		}
		for _, what := range []string{"a watch", "a timer for notice whisper", "CancelTimer of kept"} {
			require.Contains(t, to.log.String(), fmt.Sprintf("what=%q", what))
		}
		details, _ := to.table.Details(part("a"), "a")
		require.Len(t, details.Timers, 1, "the one that it came with")
		require.Empty(t, details.Events)
		require.Zero(t, details.Watches)
		require.Equal(t, map[string]string{"user": "ann"}, details.Labels)
		time.Sleep(time.Minute + time.Second)
		to.says(t, "a", "last", "first", "alarm", "last")
		_, err = guestSettle.Call(t.Context(), to, "a", sessionproc.None{})
		require.NoError(t, err, "a handler may")
	})
}

// It can end its session, and call others.
func TestOnArriveCanStopItsSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		to := newInn(t, 2, sessionproc.KindConfig{}, nil)
		to.begin(t, "clerk", "clerk")
		to.arrive = func(ctx context.Context, _ *guest, _ sessionproc.Arrival, _ int) error {
			s := sessionproc.FromContext(ctx)
			if _, err := guestSay.Call(ctx, s.Cluster(), "clerk", s.ID()); err != nil {
				return err
			}
			_, err := guestSay.Call(ctx, s.Cluster(), s.ID(), "myself")
			require.ErrorIs(t, err, sessionproc.ErrCallCycle)
			s.Stop("full")
			return nil
		}
		from := newInn(t, 1, sessionproc.KindConfig{}, nil)
		from.begin(t, "a", "first")
		travel(t, from.local, to.local, "a")
		synctest.Wait()
		to.requireBook(t, "moved", "end full")
		to.says(t, "clerk", "b", "clerk", "a", "b")
	})
}
