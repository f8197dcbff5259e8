package standby

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/nodetest/simnet"
	"github.com/sessionproc/sessionproc/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A pair is a speaker and a listener with a table, on a simulated network.
type pair struct {
	net      *simnet.Network
	a, b     *simnet.Host
	from, to *transport.Transport
	port     net.Listener
	speaker  *Speaker
	listener *Listener
	table    *Table

	tuneSpeaker  func(*SpeakerConfig)
	tuneListener func(*ListenerConfig)

	mu      sync.Mutex
	heard   []string // sessions, in the order in which they were decided about
	answers []answer
	broken  int
	room    int
	dials   []time.Time
}

type answer struct {
	session string
	say     ownership.Say
	verdict ownership.Verdict
	stamp   uint64
}

const (
	speaking, listening = "a/1", "b/2"
	listeningAddr       = "10.0.0.2:7946"
)

// hello is a Handshake that sends a name and accepts any.
type hello string

func (h hello) Hello(net.Conn, bool) ([]byte, error)                  { return []byte(h), nil }
func (h hello) Check(_ net.Conn, _ bool, peer []byte) (string, error) { return string(peer), nil }

// noCalls is a transport.Handler that has streams only.
type noCalls func(*transport.Stream)

func (noCalls) Serve(*transport.Call)              {}
func (noCalls) Cancel(*transport.Call)             {}
func (noCalls) Why(*transport.Call) string         { return "" }
func (f noCalls) ServeStream(st *transport.Stream) { f(st) }

func newPair(t require.TestingT, limit int64) *pair {
	p := &pair{table: newTable(limit)}
	var err error
	p.net, err = simnet.New(simnet.Config{Seed: 1})
	require.NoError(t, err)
	p.a, p.b = p.net.Host(netip.MustParseAddr("10.0.0.1")), p.net.Host(netip.MustParseAddr("10.0.0.2"))
	return p
}

// start starts both sides. The listener's is reachable if open is set.
func (p *pair) start(t require.TestingT, open bool) {
	lc := ListenerConfig{Self: listening, Partitions: 4, MaxRecord: 8 << 20, Decide: p.decide}
	if p.tuneListener != nil {
		p.tuneListener(&lc)
	}
	p.listener = NewListener(lc)
	p.from = transporter(t, speaking, p.a, nil)
	p.to = transporter(t, listening, p.b, func(st *transport.Stream) {
		st.Close(p.listener.Serve(context.Background(), st).Error())
	})
	if open {
		p.open(t)
	}
	sc := SpeakerConfig{Self: speaking, Log: slog.New(slog.DiscardHandler), Open: p.dial, Answered: p.answered,
		Broken: func(string) { p.mu.Lock(); p.broken++; p.mu.Unlock() },
		Room:   func(string) { p.mu.Lock(); p.room++; p.mu.Unlock() }}
	if p.tuneSpeaker != nil {
		p.tuneSpeaker(&sc)
	}
	var err error
	p.speaker, err = NewSpeaker(context.Background(), sc)
	require.NoError(t, err)
}

func transporter(t require.TestingT, name string, on *simnet.Host, serve noCalls) *transport.Transport {
	tr, err := transport.New(transport.Config{Handshake: hello(name), Handler: serve,
		Dial: func(ctx context.Context, addr string, _ transport.Class) (net.Conn, error) {
			return on.Dial(ctx, "tcp", addr)
		}})
	require.NoError(t, err)
	return tr
}

func (p *pair) open(t require.TestingT) {
	l, err := p.b.Listen(context.Background(), "tcp", listeningAddr)
	require.NoError(t, err)
	p.port = l
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.to.Accept(conn, transport.Standby)
		}
	}()
}

func (p *pair) stop() {
	p.speaker.End()
	_ = p.from.Close()
	_ = p.to.Close()
	if p.port != nil {
		_ = p.port.Close()
	}
}

func (p *pair) dial(ctx context.Context, _ string, header []byte) (*transport.Stream, error) {
	p.mu.Lock()
	p.dials = append(p.dials, time.Now())
	p.mu.Unlock()
	return p.from.Peer(listeningAddr).OpenStandby(ctx, header)
}

func (p *pair) answered(list []Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range list {
		p.answers = append(p.answers, answer{a.Session, a.Told, a.Verdict, a.Stamp})
	}
}

// decide does what a node does, but for the machine: whoever speaks may write.
func (p *pair) decide(h *Heard) (ownership.Verdict, uint64) {
	p.mu.Lock()
	p.heard = append(p.heard, h.Session)
	p.mu.Unlock()
	return store(p.table, h), 0
}

func store(table *Table, h *Heard) ownership.Verdict {
	if h.What != ownership.ToKeep {
		if !table.Covers(h.Partition, h.Session, h.Record.Version) {
			return ownership.Fenced
		}
		table.Take(h.Partition, h.Session)
		return ownership.Cleared
	}
	switch covers, room := table.Judge(h.Partition, h.Session, h.Record); {
	case !room:
		return ownership.NoRoom
	case !covers:
		return ownership.Fenced
	}
	table.Put(h.Partition, h.Session, h.Record, h.Hold)
	return ownership.Taken
}

func (p *pair) verdicts() map[string]ownership.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]ownership.Verdict{}
	for _, a := range p.answers {
		all[a.session] = a.verdict
	}
	return all
}

func keep(seq int) ownership.Say {
	say := ownership.Say{What: ownership.ToKeep, To: listening, Stamp: ownership.Stamp{Claim: 3, Promise: 2}, Seq: uint64(seq)}
	say.Hold = []string{listening, "c/1"}
	return say
}

func discard(seq int) ownership.Say {
	return ownership.Say{What: ownership.ToDiscard, To: listening, Stamp: ownership.Stamp{Claim: 3, Promise: 2}, Seq: uint64(seq)}
}

func record(v, size int) Record {
	return Record{Kind: "cart", Version: version(v), Body: bytes.Repeat([]byte{byte(v)}, size)}
}

// raw opens a stream to the listener as speaking does, for chunks made by hand.
func (p *pair) raw(t *testing.T) *transport.Stream {
	st, err := p.from.Peer(listeningAddr).OpenStandby(t.Context(), appendHeader(nil, speaking, listening))
	require.NoError(t, err)
	return st
}

// receive returns the next chunk. It does not wait for ever.
func receive(t *testing.T, st *transport.Stream) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return st.Recv(ctx)
}

const noLimit = math.MaxInt64
