package transport

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

const (
	readBuffer = 64 << 10  // bytes
	readStep   = 128 << 10 // bytes allocated for a frame before any of them has come
)

// A heardReader reads from the socket and records that the peer is alive. It
// works on bytes, not on frames: during a long frame no ping can arrive.
type heardReader struct{ c *conn }

func (h heardReader) Read(b []byte) (int, error) {
	n, err := h.c.nc.Read(b)
	if n > 0 {
		h.c.heard.Store(true)
	}
	return n, err
}

// read is the reader. It ends with the connection. ended comes last, so
// Handler.Cancel never precedes Serve of the same call.
func (c *conn) read() {
	err := c.readFrames()
	c.fail(err)
	c.role.ended()
}

// readFrames reads and handles frames until an error. It resets c.now whenever the next
// bytes must come from the socket, so that all frames of one read share a time.
func (c *conn) readFrames() error {
	for {
		if c.br.Buffered() < 4 {
			c.now = time.Time{}
		}
		head, err := c.br.Peek(4)
		if err != nil {
			return err
		}
		claimed := binary.BigEndian.Uint32(head)
		if uint64(claimed) > uint64(c.t.cfg.MaxFrame) {
			return protocolError(fmt.Errorf("frame of %d bytes exceeds Config.MaxFrame, %d bytes",
				claimed, c.t.cfg.MaxFrame))
		}
		size := int(claimed)
		if size+4 > readBuffer {
			err = c.readBig(size)
		} else {
			err = c.readSmall(size)
		}
		if err != nil {
			return err
		}
	}
}

// readSmall handles a frame that fits into the read buffer. The role parses it
// in place.
func (c *conn) readSmall(size int) error {
	if c.br.Buffered() < size+4 {
		c.now = time.Time{}
	}
	b, err := c.br.Peek(size + 4)
	if err != nil {
		return err
	}
	if err := c.role.frame(b[4:], false); err != nil {
		return protocolError(err)
	}
	_, err = c.br.Discard(size + 4)
	return err
}

// readBig handles a frame that exceeds the read buffer. It asks the role before
// it allocates, and it never holds more than twice the bytes that have come, or
// readStep: a peer cannot make this side allocate by announcing a length.
func (c *conn) readBig(size int) error {
	start, err := c.br.Peek(maxHead)
	if err != nil {
		return err
	}
	kind, number, err := peekFrame(start[4:])
	if err != nil {
		return protocolError(err)
	}
	admitted, err := c.role.admit(kind, number, size)
	if err != nil {
		return protocolError(err)
	}
	if _, err := c.br.Discard(4); err != nil {
		return err
	}
	if !admitted {
		_, err := c.br.Discard(size)
		return err
	}
	body := make([]byte, 0, min(size, readStep))
	for len(body) < size {
		if len(body) == cap(body) {
			body = append(make([]byte, 0, min(size, 2*len(body))), body...)
		}
		n, err := io.ReadFull(c.br, body[len(body):cap(body)])
		if body = body[:len(body)+n]; err != nil {
			return err
		}
	}
	c.now = time.Time{}
	if err := c.role.frame(body, true); err != nil {
		return protocolError(err)
	}
	return nil
}

func protocolError(err error) error { return fmt.Errorf("%w: %w", errProtocol, err) }

// batchTime returns when the present frame was read. Only the reader may call
// it. Frames of one batch share the time, which spares a busy connection most
// clock readings.
func (c *conn) batchTime() time.Time {
	if c.now.IsZero() {
		c.now = time.Now()
	}
	return c.now
}
