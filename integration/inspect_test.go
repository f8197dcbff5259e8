package integration_test

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// list returns what n lists, by ID. Nothing may be listed twice.
func list(t *testing.T, n *node.Node, o node.ListOptions) map[string]node.SessionInfo {
	t.Helper()
	all := map[string]node.SessionInfo{}
	for s, err := range n.List(t.Context(), o) {
		require.NoError(t, err)
		require.NotContains(t, all, s.ID)
		all[s.ID] = s
	}
	return all
}

// startBadges starts badges of a user on the owner, which end with the test.
func (p place) startBadges(t *testing.T, count int, user string) (ids []string) {
	t.Helper()
	for range count {
		id := p.id(t)
		require.NoError(t, badges.Start(t.Context(), p.from, id, user))
		ids = append(ids, id)
	}
	t.Cleanup(func() { p.from.TerminateMany(context.Background(), ids) })
	return ids
}

func TestAcceptance33_ListFindsSessionsWhereverTheyAre(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		require.Empty(t, list(t, p.from.Node, node.ListOptions{Kind: badges.Name()}))
		begin := time.Now()
		ids := p.startBadges(t, 2, "ann")
		id := p.startCounter(t, 1)
		p.move(t)
		got := list(t, p.from.Node, node.ListOptions{Kind: badges.Name()})
		require.Len(t, got, 2)
		for _, id := range ids {
			s := got[id]
			require.Equal(t, badges.Name(), s.Kind)
			require.Equal(t, p.owner().Name(), s.Node)
			require.Equal(t, map[string]string{"user": "ann"}, s.Labels)
			require.NotZero(t, s.Incarnation)
			require.WithinRange(t, s.Started, begin.Add(-time.Second), time.Now())
			require.WithinRange(t, s.LastUsed, s.Started.Add(-time.Second), time.Now())
		}
		require.Contains(t, list(t, p.from.Node, node.ListOptions{}), id)
		require.Len(t, list(t, p.from.Node, node.ListOptions{Prefix: ids[0][:16]}), 1)
		require.Len(t, list(t, p.from.Node, node.ListOptions{Kind: badges.Name(), Node: p.owner().Slot()}), 2)
		require.Empty(t, list(t, p.from.Node, node.ListOptions{Kind: badges.Name(), Node: "c"}))
		require.Len(t, list(t, p.from.Node, node.ListOptions{LabelKey: "user", LabelValue: "ann"}), 2)
		require.Empty(t, list(t, p.from.Node, node.ListOptions{LabelKey: "user", LabelValue: "bob"}))
		require.NoError(t, p.from.Terminate(t.Context(), ids[0]))
		require.NotContains(t, list(t, p.from.Node, node.ListOptions{}), ids[0])
		for _, err := range p.from.List(t.Context(), node.ListOptions{Node: "nobody"}) {
			require.ErrorIs(t, err, sessionproc.ErrUnavailable)
		}
	})
}

func TestAcceptance33_ListCoversAllNodes(t *testing.T) {
	members := shared.get(t)
	var ids []string
	for _, m := range members {
		id := idOn(t, members[0], m.Slot())
		require.NoError(t, badges.Start(t.Context(), members[0], id, ""))
		ids = append(ids, id)
		defer func() { require.NoError(t, m.Terminate(t.Context(), id)) }()
	}
	for _, m := range members {
		got := list(t, m.Node, node.ListOptions{Kind: badges.Name()})
		require.Len(t, got, len(ids))
		for _, id := range ids { // on a busy machine a member may be taken for dead, and its session be elsewhere
			require.Eventually(t, func() bool {
				at, err := m.Where(id)
				return err == nil && list(t, m.Node, node.ListOptions{Kind: badges.Name()})[id].Node == at.Owner.Name()
			}, 10*time.Second, 10*time.Millisecond, id)
		}
	}
	for range members[0].List(t.Context(), node.ListOptions{Kind: badges.Name()}) {
		break // nothing is left behind
	}
}

// While sessions move each is listed once at most, and those that stay always.
func TestAcceptance33_ListHasSessionsWhileTheyMove(t *testing.T) {
	p := moving.get(t)
	ids := p.startBadges(t, 300, "")
	moved := p.beginMove(t)
	for range 20 {
		got := list(t, p.from.Node, node.ListOptions{Kind: badges.Name()})
		require.LessOrEqual(t, len(got), len(ids))
	}
	moved()
	require.Len(t, list(t, p.from.Node, node.ListOptions{Kind: badges.Name()}), len(ids))
}

func TestAcceptance34_CountsOutliveTheGoroutineThatStarted(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		before, err := p.from.Stats(t.Context())
		require.NoError(t, err)
		require.Zero(t, before.Total.Kinds[badges.Name()])
		require.Len(t, before.Nodes, len(p.all()))
		var ids []string
		for range 5 {
			ids = append(ids, p.id(t))
		}
		started := make(chan struct{})
		go func() {
			defer close(started)
			for _, id := range ids {
				assert.NoError(t, badges.Start(t.Context(), p.from, id, ""))
			}
		}()
		<-started
		check := func(count int) node.Stats {
			t.Helper()
			s, err := p.from.Stats(t.Context())
			require.NoError(t, err)
			require.Equal(t, count, s.Total.Kinds[badges.Name()])
			for _, n := range s.Nodes {
				if n.Name == p.owner().Name() {
					require.Equal(t, count, n.Kinds[badges.Name()])
				} else {
					require.Zero(t, n.Kinds[badges.Name()])
				}
			}
			return s
		}
		after := check(5)
		require.GreaterOrEqual(t, after.Total.Starts, before.Total.Starts+5)
		p.move(t)
		check(5)
		require.Empty(t, p.from.TerminateMany(t.Context(), ids))
		after = check(0)
		require.GreaterOrEqual(t, after.Total.Ends[sessionproc.ReasonTerminated],
			before.Total.Ends[sessionproc.ReasonTerminated]+5)
		if p.moving != nil {
			require.NotZero(t, after.Total.Moved+after.Total.Taken)
		} else if p.remote() {
			require.Greater(t, after.Total.Forwarded, before.Total.Forwarded)
		}
	})
}

func TestAcceptance34_StatsShowWhatWaitsAndWhoIsBusy(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		p.move(t)
		held := p.hold(t, id)
		for i := range 3 {
			require.NoError(t, note.Cast(t.Context(), p.from, id, i))
		}
		var s node.Stats
		require.Eventually(t, func() bool {
			var err error
			s, err = p.from.Stats(t.Context())
			return assert.NoError(t, err) && s.Total.Mailbox.Oldest >= 40*time.Millisecond
		}, 30*time.Second, 10*time.Millisecond)
		require.GreaterOrEqual(t, s.Total.Mailbox.Waiting, 3)
		require.GreaterOrEqual(t, s.Total.Mailbox.Deepest, 3)
		require.GreaterOrEqual(t, s.Total.Mailbox.Sessions, 1)
		events.open(id)
		require.NoError(t, <-held)

		var stop atomic.Bool
		var callers sync.WaitGroup
		callers.Go(func() {
			for !stop.Load() {
				_, err := mark.Call(t.Context(), p.from, id, 1)
				assert.NoError(t, err)
			}
		})
		defer callers.Wait()
		defer stop.Store(true)
		require.Eventually(t, func() bool {
			s, err := p.from.Stats(t.Context())
			return err == nil && len(s.Total.Hottest) > 0 && s.Total.Hottest[0].ID == id &&
				s.Total.Hottest[0].Node == p.owner().Name() && s.Total.Hottest[0].PerSecond > 0
		}, 30*time.Second, time.Millisecond)
	})
}

func TestAcceptance34_StatsCountCrashes(t *testing.T) {
	eachStillPlace(t, func(t *testing.T, p place) {
		before, err := p.from.Stats(t.Context())
		require.NoError(t, err)
		_, err = crash.Call(t.Context(), p.from, p.startProbe(t), "boom")
		require.ErrorIs(t, err, sessionproc.ErrCrashed)
		after, err := p.from.Stats(t.Context())
		require.NoError(t, err)
		require.Equal(t, before.Total.Crashes+1, after.Total.Crashes)
		require.Equal(t, before.Total.Ends[sessionproc.ReasonCrashed]+1, after.Total.Ends[sessionproc.ReasonCrashed])
	})
}

func TestInspectTellsWhatASessionDoes(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startProbe(t)
		life := func() sessionproc.Incarnation {
			i, err := p.from.Inspect(t.Context(), id, node.InspectOptions{})
			require.NoError(t, err)
			return i.Incarnation
		}()
		p.move(t)
		held := p.hold(t, id)
		require.NoError(t, note.Cast(t.Context(), p.from, id, 1))
		for _, n := range p.all() {
			var i node.Inspection
			require.Eventually(t, func() bool {
				var err error
				i, err = n.Inspect(t.Context(), id, node.InspectOptions{})
				return assert.NoError(t, err) && i.Oldest >= 40*time.Millisecond && time.Since(i.Since) >= 40*time.Millisecond &&
					i.Holding == node.HoldingSettled // soon after the move
			}, 30*time.Second, 10*time.Millisecond)
			require.Equal(t, id, i.ID)
			require.Equal(t, probes.Name(), i.Kind)
			require.Equal(t, p.owner().Name(), i.Node)
			require.Equal(t, p.owner().Name(), i.Owner)
			require.Equal(t, engine.PhaseLive, i.Phase)
			require.Equal(t, life, i.Incarnation)
			require.Equal(t, 1, i.Waiting)
			require.Positive(t, i.Bytes)
			require.True(t, i.Running)
			require.Equal(t, hold.Name(), i.Method)
			require.Empty(t, i.Timers)
		}
		events.open(id)
		require.NoError(t, <-held)
		require.NoError(t, p.from.Terminate(t.Context(), id))
		_, err := p.from.Inspect(t.Context(), id, node.InspectOptions{})
		require.ErrorIs(t, err, sessionproc.ErrNotFound)
		_, err = p.from.Inspect(t.Context(), "a b", node.InspectOptions{})
		require.ErrorIs(t, err, sessionproc.ErrInvalidID)
	})
}

func TestInspectTellsTimersAndLabels(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		id := p.startBadges(t, 1, "ann")[0]
		_, err := remind.Call(t.Context(), p.from, id, time.Hour)
		require.NoError(t, err)
		p.move(t)
		i, err := p.from.Inspect(t.Context(), id, node.InspectOptions{})
		require.NoError(t, err)
		require.Equal(t, map[string]string{"user": "ann"}, i.Labels)
		require.Len(t, i.Timers, 1)
		require.Equal(t, ping.Name(), i.Timers[0].Notice)
		require.Equal(t, time.Hour, i.Timers[0].Every)
		require.WithinDuration(t, time.Now().Add(time.Hour), i.Timers[0].Due, time.Minute)
	})
}

func TestInspectTellsSubscribersAndWatches(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		watcher, id := p.startBoard(t, 0), p.startBoard(t, 0)
		_, err := mind.Call(t.Context(), p.from, watcher, id)
		require.NoError(t, err)
		p.show(t, id, 3)
		nodes := []string{p.from.Name()}
		for range 2 {
			subscribe(t, p.from, id, shown, sessionproc.SubscribeOptions{})
		}
		other := p.all()[2]
		leaves := subscribe(t, other, id, shown, sessionproc.SubscribeOptions{})
		nodes = append(nodes, other.Name())
		slices.Sort(nodes)
		inspect := func(want node.SessionEvent) {
			t.Helper()
			for _, n := range p.all() {
				require.Eventually(t, func() bool {
					i, err := n.Inspect(t.Context(), id, node.InspectOptions{})
					return assert.NoError(t, err) && reflect.DeepEqual([]node.SessionEvent{want}, i.Events) &&
						reflect.DeepEqual([]string{p.owner().Name()}, i.Watchers) && i.Watches == 0
				}, 30*time.Second, 5*time.Millisecond)
				i, err := n.Inspect(t.Context(), watcher, node.InspectOptions{})
				require.NoError(t, err)
				require.Equal(t, 1, i.Watches)
				require.Empty(t, i.Events)
				require.Empty(t, i.Watchers)
			}
		}
		inspect(node.SessionEvent{Name: shown.Name(), Offset: 3, Nodes: nodes})
		p.move(t)
		inspect(node.SessionEvent{Name: shown.Name(), Offset: 3, Nodes: nodes})
		leaves.Close()
		p.show(t, id, 1)
		inspect(node.SessionEvent{Name: shown.Name(), Offset: 4, Nodes: []string{p.from.Name()}})
	})
}

func TestInspectFindsASessionOnItsWay(t *testing.T) {
	whileMoving(t, func(t *testing.T, p place, id string) {
		require.Eventually(t, func() bool {
			i, err := p.from.Inspect(t.Context(), id, node.InspectOptions{})
			return assert.NoError(t, err) && i.Phase == engine.PhaseMoving && i.Owner != i.Node && i.Method == hold.Name()
		}, 30*time.Second, 10*time.Millisecond)
	})
}
