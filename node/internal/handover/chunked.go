package handover

import (
	"encoding/binary"
	"fmt"

	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// A chunked sends frames, each with its length before it, in chunks.
type chunked struct {
	send func([]byte) error
	buf  []byte
	at   int
	err  error
}

func (c *chunked) begin() []byte {
	c.at = len(c.buf)
	return append(c.buf, 0, 0, 0, 0)
}

func (c *chunked) end(b []byte) {
	binary.BigEndian.PutUint32(b[c.at:], uint32(len(b)-c.at-4))
	if c.buf = b; len(b) >= transport.MaxChunk {
		_ = c.flush()
	}
}

// flush sends what was not sent, and returns the first error.
func (c *chunked) flush() error {
	for b := c.buf; len(b) > 0 && c.err == nil; {
		n := min(len(b), transport.MaxChunk)
		c.err = c.send(b[:n])
		b = b[n:]
	}
	c.buf = c.buf[:0]
	return c.err
}

// A framed reads frames from chunks.
type framed struct {
	recv func() ([]byte, error)
	most int
	buf  []byte
}

// next returns the next frame. It is valid until the next call.
func (f *framed) next() (wire.Reader, error) {
	for {
		if len(f.buf) >= 4 {
			n := int(binary.BigEndian.Uint32(f.buf))
			if n > f.most {
				return wire.Reader{}, fmt.Errorf("a frame of %d bytes", n)
			}
			if len(f.buf) >= 4+n {
				frame := f.buf[4 : 4+n]
				f.buf = f.buf[4+n:]
				return wire.NewReader(frame), nil
			}
		}
		chunk, err := f.recv()
		if err != nil {
			return wire.Reader{}, err
		}
		f.buf = append(f.buf, chunk...)
	}
}

func cloned(b []byte) []byte { return append([]byte(nil), b...) }
