package workload

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"time"
)

// The bare multiplexer, the floor for remote work: requests of many callers
// over one TCP connection, frames of [4 bytes of length][msgpack array of
// request number, session ID, payload], handed to session goroutines that
// append their replies. Writes are coalesced, and the writer yields once before
// the first of them. No deadline, no check, no limit, no handshake.

// castBit marks the request number of a cast, which is answered when it is in
// the session's channel.
const castBit = 1 << 63

// muxWriter writes what many goroutines append.
type muxWriter struct {
	conn    net.Conn
	mu      sync.Mutex // guards what follows
	buf     []byte
	spare   []byte
	writing bool
}

func (w *muxWriter) send(n uint64, id string, payload []byte) {
	w.mu.Lock()
	w.buf = appendMuxFrame(w.buf, n, id, payload)
	if w.writing {
		w.mu.Unlock()
		return
	}
	w.writing = true
	w.mu.Unlock()
	runtime.Gosched() // lets the others append: one write carries many frames
	w.mu.Lock()
	for len(w.buf) > 0 {
		b := w.buf
		w.buf = w.spare[:0]
		w.mu.Unlock()
		_, _ = w.conn.Write(b) // the reader sees the connection end
		w.mu.Lock()
		w.spare = b
	}
	w.writing = false
	w.mu.Unlock()
}

func appendMuxFrame(b []byte, n uint64, id string, payload []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0x93, 0xcf)
	b = binary.BigEndian.AppendUint64(b, n)
	b = append(b, 0xd9, byte(len(id)))
	b = append(b, id...)
	b = append(b, 0xc5)
	b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	b = append(b, payload...)
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

var errMuxFrame = errors.New("workload: not a frame of the bare multiplexer")

func parseMuxFrame(f []byte) (n uint64, id, payload []byte, err error) {
	if len(f) < 15 || f[0] != 0x93 || f[1] != 0xcf || f[10] != 0xd9 {
		return 0, nil, nil, errMuxFrame
	}
	rest := f[12:]
	if len(rest) < int(f[11])+3 {
		return 0, nil, nil, errMuxFrame
	}
	return binary.BigEndian.Uint64(f[2:]), rest[:f[11]], rest[int(f[11])+3:], nil
}

// readMux gives every frame of conn to f, in a buffer of its own, until the
// connection ends.
func readMux(conn net.Conn, f func(n uint64, id, payload []byte)) {
	r := bufio.NewReaderSize(conn, 64<<10)
	var size [4]byte
	for {
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		n, id, payload, err := parseMuxFrame(frame)
		if err != nil {
			return
		}
		f(n, id, payload)
	}
}

// serveMux is the role of the multiplexer's server process.
func serveMux([]byte) (addr string, stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	sessions := newPool()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveMuxConn(conn, sessions)
		}
	}()
	return l.Addr().String(), l.Close, nil
}

func serveMuxConn(conn net.Conn, sessions *pool) {
	w := &muxWriter{conn: conn}
	readMux(conn, func(n uint64, id, payload []byte) {
		s := sessions.findOrStart(string(id))
		if n&castBit != 0 {
			s.in <- bareMessage{op: bareCast, payload: payload}
			w.send(n, "", nil)
			return
		}
		s.in <- bareMessage{payload: payload, done: func(reply []byte) { w.send(n, "", reply) }}
	})
	conn.Close()
}

// muxClient is the calling side.
type muxClient struct {
	w       *muxWriter
	mu      sync.Mutex // guards what follows
	next    uint64
	pending map[uint64]chan []byte
}

func dialMux(addr string) (*muxClient, error) {
	conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return nil, err
	}
	c := &muxClient{w: &muxWriter{conn: conn}, pending: map[uint64]chan []byte{}}
	go readMux(conn, func(n uint64, _, payload []byte) {
		c.mu.Lock()
		reply := c.pending[n]
		delete(c.pending, n)
		c.mu.Unlock()
		if reply != nil {
			reply <- payload
		}
	})
	return c, nil
}

var muxReplies = sync.Pool{New: func() any { return make(chan []byte, 1) }}

// call waits for the reply without end: the bare thing knows no deadline.
func (c *muxClient) call(id string, payload []byte, flags uint64) []byte {
	reply := muxReplies.Get().(chan []byte)
	c.mu.Lock()
	c.next++
	n := c.next | flags
	c.pending[n] = reply
	c.mu.Unlock()
	c.w.send(n, id, payload)
	b := <-reply
	muxReplies.Put(reply)
	return b
}

func (c *muxClient) close() error { return c.w.conn.Close() }
