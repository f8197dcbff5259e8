package transport

import (
	"context"
	"fmt"
	"time"
)

// A Reply is the answer to a Call. Payload is the peer's data, unchecked, and
// valid until Release.
type Reply struct {
	Flags   uint32
	Payload []byte

	t    *Transport
	p    *pending
	uses uint32
}

// Release allows the payload's memory to be used for other replies. Further
// calls do nothing. Without a call the memory is only not reused. Calls must
// not be concurrent with each other.
func (r Reply) Release() {
	if r.p != nil && r.p.uses.CompareAndSwap(r.uses, r.uses+1) {
		r.t.putPending(r.p)
	}
}

func newClient(l *link) *client {
	return &client{link: l}
}

// send registers a request and appends its frame to the output.
//
// The pending is registered before its frame is visible to the flusher, under
// the same lock, so the answer always finds it. remaining is computed again if
// reserve waited, since ctx has less time left by then.
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

// timeLeft returns how long ctx lasts, or ctx's error. It returns 0 if ctx has
// no deadline.
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

// remaining returns the time until the deadline of ctx, which has one.
func (c *client) remaining(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline)
}

// wait waits for the answer to p, and gives up when ctx ends. If the answer has
// arrived at the moment at which ctx ends, the answer wins: the request has had
// its effect.
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
			<-p.done // the answer is being handed over
		}
	}
	return p.err
}

// giveUp removes p from the table and sends a cancel to the peer. It reports
// false if another goroutine has removed p, and so is about to signal done.
func (c *client) giveUp(p *pending) bool {
	c.mu.Lock()
	if c.pending.remove(p.number) == nil {
		c.mu.Unlock()
		return false
	}
	c.emptyLocked(kindCancel, p.number)
	return true
}

// take removes and returns the pending request with the given number. It
// returns nil if the caller has given up.
func (c *client) take(number uint64) *pending {
	c.mu.Lock()
	p := c.pending.remove(number)
	c.mu.Unlock()
	return p
}

// frame handles one frame; see role.
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
	if c.class.streams() && f.kind != kindOpen {
		return c.streams.frame(&c.conn, &f, owned)
	}
	return unexpected(f.kind)
}

var errCriticalReply = &Error{
	Code: CodeUnsupported,
	Text: "the answer has a critical element that this node does not know",
}

// reply hands a reply to its caller. The payload is copied into the pending's
// own buffer unless the frame is owned, because the read buffer is used again
// for the next frame.
func (c *client) reply(f *frame, owned bool) error {
	flags := f.r.Uint32()
	payload := f.r.Bytes()
	critical, err := f.end(2)
	if err != nil {
		return err
	}
	p := c.take(f.number)
	if p == nil {
		return nil // the caller gave up
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

// failure hands an error of the peer to its caller.
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

// acked ends the casts that a frame acknowledges.
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

// admit admits a large answer only if a caller waits for it. Otherwise the
// frame is skipped without being allocated.
func (c *client) admit(kind, number uint64, size int) (bool, error) {
	switch {
	case kind >= firstOptional:
		return false, nil
	case (kind == kindReply || kind == kindError) && c.class == Calls:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.pending.get(number) != nil, nil
	case c.class.streams() && kind != kindOpen:
		return c.streams.admit(kind, size)
	}
	return false, unexpected(kind)
}

// failed ends every pending request after the connection has ended.
//
// A request is marked unsent, and so may be repeated, if no byte of its frame
// was passed to nc.Write. That is known without a mark per request: start is
// the offset of its frame in the bytes of the connection, and c.given counts
// the bytes passed to Write. fail has set c.err before it calls failed, and
// writeLocked never increases c.given after that.
func (c *client) failed(err error) {
	if c.link.drop(c) {
		c.link.redial()
	}
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

// drop removes c from the link, so that the next use dials again. It reports
// false if another goroutine has done so.
func (l *link) drop(c *client) bool { return l.live.CompareAndSwap(c, nil) }

// redial dials again after a connection has ended, to find out whether the peer
// still listens. It does so once per lastBackoff: a peer may end each connection
// at once.
func (l *link) redial() {
	if l.peer.t.cfg.Refused == nil || l.class != Calls {
		return
	}
	l.mu.Lock()
	lately := time.Since(l.redialled) < lastBackoff
	if !lately {
		l.redialled = time.Now()
	}
	l.mu.Unlock()
	if !lately {
		_, _ = l.attempt(true) // the dial itself calls Refused
	}
}
