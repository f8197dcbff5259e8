package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// rejoinAtOnce is how many absent seeds and missing members are tried together.
// Many of these may be gone for good, and one by one each of them would delay
// the others.
const rejoinAtOnce = 8

// rejoin tries missing members and absent seeds, a few at a time, until ctx
// ends. It is what heals a partition.
func (c *Cluster) rejoin(ctx context.Context) {
	var warned string
	for {
		select {
		case <-time.After(jitter(c.cfg.RejoinInterval)):
		case <-ctx.Done():
			return
		}
		for _, err := range c.rejoinSome(ctx) {
			switch {
			case err == nil || errors.Is(err, ErrSelf) || ctx.Err() != nil:
			case refused(err) && err.Error() != warned:
				warned = err.Error()
				c.log.Warn("a seed or missing member refuses this node", "err", err)
			default:
				c.log.Debug("rejoin", "err", err)
			}
		}
	}
}

// rejoinSome makes one attempt and returns its errors.
func (c *Cluster) rejoinSome(ctx context.Context) []error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	l, err := c.seeds.look(ctx)
	if err != nil {
		c.log.Debug("rejoin", "err", err)
	}
	addrs := c.absent(slices.Clone(l.addrs))
	errs := make([]error, len(addrs)+1)
	var tries sync.WaitGroup
	for i, addr := range addrs {
		tries.Go(func() { errs[i] = c.meet(ctx, addr) })
	}
	// While this node is alone, another node may have appeared at its address.
	if l.self && c.cfg.Myself != nil && len(c.View().Members) == 1 {
		tries.Go(func() { errs[len(addrs)] = c.meetSelf(ctx) })
	}
	tries.Wait()
	c.lookAgain(l, err, errs)
	return errs
}

// absent picks addresses of seeds and missing members that are not present.
// Half of the places are for seeds and half for missing members, as long as
// there are enough of both.
func (c *Cluster) absent(addrs []string) []string {
	present := c.table.presentAddrs() // includes this node
	here := func(addr string) bool { return present[addr] }
	seeds := slices.DeleteFunc(addrs, here)
	missing := slices.DeleteFunc(c.table.lostAddrs(), func(addr string) bool {
		return here(addr) || slices.Contains(seeds, addr)
	})
	some := func(addrs []string, most int) []string {
		rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
		return addrs[:min(len(addrs), most)]
	}
	seeds = some(seeds, max(rejoinAtOnce/2, rejoinAtOnce-len(missing)))
	return append(seeds, some(missing, rejoinAtOnce-len(seeds))...)
}
