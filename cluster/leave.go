package cluster

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Leave tells the other members that this node leaves, waits until that has had
// time to spread (0.8 to 2 s, or no time if there are no others), and closes.
// The others forget this node instead of looking for it. Leave does not change
// the node's state. To hand something over first, set Draining and wait.
//
// If ctx ends earlier, Leave sends the message without waiting, closes the node
// all the same, and returns an error: some members may take this node for
// crashed. Concurrent calls wait for the first one, within their own ctx. After
// Leave or Close, Leave does nothing and returns nil.
func (c *Cluster) Leave(ctx context.Context) error {
	if !c.sayLeaving() {
		select {
		case <-c.closed:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("cluster: leave: another call is in progress: %w", ctx.Err())
		}
	}
	c.leaving.Store(true)
	c.stop()
	others := len(c.View().Members) - 1
	c.wait(ctx, c.firstNews(others))
	select {
	case c.bye <- struct{}{}:
		c.wait(ctx, c.spread(others))
	case <-c.life.Done():
	}
	c.Close()
	if others > 0 && ctx.Err() != nil {
		return fmt.Errorf("cluster: leave: others may take this node for crashed: %w", ctx.Err())
	}
	return nil
}

func (c *Cluster) wait(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	case <-c.life.Done():
	}
}

// spread returns how long a broadcast to that many other members takes.
// memberlist sends it RetransmitMult × ⌈log10(n)⌉ times, n being the number of
// all members, to GossipNodes members per interval. Two more intervals are for
// the members that other members tell.
func (c *Cluster) spread(others int) time.Duration {
	if others <= 0 {
		return 0
	}
	sends := c.gossip.RetransmitMult * int(math.Ceil(math.Log10(float64(others+2))))
	perInterval := min(c.gossip.GossipNodes, others)
	intervals := (sends+perInterval-1)/perInterval + 2
	return time.Duration(intervals) * c.gossip.GossipInterval
}

// firstNews returns how long to wait between the record that says leaving and
// the leave itself. It is short: a member that misses the record looks for this
// node in vain for a while.
func (c *Cluster) firstNews(others int) time.Duration {
	return min(3*c.gossip.GossipInterval, c.spread(others))
}
