package integration_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/integration/bench/workload"
	"github.com/sessionproc/sessionproc/integration/child"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// TestMain runs the tests, ends the cluster they share and looks for
// goroutines that were left behind. In a child process it runs a role instead.
func TestMain(m *testing.M) {
	child.Main(roles())
	code := m.Run()
	shared.close()
	moving.close()
	if code == 0 {
		if err := findLeaks(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// findLeaks looks for goroutines that no test has. A probe of memberlist that is under way
// when its node closes goes on until it times out.
func findLeaks(others ...goleak.Option) (err error) {
	const lastProbe = 3 * time.Second
	for begun := time.Now(); time.Since(begun) < lastProbe; {
		if err = goleak.Find(others...); err == nil {
			return nil
		}
	}
	return err
}

func roles() map[string]child.Role {
	roles := map[string]child.Role{"slow peer": runSlowPeer}
	for name, role := range workload.Roles {
		roles[name] = role
	}
	return roles
}

// member is a node of a test, with what it logs.
type member struct {
	*node.Node
	log *logbook
}

// startNode starts a node with the kinds of this package and captures its log.
func startNode(ctx context.Context, cfg node.Config) (*member, error) {
	log := &logbook{}
	cfg.Logger = log.logger()
	if cfg.Kinds == nil {
		cfg.Kinds = allKinds()
	}
	n, err := node.Start(ctx, cfg)
	return &member{n, log}, err
}

// join starts a node beside others, and closes it after the test.
func join(t testing.TB, cfg node.Config, others ...*member) *member {
	t.Helper()
	for _, m := range others {
		cfg.Join = append(cfg.Join, m.Addr())
	}
	m, err := startNode(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// startCluster starts size nodes, named a, b, c, …, and waits until each sees
// all of them serve.
func startCluster(size int, cfg node.Config) ([]*member, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var members []*member
	for i := range size {
		c := cfg
		c.Slot = string(rune('a' + i))
		if i > 0 {
			c.Join = []string{members[0].Addr()}
		}
		m, err := startNode(ctx, c)
		if err != nil {
			return members, err
		}
		members = append(members, m)
	}
	for _, m := range members {
		if err := m.awaitServing(ctx, size); err != nil {
			return members, err
		}
	}
	return members, nil
}

// newCluster is startCluster for a test that damages its nodes or needs its
// own settings.
func newCluster(t testing.TB, size int, cfg node.Config) []*member {
	t.Helper()
	members, err := startCluster(size, cfg)
	t.Cleanup(func() {
		for _, m := range members {
			if err := m.Close(); err != nil {
				t.Errorf("close %s: %v", m.Slot(), err)
			}
		}
	})
	require.NoError(t, err)
	return members
}

// awaitServing waits until m sees count serving members and sends requests to
// all of them.
func (m *member) awaitServing(ctx context.Context, count int) error {
	for slots := m.serving(); len(slots) != count || !m.routesTo(slots); slots = m.serving() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s sees %v serve, not %d: %w", m.Slot(), slots, count, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

func (m *member) serving() (slots []string) {
	for _, other := range m.Members() {
		if other.State == cluster.Serving {
			slots = append(slots, other.Slot)
		}
	}
	return slots
}

// routesTo says whether m places sessions as a ring of these slots does.
func (m *member) routesTo(slots []string) bool {
	table, err := ring.New(ring.Config{}, slots)
	if err != nil {
		return false
	}
	return routesAs(m, table)
}

// shared is the cluster that all tests use that leave their nodes whole: three
// nodes on loopback with a secret.
var shared sharedCluster

type sharedCluster struct {
	once    sync.Once
	members []*member
	err     error
}

func (s *sharedCluster) get(t testing.TB) []*member {
	t.Helper()
	s.once.Do(func() {
		s.members, s.err = startCluster(3, node.Config{
			Secret: node.NewSecret(), DefaultKind: counters.Name(), StopTimeout: 2 * time.Second,
		})
	})
	require.NoError(t, s.err)
	return s.members
}

func (s *sharedCluster) close() {
	for _, m := range s.members {
		if err := m.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close:", err)
		}
	}
}

// within is the test's ctx with a timeout.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// requireCount calls get and compares.
func requireCount(t testing.TB, p place, id string, want int) {
	t.Helper()
	got, err := get.Call(t.Context(), p.from, id, sessionproc.None{})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// idOn makes a fresh session ID that the member of that slot owns, as n sees
// it.
func idOn(t testing.TB, n *member, slot string) string {
	t.Helper()
	for range 10_000 {
		id := sessionproc.NewID()
		where, err := n.Where(id)
		require.NoError(t, err)
		if where.Owner.Slot == slot {
			return id
		}
	}
	require.FailNow(t, "no ID belongs to slot "+slot)
	return ""
}
