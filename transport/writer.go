package transport

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

const (
	maxWrite = 256 << 10 // bytes in one Write, so that WriteTimeout measures progress
	ackBytes = 9         // at most, for one number
)

// wakeLocked reports whether the caller must wake the flusher after unlocking.
func (c *conn) wakeLocked() bool {
	idle := !c.awake
	c.awake = true
	return idle
}

// What may wait beyond MaxOutput while the peer reads: a burst of large answers
// to a healthy peer is no reason to end its connection.
const (
	burst     = 8                      // times MaxOutput
	slowWrite = 250 * time.Millisecond // one write (maxWrite bytes) that takes longer is to a peer that does not read
)

// sendLocked sees to it that what was appended gets written, unlocks, and ends
// the connection if the peer leaves too much unread. It never waits for the socket.
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

func (c *conn) unwrittenLocked() int {
	return c.inWrite + c.out.size() + ackBytes*len(c.acks)
}

// reserve locks c.mu when there is room for size bytes of a request or chunk,
// which the caller appends before it unlocks. It waits while the output is
// full, and returns an error, with c.mu unlocked, when ctx or the connection ends.
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

// aliveLocked returns why no new request can be made on the connection.
func (c *conn) aliveLocked() error {
	if c.err != nil {
		return c.lost(c.err)
	}
	if c.closing {
		return ErrClosed
	}
	return nil
}

func (c *conn) roomLocked() chan struct{} {
	if c.room == nil {
		c.room = make(chan struct{})
	}
	return c.room
}

// flush is the flusher's goroutine. It yields once after each wake, so that
// everybody who is ready to append can do so before the first write: that
// makes one write of many frames (1.4 times the calls of 64 callers, measured),
// and costs a lone caller nothing.
func (c *conn) flush() {
	var deadline time.Time
	for range c.wake {
		runtime.Gosched()
		c.mu.Lock()
		for c.err == nil && (len(c.acks) > 0 || c.out.size() > 0) {
			c.acksLocked()
			c.writeLocked(&deadline)
		}
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

// acksLocked appends the acknowledgements that are due.
func (c *conn) acksLocked() {
	for acks := c.acks; len(acks) > 0; {
		n := min(len(acks), maxAcks)
		c.out.buf = appendAcks(c.out.fit(n*ackBytes+headerRoom), acks[:n])
		acks = acks[n:]
	}
	c.acks = c.acks[:0]
}

// writeLocked writes a chunk, with the mutex released meanwhile. c.given grows
// before each Write, and never after c.err is set: see Sent.
func (c *conn) writeLocked(deadline *time.Time) {
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
		err := c.write(piece, now, deadline)
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

// write gives b to the socket. The deadline is moved on only when less than
// WriteTimeout is left of it, which spares most writes a system timer.
func (c *conn) write(b []byte, now time.Time, deadline *time.Time) error {
	timeout := c.t.cfg.WriteTimeout
	if deadline.Sub(now) < timeout {
		*deadline = now.Add(timeout + timeout/4)
		if err := c.nc.SetWriteDeadline(*deadline); err != nil {
			return err
		}
	}
	_, err := c.nc.Write(b)
	return err
}
