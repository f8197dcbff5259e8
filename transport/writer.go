package transport

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

const (
	// maxWrite bounds the bytes of one Write, so that WriteTimeout measures progress:
	// a slow peer that reads 256 KiB within the timeout is alive.
	maxWrite = 256 << 10
	ackBytes = 9 // the most that one number takes in a frame of acks
)

// Answers do not wait for room, so the output may exceed MaxOutput. A burst of large answers
// to a healthy peer is no reason to end its connection. A peer counts as healthy while each
// write of at most maxWrite bytes takes less than slowWrite. Memory stays bounded all the
// same, by burst.
const (
	burst     = 8 // times MaxOutput
	slowWrite = 250 * time.Millisecond
)

// sendLocked makes the flusher write what was appended, and unlocks c.mu. It
// ends the connection if the peer leaves too much unread. It never waits for
// the socket: its caller is often the reader of this connection or of another
// one, and two nodes whose readers wait for each other's sockets would
// deadlock.
func (c *conn) sendLocked() {
	over := false
	if n, most := c.unwrittenLocked(), c.t.cfg.MaxOutput; n > most {
		over = n > burst*most || c.inWrite > 0 && time.Since(c.writeSince) > slowWrite
	}
	wake := c.wakeLocked()
	c.mu.Unlock()
	if wake {
		c.wake <- struct{}{}
	}
	if over {
		c.fail(errSlowReader)
	}
}

// unwrittenLocked returns the bytes that are not written yet.
func (c *conn) unwrittenLocked() int {
	return c.inWrite + c.out.size() + ackBytes*len(c.acks)
}

// reserve waits until the output has room for size bytes of a request or a
// chunk. It returns with c.mu locked; the caller appends and unlocks, so that
// no other goroutine takes the room in between. On an error, because ctx or the
// connection ended, c.mu is unlocked. waited reports whether reserve had to
// wait.
//
// A frame larger than MaxOutput allows is admitted when nothing else waits (n
// == 0), since it would wait for ever otherwise.
func (c *conn) reserve(ctx context.Context, size int) (waited bool, err error) {
	c.mu.Lock()
	for {
		if err := c.aliveLocked(); err != nil {
			c.mu.Unlock()
			return waited, err
		}
		n := c.unwrittenLocked()
		if n+size <= c.t.cfg.MaxOutput-outputSlack || n == 0 {
			return waited, nil
		}
		room := c.roomLocked()
		c.mu.Unlock()
		waited = true
		select {
		case <-room:
		case <-ctx.Done():
			return true, fmt.Errorf("transport: %s: waiting for room in the output: %w", c.label, ctx.Err())
		}
		c.mu.Lock()
	}
}

// aliveLocked returns an error if the connection accepts no new requests.
func (c *conn) aliveLocked() error {
	if c.err != nil {
		return c.lost(c.err)
	}
	if c.closing {
		return ErrClosed
	}
	return nil
}

// roomLocked returns the channel that is closed when the output shrinks.
func (c *conn) roomLocked() chan struct{} {
	if c.room == nil {
		c.room = make(chan struct{})
	}
	return c.room
}

// flush is the flusher: it writes the output until the connection ends.
//
// It yields the processor once after each wake, before the first write. A write
// costs a system call whatever its size, so the goal is one write for many
// frames. When the flusher is woken, other goroutines are often about to
// append: the reader has just handed a batch of requests to their processes, or
// a batch of replies to their callers, and all of them are runnable. Without
// the yield the flusher would write the first frame alone, and the others would
// follow in writes of their own. With the yield every runnable goroutine
// appends first. For 64 concurrent callers this makes 1.4 times as many calls
// per second. A lone caller loses nothing: with no other goroutine runnable,
// Gosched returns at once.
//
// It does not yield on a connection of class Standby, whose one stream has one
// sender on each side. What goes together is in one chunk there.
//
// The yield is not repeated within the loop. While a write is in progress other
// goroutines append to out, so batches form by themselves then.
//
// The flusher parks only when out and acks are empty, under the lock under
// which others append: a frame that is appended later finds awake unset, and
// wakes the flusher.
func (c *conn) flush() {
	for range c.wake {
		if c.class != Standby {
			runtime.Gosched()
		}
		c.mu.Lock()
		c.drainLocked()
		if c.err != nil {
			c.mu.Unlock()
			_ = c.nc.Close()
			return
		}
		last := c.closing
		if !last {
			c.awake = false
		}
		c.mu.Unlock()
		if last {
			c.fail(ErrClosed)
			return
		}
	}
}

// drainLocked writes until nothing waits. Its caller has set awake, so nobody else writes.
func (c *conn) drainLocked() {
	for c.err == nil && (len(c.acks) > 0 || c.out.size() > 0) {
		c.acksLocked()
		c.writeLocked()
	}
}

// writeHereLocked writes what was appended, unless somebody writes already and so will find it. It unlocks c.mu.
// In contrast to sendLocked it may wait for the socket, and it wakes nobody, which takes longer than the write.
func (c *conn) writeHereLocked() {
	if !c.wakeLocked() {
		c.mu.Unlock()
		return
	}
	c.here = true
	c.drainLocked()
	c.here = false
	over := c.err != nil || c.closing
	if !over {
		c.awake = false
	}
	c.mu.Unlock()
	if over {
		c.wake <- struct{}{} // the flusher ends, and with it the connection
	}
}

// acksLocked appends the acknowledgements that are due. Acks wait in a list of
// numbers until the flusher runs, so that many of them share a frame.
func (c *conn) acksLocked() {
	for acks := c.acks; len(acks) > 0; {
		n := min(len(acks), maxAcks)
		c.out.buf = appendAcks(c.out.fit(n*ackBytes+headerRoom), acks[:n])
		acks = acks[n:]
	}
	c.acks = c.acks[:0]
}

// writeLocked writes one chunk of the output. It unlocks c.mu during each
// Write.
//
// c.given is increased before the Write, and never after c.err is set. So a
// frame that begins at or after c.given has certainly not reached the peer; see
// client.failed and Sent.
func (c *conn) writeLocked() {
	b := c.out.take()
	c.taken += uint64(len(b))
	c.inWrite = len(b)
	for rest := b; len(rest) > 0 && c.err == nil; {
		piece := rest[:min(len(rest), maxWrite)]
		rest = rest[len(piece):]
		c.given += uint64(len(piece))
		now := time.Now()
		c.writeSince = now
		c.mu.Unlock()
		err := c.write(piece, now)
		if err != nil {
			c.fail(fmt.Errorf("write: %w", err))
		}
		c.mu.Lock()
		c.inWrite -= len(piece)
		if room := c.room; room != nil {
			c.room = nil
			c.mu.Unlock()
			close(room)
			c.mu.Lock()
		}
	}
	if c.err == nil {
		c.out.written(b)
	}
}

// write passes b to the socket. It moves the deadline only when less than
// WriteTimeout is left of it, and then sets a quarter more. That spares most
// writes a change of a system timer.
func (c *conn) write(b []byte, now time.Time) error {
	timeout := c.t.cfg.WriteTimeout
	if c.deadline.Sub(now) < timeout {
		c.deadline = now.Add(timeout + timeout/4)
		if err := c.nc.SetWriteDeadline(c.deadline); err != nil {
			return err
		}
	}
	_, err := c.nc.Write(b)
	return err
}
