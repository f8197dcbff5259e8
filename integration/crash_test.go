package integration_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestAcceptance20_CallerAndSessionShareNoMemory(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		require.NoError(t, bags.Start(t.Context(), p.from, id, sessionproc.None{}))
		look := func() bag {
			b, err := unpack.Call(t.Context(), p.from, id, sessionproc.None{})
			require.NoError(t, err)
			return b
		}
		first := bag{Items: map[string]int{"tea": 1}, Names: []string{"tea"}, Raw: []byte("tea")}
		require.Equal(t, first, look())

		p.move(t)
		// What a reply holds is the caller's.
		got := look()
		got.Items["tea"], got.Items["cup"], got.Names[0], got.Raw[0] = 9, 9, "cup", 'T'
		justItems, err := items.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		justItems["spoon"] = 9
		justRaw, err := raw.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		justRaw[0] = 'T'
		require.Equal(t, first, look())

		// What a request held is the session's.
		second := bag{Items: map[string]int{"milk": 2}, Names: []string{"milk"}, Raw: []byte("milk")}
		_, err = fill.Call(t.Context(), p.from, id, second)
		require.NoError(t, err)
		second.Items["milk"], second.Names[0], second.Raw[0] = 9, "beer", 'M'
		require.Equal(t, bag{Items: map[string]int{"milk": 2}, Names: []string{"milk"}, Raw: []byte("milk")}, look())

		bytes := []byte("sugar")
		_, err = fillRaw.Call(t.Context(), p.from, id, bytes)
		require.NoError(t, err)
		copy(bytes, "SALT!")
		require.Equal(t, "sugar", string(look().Raw))

		var viaName map[string]int
		require.NoError(t, p.from.Call(t.Context(), id, items.Name(), nil, &viaName))
		viaName["milk"] = 9
		require.Equal(t, map[string]int{"milk": 2}, look().Items)
	})
}

// requireReported checks that err is a crash whose caller learns a reference
// and none of text, which the owner, and only it, has logged under the
// reference.
func requireReported(t testing.TB, p place, id, text string, err error) {
	t.Helper()
	require.ErrorIs(t, err, sessionproc.ErrCrashed)
	require.NotContains(t, err.Error(), text)
	for _, n := range p.all() {
		for _, line := range n.log.with(text, sessionproc.LogID(id)) {
			require.Equal(t, p.owner().Slot(), n.Slot(), "only the owner knows: %s", line.text)
		}
		require.Empty(t, n.log.with(id), "an ID is a secret")
	}
	for _, line := range p.owner().log.with(text) {
		for _, value := range line.attrs {
			if len(value) >= 6 && strings.Contains(err.Error(), value) && value != sessionproc.LogID(id) {
				return
			}
		}
	}
	require.FailNow(t, "the owner's log has no line with the panic's text and a reference that the error names",
		"%v\n%s", err, p.owner().log.text())
}

func TestAcceptance21_CrashEndsOneSessionAndTellsItsCallers(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		text := "secret of " + id[:8]
		held, ends := p.hold(t, id), make(chan error, 3)
		for _, call := range []func() error{
			func() error { _, err := crash.Call(t.Context(), p.from, id, text); return err },
			func() error { _, err := mark.Call(t.Context(), p.from, id, 1); return err },
			func() error { _, err := mark.Call(t.Context(), p.from, id, 2); return err },
		} {
			go func() { ends <- call() }()
			time.Sleep(50 * time.Millisecond) // it is queued now
		}
		events.open(id)
		require.NoError(t, <-held, "what ran before the crash")
		for range 3 {
			requireReported(t, p, id, text, <-ends)
		}
		_, err := mark.Call(t.Context(), p.from, id, 3)
		require.ErrorIs(t, err, sessionproc.ErrNotFound, "it is gone")
		require.NoError(t, probes.Start(t.Context(), p.from, id, probeArg{}), "its ID is free")
	})
}

func TestAcceptance21_OthersNoticeNothingOfManyCrashes(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		ids := make([]string, 1000)
		for i := range ids {
			ids[i] = p.startCounter(t, 0)
		}
		doomed := make([]string, 100)
		for i := range doomed {
			doomed[i] = p.startProbe(t)
		}
		p.move(t)
		var rounds atomic.Int64
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var wg sync.WaitGroup
		for c := range 4 {
			wg.Go(func() {
				for round := 1; ctx.Err() == nil; round++ {
					for i := c; i < len(ids); i += 4 {
						n, err := add.Call(t.Context(), p.from, ids[i], 1)
						if !assert.NoError(t, err) || !assert.Equal(t, round, n) {
							return
						}
					}
					rounds.Add(1)
				}
			})
		}
		quickly(t, 5*time.Second, func() {
			for _, id := range doomed {
				_, err := crash.Call(t.Context(), p.from, id, "one of many")
				require.ErrorIs(t, err, sessionproc.ErrCrashed)
			}
		})
		require.Eventually(t, func() bool { return rounds.Load() >= 8 || t.Failed() }, 30*time.Second, 10*time.Millisecond)
		stop()
		wg.Wait()
	})
}

func TestAcceptance22_PanicInAStartFunctionIsContained(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		other := p.startCounter(t, 1)
		p.move(t)
		id := p.id(t)
		requireReported(t, p, id, "the shelf fell down", fragile.Start(t.Context(), p.from, id, "panic"))
		requireCount(t, p, other, 1)
	})
}

func TestAcceptance22_PanicInTerminateIsContained(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		other, id := p.startCounter(t, 1), p.id(t)
		require.NoError(t, lastWords.Start(t.Context(), p.from, id, sessionproc.None{}))
		p.move(t)
		before := len(p.owner().log.with("no last words"))
		require.NoError(t, p.from.Terminate(t.Context(), id), "the session has ended, which is what was asked for")
		require.ErrorIs(t, p.from.Terminate(t.Context(), id), sessionproc.ErrNotFound)
		require.Eventually(t, func() bool { return len(p.owner().log.with("no last words")) == before+1 },
			30*time.Second, 5*time.Millisecond, "the panic is in the owner's log")
		require.NoError(t, lastWords.Start(t.Context(), p.from, id, sessionproc.None{}), "its ID is free")
		requireCount(t, p, other, 1)
	})
}

func TestAcceptance22_PanicInATimerIsContained(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		other, id := p.startCounter(t, 1), p.id(t)
		require.NoError(t, lastWords.Start(t.Context(), p.from, id, sessionproc.None{}))
		p.move(t)
		before := len(p.owner().log.with("the bomb went off"))
		_, err := armBomb.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		events.await(t, id, "bomb")
		require.Eventually(t, func() bool {
			started, err := p.from.Started(t.Context(), id)
			return err == nil && !started
		}, 30*time.Second, 5*time.Millisecond, "the session has ended")
		require.Len(t, p.owner().log.with("the bomb went off"), before+1, "the panic is in the owner's log")
		requireCount(t, p, other, 1)
	})
}

func TestAcceptance22_PanicWhereARequestIsDecodedIsABadRequest(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		other, id := p.startCounter(t, 1), p.id(t)
		require.NoError(t, parcels.Start(t.Context(), p.from, id, sessionproc.None{}))
		p.move(t)
		_, err := receive.Call(t.Context(), p.from, id, unopened{[]string{"tea"}})
		require.ErrorIs(t, err, sessionproc.ErrBadRequest)
		require.False(t, sessionproc.MaybeExecuted(err))
		require.NotContains(t, err.Error(), parcelPanic)
		n, err := received.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err, "the session lives")
		require.Zero(t, n)
		requireCount(t, p, other, 1)
	})
}

func TestAcceptance22_PanicWhereAReplyIsEncodedIsACrash(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		other, id := p.startCounter(t, 1), p.id(t)
		require.NoError(t, parcels.Start(t.Context(), p.from, id, sessionproc.None{}))
		p.move(t)
		_, err := dispatch.Call(t.Context(), p.from, id, sessionproc.None{})
		requireReported(t, p, id, parcelPanic, err)
		require.True(t, sessionproc.MaybeExecuted(err), "its handler has run")
		require.NoError(t, parcels.Start(t.Context(), p.from, id, sessionproc.None{}), "its ID is free")
		requireCount(t, p, other, 1)
	})
}

// TestLogsHoldNoSecrets looks at what the shared cluster has logged so far.
func TestLogsHoldNoSecrets(t *testing.T) {
	eachStillPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		_, err := crash.Call(t.Context(), p.from, id, "boom")
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		_ = p.from.Cast(t.Context(), p.startProbe(t), note.Name(), "the payload") // no number, so somebody has to complain
		for _, n := range p.all() {
			require.Empty(t, n.log.with(id), fmt.Sprintf("%s has logged a session's ID", n.Slot()))
			require.Empty(t, n.log.with("the payload"))
		}
	})
}
