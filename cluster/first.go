package cluster

import (
	"errors"
	"time"
)

// A finding says what the seeds stand for, as far as an attempt has found out.
type finding uint8

const (
	somebody   finding = iota // other nodes, which may or may not answer; or unknown
	nobodyElse                // this node alone, and that will not change
	onlySelf                  // this node alone, so far
	nobodyYet                 // no node yet, not even this one
)

// finding classifies l. others says that an address may be another node's. patient says that
// names may lead to other nodes later.
func (l look) finding(others, patient bool) finding {
	switch {
	case others:
		return somebody
	case !patient || !l.vague:
		return nobodyElse
	case l.self:
		return onlySelf
	}
	return nobodyYet
}

// saw records the finding of an attempt.
func (f *first) saw(found finding, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case found != onlySelf:
		f.since = time.Time{}
	case f.since.IsZero():
		f.since = now
	}
}

// onlySelf reports whether the seeds have led to this node alone for at least
// d.
func (f *first) onlySelf(d time.Duration, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.since.IsZero() && now.Sub(f.since) >= d
}

// isSelf reports whether the result of dialling an address says that the
// address is this node's own. An address that leads here in another way, while
// this node's own address is not among the seeds, may belong to a balancer in
// front of many nodes and counts as another node.
func (l look) isSelf(err error) bool { return l.self && errors.Is(err, ErrSelf) }

// lookAgain handles the results of the rejoin loop: the seeds, the error of the
// look-up, and the errors of dialling. A node that is alone may turn out to be
// the first one.
func (c *Cluster) lookAgain(l look, unknown error, tries []error) {
	if !c.alone.Load() || c.Met() {
		return
	}
	others := unknown != nil || len(tries) <= len(l.addrs) // some were not dialled
	for _, err := range tries {
		others = others || !l.isSelf(err)
	}
	now := time.Now()
	found := l.finding(others, true)
	c.first.saw(found, now)
	if found == nobodyElse || c.cfg.MayBeFirst && c.first.onlySelf(c.cfg.JoinTimeout, now) {
		c.alone.Store(false)
		c.log.Info("the seeds lead to this node alone: it is the first one", "seeds", c.cfg.Join)
	}
}
