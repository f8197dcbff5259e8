package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	attemptTimeout = 3 * time.Second // for one attempt at all seeds together
	attemptGrace   = time.Second     // for further seeds to refuse, after one was joined
	attemptAddrs   = 16              // seeds per attempt; a name may stand for hundreds

	firstBackOff = 100 * time.Millisecond // doubles up to lastBackOff
	lastBackOff  = 500 * time.Millisecond
)

// join tries the seeds until this node has met a member, the seeds turn out to
// be this node alone, or JoinTimeout has passed. It fails only if a seed
// refuses this node or ctx ends.
func (c *Cluster) join(ctx context.Context) error {
	if len(c.seeds.entries) == 0 {
		return nil
	}
	trying, cancel := context.WithTimeout(ctx, c.cfg.JoinTimeout)
	defer cancel()
	cause := errors.New("no answer")
	for backOff := firstBackOff; trying.Err() == nil; backOff = min(2*backOff, lastBackOff) {
		found, err := c.attempt(trying)
		if refused(err) {
			return err
		}
		if c.Met() || found == nobodyElse {
			return nil
		}
		if trying.Err() == nil { // else err only says that the time is over
			c.first.saw(found, time.Now())
			if err != nil {
				cause = err
			}
		}
		select {
		case <-c.table.met:
			return nil
		case <-time.After(jitter(backOff)):
		case <-trying.Done():
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("join: %w (before: %w)", context.Cause(ctx), cause)
	}
	if c.cfg.MayBeFirst && c.first.onlySelf(c.cfg.JoinTimeout*9/10, time.Now()) {
		c.log.Info("the seeds lead to this node alone: it is the first one", "seeds", c.cfg.Join)
		return nil
	}
	c.alone.Store(true)
	c.log.Warn("no seed could be joined; going on alone", "seeds", c.cfg.Join, "err", cause)
	return nil
}

// attempt tries all seeds once, concurrently, and returns what they stand for.
// err is nil if one of them was joined. A refusal is returned even if another
// seed was joined.
func (c *Cluster) attempt(ctx context.Context) (found finding, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	l, err := c.seeds.look(ctx)
	others := err != nil
	rand.Shuffle(len(l.addrs), func(i, j int) { l.addrs[i], l.addrs[j] = l.addrs[j], l.addrs[i] })
	l.addrs = l.addrs[:min(len(l.addrs), attemptAddrs)]

	results := make(chan error, len(l.addrs)+1)
	waiting := len(l.addrs)
	for _, addr := range l.addrs {
		c.wg.Go(func() { results <- c.meet(ctx, addr) })
	}
	if l.self && c.cfg.Myself != nil {
		waiting++
		c.wg.Go(func() { results <- c.meetSelf(ctx) })
	}
	met := c.table.met
	var grace <-chan time.Time
	for ; waiting > 0; waiting-- {
		select {
		case e := <-results:
			if refused(e) {
				return somebody, e
			}
			if l.isSelf(e) {
				continue
			}
			others = true
			if e != nil {
				err = e
			}
		case <-met:
			met, grace = nil, time.After(attemptGrace)
			waiting++
		case <-grace:
			return somebody, nil
		}
	}
	return l.finding(others, c.cfg.Myself != nil), err
}

// meetSelf checks that this node answers at its own address. It returns ErrSelf
// if so.
func (c *Cluster) meetSelf(ctx context.Context) error {
	if err := c.cfg.Myself(ctx, c.seeds.self.String()); err != nil {
		return fmt.Errorf("the node's own address is a seed: %w", err)
	}
	return ErrSelf
}

// meet performs the handshake with the node at addr and exchanges members with
// it. memberlist's part cannot be cancelled: when ctx ends, it goes on alone,
// for at most two TCP timeouts.
func (c *Cluster) meet(ctx context.Context, addr string) error {
	if c.cfg.Dial != nil {
		if err := c.cfg.Dial(ctx, addr); err != nil {
			return err
		}
	}
	joined := make(chan error, 1)
	c.wg.Go(func() {
		_, err := c.list.Join([]string{addr})
		joined <- err
	})
	select {
	case err := <-joined:
		if err == nil && !c.Met() { // it was this node, or a member with an invalid record
			err = fmt.Errorf("%s answered, but no member was met there", addr)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("join %s: %w", addr, ctx.Err())
	}
}

// refused reports whether err says that a seed refuses this node.
func refused(err error) bool {
	var r interface{ Refused() bool }
	return errors.As(err, &r) && r.Refused()
}

// jitter spreads d over ± 50 %, so that nodes that started together do not act
// together.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1)
}
