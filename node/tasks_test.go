package node_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A tab has payments made by tasks.
var (
	tabs    = sessionproc.KindOf[sessionproc.None]("tab")
	pay     = sessionproc.MethodOf[payment, sessionproc.None](tabs, "pay")
	revoke  = sessionproc.MethodOf[string, bool](tabs, "revoke")
	entries = sessionproc.MethodOf[sessionproc.None, []string](tabs, "entries") // ReadOnly
	paid    = sessionproc.NoticeOf[sessionproc.Result[string]](tabs, "paid")
	charge  = sessionproc.TaskOf[payment, string](tabs, "charge")
)

type payment struct {
	Name  string
	Takes time.Duration
	Retry bool
}

type tab struct{ Entries []string }

func (s *tab) pay(ctx context.Context, p payment) (none sessionproc.None, err error) {
	cfg := sessionproc.TaskConfig{Retry: p.Retry}
	if p.Retry {
		return none, sessionproc.GoWith(ctx, p.Name, p, charge, paid, cfg)
	}
	return none, sessionproc.Go(ctx, p.Name, func(ctx context.Context) (string, error) { return charged(ctx, p) }, paid, cfg)
}

// charged is the work.
func charged(ctx context.Context, p payment) (string, error) {
	select {
	case <-time.After(p.Takes):
		return "charged", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (s *tab) paid(_ context.Context, r sessionproc.Result[string]) error {
	entry := r.Name + " " + r.Value
	switch {
	case errors.Is(r.Err, sessionproc.ErrTaskLost):
		entry += "lost"
	case r.Err != nil:
		entry += r.Err.Error()
	}
	s.Entries = append(s.Entries, entry)
	return nil
}

// tabKind counts the runs of works in runs.
func tabKind(cfg sessionproc.KindConfig, runs *atomic.Int64) nodetest.KindFunc {
	return nodetest.Kind(func() *sessionproc.Kind[tab, sessionproc.None] {
		k := sessionproc.NewKind(tabs, startsAs[tab], cfg)
		sessionproc.HandleCall(k, pay, (*tab).pay)
		sessionproc.HandleCall(k, revoke, func(_ *tab, ctx context.Context, name string) (bool, error) {
			return sessionproc.CancelTask(ctx, name), nil
		})
		sessionproc.HandleCall(k, entries, func(s *tab, _ context.Context, _ sessionproc.None) ([]string, error) {
			return s.Entries, nil
		}, sessionproc.MethodConfig{ReadOnly: true})
		sessionproc.HandleCast(k, paid, (*tab).paid)
		sessionproc.HandleTask(k, charge, func(ctx context.Context, p payment) (string, error) {
			runs.Add(1)
			return charged(ctx, p)
		})
		return k
	})
}

// tabCluster is a cluster of three nodes with a tab of node 0.
func tabCluster(t *testing.T, cfg sessionproc.KindConfig, runs *atomic.Int64) (c *nodetest.Cluster, id string) {
	c = nodetest.Start(t, nodetest.Config{Kinds: []nodetest.KindFunc{tabKind(cfg, runs)}})
	c.Settle()
	for i := 0; ; i++ {
		if id = fmt.Sprint("tab-", i); c.Owner(id) == 0 {
			break
		}
	}
	require.NoError(t, tabs.Start(t.Context(), c.Caller(), id, sessionproc.None{}))
	return c, id
}

func requireEntries(t *testing.T, c *nodetest.Cluster, id string, want ...string) {
	t.Helper()
	got, err := entries.Call(t.Context(), c.Caller(), id, sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// The result of a task comes once, wherever its session is by then and whoever has asked for it.
func TestTasksFollowTheirSessionsInACluster(t *testing.T) {
	for name, happens := range map[string]struct {
		replicas int
		do       func(t *testing.T, c *nodetest.Cluster, id string) string
		want     string
	}{
		"nothing": {0, func(_ *testing.T, _ *nodetest.Cluster, id string) string { return id }, "x charged"},
		"its node drains": {0, func(_ *testing.T, c *nodetest.Cluster, id string) string {
			c.Drain(0)
			return id
		}, "x charged"},
		"its node leaves": {0, func(_ *testing.T, c *nodetest.Cluster, id string) string {
			c.Leave(0)
			return id
		}, "x charged"},
		"it is renewed": {0, func(t *testing.T, c *nodetest.Cluster, id string) string {
			next, err := c.Node(1).Renew(t.Context(), id)
			require.NoError(t, err)
			return next
		}, "x charged"},
		"its node is killed": {1, func(_ *testing.T, c *nodetest.Cluster, id string) string {
			c.Crash(0)
			c.Settle()
			return id
		}, "x lost"},
		"it moves, and its runner is killed": {0, func(t *testing.T, c *nodetest.Cluster, id string) string {
			go func() { _ = c.Node(0).Drain(t.Context()) }()
			time.Sleep(2 * time.Second)
			c.Crash(0)
			c.Settle()
			return id
		}, "x lost"},
	} {
		for _, retry := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " retry ", retry), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var runs atomic.Int64
					c, id := tabCluster(t, sessionproc.KindConfig{Replicas: happens.replicas}, &runs)
					_, err := pay.Call(t.Context(), c.Node(2), id, payment{"x", 5 * time.Second, retry})
					require.NoError(t, err)
					time.Sleep(time.Second)
					id = happens.do(t, c, id)
					time.Sleep(15 * time.Second)
					want := happens.want
					if retry {
						want = "x charged"
						require.NotZero(t, runs.Load())
					}
					requireEntries(t, c, id, want)
				})
			})
		}
	}
}

// A node with 1,000 running tasks of 3 s drains: its sessions move at once and are served, and none of
// the results is lost.
func TestADrainWaitsForTasksWhileTheirSessionsAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tasks = 1000
		var runs atomic.Int64
		c := nodetest.Start(t, nodetest.Config{Kinds: []nodetest.KindFunc{tabKind(sessionproc.KindConfig{}, &runs)}})
		c.Settle()
		var ids []string
		for i := 0; len(ids) < shorttest.Of(tasks, 200); i++ {
			if id := fmt.Sprint("tab-", i); c.Owner(id) == 0 {
				ids = append(ids, id)
				require.NoError(t, tabs.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
			}
		}
		for _, id := range ids {
			_, err := pay.Call(t.Context(), c.Node(0), id, payment{"x", 3 * time.Second, false})
			require.NoError(t, err)
		}
		var load sync.WaitGroup
		over := make(chan struct{})
		calls := 0
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				calls++
				_, err := entries.Call(t.Context(), c.Node(1+i%2), ids[i%len(ids)], sessionproc.None{})
				assert.NoError(t, err)
				time.Sleep(time.Millisecond)
			}
		})
		begun := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- c.Node(0).Drain(t.Context()) }()
		time.Sleep(2500 * time.Millisecond)
		require.Zero(t, c.Node(0).Sessions(), "they move at once")
		require.Equal(t, len(ids), c.Node(0).Progress().Tasks)
		require.NoError(t, <-drained)
		require.Less(t, time.Since(begun), 5*time.Second)
		require.NoError(t, c.Node(0).Leave(t.Context()))
		close(over)
		load.Wait()
		for _, id := range ids {
			got, err := entries.Call(t.Context(), c.Node(1), id, sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, []string{"x charged"}, got)
		}
		require.Greater(t, calls, 1000)
	})
}

// What is not done at the deadline of a leave is an ErrTaskLost, and the error of the leave says so.
func TestALeaveNamesTheTasksThatItCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		c, id := tabCluster(t, sessionproc.KindConfig{}, &runs)
		_, err := pay.Call(t.Context(), c.Node(0), id, payment{"x", 50 * time.Second, false})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err = c.Node(0).Leave(ctx)
		said, ok := errors.AsType[*node.DrainError](err)
		require.True(t, ok, err)
		require.Equal(t, 1, said.Tasks)
		require.Equal(t, []string{"x"}, said.TaskNames)
		require.ErrorContains(t, err, `1 tasks still run (of names such as ["x"])`)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(5 * time.Second)
		got, err := entries.Call(t.Context(), c.Node(1), id, sessionproc.None{})
		require.NoError(t, err)
		require.Equal(t, []string{"x lost"}, got)
	})
}

// A task is cancelled from the node where its session is by then.
func TestATaskIsCancelledFromAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		c, id := tabCluster(t, sessionproc.KindConfig{}, &runs)
		_, err := pay.Call(t.Context(), c.Node(0), id, payment{"x", 50 * time.Second, false})
		require.NoError(t, err)
		go func() { _ = c.Node(0).Drain(t.Context()) }()
		time.Sleep(3 * time.Second)
		require.Equal(t, 1, c.Node(0).Progress().Tasks)
		was, err := revoke.Call(t.Context(), c.Caller(), id, "x")
		require.NoError(t, err)
		require.True(t, was)
		time.Sleep(time.Second)
		require.Zero(t, c.Node(0).Progress().Tasks)
		requireEntries(t, c, id)
	})
}

// taskWith has a task run.
func taskWith(t *testing.T, cfg sessionproc.TaskConfig) error {
	var began error
	c := nodetest.NewCluster(t, 1, func() sessionproc.AnyKind {
		k := sessionproc.NewKind(tabs, startsAs[tab], sessionproc.KindConfig{StartOnCall: true})
		sessionproc.HandleCall(k, pay, func(_ *tab, ctx context.Context, _ payment) (none sessionproc.None, err error) {
			began = sessionproc.Go(ctx, "x", func(ctx context.Context) (string, error) { return "", ctx.Err() }, paid, cfg)
			return none, nil
		})
		sessionproc.HandleCall(k, revoke, func(*tab, context.Context, string) (bool, error) { return false, nil })
		sessionproc.HandleCall(k, entries, func(s *tab, _ context.Context, _ sessionproc.None) ([]string, error) {
			return s.Entries, nil
		})
		sessionproc.HandleCast(k, paid, (*tab).paid)
		sessionproc.HandleTask(k, charge, charged)
		return k
	})
	_, err := pay.Call(t.Context(), c.Node(0), "a", payment{})
	require.NoError(t, err)
	if began != nil {
		return began
	}
	time.Sleep(time.Second)
	got, err := entries.Call(t.Context(), c.Node(0), "a", sessionproc.None{})
	require.NoError(t, err)
	require.Len(t, got, 1)
	return nil
}

// An earlier release of the program, without tasks.
var (
	tabsBefore    = sessionproc.KindOf[sessionproc.None]("tab")
	entriesBefore = sessionproc.MethodOf[sessionproc.None, []string](tabsBefore, "entries")
)

func tabKindBefore() sessionproc.AnyKind {
	k := sessionproc.NewKind(tabsBefore, startsAs[tab], sessionproc.KindConfig{})
	sessionproc.HandleCall(k, entriesBefore, func(s *tab, _ context.Context, _ sessionproc.None) ([]string, error) {
		return s.Entries, nil
	})
	return k
}

// Sessions with tasks go to nodes that know these, as those with timers do.
func TestSessionsWithTasksGoToNodesThatKnowThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		kind := tabKind(sessionproc.KindConfig{}, &runs)
		c := nodetest.Start(t, nodetest.Config{Kinds: []nodetest.KindFunc{kind}, Tune: func(i int, cfg *node.Config) {
			if i == 1 {
				cfg.Kinds = []sessionproc.AnyKind{tabKindBefore()}
			}
		}})
		c.Settle()
		var ids []string
		for i := 0; len(ids) < 20; i++ {
			if id := fmt.Sprint("tab-", i); c.Owner(id) == 0 {
				ids = append(ids, id)
				require.NoError(t, tabs.Start(t.Context(), c.Node(0), id, sessionproc.None{}))
				_, err := pay.Call(t.Context(), c.Node(0), id, payment{"x", 3 * time.Second, i%2 == 0})
				require.NoError(t, err)
			}
		}
		c.Drain(0)
		require.Equal(t, len(ids), c.Node(2).Sessions())
		for _, id := range ids {
			got, err := entries.Call(t.Context(), c.Node(2), id, sessionproc.None{})
			require.NoError(t, err)
			require.Equal(t, []string{"x charged"}, got)
		}
	})
}

// Inspect, Stats and the Trace tell of tasks.
func TestTasksAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		var mu sync.Mutex
		var done []node.TraceTaskDone
		c := nodetest.Start(t, nodetest.Config{Nodes: 2, Kinds: []nodetest.KindFunc{tabKind(sessionproc.KindConfig{}, &runs)},
			Tune: func(_ int, cfg *node.Config) {
				cfg.Trace = &node.Trace{TaskDone: func(i node.TraceTaskDone) {
					mu.Lock()
					defer mu.Unlock()
					done = append(done, i)
				}}
			}})
		c.Settle()
		require.NoError(t, tabs.Start(t.Context(), c.Node(0), "ann", sessionproc.None{}))
		at := c.Node(c.Owner("ann"))
		_, err := pay.Call(t.Context(), at, "ann", payment{"x", 3 * time.Second, true})
		require.NoError(t, err)
		begun := time.Now()
		time.Sleep(time.Second)
		i, err := c.Node(0).Inspect(t.Context(), "ann", node.InspectOptions{})
		require.NoError(t, err)
		require.Len(t, i.Tasks, 1)
		require.WithinDuration(t, begun, i.Tasks[0].Since, 10*time.Millisecond)
		i.Tasks[0].Since = time.Time{}
		require.Equal(t, []node.SessionTask{{Name: "x", Notice: "paid", Node: at.Name(), Runs: 1}}, i.Tasks)
		s, err := c.Node(0).Stats(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, s.Total.Tasks)
		time.Sleep(3 * time.Second)
		s, err = c.Node(0).Stats(t.Context())
		require.NoError(t, err)
		require.Zero(t, s.Total.Tasks)
		require.EqualValues(t, 1, s.Total.TasksDone)
		require.Zero(t, s.Total.TasksLost)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []node.TraceTaskDone{{Session: sessionproc.LogID("ann"), Kind: "tab", Task: "x",
			Duration: 3 * time.Second}}, done)
	})
}
