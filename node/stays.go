package node

import (
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/ownership"
)

// pace says when the sessions of a partition that stay elsewhere, as this node
// has refused them, are asked for again.
type pace struct {
	next time.Time
	wait time.Duration
	soon bool // it began with soonAsk
}

// Why a session was refused may not last: they are asked for again at growing intervals.
// Starts in the partition wait meanwhile for a round trip. Where the cause was that there
// is no room, or a copy of the session is at a second place, the first interval is
// soonAsk: for room, this node looks before it asks.
const (
	firstAsk = time.Minute
	lastAsk  = 10 * time.Minute
	soonAsk  = time.Second
	lateAsk  = 10 * time.Second // the longest interval where there was no room
)

func (d *driver) askAgainLocked() {
	now := time.Now()
	for part := range d.parts {
		keepers := d.m.Keepers(part)
		if len(keepers) == 0 {
			if len(d.asked) > 0 {
				delete(d.asked, part)
			}
			d.parts[part].refused = nil
			continue
		}
		soon, due, longest := d.urgentLocked(part)
		p, known := d.asked[part]
		switch {
		case soon && !p.soon:
			p = pace{now.Add(soonAsk), soonAsk, true}
		case !known:
			p = pace{now.Add(firstAsk), firstAsk, false}
		case now.Before(p.next):
			continue
		case soon && !due:
			p.next = now.Add(soonAsk)
		default:
			for _, member := range keepers {
				d.turnLocked(part, func(m *ownership.Machine) []ownership.Effect { return m.AskAgain(part, member) })
			}
			p.wait = min(2*p.wait, longest)
			p.next = now.Add(p.wait)
		}
		d.asked[part] = p
	}
}

// urgentLocked says of sessions that stay elsewhere whether some are to be asked for soon,
// whether now, and at what intervals at most.
func (d *driver) urgentLocked(part int) (soon, now bool, longest time.Duration) {
	longest = lastAsk
	for _, s := range d.m.Stays(part) {
		r := d.parts[part].refused[s.Session]
		switch {
		case d.n.table.Has(part, s.Session):
			soon, now = true, true
		case r.from == s.Member && !slices.Contains(r.names, isFinal):
			soon, longest = true, lateAsk
			now = now || d.n.table.HasRoom(r.kind)
		}
	}
	return soon, now, longest
}
