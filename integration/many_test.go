package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

func TestStartManyAndEndManyReturnEachResult(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		args := map[string]string{}
		for range 300 {
			args[p.id(t)] = "ann"
		}
		there := p.id(t)
		require.NoError(t, badges.Start(t.Context(), p.from, there, "bob"))
		args[there] = "ann"
		args["a b"] = ""
		long := p.id(t)
		args[long] = string(make([]byte, 257))
		p.move(t)
		failed := badges.StartMany(t.Context(), p.from, args)
		require.Len(t, failed, 3)
		require.ErrorIs(t, failed[there], sessionproc.ErrAlreadyStarted)
		require.ErrorIs(t, failed["a b"], sessionproc.ErrInvalidID)
		require.ErrorContains(t, failed[long], "label")
		require.Len(t, list(t, p.from.Node, node.ListOptions{LabelKey: "user", LabelValue: "ann"}), 300)

		delete(args, "a b")
		ids := []string{there, there}
		for id := range args {
			ids = append(ids, id)
		}
		failed = p.from.TerminateMany(t.Context(), ids)
		require.Len(t, failed, 1)
		require.ErrorIs(t, failed[long], sessionproc.ErrNotFound)
		require.Empty(t, list(t, p.from.Node, node.ListOptions{Kind: badges.Name()}))

		untyped := p.id(t)
		failed = p.from.StartMany(t.Context(), map[string]node.StartOptions{untyped: {Kind: badges.Name(),
			Arg: "cyd"}, long: {Kind: "none"}})
		require.Len(t, failed, 1)
		require.ErrorIs(t, failed[long], sessionproc.ErrUnknownKind)
		require.NoError(t, p.from.Terminate(t.Context(), untyped))
	})
}

// Many go where they belong while that changes.
func TestStartManyAndEndManyWorkWhileSessionsMove(t *testing.T) {
	p := moving.get(t)
	moved := p.beginMove(t)
	var ids []string
	for range 10 {
		args := map[string]string{}
		for range 50 {
			id := sessionproc.NewID() // on any node
			args[id] = ""
			ids = append(ids, id)
		}
		require.Empty(t, badges.StartMany(t.Context(), p.from, args))
	}
	require.Empty(t, p.from.TerminateMany(t.Context(), ids))
	moved()
	require.Empty(t, list(t, p.from.Node, node.ListOptions{Kind: badges.Name()}))
}

func TestAcceptance28_BroadcastIsNoUse(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		require.NoError(t, loungers.Start(t.Context(), p.from, id, sessionproc.None{}))
		end := p.beginMove(t)
		require.Eventually(t, func() bool {
			_, err := nudge.Broadcast(t.Context(), p.from, sessionproc.None{})
			assert.NoError(t, err)
			started, err := p.from.Started(t.Context(), id)
			return assert.NoError(t, err) && !started
		}, 20*time.Second, idleTimeout/10, "it has to expire")
		end()
	})
}

func TestBroadcastReachesEachSessionOfAKindOnce(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		ids := p.startBadges(t, 50, "")
		other := p.startCounter(t, 0)
		end := p.beginMove(t)
		delivered := 0
		for range 20 {
			r, err := ping.Broadcast(t.Context(), p.from, sessionproc.None{})
			require.NoError(t, err)
			require.Zero(t, r.Full)
			if p.moving == nil {
				require.Equal(t, len(ids), r.Delivered)
			}
			delivered += r.Delivered
		}
		end()
		r, err := ping.Broadcast(t.Context(), p.from, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, len(ids), r.Delivered)
		delivered += r.Delivered
		got := 0
		for _, id := range ids {
			n, err := pings.Call(t.Context(), p.from, id, sessionproc.None{})
			require.NoError(t, err)
			got += n
		}
		require.Equal(t, delivered, got)
		requireCount(t, p, other, 0)
	})
}

func TestBroadcastFollowsASessionThatIsSealed(t *testing.T) {
	whileMoving(t, func(t *testing.T, p place, id string) {
		require.Eventually(t, func() bool {
			i, err := p.from.Inspect(t.Context(), id, node.InspectOptions{})
			return assert.NoError(t, err) && i.Phase == engine.PhaseMoving
		}, 30*time.Second, 10*time.Millisecond)
		reach := make(chan sessionproc.Reach, 1)
		go func() {
			r, err := note.Broadcast(t.Context(), p.from, 7)
			assert.NoError(t, err)
			reach <- r
		}()
		time.Sleep(50 * time.Millisecond)
		events.open(id)
		require.Positive(t, (<-reach).Delivered) // other tests may have left probes
		got, err := marks.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, []int{7}, got)
	})
}

func TestBroadcastCountsFullMailboxes(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.id(t)
		require.NoError(t, snug.kind.Start(t.Context(), p.from, id, sessionproc.None{}))
		p.move(t)
		blocked := make(chan error, 1)
		go func() {
			_, err := snug.block.Call(t.Context(), p.from, id, sessionproc.None{})
			blocked <- err
		}()
		events.await(t, id, "blocked")
		for _, want := range []sessionproc.Reach{{Delivered: 1}, {Delivered: 1}, {Full: 1}} {
			r, err := snug.put.Broadcast(t.Context(), p.from, []byte("x"))
			require.NoError(t, err)
			require.Equal(t, want, r)
		}
		events.open(id)
		require.NoError(t, <-blocked)
		n, err := snug.count.Call(t.Context(), p.from, id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.NoError(t, p.from.Terminate(t.Context(), id))
	})
}

// The users of these tests are no other test's: each is remembered for a minute.
