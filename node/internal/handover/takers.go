package handover

import (
	"fmt"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

const (
	takersPause   = 50 * time.Millisecond  // between two looks at a share
	takersIdle    = 200 * time.Millisecond // between two looks for one
	sharePatience = 2 * time.Second        // with a share of which nothing moves
	shareTurn     = 30 * time.Second       // the same, while it waits for its turn
	shareTries    = 4                      // of one partition, until it is left as it is
	shareMost     = 64                     // partitions at a time: requests for all others take no detour
)

// share is partitions that one member is to own for a while.
type share struct {
	to    cluster.Member
	parts []int
}

// FindTakers has sessions that the owners of their partitions cannot have, as those
// are of another release, go to members that can, until nothing is left or the driver
// stops. This node drains. It assigns a share of partitions after another to such a
// member, and each comes back to its owner when the sessions have moved.
func (d *Driver) FindTakers() {
	tries := map[int]int{} // by partition: shares in which not all has moved
	for turn := 0; d.holdsAny(); {
		next := d.nextShare(turn, tries)
		if err := d.env.Assign(next.to, next.parts); err != nil {
			return // it leaves
		}
		if len(next.parts) == 0 {
			if !lifetime.Pause(d.ctx, takersIdle) {
				return
			}
			continue
		}
		turn++
		d.env.Log.Debug("partitions are assigned", "peer", next.to.Name(), "partitions", len(next.parts))
		for _, part := range d.awaitShare(next) {
			tries[part]++
		}
	}
	_ = d.env.Assign(cluster.Member{}, nil)
}

// holdsAny reports whether anything is here, marks of renewed sessions included.
func (d *Driver) holdsAny() bool {
	for part := range d.parts {
		if d.table.Count(part) > 0 {
			return true
		}
	}
	return false
}

// nextShare returns partitions with sessions that their owners cannot have, and a member
// that can, another one at each turn if there are several.
func (d *Driver) nextShare(turn int, tries map[int]int) (next share) {
	r, others := d.env.Routes(), d.otherServers()
	if !d.allHeard(r.View) {
		return next
	}
	most := min(shareMost, d.env.AssignMost())
	for part, owner := range r.Placed {
		if len(next.parts) >= most {
			break
		}
		if owner == nil || tries[part] >= shareTries || d.table.Count(part) == 0 {
			continue
		}
		stuck := d.stuckIn(part, owner.Name(), others)
		able := slices.DeleteFunc(slices.Clone(others), func(m cluster.Member) bool {
			return slices.ContainsFunc(stuck, func(b burden) bool { return d.hopeless(b.final, b.needs, m.Name()) })
		})
		switch {
		case len(stuck) == 0 || len(able) == 0:
		case len(next.parts) == 0:
			next = share{able[turn%len(able)], []int{part}}
		case slices.ContainsFunc(able, next.to.Equal):
			next.parts = append(next.parts, part)
		}
	}
	return next
}

// allHeard reports whether all members have said what they were given: then they know
// of assignments too.
func (d *Driver) allHeard(view *cluster.View) bool {
	for _, m := range view.Members {
		if r := d.roster.Release(m.Name()); m.Name() != d.env.Name && (r == nil || r.OnlyNames()) {
			return false
		}
	}
	return true
}

// burden is what a session needs, and who has refused it for good.
type burden struct {
	needs engine.Needs
	final final
}

// stuckIn returns of a partition's sessions here those that its owner cannot have and
// another member can: of those that need the same one.
func (d *Driver) stuckIn(part int, owner string, others []cluster.Member) (all []burden) {
	finals := d.finalIn(part)
	if len(finals) == 0 && !d.roster.Lacks(owner) {
		return nil
	}
	known := map[string]bool{}
	ids, _ := d.table.IDs(part)
	for _, session := range ids {
		n, ok := d.table.Travels(part, session)
		f := finals[session]
		key := fmt.Sprint(n, f.by)
		if !ok || known[key] {
			continue
		}
		known[key] = true
		if !d.hopeless(f, n, owner) {
			continue
		}
		if slices.ContainsFunc(others, func(m cluster.Member) bool { return !d.hopeless(f, n, m.Name()) }) {
			all = append(all, burden{n, f})
		}
	}
	return all
}

// awaitShare waits until the sessions of a share have moved that are to, and returns the
// partitions where some have not, as the member takes no more or has gone.
func (d *Driver) awaitShare(s share) (left []int) {
	last, since := -1, time.Now()
	for {
		r, sessions, others := d.env.Routes(), 0, d.otherServers()
		left = left[:0]
		for _, part := range s.parts {
			if owner := r.Placed[part]; owner != nil && len(d.stuckIn(part, owner.Name(), others)) > 0 {
				left = append(left, part)
				sessions += d.table.Count(part)
			}
		}
		if sessions != last {
			last, since = sessions, time.Now()
		}
		patience := sharePatience
		if d.awaitsTurn(left, s.to.Name()) {
			patience = shareTurn
		}
		serves := slices.ContainsFunc(r.View.Serving(), s.to.Equal)
		if len(left) == 0 || !serves || time.Since(since) > patience || !lifetime.Pause(d.ctx, takersPause) {
			return left
		}
	}
}

// awaitsTurn reports whether one of some partitions has not been asked for by a member
// yet, or waits until others have been handed over.
func (d *Driver) awaitsTurn(parts []int, member string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.ContainsFunc(parts, func(part int) bool { return d.parts[part].listed || d.m.PulledBy(part) != member })
}
