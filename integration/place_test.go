package integration_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// place is where a session lives as seen by its caller.
type place struct {
	from    *member // the test calls this node
	home    *member // its sessions live on this one
	members []*member
	moving  *movingCluster // nil: they stay there
}

// eachPlace runs f in each place that a session can be in: on the node that is
// called, on another, and on one that it moves away from when the test says so.
func eachPlace(t *testing.T, f func(t *testing.T, p place)) {
	t.Helper()
	eachStillPlace(t, f)
	t.Run("moved", func(t *testing.T) { f(t, moving.get(t)) })
}

// eachPlaceAtOnce is eachPlace for tests that mostly wait, side by side with one another.
func eachPlaceAtOnce(t *testing.T, f func(t *testing.T, p place)) {
	t.Helper()
	t.Parallel()
	eachStillPlace(t, func(t *testing.T, p place) {
		t.Parallel()
		f(t, p)
	})
	t.Run("moved", func(t *testing.T) { f(t, moving.get(t)) })
}

// eachStillPlace is eachPlace for tests in which it does not matter that
// sessions move.
func eachStillPlace(t *testing.T, f func(t *testing.T, p place)) {
	t.Helper()
	members := shared.get(t)
	t.Run("owner", func(t *testing.T) { f(t, place{from: members[0], home: members[0], members: members}) })
	t.Run("remote", func(t *testing.T) { f(t, place{from: members[1], home: members[0], members: members}) })
}

// remote says whether a call crosses the network.
func (p place) remote() bool { return p.from != p.owner() }

// owner is the node that the place's sessions live on.
func (p place) owner() *member {
	if p.moving != nil {
		return p.moving.owner()
	}
	return p.home
}

// all returns all nodes.
func (p place) all() []*member {
	if p.moving != nil {
		return p.moving.all()
	}
	return p.members
}

// owns says whether session id lives on the owner, and moves with its others.
func (p place) owns(t testing.TB, id string) bool {
	t.Helper()
	if p.moving != nil && !p.moving.moves(id) {
		return false
	}
	where, err := p.from.Where(id)
	require.NoError(t, err)
	return where.Owner.Slot == p.owner().Slot()
}

// id makes a fresh session ID that the owner owns.
func (p place) id(t testing.TB) string {
	t.Helper()
	for range 10_000 {
		if id := sessionproc.NewID(); p.owns(t, id) {
			return id
		}
	}
	require.FailNow(t, "no ID belongs to the owner")
	return ""
}

// move has the place's sessions move to another node, and waits until they have.
// Only in the place "moved" it does anything.
func (p place) move(t testing.TB) {
	t.Helper()
	p.beginMove(t)()
}

// beginMove is move for a test that goes on meanwhile: end waits.
func (p place) beginMove(t testing.TB) (end func()) {
	t.Helper()
	if p.moving == nil {
		return func() {}
	}
	var once sync.Once
	await := p.moving.begin(t)
	end = func() { t.Helper(); once.Do(await) }
	t.Cleanup(end) // a test that fails leaves the cluster whole
	return end
}

// requireAbsent wants no session to be there.
func requireAbsent(t testing.TB, n *member, id string, why ...any) {
	t.Helper()
	started, err := n.Started(t.Context(), id)
	require.NoError(t, err)
	require.False(t, started, why...)
}

// startCounter starts a counter at n and returns its ID.
func (p place) startCounter(t testing.TB, n int) string {
	t.Helper()
	id := p.id(t)
	require.NoError(t, counters.Start(t.Context(), p.from, id, n))
	return id
}

// startProbe starts a probe and returns its ID.
func (p place) startProbe(t testing.TB) string {
	t.Helper()
	id := p.id(t)
	require.NoError(t, probes.Start(t.Context(), p.from, id, probeArg{}))
	return id
}

// hold has the handler of the probe id run until events.open, at the latest until the test
// ends, and returns how its call has ended then.
func (p place) hold(t testing.TB, id string) <-chan error {
	t.Helper()
	t.Cleanup(func() { events.open(id) })
	held := make(chan error, 1)
	go func() {
		_, err := hold.Call(t.Context(), p.from, id, sessionproc.None{})
		held <- err
	}()
	events.await(t, id, "held")
	return held
}
