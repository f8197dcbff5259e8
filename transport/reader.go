package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	readBuffer = 64 << 10  // bytes
	readStep   = 128 << 10 // bytes of a frame believed before they have come
)

// heardReader reads from the socket and notes that the peer lives.
type heardReader struct{ c *conn }

func (h heardReader) Read(b []byte) (int, error) {
	n, err := h.c.nc.Read(b)
	if n > 0 {
		h.c.heard.Store(true)
	}
	return n, err
}

// read is the reader's goroutine. It ends with the connection.
func (c *conn) read() {
	err := c.readFrames()
	c.fail(err)
	c.role.ended()
}

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
			return protocolError(fmt.Errorf("frame of %d bytes exceeds Config.MaxFrame, %d bytes", claimed, c.t.cfg.MaxFrame))
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

// readSmall handles a frame that fits the read buffer, in place.
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

// readBig handles a frame that exceeds the read buffer. It allocates no more
// than twice what has come, or readStep.
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

// errProtocol marks what only a peer with a fault, or none of ours, would send.
var errProtocol = errors.New("protocol error")

func protocolError(err error) error { return fmt.Errorf("%w: %w", errProtocol, err) }

// batchTime is when the frame being handled was read.
func (c *conn) batchTime() time.Time {
	if c.now.IsZero() {
		c.now = time.Now()
	}
	return c.now
}
