package cluster

import (
	"errors"
	"sync"
	"time"
)

// A finding is what the seeds stand for, as far as an attempt has found out.
type finding uint8

const (
	somebody   finding = iota // others, whether they answer or not, or it is not known
	nobodyElse                // this node, for good
	onlySelf                  // this node, so far
	nobodyYet                 // so far not even this node
)

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

// first remembers since when the seeds have led to this node alone. Safe for
// concurrent use.
type first struct {
	mu    sync.Mutex // guards since
	since time.Time  // zero: they do not
}

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

// onlySelf reports whether they have for so long.
func (f *first) onlySelf(d time.Duration, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.since.IsZero() && now.Sub(f.since) >= d
}

// isSelf says of what came of dialling an address whether it is this node's own. What
// leads here by another way, and is not beside the own address, may be a balancer in front
// of many: it is somebody.
func (l look) isSelf(err error) bool { return l.self && errors.Is(err, ErrSelf) }

// lookAgain is told by the rejoin loop what the seeds stand for now, what could not be
// looked up, and what came of dialling: a node that is alone may turn out to be the first
// one.
func (c *Cluster) lookAgain(l look, unknown error, tries []error) {
	if !c.alone.Load() || c.Met() {
		return
	}
	others := unknown != nil || len(tries) <= len(l.addrs) // not all were dialled
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
