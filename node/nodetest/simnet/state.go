package simnet

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

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

// A Host is a machine with one IP address, on which one program runs.
type Host struct {
	net  *Network
	addr netip.Addr

	// guarded by net.mu
	state     hostState
	stalled   bool
	listeners map[uint16]*listener
	packets   map[uint16]*packetConn
	port      uint16 // the port that was chosen last
}

type hostState uint8

const (
	hostUp   hostState = iota
	hostDown           // the program is dead: the system refuses connections
	hostOff            // no power: nothing answers
)

// A listener accepts connections at one port of a host.
type listener struct {
	host    *Host
	network string
	addr    *net.TCPAddr

	// guarded by host.net.mu
	queue   []*conn
	closed  bool
	until   time.Time
	changed signal
}

// A stream is a connection with both its ends.
type stream struct {
	net              *Network
	index            int // in net.streams
	dialed, accepted *conn
}

// A conn is one end of a stream. It is a net.Conn with the CloseRead and
// CloseWrite of *net.TCPConn.
type conn struct {
	stream        *stream
	host          *Host
	network       string
	local, remote *net.TCPAddr
	in, out       *half

	// guarded by stream.net.mu
	closed     bool // by Close, or with its host
	failed     bool // a reset has arrived
	readClosed bool
	writing    bool // a Write is in progress; others wait, so that their bytes do not mix
	readBy     time.Time
	writeBy    time.Time
}

// A half is one direction of a stream. The network's mutex guards it.
type half struct {
	net      *Network
	from, to *conn

	queue    []segment   // written but not arrived, in order
	lastAt   time.Time   // when the last of queue arrives
	timer    *time.Timer // calls move when the first of queue arrives
	arrived  []byte      // arrived but not read
	held     int         // bytes that fill the buffer: on their way, unread, or unconfirmed
	unproved int         // bytes that were read while a cut keeps the confirmation back
	finished bool        // the writer has ended its direction
	ended    bool        // the end has arrived
	changed  signal      // wakes the reader and the writer
}

// A segment is a part of a stream on its way: bytes, the end, or a reset.
type segment struct {
	kind segmentKind
	at   time.Time
	data []byte
}

type segmentKind uint8

const (
	segData segmentKind = iota
	segEnd
	segReset
)

// A packetConn is a socket for packets, like *net.UDPConn.
type packetConn struct {
	host    *Host
	network string
	addr    *net.UDPAddr

	// guarded by host.net.mu
	queue   []packet
	bytes   int // in queue
	max     int // bound of bytes
	closed  bool
	readBy  time.Time
	writeBy time.Time
	changed signal
}

// A packet is a packet that has arrived or is on its way.
type packet struct {
	data []byte
	from netip.AddrPort
}

// A signal wakes all goroutines that wait for a change. The zero value is
// ready. The network's mutex guards it.
type signal struct{ ch chan struct{} }

// A packetHeap holds the packets on their way, the next to arrive first.
type packetHeap []flyingPacket

type flyingPacket struct {
	at     time.Time
	number uint64
	packet
	sender, target *Host
	port           uint16
}

// A route is one direction between two hosts.
type route struct{ from, to *Host }

// A link is the state of a route that was used.
type link struct {
	Link
	cut     bool
	resetIn int // bytes until a stream is reset (see ResetAfter), or negative
}

// firstPort is the first port that is chosen for port 0 and for dials.
const firstPort = 49152

func newHost(n *Network, addr netip.Addr) *Host {
	return &Host{
		net: n, addr: addr, port: firstPort - 1,
		listeners: map[uint16]*listener{}, packets: map[uint16]*packetConn{},
	}
}

func (h *Host) freePortLocked(taken func(uint16) bool) (uint16, error) {
	for range 1<<16 - firstPort {
		if h.port++; h.port < firstPort {
			h.port = firstPort
		}
		if !taken(h.port) {
			return h.port, nil
		}
	}
	return 0, syscallError("bind", syscall.EADDRINUSE)
}
