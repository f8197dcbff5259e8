package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

var (
	tallies = sessionproc.KindOf[sessionproc.None]("tally")
	count   = sessionproc.MethodOf[int, tallied](tallies, "count")
	note    = sessionproc.NoticeOf[int](tallies, "note")
	stall   = sessionproc.MethodOf[time.Duration, sessionproc.None](tallies, "stall")
	later   = sessionproc.MethodOf[time.Duration, sessionproc.None](tallies, "later")
	jam     = sessionproc.MethodOf[sessionproc.None, sessionproc.None](tallies, "jam")
)

// tally counts, and keeps the order of what was noted.
type tally struct {
	N     int
	Notes []int
}

type tallied struct {
	N           int
	Incarnation string
	Notes       []int
}

// newTallies makes a kind; jam waits for letGo, whatever its ctx says.
func newTallies(letGo <-chan struct{}) sessionproc.AnyKind {
	k := sessionproc.NewKind(tallies, startsAs[tally], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, count, func(s *tally, ctx context.Context, n int) (tallied, error) {
		s.N += n
		return tallied{s.N, sessionproc.FromContext(ctx).Incarnation().String(), s.Notes}, nil
	})
	sessionproc.HandleCast(k, note, func(s *tally, _ context.Context, n int) error {
		s.N++
		s.Notes = append(s.Notes, n)
		return nil
	})
	sessionproc.HandleCall(k, stall, func(_ *tally, _ context.Context, d time.Duration) (sessionproc.None, error) {
		time.Sleep(d)
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCall(k, later, func(_ *tally, ctx context.Context, d time.Duration) (sessionproc.None, error) {
		note.After(ctx, d, 1000)
		return sessionproc.None{}, nil
	})
	sessionproc.HandleCall(k, jam, func(*tally, context.Context, sessionproc.None) (sessionproc.None, error) {
		<-letGo
		return sessionproc.None{}, nil
	})
	return k
}

// fleet is a cluster that grows and shrinks.
type fleet struct {
	t     *testing.T
	letGo chan struct{}
	nodes []*node.Node
	next  int
}

func newFleet(t *testing.T, n int) *fleet {
	f := &fleet{t: t, letGo: make(chan struct{})}
	for range n {
		f.add()
	}
	return f
}

func (f *fleet) add() *node.Node {
	cfg := node.Config{Slot: fmt.Sprintf("n%d", f.next), Kinds: []sessionproc.AnyKind{newTallies(f.letGo)},
		StopTimeout: 200 * time.Millisecond}
	f.next++
	n := startNode(f.t, cfg, f.nodes...)
	f.nodes = append(f.nodes, n)
	return n
}

// sessions is how many the nodes have together.
func (f *fleet) sessions() (all int) {
	for _, n := range f.nodes {
		all += n.Sessions()
	}
	return all
}

// settled waits until every node has some of the sessions and together they
// have all of them.
func (f *fleet) settled(all int) {
	require.EventuallyWithT(f.t, func(c *assert.CollectT) {
		assert.Equal(c, all, f.sessions())
		for _, n := range f.nodes {
			assert.GreaterOrEqual(c, n.Sessions(), all/len(f.nodes)/3, n.Slot())
		}
	}, 30*time.Second, 10*time.Millisecond)
}

// A cluster grows by one and shrinks to one under load.
func TestSessionsMoveAtPlannedChanges(t *testing.T) {
	const all = 300
	f := newFleet(t, 3)
	ids, born, want := make([]string, all), make([]string, all), make([]atomic.Int64, all)
	ctx := t.Context()
	for i := range ids {
		ids[i] = fmt.Sprintf("s-%d", i)
		require.NoError(t, tallies.Start(ctx, f.nodes[i%3], ids[i], sessionproc.None{}))
		got, err := count.Call(ctx, f.nodes[(i+1)%3], ids[i], 0)
		require.NoError(t, err)
		born[i] = got.Incarnation
	}
	var live atomic.Pointer[[]*node.Node]
	publish := func() { nodes := append([]*node.Node(nil), f.nodes...); live.Store(&nodes) }
	publish()
	stop := make(chan struct{})
	var load sync.WaitGroup
	var calls, slowest atomic.Int64
	const workers = 8
	for w := range workers {
		load.Go(func() {
			last := map[int]int{}
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
				}
				i := (w + j*workers) % all
				nodes := *live.Load()
				n := nodes[(w+j)%len(nodes)]
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				begin := time.Now()
				err := note.Cast(ctx, n, ids[i], j)
				if assert.NoError(t, err, "cast to %s from %s", ids[i], n.Slot()) {
					want[i].Add(1)
				}
				got, err := count.Call(ctx, nodes[(w+j+1)%len(nodes)], ids[i], 1)
				if assert.NoError(t, err, "call to %s from %s", ids[i], n.Slot()) {
					want[i].Add(1)
					assert.Equal(t, born[i], got.Incarnation)
					assert.GreaterOrEqual(t, got.N, last[i]+2, "it goes backwards")
					last[i] = got.N
				}
				cancel()
				slowest.Store(max(slowest.Load(), int64(time.Since(begin))))
				calls.Add(2)
				time.Sleep(500 * time.Microsecond)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	f.add()
	publish()
	f.settled(all)
	for len(f.nodes) > 1 {
		n := f.nodes[0]
		f.nodes = f.nodes[1:]
		publish()
		begin := time.Now()
		require.NoError(t, n.Leave(ctx))
		t.Logf("%s left after %v", n.Slot(), time.Since(begin))
		f.settled(all)
	}
	close(stop)
	load.Wait()
	t.Logf("%d requests, the slowest pair took %v", calls.Load(), time.Duration(slowest.Load()))
	for i, id := range ids {
		got, err := count.Call(ctx, f.nodes[0], id, 0)
		require.NoError(t, err)
		require.EqualValues(t, want[i].Load(), got.N, id)
		require.Equal(t, born[i], got.Incarnation)
	}
}

// What waits in the mailbox and what is to come moves along, in order.
func TestQueuedCastsAndTimersMove(t *testing.T) {
	f := newFleet(t, 2)
	ctx := t.Context()
	a, b := f.nodes[0], f.nodes[1]
	id := ""
	for i := 0; id == ""; i++ {
		try := fmt.Sprintf("q-%d", i)
		if at, err := a.Where(try); err == nil && at.Local {
			id = try
		}
	}
	require.NoError(t, tallies.Start(ctx, b, id, sessionproc.None{}))
	_, err := later.Call(ctx, b, id, time.Second)
	require.NoError(t, err)
	require.Equal(t, 1, a.Sessions())
	stalled := make(chan error, 1)
	go func() {
		_, err := stall.Call(ctx, b, id, 300*time.Millisecond)
		stalled <- err
	}()
	time.Sleep(50 * time.Millisecond)
	for i := range 20 {
		require.NoError(t, note.Cast(ctx, []*node.Node{a, b}[i%2], id, i))
	}
	left := make(chan error, 1)
	go func() { left <- a.Leave(ctx) }()
	for i := 20; i < 40; i++ {
		require.NoError(t, note.Cast(ctx, b, id, i))
	}
	require.NoError(t, <-stalled)
	require.NoError(t, <-left)
	require.Equal(t, 1, b.Sessions())
	var notes []int
	require.Eventually(t, func() bool {
		got, err := count.Call(ctx, b, id, 0)
		notes = got.Notes
		return err == nil && got.N == 41
	}, 30*time.Second, 10*time.Millisecond)
	ticks := slices.Index(notes, 1000)
	require.NotEqual(t, -1, ticks, "the timer's message, which on a busy machine comes between the casts")
	for i, n := range slices.Delete(notes, ticks, ticks+1) {
		require.Equal(t, i, n)
	}
}

// A handler that does not return holds up its own session, and Leave ends in time.
func TestLeaveEndsAtItsDeadline(t *testing.T) {
	f := newFleet(t, 2)
	ctx := t.Context()
	a, b := f.nodes[0], f.nodes[1]
	var ids []string
	for i := 0; len(ids) < 50; i++ {
		id := fmt.Sprintf("d-%d", i)
		if at, err := a.Where(id); err == nil && at.Local {
			ids = append(ids, id)
			require.NoError(t, tallies.Start(ctx, b, id, sessionproc.None{}))
		}
	}
	jammed := make(chan error, 1)
	go func() {
		_, err := jam.Call(ctx, b, ids[0], sessionproc.None{})
		jammed <- err
	}()
	time.Sleep(50 * time.Millisecond)
	within, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	begin := time.Now()
	left := make(chan error, 1)
	go func() { left <- a.Leave(within) }()
	require.Eventually(t, func() bool { return b.Sessions() == len(ids)-1 }, 4*time.Second, 5*time.Millisecond)
	for _, id := range ids[1:] {
		_, err := count.Call(ctx, b, id, 1)
		require.NoError(t, err)
	}
	err := <-left
	require.ErrorContains(t, err, "1 sessions could not move in time")
	require.Less(t, time.Since(begin), 7*time.Second)
	require.ErrorIs(t, <-jammed, sessionproc.ErrClosed)
	close(f.letGo)
}

// A session that its owner cannot have stays where it is, and is called there.
func TestSessionThatIsRefusedStays(t *testing.T) {
	f := newFleet(t, 2)
	ctx := t.Context()
	const all = 60
	for i := range all {
		require.NoError(t, tallies.Start(ctx, f.nodes[i%2], fmt.Sprintf("r-%d", i), sessionproc.None{}))
	}
	bare := startNode(t, node.Config{Slot: "bare"}, f.nodes[0])
	f.nodes = append(f.nodes, bare)
	for round := range 10 {
		for i := range all {
			for j, n := range f.nodes {
				got, err := count.Call(ctx, n, fmt.Sprintf("r-%d", i), 1)
				require.NoError(t, err)
				require.Equal(t, 3*round+j+1, got.N)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	require.Equal(t, all, f.sessions())
	require.Zero(t, bare.Sessions())
	require.NoError(t, bare.Leave(ctx))
	f.nodes = f.nodes[:2]
	f.settled(all)
}
