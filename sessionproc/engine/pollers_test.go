package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func details(t testing.TB, l *local, id string) engine.Details {
	t.Helper()
	d, ok := l.table.Details(part(id), id)
	require.True(t, ok)
	return d
}

var here = []string{""} // the table's own node

func TestDetailsCountNodesThatPoll(t *testing.T) {
	shorttest.Skip(t)
	bubble(t, func(t *testing.T) {
		s := plainSharing(t)
		s.board(t, "a", 0)
		require.Empty(t, details(t, s.local, "a").Events)
		s.set(t, "a", 1, 2)
		require.Equal(t, []engine.EventInfo{{Name: "changed", Offset: 2}}, details(t, s.local, "a").Events)

		first, second := subscribe(t, s, "a", sessionproc.SubscribeOptions{}), subscribe(t, s, "a",
			sessionproc.SubscribeOptions{})
		all, err := texts.Subscribe(t.Context(), s, "a", sessionproc.SubscribeOptions{})
		require.NoError(t, err)
		both := []engine.EventInfo{{Name: "changed", Offset: 2, Nodes: here}, {Name: "texts", Nodes: here}}
		require.Equal(t, both, details(t, s.local, "a").Events, "from the moment that Subscribe returns")
		first.Close()
		time.Sleep(time.Hour)
		require.Equal(t, both, details(t, s.local, "a").Events)

		// Between an answer and the next poll it is one that asks.
		for n := 3; n <= 1000; n++ {
			s.set(t, "a", n)
			require.Equal(t, here, details(t, s.local, "a").Events[0].Nodes, n)
		}

		synctest.Wait()
		all.Close()
		synctest.Wait()
		require.Equal(t, []engine.EventInfo{{Name: "changed", Offset: 1000, Nodes: here}},
			details(t, s.local, "a").Events)
		s.set(t, "a", 1001)
		second.Close()
		synctest.Wait()
		time.Sleep(3 * time.Second)
		require.Equal(t, []engine.EventInfo{{Name: "changed", Offset: 1001}}, details(t, s.local, "a").Events)
	})
}

func TestDetailsCountWatchesAndWatchers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newPair(t, sessionproc.EventConfig{})
		c.a.board(t, "a", 0)
		c.a.board(t, "b", 0)
		for range 2 {
			_, err := watch.Call(t.Context(), c, "a", "b")
			require.NoError(t, err)
		}
		check := func(l *local) {
			t.Helper()
			synctest.Wait()
			require.Equal(t, 2, details(t, l, "a").Watches)
			require.Empty(t, details(t, l, "a").Events)
			require.Zero(t, details(t, l, "b").Watches)
			require.Equal(t, []engine.EventInfo{{Nodes: here}}, details(t, l, "b").Events)
		}
		check(c.a.local)
		c.move(t, "a", "b")
		time.Sleep(time.Second)
		check(c.b.local)
		require.NoError(t, c.b.terminate(t.Context(), "b"))
		synctest.Wait()
		require.Zero(t, details(t, c.b.local, "a").Watches)
	})
}
