package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

const (
	// MaxChunk is the largest number of bytes in one Send, and in a stream's header.
	MaxChunk = 64 << 10

	streamWindow = 1 << 20 // bytes of credit that a stream begins with
	// chunkCost is what a chunk costs beside its bytes. It stands for the memory of a
	// queued chunk, so that a million empty chunks do not fit into the window.
	chunkCost = 64
)

var errStreamClosed = errors.New("transport: stream was closed here")

// A StreamError says that the peer closed a stream early. Text is the reason
// that the peer gave.
type StreamError struct{ Text string }

// Error returns the peer's text.
func (e *StreamError) Error() string { return "transport: stream closed by the peer: " + e.Text }

func newStream(c *conn, number uint64, header []byte) *Stream {
	return &Stream{
		c: c, number: number, header: header,
		done: make(chan struct{}), readable: make(chan struct{}, 1), writable: make(chan struct{}, 1),
		window: streamWindow, credit: streamWindow,
	}
}

// Header returns the header that the opener gave to Open. The caller must not
// change it.
func (s *Stream) Header() []byte { return s.header }

// Peer returns the name that Handshake.Check returned for the peer.
func (s *Stream) Peer() string { return s.c.peer }

// Class returns the class of the stream's connection, Bulk or Standby.
func (s *Stream) Class() Class { return s.c.class }

// Done returns a channel that is closed when the stream has ended for any
// reason. Chunks that have arrived can still be received, unless this side
// called Close.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Err returns why the stream ended early: a *StreamError if the peer closed it,
// the error of the connection, or an error that says that this side closed it.
// Err returns nil while the stream is open and after both sides have called
// CloseSend.
func (s *Stream) Err() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.err
}

// Send sends one chunk of at most MaxChunk bytes, which it copies. It waits
// while the receiver is a window behind or the connection is busy. It returns
// an error when ctx or the stream ends. A nil error means that the chunk is
// queued. On a connection of class Standby it is written, too, unless another
// goroutine writes at the time: who sends there may wait.
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
				if c.class == Standby {
					c.writeHereLocked()
				} else {
					c.sendLocked()
				}
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

// Recv returns the next chunk, which the caller owns. After the last chunk it
// returns io.EOF if the peer has called CloseSend, and otherwise the reason why
// the stream ended.
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

// creditLocked records that the receiver has taken chunks worth taken bytes of
// credit. It returns the credit to the peer once half a window is owed, so that
// one small frame serves many chunks. It unlocks c.mu.
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

// CloseSend tells the peer that no more chunks follow. It returns the stream's
// error if the stream has ended early.
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

// Close ends the stream at once, in both directions, and drops the chunks that
// were not received. On the peer Send and Recv return a *StreamError with the
// first 4 KiB of text, Recv after the chunks that had arrived. Close does
// nothing to a stream that has ended. If a Send or Answer writes meanwhile, it
// ends that, and with it the connection.
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
	writes := c.here
	c.sendLocked()
	close(s.done)
	if writes {
		c.fail(errStreamClosed)
	}
}

// chunk handles a data frame. Data beyond the credit is a fault of the peer and ends the
// connection: the credit is what bounds the memory of a stream.
func (s *Stream) chunk(f *frame, owned bool) error {
	chunk := f.r.Bytes()
	if err := f.endPlain(1); err != nil {
		return err
	}
	handed, err := s.queued(chunk, owned)
	if handed {
		s.hand(chunk)
	} else {
		signal(s.readable)
	}
	return err
}

// queued queues a chunk, unless it is to be handed to each.
func (s *Stream) queued(chunk []byte, owned bool) (hand bool, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.gotEnd {
		return false, errors.New("data behind the end of a stream")
	}
	if s.window -= len(chunk) + chunkCost; s.window < 0 || len(chunk) > MaxChunk {
		return false, errors.New("stream data beyond the credit given")
	}
	switch {
	case s.ended:
	case s.each != nil:
		return true, nil
	case owned:
		s.queue = append(s.queue, chunk)
	default:
		s.queue = append(s.queue, bytes.Clone(chunk))
	}
	return false, nil
}

// credited handles a credit frame.
func (s *Stream) credited(f *frame) error {
	n := f.r.Uint()
	if err := f.endPlain(1); err != nil {
		return err
	}
	c := s.c
	c.mu.Lock()
	if n > uint64(streamWindow-s.credit) {
		c.mu.Unlock()
		return errors.New("stream credit beyond the window")
	}
	s.credit += int(n)
	s.lateLocked()
	signal(s.writable)
	return nil
}

// closed handles a close frame.
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

// signal wakes the one goroutine that waits on ch, or the next one that does.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
