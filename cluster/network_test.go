package cluster_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// network carries gossip in memory, for tests in virtual time: every address can
// reach every other until the two are cut.
type network struct {
	mu     sync.Mutex // guards what follows
	nodes  map[string]*endpoint
	groups map[string]int // addresses in different groups are cut from each other
	dials  map[string]int // streams asked for, by the address asked
	sent   int            // bytes on streams, to those who asked for them
	errs   error          // what a packet to nowhere fails with; nil: lost in silence
}

const latency = 500 * time.Microsecond

func newNetwork() *network {
	return &network{nodes: map[string]*endpoint{}, groups: map[string]int{}, dials: map[string]int{}}
}

// listen takes an address over, from whoever had it before.
func (n *network) listen(addr string) *endpoint {
	e := &endpoint{
		network: n, addr: netip.MustParseAddrPort(addr),
		packets: make(chan *memberlist.Packet, 4096), streams: make(chan net.Conn, 64),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[addr] = e
	return e
}

// cut puts addresses into a group of their own; 0 is everybody else's.
func (n *network) cut(group int, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range addrs {
		n.groups[a] = group
	}
}

func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.groups)
}

func (n *network) dialled(addr string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[addr]
}

// reach is the node at an address. cut: nothing comes back from there.
func (n *network) reach(from, to string) (e *endpoint, cut bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nodes[to], n.groups[from] != n.groups[to], n.errs
}

// endpoint is one node's memberlist.NodeAwareTransport.
type endpoint struct {
	network *network
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
}

var _ memberlist.NodeAwareTransport = (*endpoint)(nil)

func (e *endpoint) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return e.addr.Addr().AsSlice(), int(e.addr.Port()), nil
}

func (e *endpoint) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, cut, err := e.network.reach(e.addr.String(), a.Addr)
	if to == nil && err != nil {
		return time.Time{}, err
	}
	if to != nil && !cut {
		p := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(e.addr)}
		time.AfterFunc(latency, func() {
			p.Timestamp = time.Now()
			select {
			case to.packets <- p:
			default:
			}
		})
	}
	return time.Now(), nil
}

func (e *endpoint) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	e.network.mu.Lock()
	e.network.dials[a.Addr]++
	e.network.mu.Unlock()
	time.Sleep(latency)
	to, cut, _ := e.network.reach(e.addr.String(), a.Addr)
	switch {
	case cut:
		time.Sleep(timeout)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("timed out")}
	case to == nil:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: connection refused", a.Addr)}
	}
	ours, theirs := net.Pipe()
	to.streams <- theirs
	return counted{ours, e.network}, nil
}

// counted counts what is read.
type counted struct {
	net.Conn
	network *network
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.network.mu.Lock()
	c.network.sent += n
	c.network.mu.Unlock()
	return n, err
}

func (e *endpoint) Shutdown() error {
	e.network.mu.Lock()
	defer e.network.mu.Unlock()
	if e.network.nodes[e.addr.String()] == e {
		delete(e.network.nodes, e.addr.String())
	}
	return nil
}

func (e *endpoint) WriteTo(b []byte, addr string) (time.Time, error) {
	return e.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (e *endpoint) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return e.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (e *endpoint) PacketCh() <-chan *memberlist.Packet { return e.packets }
func (e *endpoint) StreamCh() <-chan net.Conn           { return e.streams }
