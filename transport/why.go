package transport

import (
	"errors"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// A caller whose ctx ends wants to know what its request was waiting for, and only the peer
// knows. Shortly before the time is over, the caller's side sends an ask frame, and the peer
// answers with a why frame, whose text goes into the error if no answer arrives in time.
// Both frames are optional: earlier releases skip them, and they end nothing.

const (
	// The ask frame leaves when 1/askShare of the request's time is left, but at most
	// askAhead before its end.
	askShare = 50
	askAhead = 20 * time.Millisecond
	// askLeast is the shortest time of a request for which an ask frame is sent.
	askLeast = 50 * time.Millisecond
)

// An endedError is the error of a request whose ctx has ended and whose peer
// has said what it waited for.
type endedError struct {
	label string
	err   error // ctx's
	why   string
}

func (e *endedError) Error() string {
	return fmt.Sprintf("transport: %s: %v %s", e.label, e.err, e.why)
}
func (e *endedError) Unwrap() error { return e.err }

// Why returns what the peer has said that the request of err was waiting for
// when its ctx ended; see Handler. It returns "" if the peer has said nothing.
// The text is the peer's, of at most 4 KiB.
func Why(err error) string {
	if e, ok := errors.AsType[*endedError](err); ok {
		return e.why
	}
	return ""
}

// askLaterLocked schedules the ask frame for p, shortly before deadline, which
// is remaining from now. One timer serves all requests of the connection. Its
// time is not moved back when a request is answered: ask then finds nothing to
// do, which costs less than a timer change for each request.
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

// alarmLocked sets the alarm.
func (c *client) alarmLocked(at time.Time) {
	c.askAt = at
	if c.alarm == nil {
		c.alarm = time.AfterFunc(time.Until(at), c.ask)
	} else {
		c.alarm.Reset(time.Until(at))
	}
}

// ask sends the ask frames that are due. Most requests have their answers by
// then.
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

// told handles a why frame.
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

// asked handles an ask frame: it answers with what the request waits for.
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
	c.refs.Add(1) // c must not be reused while Why runs
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
