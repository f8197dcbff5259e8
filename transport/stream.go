package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
)

const (
	// MaxChunk is the most bytes of one Send, and of a stream's header.
	MaxChunk = 64 << 10

	streamWindow = 1 << 20 // what a stream may send before the receiver has taken anything
	chunkCost    = 64      // what a chunk takes of the window beside its bytes
)

var errStreamClosed = errors.New("transport: stream was closed here")

// StreamError says that the peer closed a stream early, and the text it gave.
type StreamError struct{ Text string }

// Error tells that the peer closed the stream, and its text.
func (e *StreamError) Error() string { return "transport: stream closed by the peer: " + e.Text }

// Stream carries chunks in both directions, each as it was sent and in order.
// A sender may be at most 1 MiB ahead of what the receiver has taken with Recv
// (every chunk counts 64 bytes more than it has), so one that does not read
// bounds the other side and holds no more than that. Send, Recv and Close may
// be called concurrently with each other, Send and Recv each by one goroutine
// at a time. A stream that was opened must be ended: by CloseSend on both
// sides, or by Close on either.
type Stream struct {
	c        *conn
	number   uint64
	header   []byte
	done     chan struct{}
	readable chan struct{} // 1
	writable chan struct{} // 1

	// All below is guarded by c.mu.
	queue   [][]byte
	window  int // what the peer may still send
	owed    int // taken by Recv and not yet given back to the peer
	credit  int // what this side may still send
	sentEnd bool
	gotEnd  bool
	ended   bool // no frame of the stream is sent or expected any more
	err     error
}

func newStream(c *conn, number uint64, header []byte) *Stream {
	return &Stream{
		c: c, number: number, header: header,
		done: make(chan struct{}), readable: make(chan struct{}, 1), writable: make(chan struct{}, 1),
		window: streamWindow, credit: streamWindow,
	}
}

// Header returns what the opener gave to Open. It must not be changed.
func (s *Stream) Header() []byte { return s.header }

// Peer returns the name that Handshake.Check gave the peer.
func (s *Stream) Peer() string { return s.c.peer }

// Done is closed when the stream has ended, for whatever reason. What had
// come before can still be received, unless this side called Close.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Err returns why the stream ended early: a *StreamError if the peer closed
// it, the connection's error, or that it was closed here. It is nil while the
// stream lives and after both sides have called CloseSend.
func (s *Stream) Err() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.err
}

// Send sends one chunk of at most MaxChunk bytes, which it copies. It waits
// while the receiver is a window behind or the connection is busy, and returns
// an error when ctx or the stream ends. nil means that it is queued.
func (s *Stream) Send(ctx context.Context, chunk []byte) error {
	if len(chunk) > MaxChunk {
		return fmt.Errorf("transport: chunk of %d bytes exceeds MaxChunk, %d bytes", len(chunk), MaxChunk)
	}
	c, cost := s.c, len(chunk)+chunkCost
	for {
		c.mu.Lock()
		switch {
		case s.err != nil:
			defer c.mu.Unlock()
			return s.err
		case s.sentEnd:
			c.mu.Unlock()
			return errors.New("transport: Send after CloseSend")
		}
		wait := s.writable
		if s.credit >= cost {
			n := c.unwrittenLocked()
			if n == 0 || n+cost <= c.t.cfg.MaxOutput-outputSlack {
				s.credit -= cost
				c.out.buf = appendData(c.out.fit(cost), s.number, chunk)
				c.sendLocked()
				return nil
			}
			wait = c.roomLocked()
		}
		c.mu.Unlock()
		select {
		case <-wait:
		case <-s.done:
		case <-ctx.Done():
			return fmt.Errorf("transport: stream: send: %w", ctx.Err())
		}
	}
}

// Recv returns the next chunk, which the caller owns. After the last one it
// returns io.EOF if the peer has called CloseSend, else why the stream ended.
func (s *Stream) Recv(ctx context.Context) ([]byte, error) {
	c := s.c
	for {
		c.mu.Lock()
		if len(s.queue) > 0 {
			chunk := s.queue[0]
			s.queue[0] = nil
			s.queue = s.queue[1:]
			s.creditLocked(len(chunk) + chunkCost)
			return chunk, nil
		}
		err := s.err
		if s.gotEnd && !errors.Is(err, errStreamClosed) {
			err = io.EOF
		}
		c.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-s.readable:
		case <-s.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("transport: stream: receive: %w", ctx.Err())
		}
	}
}

// creditLocked notes that so much was taken, tells the peer about it when it
// is half a window, and unlocks.
func (s *Stream) creditLocked(taken int) {
	c := s.c
	s.owed += taken
	if s.owed < streamWindow/2 || s.gotEnd || s.ended {
		c.mu.Unlock()
		return
	}
	c.out.buf = appendCredit(c.out.fit(headerRoom), s.number, uint64(s.owed))
	s.window += s.owed
	s.owed = 0
	c.sendLocked()
}

// CloseSend tells the peer that no more chunks come. It returns the stream's
// error if that has ended early.
func (s *Stream) CloseSend() error {
	c := s.c
	c.mu.Lock()
	if s.err != nil || s.sentEnd {
		defer c.mu.Unlock()
		return s.err
	}
	s.sentEnd = true
	c.out.buf = appendClose(c.out.fit(headerRoom), s.number, false, "")
	last := s.gotEnd && s.endLocked(nil)
	c.sendLocked()
	if last {
		close(s.done)
	}
	return nil
}

// Close ends the stream at once, in both directions, and drops what has not
// been received. The peer's Send and Recv return a *StreamError with the
// first 4 KiB of text, the latter after what it had received. It does nothing
// to a stream that has ended.
func (s *Stream) Close(text string) {
	c := s.c
	c.mu.Lock()
	s.queue = nil
	if !s.endLocked(errStreamClosed) {
		c.mu.Unlock()
		return
	}
	text = text[:min(len(text), maxText)]
	c.out.buf = appendClose(c.out.fit(len(text)+headerRoom), s.number, true, text)
	c.sendLocked()
	close(s.done)
}

// endLocked takes the stream off its connection. It reports true once: the
// caller must close done after unlocking.
func (s *Stream) endLocked(err error) bool {
	if s.ended {
		return false
	}
	s.ended, s.err = true, err
	delete(s.c.streams.open, s.number)
	return true
}

func (s *Stream) chunk(f *frame, owned bool) error {
	chunk := f.r.Bytes()
	if err := f.endPlain(1); err != nil {
		return err
	}
	if !owned {
		chunk = append(make([]byte, 0, len(chunk)), chunk...)
	}
	c := s.c
	c.mu.Lock()
	defer signal(s.readable)
	defer c.mu.Unlock()
	if s.gotEnd {
		return errors.New("data behind the end of a stream")
	}
	if s.window -= len(chunk) + chunkCost; s.window < 0 || len(chunk) > MaxChunk {
		return errors.New("stream data beyond the credit given")
	}
	if !s.ended {
		s.queue = append(s.queue, chunk)
	}
	return nil
}

func (s *Stream) credited(f *frame) error {
	n := f.r.Uint()
	if err := f.endPlain(1); err != nil {
		return err
	}
	c := s.c
	c.mu.Lock()
	defer signal(s.writable)
	defer c.mu.Unlock()
	if n > uint64(streamWindow-s.credit) {
		return errors.New("stream credit beyond the window")
	}
	s.credit += int(n)
	return nil
}

func (s *Stream) closed(f *frame) error {
	abort, text := f.r.Bool(), f.r.Str()
	if err := f.endPlain(2); err != nil {
		return err
	}
	c := s.c
	c.mu.Lock()
	last := false
	switch {
	case abort:
		last = s.endLocked(&StreamError{Text: string(text)})
	case s.gotEnd:
	default:
		s.gotEnd = true
		last = s.sentEnd && s.endLocked(nil)
	}
	c.mu.Unlock()
	if last {
		close(s.done)
	}
	signal(s.readable)
	return nil
}

// signal wakes the one goroutine that may wait on ch, now or when it comes.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
