package sessionproc

import (
	"math"
	"time"
)

// How often a session may get a new ID, unless its KindConfig says otherwise.
const (
	defaultRenewRate  = 1
	defaultRenewBurst = 10
)

// renewEvery is how long it takes to pay for one renewal.
func (c *KindConfig) renewEvery() time.Duration { return time.Second / time.Duration(c.RenewRate) }

// renewDebt is how much a session may owe that asks for another renewal.
func (c *KindConfig) renewDebt() time.Duration {
	return c.renewEvery() * time.Duration(min(c.RenewBurst, math.MaxInt32)-1)
}

// renewals is what a session owes for the renewals that it has had: each costs
// renewEvery, and time pays. It travels with the session from ID to ID, as each of
// them has a record of its own.
type renewals struct {
	owed time.Duration
	at   time.Duration // since epoch
}

func (r *renewals) left(now time.Duration) time.Duration { return max(0, r.owed-max(0, now-r.at)) }

// payRenewalLocked counts a renewal that is about to begin. The error is a *LimitError;
// what it refuses is not counted.
func (p *process) payRenewalLocked() error {
	cfg, r, now := &p.kind.cfg, &p.extra().rarities().renewals, time.Since(epoch)
	owed := r.left(now)
	if wait := owed - cfg.renewDebt(); wait > 0 {
		return &LimitError{limitRenewals, int64(cfg.RenewRate), wait}
	}
	*r = renewals{owed + cfg.renewEvery(), now}
	return nil
}

// owesLocked is what the session owes for renewals, as it travels.
func (p *process) owesLocked() time.Duration { return p.ext.rarely().renewals.left(time.Since(epoch)) }

// oweLocked has the session owe at least so much, if its kind here lets it.
func (p *process) oweLocked(owed time.Duration) {
	cfg, now := &p.kind.cfg, time.Since(epoch)
	owed = min(owed, cfg.renewDebt()+cfg.renewEvery())
	if owed > p.ext.rarely().renewals.left(now) {
		p.ext.rarities().renewals = renewals{owed, now}
	}
}
