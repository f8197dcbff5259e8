package transport

import (
	"context"
	"errors"
	"fmt"
)

// start opens a stream to the peer.
func (t *streamTable) start(ctx context.Context, c *conn, header []byte) (*Stream, error) {
	if len(header) > MaxChunk {
		return nil, &unsent{fmt.Errorf("transport: stream header of %d bytes exceeds MaxChunk, %d bytes",
			len(header), MaxChunk)}
	}
	if _, err := c.reserve(ctx, len(header)+headerRoom); err != nil {
		return nil, &unsent{err}
	}
	if most := c.t.cfg.MaxStreams; len(t.open) >= most {
		c.mu.Unlock()
		return nil, &unsent{fmt.Errorf("transport: %s: open stream: MaxStreams, %d, are open", c.label, most)}
	}
	t.last++
	s := newStream(c, t.last, append([]byte(nil), header...))
	t.open[s.number] = s
	c.out.buf = appendOpen(c.out.fit(len(header)+headerRoom), s.number, header)
	c.sendLocked()
	return s, nil
}

// frame handles the frames of streams.
func (t *streamTable) frame(c *conn, f *frame, owned bool) error {
	if f.kind == kindOpen {
		return t.opened(c, f)
	}
	if f.kind != kindData && f.kind != kindCredit && f.kind != kindClose {
		return unexpected(f.kind)
	}
	c.mu.Lock()
	s, last := t.open[f.number], t.last
	c.mu.Unlock()
	switch {
	case f.number > last:
		return fmt.Errorf("stream %d was never opened", f.number)
	case s == nil:
		return nil // the stream has ended here, and the frame crossed its close
	case f.kind == kindData:
		return s.chunk(f, owned)
	case f.kind == kindCredit:
		return s.credited(f)
	}
	return s.closed(f)
}

// opened starts to serve a stream that the peer opens. A stream that is refused
// is opened and closed at once, so that its number counts as used. serving
// bounds the handlers separately from open: a stream may have ended while its
// handler still runs.
func (t *streamTable) opened(c *conn, f *frame) error {
	header := f.r.Bytes()
	critical, err := f.end(1)
	if err != nil {
		return err
	}
	if len(header) > MaxChunk {
		return fmt.Errorf("stream header of %d bytes", len(header))
	}
	refusal := ""
	c.mu.Lock()
	switch {
	case f.number <= t.last:
		c.mu.Unlock()
		return fmt.Errorf("stream number %d was used before", f.number)
	case critical:
		refusal = "the stream has a critical element that this node does not know"
	case len(t.open) >= c.t.cfg.MaxStreams, t.serving >= c.t.cfg.MaxStreams:
		refusal = "too many streams are open"
	}
	t.last = f.number
	s := newStream(c, f.number, append([]byte(nil), header...))
	t.open[s.number] = s
	t.serving++
	c.mu.Unlock()
	if refusal == "" && c.t.spawn(func() { t.serve(s) }) {
		return nil
	}
	if refusal == "" {
		refusal = "the node is closing"
	}
	s.Close(refusal)
	t.served(c)
	return nil
}

// serve is the goroutine of a stream that the peer opened. The transport waits
// for it.
func (t *streamTable) serve(s *Stream) {
	s.c.t.cfg.Handler.ServeStream(s)
	s.Close("the handler returned before the end")
	t.served(s.c)
}

func (t *streamTable) served(c *conn) {
	c.mu.Lock()
	t.serving--
	c.mu.Unlock()
}

// admit admits frames that exceed the read buffer: full chunks and headers.
func (t *streamTable) admit(kind uint64, size int) (bool, error) {
	if (kind == kindData || kind == kindOpen) && size <= MaxChunk+headerRoom {
		return true, nil
	}
	return false, errors.New("stream frame too large")
}
