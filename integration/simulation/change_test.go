package simulation_test

import (
	"slices"
	"time"

	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
)

// change begins a step, if it is possible now. Nodes come and go beside whatever
// follows.
func (w *world) change(s step) {
	able := w.able(s.Do)
	if w.schedule.Careful && (s.Do == crash || s.Do == power) {
		able = w.await(s.Do)
		if s.At != "" && len(able) > 0 {
			able = nil
			if p := w.ambushed(s); p != nil {
				able = []*place{p}
			}
		}
	}
	if len(able) == 0 {
		w.log.note("%s: not now", s.Do)
		return
	}
	p := able[s.Node%len(able)]
	w.log.note("%s: n%d", s.Do, p.index)
	switch s.Do {
	case join, bare:
		p.bare = s.Do == bare
		if p.bare {
			w.strange.Store(true)
		}
		w.begin(p, func() { w.cluster.Add(); w.ready(p) })
		<-p.tuned // the next one gets the next index
	case back:
		w.begin(p, func() { w.cluster.Restart(p.index); w.ready(p) })
	case leave, restart:
		r := p.run.Load()
		r.leaving.Store(true)
		if !s.Linger {
			p.run.Store(nil)
		}
		w.begin(p, func() { w.goAway(p, r, s.Do == restart) })
	case far:
		w.link(p, simnet.Link{Latency: 15 * time.Millisecond, Jitter: 10 * time.Millisecond})
	case near:
		w.link(p, simnet.Link{Jitter: time.Millisecond})
	case rest:
		w.settle()
	case mend:
		w.mended()
	default:
		w.disturb(p, s)
	}
}

// able returns the places where something can happen now. As long as a node
// without the kind is there, one that has it stays: the others' sessions go there.
func (w *world) able(c change) []*place {
	up, busy := w.which((*place).up), w.which(func(p *place) bool { return p.busy.Load() })
	full := len(up)+len(busy) >= w.schedule.most()
	switch c {
	case join, bare:
		if full || c == bare && len(busy) > 0 {
			return nil
		}
		return []*place{w.newPlace()}
	case back:
		return w.which(func(p *place) bool {
			return !full && p.run.Load() == nil && !p.busy.Load() && (!p.bare || len(busy) == 0)
		})
	case leave, restart:
		stay := w.which(func(p *place) bool { return p.up() && !p.busy.Load() && !p.bare })
		return w.which(func(p *place) bool {
			return p.up() && (p.bare || slices.ContainsFunc(stay, func(o *place) bool { return o != p }))
		})
	case rest, mend, far, near, heal:
		return up
	case crash, power: // those too that leave, but not the last one that stays
		return w.which(func(p *place) bool { return p.alive.Load() != nil && (!p.up() || len(up) > 1) })
	case isolate, cut, oneWay, stall, lossy, reset, evict:
		if len(up) > 1 {
			return up
		}
		return nil
	}
	panic("unknown change " + c)
}

// begin has a place busy with something that ends with a new node, or with none. It
// is left with Goexit if no node could start.
func (w *world) begin(p *place, f func()) {
	p.busy.Store(true)
	w.countSides()
	w.changes.Go(func() {
		failed := true
		defer func() {
			if failed {
				p.busy.Store(false)
				w.countSides()
			}
		}()
		f()
		failed = false
	})
}

// goAway has the node of a place leave.
func (w *world) goAway(p *place, r *run, again bool) {
	begun := time.Now()
	if w.schedule.Faults {
		w.leaveInTrouble(r)
	} else {
		w.cluster.Leave(p.index)
	}
	if r.killed.Load() {
		return
	}
	p.run.Store(nil)
	p.alive.Store(nil)
	w.log.note("n%d has left", p.index)
	if took := time.Since(begun); took > longLeave && !w.schedule.Faults {
		w.fault("slow: n%d left after %v", p.index, took)
	}
	if again {
		w.cluster.Restart(p.index)
		w.ready(p)
		return
	}
	p.busy.Store(false)
	w.countSides()
}

// link changes how a place is connected to all others.
func (w *world) link(p *place, l simnet.Link) {
	net := w.cluster.Network()
	for _, other := range w.which(func(other *place) bool { return other != p }) {
		a, b := w.cluster.Host(p.index), w.cluster.Host(other.index)
		for _, err := range []error{net.SetLink(a, b, l), net.SetLink(b, a, l)} {
			if err != nil {
				w.fault("link: %v", err)
			}
		}
	}
}
