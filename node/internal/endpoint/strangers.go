package endpoint

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// strangers bounds the accepted connections whose peer is not authenticated yet. It is safe
// for concurrent use.
//
// A plain limit would let an attacker lock out every member by holding all places. So there
// are three sorts of places:
//
//   - Each address of a member has places of its own (see expect and prove). A stranger at
//     another address cannot take them.
//   - A connection that has knocked needs no place (see trust).
//   - All others share max places. A newcomer always gets one. If that is one too many, the
//     largest crowd loses its oldest connection. Crowds are compared by the largest network
//     first (an IPv4 /16), then by the next smaller one, then by address.
//
// So a crowd competes with itself: a connection from anywhere else is never the one to close.
// A connection from the midst of the crowd stays for as long as the crowd takes to fill all
// places anew, which is longer than an honest handshake takes.
type strangers struct {
	max      int // shared places
	reserved int // places of each member's address

	mu      sync.Mutex // guards what follows
	closed  bool
	inside  map[*stranger]struct{}  // all strangers
	queue   []*stranger             // the strangers in shared places, oldest first
	crowds  map[netip.Prefix]*crowd // the networks of those in queue
	members map[netip.Prefix]*house // addresses of members
	trusted int                     // how many strangers in inside have knocked
	proved  []netip.Prefix          // addresses that proved to be a member's, most recent last
}

// A crowd is the strangers in shared places that come from one network.
type crowd struct {
	network netip.Prefix
	count   int
}

// A house is one address of members. It keeps its places for as long as a
// member advertises the address, or the address is in strangers.proved, or a
// place is taken.
type house struct {
	seen   bool // a present member advertises the address
	proved bool // the address is in strangers.proved
	taken  int  // places in use
}

// A stranger is an accepted connection whose peer is not authenticated. It is
// in exactly one of three states: at is set, it is in strangers.queue, or
// trusts is set. Its own goroutine changes at and trusts, in admit and trust.
type stranger struct {
	conn   net.Conn
	addr   netip.Prefix // an IPv4 address or an IPv6 /64
	at     *house       // the house whose place it has, or nil
	crowds [networks]*crowd
	trusts bool          // it has knocked and needs no place
	gone   chan struct{} // closed when it is evicted
}

// networks is the number of nested networks that an address belongs to.
const networks = 3

// networkBits holds the prefix lengths of these networks for IPv4 and IPv6, the
// largest network first. The last one is what a single attacker can be expected
// to own: one IPv4 address, but a whole IPv6 /64.
var networkBits = [2][networks]int{{16, 24, 32}, {32, 48, 64}}

// maxProved bounds the remembered addresses from which members connected that
// advertise another one. A member may have several addresses or be behind a
// NAT.
const maxProved = 256

// trustedMost bounds the unauthenticated connections that have knocked. It limits what
// recorded knocks, replayed at other nodes, can do.
const trustedMost = 128

func newStrangers(limit, reserved int) *strangers {
	return &strangers{
		max: limit, reserved: reserved, inside: map[*stranger]struct{}{},
		crowds: map[netip.Prefix]*crowd{}, members: map[netip.Prefix]*house{},
	}
}

// admit adds conn. If another connection must make room, admit closes and
// returns it as out. After close, admit returns a nil st, and the caller closes
// conn.
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
		_ = out.conn.Close() // the read of its goroutine fails, and the goroutine ends
	}
	return st, out
}

// queueLocked gives st a shared place and counts it in its crowds.
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

// fullestLocked returns the stranger to evict: the oldest one of the largest
// crowd. It returns nil if there is room.
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

// leave removes st, whose peer is authenticated or whose connection is closed.
// It is idempotent.
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

// trust frees the place of st, which has knocked. It reports false if st was
// evicted or too many strangers have knocked; st then keeps its place, if it
// has one.
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

// isEvicted reports whether st was closed to make room or because the endpoint closes.
func (st *stranger) isEvicted() bool {
	select {
	case <-st.gone:
		return true
	default:
		return false
	}
}

// leastCrowded returns the index of the waiter from the smallest crowd, the
// last one of several.
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

// expect reserves places for addrs, the addresses of the present members. The
// addresses of an earlier call lose their places unless they are among those
// proved.
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

// prove reserves places for the address of st, whose peer has proved that it is
// a member. Beyond maxProved the address with the oldest proof loses its
// places.
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

// houseLocked returns the house at p, which it creates if there is none.
func (s *strangers) houseLocked(p netip.Prefix) *house {
	h := s.members[p]
	if h == nil {
		h = &house{}
		s.members[p] = h
	}
	return h
}

// tidyLocked removes the house at p if no member is there and none of its
// places is taken.
func (s *strangers) tidyLocked(p netip.Prefix) {
	if h := s.members[p]; h != nil && !h.seen && !h.proved && h.taken == 0 {
		delete(s.members, p)
	}
}

// close evicts all strangers and admits no more.
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

// ipOf returns the IP address of a, or the zero Addr if a is no TCP address.
func ipOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// networkOf returns the i-th network of ip, as in networkBits.
func networkOf(ip netip.Addr, i int) netip.Prefix {
	bits := networkBits[0][i]
	if ip.Is6() {
		bits = networkBits[1][i]
	}
	p, _ := ip.Prefix(bits) // the zero Prefix of the zero Addr
	return p
}

// A waiter is a stranger that waits for its turn.
type waiter struct {
	stranger *stranger
	again    bool          // the stranger has had a turn
	turn     chan struct{} // closed when it is its turn
}
