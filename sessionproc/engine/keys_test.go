package engine_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// callOnce makes a call as another node sends it, whose key a node made: it was first made a time ago.
func callOnce(t *testing.T, l *local, id string, key byte, ago time.Duration, request int) answer {
	t.Helper()
	b := make([]byte, 25)
	b[0] = key
	binary.BigEndian.PutUint64(b[17:], uint64(ago/time.Microsecond))
	in := &engine.Inbound{Op: core.OpCall, ID: id, Method: "feed", Payload: encoded(t, request)}
	require.NoError(t, in.ParseOnce(b))
	return serve(t, l, in)
}

// A call that may have been made before runs only if the reply would surely be known.
func TestARepeatRunsOnlyIfItsReplyWouldBeKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newPhoenixes(sessionproc.KindConfig{Dedup: 2}, nil))
		require.NoError(t, phoenixes.Start(t.Context(), l, "a", 0))
		got := callOnce(t, l, "a", 1, time.Second, 1)
		require.ErrorIs(t, got.err, sessionproc.ErrUnavailable, "the session is younger")
		require.True(t, got.maybe)
		time.Sleep(10 * time.Second)
		require.NoError(t, callOnce(t, l, "a", 1, time.Second, 1).err)
		time.Sleep(time.Second)
		for range 2 {
			require.Equal(t, encoded(t, 1), callOnce(t, l, "a", 1, 2*time.Second, 1).payload)
		}
		require.ErrorIs(t, callOnce(t, l, "a", 1, 2*time.Second, 5).err, sessionproc.ErrKeyReused)
		for key := range byte(2) {
			require.NoError(t, callOnce(t, l, "a", 2+key, 0, 1).err)
		}
		require.ErrorIs(t, callOnce(t, l, "a", 1, 2*time.Second, 1).err, sessionproc.ErrUnavailable, "it was forgotten")
		time.Sleep(time.Second)
		require.NoError(t, callOnce(t, l, "a", 9, 500*time.Millisecond, 1).err, "this one is later than that")
		require.Equal(t, encoded(t, 5), callOnce(t, l, "a", 1, 0, 1).payload, "a key that says nothing runs")
	})
}

// A network that was cut delivers the first request of a call when it is mended, and the repeat has run by then.
func TestFirstRequestOfACallThatComesBehindItsRepeatDoesNotRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newPhoenixes(sessionproc.KindConfig{}, nil))
		require.NoError(t, phoenixes.Start(t.Context(), l, "a", 0))
		time.Sleep(10 * time.Second)
		key := engine.NumberedKey([6]byte{1}, 0, 7)
		call := func(first int64) answer {
			in := &engine.Inbound{Op: core.OpCall, ID: "a", Method: "feed", Payload: encoded(t, 1)}
			require.NoError(t, in.ParseOnce(engine.AppendOnce(nil, &engine.Once{Key: key, Root: key, Low: 7}, first)))
			return serve(t, l, in)
		}
		repeat := call(engine.SinceEpoch(time.Now().Add(-time.Second)))
		require.NoError(t, repeat.err)
		require.Equal(t, repeat.payload, call(0).payload)
	})
}

func TestForeignKeysAreChecked(t *testing.T) {
	in := new(engine.Inbound)
	require.ErrorIs(t, in.ParseOnce(make([]byte, 24)), sessionproc.ErrBadRequest)
	require.NoError(t, in.ParseOnce(make([]byte, 30)), "a later release has more to say")
	require.NotNil(t, in.Once)
	b := make([]byte, 25)
	binary.BigEndian.PutUint64(b[17:], 1<<64-1)
	require.NoError(t, in.ParseOnce(b))
	require.Negative(t, in.Once.First)
	require.NoError(t, in.ParseOnce(nil))
	require.Nil(t, in.Once)
}

// Two copies of a session have each replied to calls. Where they merge, both are known; where one
// loses, what it has done is undone, and may be done again.
func TestRepliesOfCopiesThatMeet(t *testing.T) {
	for name, merges := range map[string]bool{"merged": true, "in conflict": false} {
		t.Run(name, func(t *testing.T) {
			var tables [2]*local
			for i := range tables {
				tables[i] = newLocalWith(t, func(cfg *engine.TableConfig) { cfg.Boot = uint64(i + 1) }, newDiaries())
			}
			for i, l := range tables {
				line := []string{[]string{"here", "there"}[i]}
				if !merges && i == 0 {
					line = []string{"merge fails"}
					require.NoError(t, diaries.Start(t.Context(), l, "other", nil)) // the higher incarnation
				}
				require.NoError(t, diaries.Start(t.Context(), l, "a", line))
				_, err := alter.Call(sessionproc.WithKey(t.Context(), line[0]), l, "a", sessionproc.None{})
				require.NoError(t, err)
			}
			b, err := take(t, tables[1], "a")
			require.NoError(t, err)
			met, err := tables[0].table.Restore(part("a"), "a", b)
			require.NoError(t, err)
			require.True(t, tables[0].table.Meet(met))
			_, err = read.Call(t.Context(), tables[0], "a", sessionproc.None{})
			require.NoError(t, err)

			before := versionOf(t, tables[0], "a")
			_, err = alter.Call(sessionproc.WithKey(t.Context(), "there"), tables[0], "a", sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, merges, before.Covers(versionOf(t, tables[0], "a")), "a known reply changes nothing")
		})
	}
}

// Replies that are too old are given back, also those of a session that is not used any more.
func TestOldRepliesAreGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLocal(t, newPhoenixes(sessionproc.KindConfig{}, nil))
		require.NoError(t, phoenixes.Start(t.Context(), l, "a", 0))
		for i := range 3 {
			_, err := feed.Call(sessionproc.WithKey(t.Context(), string(rune('a'+i))), l, "a", 1)
			require.NoError(t, err)
			time.Sleep(50 * time.Second)
		}
		require.Equal(t, 2, l.table.Replies(part("a"), "a"))
		time.Sleep(2*time.Minute + 2*time.Second)
		require.Zero(t, l.table.Replies(part("a"), "a"))
	})
}

// A session that gets no calls with keys has no memory for them.
func TestCallsWithoutKeysLeaveNothing(t *testing.T) {
	l := newLocal(t, newPhoenixes(sessionproc.KindConfig{}, nil))
	require.NoError(t, phoenixes.Start(t.Context(), l, "a", 0))
	for _, ctx := range []context.Context{t.Context(), sessionproc.WithKey(t.Context(), "")} {
		_, err := feed.Call(ctx, l, "a", 1)
		require.NoError(t, err)
	}
	_, err := peek.Call(sessionproc.WithKey(t.Context(), "k"), l, "a", 1)
	require.NoError(t, err)
	require.Equal(t, -1, l.table.Replies(part("a"), "a"))
}
