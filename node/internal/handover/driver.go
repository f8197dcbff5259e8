package handover

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/roster"
	"github.com/sessionproc/sessionproc/node/internal/route"
	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport"
	"golang.org/x/sync/semaphore"
)

// A Driver runs the node's ownership machine: it passes events to the machine and
// executes the effects. It is the table's Gate.
//
// # The lock
//
// Package ownership asks for a read-write lock for each partition. One lock, mu, stands
// for all of them. The start of a session, and the answer that a session does not exist,
// hold mu for reading from the question to the machine until the act, so that the answer
// is still true when it takes effect. An event holds mu for writing until its effects are
// executed. A request for a session that is in the table takes no lock of the driver.
//
// # Lock order
//
// mu comes first. Under it these locks are taken:
//
//	Driver.mu -> lane.mu
//	Driver.mu -> outbox.mu
//	Driver.mu -> roster.mu
//	Driver.mu -> standing.mu -> locks of the table
//	Driver.mu -> locks of the table: the partition's, then the process's
//
// The reverse never happens. The table calls the Gate (Enter, Leave, Settled) without a
// lock of its own. A worker that has made a snapshot calls readyToGo, which takes lane.mu
// alone. Whatever may need mu again, or runs code of users, is not called under mu: it is
// appended to later, and unlock calls it. For the same reason unlock, and not the
// execution of Wake, wakes the waitlist: a request that is served again may enter the Gate.
type Driver struct {
	env       Env
	table     *sessionproc.Table // set by Start, as all below
	transport *transport.Transport
	roster    *roster.Roster
	life      *lifetime.Lifetime
	ctx       context.Context // of life
	inbox     chan ownershipBatch
	bound     bound         // limits the bytes handed over per second
	bytes     atomic.Int64  // of the snapshots on their way
	kick      chan struct{} // capacity 1: there is something to hand over
	again     chan struct{} // capacity 1: retry soon
	addrs     atomic.Pointer[map[string]string]
	ended     atomic.Int64 // sessions that ended at the deadline of a leave
	changing  atomic.Bool  // the view has changed, and messages about it are still expected
	outbox    outbox
	fetches   *semaphore.Weighted // the bytes of large sessions that come
	traffic   traffic

	mu        sync.RWMutex // guards the rest
	m         *ownership.Machine
	parts     []driven
	first     []int // partitions with sessions that a request waits for
	handing   int   // partitions in the lists of lanes
	unready   []*handoff
	spare     map[string]*handoff // an empty map, of the partition that was handed over last
	bulk      bulk
	todo      []ownership.Effect // see doLocked
	lanes     map[string]*lane
	routes    *route.Routes
	seen      ownership.View       // the view that the machine has
	owned     []*route.Peer        // the owner of each partition before its present owner
	former    map[string]former    // members that are gone, by name
	returned  map[string]time.Time // when members returned that had counted as dead
	untold    untold
	asked     map[int]pace // when to ask about the sessions of a partition that stay elsewhere
	evicted   map[string]bool
	woken     []int    // partitions whose waiting requests unlock retries
	later     []func() // functions that unlock calls
	abandoned bool     // the deadline of a leave has passed
	closed    bool
}

// A driven is the driver's state of one partition. Its maps have session IDs as
// keys.
type driven struct {
	counted bool                           // the machine knows of sessions here
	listed  bool                           // the partition is in the list of a lane
	sealed  map[string]*handoff            // sessions that are sealed for another member
	away    int                            // how many of sealed ran here; the table still counts them
	backups map[string]backup              // sessions whose target has died
	tombs   map[string]sessionproc.Version // tombstones
	late    map[string]bool                // tombstones that are told of later: see lateEnd
	buried  map[string]*handoff            // tombstones on their way
	wanted  []string                       // sessions to hand over first
	asked   map[string]time.Time           // when this node asked other members for a session
	said    promise
	draft   draft
	polled  time.Time           // when this node last asked about sessions that stay elsewhere
	final   map[string]final    // why sessions of this node cannot move
	refused map[string]declined // sessions that this node refused, and that stay at their source
	// second says that some of refused are also here, or at another member. These must
	// come in spite of the refusal, so that the copies can be merged.
	second bool
	told   claimed // the claim whose sender says so of sessions here
	looked claimed // the claim for which sessions that stay were kept; see keepLocked
}

const (
	takeoverDelay = time.Second            // how long a dead member may take to return
	FormerFor     = 10 * time.Minute       // how long members that are gone are remembered
	firstRetry    = 20 * time.Millisecond  // after a change
	lastRetry     = 250 * time.Millisecond // while this node waits for answers
	idleRetry     = 500 * time.Millisecond // otherwise
	// freshFor is how long retries stay at firstRetry after a new view: members learn of it
	// one after another, and each of them may answer differently then.
	freshFor = time.Second
)

// New returns a driver that is not started: it is a Gate that lets nothing in.
func New(env Env) *Driver {
	d := &Driver{
		env:   env,
		life:  lifetime.New(env.Parent),
		inbox: make(chan ownershipBatch, 1024),
		kick:  make(chan struct{}, 1), again: make(chan struct{}, 1),
		fetches: semaphore.NewWeighted(max(env.HandoffMemory, sessionproc.MaxSnapshot)),
		parts:   make([]driven, env.Partitions),
		lanes:   map[string]*lane{}, former: map[string]former{},
		returned: map[string]time.Time{}, asked: map[int]pace{},
	}
	d.ctx = d.life.Context()
	d.addrs.Store(&map[string]string{})
	d.bound.init(env.HandoffBytesPerSecond)
	d.bulk = bulk{rate: handoffRate(env.HandoffRate), within: env.DrainTimeout / 2}
	return d
}

// Start starts the machine and the driver's goroutines. The table is the one that has the
// driver as its Gate. What the members were given is in r.
func (d *Driver) Start(t *sessionproc.Table, tr *transport.Transport, r *roster.Roster) {
	d.use(t, tr, r)
	d.life.Go(d.handleBatches)
	d.life.Go(d.retry)
	d.life.Go(d.handOver)
}

func (d *Driver) use(t *sessionproc.Table, tr *transport.Transport, r *roster.Roster) {
	d.table, d.transport, d.roster = t, tr, r
	d.m = ownership.New(d.env.Name, len(d.parts))
}

// otherServers are the other members that take sessions.
func (d *Driver) otherServers() []cluster.Member { return d.env.Routes().OtherServers(d.env.Name) }

// Stop ends the driver. From now on sessions start and end without it. The
// caller waits for Wait.
func (d *Driver) Stop() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.life.End()
}

// Wait waits for all goroutines of the driver. It must be called after Stop.
func (d *Driver) Wait() { d.life.Wait() }

// Busy reports whether acquiring the driver would block during a view change.
// The first view of a big cluster holds mu for a while.
func (d *Driver) Busy() bool {
	if !d.changing.Load() {
		return false
	}
	if d.mu.TryRLock() {
		d.mu.RUnlock()
		return false
	}
	return true
}

// Addr returns the address of a member, or "" if the member is unknown.
func (d *Driver) Addr(member string) string { return (*d.addrs.Load())[member] }

// farewell stands for the partition of an event that concerns no partition.
const farewell = ownership.NoPartition - 1

// Turn passes an event to the machine and executes the effects. part is the
// partition that the event concerns, NoPartition for all of them, or farewell
// for none.
func (d *Driver) Turn(part int, event func(m *ownership.Machine) []ownership.Effect) {
	d.mu.Lock()
	if !d.closed {
		d.turnLocked(part, event)
	}
	d.unlock()
}

// unlock unlocks mu and does what must not be done under it.
func (d *Driver) unlock() {
	later, woken := d.later, d.woken
	d.later, d.woken = nil, nil
	d.mu.Unlock()
	for _, f := range later {
		f()
	}
	for _, part := range woken {
		d.env.Wake(part)
	}
}

// turnLocked is Turn for a caller that holds mu. It counts the sessions before
// the event, because sessions may have ended since the last one, and again
// afterwards, because the effects change the number.
func (d *Driver) turnLocked(part int, event func(m *ownership.Machine) []ownership.Effect) {
	d.countLocked(part)
	d.doLocked(event(d.m))
	if part >= 0 {
		// Not earlier: a session that an effect resumes is among the sealed until then.
		d.countLocked(part)
	}
}

// countLocked passes the number of sessions of a partition to the machine, if
// it is not 0 or was not 0 before.
func (d *Driver) countLocked(part int) {
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
	running := d.table.Count(part) - pt.away
	some := running > 0 || len(pt.backups) > 0
	if !some && !pt.counted {
		return
	}
	pt.counted = some
	d.doLocked(d.m.Count(part, running, len(pt.backups)))
}

// doLocked executes effects, and the effects that follow from them. The machine
// reuses the slice of effects in its next call, and effects may lead to such a
// call, and to doLocked itself. So doLocked copies them to a stack, d.todo, on
// which each call has its own part.
func (d *Driver) doLocked(effects []ownership.Effect) {
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

// maxTodo bounds the stack that is kept. The first view of a big cluster yields
// tens of thousands of effects.
const maxTodo = 1 << 10

// doOneLocked executes one effect; see the comments of ownership.Do.
func (d *Driver) doOneLocked(e *ownership.Effect) {
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
		if _, backup := pt.backups[e.Session]; !backup && !d.table.Has(e.Partition, e.Session) {
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
		pt.disinter(e.Session)
		delete(pt.buried, e.Session)
	case ownership.End:
		d.ended.Add(int64(len(pt.backups)))
		pt.backups = nil
		part := e.Partition
		d.later = append(d.later, func() { d.ended.Add(int64(d.table.EndPartition(part, sessionproc.ReasonClosed))) })
	}
}

// sayLocked sends a message of the machine. It completes those messages of
// which the machine knows only a part.
func (d *Driver) sayLocked(e *ownership.Effect) {
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

// put sets a value in a map that is made when it is needed.
func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}
