package cluster

import (
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	missingFor  = 24 * time.Hour // how long a vanished member is tried again
	missingMost = 256            // bounds the missing members; the oldest is dropped first

	// farewell is how long a member stays present after its record says leaving. It
	// disappears earlier if memberlist says so, but memberlist sends that message
	// only once, and it may be lost (see announce).
	farewell = time.Second
)

func newTable(self string, hellos *Hellos) *table {
	t := &table{
		self:    self,
		hellos:  hellos,
		strange: make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
		met:     make(chan struct{}),
		present: map[string]record{},
		missing: map[string]lost{},
		leavers: map[string]lost{},
		gone:    map[string]time.Time{},
	}
	t.view.Store(&View{})
	if hellos != nil {
		hellos.report(t.meet)
	}
	return t
}

// put records a member that has joined or has changed.
func (t *table) put(r record) {
	changed, counts, leavers := t.putAndPublish(r)
	for _, name := range leavers {
		time.AfterFunc(farewell, func() { t.remove(name) })
	}
	if !counts {
		wake(t.strange)
	}
	if changed {
		t.publish(r.Name(), counts)
	}
}

// publish announces a new view, in which the named member has changed. The
// caller holds no lock.
func (t *table) publish(name string, counts bool) {
	if counts && name != t.self {
		t.meeting.Do(func() { close(t.met) })
	}
	wake(t.changed)
}

func (t *table) putAndPublish(r record) (changed, counts bool, leavers []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.frozen {
		return false, true, nil
	}
	r.met = t.present[r.Name()].met || t.hellos.lately(r.Name())
	return t.putLocked(r), t.counts(r), t.leaversLocked(r)
}

// leaversLocked returns the members that have certainly left, now that r is
// known: r itself if it says so, and a draining member at whose address a later
// boot listens now. A node that joins may hear of the latter from a member that
// missed its leave.
func (t *table) leaversLocked(r record) (names []string) {
	if r.leaving {
		names = append(names, r.Name())
	}
	for name, other := range t.present {
		if other.Addr != r.Addr || other.Boot == r.Boot {
			continue
		}
		former, later := other, r
		if r.Boot < other.Boot {
			former, later, name = r, other, r.Name()
		}
		if former.State == Draining && t.counts(later) {
			names = append(names, name)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == t.self })
}

// putLocked stores r and reports whether that makes a new view.
func (t *table) putLocked(r record) bool {
	name := r.Name()
	old, known := t.present[name]
	t.present[name] = r
	for other, l := range t.missing { // former boots of the slot will not come back
		if l.Slot == r.Slot && l.Boot <= r.Boot && t.counts(r) {
			delete(t.missing, other)
		}
	}
	if known && old.Equal(r.Member) && old.met == r.met {
		return false
	}
	t.publishLocked()
	return true
}

// setSelf changes this node's own record. The caller wakes the reader of
// changed.
func (t *table) setSelf(m meta) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.present[t.self]; !t.frozen {
		t.putLocked(record{meta: m, gossip: r.gossip, met: r.met})
	}
}

// remove records that a member is gone. It counts as missing unless it has
// left.
func (t *table) remove(name string) {
	if t.removeAndPublish(name) {
		wake(t.changed)
	}
}

func (t *table) removeAndPublish(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, known := t.present[name]
	if !known || t.frozen {
		return false
	}
	delete(t.present, name)
	t.rememberGoneLocked(name)
	t.rememberLeaverLocked(r)
	if !r.leaving && name != t.self && t.counts(r) {
		t.rememberLocked(r)
	}
	t.publishLocked()
	return true
}

// rememberLocked adds a member to the missing ones, unless a later boot has replaced it.
func (t *table) rememberLocked(r record) {
	for _, other := range t.present {
		if other.Slot == r.Slot && other.Boot > r.Boot && t.counts(other) {
			return // replaced
		}
	}
	if len(t.missing) >= missingMost {
		oldest := slices.MinFunc(slices.Collect(maps.Values(t.missing)), func(a, b lost) int {
			return a.since.Compare(b.since)
		})
		delete(t.missing, oldest.Name())
	}
	t.missing[r.Name()] = lost{record: r, since: time.Now()}
}

// forget records that a member which counted as missing has left.
func (t *table) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.missing, name)
}

// freeze makes the current view the last one.
func (t *table) freeze() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frozen = true
}

// publishLocked stores a new view.
func (t *table) publishLocked() {
	v := &View{Version: t.view.Load().Version + 1, Members: make([]Member, 0, len(t.present))}
	for _, r := range t.present {
		if t.counts(r) {
			v.Members = append(v.Members, r.Member)
		} else {
			v.Strangers = append(v.Strangers, r.Member)
		}
	}
	slices.SortFunc(v.Members, compareMembers)
	slices.SortFunc(v.Strangers, compareMembers)
	t.view.Store(v)
}

// hasMet reports whether another member was ever seen.
func (t *table) hasMet() bool {
	select {
	case <-t.met:
		return true
	default:
		return false
	}
}

// isMissing reports whether the member has vanished without leaving.
func (t *table) isMissing(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.missing[name]
	return ok
}

// lostAddrs returns the gossip addresses of missing members. It drops members
// that have been missing for too long.
func (t *table) lostAddrs() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var addrs []string
	for name, l := range t.missing {
		if time.Since(l.since) > missingFor {
			delete(t.missing, name)
			continue
		}
		addrs = append(addrs, l.gossip)
	}
	return addrs
}

// presentAddrs returns the gossip addresses of the present members.
func (t *table) presentAddrs() map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	addrs := make(map[string]bool, len(t.present))
	for _, r := range t.present {
		if t.counts(r) {
			addrs[r.gossip] = true
		}
	}
	return addrs
}

// leaverFor is how long memberlist goes on looking for a member that has left.
const leaverFor = 30 * time.Second

// rememberLeaverLocked records a member that went as it had announced.
func (t *table) rememberLeaverLocked(r record) {
	for name, l := range t.leavers {
		if time.Since(l.since) > leaverFor || len(t.leavers) >= missingMost {
			delete(t.leavers, name)
		}
	}
	if r.leaving || r.State == Draining {
		t.leavers[r.Name()] = lost{record: r, since: time.Now()}
	}
}

// ofLeaver reports whether a line names a member, or the address of one, that
// leaves or has just left.
func (t *table) ofLeaver(line string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := func(r record) bool { return strings.Contains(line, r.Name()) || strings.Contains(line, r.gossip) }
	for _, r := range t.present {
		if (r.leaving || r.State == Draining) && r.Name() != t.self && names(r) {
			return true
		}
	}
	for _, l := range t.leavers {
		if time.Since(l.since) <= leaverFor && names(l.record) {
			return true
		}
	}
	return false
}

// counts reports whether r is the record of a member, and not of a stranger.
// The caller holds mu, or owns r alone.
func (t *table) counts(r record) bool {
	return t.hellos == nil || !r.vouches || r.met || r.Name() == t.self
}

// meet records that a member was met, so that a stranger becomes a member. It
// ignores a name that is not in the gossip.
func (t *table) meet(name string) {
	if t.meetAndPublish(name) {
		t.publish(name, true)
	}
}

func (t *table) meetAndPublish(name string) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, known := t.present[name]
	if !known || t.frozen || r.met {
		return false
	}
	r.met = true
	return t.putLocked(r)
}

const (
	goneFor  = 10 * time.Minute // far longer than the news that a member is gone takes to spread
	goneMost = 4096             // bounds the remembered names
)

// rememberGoneLocked records that a member is gone. If its name appears again,
// the member must be met anew: another member that still counts it may only not
// have heard that it is gone.
func (t *table) rememberGoneLocked(name string) {
	if t.hellos == nil {
		return
	}
	t.hellos.forget(name)
	for other, since := range t.gone {
		if time.Since(since) > goneFor || len(t.gone) >= goneMost {
			delete(t.gone, other)
		}
	}
	t.gone[name] = time.Now()
}
