package handover

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/route"
)

// FormerFor is how long members that are gone are remembered.
const FormerFor = 10 * time.Minute

// HandleView handles a new view of the cluster.
func (d *Driver) HandleView(r *route.Routes) {
	d.mu.Lock()
	last := d.routes
	d.routes = r
	d.changing.Store(true)
	if last != nil {
		d.missLocked(last.View, r.View)
		d.ownedLocked(last, r)
	}
	for _, m := range r.View.Members {
		if last == nil || !last.Sees(m.Name()) {
			d.came[m.Name()] = time.Now()
		}
	}
	d.viewLocked()
	d.unlock()
	lifetime.Signal(d.again)
}

// missLocked records the members that are no longer in the view. A member that
// was draining has left. Any other one has died or seems to have died.
func (d *Driver) missLocked(last, next *cluster.View) {
	here := make(map[string]bool, len(next.Members))
	for _, m := range next.Members {
		here[m.Name()] = true
	}
	for _, m := range last.Members {
		f := former{level: ownership.Dead, addr: m.Addr, since: time.Now(), standbys: m.Standbys}
		switch {
		case here[m.Name()] || m.State == cluster.Joining || d.evicted[m.Name()]:
			continue
		case m.State == cluster.Draining:
			f.level = ownership.Left
		}
		d.former[m.Name()] = f
	}
	for _, m := range next.Members {
		d.untold.returns(m.Name())
		delete(d.former, m.Name())
	}
	for _, m := range last.Members {
		if f, gone := d.former[m.Name()]; gone && f.level == ownership.Dead {
			d.untold.miss(m.Name())
		}
	}
}

// ageLocked turns dead members into gone ones once TakeoverDelay is over, and
// forgets members after formerFor. It reports whether the machine's view has
// changed.
func (d *Driver) ageLocked() (changed bool) {
	d.untold.ageMissed()
	maps.DeleteFunc(d.came, func(_ string, at time.Time) bool { return time.Since(at) > FormerFor })
	for name, f := range d.former {
		switch age := time.Since(f.since); {
		case age > FormerFor && !d.evicted[name]:
			delete(d.former, name)
			changed = true
		case f.level == ownership.Dead && age >= d.env.TakeoverDelay:
			f.level = ownership.Gone
			d.former[name] = f
			changed = true
		}
	}
	return changed
}

// takeoverLocked returns how long it is until the next dead member is gone.
func (d *Driver) takeoverLocked() time.Duration {
	next := time.Duration(math.MaxInt64)
	for _, f := range d.former {
		if f.level == ownership.Dead {
			next = min(next, d.env.TakeoverDelay-time.Since(f.since))
		}
	}
	return max(next, time.Millisecond)
}

// viewLocked passes the present view to the machine if it differs from the last
// one. An older boot of a slot counts as draining: its sessions must move to
// the new one, if it still lives.
func (d *Driver) viewLocked() {
	if d.closed || d.routes == nil {
		return
	}
	r := d.routes
	addrs := map[string]string{}
	v := ownership.View{NoQuorum: !d.env.HasQuorum(), Standbys: d.env.Standbys, Heirs: r.Heirs}
	for _, m := range r.View.Members {
		addrs[m.Name()] = m.Addr
		level := ownership.Serving
		if newest, ok := r.View.Find(m.Slot); m.State == cluster.Draining || ok && newest.Boot != m.Boot {
			level = ownership.Draining
		}
		if m.State != cluster.Joining {
			v.Members = append(v.Members, ownership.Seen{Name: m.Name(), Level: level, Standbys: m.Standbys})
		}
	}
	for name, f := range d.former {
		addrs[name] = f.addr
		v.Members = append(v.Members, ownership.Seen{Name: name, Level: f.level, Standbys: f.standbys})
	}
	slices.SortFunc(v.Members, func(a, b ownership.Seen) int { return strings.Compare(a.Name, b.Name) })
	v.Owners = make([]string, len(r.Owners))
	for part, p := range r.Owners {
		if p != nil {
			v.Owners[part] = p.Name()
		}
	}
	d.addrs.Store(&addrs)
	if r.SameHeirs(d.inherits) && d.seen.NoQuorum == v.NoQuorum && slices.Equal(d.seen.Members, v.Members) &&
		slices.Equal(d.seen.Owners, v.Owners) {
		return
	}
	d.seen, d.inherits = v, r
	d.keepersLocked(&v)
	d.turnLocked(ownership.NoPartition, func(m *ownership.Machine) []ownership.Effect { return m.View(v) })
}

// ownedLocked records the previous owner of each partition that has a new one.
func (d *Driver) ownedLocked(last, next *route.Routes) {
	if d.owned == nil {
		d.owned = make([]*route.Peer, len(next.Owners))
	}
	for part, p := range last.Owners {
		if now := next.Owners[part]; p != nil && (now == nil || p.Name() != now.Name()) {
			d.owned[part] = p
		}
	}
}

// keepersLocked looks at what a view means for standbys. Nothing comes any more of what members that are gone have
// reported, or were told. While a member is there that keeps none, there are none.
func (d *Driver) keepersLocked(v *ownership.View) {
	if d.keepers = 0; !v.Standbys {
		return
	}
	var gone []string
	stops := false
	for _, m := range v.Members {
		switch present := m.Level == ownership.Serving || m.Level == ownership.Draining; {
		case m.Name == d.env.Name:
		case present && !m.Standbys:
			stops = true
		case m.Level == ownership.Serving && m.Standbys:
			d.keepers++
		case m.Level == ownership.Gone || m.Level == ownership.Left:
			gone = append(gone, m.Name)
			d.speaker.Forget(m.Name)
		}
	}
	for i := range d.parts {
		if d.parts[i].reports.forget(gone); stops {
			d.parts[i].reports = reports{}
		}
	}
	d.tending.due(ownership.NoPartition)
}
