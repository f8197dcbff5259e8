package simnet

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Config configures a Network. Its zero value works.
type Config struct {
	// Seed is the seed for latency, loss and jitter. Default 0.
	Seed uint64
	// Link describes the links between all hosts, until SetLink changes one.
	Link Link
	// Buffer is how many bytes one direction of a stream holds before a Write
	// waits for the reader. Default 256 KiB.
	Buffer int
	// Backlog is how many connections a listener keeps for Accept. A dial to a
	// listener with a full backlog waits. Default 128.
	Backlog int
}

// A Link describes one direction between two hosts. A host reaches itself at
// once and without loss.
type Link struct {
	// Latency is the time that data takes, at most a day. Default 500 µs. A
	// negative value means none.
	Latency time.Duration
	// Jitter bounds a random time that is added to Latency for each packet and each
	// write, at most a day. Because of it packets overtake one another. Streams keep
	// their order. Default none.
	Jitter time.Duration
	// Loss is the share of packets that vanish, from 0 to 1. On a stream the same
	// share of writes arrives 200 ms later, as if sent again. Default none.
	Loss float64
}

const (
	defaultLatency = 500 * time.Microsecond
	defaultBuffer  = 256 << 10
	defaultBacklog = 128

	maxDelay = 24 * time.Hour // to simulate more, cut the link

	retransmit = 200 * time.Millisecond // delay of a lost part of a stream
	redial     = time.Second            // time between two attempts to connect while the backlog is full
)

// withDefaults returns l with its defaults, or an error if a field is invalid.
// name is the name of l in errors.
func (l Link) withDefaults(name string) (Link, error) {
	switch {
	case l.Latency > maxDelay:
		return l, fmt.Errorf("%s.Latency is %v, at most %v is possible", name, l.Latency, maxDelay)
	case l.Jitter < 0:
		return l, fmt.Errorf("%s.Jitter is negative (%v)", name, l.Jitter)
	case l.Jitter > maxDelay:
		return l, fmt.Errorf("%s.Jitter is %v, at most %v is possible", name, l.Jitter, maxDelay)
	case l.Loss < 0 || l.Loss > 1 || math.IsNaN(l.Loss):
		return l, fmt.Errorf("%s.Loss must be from 0 to 1 (%v)", name, l.Loss)
	case l.Latency == 0:
		l.Latency = defaultLatency
	}
	l.Latency = max(0, l.Latency)
	return l, nil
}

func (c Config) withDefaults() (_ Config, err error) {
	if c.Link, err = c.Link.withDefaults("Config.Link"); err != nil {
		return c, err
	}
	for _, f := range []struct {
		name     string
		value    *int
		standard int
	}{{"Config.Buffer", &c.Buffer, defaultBuffer}, {"Config.Backlog", &c.Backlog, defaultBacklog}} {
		if *f.value < 0 {
			return c, fmt.Errorf("%s is negative (%d)", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.standard
		}
	}
	return c, nil
}

// A Network connects hosts. All its methods, and those of all that belongs to
// it, are safe for concurrent use. It need not be closed.
type Network struct {
	cfg Config

	// mu guards what follows, and the state of all hosts, streams and sockets. It is
	// never held during a wait.
	mu      sync.Mutex
	rand    *rand.Rand
	hosts   map[netip.Addr]*Host
	links   map[route]*link
	streams []*stream  // each knows its index
	flight  packetHeap // packets on their way
	sent    uint64     // packets sent so far, which orders those that arrive together
	changed signal     // a link or a host has changed: dialers check again
}

// A route is one direction between two hosts.
type route struct{ from, to *Host }

// A link is the state of a route that was used.
type link struct {
	Link
	cut     bool
	resetIn int // bytes until a stream is reset (see ResetAfter), or negative
}

// New returns a network without hosts, or an error that names the invalid field
// of cfg.
func New(cfg Config) (*Network, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("simnet: %w", err)
	}
	return &Network{
		cfg:   cfg,
		rand:  rand.New(rand.NewPCG(cfg.Seed, 0)),
		hosts: map[netip.Addr]*Host{},
		links: map[route]*link{},
	}, nil
}

// Host returns the host with an address. It creates the host at the first call.
func (n *Network) Host(addr netip.Addr) *Host {
	addr = addr.Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[addr]
	if h == nil {
		h = newHost(n, addr)
		n.hosts[addr] = h
		n.changed.fireLocked()
	}
	return h
}

func (n *Network) linkLocked(from, to *Host) *link {
	r := route{from, to}
	l := n.links[r]
	if l == nil {
		l = &link{Link: n.cfg.Link, resetIn: -1}
		if from == to {
			l.Link = Link{}
		}
		n.links[r] = l
	}
	return l
}

// delayLocked draws the time that something takes on its way, without regard to
// loss.
func (n *Network) delayLocked(from, to *Host) time.Duration {
	l := n.linkLocked(from, to)
	d := l.Latency
	if l.Jitter > 0 {
		d += time.Duration(n.rand.Int64N(int64(l.Jitter) + 1))
	}
	return d
}

// lostLocked draws whether something is lost on its way.
func (n *Network) lostLocked(from, to *Host) bool {
	loss := n.linkLocked(from, to).Loss
	return loss > 0 && n.rand.Float64() < loss
}

// connectedLocked reports whether the cable from one host to another is whole.
func (n *Network) connectedLocked(from, to *Host) bool {
	return from.state != hostOff && to.state != hostOff && (from == to || !n.linkLocked(from, to).cut)
}

// openLocked reports whether data that a program on one host sends now reaches
// the other host.
func (n *Network) openLocked(from, to *Host) bool {
	return !from.stalled && n.connectedLocked(from, to)
}

// A signal wakes all goroutines that wait for a change. The zero value is
// ready. The network's mutex guards it.
type signal struct{ ch chan struct{} }

func (s *signal) fireLocked() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// waitLocked unlocks the network, waits for s or until a time, and locks the
// network again. A zero time means no limit. A caller checks its condition
// again: a signal says only that something has changed.
func (n *Network) waitLocked(s *signal, until time.Time) {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	ch := s.ch
	n.mu.Unlock()
	defer n.mu.Lock()
	if until.IsZero() {
		<-ch
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ch:
	case <-timer.C:
	}
}

// over reports whether a deadline has passed. The zero time never passes.
func over(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

// A packetHeap holds the packets on their way, the next to arrive first.
type packetHeap []flyingPacket

type flyingPacket struct {
	at     time.Time
	number uint64
	packet
	sender, target *Host
	port           uint16
}

func (h packetHeap) Len() int      { return len(h) }
func (h packetHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h packetHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].number < h[j].number
}
func (h *packetHeap) Push(x any) { *h = append(*h, x.(flyingPacket)) }
func (h *packetHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = flyingPacket{}
	*h = old[:len(old)-1]
	return p
}

// flyLocked sends a packet.
func (n *Network) flyLocked(p flyingPacket) {
	d := n.delayLocked(p.sender, p.target)
	if n.lostLocked(p.sender, p.target) || !n.openLocked(p.sender, p.target) {
		return
	}
	n.sent++
	p.at, p.number = time.Now().Add(d), n.sent
	heap.Push(&n.flight, p)
	if d == 0 {
		n.landLocked()
	} else {
		time.AfterFunc(d, n.land)
	}
}

// land delivers the packets that are due, in order. Each packet has a timer,
// but the heap decides the order: timers of one instant fire in any order.
func (n *Network) land() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.landLocked()
}

func (n *Network) landLocked() {
	for len(n.flight) > 0 && !n.flight[0].at.After(time.Now()) {
		p := heap.Pop(&n.flight).(flyingPacket)
		if n.connectedLocked(p.sender, p.target) {
			p.target.takePacketLocked(p.port, p.packet)
		}
	}
}
