package integration_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// moving is the cluster of the place "moved": a, b and c serve all the time, d
// comes and goes, and each time sessions move between a and d. Nothing else
// moves for the tests, and every change serves all sessions of a test at once.
var moving movingCluster

type movingCluster struct {
	once    sync.Once
	members []*member  // a, b and c
	without *ring.Ring // of their slots
	with    *ring.Ring // and d's
	err     error

	turn sync.Mutex // held by the test that uses it

	mu      sync.Mutex     // guards what follows
	spare   *member        // d; nil: it is away
	leaving sync.WaitGroup // former spares
}

// movingConfig has no secret: handshakes would take most of the time.
func movingConfig() node.Config {
	return node.Config{DefaultKind: counters.Name(), StopTimeout: 2 * time.Second}
}

// get is the place of the test, which has the cluster to itself.
func (c *movingCluster) get(t *testing.T) place {
	t.Helper()
	c.turn.Lock()
	t.Cleanup(func() {
		defer c.turn.Unlock()
		if c.err == nil {
			c.sweep(t)
		}
		if t.Failed() {
			for _, m := range c.all() {
				t.Logf("%s:\n%s", m.Name(), m.log.text())
			}
		}
	})
	c.once.Do(func() {
		if c.members, c.err = startCluster(3, movingConfig()); c.err != nil {
			return
		}
		if c.without, c.err = ring.New(ring.Config{}, []string{"a", "b", "c"}); c.err != nil {
			return
		}
		c.with, c.err = ring.New(ring.Config{}, []string{"a", "b", "c", "d"})
	})
	require.NoError(t, c.err)
	return place{from: c.members[1], moving: c}
}

func (c *movingCluster) all() []*member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spare != nil {
		return append(c.members[:3:3], c.spare)
	}
	return c.members
}

func (c *movingCluster) owner() *member {
	all := c.all()
	if len(all) > 3 {
		return all[3]
	}
	return all[0]
}

// sweep ends all sessions, with those that the test has renewed or never named. The next test waits until a node has
// none left.
func (c *movingCluster) sweep(t *testing.T) {
	assert.Eventually(t, func() bool {
		left := 0
		for _, m := range c.all() {
			left += m.Sessions()
		}
		for s, err := range c.owner().List(context.Background(), node.ListOptions{}) {
			if err == nil { // otherwise the next round finds what is missing
				_ = c.owner().Terminate(context.Background(), s.ID)
			}
		}
		return left == 0
	}, 30*time.Second, 5*time.Millisecond, "the sessions of the test end")
}

// moves says whether session id lives on a without d, and on d otherwise.
func (c *movingCluster) moves(id string) bool {
	before, _ := c.without.OwnerOf(id)
	after, _ := c.with.OwnerOf(id)
	return before == "a" && after == "d"
}

// begin has d join or leave. end waits until nothing moves any more.
func (c *movingCluster) begin(t testing.TB) (end func()) {
	t.Helper()
	if spare := c.owner(); spare != c.members[0] {
		c.leaving.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := spare.Leave(ctx); err != nil { // the test may be over
				fmt.Fprintln(os.Stderr, "leave:", err)
			}
		})
		return func() {
			t.Helper()
			c.settle(t, nil)
			c.awaitEmpty(t, spare) // it says good-bye while the test goes on
		}
	}
	c.leaving.Wait() // a former d that still says good-bye has the slot
	cfg := movingConfig()
	cfg.Slot = "d"
	for _, m := range c.members {
		cfg.Join = append(cfg.Join, m.Addr())
	}
	var spare *member
	done := make(chan error, 1)
	go func() {
		var err error
		spare, err = startNode(context.Background(), cfg)
		done <- err
	}()
	return func() {
		t.Helper()
		require.NoError(t, <-done)
		c.settle(t, spare)
		c.awaitEmpty(t, c.members[0])
	}
}

func (c *movingCluster) awaitEmpty(t testing.TB, m *member) {
	t.Helper()
	require.Eventually(t, func() bool { return m.Sessions() == 0 }, 30*time.Second, time.Millisecond,
		"all sessions of the test move")
}

// settle waits until all nodes know that d has come or gone.
func (c *movingCluster) settle(t testing.TB, spare *member) {
	t.Helper()
	c.mu.Lock()
	c.spare = spare
	c.mu.Unlock()
	all, table := c.all(), c.without
	if spare != nil {
		table = c.with
	}
	require.Eventually(t, func() bool {
		for _, m := range all {
			if len(m.serving()) != len(all) || !routesAs(m, table) {
				return false
			}
		}
		return true
	}, 30*time.Second, time.Millisecond, "all nodes know where sessions live")
}

// routesAs says whether m places sessions as the table does.
func routesAs(m *member, table *ring.Ring) bool {
	for range 100 {
		id := sessionproc.NewID()
		owner, _ := table.OwnerOf(id)
		if where, err := m.Where(id); err != nil || where.Owner.Slot != owner {
			return false
		}
	}
	return true
}

func (c *movingCluster) close() {
	c.leaving.Wait()
	for _, m := range c.all() {
		if err := m.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close:", err)
		}
	}
}
