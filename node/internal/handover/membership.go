package handover

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
)

// Ready reports whether the machine has joined the others, and the driver works.
func (d *Driver) Ready() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.readyLocked()
}

func (d *Driver) readyLocked() bool { return !d.closed && d.m != nil && d.m.Ready() }

// Present returns the names of the members that the machine sees; false: it is not ready.
func (d *Driver) Present() (names []string, ready bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if !d.readyLocked() {
		return nil, false
	}
	return d.m.Present(), true
}

// Bootstrap begins a cluster of this node.
func (d *Driver) Bootstrap() {
	d.Turn(ownership.NoPartition, func(m *ownership.Machine) []ownership.Effect { return m.Bootstrap() })
}

// Welcome tells the machine whom a member that serves sees.
func (d *Driver) Welcome(names []string) {
	d.Turn(ownership.NoPartition, func(m *ownership.Machine) []ownership.Effect { return m.Welcome(names) })
}

// Knows reports whether a member is seen, or was put out.
func (d *Driver) Knows(name string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.evicted[name] || d.routes.Sees(name)
}

// PutOut has members counted as gone for good. The caller then has the view of the cluster
// put into effect again.
func (d *Driver) PutOut(names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		if name != d.env.Name {
			put(&d.evicted, name, true)
			d.former[name] = former{level: ownership.Gone, addr: d.Addr(name), since: time.Now()}
		}
	}
}

// Evicted returns the names of the members that were put out.
func (d *Driver) Evicted() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Collect(maps.Keys(d.evicted))
}

// IsEvicted reports whether a member was put out.
func (d *Driver) IsEvicted(name string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.evicted[name]
}

// Inherited returns how many partitions of a member that has gone have fallen to this node, and of how many of
// these it does not serve all sessions yet. left is negative if the member is back.
func (d *Driver) Inherited(member string) (parts, left int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed || d.routes == nil || d.owned == nil {
		return 0, 0
	}
	if _, gone := d.former[member]; !gone && d.routes.Sees(member) {
		return 0, -1
	}
	for part, owner := range d.routes.Owners {
		before := d.owned[part]
		if before == nil || before.Name() != member || owner == nil || owner.Name() != d.env.Name {
			continue
		}
		parts++
		if !d.m.Holds(part) || d.standbys != nil && d.recoversLocked(part) {
			left++
		}
	}
	return parts, left
}

// Admitted is view without the members that were put out.
func (d *Driver) Admitted(view *cluster.View) *cluster.View {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := func(m cluster.Member) bool { return d.evicted[m.Name()] }
	if !slices.ContainsFunc(view.Members, out) {
		return view
	}
	return &cluster.View{Version: view.Version, Members: slices.DeleteFunc(slices.Clone(view.Members), out)}
}

// OthersSince returns the addresses of all other members by name, including
// those lost since then.
func (d *Driver) OthersSince(since time.Time) map[string]string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	others := map[string]string{}
	if d.routes == nil {
		return others
	}
	for _, m := range d.routes.View.Members {
		if m.Name() != d.env.Name && m.State != cluster.Joining {
			others[m.Name()] = m.Addr
		}
	}
	for name, f := range d.former {
		if f.level != ownership.Left && f.since.After(since) {
			others[name] = f.addr
		}
	}
	return others
}

// Returned says what became of a member whose process may have stood still. always: it was
// seen for all of that time, which began so long ago. back: it counted as dead and has returned, and nothing of its
// partitions is left here. Neither: something of them is left here, or it is not seen. Of a member
// that was apart only the latter counts.
func (d *Driver) Returned(member string, ago time.Duration, apart bool) (always, back bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, ok := d.came[member]; d.routes == nil || !d.routes.Sees(member) || d.former[member].addr != "" {
		return false, false
	} else if !apart && (!ok || time.Since(at) > ago) {
		return true, false
	}
	for part, owner := range d.routes.Owners {
		if owner == nil || owner.Name() != member {
			continue
		}
		d.countLocked(part)
		if pt := &d.parts[part]; pt.counted || len(pt.sealed) > 0 || d.m.Holds(part) {
			return false, false
		}
	}
	return false, true
}

// Strays reports whether sessions are here that are to go to other members, which own their partitions.
func (d *Driver) Strays() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for part := range d.parts {
		if d.countLocked(part); d.m.Strays(part) {
			return true
		}
	}
	return false
}

// WaitingFor returns the members that have not answered to claims, and to how many.
func (d *Driver) WaitingFor() map[string]int {
	count := map[string]int{}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for part := range d.parts {
		if names, claiming := d.m.Claiming(part); claiming {
			for _, name := range names {
				if !d.asksLastLocked(part, name) {
					count[name]++
				}
			}
		}
	}
	return count
}

// A Part is what the machine says of a partition.
type Part struct {
	Full      bool // this node has it, and nothing of it is elsewhere
	Holds     bool // this node has it
	Claims    bool // this node has asked the others for it
	HandsOver bool // this node gives what it has of it to another one
}

// Part returns what the machine says of a partition.
func (d *Driver) Part(part int) (p Part) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.partLocked(part)
}

// EachPart calls f for each partition with what the machine says of it, at one moment. f must not call the
// driver.
func (d *Driver) EachPart(f func(part int, p Part)) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for part := range d.parts {
		f(part, d.partLocked(part))
	}
}

func (d *Driver) partLocked(part int) (p Part) {
	p.Full, p.Holds = d.m.Full(part), d.m.Holds(part)
	_, p.Claims = d.m.Claiming(part)
	_, _, p.HandsOver = d.m.HandingOver(part)
	return p
}

// A LostMember is a member that has gone without a good-bye.
type LostMember struct {
	Name, Addr string
	Since      time.Time
}

// Lost returns the members that were taken for dead in the last FormerFor and have not come back. Those that
// were put out are none.
func (d *Driver) Lost() (all []LostMember) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for name, f := range d.former {
		if f.level != ownership.Left && !d.evicted[name] {
			all = append(all, LostMember{name, f.addr, f.since})
		}
	}
	return all
}

// MayLeave reports whether nothing is here any more, and the members that stay know one
// another.
func (d *Driver) MayLeave() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.abandoned && d.table.Total() > 0 {
		return false
	}
	for i := range d.parts {
		d.countLocked(i)
	}
	return d.m.MayLeave()
}

// Stuck returns how many sessions are sealed whose handler still runs.
func (d *Driver) Stuck() (n int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for i := range d.parts {
		for _, h := range d.parts[i].sealed {
			if h.state.Load() == isSealed {
				n++
			}
		}
	}
	return n
}

// Abandon ends the sessions that are here and were not sent, and returns their
// number.
func (d *Driver) Abandon() int {
	d.Turn(ownership.NoPartition, func(m *ownership.Machine) []ownership.Effect {
		d.abandoned = true
		return m.Abandon()
	})
	return int(d.ended.Load())
}

// Remains says what the driver keeps of moves and of members that are gone; "" if nothing.
func (d *Driver) Remains() (what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keeps := func(name string, number int) {
		if number != 0 {
			what += fmt.Sprintf("%s: %d\n", name, number)
		}
	}
	for i := range d.parts {
		pt := &d.parts[i]
		keeps("sealed", len(pt.sealed))
		keeps("backups", len(pt.backups))
		keeps("tombs", len(pt.tombs))
		keeps("wanted", len(pt.wanted))
		keeps("away", pt.away)
		keeps("buried", len(pt.buried))
	}
	for to := range d.lanes {
		if d.Addr(to) == "" {
			keeps("lane to "+to, 1)
		}
	}
	keeps("bytes", int(d.bytes.Load()))
	keeps("handing", d.handing+len(d.first)+len(d.unready)+len(d.todo))
	keeps("former", len(d.former))
	keeps("came", len(d.came))
	keeps("asked", len(d.asked))
	keeps("later", len(d.later))
	return what
}
