package nodetest

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/internal/testsize"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

const (
	port         = 7946
	startTimeout = time.Minute // of one node
	leaveTimeout = time.Minute

	// afterglow is how long goroutines of gossip may go on after a node was
	// closed; a bubble has to see their end.
	afterglow = time.Minute
)

// Cluster is a number of nodes on a simulated network. Nodes are known by their
// index, from 0; node i has the slot "n<i>" and an address of its own, and keeps
// both over a restart.
type Cluster struct {
	t      testing.TB
	cfg    Config
	net    *simnet.Network
	bubble bool
	log    *testLog
	turn   atomic.Uint64 // for Caller
	tasks  Tasks

	mu      sync.Mutex // guards what follows
	members []*member
	cuts    map[[2]int]bool // both ways
}

// member is a place for a node.
type member struct {
	index    int
	host     *simnet.Host
	node     *node.Node // nil: it does not run
	starting bool
	stalled  bool
}

// Add starts one more node and returns its index. It does not wait for the
// others to know it; see Settle.
func (c *Cluster) Add() int {
	c.t.Helper()
	c.mu.Lock()
	i := len(c.members)
	m := &member{index: i, host: c.net.Host(netip.AddrFrom4([4]byte{10, 0, byte((i + 1) >> 8), byte(i + 1)}))}
	c.members = append(c.members, m)
	c.mu.Unlock()
	c.start(m)
	return i
}

// Restart starts node i again, after a Crash, PowerOff or Leave, with the same
// slot and address and without its sessions. It does not wait for the others to
// know it; see Settle.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	m := c.member(i)
	if m.node != nil {
		c.t.Fatalf("nodetest: Restart(%d): the node still runs; use Crash or Leave first", i)
	}
	m.host.Restart()
	c.start(m)
}

func (c *Cluster) start(m *member) {
	c.t.Helper()
	cfg := node.Config{Gossip: 0, Logger: slog.New(slog.NewTextHandler(c.log, nil))}
	cfg.Ring.Partitions = testsize.Partitions
	for _, kind := range c.cfg.Kinds {
		cfg.Kinds = append(cfg.Kinds, kind())
		c.tasks.control(cfg.Kinds[len(cfg.Kinds)-1])
	}
	if len(cfg.Kinds) > 0 {
		cfg.DefaultKind = cfg.Kinds[0].Name()
	}
	if c.cfg.Tune != nil {
		c.cfg.Tune(m.index, &cfg)
	}
	cfg.Network, cfg.Slot, cfg.Bind = m.host, slot(m.index), addr(m)
	cfg.Insecure = true // nobody else is on this network
	cfg.Join = c.seeds(m)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	n, err := node.Start(c.watched(ctx, m.index), cfg)
	c.mu.Lock()
	m.node, m.starting = n, false
	c.mu.Unlock()
	if err != nil {
		c.t.Fatalf("nodetest: start of node %d: %v", m.index, err)
	}
}

// seeds returns the addresses of the nodes that run or start, as a name service
// would, and has m among them from now on.
func (c *Cluster) seeds(m *member) (addrs []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.members {
		if other.starting || other.node != nil && !other.stalled {
			addrs = append(addrs, addr(other))
		}
	}
	m.starting = true
	return addrs
}

func slot(i int) string { return fmt.Sprintf("n%d", i) }

func addr(m *member) string { return netip.AddrPortFrom(m.host.Addr(), port).String() }

// Len returns how many nodes there are, those that do not run included.
func (c *Cluster) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.members)
}

// Node returns node i, which must be running.
func (c *Cluster) Node(i int) *node.Node {
	c.t.Helper()
	m := c.member(i)
	if m.node == nil {
		c.t.Fatalf("nodetest: Node(%d): the node does not run", i)
	}
	return m.node
}

// Host returns the machine of node i, for what Cluster has no method for.
// Settle knows of the Cluster's own cuts and stalls only.
func (c *Cluster) Host(i int) *simnet.Host {
	c.t.Helper()
	return c.member(i).host
}

// Network returns the network, for latency, loss and resets.
func (c *Cluster) Network() *simnet.Network { return c.net }

// Owner returns the index of the node where session id lives or would live, as
// the first running node sees it. See Settle.
func (c *Cluster) Owner(id string) int {
	c.t.Helper()
	for _, m := range c.running() {
		place, err := m.node.Where(id)
		if err != nil {
			c.t.Fatalf("nodetest: Owner: %v", err)
		}
		for i := range c.Len() {
			if slot(i) == place.Owner.Slot {
				return i
			}
		}
	}
	c.t.Fatalf("nodetest: Owner: no node runs")
	return -1
}

// Caller returns a Caller that gives every request to another running node, in
// turn, as a load balancer without stickiness does. It may be used from any
// goroutine. A node that crashes fails the requests it was given.
func (c *Cluster) Caller() sessionproc.Caller { return balancer{c} }

type balancer struct{ c *Cluster }

// next returns the node whose turn it is; nil: none runs.
func (b balancer) next() *node.Node {
	running := b.c.running()
	if len(running) == 0 {
		return nil
	}
	turn := b.c.turn.Add(1)
	return running[turn%uint64(len(running))].node
}

func (b balancer) Deliver(ctx context.Context, id string, m sessionproc.Message) error {
	if n := b.next(); n != nil {
		return n.Deliver(ctx, id, m)
	}
	return nobodyRuns(m, id)
}

// DeliverMany is node.Node.DeliverMany.
func (b balancer) DeliverMany(ctx context.Context, all []engine.Delivery) {
	if n := b.next(); n != nil {
		n.DeliverMany(ctx, all)
		return
	}
	for i := range all {
		all[i].Err = nobodyRuns(all[i].Message, all[i].ID)
	}
}

// Broadcast is node.Node.Broadcast.
func (b balancer) Broadcast(ctx context.Context, m sessionproc.Message) (sessionproc.Reach, error) {
	if n := b.next(); n != nil {
		return n.Broadcast(ctx, m)
	}
	return sessionproc.Reach{}, nobodyRuns(m, "")
}

func nobodyRuns(m sessionproc.Message, id string) error {
	return &sessionproc.OpError{Op: m.Op().String(), ID: id, Kind: m.Kind(), Method: m.Method(),
		Err: fmt.Errorf("%w: no node of the cluster runs", sessionproc.ErrUnavailable)}
}

// member returns member i. Only the test's goroutine changes members.
func (c *Cluster) member(i int) *member {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if i < 0 || i >= len(c.members) {
		c.t.Fatalf("nodetest: there is no node %d, only 0 to %d", i, len(c.members)-1)
	}
	return c.members[i]
}

// running returns copies of the members that run and are not stalled.
func (c *Cluster) running() []*member {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*member
	for _, m := range c.members {
		if m.node != nil && !m.stalled {
			live := *m
			all = append(all, &live)
		}
	}
	return all
}

// take takes the node off its member, so that nobody uses it any more.
func (c *Cluster) take(m *member) *node.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := m.node
	m.node, m.stalled = nil, false
	return n
}

// close ends what runs, at the end of the test. The nodes of a bubble can be closed in
// it only: from elsewhere the runtime ends the program without a word of the reason.
func (c *Cluster) close() {
	if c.bubble && !inBubble() {
		panic("nodetest: the t of a Cluster in a bubble is of outside the bubble: " +
			"give NewCluster the t of the function that synctest.Test calls")
	}
	c.mu.Lock()
	members := c.members
	c.mu.Unlock()
	var closing sync.WaitGroup
	for _, m := range members {
		if n := c.take(m); n != nil {
			closing.Go(func() {
				m.host.Crash() // no good-byes
				if err := n.Close(); err != nil {
					c.t.Errorf("nodetest: node %d: %v", m.index, err)
				}
			})
		}
	}
	closing.Wait()
	if c.bubble {
		time.Sleep(afterglow)
	}
	c.log.close()
}

// inBubble reports whether the caller is in a synctest bubble.
func inBubble() (in bool) {
	defer func() {
		if recover() != nil {
			in = false // Wait panics outside of one
		}
	}()
	synctest.Wait()
	return true
}

// testLog gives what the nodes log to the test, until that ends.
type testLog struct {
	t testing.TB

	mu     sync.Mutex
	closed bool // guarded by mu
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return len(b), nil
	}
	return l.t.Output().Write(b)
}

func (l *testLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}
