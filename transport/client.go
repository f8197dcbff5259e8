package transport

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// client is the side of a connection that dialled: it makes requests and opens
// streams, and serves none.
type client struct {
	conn
	link *link

	alarm *time.Timer // guarded by mu: runs ask at askAt
	askAt time.Time   // guarded by mu; zero: not at all

	next    uint64           // guarded by mu: number of the last request; never reused
	pending numbers[pending] // guarded by mu: waiting for an answer
}

// pending is where a caller waits for its answer. Exactly one goroutine owns it:
// the caller, but from the moment the reader has taken it out of the table until
// it signals done.
type pending struct {
	done   chan struct{} // 1; lives as long as the pending, which is pooled
	number uint64
	start  uint64 // offset of the frame in the stream of the connection
	uses   atomic.Uint32
	askAt  time.Time // guarded by the client's mu: when its peer is asked; zero: it is not
	why    string    // guarded by the client's mu: what the peer says that it waits for

	flags   uint32
	payload []byte // in buf, or a frame of its own
	buf     []byte
	err     error
}

// Reply is the answer to a Call. Payload is the peer's, unchecked, and valid
// until Release.
type Reply struct {
	Flags   uint32
	Payload []byte

	t    *Transport
	p    *pending
	uses uint32
}

// Release gives the payload's memory back for other replies. It may be called
// once or more, or never, which only costs the memory's reuse. It must not race with itself.
func (r Reply) Release() {
	if r.p != nil && r.p.uses.CompareAndSwap(r.uses, r.uses+1) {
		r.t.putPending(r.p)
	}
}

func newClient(l *link) *client {
	return &client{link: l}
}

// send registers a request and appends its frame.
func (c *client) send(ctx context.Context, kind byte, r *Request, size int) (*pending, error) {
	remaining, err := timeLeft(ctx)
	if err != nil {
		return nil, fmt.Errorf("transport: %s: %w", c.label, err)
	}
	p := c.t.getPending()
	waited, err := c.reserve(ctx, size)
	if err != nil {
		c.t.putPending(p)
		return nil, err
	}
	if waited && remaining > 0 {
		remaining = max(1, c.remaining(ctx))
	}
	c.next++
	p.number, p.start = c.next, c.taken+uint64(c.out.size())
	c.pending.put(p.number, p)
	deadline, _ := ctx.Deadline()
	c.askLaterLocked(p, deadline, remaining)
	c.out.buf = r.append(c.out.fit(size), kind, p.number, remaining)
	c.sendLocked()
	return p, nil
}

// timeLeft returns how long ctx lasts, 0 if for ever, or ctx's error.
func timeLeft(ctx context.Context) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0, nil
	}
	left := time.Until(deadline)
	if left <= 0 {
		return 0, context.DeadlineExceeded
	}
	return left, nil
}

func (c *client) remaining(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline)
}

// wait returns when p has its answer, and gives up when ctx ends before.
func (c *client) wait(ctx context.Context, p *pending) error {
	if done := ctx.Done(); done == nil {
		<-p.done
	} else {
		select {
		case <-p.done:
		case <-done:
			if c.giveUp(p) {
				if p.why != "" {
					return &endedError{c.label, ctx.Err(), p.why}
				}
				return fmt.Errorf("transport: %s: %w", c.label, ctx.Err())
			}
			<-p.done // the answer is there, and wins
		}
	}
	return p.err
}

// giveUp takes p out of the table and tells the peer; it reports false if p
// has been answered.
func (c *client) giveUp(p *pending) bool {
	c.mu.Lock()
	if c.pending.remove(p.number) == nil {
		c.mu.Unlock()
		return false
	}
	c.emptyLocked(kindCancel, p.number)
	return true
}

// take takes the pending request of a number out of the table; nil if its
// caller has given up.
func (c *client) take(number uint64) *pending {
	c.mu.Lock()
	p := c.pending.remove(number)
	c.mu.Unlock()
	return p
}

func (c *client) frame(body []byte, owned bool) error {
	var f frame
	if err := f.parse(body); err != nil {
		return err
	}
	switch {
	case f.kind == kindReply && c.class == Calls:
		return c.reply(&f, owned)
	case f.kind == kindAcks && c.class == Calls:
		return c.acked(&f)
	case f.kind == kindError && c.class == Calls:
		return c.failure(&f)
	case f.kind == kindWhy && c.class == Calls:
		return c.told(&f)
	}
	if handled, err := c.pingPong(&f); handled {
		return err
	}
	if c.class == Bulk && f.kind != kindOpen {
		return c.streams.frame(&c.conn, &f, owned)
	}
	return unexpected(f.kind)
}

var errCriticalReply = &Error{Code: CodeUnsupported, Text: "the answer has a critical element that this node does not know"}

func (c *client) reply(f *frame, owned bool) error {
	flags := f.r.Uint32()
	payload := f.r.Bytes()
	critical, err := f.end(2)
	if err != nil {
		return err
	}
	p := c.take(f.number)
	if p == nil {
		return nil // too late
	}
	switch {
	case critical:
		p.err = errCriticalReply
	case owned:
		p.flags, p.payload = flags, payload
	default:
		p.buf = append(p.buf[:0], payload...)
		p.flags, p.payload = flags, p.buf
	}
	p.done <- struct{}{}
	return nil
}

func (c *client) failure(f *frame) error {
	code, text, detail := f.r.Uint32(), f.r.Str(), f.r.Bytes()
	critical, err := f.end(3)
	if err != nil {
		return err
	}
	p := c.take(f.number)
	if p == nil {
		return nil
	}
	if critical {
		p.err = errCriticalReply
	} else {
		p.err = &Error{Code: code, Text: string(text), Detail: append([]byte(nil), detail...)}
	}
	p.done <- struct{}{}
	return nil
}

func (c *client) acked(f *frame) error {
	for range f.r.ArrayLen() {
		number := f.r.Uint()
		if f.r.Err() != nil {
			break
		}
		if p := c.take(number); p != nil {
			p.payload = nil
			p.done <- struct{}{}
		}
	}
	return f.endPlain(1)
}

// admit lets big answers in when somebody waits for them.
func (c *client) admit(kind, number uint64, size int) (bool, error) {
	switch {
	case kind >= firstOptional:
		return false, nil
	case (kind == kindReply || kind == kindError) && c.class == Calls:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.pending.get(number) != nil, nil
	case c.class == Bulk && kind != kindOpen:
		return c.streams.admit(kind, size)
	}
	return false, unexpected(kind)
}

// failed ends every pending request. Its error says whether the request's
// frame had begun to be written.
func (c *client) failed(err error) {
	c.link.drop(c)
	err = c.lost(err)
	notSent := &unsent{err}
	c.mu.Lock()
	if c.alarm != nil {
		c.alarm.Stop()
	}
	waiting, given := c.pending.all(), c.given
	c.pending = numbers[pending]{}
	c.mu.Unlock()
	for _, p := range waiting {
		if p.err = err; p.start >= given {
			p.err = notSent
		}
		p.done <- struct{}{}
	}
}

func (c *client) ended()      {}
func (c *client) trimLocked() { c.pending.trim() }
