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
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A mutual session does something with another one, that does something with it.
var (
	mutuals   = sessionproc.KindOf[deed]("mutual")
	mutualDo  = sessionproc.MethodOf[deed, sessionproc.None](mutuals, "do")
	mutualNow = sessionproc.EventOf[int](mutuals, "now")
	mutualEnd = sessionproc.NoticeOf[sessionproc.Ended](mutuals, "end")
)

type deed struct {
	What, To string
	After    time.Duration
}

// deeds are the requests of a handler that could wait for the handler of another session;
// those that say so with an error where that waits for them.
var deeds = map[string]struct {
	does  func(ctx context.Context, n *node.Node, id string) error
	cycle bool
}{
	"Call": {func(ctx context.Context, n *node.Node, id string) error {
		_, err := mutualDo.Call(ctx, n, id, deed{})
		return err
	}, true},
	"Renew": {func(ctx context.Context, n *node.Node, id string) error { _, err := n.Renew(ctx, id); return err }, true},
	"Subscribe": {func(ctx context.Context, n *node.Node, id string) error {
		sub, err := mutualNow.Subscribe(ctx, n, id, sessionproc.SubscribeOptions{})
		if err == nil {
			sub.Close()
		}
		return err
	}, true},
	"Terminate": {func(ctx context.Context, n *node.Node, id string) error { return n.Terminate(ctx, id) }, false},
	"TerminateLabelled": {func(ctx context.Context, n *node.Node, id string) error {
		_, err := n.TerminateLabelled(ctx, "id", id)
		return err
	}, false},
	"Watch": {func(ctx context.Context, _ *node.Node, id string) error {
		sessionproc.Watch(ctx, id, mutualEnd)
		return nil
	}, false},
	"Start": {func(ctx context.Context, n *node.Node, id string) error {
		return mutuals.Start(ctx, n, id, deed{})
	}, false},
	"Touch": {func(ctx context.Context, n *node.Node, id string) error { return n.Touch(ctx, id) }, false},
	"Started": {func(ctx context.Context, n *node.Node, id string) error { _, err := n.Started(ctx, id); return err },
		false},
	"Inspect": {func(ctx context.Context, n *node.Node, id string) error {
		_, err := n.Inspect(ctx, id, node.InspectOptions{})
		return err
	},
		false},
}

// deedsDone are the errors of deeds, by their session.
type deedsDone struct {
	mu   sync.Mutex
	errs map[string]error
	took map[string]time.Duration
}

func (d *deedsDone) do(ctx context.Context, m deed) {
	if m.To == "" {
		return
	}
	s := sessionproc.FromContext(ctx)
	time.Sleep(m.After)
	begun := time.Now()
	err := deeds[m.What].does(ctx, s.Cluster().(*node.Node), m.To)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errs[s.ID()], d.took[s.ID()] = err, time.Since(begun)
}

func (d *deedsDone) kind() sessionproc.AnyKind {
	k := sessionproc.NewKind(mutuals, func(ctx context.Context, m deed) (*struct{}, error) {
		s := sessionproc.FromContext(ctx)
		d.do(ctx, m)
		return &struct{}{}, s.SetLabel("id", s.ID())
	}, sessionproc.KindConfig{})
	sessionproc.HandleCall(k, mutualDo, func(_ *struct{}, ctx context.Context, m deed) (none sessionproc.None, err error) {
		d.do(ctx, m)
		return none, nil
	})
	sessionproc.HandleCast(k, mutualEnd, func(*struct{}, context.Context, sessionproc.Ended) error { return nil })
	sessionproc.HandleEvent(k, mutualNow, func(*struct{}) int { return 1 })
	return k
}

// Two handlers, each of which asks for something of the other's session, do not wait for
// each other until their time is over: whoever comes second is told, or tells the first.
func TestHandlersThatWaitForEachOtherAreToldAtOnce(t *testing.T) {
	shorttest.Skip(t)
	for one := range deeds {
		for _, at := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, at %d", one, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { doMutually(t, one, at) })
			})
		}
	}
}

// doMutually has sessions do one deed while others, at the same node or another, do each
// of all deeds to them, then or later.
func doMutually(t *testing.T, one string, at int) {
	d := &deedsDone{errs: map[string]error{}, took: map[string]time.Duration{}}
	c := nodetest.NewCluster(t, 2, d.kind)
	type pair struct{ a, b, other string }
	var pairs []pair
	var all sync.WaitGroup
	for other := range deeds {
		for _, later := range []time.Duration{0, 50 * time.Millisecond} {
			of := fmt.Sprint(other, later)
			p := pair{ownedBy(c, 0, "a"+of), ownedBy(c, at, "b"+of), other}
			pairs = append(pairs, p)
			for _, id := range []string{p.a, p.b} {
				require.NoError(t, mutuals.Start(t.Context(), c.Caller(), id, deed{}))
			}
			all.Go(func() { _, _ = mutualDo.Call(t.Context(), c.Node(0), p.a, deed{one, p.b, 50 * time.Millisecond}) })
			all.Go(func() {
				_, _ = mutualDo.Call(t.Context(), c.Node(0), p.b, deed{other, p.a, 50*time.Millisecond + later})
			})
		}
	}
	all.Wait()
	time.Sleep(time.Minute) // the handlers of sessions that have ended have returned too
	d.mu.Lock()
	defer d.mu.Unlock()
	require.Len(t, d.took, 2*len(pairs))
	for _, p := range pairs {
		require.Less(t, d.took[p.a], time.Second, p)
		require.Less(t, d.took[p.b], time.Second, p)
		cycles := 0
		for _, err := range []error{d.errs[p.a], d.errs[p.b]} {
			if errors.Is(err, sessionproc.ErrCallCycle) {
				cycles++
				require.False(t, errors.Is(err, context.Canceled), p)
			}
		}
		if deeds[one].cycle && deeds[p.other].cycle {
			require.NotZero(t, cycles, "%v: %v, %v", p, d.errs[p.a], d.errs[p.b])
		}
	}
}

// So do start functions, and start functions and handlers.
func TestStartsThatWaitForEachOtherAreToldAtOnce(t *testing.T) {
	for _, at := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			d := &deedsDone{errs: map[string]error{}, took: map[string]time.Duration{}}
			c := nodetest.NewCluster(t, 2, d.kind)
			a, b := ownedBy(c, 0, "a"), ownedBy(c, at, "b")
			var both sync.WaitGroup
			both.Go(func() { _ = mutuals.Start(t.Context(), c.Node(0), a, deed{"Start", b, 50 * time.Millisecond}) })
			both.Go(func() { _ = mutuals.Start(t.Context(), c.Node(0), b, deed{"Start", a, 50 * time.Millisecond}) })
			both.Wait()
			require.Less(t, d.took[a], time.Second)
			require.Less(t, d.took[b], time.Second)
			require.True(t, errors.Is(d.errs[a], sessionproc.ErrCallCycle) || errors.Is(d.errs[b], sessionproc.ErrCallCycle),
				"%v", d.errs)
		})
	}
}
