package transport

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// callCost is what a request counts against MaxInflight beside the bytes of its
// frame.
const callCost = 512

// A Handler serves the requests and streams of peers.
type Handler interface {
	// Serve takes a request. It runs on the connection's reader, in the order
	// of arrival, and must not block: all later frames of the connection wait
	// for it. The handler owns c until it answers with exactly one of Reply,
	// Fail and Ack.
	Serve(c *Call)
	// Cancel is called at most once for each c that is not answered, when the
	// caller has given up or its connection has ended. The handler must answer
	// c all the same; the caller drops the answer. Cancel follows Serve on the
	// same goroutine and must not block. It may run concurrently with the
	// answer. Cancel must not keep c: once it returns, an answered c may be
	// used for another request.
	Cancel(c *Call)
	// Why returns what c waits for, or "". It is called when c is not answered
	// and its caller's time is nearly over. The text goes into the caller's
	// error. The rules for Cancel hold for Why too.
	Why(c *Call) string
	// ServeStream serves a stream that a peer opened, on a goroutine of the
	// stream's own. The stream is closed when ServeStream returns. ServeStream
	// must return soon after the stream's Done is closed, since
	// Transport.Close waits for it.
	ServeStream(s *Stream)
}

// A Call is a request from a peer. ID, Kind, Method, Key, Trace and Payload
// share memory with its frame. They are valid until the answer, or for good if
// Detach was called before the answer. The payload has not been checked in any
// way.
type Call struct {
	Flags                 uint32
	Cast                  bool // the caller waits for Ack only
	ID, Kind, Method, Key []byte
	Trace, Payload        []byte
	Deadline              time.Time // arrival plus the caller's remaining time; zero for no limit
	Peer                  string    // the name that Handshake.Check returned for the peer
	Tag                   any       // for the handler; kept when the Call is reused for another request

	s      *server
	number uint64
	chain  []byte       // the encoded array of strings
	buf    []byte       // the frame; reused
	cost   int64        // counted against MaxInflight
	refs   atomic.Int32 // references of the handler and of Cancel or Why; see server

	detached  bool // Detach was called: not reused
	open      bool // guarded by s.mu: not answered
	cancelled bool // guarded by s.mu: Cancel was called
}

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
	return f.end(requestElements)
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
