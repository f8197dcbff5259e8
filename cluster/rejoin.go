package cluster

import (
	"context"
	"math/rand/v2"
	"time"
)

// rejoin tries one missing member or absent seed at a time, for as long as the node
// is a member. It is what heals a partition.
func (c *Cluster) rejoin(ctx context.Context) {
	var warned string
	for {
		select {
		case <-time.After(jitter(c.cfg.RejoinInterval)):
		case <-ctx.Done():
			return
		}
		err := c.rejoinOne(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
		case refused(err) && err.Error() != warned:
			warned = err.Error()
			c.log.Warn("refused by a node that was to be joined", "err", err)
		default:
			c.log.Debug("rejoin", "err", err)
		}
	}
}

func (c *Cluster) rejoinOne(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	addr := c.absent(ctx)
	if addr == "" {
		return nil
	}
	return c.meet(ctx, addr)
}

// absent picks the address of somebody who is not here, or "". Seeds and missing
// members get equal shares, since among the missing there may be many that are gone
// for good.
func (c *Cluster) absent(ctx context.Context) string {
	sources := []func(context.Context) string{c.absentSeed, c.absentMember}
	first := rand.IntN(len(sources))
	if addr := sources[first](ctx); addr != "" {
		return addr
	}
	return sources[1-first](ctx)
}

func (c *Cluster) absentSeed(ctx context.Context) string {
	addrs, err := c.seeds.addrs(ctx)
	if err != nil {
		c.log.Debug("rejoin", "err", err)
	}
	return c.pickAbsent(addrs)
}

func (c *Cluster) absentMember(context.Context) string {
	return c.pickAbsent(c.table.lostAddrs())
}

func (c *Cluster) pickAbsent(addrs []string) string {
	present := c.table.presentAddrs() // we are among them
	var absent []string
	for _, addr := range addrs {
		if !present[addr] {
			absent = append(absent, addr)
		}
	}
	if len(absent) == 0 {
		return ""
	}
	return absent[rand.IntN(len(absent))]
}
