package transport_test

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// rawPeer is a peer whose every byte the test decides.
type rawPeer struct {
	*memConn
	t *testing.T
}

// strange connects to tr without a handshake.
func strange(t *testing.T, tr *transport.Transport, class transport.Class) rawPeer {
	a, b := memPair(64 << 10)
	tr.Accept(b, class)
	t.Cleanup(func() { _ = a.Close() })
	return rawPeer{a, t}
}

// known connects to tr and shakes hands.
func known(t *testing.T, tr *transport.Transport, class transport.Class) rawPeer {
	p := strange(t, tr, class)
	_, err := transport.Shake(p, hello{name: "raw"}, true, time.Second)
	require.NoError(t, err)
	return p
}

func (p rawPeer) send(b []byte) {
	_, err := p.Write(b)
	require.NoError(p.t, err)
}

// frame adds the length to an array of the given elements, which are msgpack already.
func rawFrame(elements int, body ...[]byte) []byte {
	b := wire.AppendArrayLen([]byte{0, 0, 0, 0}, elements)
	for _, e := range body {
		b = append(b, e...)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func num(v uint64) []byte { return wire.AppendUint(nil, v) }

// rawCall is a call of the given number, with further elements behind the known ones.
func rawCall(number uint64, payload []byte, more ...[]byte) []byte {
	b := append(num(4), num(number)...)
	b = append(b, 0, 0)                   // flags, remaining
	b = append(b, 0xa0, 0xa0, 0xa0, 0xa0) // id, kind, method, key
	b = append(b, 0x90, 0xc4, 0)          // chain, trace
	b = wire.AppendBytes(b, payload)
	return rawFrame(11+len(more), append([][]byte{b}, more...)...)
}

// extension returns one that no release knows.
func extension(critical bool) []byte {
	b := wire.AppendBool(wire.AppendArrayLen(nil, 3), critical)
	return wire.AppendString(wire.AppendUint(b, 99), "value")
}

// read returns the kind and number of the next frame that is no ping, and a
// reader behind them; ok is false when the connection has ended.
func (p rawPeer) read() (kind, number uint64, r wire.Reader, ok bool) {
	for {
		var head [4]byte
		if _, err := io.ReadFull(p, head[:]); err != nil {
			return 0, 0, r, false
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(p, body); err != nil {
			return 0, 0, r, false
		}
		r = wire.NewReader(body)
		r.ArrayLen()
		if kind, number = r.Uint(), r.Uint(); kind != 10 {
			return kind, number, r, true
		}
	}
}

// requireEnded fails the test unless the connection ends without another frame.
func (p rawPeer) requireEnded() {
	p.t.Helper()
	kind, _, _, ok := p.read()
	require.False(p.t, ok, "a frame of kind %d came", kind)
}

// dialedBy answers tr's dial of "raw" by hand while do runs on its own goroutine.
func dialedBy(t *testing.T, n *network, do func()) rawPeer {
	conns := make(chan *memConn, 1)
	n.mu.Lock()
	n.raw = func(b *memConn) { conns <- b }
	n.mu.Unlock()
	go do()
	b := <-conns
	t.Cleanup(func() { _ = b.Close() })
	_, err := transport.Shake(b, hello{name: "raw"}, false, time.Second)
	require.NoError(t, err)
	return rawPeer{b, t}
}
