package node

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// strangers counts the accepted connections whose peer has not proved yet that
// it may be one. A newcomer always gets in. One address has a few places: beyond
// them its own oldest connection goes. The addresses of members have theirs for
// themselves; all others share the rest: when that is taken, the oldest connection
// of the fullest network goes, within it of the smaller network, and of the
// address. So who comes from elsewhere than a crowd does not notice it. Safe for
// concurrent use.
type strangers struct {
	max     int // places that all share
	perAddr int // places of one address

	mu     sync.Mutex // guards what follows
	closed bool
	queue  []*stranger             // those in places that all share, oldest first
	crowds map[netip.Prefix]*crowd // that they come from
	houses map[netip.Prefix]*house // addresses that somebody is at, and those of members
	proved []netip.Prefix          // addresses at which somebody has proved to be a member, the last one last
}

// A crowd is the strangers of one network, in places that all share.
type crowd struct {
	network netip.Prefix
	count   int
}

// A house is one address: an IPv4 address, or an IPv6 /64. It is a member's for as
// long as one is seen there, or it is among those proved.
type house struct {
	addr         netip.Prefix
	seen, proved bool
	inside       []*stranger // oldest first
}

func (h *house) ofMember() bool { return h.seen || h.proved }

// A stranger is one such connection.
type stranger struct {
	conn   net.Conn
	ip     netip.Addr
	at     *house
	queued bool // guarded by strangers.mu: it has a place that all share
	known  bool // it came from a member's address that was not full; set once
	crowds [networks]*crowd
	gone   chan struct{} // closed when it had to go
}

// networks is how many networks, one in the other, an address is in.
const networks = 3

// networkBits are their lengths for IPv4 and IPv6, the largest network first.
var networkBits = [2][networks]int{{16, 24, 32}, {32, 48, 64}}

// maxProved is how many addresses are remembered at which a member proved
// itself that does not advertise them: it may have several, or be behind a NAT.
const maxProved = 256

func newStrangers(limit, perAddr int) *strangers {
	return &strangers{
		max: limit, perAddr: perAddr, crowds: map[netip.Prefix]*crowd{}, houses: map[netip.Prefix]*house{},
	}
}

// admit counts conn. It returns nil if no stranger is admitted any more: the
// caller closes conn. out is who had to go for it, or nil; its connection is
// closed.
func (s *strangers) admit(conn net.Conn) (st, out *stranger) {
	ip := ipOf(conn.RemoteAddr())
	st = &stranger{conn: conn, ip: ip, gone: make(chan struct{})}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, nil
	}
	h := s.houseLocked(networkOf(ip, networks-1))
	st.at, st.known = h, h.ofMember() && len(h.inside) < s.perAddr
	if len(h.inside) >= s.perAddr {
		out = h.inside[0]
	}
	h.inside = append(h.inside, st)
	if !h.ofMember() {
		s.queueLocked(st)
		if out == nil {
			out = s.fullestLocked()
		}
	}
	if out != nil {
		s.removeLocked(out)
	}
	s.mu.Unlock()
	if out != nil {
		close(out.gone)
		_ = out.conn.Close() // its goroutine's read fails and ends it
	}
	return st, out
}

func (s *strangers) queueLocked(st *stranger) {
	st.queued = true
	s.queue = append(s.queue, st)
	for i := range st.crowds {
		p := networkOf(st.ip, i)
		c := s.crowds[p]
		if c == nil {
			c = &crowd{network: p}
			s.crowds[p] = c
		}
		c.count++
		st.crowds[i] = c
	}
}

// unqueueLocked takes st off the places that all share, if it has one.
func (s *strangers) unqueueLocked(st *stranger) {
	if !st.queued {
		return
	}
	st.queued = false
	i := slices.Index(s.queue, st)
	s.queue = slices.Delete(s.queue, i, i+1)
	for _, c := range st.crowds {
		if c.count--; c.count == 0 {
			delete(s.crowds, c.network)
		}
	}
}

// fullestLocked is the oldest stranger of the fullest network, if there is one
// too many.
func (s *strangers) fullestLocked() (out *stranger) {
	if len(s.queue) <= s.max {
		return nil
	}
	for _, st := range s.queue {
		if out == nil || st.crowdedMore(out) {
			out = st
		}
	}
	return out
}

// crowdedMore reports whether st comes from a larger crowd than other.
func (st *stranger) crowdedMore(other *stranger) bool {
	for i, c := range st.crowds {
		count, others := 0, 0 // at a member's address there is no crowd
		if st.queued {
			count = c.count
		}
		if other.queued {
			others = other.crowds[i].count
		}
		if count != others {
			return count > others
		}
	}
	return false
}

// leave ends the counting of st: it is a peer now, or closed. Idempotent.
func (s *strangers) leave(st *stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLocked(st)
}

func (s *strangers) removeLocked(st *stranger) {
	i := slices.Index(st.at.inside, st)
	if i < 0 {
		return
	}
	st.at.inside = slices.Delete(st.at.inside, i, i+1)
	s.unqueueLocked(st)
	s.tidyLocked(st.at)
}

// hadToGo reports whether st had to go for another, or as the node closes.
func (st *stranger) hadToGo() bool {
	select {
	case <-st.gone:
		return true
	default:
		return false
	}
}

// leastCrowded is the index of the waiter of the smallest crowd, of several the
// last one.
func (s *strangers) leastCrowded(waiting []*waiter) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	least := 0
	for i, w := range waiting {
		if !w.stranger.crowdedMore(waiting[least].stranger) {
			least = i
		}
	}
	return least
}

// expect gives the addresses of the present members, and no others but those
// proved, places of their own.
func (s *strangers) expect(addrs []netip.Addr) {
	present := make(map[netip.Prefix]bool, len(addrs))
	for _, ip := range addrs {
		present[networkOf(ip, networks-1)] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range present {
		s.houseLocked(p)
	}
	for p, h := range s.houses {
		h.seen = present[p]
		s.settleLocked(h)
	}
}

// prove notes that st's peer has proved that it is a member.
func (s *strangers) prove(st *stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	addr := networkOf(st.ip, networks-1)
	if i := slices.Index(s.proved, addr); i >= 0 {
		s.proved = append(slices.Delete(s.proved, i, i+1), addr)
		return
	}
	h := s.houseLocked(addr)
	h.proved = true
	s.settleLocked(h)
	s.proved = append(s.proved, addr)
	if len(s.proved) > maxProved {
		oldest := s.houses[s.proved[0]]
		s.proved = slices.Delete(s.proved, 0, 1)
		oldest.proved = false
		s.settleLocked(oldest)
	}
}

func (s *strangers) houseLocked(p netip.Prefix) *house {
	h := s.houses[p]
	if h == nil {
		h = &house{addr: p}
		s.houses[p] = h
	}
	return h
}

// settleLocked has a house's strangers in the places that fit what it is now.
func (s *strangers) settleLocked(h *house) {
	for _, st := range h.inside {
		switch {
		case h.ofMember():
			s.unqueueLocked(st)
		case !st.queued:
			s.queueLocked(st)
		}
	}
	s.tidyLocked(h)
}

// tidyLocked forgets a house that is nobody's and empty.
func (s *strangers) tidyLocked(h *house) {
	if !h.ofMember() && len(h.inside) == 0 {
		delete(s.houses, h.addr)
	}
}

// close puts all of them out and admits nobody any more.
func (s *strangers) close() {
	s.mu.Lock()
	s.closed = true
	var inside []*stranger
	for _, h := range s.houses {
		inside = append(inside, h.inside...)
	}
	for _, st := range inside {
		s.removeLocked(st)
	}
	s.mu.Unlock()
	for _, st := range inside {
		close(st.gone)
		_ = st.conn.Close()
	}
}

// ipOf is the zero Addr for what is no TCP address.
func ipOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// networkOf is the i-th network that ip is in, the largest first; the last one is
// what one stranger can easily have all of.
func networkOf(ip netip.Addr, i int) netip.Prefix {
	bits := networkBits[0][i]
	if ip.Is6() {
		bits = networkBits[1][i]
	}
	p, _ := ip.Prefix(bits) // the zero Prefix of the zero Addr
	return p
}
