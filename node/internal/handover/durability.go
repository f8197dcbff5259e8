package handover

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/standby"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// A Durability is what the driver knows of standbys at a moment.
type Durability struct {
	Standbys    int   // of other members' sessions here
	Bytes       int64 // that these take
	Replicated  int   // sessions here that have, or are to have, standbys
	Unprotected int   // of these: with fewer than they are to have
	Recovering  int   // partitions of this node of which it does not know all standbys, or has not made sessions of them
	Promoted    int64 // sessions that went on here from their standbys
	Records     int64 // that sessions here have made
}

// Durability counts. It looks at each replicated session, some at a time, unless brief.
func (d *Driver) Durability(brief bool) (c Durability) {
	if d.standbys == nil {
		return c
	}
	c.Standbys, c.Bytes = d.standbys.Count(), d.standbys.Bytes()
	c.Promoted, c.Records, c.Replicated = d.promotions.Load(), d.records.Load(), d.replicas.len()
	if !brief {
		c.Unprotected, c.Recovering = d.safety.count(d.countUnsafe)
	}
	return c
}

// A safety is the last count of what is not safe, for who asks again at once: a hundredth of the time goes into
// counting at most, however often one asks.
type safety struct {
	mu                      sync.Mutex // held while one counts, before Driver.mu
	next                    time.Time
	unprotected, recovering int
}

const safetyShare = 100

func (s *safety) count(count func() (unprotected, recovering int)) (unprotected, recovering int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if begun := time.Now(); !begun.Before(s.next) {
		s.unprotected, s.recovering = count()
		took := time.Since(begun)
		s.next = begun.Add(took * safetyShare)
	}
	return s.unprotected, s.recovering
}

// countUnsafe looks at each replicated session, some at a time.
func (d *Driver) countUnsafe() (unprotected, recovering int) {
	for part := range d.parts {
		list := d.replicas.list(part)
		d.mu.RLock()
		if !d.closed && d.recoversLocked(part) {
			recovering++
		}
		for _, rep := range list {
			rep.mu.Lock()
			if rep.r != nil && !rep.r.Ended && d.m.Kept(part, rep.r) < rep.r.Standbys {
				unprotected++
			}
			rep.mu.Unlock()
		}
		d.mu.RUnlock()
	}
	return unprotected, recovering
}

// Backlogs returns the members that have not answered what they were told about standbys.
func (d *Driver) Backlogs() []standby.Backlog {
	if d.speaker == nil {
		return nil
	}
	return d.speaker.Backlogs()
}

// recoversLocked reports whether sessions of lost nodes may still come into being here.
func (d *Driver) recoversLocked(part int) bool {
	if _, claims := d.m.Claiming(part); claims {
		return true
	}
	return d.m.Holds(part) && (!d.m.Full(part) || d.relicsLocked(part))
}

// AwaitRecovery waits until all sessions of lost nodes that are to go on here do so.
func (d *Driver) AwaitRecovery(ctx context.Context) error {
	if d.standbys == nil {
		return nil
	}
	for d.recovers() {
		if !lifetime.Pause(ctx, recoveryPause) {
			return fmt.Errorf("%w: sessions of lost nodes may still come back here", sessionproc.ErrUnavailable)
		}
	}
	return nil
}

func (d *Driver) recovers() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for part := 0; part < len(d.parts) && !d.closed; part++ {
		if d.recoversLocked(part) {
			return true
		}
	}
	return false
}

const recoveryPause = 20 * time.Millisecond
