package node

import (
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// pace says when the sessions of a partition that stay elsewhere, as this node
// has refused them, are asked for again.
type pace struct {
	next time.Time
	wait time.Duration
	soon bool      // it began with soonAsk
	look time.Time // when to look whether it is to be sooner: many take a while
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
			d.parts[part].refused, d.parts[part].second = nil, false
			continue
		}
		p, known := d.asked[part]
		if now.Before(p.look) && now.Before(p.next) {
			continue
		}
		stays := d.m.Stays(part)
		soon, due, longest := d.urgentLocked(part, stays)
		p.look = now.Add(soonAsk + time.Duration(len(stays))*time.Millisecond)
		switch {
		case soon && !p.soon:
			p.next, p.wait, p.soon = now.Add(soonAsk), soonAsk, true
		case !known:
			p.next, p.wait = now.Add(firstAsk), firstAsk
		case now.Before(p.next):
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
func (d *driver) urgentLocked(part int, stays []ownership.Stay) (soon, now bool, longest time.Duration) {
	longest, d.parts[part].second = lastAsk, false
	at := make(map[string]bool, len(stays)) // the sessions
	for _, s := range stays {
		r := d.parts[part].refused[s.Session]
		two := at[s.Session]
		at[s.Session] = true
		switch {
		case two, d.n.table.Has(part, s.Session):
			soon, now, d.parts[part].second = true, true, true
		case r.from == s.Member && !slices.Contains(r.names, isFinal):
			soon, longest = true, lateAsk
			now = now || d.n.table.HasRoom(r.kind)
		}
	}
	return soon, now, longest
}
