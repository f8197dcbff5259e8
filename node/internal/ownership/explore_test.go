package ownership

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// found is what an exploration has seen.
type found struct {
	states    int
	edges     int
	depth     int
	good      int
	complete  bool
	violation string
	trace     []string
	took      time.Duration
}

func (f found) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%9d states, depth %3d, %5.1f s", f.states, f.depth, f.took.Seconds())
	if !f.complete {
		b.WriteString(", not complete")
	}
	if f.violation != "" {
		fmt.Fprintf(&b, "\n%s\n  %s", f.violation, strings.Join(f.trace, "\n  "))
	}
	return b.String()
}

// visited is a set of 64-bit hashes with a number each. Two states with equal hashes
// count as one: with 10^7 states the chance that this happens at all is 3 in 10^6.
type visited struct {
	keys []uint64
	vals []uint32
	n    int
}

func newVisited(bits int) *visited {
	return &visited{keys: make([]uint64, 1<<bits), vals: make([]uint32, 1<<bits)}
}

// put returns the number of a key, and whether it was there.
func (v *visited) put(key uint64, val uint32) (uint32, bool) {
	key = max(key, 1)
	if v.n*2 > len(v.keys) {
		bigger := &visited{keys: make([]uint64, 2*len(v.keys)), vals: make([]uint32, 2*len(v.keys))}
		for i, k := range v.keys {
			if k != 0 {
				bigger.put(k, v.vals[i])
			}
		}
		*v = *bigger
	}
	mask := uint64(len(v.keys) - 1)
	i := key & mask
	for ; v.keys[i] != 0; i = (i + 1) & mask {
		if v.keys[i] == key {
			return v.vals[i], true
		}
	}
	v.keys[i], v.vals[i] = key, val
	v.n++
	return val, false
}

// explorer walks all worlds of a scope, breadth first.
type explorer struct {
	sp       *space
	es       edges
	seen     *visited
	parent   []uint32
	event    []event
	good     []bool
	from, to []uint32 // fair edges
	found    found
}

// limits of one exploration.
type limits struct {
	states int
	time   time.Duration
}

func explore(s *scope, lim limits) found {
	began := time.Now()
	sp := newSpace(s)
	x := &explorer{sp: sp, es: edges{sp: sp}, seen: newVisited(16)}
	first := sp.initial()
	x.add(0, event{}, &first, first.hash())
	x.found.complete = true
	level := []world{first}
	number := []uint32{0}
	for len(level) > 0 && x.found.violation == "" && x.found.complete {
		var nextLevel []world
		var nextNumber []uint32
		for i := range level {
			nextLevel, nextNumber = x.expand(&level[i], number[i], nextLevel, nextNumber)
			if x.found.violation != "" {
				break
			}
			if lim.states > 0 && len(x.parent) > lim.states || lim.time > 0 && i%512 == 0 && time.Since(began) > lim.time {
				x.found.complete = false
				break
			}
		}
		level, number = nextLevel, nextNumber
		x.found.depth++
	}
	if x.found.complete && x.found.violation == "" && !s.safety {
		x.checkEnd()
	}
	x.found.states, x.found.took = len(x.parent), time.Since(began)
	return x.found
}

// add notes a world that was not seen before.
func (x *explorer) add(parent uint32, e event, w *world, hash uint64) {
	x.seen.put(hash, uint32(len(x.parent)))
	x.parent = append(x.parent, parent)
	x.event = append(x.event, e)
	if !x.sp.s.safety {
		x.good = append(x.good, x.sp.good(w))
	}
}

func (x *explorer) expand(w *world, number uint32, level []world, numbers []uint32) ([]world, []uint32) {
	list := x.es.of(w)
	x.found.edges += len(list)
	for i := range list {
		d := &list[i]
		hash := d.w.hash()
		to, old := x.seen.put(hash, uint32(len(x.parent)))
		if d.fair && !x.sp.s.safety {
			x.from, x.to = append(x.from, number), append(x.to, to)
		}
		violation := d.violation
		if !old {
			x.add(number, d.e, &d.w, hash)
			if violation == "" {
				violation = x.sp.checkAll(&d.w)
			}
		}
		if violation != "" {
			if old {
				x.parent, x.event = append(x.parent, number), append(x.event, d.e)
				to = uint32(len(x.parent) - 1)
			}
			x.found.violation, x.found.trace = violation, x.trace(to)
			return level, numbers
		}
		if old {
			continue
		}
		kept := d.w
		kept.net = append([]uint32(nil), d.w.net...)
		level, numbers = append(level, kept), append(numbers, to)
	}
	return level, numbers
}

func (x *explorer) trace(to uint32) []string {
	var events []event
	for ; to != 0; to = x.parent[to] {
		events = append(events, x.event[to])
	}
	slices.Reverse(events)
	return x.sp.describeAll(events)
}

func (sp *space) describeAll(events []event) []string {
	var out []string
	for _, e := range events {
		out = append(out, sp.describe(e))
	}
	return out
}

func (sp *space) describe(e event) string {
	switch e.kind {
	case evReceive, evRefuse, evLose:
		return fmt.Sprintf("%d %s %s", e.node, eventNames[e.kind], sp.packets[e.a])
	case evLearn:
		return fmt.Sprintf("%d learns that %d is %s", e.node, e.a,
			[...]string{"unknown", "serving", "draining", "left", "dead", "gone"}[e.b])
	}
	return e.String()
}

func (k packet) String() string {
	if k.welcome != nil {
		return fmt.Sprintf("welcome %v from %d", k.welcome, k.from)
	}
	if k.stream != nil {
		return fmt.Sprintf("%+v from %d", *k.stream, k.from)
	}
	if k.report != nil && !k.transfer {
		return fmt.Sprintf("report %+v from %d", *k.report, k.from)
	}
	if k.transfer {
		return fmt.Sprintf("Transfer %s %d from %d (id %d, changes %b)", k.in.Session, k.in.Form, k.from, k.in.ID, k.bits)
	}
	var parts []string
	for _, m := range k.messages {
		parts = append(parts, fmt.Sprintf("%s p%d id %d rel %d %s%v%v flag %v", kindNames[m.Kind], m.Partition, m.ID, m.Rel,
			m.Session, m.Names, m.Kept, m.Flag))
	}
	return fmt.Sprintf("%s from %d", strings.Join(parts, " + "), k.from)
}

var kindNames = [...]string{"", "Claim", "NotYet", "Promise", "Done", "Pull", "Active", "Refused", "Forgot", "Offer",
	"Find", "Absent", "Here", "Bye", "Known", "Recover"}

// checkEnd is I4 and I5: from every world a good one can be reached by fair steps.
func (x *explorer) checkEnd() {
	n := len(x.parent)
	start := make([]uint32, n+1)
	for _, to := range x.to {
		start[to+1]++
	}
	for i := range n {
		start[i+1] += start[i]
	}
	into, at := make([]uint32, len(x.to)), append([]uint32(nil), start...)
	for i, to := range x.to {
		into[at[to]] = x.from[i]
		at[to]++
	}
	reaches := make([]bool, n)
	var todo []uint32
	for i, good := range x.good {
		if good {
			reaches[i] = true
			todo = append(todo, uint32(i))
		}
	}
	x.found.good = len(todo)
	for len(todo) > 0 {
		to := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, from := range into[start[to]:start[to+1]] {
			if !reaches[from] {
				reaches[from] = true
				todo = append(todo, from)
			}
		}
	}
	for i, ok := range reaches {
		if !ok {
			x.found.violation, x.found.trace = "I4, I5: from here no good state can be reached", x.trace(uint32(i))
			return
		}
	}
}
