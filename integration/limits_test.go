package integration_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// limited is a cluster of a and b with limits of its own, and IDs that live on a.
func limited(t *testing.T, cfg node.Config, kind func() sessionproc.AnyKind, ids int) (places map[string]*member,
	onA []string) {
	t.Helper()
	cfg.Slot, cfg.Kinds = "a", []sessionproc.AnyKind{kind()}
	a := join(t, cfg)
	cfg.Slot, cfg.Kinds = "b", []sessionproc.AnyKind{kind()}
	b := join(t, cfg, a)
	return map[string]*member{"owner": a, "remote": b}, goingTo(t, ids, "a", "a", "b")
}

// arrived is a cluster of a, without limits, and b, which has some and to which
// guests have moved as it came. ids are free, and belong to b.
func arrived(t *testing.T, cfg node.Config, kind func() sessionproc.AnyKind, guestsThere, free int) (a *member, there,
	ids []string) {
	t.Helper()
	all := goingTo(t, guestsThere+free, "b", "a", "b")
	there, ids = all[:guestsThere], all[guestsThere:]
	a = joinWith(t, "a", []sessionproc.AnyKind{newGuests(sessionproc.KindConfig{}, nil)()})
	for _, id := range there {
		require.NoError(t, guests.Start(t.Context(), a, id, sessionproc.None{}))
	}
	cfg.Slot, cfg.Kinds = "b", []sessionproc.AnyKind{kind()}
	b := join(t, cfg, a)
	b.awaitSessions(t, guestsThere)
	return a, there, ids
}

var guests = sessionproc.KindOf[sessionproc.None]("guest")

func newGuests(cfg sessionproc.KindConfig, start func()) func() sessionproc.AnyKind {
	return func() sessionproc.AnyKind {
		return sessionproc.NewKind(guests, func(context.Context, sessionproc.None) (*empty, error) {
			if start != nil {
				start()
			}
			return &empty{}, nil
		}, cfg)
	}
}

func requireLimit(t *testing.T, err, is error, limit string, most int64) *sessionproc.LimitError {
	t.Helper()
	require.ErrorIs(t, err, is)
	l, ok := errors.AsType[*sessionproc.LimitError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, limit, l.Limit)
	require.Equal(t, most, l.Max)
	require.False(t, sessionproc.MaybeExecuted(err))
	return l
}

// The original looked first and counted then: all 30 passed.
func TestAcceptance29_OneOfThirtyStartsGetsTheLastSlot(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  node.Config
		kind sessionproc.KindConfig
	}{
		"Config.MaxSessions":     {cfg: node.Config{MaxSessions: 5}},
		"KindConfig.MaxSessions": {kind: sessionproc.KindConfig{MaxSessions: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			places, ids := limited(t, c.cfg, newGuests(c.kind, nil), 64)
			there := ids[:4]
			for _, id := range there {
				require.NoError(t, guests.Start(t.Context(), places["remote"], id, sessionproc.None{}))
			}
			for place, from := range places {
				t.Run(place, func(t *testing.T) { requireOneSlotOfFive(t, name, from, there, ids[4:]) })
			}
			t.Run("moved", func(t *testing.T) {
				from, there, ids := arrived(t, c.cfg, newGuests(c.kind, nil), 4, 30)
				requireOneSlotOfFive(t, name, from, there, ids)
			})
		})
	}
}

// requireOneSlotOfFive starts thirty sessions at once where four are.
func requireOneSlotOfFive(t *testing.T, limit string, from *member, there, ids []string) {
	t.Helper()
	errs := make([]error, 30)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { errs[i] = guests.Start(t.Context(), from, ids[i], sessionproc.None{}) })
	}
	wait.Wait()
	started := ""
	for i, err := range errs {
		if err == nil {
			require.Empty(t, started, "two got the slot")
			started = ids[i]
			continue
		}
		requireLimit(t, err, sessionproc.ErrTooManySessions, limit, 5)
	}
	require.NotEmpty(t, started)
	require.ErrorIs(t, guests.Start(t.Context(), from, there[0], sessionproc.None{}), sessionproc.ErrAlreadyStarted,
		"a limit is not asked before existence")
	require.NoError(t, from.Terminate(t.Context(), started))
}

func TestAcceptance30_TheSixthStartInASecondIsRateLimited(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  node.Config
		kind sessionproc.KindConfig
	}{
		"Config.StartRate":     {cfg: node.Config{StartRate: 5}},
		"KindConfig.StartRate": {kind: sessionproc.KindConfig{StartRate: 5}},
	} {
		for _, place := range []string{"owner", "remote", "moved"} {
			t.Run(name+"/"+place, func(t *testing.T) {
				var from *member
				var ids []string
				if place == "moved" { // sessions that arrive cost nothing
					from, _, ids = arrived(t, c.cfg, newGuests(c.kind, nil), 20, 500)
				} else {
					var places map[string]*member
					places, ids = limited(t, c.cfg, newGuests(c.kind, nil), 500)
					from = places[place]
				}
				begin, started := time.Now(), 0
				var err error
				for err == nil && started < len(ids) {
					if err = guests.Start(t.Context(), from, ids[started], sessionproc.None{}); err == nil {
						require.ErrorIs(t, guests.Start(t.Context(), from, ids[started], sessionproc.None{}),
							sessionproc.ErrAlreadyStarted,
							"it costs nothing")
						started++
					}
				}
				took := time.Since(begin)
				l := requireLimit(t, err, sessionproc.ErrRateLimited, name, 5)
				require.Positive(t, l.RetryAfter)
				require.LessOrEqual(t, l.RetryAfter, time.Second/5)
				require.GreaterOrEqual(t, started, 5)
				require.LessOrEqual(t, started, 5+int(took.Seconds()*5)+1)
				require.Eventually(t, func() bool {
					return guests.Start(t.Context(), from, ids[started], sessionproc.None{}) == nil
				}, 10*time.Second, l.RetryAfter)
			})
		}
	}
}

// A storm of starts is held back, and nobody waits longer than his deadline.
func TestAcceptance30_AStormOfStartsIsBounded(t *testing.T) {
	const most, all = 8, 10_000
	var running, peak atomic.Int64
	start := func() {
		if n := running.Add(1); n > peak.Load() {
			peak.Store(n)
		}
		time.Sleep(10 * time.Millisecond)
		running.Add(-1)
	}
	places, ids := limited(t, node.Config{MaxStarting: most}, newGuests(sessionproc.KindConfig{}, start), all)
	for place, from := range places {
		t.Run(place, func(t *testing.T) {
			peak.Store(0)
			const patience = 3 * time.Second
			begin := time.Now()
			ctx := within(t, patience)
			var started, late atomic.Int64
			var wait sync.WaitGroup
			for _, id := range ids {
				wait.Go(func() {
					switch err := guests.Start(ctx, from, id, sessionproc.None{}); {
					case err == nil:
						started.Add(1)
					case errors.Is(err, context.DeadlineExceeded):
						late.Add(1)
					case !errors.Is(err, sessionproc.ErrOverloaded):
						t.Error(err)
					}
				})
			}
			wait.Wait()
			took := time.Since(begin)
			t.Logf("%d started, %d were late, in %v", started.Load(), late.Load(), took)
			require.Positive(t, started.Load())
			require.LessOrEqual(t, peak.Load(), int64(most))
			require.Less(t, took, patience+10*time.Second)
			for _, id := range ids {
				_ = from.Terminate(t.Context(), id)
			}
		})
	}
}

// Over the memory mark a node starts nothing and takes nothing, and says so.
func TestANodeOverItsMemoryMarkTakesNoSessions(t *testing.T) {
	a := joinWith(t, "a", []sessionproc.AnyKind{newGuests(sessionproc.KindConfig{}, nil)()})
	ids := goingTo(t, 6, "b", "a", "b")
	for _, id := range ids[:5] {
		require.NoError(t, guests.Start(t.Context(), a, id, sessionproc.None{}))
	}
	runtime.GC() // the heap is what the last collection has found, and there may have been none
	b := join(t, node.Config{Slot: "b", MemoryMark: 1,
		Kinds: []sessionproc.AnyKind{newGuests(sessionproc.KindConfig{}, nil)()}}, a)
	requireRefusal(t, a, b, "memory")
	require.Equal(t, 5, a.Sessions())
	require.Contains(t, b.Health().Memory, sessionproc.ErrMemoryMark.Error())
	require.Empty(t, a.Health().Memory)
	s, err := a.Stats(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Nodes, 2)
	require.Zero(t, s.Nodes[0].MemoryMark+s.Nodes[0].Heap, "a has no mark")
	require.EqualValues(t, 1, s.Nodes[1].MemoryMark)
	require.Greater(t, s.Nodes[1].Heap, s.Nodes[1].MemoryMark)
	for _, n := range []*member{a, b} {
		require.ErrorIs(t, guests.Start(t.Context(), n, ids[5], sessionproc.None{}), sessionproc.ErrMemoryMark)
		started, err := n.Started(t.Context(), ids[0])
		require.NoError(t, err)
		require.True(t, started, "it goes on where it is")
	}
}

// The original's supervisor gave up on all sessions when one crashed often.
func TestACrashLoopOfOneSessionLeavesOthersAlone(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		var others []string
		for i := range 200 {
			others = append(others, p.id(t))
			require.NoError(t, counters.Start(t.Context(), p.from, others[i], i))
		}
		id := p.id(t)
		require.NoError(t, phoenixes.Start(t.Context(), p.from, id, 0))
		begun := p.beginMove(t)
		for n := 0; n < 1000; n++ {
			_, err := addPhoenix.Call(t.Context(), p.from, id, -1)
			require.Error(t, err)
			if errors.Is(err, sessionproc.ErrNotFound) {
				break
			}
		}
		begun()
		requireAbsent(t, p.from, id, "its budget is used up")
		for i, other := range others {
			n, err := get.Call(t.Context(), p.from, other, sessionproc.None{})
			require.NoError(t, err, fmt.Sprint(i))
			require.Equal(t, i, n)
		}
	})
}

func TestAcceptance22_PanicsInInjectAndExtractAreContained(t *testing.T) {
	for name, cfg := range map[string]node.Config{
		"Inject": {
			Inject:  func(context.Context) []byte { panic("inject burns") },
			Extract: func(ctx context.Context, _ []byte) context.Context { return ctx },
		},
		"Extract": {
			Inject:  func(context.Context) []byte { return []byte("trace") },
			Extract: func(context.Context, []byte) context.Context { panic("extract burns") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			places, ids := limited(t, cfg, newCounters, 2)
			for _, from := range places {
				for i, id := range ids {
					_, err := counters.Ensure(t.Context(), from, id, i)
					require.NoError(t, err)
					n, err := get.Call(t.Context(), from, id, sessionproc.None{})
					require.NoError(t, err)
					require.Equal(t, i, n)
				}
			}
			logged := append(places["owner"].log.with("function of Config panicked", name),
				places["remote"].log.with("function of Config panicked", name)...)
			require.NotEmpty(t, logged)
			require.LessOrEqual(t, len(logged), len(places), "once for each node")
		})
	}
}
