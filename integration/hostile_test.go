package integration_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/sessionproc/sessionproc/internal/shorttest"
	"github.com/sessionproc/sessionproc/node"
	"github.com/sessionproc/sessionproc/sessionproc"
)

const mebi = 1 << 20

// nested is 12 MB of msgpack: arrays of one array each.
var nested = sync.OnceValue(func() []byte { return bytes.Repeat([]byte{0x91}, 12*mebi) })

// stranger opens a connection and does what has to come before the hello, if
// it is polite.
type stranger struct {
	addr   string
	secret bool
}

func (s stranger) dial() (net.Conn, error) { return net.DialTimeout("tcp", s.addr, 3*time.Second) }

// polite is dial with the preface of a call connection, or with TLS.
func (s stranger) polite() (net.Conn, error) {
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	if !s.secret {
		_, err = conn.Write([]byte{0x9e, 'S', 'P', 'R', 'C', '\n', 1, 1})
		return conn, err
	}
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"sessionproc/1"}})
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := secured.Handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// send writes data and returns whether the node closed the connection within
// the time, and how many bytes it has answered.
func send(conn net.Conn, data []byte, limit time.Duration) (closed bool, answered int64) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit))
	if _, err := conn.Write(data); err != nil {
		return !errors.Is(err, os.ErrDeadlineExceeded), 0
	}
	n, err := io.Copy(io.Discard, conn)
	return !errors.Is(err, os.ErrDeadlineExceeded), n
}

// authentication is how long a stranger may take, with what the machine may
// be late.
const authentication = 8 * time.Second

func TestHostileStrangersAreRefused(t *testing.T) {
	shorttest.Skip(t)
	for _, c := range []struct {
		name string
		cfg  node.Config
	}{{"plain", node.Config{}}, {"secret", node.Config{Secret: node.NewSecret()}}} {
		t.Run(c.name, func(t *testing.T) {
			members := newCluster(t, 3, c.cfg)
			victim := members[0]
			s := stranger{victim.Addr(), c.cfg.Secret != ""}
			nested()
			startTraffic(t, members[1], victim)
			startTraffic(t, victim, members[2])
			lines := victim.log.count()
			grown := watchHeap(heapInUse(true))

			var wg sync.WaitGroup
			wg.Go(func() { slowLoris(t, s) })
			wg.Go(func() { silence(t, s) })
			oneByOne(t, s)
			wg.Wait()
			flood(t, s)

			peak, held := grown()
			t.Logf("the heap has grown by %d MiB, of which %d are held; %d lines were logged", peak>>20, held>>20,
				victim.log.count()-lines)
			require.Less(t, peak, int64(32*mebi), "memory stays flat")
			require.Less(t, held, int64(8*mebi), "memory stays flat")
			require.LessOrEqual(t, victim.log.count()-lines, 60, "the log is not flooded:\n%s", victim.log.text())
			require.NotZero(t, victim.log.count()-lines, "but something is said")
			for _, m := range members {
				require.NoError(t, m.awaitServing(within(t, 10*time.Second), 3))
				require.NoError(t, m.Ready())
			}
		})
	}
}

// oneByOne tries everything that the node can refuse at sight.
func oneByOne(t *testing.T, s stranger) {
	random := make([]byte, 4096)
	source := rand.NewChaCha8([32]byte{1})
	for _, attack := range []struct {
		name   string
		dial   func() (net.Conn, error)
		data   func() []byte
		rounds int
		limit  time.Duration
	}{
		{"HTTP", s.dial, func() []byte { return []byte("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n") }, 20, time.Second},
		{"HTTP behind the preface", s.polite, func() []byte { return []byte("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n") },
			20, time.Second},
		{"random bytes", s.dial, func() []byte { _, _ = source.Read(random); random[0] = 'x'; return random }, 50,
			time.Second},
		{"random bytes behind the preface", s.polite,
			func() []byte { _, _ = source.Read(random); random[0] = 0xff; return random }, 50, time.Second},
		{"a frame that claims 4 GB", s.polite, func() []byte { return []byte{0xff, 0xff, 0xff, 0xff, 0x93, 1, 0} }, 20,
			time.Second},
		{"an array that claims 4 G elements", s.polite, func() []byte {
			return []byte{0, 0, 0, 5, 0xdd, 0xff, 0xff, 0xff,
				0xff}
		}, 20, time.Second},
		{"12 MB of nested arrays", s.dial, nested, 3, authentication},
		{"12 MB of nested arrays behind the preface", s.polite, func() []byte {
			return append([]byte{0, 0xc0, 0, 0}, nested()[:mebi]...)
		}, 3, authentication},
		{"half a hello", s.polite, func() []byte { return []byte{0, 0, 1, 0, 0x93, 1, 0, 0xc4, 0xf0, 1, 2, 3} }, 1,
			authentication},
	} {
		for range attack.rounds {
			conn, err := attack.dial()
			if err != nil {
				continue // refused before it could begin
			}
			closed, answered := send(conn, attack.data(), attack.limit)
			require.True(t, closed, "%s: the node keeps the connection", attack.name)
			require.Less(t, answered, int64(4096), "%s: the node has much to say", attack.name)
		}
	}
	for range 50 { // gone in the middle of a frame
		if conn, err := s.polite(); err == nil {
			_, _ = conn.Write([]byte{0, 0, 1, 0, 0x93})
			conn.Close()
		}
	}
}

// slowLoris sends its hello byte by byte, each in time for a timeout that
// starts again with it.
func slowLoris(t *testing.T, s stranger) {
	conn, err := s.polite()
	if !assert.NoError(t, err) {
		return
	}
	defer conn.Close()
	start := time.Now()
	_, err = conn.Write([]byte{0, 0, 8, 0, 0x93, 1, 0, 0xc5})
	for err == nil && time.Since(start) < 2*authentication {
		time.Sleep(100 * time.Millisecond)
		_, err = conn.Write([]byte{1})
	}
	assert.Less(t, time.Since(start), authentication, "it may go on for ever")
	assert.Greater(t, time.Since(start), time.Second,
		"it was not taken for a stranger at once, so this test shows nothing")
}

// silence connects and says nothing.
func silence(t *testing.T, s stranger) {
	conn, err := s.dial()
	if !assert.NoError(t, err) {
		return
	}
	closed, _ := send(conn, nil, authentication)
	assert.True(t, closed, "it may stay for ever")
}

// flood opens more connections than strangers may have: 512 in all, and 16 more at a
// member's address. None waits for a place: the oldest ones have to go.
func flood(t *testing.T, s stranger) {
	const places, more = 512 + 16, 200
	var conns []net.Conn
	for range places + more {
		if conn, err := s.dial(); err == nil {
			conns = append(conns, conn)
		}
	}
	require.Greater(t, len(conns), places)
	var open atomic.Int64
	var wg sync.WaitGroup
	for _, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		wg.Go(func() {
			if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				open.Add(1)
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, open.Load(), int64(places))
	for _, conn := range conns {
		conn.Close()
	}
}

// TestHostileRequestsOfAMemberAreRefused sends what a member's own program can: bytes
// that its message type encodes itself into.
func TestHostileRequestsOfAMemberAreRefused(t *testing.T) {
	eachStillPlace(t, func(t *testing.T, p place) {
		counterID, probeID, bagID := p.startCounter(t, 7), p.startProbe(t), p.id(t)
		require.NoError(t, bags.Start(t.Context(), p.from, bagID, sessionproc.None{}))
		nested()
		grown := watchHeap(heapInUse(true))
		for name, payload := range map[string][]byte{
			"an array that claims 4 G elements": {0xdd, 0xff, 0xff, 0xff, 0xff},
			"a map that claims 4 G elements":    {0xdf, 0xff, 0xff, 0xff, 0xff},
			"a string that claims 4 GB":         {0xdb, 0xff, 0xff, 0xff, 0xff},
			"bytes that claim 4 GB":             {0xc6, 0xff, 0xff, 0xff, 0xff},
			"an extension that claims 4 GB":     {0xc9, 0xff, 0xff, 0xff, 0xff, 1},
			"a map of a map":                    {0x81, 0x81, 1, 1, 1},
			"two values":                        {1, 1},
			"a reserved byte":                   {0xc1},
			"100 nested arrays":                 nested()[:100],
			"3 MB of nested arrays":             nested()[:3*mebi],
		} {
			err := p.from.Call(t.Context(), counterID, add.Name(), msgpack.RawMessage(payload), nil)
			require.ErrorIs(t, err, sessionproc.ErrBadRequest, name)
			err = p.from.Call(t.Context(), bagID, fill.Name(), msgpack.RawMessage(payload), nil)
			require.ErrorIs(t, err, sessionproc.ErrBadRequest, name)
			err = p.from.Start(t.Context(), p.id(t), node.StartOptions{Arg: msgpack.RawMessage(payload)})
			require.ErrorIs(t, err, sessionproc.ErrBadRequest, "%s, as an argument", name)
			_ = p.from.Cast(t.Context(), probeID, note.Name(), msgpack.RawMessage(payload)) // refused here or logged there
		}
		quickly(t, 2*time.Second, func() {
			err := p.from.Call(t.Context(), counterID, add.Name(), msgpack.RawMessage(nested()), nil)
			require.Error(t, err, "more than a frame may hold")
			require.NotErrorIs(t, err, context.DeadlineExceeded)
		})
		peak, held := grown()
		t.Logf("the heap has grown by %d MiB, of which %d are held", peak>>20, held>>20)
		require.Less(t, peak, int64(64*mebi), "no more than a few copies of what was sent")
		require.Less(t, held, int64(8*mebi), "which are not kept")
		requireCount(t, p, counterID, 7)
		noted, err := marks.Call(t.Context(), p.from, probeID, sessionproc.None{})
		require.NoError(t, err)
		require.Empty(t, noted)
		_, err = unpack.Call(t.Context(), p.from, bagID, sessionproc.None{})
		require.NoError(t, err, "all sessions live")
	})
}
