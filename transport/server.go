package transport

import (
	"fmt"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// frame handles one frame; see role.
func (s *server) frame(body []byte, owned bool) error {
	var f frame
	if err := f.parse(body); err != nil {
		return err
	}
	if (f.kind == kindCall || f.kind == kindCast) && s.class == Calls {
		return s.request(&f, body, owned)
	}
	switch {
	case f.kind == kindCancel:
		return s.cancel(&f)
	case f.kind == kindAsk && s.class == Calls:
		return s.asked(&f)
	}
	if handled, err := s.pingPong(&f); handled {
		return err
	}
	if s.class.streams() {
		return s.streams.frame(&s.conn, &f, owned)
	}
	return unexpected(f.kind)
}

// admit reserves room for a big request before the request is read. It admits
// chunks of streams, which their credit bounds.
func (s *server) admit(kind, number uint64, size int) (bool, error) {
	switch {
	case kind >= firstOptional:
		return false, nil
	case (kind == kindCall || kind == kindCast) && s.class == Calls:
		cost := int64(size) + callCost
		if !s.reserveInflight(number, cost) {
			return false, nil
		}
		s.reserved = cost
		return true, nil
	case s.class.streams():
		return s.streams.admit(kind, size)
	}
	return false, unexpected(kind)
}

// reserveInflight counts cost against MaxInflight. If there is no room, it
// refuses the request and reports false.
func (s *server) reserveInflight(number uint64, cost int64) bool {
	if s.t.inflight.reserve(cost, s.t.cfg.MaxInflight) {
		return true
	}
	s.refuse(number, CodeOverloaded, "too many bytes of unanswered requests")
	return false
}

// refuse answers a request that the handler does not get.
func (s *server) refuse(number uint64, code uint32, text string) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.out.buf = appendError(s.out.fit(len(text)+headerRoom), number, code, text, nil)
	s.sendLocked()
}

// request parses a request and hands it to the handler.
//
// The call enters s.calls before Serve, under the same lock as the check of closing. So an
// answer, which may come from another goroutine while Serve still runs, always finds it,
// and a cancel that follows in the stream finds it too. After Serve the reader must not
// touch the call: it may be answered and reused.
func (s *server) request(f *frame, body []byte, owned bool) error {
	cost := int64(len(body)) + callCost
	if s.reserved != 0 {
		cost, s.reserved = s.reserved, 0
	} else if !s.reserveInflight(f.number, cost) {
		return nil
	}
	c := s.nextCall()
	c.number, c.cost, c.Cast, c.open = f.number, cost, f.kind == kindCast, true
	c.refs.Store(1)
	if owned {
		c.buf = body
	} else {
		c.buf = append(c.buf[:0], body...)
	}
	f.r = wire.NewReader(c.buf[len(body)-f.r.Len():]) // continue in the call's own copy of the frame
	critical, err := c.parse(f)
	if err != nil {
		return s.abandon(c, err)
	}
	if critical {
		s.refuse(c.number, CodeUnsupported, "the request has a critical element that this node does not know")
		return s.abandon(c, nil)
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		s.refuse(c.number, CodeClosing, "the node is closing")
		return s.abandon(c, nil)
	}
	if !s.calls.put(c.number, c) {
		s.mu.Unlock()
		return s.abandon(c, fmt.Errorf("request number %d is in use", c.number))
	}
	s.spare = s.popLocked()
	s.mu.Unlock()
	s.t.cfg.Handler.Serve(c)
	return nil
}

// nextCall returns a Call for the next request. Only the reader uses it.
func (s *server) nextCall() *Call {
	c := s.spare
	if c == nil {
		c = &Call{}
	}
	s.spare = nil
	c.s, c.Peer = s, s.peer
	return c
}

// popLocked removes and returns a call from free, or returns nil.
func (s *server) popLocked() *Call {
	last := len(s.free) - 1
	if last < 0 {
		return nil
	}
	c := s.free[last]
	s.free[last] = nil
	s.free = s.free[:last]
	return c
}

// abandon releases what a request has reserved that is not served, and returns
// err.
func (s *server) abandon(c *Call, err error) error {
	s.t.inflight.Add(-c.cost)
	c.clear()
	s.spare = c
	return err
}

// cancel tells the handler that the caller has given up, unless the call is
// answered.
func (s *server) cancel(f *frame) error {
	if err := f.endPlain(0); err != nil {
		return err
	}
	s.mu.Lock()
	c := s.calls.get(f.number)
	if c != nil && c.cancelled {
		c = nil
	}
	if c != nil {
		c.cancelled = true
		c.refs.Add(1) // c must not be reused while Cancel runs
	}
	s.mu.Unlock()
	if c != nil {
		s.t.cfg.Handler.Cancel(c)
		c.release()
	}
	return nil
}

func (s *server) failed(error) {}

// trimLocked frees half of the calls that are kept for reuse.
func (s *server) trimLocked() {
	s.calls.trim()
	n := len(s.free) / 2
	clear(s.free[n:])
	s.free = s.free[:n]
}

// ended tells the handler that the callers of the running calls are gone.
func (s *server) ended() {
	s.t.inflight.Add(-s.reserved)
	s.mu.Lock()
	var running []*Call
	for _, c := range s.calls.all() {
		if !c.cancelled {
			c.cancelled = true
			c.refs.Add(1)
			running = append(running, c)
		}
	}
	s.free = nil
	s.mu.Unlock()
	for _, c := range running {
		s.t.cfg.Handler.Cancel(c)
		c.release()
	}
}
