package transport

import (
	"net"
	"net/netip"
	"sync"
)

// A Gate bounds the connections whose peer has not authenticated yet. It is
// safe for concurrent use.
type Gate struct {
	total, perAddr int

	mu     sync.Mutex // guards the rest
	inside int
	byAddr map[netip.Addr]int
}

// NewGate returns a Gate that admits total connections, and perAddr of each IP
// address.
func NewGate(total, perAddr int) *Gate {
	return &Gate{total: total, perAddr: perAddr, byAddr: map[netip.Addr]int{}}
}

// Enter counts a connection from addr. It reports false, without counting, if a
// limit is reached. After true, the caller must call Leave once with the same
// address.
func (g *Gate) Enter(addr net.Addr) bool {
	ip := addrIP(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside >= g.total || g.byAddr[ip] >= g.perAddr {
		return false
	}
	g.inside++
	g.byAddr[ip]++
	return true
}

// Leave uncounts a connection that Enter has counted.
func (g *Gate) Leave(addr net.Addr) {
	ip := addrIP(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.byAddr[ip]--; g.byAddr[ip] == 0 {
		delete(g.byAddr, ip)
	}
}

// addrIP returns the IP address of a "host:port" address, or the zero Addr.
func addrIP(addr net.Addr) netip.Addr {
	if addr == nil {
		return netip.Addr{}
	}
	if t, ok := addr.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
