package node

import (
	"time"

	"github.com/sessionproc/sessionproc/node/ownership"
)

// pace says when the sessions of a partition that stay elsewhere, as this node
// has refused them, are asked for again.
type pace struct {
	next time.Time
	wait time.Duration
}

// Why a session was refused may not last: they are asked for again after
// firstAsk, and at growing intervals up to lastAsk. Starts in the partition wait
// meanwhile for a round trip.
const (
	firstAsk = time.Minute
	lastAsk  = 10 * time.Minute
)

func (d *driver) askAgainLocked() {
	now := time.Now()
	for part := range d.parts {
		keepers := d.m.Keepers(part)
		if len(keepers) == 0 {
			if len(d.asked) > 0 {
				delete(d.asked, part)
			}
			continue
		}
		p, known := d.asked[part]
		switch {
		case !known:
			p.wait = firstAsk
		case now.Before(p.next):
			continue
		default:
			for _, member := range keepers {
				d.turnLocked(part, func(m *ownership.Machine) []ownership.Effect { return m.AskAgain(part, member) })
			}
			p.wait = min(2*p.wait, lastAsk)
		}
		p.next = now.Add(p.wait)
		d.asked[part] = p
	}
}
