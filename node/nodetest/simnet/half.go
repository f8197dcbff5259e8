package simnet

import "time"

func newHalf(from, to *conn) *half { return &half{net: from.stream.net, from: from, to: to} }

// writeLocked accepts as much of b as there is room for, and as a pending
// ResetAfter allows.
func (h *half) writeLocked(b []byte) int {
	b = b[:min(len(b), max(0, h.net.cfg.Buffer-h.held))]
	l := h.net.linkLocked(h.from.host, h.to.host)
	reset := l.resetIn >= 0 && len(b) > 0 && l.resetIn <= len(b)
	if reset {
		b = b[:l.resetIn]
	}
	if l.resetIn >= 0 {
		l.resetIn -= len(b)
	}
	if len(b) > 0 {
		h.held += len(b)
		h.sendLocked(segment{kind: segData, data: append([]byte(nil), b...)})
	}
	if reset {
		l.resetIn = -1
		h.sendLocked(segment{kind: segReset})
		h.from.failHereLocked()
	}
	return len(b)
}

// sendLocked sends a segment. It arrives after all earlier ones.
func (h *half) sendLocked(s segment) {
	from, to := h.from.host, h.to.host
	d := h.net.delayLocked(from, to)
	if h.net.lostLocked(from, to) {
		d += retransmit
	}
	s.at = time.Now().Add(d)
	if s.at.Before(h.lastAt) {
		s.at = h.lastAt
	}
	h.lastAt = s.at
	h.queue = append(h.queue, s)
	h.moveLocked()
}

// move is called by the timer.
func (h *half) move() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.timer = nil
	h.moveLocked()
}

// moveLocked delivers the segments that are due, and sets the timer for the
// rest.
func (h *half) moveLocked() {
	for len(h.queue) > 0 && h.net.openLocked(h.from.host, h.to.host) {
		if wait := time.Until(h.queue[0].at); wait > 0 {
			if h.timer == nil {
				h.timer = time.AfterFunc(wait, h.move)
			}
			return
		}
		s := h.queue[0]
		h.queue[0] = segment{}
		h.queue = h.queue[1:]
		h.arriveLocked(s)
	}
}

// arriveLocked handles the arrival of a segment.
func (h *half) arriveLocked(s segment) {
	switch {
	case h.to.closed:
		h.held -= len(s.data)
		if s.kind == segData { // the system answers for a closed socket
			h.to.out.sendLocked(segment{kind: segReset})
		}
	case s.kind == segReset:
		h.to.failLocked()
	case s.kind == segEnd:
		h.ended = true
	case h.to.readClosed:
		h.freeLocked(len(s.data))
	default:
		h.arrived = append(h.arrived, s.data...)
	}
	h.changed.fireLocked()
}

// readLocked hands arrived bytes to the reader.
func (h *half) readLocked(b []byte) int {
	n := copy(b, h.arrived)
	if h.arrived = h.arrived[n:]; len(h.arrived) == 0 {
		h.arrived = nil
	}
	h.freeLocked(n)
	return n
}

// freeLocked makes room for the writer, once the confirmation can reach it.
func (h *half) freeLocked(n int) {
	if h.net.connectedLocked(h.to.host, h.from.host) {
		h.held -= n
		h.changed.fireLocked()
	} else {
		h.unproved += n
	}
}

// discardLocked discards unread bytes.
func (h *half) discardLocked() {
	h.freeLocked(len(h.arrived))
	h.arrived = nil
}

// dropLocked discards segments that are on their way.
func (h *half) dropLocked() {
	for _, s := range h.queue {
		h.held -= len(s.data)
	}
	h.queue = nil
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

// resumeLocked continues after a cut, a stall or a restart. Segments that have
// waited are sent again, so they arrive one latency from now.
func (h *half) resumeLocked() {
	if h.unproved > 0 && h.net.connectedLocked(h.to.host, h.from.host) {
		h.held -= h.unproved
		h.unproved = 0
	}
	h.changed.fireLocked()
	if h.timer != nil || len(h.queue) == 0 || !h.net.openLocked(h.from.host, h.to.host) {
		return // the timer continues it, or nothing can move
	}
	soonest := time.Now().Add(h.net.delayLocked(h.from.host, h.to.host))
	for i := range h.queue {
		if h.queue[i].at.Before(soonest) {
			h.queue[i].at = soonest
		}
	}
	h.lastAt = h.queue[len(h.queue)-1].at
	h.moveLocked()
}

func (c *conn) failHereLocked() {
	c.failed = true
	c.in.changed.fireLocked()
	c.out.changed.fireLocked()
}

// failLocked handles the arrival of a reset. Bytes on their way to the peer are
// lost.
func (c *conn) failLocked() {
	if !c.failed && !c.closed {
		c.out.dropLocked()
		c.failHereLocked()
	}
}
