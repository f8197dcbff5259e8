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

// conn is one authenticated connection. Two goroutines belong to it: the
// reader, and the flusher, the only one that writes to the socket. Everybody
// else appends to out. Whatever goes wrong first ends it, by fail.
type conn struct {
	t     *Transport
	nc    net.Conn
	peer  string // the name that the handshake gave it
	label string // what errors call it: the address that was dialled, or the name
	class Class
	role  role

	br  *bufio.Reader // reader's
	now time.Time     // reader's: when the present batch was read, zero until asked for

	heard  atomic.Bool // something was read since the last tick
	silent int         // keeper's: ticks without anything read

	wake chan struct{} // to the flusher; 1, sent only by who sets awake

	mu         sync.Mutex // guards the rest, and the tables of the role
	awake      bool       // the flusher is not parked, or about to be woken
	closing    bool       // no new requests; ends when out is written
	err        error      // why the connection ended; nil while it lives
	out        output
	acks       []uint64      // casts to acknowledge with the next write
	taken      uint64        // bytes that were taken from out
	given      uint64        // bytes that were given to nc.Write
	inWrite    int           // taken bytes whose write has not ended
	writeSince time.Time     // when the present write began
	room       chan struct{} // closed when inWrite has shrunk; nil if nobody waits
	pings      uint64
	streams    streamTable
}

// role is what a connection does beside moving frames: client or server.
type role interface {
	// frame handles one frame, on the reader's goroutine. body is valid only
	// during the call unless owned. An error ends the connection.
	frame(body []byte, owned bool) error
	// admit says whether a frame that exceeds the read buffer is to be read; an error ends the connection.
	admit(kind, number uint64, size int) (bool, error)
	// failed is called once with the reason, from any goroutine.
	failed(err error)
	// trimLocked is called once per ping interval, under conn.mu, to give memory back.
	trimLocked()
	// retire takes the connection out of use, as far as this role decides that.
	retire()
	// ended is called once on the reader's goroutine, after the last frame.
	ended()
}

// init sets the connection up over an authenticated nc; run starts it.
func (c *conn) init(t *Transport, nc net.Conn, peer string, class Class, r role) {
	c.t, c.nc, c.peer, c.label, c.class, c.role = t, nc, peer, peer, class, r
	c.wake = make(chan struct{}, 1)
	c.out.pool = &t.chunks
	c.br = bufio.NewReaderSize(heardReader{c}, readBuffer)
	c.streams.open = map[uint64]*Stream{}
}

// start gives the connection to its goroutines, or closes it if the transport is closed.
func (c *conn) start() {
	if !c.t.add(c) {
		c.fail(ErrClosed)
		<-c.wake
		_ = c.nc.Close()
	}
}

// fail ends the connection: no byte is given to the socket any more, and
// whoever waits for it gets err. Only the first call counts.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	parked := !c.awake
	c.awake = true // for ever: nobody wakes the flusher after this
	room := c.room
	c.room, c.acks = nil, nil
	c.out.drop()
	c.mu.Unlock()

	if parked {
		c.wake <- struct{}{} // the flusher closes the socket: under TLS that may take a while
	} else {
		_ = c.nc.Close() // perhaps it is in Write
	}
	if room != nil {
		close(room)
	}
	c.streams.fail(c, err)
	c.role.failed(err)
	c.t.logEnd(c, err)
}

// shutdown ends the connection as soon as what waits to be written is written.
// Requests are refused from now on, answers still accepted.
func (c *conn) shutdown() {
	c.mu.Lock()
	c.shutdownLocked()
}

// shutdownLocked is shutdown, and unlocks.
func (c *conn) shutdownLocked() {
	c.closing = true
	wake := c.wakeLocked()
	c.mu.Unlock()
	if wake {
		c.wake <- struct{}{}
	}
}

// tick runs once per ping interval.
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

// emptyLocked sends a frame of a number only, and unlocks.
func (c *conn) emptyLocked(kind byte, number uint64) {
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.out.buf = appendEmpty(c.out.fit(headerRoom), kind, number)
	c.sendLocked()
}

// pingPong handles the frames that both roles know alike; handled is false if f is another.
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

// lost wraps the reason why the connection ended for those who waited for it.
func (c *conn) lost(err error) error {
	if errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("transport: %s: connection lost: %w", c.label, err)
}

func unexpected(kind uint64) error { return fmt.Errorf("frame of kind %d is not expected here", kind) }
