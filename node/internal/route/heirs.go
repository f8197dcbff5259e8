package route

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/ring"
)

// heirs are the members that may keep standbys of this node's sessions, and which of them is the
// first for each partition. They do not change; lists only grow.
type heirs struct {
	members []heir                     // by slot
	first   []string                   // by partition: the slot that owns it without this node, or ""
	lists   []atomic.Pointer[[]string] // by partition: the answers of of, once they were asked for
}

type heir struct {
	slot string
	boot cluster.Boot
	name string
	hash uint64 // of slot
	zone int    // numbers the zones; 0 is this node's
}

// KeepStandbys says that this node, self, has sessions with standbys: from now on routes have
// Heirs. It must be called before a view with self is placed, and not concurrently with others.
func (b *Builder) KeepStandbys(self cluster.Member) { b.self = &self }

// Heirs returns the members that may keep the standbys of the partition's sessions that run here,
// as names, best first. Each of them serves and keeps standbys, and this node is none of them. It
// may be called concurrently. The caller must not change the result.
//
// The first is the one that will own the partition when this node has gone, so that it has the
// sessions when it needs them; what is assigned does not count. The order of others is a hash of
// partition and slot. But of each zone the best one comes before a second one of any zone, and
// this node's own zone counts as one that has had its first.
//
// All nodes that have the same view would choose the same heirs in the place of this node, once
// WithHeirs has seen the view. Until then the first is as it was before, if it is still there.
func (r *Routes) Heirs(part int) []string {
	if r.heirs == nil {
		return nil
	}
	return r.heirs.of(part)
}

// SameHeirs reports whether r and o, which may be nil, have the same heirs. If not, the ownership
// machine needs a new View, though nothing else in it may have changed.
func (r *Routes) SameHeirs(o *Routes) bool { return o != nil && r.heirs == o.heirs }

// WithHeirs returns r with the heirs of its own view, or r itself if it has them. It takes a
// second ring to find them, that of all members but this one. So it is not a part of Routes, which
// a new view waits for. It may be called concurrently with Routes, but not with itself. Package
// node calls it in a goroutine of its own after each new view, and puts the result into force if r
// still is:
//
//	r := n.routes.Load()
//	next, err := n.builder.WithHeirs(r)
//	...
//	n.placing.Lock() // so that no view is made of r meanwhile
//	n.mu.Lock()
//	if next != r && n.routes.CompareAndSwap(r, next) {
//		n.driver.HandleView(next)
//	}
//	n.mu.Unlock()
//	n.placing.Unlock()
//
// If other routes have taken the place of r meanwhile, their own call is due.
func (b *Builder) WithHeirs(r *Routes) (*Routes, error) {
	if r.heirs == nil || r.settled {
		return r, nil
	}
	table, serving := r.Ring, r.View.Serving()
	others := slices.DeleteFunc(slices.Clone(serving), b.isSelf)
	if len(others) < len(serving) {
		slots := make([]string, len(others))
		for i, m := range others {
			slots[i] = m.Slot
		}
		var err error
		if table, err = b.without.Ring(slots); err != nil {
			return nil, fmt.Errorf("node: ring of the %d other members: %w", len(slots), err)
		}
	}
	first := owners(table)
	if slices.Equal(first, r.heirs.first) {
		return r, nil
	}
	next := *r
	next.heirs, next.settled = newHeirs(r.heirs.members, first), true
	return &next, nil
}

func owners(r *ring.Ring) []string {
	all := make([]string, r.Partitions())
	for part := range all {
		all[part], _ = r.Owner(part)
	}
	return all
}

// giveHeirs gives routes the heirs of their view; the first of each partition is that of last for
// the moment. same says that the same members serve.
func (b *Builder) giveHeirs(r, last *Routes, same bool) {
	if b.self == nil {
		return
	}
	var before []heir
	if last != nil && last.heirs != nil {
		before = last.heirs.members
	}
	members := b.heirs(r.View, before)
	switch {
	case last == nil || last.heirs == nil:
		r.heirs, r.settled = newHeirs(members, make([]string, r.Ring.Partitions())), false
	case slices.Equal(members, last.heirs.members):
		r.heirs, r.settled = last.heirs, same && last.settled
	default:
		r.heirs, r.settled = newHeirs(members, last.heirs.first), same && last.settled
	}
}

func (b *Builder) isSelf(m cluster.Member) bool {
	return m.Slot == b.self.Slot && m.Boot == b.self.Boot
}

// heirs returns the members of a view that may keep standbys. An older boot of a slot is about to
// go, as is one that drains. The names of those that were there before are not made again.
func (b *Builder) heirs(view *cluster.View, before []heir) (all []heir) {
	zones := map[string]int{b.self.Zone: 0}
	all = make([]heir, 0, len(view.Members))
	for i, m := range view.Members {
		older := i+1 < len(view.Members) && view.Members[i+1].Slot == m.Slot
		if m.State != cluster.Serving || !m.Standbys || older || b.isSelf(m) {
			continue
		}
		if _, ok := zones[m.Zone]; !ok {
			zones[m.Zone] = len(zones)
		}
		for len(before) > 0 && before[0].slot < m.Slot {
			before = before[1:]
		}
		if len(before) > 0 && before[0].slot == m.Slot && before[0].boot == m.Boot {
			all = append(all, before[0])
		} else {
			all = append(all, heir{slot: m.Slot, boot: m.Boot, name: m.Name(), hash: xxhash.Sum64String(m.Slot)})
		}
		all[len(all)-1].zone = zones[m.Zone]
	}
	return all
}

func newHeirs(members []heir, first []string) *heirs {
	return &heirs{members: members, first: first, lists: make([]atomic.Pointer[[]string], len(first))}
}

// of is Routes.Heirs. The machine asks after each change of a session, so each list is made once.
func (h *heirs) of(part int) []string {
	if list := h.lists[part].Load(); list != nil {
		return *list
	}
	list := h.list(part)
	h.lists[part].Store(&list)
	return list
}

func (h *heirs) list(part int) []string {
	type ranked struct {
		first int // 0 or 1
		rank  uint64
		heir  *heir
	}
	all, zones := make([]ranked, len(h.members)), 1
	for i := range h.members {
		m := &h.members[i]
		all[i] = ranked{rank: rank(part, m.hash), heir: m}
		if m.slot == h.first[part] {
			all[i].first = 1
		}
		zones = max(zones, m.zone+1)
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(b.first-a.first, cmp.Compare(b.rank, a.rank), cmp.Compare(a.heir.slot, b.heir.slot))
	})
	names, used := make([]string, 0, len(all)), make([]bool, zones)
	used[0] = true
	var behind []string
	for _, c := range all {
		if used[c.heir.zone] {
			behind = append(behind, c.heir.name)
			continue
		}
		used[c.heir.zone] = true
		names = append(names, c.heir.name)
	}
	return append(names, behind...)
}

// rank orders members by the hash of a partition and their slot.
func rank(part int, slot uint64) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], uint64(part))
	binary.LittleEndian.PutUint64(b[8:], slot)
	return xxhash.Sum64(b[:])
}
