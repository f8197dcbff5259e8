package node

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A waitlist holds the requests that wait for a session, or for its partition,
// that is on its way to this node. When the effect Wake comes, requests of
// other nodes are served again, and requests of this node try again. So no
// caller needs to poll.
type waitlist struct {
	waits func(part int, id string) bool     // a request has to wait
	serve func(part int, in *engine.Inbound) // tries a request again

	mu     sync.Mutex       // guards what follows
	byPart map[int]*waiters // by partition
	count  int              // parked requests
	timer  *time.Timer      // runs while requests are parked
	over   bool             // the node stops
}

// waiters are the requests that wait for one partition. After a wake they are dropped, and new
// ones are made when they are needed.
type waiters struct {
	wake   chan struct{}     // closed when it is time to try again
	parked []*engine.Inbound // requests of other nodes
}

const (
	maxParked = 16 << 10               // parked requests; callers of further ones must try again
	parkTime  = 200 * time.Millisecond // parked requests are tried that often without a wake
)

// waitersLocked returns the waiters of a partition, and makes them if there are none.
func (l *waitlist) waitersLocked(part int) *waiters {
	s := l.byPart[part]
	if s == nil {
		s = &waiters{wake: make(chan struct{})}
		if l.byPart == nil {
			l.byPart = map[int]*waiters{}
		}
		l.byPart[part] = s
	}
	return s
}

// wakeUp returns a channel that is closed when requests for sessions of the
// partition may get another answer. The caller must take the channel before it
// asks the machine: a change between the two then closes the channel, and no
// wake is missed.
func (l *waitlist) wakeUp(part int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waitersLocked(part).wake
}

// park keeps a request of another node. If it returns false, the caller must
// answer the request.
//
// The machine's answer may change between the question that led to park and the
// moment at which the request is in the list, and then no further wake would
// come. So park asks again afterwards.
func (l *waitlist) park(part int, in *engine.Inbound) bool {
	l.mu.Lock()
	if l.over || l.count >= maxParked {
		l.mu.Unlock()
		return false
	}
	id := strings.Clone(in.ID) // a parked request may be answered at any time, and then be reused
	s := l.waitersLocked(part)
	s.parked = append(s.parked, in)
	if l.count++; l.timer == nil {
		l.timer = time.AfterFunc(parkTime, l.wakeAll)
	}
	l.mu.Unlock()
	if !l.waits(part, id) {
		l.wake(part)
	}
	return true
}

// drop removes a request whose caller has given up. It reports false if the
// request is not parked.
func (l *waitlist) drop(part int, in *engine.Inbound) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.byPart[part]
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

// wake tries the requests of a partition again. It must not be called under a
// lock of the driver: Serve may enter the Gate.
func (l *waitlist) wake(part int) {
	l.mu.Lock()
	s := l.byPart[part]
	if s == nil {
		l.mu.Unlock()
		return
	}
	delete(l.byPart, part)
	l.count -= len(s.parked)
	l.mu.Unlock()
	close(s.wake)
	for _, in := range s.parked {
		l.serve(part, in)
	}
}

// wakeAll tries all requests again.
func (l *waitlist) wakeAll() {
	l.mu.Lock()
	l.timer = nil
	parts := make([]int, 0, len(l.byPart))
	for part := range l.byPart {
		parts = append(parts, part)
	}
	l.mu.Unlock()
	for _, part := range parts {
		l.wake(part)
	}
}

// close has all requests answered, after the driver has stopped, and keeps no
// further ones.
func (l *waitlist) close() {
	l.mu.Lock()
	l.over = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.wakeAll()
}
