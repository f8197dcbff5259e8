package handover

import (
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A member that comes back after it was taken for dead may have old copies of sessions
// that have ended here meanwhile, and it may be their owner, which asks nobody. So this node
// tells the owners of what it remembers of such ends, as tombstones: the copies that these
// overrule end too.

const (
	missedFor = time.Hour       // as long as ends are remembered
	detection = time.Minute     // more than it takes to see that a member is gone
	tellPause = time.Second     // after a member has come back: others come too
	tellFor   = 2 * time.Minute // from then on; who owns what is known by then
	tellSome  = 4 * turnsAtOnce // ends at once
)

// miss notes that a member has gone.
func (u *untold) miss(name string) { put(&u.missed, name, time.Now()) }

// returns notes that a member is there.
func (u *untold) returns(name string) {
	gone, was := u.missed[name]
	if !was {
		return
	}
	delete(u.missed, name)
	if u.back = time.Now(); u.since.IsZero() || gone.Before(u.since) {
		u.since = gone
	}
}

// tellLocked tells owners of ends, a few at a time.
func (d *Driver) tellLocked() {
	u, now := &d.untold, time.Now()
	if !u.since.IsZero() && now.Sub(u.back) > tellPause {
		u.graves = map[int][]grave{}
		d.table.EachFormer(now.Sub(u.since)+detection, func(id string, tombstone engine.Version) {
			part := d.routes.Ring.Partition(id)
			u.graves[part] = append(u.graves[part], grave{id, tombstone})
		})
		u.since = time.Time{}
	}
	left := tellSome
	for part, graves := range u.graves {
		if left <= 0 {
			return
		}
		if owner := d.seen.Owners[part]; owner == "" || owner == d.env.Name || d.m.Holds(part) {
			continue // this node takes care that nothing comes back, or is about to be asked for the partition
		}
		n := min(left, len(graves))
		d.tellOfLocked(part, graves[:n])
		left -= n
		if u.graves[part] = graves[n:]; n == len(graves) {
			delete(u.graves, part)
		}
	}
	if now.Sub(u.back) > tellFor {
		u.graves = nil
	}
}

// tellOfLocked tells the owner of a partition of ends.
func (d *Driver) tellOfLocked(part int, graves []grave) {
	pt := &d.parts[part]
	names, tombs := make([]string, 0, len(graves)), make(map[string]engine.Version, len(graves))
	for _, g := range graves {
		if _, backup := pt.backups[g.id]; !backup && !d.table.Has(part, g.id) {
			names = append(names, g.id)
			tombs[g.id] = g.tombstone
		}
	}
	d.turnLocked(part, func(m *ownership.Machine) []ownership.Effect {
		told, effects := m.Remember(part, names)
		for _, id := range told {
			if _, known := pt.tombs[id]; !known {
				put(&pt.late, id, true)
			}
			put(&pt.tombs, id, pt.tombs[id].Join(tombs[id]))
		}
		return effects
	})
}

// ageMissed forgets members that have been away for long.
func (u *untold) ageMissed() {
	for name, gone := range u.missed {
		if time.Since(gone) > missedFor {
			delete(u.missed, name)
		}
	}
}
