package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// driver feeds the node's ownership machine and does what it says. It is the
// table's Gate.
//
// One lock stands for the locks of all partitions that the machine asks for:
// starts and "not found" hold it for reading from the question to the deed,
// events hold it for writing until their effects are done. What is found in the
// table is served without it.
type driver struct {
	n        *Node
	ctx      context.Context // ends with the driver
	cancel   context.CancelFunc
	wait     sync.WaitGroup // all its goroutines
	inbox    chan letter
	bound    bound         // of the bytes handed over
	bytes    atomic.Int64  // of the snapshots that are on their way
	kick     chan struct{} // cap 1: there is something to hand over
	again    chan struct{} // cap 1: retry soon
	met      chan struct{} // cap 1: there are members whose release is not known
	addrs    atomic.Pointer[map[string]string]
	ended    atomic.Int64 // sessions that ended at the deadline of a leave
	changing atomic.Bool  // the view has changed, and not all has followed yet
	post     postbox
	lot      lot
	traffic  traffic
	members  members

	mu        sync.RWMutex // guards the rest
	m         *ownership.Machine
	parts     []driven
	first     []int // partitions that have sessions for which somebody waits
	handing   int   // partitions in the lists of lanes
	unready   []*handoff
	spare     map[string]*handoff // empty; of the partition that has handed over last
	bulk      bulk
	todo      []ownership.Effect // see doLocked
	lanes     map[string]*lane
	routes    *routes
	seen      ownership.View // that the machine has
	owned     []*peer        // by partition: who owned it before its present owner
	former    map[string]former
	returned  map[string]time.Time // when members came back that had been put out
	asked     map[int]pace         // partitions whose sessions stay elsewhere
	evicted   map[string]bool
	woken     []int    // partitions whose waiting requests are to be tried again after mu is unlocked
	later     []func() // to be called after mu is unlocked
	abandoned bool     // the deadline of a leave has come
	closed    bool
}

// driven is what the driver keeps of a partition. Its maps are by session ID.
type driven struct {
	counted bool // the machine was told of sessions
	listed  bool // it is in the list of a lane
	sealed  map[string]*handoff
	away    int               // of these, those that ran
	backups map[string]backup // of sessions whose target has died
	tombs   map[string]sessionproc.Version
	buried  map[string]*handoff  // tombstones on their way
	wanted  []string             // to be handed over first
	asked   map[string]time.Time // when this node asked others for a session
	said    promise
	draft   draft
	polled  time.Time           // when members were asked last about sessions that stay there
	final   map[string]final    // why sessions of this node cannot move
	refused map[string]declined // sessions of others that stay there, as this node has refused them
	second  bool                // of those, some are also here, or at another member: they have to come all the same
	told    claimed             // who has said that of sessions here
	looked  claimed             // whose sessions that stay were kept; see keepLocked
}

const (
	takeoverDelay = time.Second      // a dead member is given that long to turn out to live
	formerFor     = 10 * time.Minute // how long members that have gone are remembered
	firstRetry    = 20 * time.Millisecond
	lastRetry     = 250 * time.Millisecond // while something is waited for; all is said again as often
	idleRetry     = 500 * time.Millisecond
	freshFor      = time.Second // after a new view, members hear of it one after another: firstRetry goes on
)

func newDriver(n *Node, partitions int) *driver {
	d := &driver{n: n, inbox: make(chan letter, 1024), kick: make(chan struct{}, 1),
		again: make(chan struct{}, 1), met: make(chan struct{}, 1), parts: make([]driven, partitions), lanes: map[string]*lane{}, former: map[string]former{}, returned: map[string]time.Time{}, asked: map[int]pace{}}
	d.addrs.Store(&map[string]string{})
	d.lot.n = n
	d.bound.init(n.cfg.HandoffBytesPerSecond)
	d.bulk = bulk{rate: handoffRate(n.cfg.HandoffRate), within: n.cfg.DrainTimeout / 2}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// start begins the driver's work; the node's name is known by now.
func (d *driver) start() {
	d.m = ownership.New(d.n.self.Name(), len(d.parts))
	d.wait.Go(d.listen)
	d.wait.Go(d.retry)
	d.wait.Go(d.handOver)
	d.wait.Go(d.watchMembers)
	d.wait.Go(d.meetMembers)
}

// stop ends the driver. Sessions come and go without it from now on.
func (d *driver) stop() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cancel()
	d.lot.close()
}

// spawn runs f in a goroutine of the driver, unless that has stopped.
func (d *driver) spawn(f func()) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if !d.closed {
		d.wait.Go(f)
	}
}

// busy reports whether who needs the driver has to wait for it, while there is a
// change.
func (d *driver) busy() bool {
	if !d.changing.Load() {
		return false
	}
	if d.mu.TryRLock() {
		d.mu.RUnlock()
		return false
	}
	return true
}

func (d *driver) addr(member string) string { return (*d.addrs.Load())[member] }

// farewell stands for a partition where an event concerns none.
const farewell = ownership.NoPartition - 1

// turn takes an event of one partition, of all (NoPartition), or of none (farewell), into
// the machine and does what it says.
func (d *driver) turn(part int, event func(m *ownership.Machine) []ownership.Effect) {
	d.mu.Lock()
	if !d.closed {
		d.turnLocked(part, event)
	}
	d.unlock()
}

func (d *driver) unlock() {
	later, woken := d.later, d.woken
	d.later, d.woken = nil, nil
	d.mu.Unlock()
	for _, f := range later {
		f()
	}
	for _, part := range woken {
		d.lot.wake(part)
	}
}

func (d *driver) turnLocked(part int, event func(m *ownership.Machine) []ownership.Effect) {
	d.countLocked(part)
	d.doLocked(event(d.m))
	if part >= 0 {
		d.countLocked(part) // not before: what is to resume is still among the sealed
	}
}

// countLocked tells the machine how many sessions a partition has.
func (d *driver) countLocked(part int) {
	switch {
	case d.abandoned || part == farewell:
		return
	case part == ownership.NoPartition:
		for i := range d.parts {
			d.countLocked(i)
		}
		return
	}
	pt := &d.parts[part]
	running := d.n.table.Count(part) - pt.away
	some := running > 0 || len(pt.backups) > 0
	if !some && !pt.counted {
		return
	}
	pt.counted = some
	d.doLocked(d.m.Count(part, running, len(pt.backups)))
}

// doLocked does what the machine says, and what it says then. The machine's next turn
// may have the same slice, and this function may be called by what it does: what is to
// be done lies on a stack.
func (d *driver) doLocked(effects []ownership.Effect) {
	if len(effects) == 0 {
		return
	}
	bottom := len(d.todo)
	d.todo = append(d.todo, effects...)
	for i := bottom; i < len(d.todo); i++ {
		e := d.todo[i]
		d.doOneLocked(&e)
	}
	clear(d.todo[bottom:])
	if d.todo = d.todo[:bottom]; cap(d.todo) > maxTodo {
		d.todo = slices.Clone(d.todo)
	}
}

// maxTodo is how many effects the memory is kept for: a first view of a big cluster
// brings tens of thousands.
const maxTodo = 1 << 10

func (d *driver) doOneLocked(e *ownership.Effect) {
	if e.Do == ownership.Send {
		d.sayLocked(e)
		return
	}
	pt := &d.parts[e.Partition]
	switch e.Do {
	case ownership.Transfer:
		d.transferLocked(e)
	case ownership.HandOver:
		d.todo = append(d.todo, d.keepLocked(e.Partition, e.To, e.ID)...)
		d.handLocked(e.Partition, false)
	case ownership.Resume, ownership.Drop, ownership.Shelve:
		d.unsealLocked(e)
	case ownership.RunBackups:
		d.runBackupsLocked(e.Partition)
	case ownership.Seek:
		if _, backup := pt.backups[e.Session]; !backup && !d.n.table.Has(e.Partition, e.Session) {
			d.todo = append(d.todo, d.m.Absent(e.Partition, e.To, e.ID, e.Session)...)
			return
		}
		if !slices.Contains(pt.wanted, e.Session) {
			pt.wanted = append(pt.wanted, e.Session)
		}
		d.handLocked(e.Partition, true)
	case ownership.Wake:
		if d.m.Quiet(e.Partition) {
			pt.asked = nil
		}
		if n := len(d.woken); n == 0 || d.woken[n-1] != e.Partition {
			d.woken = append(d.woken, e.Partition)
		}
	case ownership.Bury:
		delete(pt.tombs, e.Session)
		delete(pt.buried, e.Session)
	case ownership.End:
		d.ended.Add(int64(len(pt.backups)))
		pt.backups = nil
		part := e.Partition
		d.later = append(d.later, func() { d.ended.Add(int64(d.n.table.EndPartition(part, sessionproc.ReasonClosed))) })
	}
}

// sayLocked posts a message of the machine.
func (d *driver) sayLocked(e *ownership.Effect) {
	switch e.Message.Kind {
	case ownership.Claim:
		if d.asksLastLocked(e.Partition, e.To) {
			return
		}
		if e.Partition >= 0 && d.parts[e.Partition].second {
			e.Message.Cause = comeAll
		}
	case ownership.Refused:
		d.parts[max(e.Partition, 0)].refused[e.Message.Session].explain(e.To, &e.Message)
	case ownership.Promise:
		e.Message.Filter = d.filterLocked(e.Partition, e.To, e.Message.ID)
	case ownership.Done:
		d.parts[e.Partition].said = promise{}
	}
	d.sendLocked(e.To, e.Message)
}

// Enter implements sessionproc.Gate.
func (d *driver) Enter(part int, id string, e sessionproc.Entry) error {
	d.mu.RLock()
	var a ownership.Answer
	closed := d.closed || d.m == nil
	if !closed {
		a = d.m.Who(part, id)
		if a.Place == ownership.Nowhere && d.m.Quiet(part) {
			e.Begin()
			d.mu.RUnlock()
			return nil
		}
	}
	d.mu.RUnlock()
	switch {
	case e.Here():
		return nil
	case closed:
		return sessionproc.ErrClosed
	}
	id = strings.Clone(id)
	switch a.Place {
	case ownership.Nowhere:
		closed = true
		d.turn(part, func(m *ownership.Machine) []ownership.Effect {
			closed = false
			if a = m.Who(part, id); a.Place == ownership.Nowhere && d.beginLocked(part, id, e) {
				return m.Started(part, id)
			}
			return nil
		})
		if closed {
			return sessionproc.ErrClosed
		}
	case ownership.Wait:
		d.want(part, id)
	}
	return d.elsewhere(a)
}

// beginLocked has a session begin here, which succeeds one with a tombstone.
func (d *driver) beginLocked(part int, id string, e sessionproc.Entry) bool {
	pt := &d.parts[part]
	tomb, ended := pt.tombs[id]
	if !ended {
		return e.Begin()
	}
	if !d.n.table.Succeed(id, tomb, e.Begin) {
		return false
	}
	delete(pt.tombs, id)
	return true
}

// Leave implements sessionproc.Gate.
func (d *driver) Leave(part int, id string, remove func()) {
	d.mu.RLock()
	_, sealed := d.parts[part].sealed[id]
	if d.closed || d.abandoned || d.m == nil || d.m.Quiet(part) && !sealed {
		remove()
		d.mu.RUnlock()
		return
	}
	d.mu.RUnlock()
	done := false
	d.turn(part, func(m *ownership.Machine) []ownership.Effect {
		done = true
		pt := &d.parts[part]
		delete(pt.final, id)
		remember, effects := m.Ended(part, id)
		if h := pt.sealed[id]; h != nil && !h.sent {
			d.doneLocked(h)
		}
		if remember {
			put(&pt.tombs, id, pt.tombs[id].Join(d.n.table.Tombstone(part, id)))
		}
		remove()
		return effects
	})
	if !done { // it was closed meanwhile
		remove()
	}
}

func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

// signal wakes whoever waits on ch, now or when it comes.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
