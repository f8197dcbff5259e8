package engine_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// Two kinds whose states have nothing in common. Both tell of their end.
var (
	apples  = sessionproc.KindOf[sessionproc.None]("apple")
	bite    = sessionproc.MethodOf[int, int](apples, "bite")
	drop    = sessionproc.MethodOf[time.Duration, int](apples, "drop")
	rot     = sessionproc.NoticeOf[int](apples, "rot")
	ripe    = sessionproc.EventOf[int](apples, "ripe")
	oranges = sessionproc.KindOf[sessionproc.None]("orange")
	peel    = sessionproc.MethodOf[string, string](oranges, "peel")
	squash  = sessionproc.NoticeOf[string](oranges, "squash")
)

type (
	apple  struct{ Bites int }
	orange struct{ Peel string }
)

// fallen is told of every end of an apple or orange: its kind and why.
type fallen chan string

func (a *apple) ended(ctx context.Context, r sessionproc.Reason)  { tellFallen(ctx, r) }
func (o *orange) ended(ctx context.Context, r sessionproc.Reason) { tellFallen(ctx, r) }

func tellFallen(ctx context.Context, r sessionproc.Reason) {
	s := sessionproc.FromContext(ctx)
	if f, ok := s.Cluster().(interface{ told() fallen }); ok {
		f.told() <- s.Kind() + " " + string(r)
	}
}

// orchard is a table of both kinds.
type orchard struct {
	*local
	ends fallen
}

func (o *orchard) told() fallen { return o.ends }

func (o *orchard) Feeds() core.Feeds { return o.table.Feeds() }

func newOrchard(t *testing.T, boot uint64, cfg sessionproc.KindConfig) *orchard {
	a := sessionproc.NewKind(apples, startsAs[apple], cfg)
	sessionproc.HandleCall(a, bite, func(a *apple, _ context.Context, n int) (int, error) {
		a.Bites += n
		return a.Bites,
			nil
	})
	sessionproc.HandleCall(a, drop, func(a *apple, ctx context.Context, d time.Duration) (int, error) {
		rot.After(ctx, d, 1)
		time.Sleep(d)
		return a.Bites, nil
	})
	sessionproc.HandleCast(a, rot, func(a *apple, _ context.Context, n int) error { a.Bites -= n; return nil })
	sessionproc.HandleEvent(a, ripe, func(a *apple) int { return a.Bites })
	a.OnEnd((*apple).ended)
	o := sessionproc.NewKind(oranges, startsAs[orange],
		cfg)
	sessionproc.HandleCall(o, peel, func(o *orange, _ context.Context, s string) (string,
		error) {
		o.Peel += s
		return o.Peel, nil
	})
	sessionproc.HandleCast(o, squash, func(o *orange, _ context.Context, s string) error { o.Peel += s; return nil })
	o.OnEnd((*orange).ended)
	g := &orchard{ends: make(fallen, 10)}
	g.local = newLocalWith(t, func(c *engine.TableConfig) { c.Boot, c.Cluster, c.Moving = boot, g, errAway }, a, o)
	return g
}

// requireOnly wants the session to be of one kind, and the counts of that one only.
func (o *orchard) requireOnly(t *testing.T, kind string, want any) {
	t.Helper()
	synctest.Wait()
	n, errApple := bite.Call(t.Context(), o, "a", 0)
	s, errOrange := peel.Call(t.Context(), o, "a", "")
	if kind == "apple" {
		require.NoError(t, errApple)
		require.Equal(t, want, n)
		require.ErrorIs(t, errOrange, sessionproc.ErrWrongKind)
	} else {
		require.NoError(t, errOrange)
		require.Equal(t, want, s)
		require.ErrorIs(t, errApple, sessionproc.ErrWrongKind)
	}
	live := map[string]int{"apple": 0, "orange": 0}
	live[kind] = 1
	require.Equal(t, live, map[string]int{"apple": o.table.Live("apple"), "orange": o.table.Live("orange")})
	require.Equal(t, 1, o.table.Len())
	require.Equal(t, 1, o.table.Entries())
	require.Zero(t, o.table.Supervision().Crashes)
}

// Ways in which a copy of another kind comes to where an apple lives.
var meetings = map[string]func(t *testing.T, here *orchard, other []byte){
	"it meets the session": func(t *testing.T, here *orchard, other []byte) {
		r, err := here.table.Restore(part("a"), "a", other)
		require.NoError(t, err)
		require.True(t, here.table.Meet(r))
	},
	"while its handler runs": func(t *testing.T, here *orchard, other []byte) {
		go func() { _, _ = drop.Call(context.Background(), here, "a", time.Second) }()
		synctest.Wait()
		r, err := here.table.Restore(part("a"), "a", other)
		require.NoError(t, err)
		require.True(t, here.table.Meet(r))
		time.Sleep(2 * time.Second)
	},
	"both are backups": func(t *testing.T, here *orchard, other []byte) {
		mine, err := take(t, here.local, "a")
		require.NoError(t, err)
		here.table.Forget(part("a"), "a", nil)()
		joined, err := engine.JoinSnapshots(mine, other)
		require.NoError(t, err)
		r, err := here.table.Restore(part("a"), "a", joined)
		require.NoError(t, err)
		require.NoError(t, r.Insert())
	},
	"both are backups, the other one first": func(t *testing.T, here *orchard, other []byte) {
		mine, err := take(t, here.local, "a")
		require.NoError(t, err)
		here.table.Forget(part("a"), "a", nil)()
		joined, err := engine.JoinSnapshots(other, mine)
		require.NoError(t, err)
		r, err := here.table.Restore(part("a"), "a", joined)
		require.NoError(t, err)
		require.NoError(t, r.Insert())
	},
	"while it is being sealed for a move": func(t *testing.T, here *orchard, other []byte) {
		go func() { _, _ = drop.Call(context.Background(), here, "a", time.Second) }()
		synctest.Wait()
		sealed := make(chan []byte, 1)
		require.True(t, here.table.Seal(part("a"), "a", errAway, func() bool { return true }, func(b []byte, err error) {
			require.NoError(t, err)
			sealed <- b
		}))
		r, err := here.table.Restore(part("a"), "a", other)
		require.NoError(t, err)
		require.True(t, here.table.Meet(r))
		b := <-sealed
		here.table.Sent(part("a"), "a")
		here.table.Forget(part("a"), "a", nil)()
		require.NoError(t, land(here.local, "a", b))
	},
	"while it is being sealed, and comes back": func(t *testing.T, here *orchard, other []byte) {
		go func() { _, _ = drop.Call(context.Background(), here, "a", time.Second) }()
		synctest.Wait()
		sealed := make(chan struct{})
		require.True(t, here.table.Seal(part("a"), "a", errAway, func() bool { return true },
			func([]byte, error) { close(sealed) }))
		r, err := here.table.Restore(part("a"), "a", other)
		require.NoError(t, err)
		require.True(t, here.table.Meet(r))
		<-sealed
		here.table.Resume(part("a"), "a")
	},
}

// Copies of different kinds that meet under one ID: one of them goes on, by the rule
// that holds between any two, and the other one ends with ReasonConflict. Neither
// crashes, and the counts of both kinds are right.
func TestOneOfTwoCopiesOfDifferentKindsGoesOn(t *testing.T) {
	for name, way := range meetings {
		for _, expires := range []time.Duration{0, time.Hour} {
			for _, wins := range []string{"apple", "orange"} {
				t.Run(fmt.Sprint(name, ", ", wins, " wins, ", expires), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						cfg := sessionproc.KindConfig{IdleTimeout: expires, MaxSessions: 50}
						here, there := newOrchard(t, 1, cfg), newOrchard(t, 2, cfg)
						higher := map[string]*orchard{"apple": here, "orange": there}[wins]
						for range 5 {
							id := sessionproc.NewID()
							require.NoError(t, apples.Start(t.Context(), higher, id, sessionproc.None{}))
							require.NoError(t, higher.terminate(t.Context(), id))
							<-higher.ends
						}
						require.NoError(t, apples.Start(t.Context(), here, "a", sessionproc.None{}))
						_, err := bite.Call(t.Context(), here, "a", 3)
						require.NoError(t, err)
						require.NoError(t, oranges.Start(t.Context(), there, "a", sessionproc.None{}))
						_, err = peel.Call(t.Context(), there, "a", "x")
						require.NoError(t, err)
						way(t, here, snapshotOf(t, there.local, "a"))

						loser := "orange"
						if wins == "apple" {
							time.Sleep(2 * time.Second)
							n, err := bite.Call(t.Context(), here, "a", 0)
							require.NoError(t, err)
							require.GreaterOrEqual(t, n, 2)
							here.requireOnly(t, "apple", n)
						} else {
							loser = "apple"
							here.requireOnly(t, "orange", "x")
						}
						require.Equal(t, loser+" conflict", <-here.ends)
						require.Equal(t, engine.Copies{Conflicts: 1}, here.table.Copies())
						require.EqualValues(t, 1, here.table.Stats(t.Context()).Ends[sessionproc.ReasonConflict])
						require.NoError(t, here.terminate(t.Context(), "a"))
						require.Equal(t, wins+" terminated", <-here.ends)
						require.Zero(t, here.table.Live("apple"))
						require.Zero(t, here.table.Live("orange"))
					})
				})
			}
		}
	}
}

// Who waits for the session that ends, or subscribes to it, hears of it; who comes
// meanwhile finds the other one.
func TestCallersHearThatACopyOfAnotherKindWon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := newOrchard(t, 1, sessionproc.KindConfig{}), newOrchard(t, 2, sessionproc.KindConfig{})
		for range 5 {
			require.NoError(t, apples.Start(t.Context(), there, sessionproc.NewID(), sessionproc.None{}))
		}
		require.NoError(t, apples.Start(t.Context(), here, "a", sessionproc.None{}))
		require.NoError(t, oranges.Start(t.Context(), there, "a", sessionproc.None{}))
		sub, err := ripe.Subscribe(t.Context(), here, "a", sessionproc.SubscribeOptions{})
		require.NoError(t, err)
		_, err = sub.Next(t.Context())
		require.NoError(t, err)
		running, waiting := make(chan error, 1), make(chan error, 1)
		go func() { _, err := drop.Call(t.Context(), here, "a", time.Second); running <- err }()
		synctest.Wait()
		go func() { _, err := bite.Call(t.Context(), here, "a", 1); waiting <- err }()
		synctest.Wait()
		r, err := here.table.Restore(part("a"), "a", snapshotOf(t, there.local, "a"))
		require.NoError(t, err)
		require.True(t, here.table.Meet(r))
		require.NoError(t, <-running)
		err = <-waiting
		require.ErrorIs(t, err, sessionproc.ErrTerminated)
		require.False(t, sessionproc.MaybeExecuted(err))
		_, err = sub.Next(t.Context())
		ended := new(sessionproc.Ended)
		require.ErrorAs(t, err, &ended)
		require.Equal(t, sessionproc.ReasonConflict, ended.Reason)
		_, err = peel.Call(t.Context(), here, "a", "y")
		require.NoError(t, err)
		require.ErrorIs(t, apples.Start(t.Context(), here, "a", sessionproc.None{}), sessionproc.ErrAlreadyStarted)
		_, err = apples.Ensure(t.Context(), here, "a", sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrWrongKind)
		require.NoError(t, here.terminate(t.Context(), "a"))
	})
}

// A copy that waits to meet a session which ends first goes on in its place, unless
// that was terminated.
func TestWaitingCopyGoesOnWhenItsSessionEnds(t *testing.T) {
	for _, terminated := range []bool{false, true} {
		t.Run(fmt.Sprint(terminated), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				here, there := newOrchard(t, 1, sessionproc.KindConfig{}), newOrchard(t, 2, sessionproc.KindConfig{})
				require.NoError(t, apples.Start(t.Context(), here, "a", sessionproc.None{}))
				r, err := there.table.Restore(part("a"), "a", snapshotOf(t, here.local, "a"))
				require.NoError(t, err)
				r.Renew()
				require.NoError(t, r.Insert())
				_, err = bite.Call(t.Context(), there, "a", 7)
				require.NoError(t, err)
				go func() { _, _ = drop.Call(context.Background(), here, "a", time.Second) }()
				synctest.Wait()
				r, err = here.table.Restore(part("a"), "a", snapshotOf(t, there.local, "a"))
				require.NoError(t, err)
				require.True(t, here.table.Meet(r))
				if terminated {
					require.NoError(t, here.terminate(t.Context(), "a"))
					time.Sleep(2 * time.Second)
					requireNothingLeft(t, here.local)
				} else {
					here.table.EndPartition(part("a"), sessionproc.ReasonStopped)
					time.Sleep(2 * time.Second)
					here.requireOnly(t, "apple", 7)
				}
				<-here.ends
			})
		})
	}
}
