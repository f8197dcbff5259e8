package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// requireMailboxes wants LocalStats to show what a look at all sessions shows.
func requireMailboxes(t *testing.T, l *local, where string) engine.Stats {
	t.Helper()
	synctest.Wait()
	all, s := l.table.ScanAll(), l.table.LocalStats()
	require.Equal(t, []any{all.Waiting, all.Queues, all.Deepest, all.Oldest, all.Quarantined},
		[]any{s.Waiting, s.Queues, s.Deepest, s.Oldest, s.Quarantined}, where)
	return s
}

// busyScript's handlers sleep as long as their message says, or crash.
func busyScript() script {
	wait := func(d string) error {
		if d == "crash" {
			panic(d)
		}
		took, err := time.ParseDuration(d)
		time.Sleep(took)
		return err
	}
	return script{
		start: func(_ context.Context, _ string) error { return wait("300ms") },
		do:    func(_ context.Context, d string) (string, error) { return d, wait(d) },
		note:  func(_ context.Context, d string) error { return wait(d) },
		kind: sessionproc.KindConfig{Restart: sessionproc.RestartFresh, RestartBudget: 1000, Mailbox: 4,
			RestartWindow: time.Hour},
	}
}

// What waits is found wherever it waits, though LocalStats does not look at sessions that rest.
func TestLocalStatsFindWhatWaits(t *testing.T) {
	for seed := range uint64(shorttest.Of(20, 2)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newLocalWith(t, func(cfg *engine.TableConfig) { cfg.MaxStarting = 2 }, busyScript().make())
				rnd := rand.New(rand.NewPCG(seed, 0))
				ctx := lasting(t, time.Hour)
				waited, paused := 0, false
				for step := range 300 {
					id := fmt.Sprintf("s-%d", rnd.IntN(20))
					took := fmt.Sprintf("%dms", rnd.IntN(2000))
					switch what := rnd.IntN(12); {
					case what < 4:
						go func() { _, _ = do.Call(ctx, l, id, took) }()
					case what < 8:
						go func() { _ = note.Cast(ctx, l, id, took) }()
					case what == 8:
						go func() { _ = note.Cast(ctx, l, id, "crash") }()
					case what == 9:
						go func() { _ = l.terminate(ctx, id) }()
					case what == 10 && paused:
						l.table.Unpause()
						paused = false
					case what == 10 && step%3 == 0:
						l.table.Pause(errors.New("paused"))
						paused = true
					default:
						go func() { _, _ = scripted.Ensure(ctx, l, id, id) }()
					}
					time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
					waited += requireMailboxes(t, l, fmt.Sprintf("step %d", step)).Waiting
				}
				require.Positive(t, waited)
				if paused {
					l.table.Unpause()
				}
				time.Sleep(time.Hour)
				require.Zero(t, requireMailboxes(t, l, "at the end").Waiting)
				time.Sleep(2 * time.Second)
				require.Zero(t, l.table.Noted(), "sessions that rest")
			})
		})
	}
}

// A scrape costs the same, however many sessions rest.
func TestLocalStatsLooksAtNoSessionThatRests(t *testing.T) {
	shorttest.Skip(t)
	l := newScripted(t, script{})
	for i := range 20_000 {
		l.start(t, fmt.Sprintf("s-%d", i))
	}
	require.Eventually(t, func() bool { return l.table.Noted() == 0 }, 10*time.Second, 50*time.Millisecond)
	var s engine.Stats
	allocs := testing.AllocsPerRun(100, func() { s = l.table.LocalStats() })
	require.Equal(t, 20_000, s.Sessions)
	require.Less(t, allocs, 30.0)
}

func BenchmarkLocalStats(b *testing.B) {
	for _, sessions := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("%d", sessions), func(b *testing.B) {
			l := newScripted(b, script{})
			for i := range sessions {
				l.start(b, fmt.Sprintf("s-%d", i))
			}
			b.ReportAllocs()
			for b.Loop() {
				l.table.LocalStats()
			}
		})
	}
}
