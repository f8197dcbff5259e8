package engine

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/sessionproc/sessionproc/sessionproc"
)

// An arrival says where the present life of a session began that has come from
// another node, and when the session came. After a drain of another node, a node may have a
// million of such sessions. Those that come from one boot at about the same moment share an
// arrival, by a number of two bytes in their record, so that they need no extra.
type arrival struct {
	boot uint64 // of the node
	came int64  // since epoch; for most sessions a little too early
}

// sameMoment is how long sessions from one node share an arrival.
const sameMoment = 50 * time.Millisecond

// arrivals holds all arrivals that a table ever needed, by number. Number 0 means none. They are
// never removed, since that would need a count of their sessions. When the numbers are used up,
// which takes at least 27 minutes of arrivals without a break, further sessions keep the data in
// extra. Readers take no lock: all is replaced, and its elements never change.
type arrivals struct {
	all   atomic.Pointer[[]arrival]
	spare sync.Pool // of *extra, empty

	mu     sync.Mutex        // guards changes of all
	latest map[uint64]uint16 // guarded by mu; by boot
}

const maxArrivals = 1 << 15

// number returns the number of an arrival, or 0 if there are too many.
func (o *arrivals) number(boot uint64, came int64) uint16 {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []arrival
	if p := o.all.Load(); p != nil {
		all = *p
	} else {
		all = make([]arrival, 1, 8)
	}
	if n, known := o.latest[boot]; known && came-all[n].came < int64(sameMoment) {
		return n
	}
	if len(all) > maxArrivals {
		return 0
	}
	// append may copy or use spare capacity; the elements that readers see do not change
	all = append(all, arrival{boot, came})
	o.all.Store(&all)
	put(&o.latest, boot, uint16(len(all)-1))
	return uint16(len(all) - 1)
}

// of returns the arrival of a number.
func (o *arrivals) of(number uint16) arrival {
	if number == 0 {
		return arrival{}
	}
	return (*o.all.Load())[number]
}

// arrivalLocked returns where and when the session came from. The zero arrival
// means that it was started here.
func (p *process) arrivalLocked() arrival {
	o := p.table().arrivals.of(p.arrival)
	if p.ext != nil && p.ext.boot != 0 {
		o.boot = p.ext.boot
	}
	if p.ext != nil && p.ext.came != 0 {
		o.came = p.ext.came
	}
	return o
}

// settleLocked drops the extra of a session that has just arrived, if it holds nothing but the
// arrival, and returns it to the pool.
func (p *process) settleLocked() {
	if x := p.ext; p.settledLocked() {
		*x = extra{}
		p.table().arrivals.spare.Put(x) // no other goroutine has seen x yet
	}
}

// settledLocked drops the extra without returning it to the pool, since other goroutines may hold
// a pointer to it. It reports false if the session needs its extra. The comparison of all bytes
// with zero cannot overlook a field that is added later.
func (p *process) settledLocked() bool {
	x := *p.ext
	x.boot, x.came = 0, 0
	if *(*[unsafe.Sizeof(x)]byte)(unsafe.Pointer(&x)) != [unsafe.Sizeof(x)]byte{} {
		return false
	}
	n := p.table().arrivals.number(p.ext.boot, p.ext.came)
	if n != 0 {
		p.arrival, p.ext = n, nil
	}
	return n != 0
}

// extraOfArrival returns an extra for a session that is about to come. Most do not need it once
// they have arrived, and return it to the pool.
func (t *Table) extraOfArrival() *extra {
	if x, _ := t.arrivals.spare.Get().(*extra); x != nil {
		return x
	}
	return new(extra)
}

// bornLocked gives the session an incarnation of another boot, or with 0 of this node's. The time
// of its arrival stays.
func (p *process) bornLocked(boot uint64) {
	came := p.arrivalLocked().came
	x := p.extra()
	x.boot, x.came, p.arrival = boot, came, 0
}

func (p *process) incarnationLocked() sessionproc.Incarnation {
	i := sessionproc.Incarnation{Number: p.born, Boot: p.table().cfg.Boot}
	if boot := p.arrivalLocked().boot; boot != 0 {
		i.Boot = boot
	}
	return i
}
