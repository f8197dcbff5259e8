package endpoint

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// A turnstile bounds the processor time that strangers can make this node spend
// on TLS: one of them at a time is worked for, and then nobody for restShare
// times as long. The next one is of the smallest crowd, and of several the last
// to come, whose peer still waits; who has had a turn before goes first. Who has
// a place of a member passes by, and so does who has knocked. Safe for concurrent
// use.
type turnstile struct {
	strangers *strangers

	mu      sync.Mutex // guards what follows
	taken   bool
	since   time.Time
	waiting []*waiter // in the order of their coming
}

const (
	restShare = 3
	restMost  = 10 * time.Millisecond // a machine that is busy otherwise is not made busier
)

type waiter struct {
	stranger *stranger
	again    bool          // it has had a turn
	turn     chan struct{} // closed when it is its turn
}

// enter waits for st's turn. It reports false if st had to go, or until has
// come.
func (t *turnstile) enter(st *stranger, again bool, until time.Time) bool {
	if st.passes() {
		return true
	}
	t.mu.Lock()
	if !t.taken {
		t.taken, t.since = true, time.Now()
		t.mu.Unlock()
		return true
	}
	w := &waiter{stranger: st, again: again, turn: make(chan struct{})}
	t.waiting = append(t.waiting, w)
	t.mu.Unlock()
	patience := time.NewTimer(time.Until(until))
	defer patience.Stop()
	select {
	case <-w.turn:
		return true
	case <-st.gone:
	case <-patience.C:
	}
	if !t.forget(w) { // its turn came just now
		t.leave(st)
	}
	return false
}

// passes: st needs no turn. Only its own goroutine asks.
func (st *stranger) passes() bool { return st.at != nil || st.trusts }

// forget takes w off those that wait, if it still does.
func (t *turnstile) forget(w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, w)
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	return i >= 0
}

// leave ends st's turn.
func (t *turnstile) leave(st *stranger) {
	if st.passes() {
		return
	}
	t.mu.Lock()
	rest := min(restShare*time.Since(t.since), restMost)
	t.mu.Unlock()
	if rest > 0 {
		time.AfterFunc(rest, t.next)
		return
	}
	t.next()
}

// next gives the turn to the next one.
func (t *turnstile) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.taken = false
		return
	}
	i := slices.IndexFunc(t.waiting, func(w *waiter) bool { return w.again })
	if i < 0 {
		i = t.strangers.leastCrowded(t.waiting)
	}
	w := t.waiting[i]
	t.waiting = slices.Delete(t.waiting, i, i+1)
	t.since = time.Now()
	close(w.turn)
}

var errNoTurn = errors.New("too many others began TLS")

// A turnedConn gives TLS one record at a time, when it is complete and it is the
// stranger's turn; the turn ends when TLS wants the next one. What TLS reads until it has
// the client's hello costs next to nothing and needs no turn. One goroutine uses it, until
// done.
type turnedConn struct {
	*acceptedConn
	turnstile *turnstile
	knocks    *knocks
	keys      *Keys
	until     time.Time // the end of the stranger's time
	head      []byte    // read already, and not given to TLS yet
	started   bool      // the first record is complete
	greeted   bool      // TLS has the client's hello
	working   bool
	finished  bool
}

const (
	recordHead = 5            // bytes in front of a record: type, version and length
	maxRecord  = 16<<10 + 256 // bytes of one, encrypted
)

func (c *turnedConn) Read(b []byte) (int, error) {
	if c.finished && len(c.head) == 0 {
		return c.acceptedConn.Read(b)
	}
	if len(c.head) == 0 || !c.started && !c.finished {
		c.started = true
		c.pause()
		if err := c.readRecord(); err != nil {
			return 0, err
		}
		if c.greeted {
			if !c.turnstile.enter(c.stranger, true, c.until) {
				return 0, errNoTurn
			}
			c.working = true
		}
	}
	n := copy(b, c.head)
	c.head = c.head[n:]
	return n, nil
}

// greet is told of the client's hello; what comes of it is work. An error ends the
// handshake.
func (c *turnedConn) greet(hello *tls.ClientHelloInfo) error {
	c.greeted = true
	if c.knocks.right(hello.SupportedProtos, c.keys, time.Now()) {
		c.strangers.trust(c.stranger)
	}
	if !c.turnstile.enter(c.stranger, false, c.until) {
		return errNoTurn
	}
	c.working = true
	return nil
}

// readRecord completes the record of which head is the beginning. What is none
// it leaves to TLS to refuse.
func (c *turnedConn) readRecord() error {
	if err := c.fill(recordHead); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint16(c.head[recordHead-2:]))
	if size > maxRecord {
		return nil
	}
	return c.fill(recordHead + size)
}

// fill reads until head has n bytes. Memory is taken as they come.
func (c *turnedConn) fill(n int) error {
	for len(c.head) < n {
		c.head = slices.Grow(c.head, min(n-len(c.head), 1<<10))
		more, err := io.ReadAtLeast(c.acceptedConn, c.head[len(c.head):min(n, cap(c.head))], 1)
		c.head = c.head[:len(c.head)+more]
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *turnedConn) pause() {
	if c.working {
		c.working = false
		c.turnstile.leave(c.stranger)
	}
}

// done tells that the handshake has ended.
func (c *turnedConn) done() {
	c.pause()
	c.finished = true
}
