package simulation_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sessionproc/sessionproc/integration/simnet"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/node/nodetest"
	"github.com/sessionproc/sessionproc/ring"
	"github.com/sessionproc/sessionproc/sessionproc"
)

const (
	clock      = "04:05.000000" // of the event log
	partitions = 31
	calm       = time.Second     // before the end and after it
	longLeave  = 5 * time.Second // a node takes no longer to leave
)

// world is a cluster, its clients, and what is known of them.
type world struct {
	*witness
	schedule  schedule
	cluster   *nodetest.Cluster
	log       *eventLog
	sessions  []string
	histories map[string]*history
	changes   sync.WaitGroup // under way
	stop      atomic.Bool
	strange   atomic.Bool // there has been a node without the kind
	alarm     atomic.Uint64
	requests  atomic.Int64
	refused   atomic.Int64 // by nodes that close
	longest   atomic.Int64 // request, ns

	placesMu sync.Mutex // guards places
	places   []*place
}

// place is where a node runs, or has run.
type place struct {
	index int
	bare  bool                // its node is not given the kind
	busy  atomic.Bool         // its node starts or leaves
	run   atomic.Pointer[run] // nil: clients do not use it
	tuned chan struct{}       // closed when its first node starts
	once  sync.Once           // closes it
}

// run is one run of a node.
type run struct {
	*node.Node
	index   int
	leaving atomic.Bool
}

func (p *place) up() bool {
	r := p.run.Load()
	return r != nil && !r.leaving.Load()
}

func newWorld(t testing.TB, s schedule) *world {
	w := &world{witness: newWitness(), schedule: s, log: &eventLog{}, histories: map[string]*history{}}
	for i := range s.Sessions {
		id := fmt.Sprintf("s%d", i)
		w.sessions = append(w.sessions, id)
		w.histories[id] = &history{}
	}
	logger := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{ReplaceAttr: shortTime}))
	for range s.Nodes {
		w.newPlace()
	}
	w.cluster = nodetest.Start(t, nodetest.Config{
		Nodes: s.Nodes, Network: simnet.Config{Seed: s.Seed, Link: simnet.Link{Jitter: time.Millisecond}},
		Kinds: []nodetest.KindFunc{func() sessionproc.AnyKind { return newLedgers(w.witness) }},
		Tune: func(i int, cfg *node.Config) {
			cfg.Logger = logger
			cfg.Ring = ring.Config{Partitions: partitions, VirtualNodes: 20}
			w.tune(i, cfg)
		},
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
	if p.bare {
		cfg.Kinds, cfg.DefaultKind = nil, ""
	}
	p.once.Do(func() { close(p.tuned) })
}

// ready has clients use the node of p, which has started.
func (w *world) ready(p *place) {
	p.run.Store(&run{Node: w.cluster.Node(p.index), index: p.index})
	p.busy.Store(false)
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

// pick returns the node that a client uses now: mostly that of its home.
func (w *world) pick(home int, r *rand.Rand) *run {
	var open []*run
	for _, p := range w.which(func(*place) bool { return true }) {
		if r := p.run.Load(); r != nil {
			open = append(open, r)
		}
	}
	if r.IntN(4) == 0 {
		return open[r.IntN(len(open))]
	}
	return open[home%len(open)]
}

func (w *world) stopping() bool { return w.stop.Load() }

// took notes how long a request has taken.
func (w *world) took(id string, r request, via *run, d time.Duration) {
	for {
		last := w.longest.Load()
		if int64(d) <= last || w.longest.CompareAndSwap(last, int64(d)) {
			break
		}
	}
	if d > slowest {
		w.fault("slow: %s: %v through n%d took %v", id, r, via.index, d)
	}
}

// play has everything happen, and checks it.
func (w *world) play() {
	var clients sync.WaitGroup
	all := make([]*client, w.schedule.Clients)
	for i := range all {
		all[i] = newClient(w, i)
		clients.Go(all[i].work)
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
	time.Sleep(alarmMax)
	w.end(all[0])
}

// settle waits until all changes are over and all nodes have the same view.
func (w *world) settle() {
	w.changes.Wait()
	w.cluster.Settle()
}

// end checks what is left when all is quiet.
func (w *world) end(last *client) {
	alive := map[string]string{}
	for _, p := range w.which((*place).up) {
		for _, id := range w.sessions {
			last.send(id, request{op: "look"}, p.run.Load())
		}
	}
	for _, id := range w.sessions {
		h := w.histories[id]
		if a := h.ops[len(h.ops)-1].Output.(answer); a.outcome == done {
			alive[id] = a.Incarnation
		}
		if fault := h.check(); fault != "" {
			w.fault("history: %s: %s", id, fault)
		}
	}
	w.missed(alive)
	processes := 0
	for _, p := range w.which((*place).up) {
		processes += p.run.Load().Sessions()
	}
	if processes != len(alive) {
		w.fault("copies: %d sessions have %d processes", len(alive), processes)
	}
}

// eventLog keeps what has happened.
type eventLog struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *eventLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// note adds a line.
func (l *eventLog) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.buf, "time=%s "+format+"\n", append([]any{time.Now().Format(clock)}, args...)...)
}

func (l *eventLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
