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
// on TLS handshakes. It is safe for concurrent use.
//
// One stranger at a time has the turn. When its turn ends, the turnstile rests
// for restShare times as long as the turn took, so strangers get at most a
// quarter of one processor. The next turn goes to a stranger that already had
// one, so that a handshake that has begun can end. Otherwise it goes to the
// smallest crowd (see strangers), and of several to the last that came: its
// peer is the one most likely to wait still. Strangers that have a member's
// place or have knocked pass without a turn.
type turnstile struct {
	strangers *strangers

	mu      sync.Mutex // guards what follows
	taken   bool       // a stranger has the turn, or the turnstile rests
	since   time.Time  // the beginning of the present turn
	waiting []*waiter  // in the order in which they came
}

const (
	restShare = 3
	// restMost bounds the rest. On a busy machine a turn takes long because the goroutine
	// does not run, and a rest in proportion would hold up everybody for nothing.
	restMost = 10 * time.Millisecond
)

// enter waits for the turn of st. It reports false if st was evicted, or if
// until has passed.
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
	if !t.forget(w) { // next has given st the turn in the meantime
		t.leave(st)
	}
	return false
}

// passes reports whether st needs no turn. Only the goroutine of st may call
// it.
func (st *stranger) passes() bool { return st.at != nil || st.trusts }

// forget removes w from the waiters. It reports false if w no longer waits.
func (t *turnstile) forget(w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, w)
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	return i >= 0
}

// leave ends the turn of st. The next turn begins after the rest.
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

// next gives the turn to a waiter, or marks the turnstile free.
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

var errNoTurn = errors.New("too many other TLS handshakes")

// A turnedConn is the connection below TLS during an accepted handshake. One
// goroutine uses it, until done.
//
// It hands a record to TLS when the record is complete and the stranger has the
// turn. The turn ends when TLS wants the next record. So a stranger that sends
// slowly, or stops in the middle of a record, never holds the turn while it is
// silent. What TLS does before it has the client's hello costs next to nothing
// and needs no turn.
type turnedConn struct {
	*acceptedConn
	turnstile *turnstile
	knocks    *knocks
	keys      *Keys
	until     time.Time // the deadline of the handshake
	head      []byte    // bytes that are read but not handed to TLS yet
	started   bool      // readRecord has been called for the first record
	greeted   bool      // TLS has the client's hello
	working   bool      // the stranger has the turn
	finished  bool      // the handshake has ended; Read passes through
}

const (
	recordHead = 5            // bytes of the header of a record: type, version and length
	maxRecord  = 16<<10 + 256 // bytes of an encrypted record
)

// Read implements io.Reader for TLS.
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

// greet is called by TLS with the client's hello, before the costly part of the
// handshake. It checks the knock and waits for the turn. An error ends the
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

// readRecord reads until head holds a complete record. If head holds no valid
// record, readRecord stops early, and TLS refuses it.
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

// fill reads until head has n bytes. It grows head as the bytes come, so that a
// stranger cannot reserve memory by announcing a large record.
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

// pause ends the turn, if the stranger has it.
func (c *turnedConn) pause() {
	if c.working {
		c.working = false
		c.turnstile.leave(c.stranger)
	}
}

// done is called when the handshake has ended.
func (c *turnedConn) done() {
	c.pause()
	c.finished = true
}
