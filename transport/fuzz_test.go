package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzServerFrames: whatever an authenticated peer sends to the accepting side,
// reading ends with the input, every request that was served or refused is
// given back, and memory stays proportional to what came.
func FuzzServerFrames(f *testing.F) {
	f.Fuzz(func(t *testing.T, bulk bool, b []byte) {
		fuzzFrames(t, bulk, b, func(tr *Transport, class Class, nc net.Conn) *conn {
			s := &server{}
			s.init(tr, nc, "peer", class, s)
			return &s.conn
		})
	})
}

// FuzzClientFrames is the same for the dialling side, with requests 1 to 3 pending.
func FuzzClientFrames(f *testing.F) {
	f.Fuzz(func(t *testing.T, bulk bool, b []byte) {
		fuzzFrames(t, bulk, b, func(tr *Transport, class Class, nc net.Conn) *conn {
			c := newClient(&tr.Peer("peer").calls)
			c.init(tr, nc, "peer", class, c)
			if class == Bulk {
				_, err := c.streams.start(t.Context(), &c.conn, nil)
				require.NoError(t, err)
				return &c.conn
			}
			for range 3 {
				p, err := c.send(t.Context(), kindCall, &Request{}, 100)
				require.NoError(t, err)
				t.Cleanup(func() { require.Len(t, p.done, 1, "every request ends, once") })
			}
			return &c.conn
		})
	})
}

func fuzzFrames(t *testing.T, bulk bool, b []byte, build func(*Transport, Class, net.Conn) *conn) {
	class := Calls
	if bulk {
		class = Bulk
	}
	tr, err := New(Config{
		Dial:      func(context.Context, string, Class) (net.Conn, error) { return nil, io.EOF },
		Handshake: noHandshake{}, Handler: answerAll{}, MaxFrame: 1 << 20, MaxInflight: 4 << 20,
	})
	require.NoError(t, err)
	c := build(tr, class, inputConn{bytes.NewReader(b)})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = c.readFrames()
	c.fail(err)
	c.role.ended()
	runtime.ReadMemStats(&after)
	require.Error(t, err)
	require.NoError(t, tr.Close())
	require.Zero(t, tr.inflight.Load())
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+1000*len(b)); got > most {
		t.Fatalf("%d bytes of input allocated %d, more than %d", len(b), got, most)
	}
}

type noHandshake struct{}

func (noHandshake) Hello(net.Conn, bool) ([]byte, error)         { return nil, nil }
func (noHandshake) Check(net.Conn, bool, []byte) (string, error) { return "", nil }

type answerAll struct{}

func (answerAll) Serve(c *Call) {
	_, _ = c.Chain(), c.Deadline
	if c.Cast {
		c.Ack()
	} else if c.Flags != 1 {
		c.Reply(c.Flags, c.Payload)
	}
}
func (answerAll) Cancel(c *Call)        { c.Fail(99, "cancelled", nil) }
func (answerAll) Why(*Call) string      { return "it waits" }
func (answerAll) ServeStream(s *Stream) { <-s.Done() }

// inputConn reads from a slice and writes to nowhere.
type inputConn struct{ *bytes.Reader }

func (inputConn) Write(b []byte) (int, error)        { return len(b), nil }
func (inputConn) WriteTo(io.Writer) (int64, error)   { panic("not used") }
func (inputConn) Close() error                       { return nil }
func (inputConn) LocalAddr() net.Addr                { return nil }
func (inputConn) RemoteAddr() net.Addr               { return nil }
func (inputConn) SetDeadline(time.Time) error        { return nil }
func (inputConn) SetReadDeadline(time.Time) error    { return nil }
func (inputConn) SetWriteDeadline(t time.Time) error { return nil }

func TestFramesSurviveTheirRoundTrip(t *testing.T) {
	r := Request{Flags: 5, ID: "id", Kind: "k", Method: "m", Key: "key", Chain: []string{"a", "b"}, Trace: []byte("t"),
		Payload: bytes.Repeat([]byte("p"), 300)}
	b := r.append(nil, kindCall, 1<<40, 1500*time.Nanosecond)
	require.LessOrEqual(t, len(b)-4, r.size())
	require.EqualValues(t, len(b)-4, binary.BigEndian.Uint32(b))
	var f frame
	require.NoError(t, f.parse(b[4:]))
	require.EqualValues(t, uint64(1<<40), f.number)
	s := &server{}
	s.now = time.Unix(100, 0)
	c := Call{s: s}
	critical, err := c.parse(&f)
	require.NoError(t, err)
	require.False(t, critical)
	require.Equal(t, []string{"a", "b"}, c.Chain())
	require.Equal(t, r.Payload, c.Payload)
	require.Equal(t, time.Unix(100, 2000), c.Deadline, "rounded up to a whole µs: never 0, which means for ever")
	require.Nil(t, c.Once)
}

// A request that its receiver must know the key of is refused by one that does not know keys.
func TestOnceIsCritical(t *testing.T) {
	r := Request{ID: "id", Payload: []byte("p"), Once: []byte("once")}
	b := r.append(nil, kindCall, 7, 0)
	require.LessOrEqual(t, len(b)-4, r.size())
	var f frame
	require.NoError(t, f.parse(b[4:]))
	c := Call{s: &server{}}
	critical, err := c.parse(&f)
	require.NoError(t, err)
	require.False(t, critical)
	require.Equal(t, "once", string(c.Once))
	require.Equal(t, "p", string(c.Payload))
	c.clear()
	require.Nil(t, c.Once)

	require.NoError(t, f.parse(b[4:]))
	for range requestElements { // as a release does that knows none
		f.r.Skip()
	}
	critical, err = f.end(requestElements)
	require.NoError(t, err)
	require.True(t, critical)

	long := Request{Once: make([]byte, MaxOnce+1)}
	require.ErrorIs(t, long.validate(long.size(), 1<<20), ErrRequest)
	require.NoError(t, f.parse(long.append(nil, kindCall, 7, 0)[4:]))
	_, err = c.parse(&f)
	require.ErrorContains(t, err, "once of 65 bytes")
}
