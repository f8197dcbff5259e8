package cluster

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Leave tells the others that this node goes, waits until the news has had time to
// spread (0.8 to 1.9 s; nothing if there is nobody else), and closes. The others forget this
// node instead of looking for it. Its state is not changed: to give something away
// first, set Draining and wait.
//
// When ctx ends earlier the news is sent without waiting for it, the node is closed
// all the same, and the error says so: some members may then take it for crashed.
// Concurrent calls wait for the first within their ctx; after Leave or Close it does
// nothing and returns nil.
func (c *Cluster) Leave(ctx context.Context) error {
	if !c.sayLeaving() {
		select {
		case <-c.closed:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("cluster: leave: another call is still at it: %w", ctx.Err())
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

// spread is how long a broadcast among that many others takes: memberlist sends it
// RetransmitMult × ⌈log10 of all⌉ times, to GossipNodes members per interval; two
// intervals more are for those who hear it from others.
func (c *Cluster) spread(others int) time.Duration {
	if others <= 0 {
		return 0
	}
	sends := c.gossip.RetransmitMult * int(math.Ceil(math.Log10(float64(others+2))))
	perInterval := min(c.gossip.GossipNodes, others)
	intervals := (sends+perInterval-1)/perInterval + 2
	return time.Duration(intervals) * c.gossip.GossipInterval
}

// firstNews is shorter: a member that misses it looks for us in vain for a while, no
// more.
func (c *Cluster) firstNews(others int) time.Duration {
	return min(3*c.gossip.GossipInterval, c.spread(others))
}
