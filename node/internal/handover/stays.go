package handover

import (
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// The cause of a refusal may pass, so this node asks again, at growing intervals. Each time, starts
// in the partition wait for a round trip. If the cause was that there is no room, or if the session
// has a second copy elsewhere, the first interval is soonAsk. For lack of room this node asks only
// once it has room.
const (
	firstAsk = time.Minute
	lastAsk  = 10 * time.Minute
	soonAsk  = time.Second
	lateAsk  = 10 * time.Second // the longest interval after a lack of room
)

// askAgainLocked asks again for sessions that stay elsewhere, where it is time.
func (d *Driver) askAgainLocked() {
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
				d.turnLocked(part, func(m *ownership.Machine) []ownership.Effect {
					return m.AskAgain(part, member)
				})
			}
			p.wait = min(2*p.wait, longest)
			p.next = now.Add(p.wait)
		}
		d.asked[part] = p
	}
}

// urgentLocked reports, for sessions that stay elsewhere, whether to ask for
// some of them soon, whether to ask now, and the longest interval.
func (d *Driver) urgentLocked(part int, stays []ownership.Stay) (soon, now bool, longest time.Duration) {
	longest, d.parts[part].second = lastAsk, false
	at := make(map[string]bool, len(stays)) // the sessions
	for _, s := range stays {
		r := d.parts[part].refused[s.Session]
		two := at[s.Session]
		at[s.Session] = true
		switch {
		case two, d.table.Has(part, s.Session):
			soon, now, d.parts[part].second = true, true, true
		case r.from == s.Member && !slices.Contains(r.names, isFinal):
			soon, longest = true, lateAsk
			now = now || d.table.HasRoom(r.kind)
		}
	}
	return soon, now, longest
}
