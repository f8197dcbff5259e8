package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// rejoinAtOnce is how many absent seeds and missing members are tried together. Among
// them may be many that are gone for good, each of which would cost the others a turn.
const rejoinAtOnce = 8

// rejoin tries missing members and absent seeds, a few at a time, for as long as the
// node is a member. It is what heals a partition.
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
				c.log.Warn("refused by a node that was to be joined", "err", err)
			default:
				c.log.Debug("rejoin", "err", err)
			}
		}
	}
}

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
	if l.self && c.cfg.Myself != nil && len(c.View().Members) == 1 { // somebody else may have come there
		tries.Go(func() { errs[len(addrs)] = c.meetSelf(ctx) })
	}
	tries.Wait()
	c.lookAgain(l, err, errs)
	return errs
}

// absent picks addresses of some who are not here. Half of the places are for seeds
// and half for missing members, as long as there are enough of both.
func (c *Cluster) absent(addrs []string) []string {
	present := c.table.presentAddrs() // we are among them
	here := func(addr string) bool { return present[addr] }
	seeds := slices.DeleteFunc(addrs, here)
	missing := slices.DeleteFunc(c.table.lostAddrs(), func(addr string) bool { return here(addr) || slices.Contains(seeds, addr) })
	some := func(addrs []string, most int) []string {
		rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
		return addrs[:min(len(addrs), most)]
	}
	seeds = some(seeds, max(rejoinAtOnce/2, rejoinAtOnce-len(missing)))
	return append(seeds, some(missing, rejoinAtOnce-len(seeds))...)
}
