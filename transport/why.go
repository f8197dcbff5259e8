package transport

import (
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// What a request waits for is known where it waits. Shortly before its time is over the
// caller's side asks for it, with an optional frame, and is told with another one, which
// goes into the error if no answer comes after all. Neither ends anything.

const (
	// askShare is the part of a request's time that is left when its peer is asked;
	// askAhead bounds it.
	askShare = 50
	askAhead = 20 * time.Millisecond
	// askLeast is how much time a request must have to be asked for.
	askLeast = 50 * time.Millisecond
)

// endedError is the end of the ctx of a request whose peer has said what it waits for.
type endedError struct {
	label string
	err   error // ctx's
	why   string
}

func (e *endedError) Error() string {
	return fmt.Sprintf("transport: %s: %v %s", e.label, e.err, e.why)
}
func (e *endedError) Unwrap() error { return e.err }

// Why returns what a peer has said that the request of err was waiting for when its ctx
// ended, see Handler; "" if it has said nothing. It is the peer's text, of at most 4 KiB.
func Why(err error) string {
	if e, ok := errors.AsType[*endedError](err); ok {
		return e.why
	}
	return ""
}

// askLaterLocked has the peer be asked shortly before deadline, until which p has remaining.
func (c *client) askLaterLocked(p *pending, deadline time.Time, remaining time.Duration) {
	p.why, p.askAt = "", time.Time{}
	if remaining < askLeast {
		return
	}
	p.askAt = deadline.Add(-min(remaining/askShare, askAhead))
	if c.askAt.IsZero() || p.askAt.Before(c.askAt) {
		c.alarmLocked(p.askAt)
	}
}

func (c *client) alarmLocked(at time.Time) {
	c.askAt = at
	if c.alarm == nil {
		c.alarm = time.AfterFunc(time.Until(at), c.ask)
	} else {
		c.alarm.Reset(time.Until(at))
	}
}

// ask asks for the requests whose time is nearly over. It runs once for many requests, as
// most have their answers by then.
func (c *client) ask() {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.askAt = time.Time{}
	now, next, asked := time.Now(), time.Time{}, false
	for _, p := range c.pending.all() {
		switch {
		case p.askAt.IsZero():
		case !p.askAt.After(now):
			p.askAt, asked = time.Time{}, true
			c.out.buf = appendEmpty(c.out.fit(headerRoom), kindAsk, p.number)
		case next.IsZero() || p.askAt.Before(next):
			next = p.askAt
		}
	}
	if !next.IsZero() {
		c.alarmLocked(next)
	}
	if asked {
		c.sendLocked()
	} else {
		c.mu.Unlock()
	}
}

// told reads what a request waits for.
func (c *client) told(f *frame) error {
	text := f.r.Str()
	if err := f.endPlain(1); err != nil {
		return err
	}
	c.mu.Lock()
	if p := c.pending.get(f.number); p != nil {
		p.why = string(text[:min(len(text), maxText)])
	}
	c.mu.Unlock()
	return nil
}

// asked tells what an unanswered request waits for.
func (s *server) asked(f *frame) error {
	if err := f.endPlain(0); err != nil {
		return err
	}
	s.mu.Lock()
	c := s.calls.get(f.number)
	if c == nil || c.cancelled {
		s.mu.Unlock()
		return nil
	}
	c.refs.Add(1) // so that it is not reused while Why looks at it
	s.mu.Unlock()
	why := s.t.cfg.Handler.Why(c)
	s.mu.Lock()
	if why != "" && c.open && s.err == nil {
		s.out.buf = appendWhy(s.out.fit(min(len(why), maxText)+headerRoom), f.number, why)
		s.sendLocked()
	} else {
		s.mu.Unlock()
	}
	c.release()
	return nil
}

func appendWhy(b []byte, number uint64, text string) []byte {
	at := len(b)
	b = beginFrame(b, kindWhy, number, 1)
	b = wire.AppendString(b, text[:min(len(text), maxText)])
	return endFrame(b, at)
}
