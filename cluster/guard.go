package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// A guard stands between memberlist and the transport and makes up for four
// faults of memberlist:
//
// - It never detects a crash if sending a packet fails with anything but a bare *net.OpError.
// - It leaves its streams open when it is shut down.
// - It allocates memory by what other nodes claim (see vet.go).
// - It encrypts with one key for all members (see reseal.go).
//
// Through it this node also sends messages to its own memberlist (see own.go).
type guard struct {
	memberlist.NodeAwareTransport
	keyring *memberlist.Keyring // nil if gossip is not encrypted
	label   string
	keyFor  func(addr string) []byte // the key for packets to an address; nil for the one in use
	refused func(from net.Addr, why error)
	packets chan *memberlist.Packet // to memberlist
	inbound chan net.Conn           // to memberlist
	places  chan struct{}           // one token for each open stream of another member
	done    chan struct{}
	relays  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	closed  bool
	streams map[*stream]struct{}
}

// maxInbound bounds the open streams of other members. A stream takes
// milliseconds, and further ones wait.
const maxInbound = 16

func newGuard(t memberlist.NodeAwareTransport) *guard {
	return &guard{
		NodeAwareTransport: t, streams: map[*stream]struct{}{}, refused: func(net.Addr, error) {},
		keyFor:  func(string) []byte { return nil },
		packets: make(chan *memberlist.Packet), inbound: make(chan net.Conn),
		places: make(chan struct{}, maxInbound),
		done:   make(chan struct{}),
	}
}

// begin starts the goroutines that pass packets and streams to memberlist.
// refused is called for each that is not passed on.
func (g *guard) begin(
	keyring *memberlist.Keyring, label string, keyFor func(addr string) []byte, refused func(from net.Addr, why error),
) {
	g.keyring, g.label, g.keyFor, g.refused = keyring, label, keyFor, refused
	g.relays.Go(g.passPackets)
	g.relays.Go(g.passStreams)
}

// keys returns the keys that messages may be encrypted with.
func (g *guard) keys() [][]byte {
	if g.keyring == nil {
		return nil
	}
	return g.keyring.GetKeys()
}

// PacketCh implements memberlist.Transport.
func (g *guard) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh implements memberlist.Transport.
func (g *guard) StreamCh() <-chan net.Conn { return g.inbound }

// passPackets vets packets and passes them to memberlist.
func (g *guard) passPackets() {
	for {
		select {
		case p := <-g.NodeAwareTransport.PacketCh():
			if err := vetPacket(p.Buf, g.keys()); err != nil {
				g.refused(p.From, err)
				continue
			}
			select {
			case g.packets <- p:
			case <-g.done:
				return
			}
		case <-g.done:
			return
		}
	}
}

// passStreams passes streams to memberlist. Their first Read vets the message.
func (g *guard) passStreams() {
	for {
		select {
		case g.places <- struct{}{}:
		case <-g.done:
			return
		}
		select {
		case conn := <-g.NodeAwareTransport.StreamCh():
			s := &stream{Conn: conn, guard: g, place: true}
			if !g.add(s) {
				_ = conn.Close()
				return
			}
			select {
			case g.inbound <- s:
			case <-g.done:
				_ = s.Close()
				return
			}
		case <-g.done:
			return
		}
	}
}

// WriteTo implements memberlist.Transport.
func (g *guard) WriteTo(b []byte, addr string) (time.Time, error) {
	return g.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (g *guard) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	if g.keyring != nil {
		if key := g.keyFor(addr.Addr); key != nil {
			b = resealPacket(b, g.keys(), key)
		}
	}
	at, err := g.NodeAwareTransport.WriteToAddress(b, addr)
	if err != nil {
		err = &net.OpError{Op: "write", Net: "udp", Err: err}
	}
	return at, err
}

// DialTimeout implements memberlist.Transport.
func (g *guard) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return g.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (g *guard) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if g.isClosed() {
		return nil, net.ErrClosed
	}
	conn, err := g.NodeAwareTransport.DialAddressTimeout(addr, timeout)
	if err != nil {
		return nil, err
	}
	s := &stream{Conn: conn, guard: g}
	if !g.add(s) {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	return s, nil
}

func (g *guard) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// add tracks a stream until it is closed. It reports false after Shutdown.
func (g *guard) add(s *stream) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.streams[s] = struct{}{}
	}
	return !g.closed
}

// remove stops tracking a stream and frees its place.
func (g *guard) remove(s *stream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.streams, s)
	if s.place {
		s.place = false
		<-g.places
	}
}

// Shutdown implements memberlist.Transport. Calls after the first do nothing.
func (g *guard) Shutdown() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	open := g.streams
	g.streams = map[*stream]struct{}{}
	g.mu.Unlock()

	close(g.done)
	for s := range open {
		s.Conn.Close()
	}
	err := g.NodeAwareTransport.Shutdown()
	g.relays.Wait()
	return err
}

// A stream is a connection that the guard tracks until it is closed. memberlist
// reads one message from each.
type stream struct {
	net.Conn
	guard  *guard
	place  bool   // guarded by guard.mu: the stream has a place
	vetted bool   // used by Read only
	rest   []byte // used by Read only: the part of the message that was not read yet
}

// Read returns the message once it has arrived completely and was vetted.
func (s *stream) Read(b []byte) (int, error) {
	if !s.vetted {
		s.vetted = true
		message, err := readMessage(s.Conn, s.guard.keys())
		var net net.Error
		if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &net) {
			s.guard.refused(s.RemoteAddr(), err)
			err = fmt.Errorf("refused: %w", err)
		}
		if err != nil {
			return 0, err
		}
		s.rest = message
	}
	if len(s.rest) > 0 {
		n := copy(b, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	return s.Conn.Read(b)
}

// Write encrypts a message with another key if the other end does not have the
// key in use.
func (s *stream) Write(b []byte) (int, error) {
	keys := s.guard.keys()
	key := streamKey(s.Conn)
	if len(keys) < 2 || key == nil || bytes.Equal(key, keys[0]) {
		return s.Conn.Write(b)
	}
	return s.Conn.Write(resealMessage(b, s.guard.label, keys, key))
}

func (s *stream) Close() error {
	s.guard.remove(s)
	return s.Conn.Close()
}
