package engine_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// often lets a session be renewed as often as a test likes.
var often = sessionproc.KindConfig{RenewRate: 1_000_000, RenewBurst: 1_000_000}

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func snapshotSize(t testing.TB, l *local, id string) int {
	t.Helper()
	b, err := take(t, l, id)
	require.NoError(t, err)
	l.table.Resume(part(id), id)
	return len(b)
}

// What a renewal leaves behind, and what it costs, does not depend on how many there were.
func TestEachRenewalOfASessionCostsTheSame(t *testing.T) {
	skipUnderRace(t)
	l := newLocal(t, release(cartV1{}, often))
	require.NoError(t, carts.Start(t.Context(), l, "r0", sessionproc.None{}))
	renewed, size := 0, 0
	renew := func(n int) (each uint64) {
		before := heap()
		for range n {
			require.NoError(t, l.renew(t.Context(), fmt.Sprint("r", renewed), fmt.Sprint("r", renewed+1)))
			renewed++
		}
		return max(heap(), before) - before
	}
	renew(10)
	size = snapshotSize(t, l, "r10")
	const many = 4000
	grown := renew(many)
	id := fmt.Sprint("r", renewed)
	require.InDelta(t, size, snapshotSize(t, l, id), 64)
	v, ok := l.table.Version(part(id), id)
	require.True(t, ok)
	require.LessOrEqual(t, len(v), 2)
	require.Less(t, grown/many, uint64(2<<10), "bytes that an old ID keeps")
	require.Equal(t, renewed+1, l.table.Entries())
}

// Old IDs keep nothing of what the session has published: only Table.ends does, which
// has a bound.
func TestOldIDKeepsNoPublishedEvents(t *testing.T) {
	skipUnderRace(t)
	s := newSharing(t, often, sessionproc.EventConfig{})
	s.board(t, "r0", 1)
	before := heap()
	const many, large = 1000, 60 << 10
	for i := range many {
		id := fmt.Sprint("r", i)
		sub, err := texts.Subscribe(t.Context(), s, id, sessionproc.SubscribeOptions{})
		require.NoError(t, err)
		_, err = say.Call(t.Context(), s, id, strings.Repeat("x", large))
		require.NoError(t, err)
		require.NoError(t, s.renew(t.Context(), id, fmt.Sprint("r", i+1)))
		sub.Close()
	}
	require.Less(t, max(heap(), before)-before, uint64(many*large/2))
}

// Whatever a session goes through, its version stays small.
func TestVersionsStaySmall(t *testing.T) {
	skipUnderRace(t)
	const many, most = 200, 65
	for name, step := range map[string]func(t *testing.T, l *local, i int){
		"restarts": func(t *testing.T, l *local, _ int) { crashIt(t, l, "a") },
		"deaths": func(t *testing.T, l *local, _ int) {
			b, err := take(t, l, "a")
			require.NoError(t, err)
			l.table.Forget(part("a"), "a", nil)()
			r, err := l.table.Restore(part("a"), "a", b)
			require.NoError(t, err)
			r.Renew()
			require.NoError(t, r.Insert())
			feedIt(t, l, "a", 1)
		},
		"moves": func(t *testing.T, l *local, _ int) {
			b, err := take(t, l, "a")
			require.NoError(t, err)
			l.table.Forget(part("a"), "a", nil)()
			require.NoError(t, land(l, "a", b))
			feedIt(t, l, "a", 1)
		},
		"meetings": func(t *testing.T, l *local, i int) {
			other := newLocalWith(t, atBoot(uint64(100+i)),
				newPhoenixes(sessionproc.KindConfig{}, nil))
			require.NoError(t, phoenixes.Start(t.Context(), other, "a", i))
			b, err := take(t, other, "a")
			require.NoError(t, err)
			r, err := l.table.Restore(part("a"), "a", b)
			require.NoError(t, err)
			require.True(t, l.table.Meet(r))
			_, err = burn.Call(t.Context(), l, "a", sessionproc.None{})
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := sessionproc.KindConfig{Restart: sessionproc.RestartLastState, RestartBudget: 1000}
			bubble(t, func(t *testing.T) {
				l := newLocal(t, newPhoenixes(cfg, nil))
				require.NoError(t, phoenixes.Start(t.Context(), l, "a", 5))
				for i := range many {
					step(t, l, i)
					v, ok := l.table.Version(part("a"), "a")
					require.True(t, ok)
					require.LessOrEqual(t, len(v), most)
				}
			})
		})
	}
}

// Ten renewals at once, then one a second, counted from ID to ID and from node to
// node. What is refused costs nothing.
func TestRenewalsOfOneSessionAreRateLimited(t *testing.T) {
	skipUnderRace(t)
	bubble(t, func(t *testing.T) {
		l, other := newLocal(t, newCarts()), newLocal(t, newCarts())
		require.NoError(t, carts.Start(t.Context(), l, "r0", sessionproc.None{}))
		n := 0
		id := func() string { return fmt.Sprint("r", n) }
		renew := func() error {
			err := l.renew(t.Context(), id(), fmt.Sprint("r", n+1))
			if err == nil {
				n++
			}
			return err
		}
		refused := func() {
			t.Helper()
			for range 100 {
				err := renew()
				var limit *sessionproc.LimitError
				require.ErrorAs(t, err, &limit)
				require.ErrorIs(t, err, sessionproc.ErrRateLimited)
				require.False(t, sessionproc.MaybeExecuted(err))
				require.Equal(t, "KindConfig.RenewRate", limit.Limit)
				require.EqualValues(t, 1, limit.Max)
				require.Greater(t, limit.RetryAfter, time.Duration(0))
				require.LessOrEqual(t, limit.RetryAfter, time.Second)
			}
		}
		for range 10 {
			require.NoError(t, renew())
		}
		refused()
		travel(t, l, other, id())
		l = other
		refused()
		for range 3 {
			time.Sleep(time.Second)
			require.NoError(t, renew())
			refused()
		}
		require.NoError(t, l.renew(t.Context(), fmt.Sprint("r", n-1), id()), "a request that comes again")
		time.Sleep(time.Hour)
		for range 10 {
			require.NoError(t, renew())
		}
		refused()
		require.Empty(t, lookAt(t, l, id()), "the session works on")
	})
}

func TestRenewalBeyondRenewRateIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, release(cartV1{}, sessionproc.KindConfig{RenewRate: 4, RenewBurst: 2}))
		require.NoError(t, carts.Start(t.Context(), l, "r0", sessionproc.None{}))
		require.NoError(t, l.renew(t.Context(), "r0", "r1"))
		require.NoError(t, l.renew(t.Context(), "r1", "r2"))
		err := l.renew(t.Context(), "r2", "r3")
		limit, ok := errors.AsType[*sessionproc.LimitError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, 250*time.Millisecond, limit.RetryAfter)
		time.Sleep(limit.RetryAfter)
		require.NoError(t, l.renew(t.Context(), "r2", "r3"))
	})
}

// Labels whose sessions were ended are forgotten, though nobody asks for them again.
func TestEndedLabelsAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newCarts())
		for i := range 100 {
			_, _, err := l.table.EndLabelled(t.Context(), "user", fmt.Sprint(i), 0)
			require.NoError(t, err)
		}
		_, _, err := l.table.EndLabelled(t.Context(), "user", strings.Repeat("x", 257), 0)
		require.Error(t, err, "no session has that label")
		require.Equal(t, 100, l.table.RecalledLabels())
		time.Sleep(62 * time.Second)
		synctest.Wait()
		require.Zero(t, l.table.RecalledLabels())
	})
}
