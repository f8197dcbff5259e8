package transport

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// callCost is what a request counts against MaxInflight beside its frame's bytes.
const callCost = 512

// Handler serves what peers ask for.
type Handler interface {
	// Serve takes a request. It runs on the connection's reader, in the order
	// of arrival, and must not block: everything behind it waits. c is the
	// handler's until it answers with exactly one of Reply, Fail and Ack.
	Serve(c *Call)
	// Cancel tells that the caller of c has given up or that its connection
	// has ended, when c is not answered yet. The answer is still required, and
	// dropped by the caller. Cancel follows Serve on the same goroutine and
	// must not block; it may race with the answer, and c must not be touched
	// after Cancel returns by reason of Cancel alone. At most once for each c.
	Cancel(c *Call)
	// Why tells what c, which is not answered yet, waits for: its caller's time is
	// nearly over, and this goes into its error. "" says nothing. Why follows Serve
	// as Cancel does, and the same rules hold.
	Why(c *Call) string
	// ServeStream serves a stream that a peer opened, on a goroutine of its
	// own. The stream is closed when it returns; it must return soon after
	// the stream's Done is closed, since Transport.Close waits for it.
	ServeStream(s *Stream)
}

// Call is a request from a peer. ID, Kind, Method, Key, Trace and Payload are
// views into its frame: they are valid until the answer, or for good if Detach
// was called before. The payload has not been checked in any way.
type Call struct {
	Flags                 uint32
	Cast                  bool // the caller waits only for Ack
	ID, Kind, Method, Key []byte
	Trace, Payload        []byte
	Deadline              time.Time // arrival + what remained of the caller's time; zero if it waits for ever
	Peer                  string    // the name that Handshake.Check gave the peer
	Tag                   any       // the handler's own; it stays when the call is used for another request

	s      *server
	number uint64
	chain  []byte // array of strings
	buf    []byte // the frame; reused
	cost   int64
	refs   atomic.Int32 // handler, Cancel in progress; the call is reused at 0

	detached        bool // not to be used again
	open, cancelled bool // guarded by s.mu: not answered; Cancel was called
}

// parse reads the rest of a request's frame, whose bytes the call owns.
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
	return f.end(requestElements)
}

// Chain returns the request's call chain, nil if it has none. The strings are copies.
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

// Reply answers the call. It copies payload, which may be a view of the call,
// and never waits for the socket; if the connection has ended it does nothing.
// A payload that exceeds MaxFrame becomes an error with CodeTooLarge.
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

// Fail answers the call with an Error: a code of 16 or above, a text of which
// the first 4 KiB are sent, and detail, which is copied, and left out if it
// exceeds MaxFrame. It never waits for the socket.
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

// Ack answers a cast: it was accepted. A caller that waits for a reply gets an
// empty one. Acks are sent together with the next write. It never waits for
// the socket.
func (c *Call) Ack() {
	s := c.s
	s.mu.Lock()
	if s.answerLocked(c) {
		s.acks = append(s.acks, c.number)
	}
	s.answeredLocked(c)
}

// Detach leaves the call, its views and its Tag to whoever still reads them:
// they stay as they are, and the call is used for no other request. It must be
// called before the answer, by who answers.
func (c *Call) Detach() { c.detached = true }

// release lets go of the reference that cancel has taken.
func (c *Call) release() {
	if c.refs.Add(-1) == 0 {
		c.s.mu.Lock()
		cost := c.s.recycleLocked(c)
		c.s.mu.Unlock()
		c.s.t.inflight.Add(-cost)
	}
}
