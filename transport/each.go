package transport

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
)

// Each calls f for each chunk, in order, and returns when no call of it runs
// any more: after f has returned an error, with that, and else when ctx or the
// stream ends, like Recv. In the end it closes the stream. f is called on the
// connection's reader, which spares a change of goroutines. So it must be quick,
// and must call Answer in place of Send, which waits for what the reader brings.
// The chunk is valid during the call only.
func (s *Stream) Each(ctx context.Context, f func(chunk []byte) error) (err error) {
	defer func() { s.Close(err.Error()) }()
	c := s.c
	for {
		c.mu.Lock()
		if len(s.queue) == 0 {
			break
		}
		chunk := s.queue[0]
		s.queue = s.queue[1:]
		s.creditLocked(len(chunk) + chunkCost)
		if err := f(chunk); err != nil {
			return err
		}
	}
	s.queue, s.each = nil, f
	over := s.gotEnd || s.ended
	c.mu.Unlock()
	for !over {
		select {
		case <-s.readable:
			c.mu.Lock()
			over = s.gotEnd || s.each == nil
			c.mu.Unlock()
		case <-s.done:
			over = true
		case <-ctx.Done():
			err = fmt.Errorf("transport: stream: receive: %w", ctx.Err())
			s.Close(err.Error()) // so that an Answer of f does not wait
			over = true
		}
	}
	s.taking.Lock()
	defer s.taking.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.each = nil
	switch {
	case err != nil:
		return err
	case s.refused != nil:
		return s.refused
	case s.err != nil:
		return s.err
	}
	return io.EOF
}

// Answer is Send for the function of Each. It does not wait until the receiver
// has taken what was sent before: what is beyond the credit is kept, up to a
// window of it, until there is some. It is an error if that does not suffice.
func (s *Stream) Answer(chunk []byte) error {
	c, cost := s.c, len(chunk)+chunkCost
	c.mu.Lock()
	switch {
	case s.err != nil || s.sentEnd:
		defer c.mu.Unlock()
		return cmp.Or(s.err, errStreamClosed)
	case len(s.late) == 0 && s.credit >= cost:
		s.credit -= cost
		c.out.buf = appendData(c.out.fit(cost), s.number, chunk)
		c.writeHereLocked()
		return nil
	}
	defer c.mu.Unlock()
	if s.lateCost += cost; s.lateCost > streamWindow {
		return errors.New("transport: the peer does not take the answers")
	}
	s.late = append(s.late, bytes.Clone(chunk))
	return nil
}

// lateLocked sends the answers for which there is credit now, and unlocks c.mu.
func (s *Stream) lateLocked() {
	c, sent := s.c, 0
	for _, chunk := range s.late {
		cost := len(chunk) + chunkCost
		if s.credit < cost || s.ended {
			break
		}
		s.credit -= cost
		s.lateCost -= cost
		c.out.buf = appendData(c.out.fit(cost), s.number, chunk)
		sent++
	}
	if s.late = s.late[sent:]; len(s.late) == 0 {
		s.late = nil
	}
	if sent == 0 {
		c.mu.Unlock()
		return
	}
	c.sendLocked()
}

// hand gives a chunk to each, unless Each has returned meanwhile.
func (s *Stream) hand(chunk []byte) {
	s.taking.Lock()
	defer s.taking.Unlock()
	c := s.c
	c.mu.Lock()
	each := s.each
	c.mu.Unlock()
	if each == nil {
		return
	}
	err := each(chunk)
	c.mu.Lock()
	if err != nil {
		s.each, s.refused = nil, err
		signal(s.readable)
	}
	s.creditLocked(len(chunk) + chunkCost)
}
