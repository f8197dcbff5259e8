package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
)

// logEnd logs why a connection ended. Faults of the peer are warnings, at a
// bounded rate. Everything else is for debugging: connections end whenever a
// node stops.
func (t *Transport) logEnd(c *conn, err error) {
	switch {
	case errors.Is(err, errProtocol), errors.Is(err, errSilent), errors.Is(err, errSlowReader):
		t.refusals.Log("transport: connection ended", c.nc.RemoteAddr(), err,
			slog.String("peer", c.peer), slog.String("class", c.class.String()))
	default:
		t.cfg.Logger.Debug("transport: connection ended", "peer", c.peer, "class", c.class.String(), "err", err)
	}
}

// spawn runs f on a goroutine that Close waits for. It reports false, without
// running f, if the transport is closed. The check and wg.Go happen under one
// lock, so that Close never waits on a group that still grows.
func (t *Transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(f)
	return true
}

// getPending returns a pending from the pool.
func (t *Transport) getPending() *pending { return t.slots.Get().(*pending) }

// putPending returns p to the pool. No other goroutine may refer to p, and its
// channel must be empty: a signal left in it would answer the next request at
// once.
func (t *Transport) putPending(p *pending) {
	p.payload, p.err, p.flags = nil, nil, 0
	if cap(p.buf) > keepBuf {
		p.buf = nil
	}
	t.slots.Put(p)
}

// logRefusal logs why a handshake failed, unless Close interrupted it.
func (t *Transport) logRefusal(msg string, addr net.Addr, err error) {
	if !errors.Is(err, ErrClosed) {
		t.refusals.Log(msg, addr, err)
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

// lost wraps the reason why the connection ended, for those that waited for it.
func (c *conn) lost(err error) error {
	if errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("transport: %s: connection lost: %w", c.label, err)
}

// wakeLocked marks the flusher as awake. If it reports true, the caller must
// send on c.wake after it has unlocked c.mu.
func (c *conn) wakeLocked() bool {
	idle := !c.awake
	c.awake = true
	return idle
}

// fail ends all streams after the connection has ended.
func (t *streamTable) fail(c *conn, err error) {
	err = c.lost(err)
	c.mu.Lock()
	ended := make([]*Stream, 0, len(t.open))
	for _, s := range t.open {
		if s.endLocked(err) {
			ended = append(ended, s)
		}
	}
	c.mu.Unlock()
	for _, s := range ended {
		close(s.done)
	}
}

// endLocked removes the stream from its connection. It reports true once; the
// caller must then close done after it has unlocked c.mu.
func (s *Stream) endLocked(err error) bool {
	if s.ended {
		return false
	}
	s.ended, s.err = true, err
	delete(s.c.streams.open, s.number)
	return true
}
