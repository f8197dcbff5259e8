package standby

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A mux is the least that several callers of one connection can do with: numbered frames, and
// one write for those that come during another.
type mux struct {
	conn net.Conn

	mu         sync.Mutex // guards what follows; not held during a write
	buf, spare []byte
	writing    bool
}

func (m *mux) send(n uint64, b []byte) {
	m.queue(n, b)
	m.flush()
}

func (m *mux) queue(n uint64, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.buf = binary.BigEndian.AppendUint32(m.buf, uint32(8+len(b)))
	m.buf = binary.BigEndian.AppendUint64(m.buf, n)
	m.buf = append(m.buf, b...)
}

func (m *mux) flush() {
	m.mu.Lock()
	if m.writing || len(m.buf) == 0 {
		m.mu.Unlock()
		return
	}
	m.writing = true
	m.mu.Unlock()
	runtime.Gosched()
	m.mu.Lock()
	for len(m.buf) > 0 {
		b := m.buf
		m.buf = m.spare[:0]
		m.mu.Unlock()
		_, _ = m.conn.Write(b)
		m.mu.Lock()
		m.spare = b
	}
	m.writing = false
	m.mu.Unlock()
}

// receive calls f with each frame until the connection ends. last says that the next frame has
// not been read from the socket.
func (m *mux) receive(f func(n uint64, b []byte, last bool)) {
	r := bufio.NewReaderSize(m.conn, 64<<10)
	for {
		var head [12]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint32(head[:])-8)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		f(binary.BigEndian.Uint64(head[4:]), b, r.Buffered() < len(head))
	}
}

// muxes returns two ends of a connection over loopback.
func muxes(b *testing.B) (dialled, accepted *mux) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	d, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	a, err := l.Accept()
	require.NoError(b, err)
	b.Cleanup(func() { _ = d.Close(); _ = a.Close() })
	return &mux{conn: d}, &mux{conn: a}
}

// bareStandby keeps what it is told and acknowledges the last number of each read.
func bareStandby(m *mux) {
	kept := map[uint64][]byte{}
	m.receive(func(n uint64, b []byte, last bool) {
		kept[n%10_000] = b
		if last {
			m.send(n, nil)
		}
	})
}

// bareCalls returns a function that makes a call of one of the callers. The owner answers it
// when the standby, if there is one, has what it was told.
func bareCalls(b *testing.B, callers int, replicated bool, size int) func(caller int) {
	client, server := muxes(b)
	toStandby, standby := muxes(b)
	record, reply := make([]byte, size), make([]byte, callPayload)
	var mu sync.Mutex
	var number, answered uint64
	var waiting []uint64
	go bareStandby(standby)
	go toStandby.receive(func(n uint64, _ []byte, _ bool) {
		mu.Lock()
		done := waiting[:n-answered]
		waiting, answered = waiting[n-answered:], n
		mu.Unlock()
		for _, caller := range done {
			server.queue(caller, reply)
		}
		server.flush()
	})
	sessions := perSession(b, callers, func(session int) {
		if !replicated {
			server.send(uint64(session), reply)
			return
		}
		mu.Lock() // the order of the numbers; it does not span the write
		number++
		waiting = append(waiting, uint64(session))
		toStandby.queue(number, record)
		mu.Unlock()
		toStandby.flush()
	})
	go server.receive(func(n uint64, _ []byte, _ bool) { sessions[n] <- struct{}{} })
	done := make([]chan struct{}, callers)
	for i := range done {
		done[i] = make(chan struct{}, 1)
	}
	go client.receive(func(n uint64, _ []byte, _ bool) { done[n] <- struct{}{} })
	payload := make([]byte, callPayload)
	return func(caller int) {
		client.send(uint64(caller), payload)
		<-done[caller]
	}
}
