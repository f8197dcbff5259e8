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

// Config sets up a Network. Its zero value works.
type Config struct {
	// Seed is what latency, loss and jitter are drawn from. Default 0.
	Seed uint64
	// Link is how every two hosts are connected until SetLink says otherwise.
	Link Link
	// Buffer is how many bytes one direction of a stream takes in before a
	// write waits for the reader. Default 256 KiB.
	Buffer int
	// Backlog is how many connections a listener keeps for Accept; to a full
	// one a dial waits. Default 128.
	Backlog int
}

// Link is how one direction between two hosts behaves. A host reaches itself
// at once and without loss.
type Link struct {
	// Latency is the time that data takes, at most a day. Default 500 µs;
	// negative: none.
	Latency time.Duration
	// Jitter is added to it, evenly drawn from 0 to this, at most a day, for each
	// packet and each write. Packets overtake one another by it, streams keep their order.
	// Default none.
	Jitter time.Duration
	// Loss is the share of packets that vanish, 0 to 1. On a stream the same
	// share of writes comes 200 ms later, as if sent again. Default none.
	Loss float64
}

const (
	defaultLatency = 500 * time.Microsecond
	defaultBuffer  = 256 << 10
	defaultBacklog = 128

	maxDelay = 24 * time.Hour // beyond it, cut the link

	retransmit = 200 * time.Millisecond // of a lost part of a stream
	redial     = time.Second            // of a request for a connection that found the backlog full
)

// withDefaults refuses nonsense; name is what errors call l.
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

// Network connects hosts. Its methods and those of all that belongs to it are
// safe for concurrent use. It needs no closing.
type Network struct {
	cfg Config

	mu      sync.Mutex // guards what follows, and the state of all hosts, streams and sockets; never held over a wait
	rand    *rand.Rand
	hosts   map[netip.Addr]*Host
	links   map[route]*link
	streams []*stream // each knows its index
	flight  packetHeap
	sent    uint64 // packets, for their order
	changed signal // a link or host is another than it was: dialers look again
}

// route is one direction between two hosts.
type route struct{ from, to *Host }

// link is the state of a route that was touched.
type link struct {
	Link
	cut     bool
	resetIn int // bytes of streams until one of them is reset; negative: none is
}

// New makes a network without hosts, or an error that names the field of cfg
// that makes no sense.
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

// Host returns the host with an address; asked for the first time, it makes it.
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

// delayLocked draws how long something takes on its way, without regard to loss.
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

// connectedLocked reports whether the cable between two hosts is whole.
func (n *Network) connectedLocked(from, to *Host) bool {
	return from.state != hostOff && to.state != hostOff && (from == to || !n.linkLocked(from, to).cut)
}

// openLocked reports whether what a program on one host sends reaches the other now.
func (n *Network) openLocked(from, to *Host) bool {
	return !from.stalled && n.connectedLocked(from, to)
}

// signal wakes all who wait for a change. The zero value is ready; the
// network's mutex guards it.
type signal struct{ ch chan struct{} }

func (s *signal) fireLocked() {
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// waitLocked unlocks the network, waits for s or a time, zero for none, and locks it again.
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

// over reports whether a deadline, zero for none, has passed.
func over(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

// packetHeap holds the packets under way, the next to arrive first.
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

// flyLocked sends a packet on its way.
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

// land delivers the packets whose time has come, in order.
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
