package cluster

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	missingFor  = 24 * time.Hour // how long a vanished member is tried again
	missingMost = 256            // and how many of them; the oldest gives way

	// farewell is how long a member is present after it has said good-bye. It is
	// gone earlier if memberlist says so; that news is told once and may be lost
	// (see announce).
	farewell = time.Second
)

// table is what we know of the members. memberlist tells it under its own lock, so
// its methods only compute: no logging, no waiting, no call back.
type table struct {
	self   string  // own name
	hellos *Hellos // nil: everybody counts unmet

	view    atomic.Pointer[View]
	changed chan struct{} // holds one token when view is newer than the last look
	met     chan struct{} // closed when the first other member was seen
	meeting sync.Once     // closes it
	strange chan struct{} // holds one token when a stranger has come since the last look

	mu      sync.Mutex // guards what follows
	present map[string]record
	missing map[string]lost
	gone    map[string]time.Time // who was removed lately, and when: see strangers
	leavers map[string]lost      // that have said good-bye, or were draining, lately
	frozen  bool                 // closed: what lingering timers of memberlist say no longer counts
}

type record struct {
	meta
	gossip string // IP:port of its gossip
	met    bool   // by us or, on its word, by another member, since it is present
}

type lost struct {
	record
	since time.Time
}

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

// publish tells of a new view, in which a member has changed. The caller holds no lock.
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

// leaversLocked names who has left for sure, now that r is known: who says so, and
// who was draining where a later boot listens now. Of the latter a node may hear
// when it joins, from a member that missed the good-bye.
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

// putLocked says whether there is a new view.
func (t *table) putLocked(r record) bool {
	name := r.Name()
	old, known := t.present[name]
	t.present[name] = r
	for other, l := range t.missing { // its former boots will not come back
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

// setSelf changes our own record. The caller wakes whoever waits for changed.
func (t *table) setSelf(m meta) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.present[t.self]; !t.frozen {
		t.putLocked(record{meta: m, gossip: r.gossip, met: r.met})
	}
}

// remove records that a member is gone. Unless it said good-bye it is missing.
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

func (t *table) rememberLocked(r record) {
	for _, other := range t.present {
		if other.Slot == r.Slot && other.Boot > r.Boot && t.counts(other) {
			return // replaced already
		}
	}
	if len(t.missing) >= missingMost {
		oldest := slices.MinFunc(slices.Collect(maps.Values(t.missing)), func(a, b lost) int { return a.since.Compare(b.since) })
		delete(t.missing, oldest.Name())
	}
	t.missing[r.Name()] = lost{record: r, since: time.Now()}
}

// forget says that a member which seemed lost has left.
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

// hasMet says whether another member was ever seen.
func (t *table) hasMet() bool {
	select {
	case <-t.met:
		return true
	default:
		return false
	}
}

// isMissing says whether that member has vanished without a word.
func (t *table) isMissing(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.missing[name]
	return ok
}

// lostAddrs are the gossip addresses of missing members, those missing for too long
// forgotten.
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

// presentAddrs are the gossip addresses of the present members.
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

// leaverFor is how long memberlist goes on to look for a member that has left.
const leaverFor = 30 * time.Second

// rememberLeaverLocked notes a member that went as it had announced.
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

// ofLeaver says whether a line names a member, or its address, that leaves or has
// just left.
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
