package engine_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// lastOf is the last record of a session that is durable.
func (s *standbys) lastOf(id string) engine.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable[id]
}

// promoteFrom has a session run in l from what standbys have kept.
func promoteFrom(t testing.TB, l *local, id string, copies ...engine.Copy) {
	t.Helper()
	r, err := l.table.Revive(part(id), id, copies...)
	require.NoError(t, err)
	r.Promote()
	require.NoError(t, r.Insert())
}

// A promoted copy that has changed nothing is covered by its original, and what that has changed since goes
// on where the two meet. Its record is no newer than the one it came from.
func TestAPromotedCopyThatIsUntouchedGivesWay(t *testing.T) {
	for _, there := range []bool{false, true} {
		for _, changes := range []int{0, 1, 3} {
			bubble(t, func(t *testing.T) {
				ctx := t.Context()
				original, s := newKeptWith(t, 0, atBoot(1), shopCode{}.make())
				other, so := newKeptWith(t, 0, atBoot(2), shopCode{}.make())
				for range 5 { // the numbers of incarnations
					require.NoError(t, shops.Start(ctx, other, sessionproc.NewID(), 0))
				}
				require.NoError(t, shops.Start(ctx, original, "a", 5))
				kept := s.lastOf("a")
				promoteFrom(t, other, "a", engine.Copy{Body: kept.Body, Age: time.Second})
				require.Equal(t, 5, requireAnswered(t, getting(ctx, other, "a"), "a question").n)
				for range changes {
					_, err := shopAdd.Call(ctx, original, "a", 10)
					require.NoError(t, err)
				}
				require.NotEmpty(t, so.lastOf("a").Body, "its standbys come into being at once")
				require.True(t, engine.VersionCovers(kept.Version, so.lastOf("a").Version))
				require.True(t, engine.VersionCovers(s.lastOf("a").Version, so.lastOf("a").Version))
				here, from := original, other
				if there {
					here, from = other, original
				}
				meet(t, here, from)
				require.Equal(t, 5+10*changes, (<-getting(ctx, here, "a")).n)
				require.Zero(t, here.table.Copies())
			})
		}
	}
}

// The first change of a promoted copy is a change of its own incarnation.
func TestAPromotedCopyChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKeptWith(t, 0, atBoot(1), shopCode{}.make())
		require.NoError(t, shops.Start(ctx, l, "a", 5))
		kept := s.lastOf("a")
		other, so := newKeptWith(t, 0, atBoot(2), shopCode{}.make())
		promoteFrom(t, other, "a", engine.Copy{Body: kept.Body})
		_, err := shopAdd.Call(ctx, other, "a", 1)
		require.NoError(t, err)
		_, err = shopAdd.Call(ctx, l, "a", 1)
		require.NoError(t, err)
		require.True(t, engine.VersionCovers(so.lastOf("a").Version, kept.Version))
		require.False(t, engine.VersionCovers(so.lastOf("a").Version, s.lastOf("a").Version))
		require.False(t, engine.VersionCovers(s.lastOf("a").Version, so.lastOf("a").Version))
	})
}

// Of the copies that standbys have one goes on that covers the others. Copies that have both changed meet,
// once, in whatever order they are.
func TestCopiesOfStandbysMeet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		a, s := newKeptWith(t, 0, atBoot(1), shopCode{}.make())
		b, so := newKeptWith(t, 0, atBoot(2), shopCode{}.make())
		require.NoError(t, shops.Start(ctx, a, "a", 5))
		all := []engine.Record{s.lastOf("a")}
		promoteFrom(t, b, "a", engine.Copy{Body: all[0].Body})
		for n, l := range []*local{a, b} {
			_, err := shopAdd.Call(ctx, l, "a", 10*(n+1))
			require.NoError(t, err)
		}
		all = append(all, s.lastOf("a"), so.lastOf("a"))
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {2, 0, 1}, {1, 2, 2, 1, 0}} {
			var copies []engine.Copy
			for _, i := range order {
				copies = append(copies, engine.Copy{Body: all[i].Body})
			}
			c, sc := newKeptWith(t, 0, atBoot(3), shopCode{}.make())
			promoteFrom(t, c, "a", copies...)
			require.Equal(t, 25, (<-getting(ctx, c, "a")).n, "the higher incarnation goes on")
			require.EqualValues(t, 1, c.table.Copies().Conflicts)
			for _, i := range order {
				require.True(t, engine.VersionCovers(sc.lastOf("a").Version, all[i].Version))
			}
		}
		_, err := a.table.Revive(part("a"), "b")
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
	})
}

// A promotion is subject to no limit.
func TestAPromotionIsAdmittedBeyondLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKept(t, 0, shopCode{}.make())
		require.NoError(t, shops.Start(ctx, l, "a", 5))
		full, _ := newKeptWith(t, 0, func(cfg *engine.TableConfig) {
			cfg.MaxSessions, cfg.MemoryMark, cfg.HeapInUse = 1, 1, func() int64 { return 2 }
		}, shopCode{kind: sessionproc.KindConfig{MaxSessions: 1}}.make())
		kept := s.lastOf("a")
		for _, id := range strings.Split("a b c", " ") {
			promoteFrom(t, full, id, engine.Copy{Body: kept.Body})
			require.Equal(t, 5, (<-getting(ctx, full, id)).n)
		}
		_, err := full.table.Restore(part("d"), "d", kept.Body)
		require.Error(t, err)
	})
}

// Time goes on for a session whose node is lost: for its timers and its Lifetime, which may be over by now,
// and for the replies that it keeps. Its idle time starts anew.
func TestTimeGoesOnInAStandby(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, fired := t.Context(), new(atomic.Int32)
		code := shopCode{
			run: func(ctx context.Context, _ *shop, _ string) error {
				for _, d := range []time.Duration{10 * time.Second, 100 * time.Second} {
					shopTick.After(ctx, d, "")
				}
				return nil
			},
			tick: func(context.Context, *shop, string) { fired.Add(1) },
			kind: sessionproc.KindConfig{Lifetime: 5 * time.Minute, IdleTimeout: 50 * time.Second},
		}
		l, s := newKept(t, 0, code.make())
		require.NoError(t, shops.Start(ctx, l, "a", 5))
		_, err := shopRun.Call(sessionproc.WithKey(ctx, "k"), l, "a", "")
		require.NoError(t, err)
		kept := s.lastOf("a")
		require.NoError(t, l.table.Close(ctx))
		time.Sleep(40 * time.Second)
		other, _ := newKept(t, 0, code.make())
		promoteFrom(t, other, "a", engine.Copy{Body: kept.Body, Age: 40 * time.Second})
		time.Sleep(time.Second / 2)
		require.EqualValues(t, 1, fired.Load(), "one was due while the session was in a standby")
		time.Sleep(45 * time.Second)
		require.True(t, other.started(t, "a"), "it counts as just used")
		time.Sleep(20 * time.Second)
		require.False(t, other.started(t, "a"))
		require.EqualValues(t, 1, fired.Load())

		code.kind.IdleTimeout = 0
		other, _ = newKept(t, 0, code.make())
		promoteFrom(t, other, "a", engine.Copy{Body: kept.Body, Age: 40 * time.Second}) // 105 s have passed
		time.Sleep(60*time.Second + time.Second/2)
		require.EqualValues(t, 3, fired.Load())
		_, err = shopRun.Call(sessionproc.WithKey(ctx, "k"), other, "a", "")
		require.NoError(t, err)
		require.EqualValues(t, 3, fired.Load())
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 3, fired.Load(), "the reply was kept: no timer was set again")
		time.Sleep(20 * time.Second)
		_, err = shopRun.Call(sessionproc.WithKey(ctx, "k"), other, "a", "")
		require.NoError(t, err)
		time.Sleep(11 * time.Second)
		require.EqualValues(t, 4, fired.Load(), "the reply was kept for two minutes in all")

		other, _ = newKept(t, 0, code.make())
		promoteFrom(t, other, "a", engine.Copy{Body: kept.Body, Age: 299 * time.Second})
		require.True(t, other.started(t, "a"))
		time.Sleep(3 * time.Second)
		require.False(t, other.started(t, "a"), "its Lifetime is over")
		for _, age := range []time.Duration{5 * time.Minute, 1 << 62} {
			promoteFrom(t, other, "a", engine.Copy{Body: kept.Body, Age: age})
			time.Sleep(2 * time.Second)
			require.False(t, other.started(t, "a"), "its Lifetime was over")
		}
	})
}

// The mark of a renewal, and what a session owes for it, grow old in a standby too.
func TestMarksOfRenewalsAgeInAStandby(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKept(t, 0, shopCode{}.make())
		require.NoError(t, shops.Start(ctx, l, "a", 5))
		require.NoError(t, l.renew(ctx, "a", "b"))
		mark := s.lastOf("a")
		other, _ := newKept(t, 0, shopCode{}.make())
		promoteFrom(t, other, "a", engine.Copy{Body: mark.Body, Age: 50 * time.Second})
		_, err := shopGet.Call(ctx, other, "a", sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrRenewed)
		time.Sleep(11 * time.Second)
		_, err = shopGet.Call(ctx, other, "a", sessionproc.None{})
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
	})
}

// A session that starts over a tombstone which came as a standby has seen what that has. So no copy of the
// former life, wherever it comes from, is merged into it.
func TestAStartSucceedsATombstoneOfAStandby(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		l, s := newKeptWith(t, 0, atBoot(1), shopCode{}.make())
		require.NoError(t, shops.Start(ctx, l, "a", 5))
		old := s.lastOf("a")
		_, err := shopAdd.Call(ctx, l, "a", 1)
		require.NoError(t, err)
		require.NoError(t, l.terminate(ctx, "a"))
		end := s.lastOf("a")
		require.Equal(t, engine.FormEnded, end.Form)
		tombstone, err := engine.RecordVersion(end.Form, end.Version, end.Life)
		require.NoError(t, err)
		was, err := engine.RecordVersion(old.Form, old.Version, old.Body)
		require.NoError(t, err)
		require.True(t, tombstone.Overrules(was))

		other, so := newKeptWith(t, 0, atBoot(2), shopCode{}.make())
		require.NoError(t, shops.Start(ctx, l, "b", 5))
		another, ok := l.table.Version(part("b"), "b")
		require.True(t, ok)
		for _, v := range []engine.Version{tombstone, was, another} {
			other.table.Remember("a", v)
		}
		require.True(t, other.table.Former("a").Overrules(was))
		require.True(t, other.table.Former("a").Covers(another), "what is known is not forgotten")
		require.NoError(t, shops.Start(ctx, other, "a", 7))
		require.True(t, engine.VersionCovers(so.lastOf("a").Version, end.Version))
		r, err := other.table.Revive(part("a"), "a", engine.Copy{Body: old.Body})
		require.NoError(t, err)
		require.True(t, other.table.Meet(r))
		require.Equal(t, 7, (<-getting(ctx, other, "a")).n)
		require.Zero(t, other.table.Copies())
	})
}
