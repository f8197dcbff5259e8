package transport

import (
	"bufio"
	"net"
)

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
