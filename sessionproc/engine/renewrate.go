package engine

import (
	"math"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// renewEvery returns the time after which one renewal no longer counts.
func renewEvery(c *core.KindSettings) time.Duration { return time.Second / time.Duration(c.RenewRate) }

// renewDebt returns how much a session may owe at most to be renewed once more.
func renewDebt(c *core.KindSettings) time.Duration {
	return renewEvery(c) * time.Duration(min(c.RenewBurst, math.MaxInt32)-1)
}

// renewals limits the rate of renewals of one session. It is a token bucket, kept as the debt of
// past renewals: each adds renewEvery, and the debt decreases with time. A debt is one duration,
// which travels with the session from ID to ID and from node to node without a common clock.
type renewals struct {
	owed time.Duration
	at   time.Duration // since epoch
}

func (r *renewals) left(now time.Duration) time.Duration { return max(0, r.owed-max(0, now-r.at)) }

// payRenewalLocked counts a renewal that is about to begin. The error is a *LimitError. A refused
// renewal does not count.
func (p *process) payRenewalLocked() error {
	cfg, r, now := &p.Kind.Settings, &p.extra().rarities().renewals, time.Since(core.Epoch)
	owed := r.left(now)
	if wait := owed - renewDebt(cfg); wait > 0 {
		return &sessionproc.LimitError{Limit: core.LimitRenewals, Max: int64(cfg.RenewRate), RetryAfter: wait}
	}
	*r = renewals{owed + renewEvery(cfg), now}
	return nil
}

// owesLocked returns the session's debt for renewals, for its snapshot.
func (p *process) owesLocked() time.Duration {
	return p.ext.rarely().renewals.left(time.Since(core.Epoch))
}

// oweLocked raises the session's debt to at least owed, within what the kind on this node allows.
func (p *process) oweLocked(owed time.Duration) {
	cfg, now := &p.Kind.Settings, time.Since(core.Epoch)
	owed = min(owed, renewDebt(cfg)+renewEvery(cfg))
	if owed > p.ext.rarely().renewals.left(now) {
		p.ext.rarities().renewals = renewals{owed, now}
	}
}
