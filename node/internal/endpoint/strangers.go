package endpoint

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// strangers counts the accepted connections whose peer has not proved yet that
// it may be one. Each address of a member has places of its own, which nobody
// else can take. All others share the rest: a newcomer always gets in, and when
// all places are taken the network that holds the most of them loses its oldest
// one, within it the smaller network, and the address. So who comes from
// elsewhere than a crowd does not notice it, and who comes from its midst stays
// for as long as the crowd needs to fill all places anew, which is longer than
// an honest handshake. Safe for concurrent use.
type strangers struct {
	max      int // places that all share
	reserved int // places of each address of a member

	mu      sync.Mutex // guards what follows
	closed  bool
	inside  map[*stranger]struct{}
	queue   []*stranger             // those in places that all share, oldest first
	crowds  map[netip.Prefix]*crowd // that they come from
	members map[netip.Prefix]*house // addresses of members
	trusted int                     // how many of those inside have knocked
	proved  []netip.Prefix          // addresses at which somebody has proved to be a member, the last one last
}

// A crowd is the strangers of one network.
type crowd struct {
	network netip.Prefix
	count   int
}

// A house is one address of members. Its places are its own for as long as one
// of them is seen there, or its address is among those proved.
type house struct {
	seen, proved bool
	taken        int
}

// A stranger is one such connection.
type stranger struct {
	conn   net.Conn
	addr   netip.Prefix // one IPv4 address, or one IPv6 /64
	at     *house       // whose place it has; nil: one that all share
	crowds [networks]*crowd
	trusts bool          // it has knocked and needs no place
	gone   chan struct{} // closed when it had to go
}

// networks is how many networks, one in the other, an address is in.
const networks = 3

// networkBits are their lengths for IPv4 and IPv6, the largest network first.
var networkBits = [2][networks]int{{16, 24, 32}, {32, 48, 64}}

// maxProved is how many addresses are remembered at which a member proved
// itself that does not advertise them: it may have several, or be behind a NAT.
const maxProved = 256

func newStrangers(limit, reserved int) *strangers {
	return &strangers{
		max: limit, reserved: reserved, inside: map[*stranger]struct{}{},
		crowds: map[netip.Prefix]*crowd{}, members: map[netip.Prefix]*house{},
	}
}

// admit counts conn. It returns nil if no stranger is admitted any more: the
// caller closes conn. out is who had to go for it, or nil; its connection is
// closed.
func (s *strangers) admit(conn net.Conn) (st, out *stranger) {
	ip := ipOf(conn.RemoteAddr())
	st = &stranger{conn: conn, addr: networkOf(ip, networks-1), gone: make(chan struct{})}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, nil
	}
	s.inside[st] = struct{}{}
	if h := s.members[st.addr]; h != nil && h.taken < s.reserved {
		st.at = h
		h.taken++
	} else {
		s.queueLocked(st, ip)
		out = s.fullestLocked()
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

func (s *strangers) queueLocked(st *stranger, ip netip.Addr) {
	s.queue = append(s.queue, st)
	for i := range st.crowds {
		p := networkOf(ip, i)
		c := s.crowds[p]
		if c == nil {
			c = &crowd{network: p}
			s.crowds[p] = c
		}
		c.count++
		st.crowds[i] = c
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
		if c.count != other.crowds[i].count {
			return c.count > other.crowds[i].count
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
	if _, here := s.inside[st]; !here {
		return
	}
	delete(s.inside, st)
	if st.trusts {
		s.trusted--
		return
	}
	if h := st.at; h != nil {
		h.taken--
		s.tidyLocked(st.addr)
		return
	}
	i := slices.Index(s.queue, st)
	s.queue = slices.Delete(s.queue, i, i+1)
	for _, c := range st.crowds {
		if c.count--; c.count == 0 {
			delete(s.crowds, c.network)
		}
	}
}

// trust gives the place of st, which has knocked, to others: it needs none. It reports
// whether that can be, and st is still here.
func (s *strangers) trust(st *stranger) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, here := s.inside[st]; !here || s.trusted >= trustedMost {
		return false
	}
	s.removeLocked(st)
	s.inside[st] = struct{}{}
	s.trusted++
	st.at, st.trusts = nil, true
	return true
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
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.members {
		h.seen = false
	}
	for _, ip := range addrs {
		s.houseLocked(networkOf(ip, networks-1)).seen = true
	}
	for p := range s.members {
		s.tidyLocked(p)
	}
}

// prove notes that st's peer has proved that it is a member.
func (s *strangers) prove(st *stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.proved, st.addr); i >= 0 {
		s.proved = append(slices.Delete(s.proved, i, i+1), st.addr)
		return
	}
	s.houseLocked(st.addr).proved = true
	s.proved = append(s.proved, st.addr)
	if len(s.proved) > maxProved {
		oldest := s.proved[0]
		s.proved = slices.Delete(s.proved, 0, 1)
		s.members[oldest].proved = false
		s.tidyLocked(oldest)
	}
}

func (s *strangers) houseLocked(p netip.Prefix) *house {
	h := s.members[p]
	if h == nil {
		h = &house{}
		s.members[p] = h
	}
	return h
}

// tidyLocked forgets a house without members once its last place is free.
func (s *strangers) tidyLocked(p netip.Prefix) {
	if h := s.members[p]; h != nil && !h.seen && !h.proved && h.taken == 0 {
		delete(s.members, p)
	}
}

// close puts all of them out and admits nobody any more.
func (s *strangers) close() {
	s.mu.Lock()
	s.closed = true
	inside := make([]*stranger, 0, len(s.inside))
	for st := range s.inside {
		inside = append(inside, st)
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
