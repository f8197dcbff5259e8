package cluster

import (
	"fmt"
	"time"
)

// SetState changes what this node says of itself. The own view has it when SetState
// returns; the others see it within about a second. It does not wait for them. After
// Leave or Close it returns ErrClosed.
func (c *Cluster) SetState(s State) error {
	if s > Draining {
		return fmt.Errorf("cluster: set state: %v is unknown", s)
	}
	ok := c.change(func(m *meta) { m.State = s })
	if !ok {
		return ErrClosed
	}
	return nil
}

// sayLeaving marks our record, so that the others tell a leave from a death, and
// makes it the last change. False if it was, or the cluster is closed.
func (c *Cluster) sayLeaving() bool {
	return c.change(func(m *meta) { m.leaving = true })
}

// change changes our own record, in our own view at once, and has it announced.
// Nobody may change it after it has said leaving, or after Close.
func (c *Cluster) change(f func(*meta)) bool {
	c.mu.Lock()
	if c.done {
		c.mu.Unlock()
		return false
	}
	before := c.self
	f(&c.self)
	if c.self.Equal(before.Member) && c.self.leaving == before.leaving {
		c.mu.Unlock()
		return true
	}
	c.done = c.self.leaving
	encoded := c.self.encode()
	c.meta.Store(&encoded)
	c.table.setSelf(c.self)
	c.mu.Unlock()

	wake(c.news)
	wake(c.table.changed)
	return true
}

// repeats is how often a change of our record is gossiped anew.
const repeats = 2

// announce owns what this node tells the others: it gossips our record whenever it
// has changed, and in the end the good-bye. Both only queue: memberlist's waiting for
// the queue knows no ctx, so it is given no time (its only error then), and Leave
// waits by itself.
//
// memberlist's queue may lose a message to another of the same length that comes
// before the next round of gossip (hashicorp/memberlist#263), as when several nodes
// drain at once. So each change is queued again in the next rounds.
func (c *Cluster) announce() {
	again := time.NewTimer(0)
	defer again.Stop()
	for left := 0; ; {
		select {
		case <-c.news:
			left = repeats
		case <-again.C:
			if left--; left < 0 {
				continue
			}
		case <-c.bye:
			_ = c.list.Leave(time.Nanosecond)
			return
		case <-c.life.Done():
			return
		}
		_ = c.list.UpdateNode(time.Nanosecond)
		again.Reset(c.gossip.GossipInterval)
	}
}

// wake leaves a token in a channel of one for its only reader.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
