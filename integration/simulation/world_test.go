package simulation_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sessionproc/sessionproc/internal/logtest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

const (
	clock      = "04:05.000000" // of the event log
	partitions = 31
	calm       = time.Second     // before the end and after it
	longLeave  = 5 * time.Second // a node takes no longer to leave
)

// world is a cluster, its load, and what is known of them.
type world struct {
	blame
	schedule     schedule
	cluster      *nodetest.Cluster
	load         load
	trouble      *trouble
	log          *eventLog
	sessions     []string
	employers    []*employer
	changes      sync.WaitGroup // under way
	stop         atomic.Bool
	strange      atomic.Bool // there has been a node without the kind
	requests     atomic.Int64
	longest      atomic.Int64   // request, ns
	troubled     map[change]int // how often each fault came; of play's goroutine
	madeUp       int            // crashes that standbys have made up for; likewise
	failedLeaves atomic.Int64   // of nodes that could not move all sessions in time
	ambushMu     sync.Mutex     // guards all below; no node is called while it is held
	ambush       *ambush        // nil: nothing waits for a point
	visits       map[point]*visits

	placesMu sync.Mutex // guards places
	places   []*place
}

// load is what clients do with sessions, and what is claimed of it.
type load interface {
	kinds(p *place) []sessionproc.AnyKind // of a node that starts at p
	work(client int)                      // until the world stops
	read(reader int)                      // likewise
	wander(wanderer int)                  // likewise
	watch(watcher int)                    // likewise
	end()                                 // checks what is left when all is quiet
	lost(home int, madeUp bool)           // its process is killed; standbys make up for it
	leaves() (lost func())                // a node does; lost: sessions have ended meanwhile
	count(counts map[string]int)
}

// place is where a node runs, or has run.
type place struct {
	index int
	bare  bool                      // its node is not given the kind
	busy  atomic.Bool               // its node starts or leaves
	run   atomic.Pointer[run]       // nil: clients do not use it
	alive atomic.Pointer[run]       // nil: nothing runs there, or it starts
	home  atomic.Int64              // of its last node: see witness and notary
	tuned chan struct{}             // closed when its first node starts
	once  sync.Once                 // closes it
	ready atomic.Pointer[time.Time] // when its last node had started

	struck bool // its process has crashed, and is not gone; of play's goroutine, which waits for strike
	madeUp bool // by standbys; likewise
}

// run is one run of a node.
type run struct {
	*node.Node
	index   int
	leaving atomic.Bool
	killed  atomic.Bool
	over    atomic.Bool // it is killed, or has left: which of both came first
}

func (p *place) up() bool {
	r := p.run.Load()
	return r != nil && !r.leaving.Load()
}

// since returns when the node that is up had started.
func (p *place) since() time.Time { return *p.ready.Load() }

func newWorld(t testing.TB, s schedule) *world {
	w := &world{schedule: s, log: &eventLog{}, trouble: newTrouble(), troubled: map[change]int{},
		visits: map[point]*visits{}}
	for i := range s.Sessions {
		w.sessions = append(w.sessions, fmt.Sprintf("s%d", i))
	}
	w.employers = newEmployers(w)
	if w.load = newLedgerLoad(w); s.Faults {
		w.load = newWordLoad(w)
	}
	logger := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{ReplaceAttr: shortTime}))
	for range s.Nodes {
		w.newPlace()
	}
	w.cluster = nodetest.Start(t, nodetest.Config{
		Nodes: s.Nodes, Network: simnet.Config{Seed: s.Seed, Link: simnet.Link{Jitter: time.Millisecond}},
		Tune: func(i int, cfg *node.Config) {
			cfg.Logger = logger
			cfg.Ring = ring.Config{Partitions: partitions, VirtualNodes: 20}
			w.tune(i, cfg)
		},
		OnStep: w.steps(),
	})
	for _, p := range w.places {
		w.ready(p)
	}
	return w
}

func shortTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		a.Value = slog.StringValue(a.Value.Time().Format(clock))
	}
	return a
}

func (w *world) newPlace() *place {
	w.placesMu.Lock()
	defer w.placesMu.Unlock()
	p := &place{index: len(w.places), tuned: make(chan struct{})}
	w.places = append(w.places, p)
	return p
}

// tune is called when the node of place i starts.
func (w *world) tune(i int, cfg *node.Config) {
	p := w.which(func(p *place) bool { return p.index == i })[0]
	if !p.bare {
		cfg.Kinds = append(w.load.kinds(p), newStaffs(w))
	}
	cfg.Quorum = w.schedule.Quorum
	cfg.Trace = &node.Trace{SessionMoved: func(m node.TraceSessionMoved) {
		if !m.Arrived {
			w.pass(gone, p, nil)
		}
	}}
	p.once.Do(func() { close(p.tuned) })
}

// ready has clients use the node of p, which has started.
func (w *world) ready(p *place) {
	r, now := &run{Node: w.cluster.Node(p.index), index: p.index}, time.Now()
	p.ready.Store(&now)
	p.alive.Store(r)
	p.run.Store(r)
	p.busy.Store(false)
	w.countSides()
}

// which returns the places that something holds for.
func (w *world) which(holds func(p *place) bool) (found []*place) {
	w.placesMu.Lock()
	defer w.placesMu.Unlock()
	for _, p := range w.places {
		if holds(p) {
			found = append(found, p)
		}
	}
	return found
}

// pick returns the node that a client uses now, mostly that of its home; nil: there
// is none at this moment.
func (w *world) pick(home int, r *rand.Rand) *run {
	var open []*run
	for _, p := range w.which(func(*place) bool { return true }) {
		if r := p.run.Load(); r != nil {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return nil
	}
	if r.IntN(4) == 0 {
		return open[r.IntN(len(open))]
	}
	return open[home%len(open)]
}

func (w *world) stopping() bool { return w.stop.Load() }

// took notes how long a request has taken, and reports one that took too long.
func (w *world) took(id, what string, via *run, d, most time.Duration) {
	for {
		last := w.longest.Load()
		if int64(d) <= last || w.longest.CompareAndSwap(last, int64(d)) {
			break
		}
	}
	if d > most {
		w.fault("slow: %s: %s through n%d took %v", id, what, via.index, d)
	}
}

// processes counts those of all sessions.
func (w *world) processes() (n int) {
	for _, p := range w.which((*place).up) {
		n += p.run.Load().Sessions()
	}
	return n
}

// play has everything happen, and checks it.
func (w *world) play() {
	var clients sync.WaitGroup
	for i := range w.schedule.Clients {
		clients.Go(func() { w.load.work(i) })
		clients.Go(func() { w.load.read(i) })
		clients.Go(func() { w.load.wander(i) })
		clients.Go(func() { w.load.watch(i) })
		clients.Go(w.employers[i].work)
	}
	time.Sleep(calm / 4)
	for _, s := range w.schedule.Steps {
		if len(w.found()) > 0 {
			break
		}
		w.change(s)
		time.Sleep(s.Wait)
	}
	w.settle()
	time.Sleep(calm / 4)
	w.stop.Store(true)
	clients.Wait()
	w.load.end()
}

// settle waits until all changes and faults are over and all nodes have the same
// view.
func (w *world) settle() {
	if w.schedule.Faults {
		w.heal()
		time.Sleep(noticed) // who is suspected by now may still be declared dead, and come back
	}
	w.changes.Wait()
	for w.schedule.Quorum > len(w.which((*place).up)) {
		w.change(step{Do: back})
		w.changes.Wait()
	}
	w.cluster.Settle()
}

// eventLog keeps what has happened.
type eventLog struct{ logtest.Log }

// note adds a line.
func (l *eventLog) note(format string, args ...any) {
	fmt.Fprintf(l, "time=%s "+format+"\n", append([]any{time.Now().Format(clock)}, args...)...)
}
