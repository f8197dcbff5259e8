package nodetest

import "context"

// Crash ends node i as kill -9 would: its sessions are gone, its connections
// are reset, and the others have to find out. Handlers of it that still run have
// their ctxs cancelled and are waited for, up to its StopTimeout. See Config.OnStep
// for a crash at an exact step.
func (c *Cluster) Crash(i int) {
	c.t.Helper()
	c.kill(i, "Crash", func(m *member) { m.host.Crash() })
}

// PowerOff is Crash without resets: connections to node i just fall silent.
func (c *Cluster) PowerOff(i int) {
	c.t.Helper()
	c.kill(i, "PowerOff", func(m *member) { m.host.PowerOff() })
}

func (c *Cluster) kill(i int, what string, end func(*member)) {
	c.t.Helper()
	m := c.member(i)
	n := c.take(m)
	if n == nil {
		c.t.Fatalf("nodetest: %s(%d): the node does not run", what, i)
	}
	end(m) // before Close, so that it can tell nobody
	if err := n.Close(); err != nil {
		c.t.Errorf("nodetest: %s(%d): %v", what, i, err)
	}
}

// Leave has node i leave in good order: node.Node.Leave.
func (c *Cluster) Leave(i int) {
	c.t.Helper()
	n := c.Node(i)
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	err := n.Leave(ctx)
	c.take(c.member(i))
	if err != nil {
		c.t.Errorf("nodetest: Leave(%d): %v", i, err)
	}
}

// Drain has node i give its sessions away: node.Node.Drain. It goes on running.
func (c *Cluster) Drain(i int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := c.Node(i).Drain(ctx); err != nil {
		c.t.Errorf("nodetest: Drain(%d): %v", i, err)
	}
}

// Stall stops node i for the others, as SIGSTOP would: it neither sends nor
// receives, and its system takes in what comes for it. Caller does not use it.
// Its own timers run on, so to itself it is cut off.
func (c *Cluster) Stall(i int) {
	c.t.Helper()
	c.setStalled(i, true)
}

// Resume undoes Stall.
func (c *Cluster) Resume(i int) {
	c.t.Helper()
	c.setStalled(i, false)
}

func (c *Cluster) setStalled(i int, stalled bool) {
	c.t.Helper()
	c.Node(i)
	m := c.member(i)
	c.mu.Lock()
	m.stalled = stalled
	c.mu.Unlock()
	if stalled {
		m.host.Stall()
	} else {
		m.host.Resume()
	}
}

// Cut separates two nodes: nothing passes between them, and what is written to
// their connections waits. See Isolate to cut a node off from all others.
func (c *Cluster) Cut(i, j int) {
	c.t.Helper()
	a, b := c.member(i), c.member(j)
	c.mu.Lock()
	if c.cuts == nil {
		c.cuts = map[[2]int]bool{}
	}
	c.cuts[[2]int{min(i, j), max(i, j)}] = true
	c.mu.Unlock()
	c.net.Cut(a.host, b.host)
}

// Isolate cuts some nodes off from all others, and not from one another.
func (c *Cluster) Isolate(nodes ...int) {
	c.t.Helper()
	inside := map[int]bool{}
	for _, i := range nodes {
		c.member(i)
		inside[i] = true
	}
	for i := range inside {
		for j := range c.Len() {
			if !inside[j] {
				c.Cut(i, j)
			}
		}
	}
}

// Heal undoes every Cut and Isolate.
func (c *Cluster) Heal() {
	c.mu.Lock()
	clear(c.cuts)
	c.mu.Unlock()
	c.net.HealAll()
}
