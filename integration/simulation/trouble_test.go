package simulation_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

// trouble is what faults there were, and which of them may still be felt.
type trouble struct {
	mu      sync.Mutex // guards all below
	open    map[int]bool
	past    map[int]time.Time // when the last one of a place was over
	split   bool              // there was a fault by which a live node may be taken for dead
	live    bool              // there is one
	over    time.Time         // when the last such one was
	exposed bool              // there was a crash that standbys do not make up for
	kills   []kill
	few     map[int]time.Time // since when a place can reach fewer than the quorum

	cuts    map[[2]int]bool // between two places
	stalled map[int]bool
}

// kill is the end of a process, or of its connections only.
type kill struct {
	at     time.Time
	silent bool // nobody's connection was reset
	node   bool // a process has ended
}

const (
	aftermath  = 40 * time.Second // of a fault that is over: members meet again within 15 s, claims and sessions follow
	noticed    = 8 * time.Second  // of a cut or a crash: everybody knows by then
	loneliness = 2 * noticed      // of a minority: who is alone finds out about the others one after another
	lossRate   = 0.3              // of packets
	slowLeave  = 20 * time.Second
	resetTime  = 500 * time.Millisecond // for a reset to end what was under way
)

func newTrouble() *trouble {
	return &trouble{open: map[int]bool{}, past: map[int]time.Time{}, few: map[int]time.Time{}, cuts: map[[2]int]bool{},
		stalled: map[int]bool{}}
}

// begin notes a fault of places. lasting: until over is called.
func (t *trouble) begin(lasting bool, places ...*place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range places {
		t.past[p.index] = time.Now()
		t.open[p.index] = t.open[p.index] || lasting
	}
	if lasting {
		t.split, t.live = true, true
	}
}

func (t *trouble) kill(i int, silent bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kills = append(t.kills, kill{time.Now(), silent, true})
	delete(t.stalled, i)
}

func (t *trouble) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kills = append(t.kills, kill{at: time.Now()})
}

// end notes that all lasting faults are over.
func (t *trouble) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.open {
		t.past[i] = time.Now()
	}
	for i := range t.stalled {
		if _, few := t.few[i]; few {
			t.few[i] = time.Now() // what waits in its sockets is of members that may have gone
		}
	}
	clear(t.open)
	clear(t.cuts)
	clear(t.stalled)
	if t.live {
		t.live, t.over = false, time.Now()
	}
}

// touched reports whether a fault of a place may have been felt since then.
func (t *trouble) touched(i int, since time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	past, ok := t.past[i]
	return t.open[i] || ok && past.Add(aftermath).After(since)
}

// twins reports whether two copies of a session may run: a live node was taken for
// dead.
func (t *trouble) twins() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live || !t.over.IsZero() && time.Since(t.over) < aftermath
}

// wasSplit reports whether a live node may ever have been taken for dead.
func (t *trouble) wasSplit() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.split
}

// killed reports whether the end of a process explains that a request failed
// now, as it was under way there.
func (t *trouble) killed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.kills {
		within := resetTime
		if k.silent { // who is left alone finds out about one after another
			within = time.Duration(len(t.kills)) * noticed
		}
		if time.Since(k.at) <= within {
			return true
		}
	}
	return false
}

// cutShort reports whether a request that began then may have been under way at a node that died, or on a
// connection that was reset. That is found out as late as the end of the node.
func (t *trouble) cutShort(begun time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.kills, func(k kill) bool {
		within := resetTime
		if k.silent {
			within = t.knownLocked(k)
		}
		return !k.at.Add(within).Before(begun)
	})
}

// mute reports whether a place must have noticed that it is without a quorum.
func (t *trouble) mute(i int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	since, ok := t.few[i]
	return ok && time.Since(since) > loneliness
}

// disturb does what a step says to the node of p and the next one.
func (w *world) disturb(p *place, s step) {
	others := w.which(func(other *place) bool { return other != p && other.up() })
	net, host := w.cluster.Network(), w.cluster.Host(p.index)
	w.troubled[s.Do]++
	var next *place
	if len(others) > 0 {
		next = others[(s.Node+p.index)%len(others)]
	}
	switch s.Do {
	case crash, power:
		w.kill(p, s.Do == power)
	case evict:
		w.trouble.begin(true, p)
		if err := next.run.Load().Evict(p.run.Load().Name()); err != nil {
			w.log.note("evict: %v", err)
		}
		w.kill(p, false)
	case isolate:
		with := []*place{p}
		if s.Linger && len(others) > 1 {
			with = append(with, next)
		}
		w.isolate(with)
	case cut:
		w.trouble.begin(true, p, next)
		w.cut(p, next)
	case oneWay:
		w.trouble.begin(true, p, next)
		net.CutOneWay(host, w.cluster.Host(next.index))
	case stall:
		w.trouble.begin(true, p)
		host.Stall()
		w.trouble.mu.Lock()
		w.trouble.stalled[p.index] = true
		w.trouble.mu.Unlock()
	case lossy:
		w.trouble.begin(true, append(others, p)...) // any of them may be taken for dead
		w.link(p, simnet.Link{Jitter: time.Millisecond, Loss: lossRate})
	case reset:
		w.trouble.begin(false, append(others, p)...)
		w.trouble.reset()
		for _, other := range others {
			net.Reset(host, w.cluster.Host(other.index))
		}
	case heal:
		w.heal()
	}
	w.countSides()
}

// kill ends the process of a place, whatever it is doing.
func (w *world) kill(p *place, silent bool) {
	if !p.struck && !w.strike(p, silent) {
		return
	}
	if silent {
		w.cluster.PowerOff(p.index)
	} else {
		w.cluster.Crash(p.index)
	}
	w.load.lost(int(p.home.Load()), p.madeUp)
	p.struck = false
	p.busy.Store(false)
}

// strike takes the process of a place off the network at this very moment, even if its own node calls it with its locks
// held; kill does the rest. false: the node has just left.
func (w *world) strike(p *place, silent bool) bool {
	r := p.alive.Load()
	if r == nil || !r.over.CompareAndSwap(false, true) {
		return false
	}
	p.struck, p.madeUp = true, w.crashes(p)
	w.trouble.begin(false, p)
	w.trouble.kill(p.index, silent)
	r.killed.Store(true)
	p.alive.Store(nil)
	p.run.Store(nil)
	w.load.lost(int(p.home.Load()), p.madeUp)
	if host := w.cluster.Host(p.index); silent {
		host.PowerOff()
	} else {
		host.Crash()
	}
	return true
}

// isolate cuts some places off from all others, and not from one another.
func (w *world) isolate(inside []*place) {
	w.trouble.begin(true, inside...)
	for _, p := range inside {
		for _, other := range w.which(func(other *place) bool { return !slices.Contains(inside, other) }) {
			w.cut(p, other)
		}
	}
}

// cut cuts the link between two places.
func (w *world) cut(a, b *place) {
	w.trouble.mu.Lock()
	w.trouble.cuts[pair(a, b)] = true
	w.trouble.mu.Unlock()
	w.cluster.Network().Cut(w.cluster.Host(a.index), w.cluster.Host(b.index))
}

// heal ends all faults that last.
func (w *world) heal() {
	w.trouble.end()
	w.cluster.Network().HealAll()
	for _, p := range w.which(func(*place) bool { return true }) {
		w.cluster.Host(p.index).Resume()
		w.link(p, simnet.Link{Jitter: time.Millisecond})
	}
	w.countSides()
}

func pair(a, b *place) [2]int { return [2]int{min(a.index, b.index), max(a.index, b.index)} }

// countSides notes, whenever places or cuts have changed, which places reach fewer than the quorum.
func (w *world) countSides() {
	if w.schedule.Quorum == 0 {
		return
	}
	left := w.which(func(p *place) bool { return p.alive.Load() != nil || p.busy.Load() })
	t := w.trouble
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(left) > 0 {
		side := left[:1:1]
		left = left[1:]
		for k := 0; k < len(side); k++ {
			var rest []*place
			for _, p := range left {
				if t.cuts[pair(p, side[k])] || t.stalled[p.index] || t.stalled[side[k].index] {
					rest = append(rest, p)
				} else {
					side = append(side, p)
				}
			}
			left = rest
		}
		for _, p := range side {
			if _, was := t.few[p.index]; len(side) >= w.schedule.Quorum {
				delete(t.few, p.index)
			} else if !was {
				t.few[p.index] = time.Now()
			}
		}
	}
}

// complain notes what a cluster complains of: but for a node that cannot start, as
// the members that it has found are cut off or stand still.
func (w *world) complain(format string, args ...any) {
	if w.trouble.twins() && strings.HasPrefix(format, "nodetest: start of node") {
		w.log.note(format, args...)
		return
	}
	w.fault(format, args...)
}

// leaveInTrouble has a node leave that others may not hear, or that is killed
// meanwhile.
func (w *world) leaveInTrouble(r *run) {
	ctx, cancel := context.WithTimeout(context.Background(), slowLeave)
	defer cancel()
	lost := w.load.leaves()
	err := r.Leave(ctx)
	left := r.over.CompareAndSwap(false, true)    // else it is killed
	if err != nil && (left || ctx.Err() != nil) { // it says that sessions have ended
		w.trouble.expose()
		w.failedLeaves.Add(1)
		lost()
	}
	if !left {
		return
	}
	if err != nil {
		w.log.note("n%d: %v", r.index, err)
	}
	w.cluster.Crash(r.index) // it is closed: that takes it off the cluster
}
