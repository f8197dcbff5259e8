package transport

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errSilent     = errors.New("silent for 3 ping intervals")
	errSlowReader = errors.New("peer does not read: MaxOutput exceeded")
)

// A conn is one authenticated connection. It has two goroutines: the reader,
// and the flusher, which alone writes to the socket. All others append to out.
// The first failure ends the connection, through fail.
//
// The flusher is parked on wake or awake. Under mu, awake says which: the
// goroutine that changes it from false to true must send on wake after it has
// unlocked mu, and no other may. So at most one token is in wake, the send
// never blocks, and a caller that finds awake set knows that the flusher will
// look at out again before it parks.
type conn struct {
	t     *Transport
	nc    net.Conn
	peer  string // the name that the handshake returned for the peer
	label string // names the peer in errors: the dialled address, or peer
	class Class
	role  role

	// Owned by the reader.
	br  *bufio.Reader
	now time.Time // when the present batch was read; zero until batchTime is called

	heard  atomic.Bool // bytes were read since the last tick
	silent int         // ticks in a row without bytes; owned by Transport.keep

	wake chan struct{} // capacity 1; see above

	mu         sync.Mutex    // guards the rest, and the tables of the role
	awake      bool          // the flusher runs, or a token is on its way
	closing    bool          // no new requests; the connection ends when out is written
	err        error         // why the connection ended, or nil; set once, by fail
	out        output        // frames that wait to be written
	acks       []uint64      // casts to acknowledge with the next write
	taken      uint64        // bytes taken from out since the beginning
	given      uint64        // bytes passed to nc.Write since the beginning; given <= taken
	inWrite    int           // taken bytes that are not written yet
	writeSince time.Time     // when the present write began
	room       chan struct{} // closed when inWrite shrinks; nil if no goroutine waits
	pings      uint64        // pings sent
	streams    streamTable
}

// A role is what a connection does apart from moving frames. client and server
// implement it.
type role interface {
	// frame handles one frame, on the reader's goroutine. body is valid only
	// during the call, unless owned is set. An error ends the connection.
	frame(body []byte, owned bool) error
	// admit reports whether to read a frame that exceeds the read buffer, before
	// memory is allocated for it. The frame is skipped otherwise. An error ends
	// the connection.
	admit(kind, number uint64, size int) (bool, error)
	// failed is called once, from any goroutine, after the connection has ended
	// because of err.
	failed(err error)
	// trimLocked is called once per ping interval, under conn.mu, to free memory.
	trimLocked()
	// retire takes the connection out of use; see Transport.Retire.
	retire()
	// ended is called once on the reader's goroutine, after the last frame.
	ended()
}

// init sets up the connection over nc, which is authenticated. start starts it.
func (c *conn) init(t *Transport, nc net.Conn, peer string, class Class, r role) {
	c.t, c.nc, c.peer, c.label, c.class, c.role = t, nc, peer, peer, class, r
	c.wake = make(chan struct{}, 1)
	c.out.pool = &t.chunks
	c.br = bufio.NewReaderSize(heardReader{c}, readBuffer)
	c.streams.open = map[uint64]*Stream{}
}

// start starts the goroutines of the connection. If the transport is closed,
// start closes the connection instead.
func (c *conn) start() {
	if !c.t.add(c) {
		c.fail(ErrClosed)
		<-c.wake // fail has sent to the flusher, which does not run
		_ = c.nc.Close()
	}
}

// fail ends the connection because of err. From then on no byte is passed to
// the socket, and all that wait for the connection get err. Calls after the
// first do nothing.
//
// awake is set for ever, so no other goroutine wakes the flusher after fail. If
// the flusher is parked, it gets a last token and closes the socket itself,
// because closing a TLS connection writes an alert and may block, and the
// caller of fail may be a reader or a timer. If the flusher is awake it may be
// blocked in Write, and only closing the socket from here ends that.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	parked := !c.awake
	c.awake = true
	room := c.room
	c.room, c.acks = nil, nil
	c.out.drop()
	c.mu.Unlock()

	if parked {
		c.wake <- struct{}{}
	} else {
		_ = c.nc.Close()
	}
	if room != nil {
		close(room)
	}
	c.streams.fail(c, err)
	c.role.failed(err)
	c.t.logEnd(c, err)
}

// shutdown ends the connection once the output is written. New requests are
// refused from now on, and answers are still accepted.
func (c *conn) shutdown() {
	c.mu.Lock()
	c.shutdownLocked()
}

// shutdownLocked is shutdown for a caller that holds c.mu. It unlocks c.mu.
func (c *conn) shutdownLocked() {
	c.closing = true
	wake := c.wakeLocked()
	c.mu.Unlock()
	if wake {
		c.wake <- struct{}{}
	}
}

// tick runs once per ping interval. It ends a silent connection, frees memory
// that an idle connection does not need, and sends a ping.
func (c *conn) tick() {
	if c.heard.Swap(false) {
		c.silent = 0
	} else if c.silent++; c.silent >= 3 {
		c.fail(errSilent)
		return
	}
	c.mu.Lock()
	if !c.awake {
		c.out.trim()
		c.acks = nil
	}
	c.role.trimLocked()
	c.pings++
	c.emptyLocked(kindPing, c.pings)
}

// emptyLocked sends a frame that has no elements beside its number. It unlocks
// c.mu.
func (c *conn) emptyLocked(kind byte, number uint64) {
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.out.buf = appendEmpty(c.out.fit(headerRoom), kind, number)
	c.sendLocked()
}

// pingPong handles the frames that are the same for both roles. handled is
// false if f is another one.
func (c *conn) pingPong(f *frame) (handled bool, err error) {
	switch {
	case f.kind == kindPing:
		if err := f.endPlain(0); err != nil {
			return true, err
		}
		c.mu.Lock()
		c.emptyLocked(kindPong, f.number)
		return true, nil
	case f.kind == kindPong:
		return true, f.endPlain(0)
	case f.kind >= firstOptional:
		return true, nil
	}
	return false, nil
}

// lost wraps the reason why the connection ended, for those that waited for it.
func (c *conn) lost(err error) error {
	if errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("transport: %s: connection lost: %w", c.label, err)
}

// unexpected is the error for a frame that a role does not accept.
func unexpected(kind uint64) error { return fmt.Errorf("frame of kind %d is not expected here", kind) }
