package integration_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

func TestAcceptance39_LogOutEndsAllSessionsOfAUser(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		ann, bob := p.startBadges(t, 5, "fay"), p.startBadges(t, 2, "bob")
		p.move(t)
		n, err := p.from.TerminateLabelled(t.Context(), "user", "fay")
		require.NoError(t, err)
		require.Equal(t, len(ann), n)
		for _, id := range slices.Concat(ann, bob) {
			started, err := p.from.Started(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, slices.Contains(bob, id), started)
		}
		again := p.startBadges(t, 1, "fay")[0]
		n, err = p.from.TerminateLabelled(t.Context(), "user", "nobody")
		require.NoError(t, err)
		require.Zero(t, n)
		started, err := p.from.Started(t.Context(), again)
		require.NoError(t, err)
		require.True(t, started, "who logs in later stays")
		_, err = p.from.TerminateLabelled(t.Context(), "user", "")
		require.ErrorIs(t, err, sessionproc.ErrBadRequest)
	})
}

func TestAcceptance39_LogOutEndsSessionsOnAllNodes(t *testing.T) {
	members := shared.get(t)
	args := map[string]string{}
	for range 100 {
		args[sessionproc.NewID()] = "cyd"
	}
	require.Empty(t, badges.StartMany(t.Context(), members[0], args))
	for _, m := range members {
		require.NotEmpty(t, list(t, members[0].Node, node.ListOptions{Kind: badges.Name(), Node: m.Slot()}))
	}
	n, err := members[1].TerminateLabelled(t.Context(), "user", "cyd")
	require.NoError(t, err)
	require.Equal(t, len(args), n)
	require.Empty(t, list(t, members[2].Node, node.ListOptions{Kind: badges.Name()}))
}

func TestAcceptance39_LogOutReachesSessionsInFlight(t *testing.T) {
	p := moving.get(t)
	for range 2 { // to d and back
		ids := p.startBadges(t, 300, "dee")
		moved := p.beginMove(t)
		time.Sleep(20 * time.Millisecond)
		_, err := p.from.TerminateLabelled(t.Context(), "user", "dee")
		require.NoError(t, err)
		moved()
		require.Eventually(t, func() bool { return len(list(t, p.from.Node, node.ListOptions{Kind: badges.Name()})) == 0 },
			30*time.Second, 10*time.Millisecond)
		for _, id := range ids {
			requireAbsent(t, p.from, id)
		}
	}
}

// A session whose handler runs while it is to move waits for that, sealed.
func TestAcceptance39_LogOutReachesASessionThatIsSealed(t *testing.T) {
	whileMoving(t, func(t *testing.T, p place, id string) {
		done := make(chan error, 1)
		n, err := p.from.TerminateLabelled(t.Context(), "number", "7")
		require.NoError(t, err)
		require.Zero(t, n)
		go func() {
			n, err := p.from.TerminateLabelled(t.Context(), "held", id)
			if err == nil {
				assert.Equal(t, 1, n)
			}
			done <- err
		}()
		time.Sleep(50 * time.Millisecond)
		events.open(id)
		require.NoError(t, <-done)
		requireAbsent(t, p.from, id)
	})
}

func TestLabelsTravelAndAreBounded(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startBadges(t, 1, "eve")[0]
		set := func(key, value string) string {
			t.Helper()
			text, err := relabel.Call(t.Context(), p.from, id, [2]string{key, value})
			require.NoError(t, err)
			return text
		}
		require.Empty(t, set("tenant", "t1"))
		p.move(t)
		want := map[string]string{"user": "eve", "tenant": "t1"}
		got, err := labelsOf.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, want, got)
		for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
			require.Empty(t, set(key, "1"))
		}
		require.Contains(t, set("g", "1"), "at most 8")
		require.Empty(t, set("a", "2"), "it has that one")
		require.Empty(t, set("b", ""))
		require.Empty(t, set("g", "1"))
		require.NotEmpty(t, set("", "1"))
		require.NotEmpty(t, set(string(make([]byte, 65)), "1"))
		require.NotEmpty(t, set("g", string(make([]byte, 257))))
	})
}
