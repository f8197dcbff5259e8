package node_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// Three kinds that shout what they are told: two cannot merge, the third one can. A
// fan watches another session.
var (
	crows    = sessionproc.KindOf[sessionproc.None]("crow")
	doves    = sessionproc.KindOf[sessionproc.None]("dove")
	flocks   = sessionproc.KindOf[sessionproc.None]("flock")
	crow     = birdsOf(crows)
	dove     = birdsOf(doves)
	many     = birdsOf(flocks)
	fans     = sessionproc.KindOf[string]("fan")
	fanTold  = sessionproc.NoticeOf[sessionproc.Ended](fans, "told")
	fanHears = sessionproc.MethodOf[sessionproc.None, []sessionproc.Reason](fans, "hears")
)

type bird struct{ Said []int }

type flock struct{ bird }

func (f *flock) merge(_ context.Context, other *flock) error {
	f.Said = append(f.Said, other.Said...)
	return nil
}

type fan struct{ Told []sessionproc.Reason }

type birdKind struct {
	ref   *sessionproc.KindRef[sessionproc.None]
	shout *sessionproc.Method[int, int]
	cries *sessionproc.Event[int]
}

func birdsOf(ref *sessionproc.KindRef[sessionproc.None]) birdKind {
	return birdKind{ref, sessionproc.MethodOf[int, int](ref, "shout"), sessionproc.EventOf[int](ref, "cries")}
}

func newBirds[S any](b birdKind, of func(*S) *bird, merge func(*S, context.Context, *S) error) nodetest.KindFunc {
	return func() sessionproc.AnyKind {
		start := startsAs[S]
		k := sessionproc.NewKind(b.ref, start, sessionproc.KindConfig{})
		sessionproc.HandleCall(k, b.shout, func(s *S, ctx context.Context, n int) (int, error) {
			of(s).Said = append(of(s).Said, n)
			return len(of(s).Said), b.cries.Publish(ctx, n)
		})
		sessionproc.HandleEvent(k, b.cries, func(s *S) int { return -len(of(s).Said) })
		if merge != nil {
			k.OnMerge(merge)
		}
		return k
	}
}

func newFans() sessionproc.AnyKind {
	k := sessionproc.NewKind(fans, func(ctx context.Context, id string) (*fan, error) {
		sessionproc.Watch(ctx, id, fanTold)
		return new(fan), nil
	}, sessionproc.KindConfig{})
	sessionproc.HandleCast(k, fanTold, func(f *fan, _ context.Context, e sessionproc.Ended) error {
		f.Told = append(f.Told, e.Reason)
		return nil
	})
	sessionproc.HandleCall(k, fanHears, func(f *fan, _ context.Context, _ sessionproc.None) ([]sessionproc.Reason, error) {
		return f.Told, nil
	})
	return k
}

// listener is a subscriber at a node of one side.
type listener struct {
	kind, id string
	node     int
	mu       sync.Mutex
	last     int   // guarded by mu
	err      error // guarded by mu
}

// heard returns the last value, and the error, that the listener got.
func (l *listener) heard() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, l.err
}

func (b birdKind) listen(t *testing.T, c *nodetest.Cluster, node int, id string) *listener {
	t.Helper()
	l := &listener{kind: b.ref.Name(), id: id, node: node}
	sub, err := b.cries.Subscribe(t.Context(), c.Node(node), id, sessionproc.SubscribeOptions{})
	require.NoError(t, err)
	go func() {
		for u, err := range sub.All(t.Context()) {
			l.mu.Lock()
			l.last, l.err = u.Value, err
			l.mu.Unlock()
		}
	}()
	return l
}

// Two copies of a session meet when a cut heals, of the same kind or of two. Who listens
// to or watches the one that goes on is not disturbed, wherever he is; who knows the one
// that ends is told of a conflict; and nobody is left who waits.
func TestSubscribersAndWatchersHearHowCopiesMet(t *testing.T) {
	shorttest.Skip(t)
	for name, c := range map[string]struct {
		left, right birdKind
		merges      bool
	}{
		"two kinds": {crow, dove, false},
		"one kind":  {crow, crow, false},
		"merged":    {many, many, true},
	} {
		for _, later := range []int{0, 3} { // on the side of this one the sessions have the higher incarnations
			t.Run(fmt.Sprintf("%s, %d", name, later), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					itself := func(b *bird) *bird { return b }
					cluster := nodetest.NewCluster(t, 4, newBirds(crow, itself, nil), newBirds(dove, itself, nil),
						newBirds(many, func(f *flock) *bird { return &f.bird }, (*flock).merge), newFans)
					time.Sleep(2 * time.Second)
					m := &meeting{t: t, c: cluster, left: c.left, right: c.right, merges: c.merges}
					m.leftWins = later == 0
					for owner := range 4 {
						m.ids = append(m.ids, idAt(cluster, owner))
					}
					cluster.Isolate(2, 3)
					cluster.Settle()
					for range 200 {
						require.NoError(t, crows.Start(t.Context(), cluster.Node(later), sessionproc.NewID(), sessionproc.None{}))
					}
					m.begin()
					cluster.Heal()
					cluster.Settle()
					time.Sleep(30 * time.Second)
					m.check()
				})
			})
		}
	}
}

// meeting is a test of copies that meet.
type meeting struct {
	t           *testing.T
	c           *nodetest.Cluster
	left, right birdKind
	merges      bool
	leftWins    bool
	ids         []string
	listeners   [2][]*listener
	fans        [2][]string
}

func (m *meeting) begin() {
	t := m.t
	for i, b := range []birdKind{m.left, m.right} {
		for _, id := range m.ids {
			require.NoError(t, b.ref.Start(t.Context(), m.c.Node(2*i), id, sessionproc.None{}))
			_, err := b.shout.Call(t.Context(), m.c.Node(2*i), id, 1+i)
			require.NoError(t, err)
			for _, node := range []int{2 * i, 2*i + 1} {
				m.listeners[i] = append(m.listeners[i], b.listen(t, m.c, node, id))
			}
			f := sessionproc.NewID()
			require.NoError(t, fans.Start(t.Context(), m.c.Node(2*i+1), f, id))
			m.fans[i] = append(m.fans[i], f)
		}
	}
}

func (m *meeting) check() {
	t := m.t
	winner := m.right
	if m.leftWins {
		winner = m.left
	}
	for _, id := range m.ids {
		_, err := winner.shout.Call(t.Context(), m.c.Node(1), id, 99)
		require.NoError(t, err)
	}
	time.Sleep(time.Second)
	for i := range m.listeners {
		goesOn := m.merges || m.leftWins == (i == 0)
		for _, l := range m.listeners[i] {
			last, err := l.heard()
			if goesOn {
				require.NoError(t, err, "a listener at node %d to %s, which goes on", l.node, l.kind)
				require.Equal(t, 99, last)
			} else {
				var end *sessionproc.Ended
				require.True(t, errors.As(err, &end), "a listener at node %d to %s, which has ended, gets %v", l.node, l.kind, err)
				require.Equal(t, sessionproc.ReasonConflict, end.Reason)
			}
		}
		for _, f := range m.fans[i] {
			told, err := fanHears.Call(t.Context(), m.c.Node(0), f, sessionproc.None{})
			require.NoError(t, err)
			if goesOn {
				require.Empty(t, told)
			} else {
				require.Equal(t, []sessionproc.Reason{sessionproc.ReasonConflict}, told)
			}
		}
	}
}
