package engine_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// limits are those that a start meets at once in a table that has one session.
var limits = map[string]func(t *engine.TableConfig, k *sessionproc.KindConfig){
	"Config.MaxSessions":     func(t *engine.TableConfig, _ *sessionproc.KindConfig) { t.MaxSessions = 1 },
	"KindConfig.MaxSessions": func(_ *engine.TableConfig, k *sessionproc.KindConfig) { k.MaxSessions = 1 },
	"Config.StartRate":       func(t *engine.TableConfig, _ *sessionproc.KindConfig) { t.StartRate = 1 },
	"KindConfig.StartRate":   func(_ *engine.TableConfig, k *sessionproc.KindConfig) { k.StartRate = 1 },
	"Config.MemoryMark": func(t *engine.TableConfig, _ *sessionproc.KindConfig) {
		begun := time.Now()
		t.MemoryMark, t.HeapInUse = 1500, func() int64 { return time.Since(begun).Milliseconds() } // reached after 1.5 s
	},
}

// Whatever refuses a start does not refuse a renewal, on the same node or another one:
// there is no session more by it. The counts are right while it waits and afterwards,
// and starts are refused as before.
func TestRenewWorksWhereStartsAreRefused(t *testing.T) {
	for limit, set := range limits {
		for _, remote := range []bool{false, true} {
			t.Run(fmt.Sprint(limit, ", remote ", remote), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					full := func(boot uint64, id string, cluster sessionproc.Caller) *local {
						var kind sessionproc.KindConfig
						set(new(engine.TableConfig), &kind)
						l := newLocalWith(t, func(c *engine.TableConfig) {
							set(c, new(sessionproc.KindConfig))
							if c.Boot = boot; cluster != nil {
								c.Cluster = cluster
							}
						}, release(cartV1{}, kind))
						require.NoError(t, carts.Start(t.Context(), l, id, sessionproc.None{}))
						return l
					}
					to := full(2, "other", nil)
					from := to
					if remote {
						from = full(1, "old", to)
					} else {
						require.NoError(t, to.terminate(t.Context(), "other"))
						time.Sleep(time.Second)
						require.NoError(t, carts.Start(t.Context(), to, "old", sessionproc.None{}))
					}
					time.Sleep(2100 * time.Millisecond) // the heap is looked at
					if limit == "Config.StartRate" || limit == "KindConfig.StartRate" {
						require.NoError(t, carts.Start(t.Context(), to, "last", sessionproc.None{}))
						require.NoError(t, to.terminate(t.Context(), "last"))
					}
					refused := func() {
						t.Helper()
						var e *sessionproc.LimitError
						require.ErrorAs(t, carts.Start(t.Context(), to, "more", sessionproc.None{}), &e)
						require.Equal(t, limit, e.Limit)
					}
					refused()
					require.NoError(t, remark.Cast(t.Context(), from, "old", "tea"))
					require.NoError(t, from.renew(t.Context(), "old", "new"))
					synctest.Wait()
					require.Equal(t, "tea", lookAt(t, to, "new"))
					want := 1
					if remote {
						want = 2 // one more than it would have taken
						require.Zero(t, from.table.Live("cart"))
						require.Zero(t, from.table.Len())
					}
					require.Equal(t, want, to.table.Live("cart"))
					require.Equal(t, want, to.table.Len())
					refused()
					require.NoError(t, to.terminate(t.Context(), "new"))
					require.Equal(t, want-1, to.table.Live("cart"))
				})
			})
		}
	}
}

// A copy of a session that is here needs no place either: it becomes one with it.
func TestCopyMeetsItsSessionThoughMaxSessionsIsReached(t *testing.T) {
	for name, limit := range map[string]func(c *engine.TableConfig, k *sessionproc.KindConfig){
		"node": limits["Config.MaxSessions"], "kind": limits["KindConfig.MaxSessions"],
	} {
		t.Run(name, func(t *testing.T) {
			var kind sessionproc.KindConfig
			limit(new(engine.TableConfig), &kind)
			other := newLocalWith(t, atBoot(9),
				newPhoenixes(sessionproc.KindConfig{}, nil))
			l := newLocalWith(t, func(c *engine.TableConfig) { limit(c, new(sessionproc.KindConfig)) },
				newPhoenixes(kind, nil))
			require.NoError(t, phoenixes.Start(t.Context(), l, "a", 1))
			b := snapshotOf(t, l, "a")
			require.NoError(t, land(other, "a", b))
			feedIt(t, other, "a", 1)
			meet(t, l, other)
			require.Equal(t, 2, feedIt(t, l, "a", 0))
			require.Equal(t, 1, l.table.Live("phoenix"))
			require.ErrorIs(t, land(l, "b", b), sessionproc.ErrTooManySessions)
			require.Equal(t, 1, l.table.Live("phoenix"))
		})
	}
}

// Many sessions of a full table are renewed at once, again and again: afterwards there
// are as many as before, and there is no room yet.
func TestManyRenewalsKeepTheCountOfAFullTable(t *testing.T) {
	const all, rounds = 50, 5
	l := newLocalWith(t, func(c *engine.TableConfig) { c.MaxSessions = all },
		release(cartV1{}, sessionproc.KindConfig{MaxSessions: all}))
	for i := range all {
		require.NoError(t, carts.Start(t.Context(), l, fmt.Sprint("s", i, "-", 0), sessionproc.None{}))
	}
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			for round := range rounds {
				assert.NoError(t, l.renew(t.Context(), fmt.Sprint("s", i, "-", round), fmt.Sprint("s", i, "-", round+1)))
			}
		})
	}
	wg.Wait()
	require.Equal(t, all, l.table.Live("cart"))
	require.Equal(t, all, l.table.Len())
	require.ErrorIs(t, carts.Start(t.Context(), l, "more", sessionproc.None{}), sessionproc.ErrTooManySessions)
	for i := range all {
		require.NoError(t, l.terminate(t.Context(), fmt.Sprint("s", i, "-", rounds)))
	}
	require.Zero(t, l.table.Live("cart"))
	require.NoError(t, carts.Start(t.Context(), l, "more", sessionproc.None{}))
}
