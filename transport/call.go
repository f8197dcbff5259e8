package transport

import (
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// callCost is what a request counts against MaxInflight beside the bytes of its
// frame.
const callCost = 512

// parse decodes the elements of a request. f reads from c.buf, so the fields
// share its memory.
func (c *Call) parse(f *frame) (critical bool, err error) {
	r := &f.r
	c.Flags = r.Uint32()
	remaining := r.Uint()
	c.ID, c.Kind, c.Method, c.Key = r.Str(), r.Str(), r.Str(), r.Str()
	before := r.Rest()
	for range r.ArrayLen() {
		r.Str()
	}
	c.chain = before[:len(before)-r.Len()]
	c.Trace = r.Bytes()
	c.Payload = r.Bytes()
	if len(c.Trace) > MaxTrace {
		return false, fmt.Errorf("trace of %d bytes exceeds %d", len(c.Trace), MaxTrace)
	}
	if remaining > 0 {
		most := uint64(longest / time.Microsecond)
		c.Deadline = c.s.batchTime().Add(time.Duration(min(remaining, most)) * time.Microsecond)
	}
	critical, err = f.endWith(requestElements, &c.Once)
	if err == nil && len(c.Once) > MaxOnce {
		err = fmt.Errorf("once of %d bytes exceeds %d", len(c.Once), MaxOnce)
	}
	return critical, err
}

// Chain returns a copy of the request's call chain, or nil if the request has
// none.
func (c *Call) Chain() []string {
	r := wire.NewReader(c.chain)
	n := r.ArrayLen()
	if n == 0 {
		return nil
	}
	chain := make([]string, n)
	for i := range chain {
		chain[i] = string(r.Str())
	}
	return chain
}

// Reply answers the call. It copies payload, which may share memory with c. It
// never waits for the socket, and does nothing if the connection has ended. A
// payload that exceeds MaxFrame becomes an error with CodeTooLarge.
func (c *Call) Reply(flags uint32, payload []byte) {
	s := c.s
	if most := s.t.cfg.MaxFrame; len(payload)+headerRoom > most {
		c.Fail(CodeTooLarge, fmt.Sprintf("reply of %d bytes exceeds Config.MaxFrame, %d bytes", len(payload), most), nil)
		return
	}
	s.mu.Lock()
	if s.answerLocked(c) {
		s.out.buf = appendReply(s.out.fit(len(payload)+headerRoom), c.number, flags, payload)
	}
	s.answeredLocked(c)
}

// Fail answers the call with an Error. code is 16 or above, the first 4 KiB of
// text are sent, and detail is copied. Fail leaves detail out if it exceeds
// MaxFrame. Fail never waits for the socket.
func (c *Call) Fail(code uint32, text string, detail []byte) {
	s := c.s
	if len(detail)+maxText+headerRoom > s.t.cfg.MaxFrame {
		detail = nil
	}
	text = text[:min(len(text), maxText)]
	s.mu.Lock()
	if s.answerLocked(c) {
		s.out.buf = appendError(s.out.fit(len(text)+len(detail)+headerRoom), c.number, code, text, detail)
	}
	s.answeredLocked(c)
}

// Ack answers a cast: the cast was accepted. A caller that waits for a reply
// gets an empty one. Acks are sent together with the next write. Ack never
// waits for the socket.
func (c *Call) Ack() {
	s := c.s
	s.mu.Lock()
	if s.answerLocked(c) {
		s.acks = append(s.acks, c.number)
	}
	s.answeredLocked(c)
}

// Detach keeps c, its fields and its Tag valid after the answer: c is not
// reused for another request. The goroutine that answers must call Detach
// before the answer.
func (c *Call) Detach() { c.detached = true }

// release drops the reference that cancel or asked has taken.
func (c *Call) release() {
	if c.refs.Add(-1) == 0 {
		c.s.mu.Lock()
		cost := c.s.recycleLocked(c)
		c.s.mu.Unlock()
		c.s.t.inflight.Add(-cost)
	}
}

// answerLocked removes c from the calls without an answer. It reports whether
// the connection still accepts the answer. It panics, with s.mu unlocked, if c
// was answered before.
func (s *server) answerLocked(c *Call) bool {
	if !c.open {
		s.mu.Unlock()
		panic("transport: a Call was answered twice")
	}
	c.open = false
	s.calls.remove(c.number)
	return s.err == nil
}

// answeredLocked sends the answer that was appended, and unlocks s.mu. The
// handler must not touch c from now on.
func (s *server) answeredLocked(c *Call) {
	cost := int64(0)
	if c.refs.Add(-1) == 0 {
		cost = s.recycleLocked(c)
	}
	if s.err == nil {
		s.sendLocked()
	} else {
		s.mu.Unlock()
	}
	if cost != 0 {
		s.t.inflight.Add(-cost)
	}
}

// recycleLocked keeps c for another request and returns what c counted against
// MaxInflight. Nothing may refer to c any more. A detached call is not kept.
func (s *server) recycleLocked(c *Call) int64 {
	cost := c.cost
	if s.err == nil && len(s.free) < maxFree && !c.detached {
		c.clear()
		s.free = append(s.free, c)
	}
	return cost
}

// clear resets c for another request. Tag stays; see Call.
func (c *Call) clear() {
	buf := c.buf
	if cap(buf) > keepBuf {
		buf = nil
	}
	c.Flags, c.Cast, c.Deadline, c.open = 0, false, time.Time{}, false
	c.cancelled = false
	c.ID, c.Kind, c.Method, c.Key, c.Trace, c.Payload, c.chain = nil, nil, nil, nil, nil, nil, nil
	c.Once = nil
	c.buf = buf
}
