package node

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/sessionproc"
)

// lot is where requests wait for a session, or its partition, that is on its way
// to this node: those of other nodes are served again, the node's own try again,
// when Wake comes. No caller has to ask again and again.
type lot struct {
	n *Node

	mu    sync.Mutex    // guards what follows
	spots map[int]*spot // by partition
	count int           // of the parked requests
	timer *time.Timer   // runs while any are parked
	over  bool          // the node stops
}

type spot struct {
	wake   chan struct{} // closed when it is time to try again
	parked []*inbound
}

const (
	maxParked = 16 << 10               // requests of other nodes; further ones are told to ask again
	parkTime  = 200 * time.Millisecond // after which a parked request is tried all the same
	askPause  = 200 * time.Millisecond // between two questions for one session
	maxAsked  = 256                    // of a partition, for which that is remembered
)

func (l *lot) spotLocked(part int) *spot {
	s := l.spots[part]
	if s == nil {
		s = &spot{wake: make(chan struct{})}
		if l.spots == nil {
			l.spots = map[int]*spot{}
		}
		l.spots[part] = s
	}
	return s
}

// wakeUp returns a channel that is closed when requests for the partition's
// sessions may have another answer.
func (l *lot) wakeUp(part int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spotLocked(part).wake
}

// park keeps a request of another node; false: it is to be answered.
func (l *lot) park(part int, in *inbound) bool {
	l.mu.Lock()
	if l.over || l.count >= maxParked {
		l.mu.Unlock()
		return false
	}
	id := strings.Clone(in.ID) // once it is parked it may be answered, and in use for another request
	s := l.spotLocked(part)
	s.parked = append(s.parked, in)
	if l.count++; l.timer == nil {
		l.timer = time.AfterFunc(parkTime, l.wakeAll)
	}
	l.mu.Unlock()
	if !l.n.driver.waits(part, id) { // it has come between the question and now
		l.wake(part)
	}
	return true
}

// drop takes out a request that nobody waits for any more.
func (l *lot) drop(part int, in *inbound) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.spots[part]
	if s == nil {
		return false
	}
	i := slices.Index(s.parked, in)
	if i < 0 {
		return false
	}
	s.parked = slices.Delete(s.parked, i, i+1)
	l.count--
	return true
}

// wake has the partition's requests tried again.
func (l *lot) wake(part int) {
	l.mu.Lock()
	s := l.spots[part]
	if s == nil {
		l.mu.Unlock()
		return
	}
	delete(l.spots, part)
	l.count -= len(s.parked)
	l.mu.Unlock()
	close(s.wake)
	for _, in := range s.parked {
		l.n.table.Serve(part, &in.Inbound)
	}
}

// wakeAll has all requests tried again.
func (l *lot) wakeAll() {
	l.mu.Lock()
	l.timer = nil
	parts := make([]int, 0, len(l.spots))
	for part := range l.spots {
		parts = append(parts, part)
	}
	l.mu.Unlock()
	for _, part := range parts {
		l.wake(part)
	}
}

// close has all requests answered: the driver has stopped.
func (l *lot) close() {
	l.mu.Lock()
	l.over = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.wakeAll()
}

// park keeps a request that has to wait, or sends it to where the session may be
// meanwhile.
func (in *inbound) park() bool {
	n := in.n
	part := n.routes.Load().ring.Partition(in.ID)
	if in.call.Flags&flagWaits == 0 {
		if addr := n.driver.before(part, in.Op); addr != "" {
			fail(in.call, failure{code: codeNotOwner, extra: addr})
			return true
		}
	}
	return n.driver.lot.park(part, in)
}

// unpark answers a request whose caller has gone.
func (in *inbound) unpark() {
	n := in.n
	if n.driver.lot.drop(n.routes.Load().ring.Partition(in.ID), in) {
		fail(in.call, encodeError(context.Canceled, false))
	}
}

// waits reports whether a request for the session has to wait here.
func (d *driver) waits(part int, id string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return !d.closed && (d.m.Who(part, id).Place == ownership.Wait || d.n.table.PausedBy() != nil)
}

// Settled implements sessionproc.Gate.
func (d *driver) Settled(part int, id string) bool {
	d.mu.RLock()
	comes := !d.closed && d.m != nil && d.m.MayCome(part, id)
	d.mu.RUnlock()
	if comes {
		d.want(part, strings.Clone(id))
	}
	return !comes
}

// want asks the others for a session that somebody waits for.
func (d *driver) want(part int, id string) {
	d.mu.RLock()
	last, asked := d.parts[part].asked[id]
	holds := d.m.Holds(part)
	d.mu.RUnlock()
	if !holds || asked && time.Since(last) < askPause {
		return
	}
	d.turn(part, func(m *ownership.Machine) []ownership.Effect {
		d.parts[part].noteAsked(id, time.Now())
		return m.Want(part, id)
	})
}

// noteAsked remembers that others were asked for a session, for askPause.
func (pt *driven) noteAsked(id string, now time.Time) {
	if len(pt.asked) >= maxAsked {
		maps.DeleteFunc(pt.asked, func(_ string, at time.Time) bool { return now.Sub(at) >= askPause })
	}
	if len(pt.asked) < maxAsked { // else it may be asked for more often
		put(&pt.asked, id, now)
	}
}

// before returns the address of the member that owned a partition before this
// node, if that is there and this node does not have all of the partition yet: what
// has not been sealed there is served there, without a wait. Only what is to be
// started is started here, once this node holds the partition.
func (d *driver) before(part int, op sessionproc.Op) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.owned[part]
	starts := op == sessionproc.OpStart || op == sessionproc.OpEnsure
	if d.closed || p == nil || starts && d.m.Holds(part) || p.remote == nil || d.m.Full(part) || !d.sees(p.name) {
		return ""
	}
	return p.Addr
}
