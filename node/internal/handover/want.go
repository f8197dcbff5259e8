package handover

import (
	"maps"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

const (
	askPause = 200 * time.Millisecond // between two questions about one session
	maxAsked = 256                    // remembered questions of a partition
)

// Waits reports whether a request for the session has to wait here.
func (d *Driver) Waits(part int, id string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return false
	}
	place := d.m.Who(part, id).Place
	return place == ownership.Wait || place == ownership.Nowhere && d.hasRelicLocked(part, id) || d.table.PausedBy() != nil
}

// Settled implements engine.Gate.
func (d *Driver) Settled(part int, id string) bool {
	d.mu.RLock()
	comes := !d.closed && d.m != nil && d.m.MayCome(part, id)
	d.mu.RUnlock()
	if comes {
		d.want(part, strings.Clone(id))
	}
	return !comes
}

// want asks other members for a session that a request waits for, at most every
// askPause.
func (d *Driver) want(part int, id string) {
	d.mu.RLock()
	last, asked := d.parts[part].asked[id]
	holds := d.m.Holds(part)
	d.mu.RUnlock()
	if !holds || asked && time.Since(last) < askPause {
		return
	}
	d.Turn(part, func(m *ownership.Machine) []ownership.Effect {
		d.parts[part].noteAsked(id, time.Now())
		return m.Want(part, id)
	})
}

// noteAsked records that other members were asked for a session. Records are
// dropped after askPause. If there are too many, further sessions may be asked
// for more often.
func (pt *driven) noteAsked(id string, now time.Time) {
	if len(pt.asked) >= maxAsked {
		maps.DeleteFunc(pt.asked, func(_ string, at time.Time) bool { return now.Sub(at) >= askPause })
	}
	if len(pt.asked) < maxAsked {
		put(&pt.asked, id, now)
	}
}

// Before returns the address of the previous owner of a partition, or "". Until
// this node has all of the partition, that member serves the sessions that it
// has not sealed, and requests for them need not wait. Only a start is served
// here, once this node holds the partition.
func (d *Driver) Before(part int, op engine.Op) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.owned[part]
	if d.closed || p == nil || op.Starts() && d.m.Holds(part) || p.Remote == nil || d.m.Full(part) ||
		!d.routes.Sees(p.Name()) {
		return ""
	}
	return p.Addr
}
