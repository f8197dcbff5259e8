package node

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// strangers counts the accepted connections whose peer has not proved yet that it may be one. A full house turns the newcomer away, unless
// somebody in it has been silent for longer than any honest handshake takes: then that one goes, so that idle connections
// cannot keep members out. Safe for concurrent use.
type strangers struct {
	max     int           // in all
	perAddr int           // of one IPv4 address or one IPv6 /64
	stale   time.Duration // after which a stranger may be put out for another

	mu     sync.Mutex // guards what follows
	closed bool
	from   map[netip.Prefix]int
	queue  []*stranger // oldest first
}

// A stranger is one such connection.
type stranger struct {
	conn  net.Conn
	from  netip.Prefix
	since time.Time
}

func newStrangers(limit, perAddr int, stale time.Duration) *strangers {
	return &strangers{max: limit, perAddr: perAddr, stale: stale, from: make(map[netip.Prefix]int)}
}

// admit counts conn, or returns nil if there is no room: the caller closes it.
func (s *strangers) admit(conn net.Conn, now time.Time) *stranger {
	st := &stranger{conn: conn, from: neighbourhood(conn.RemoteAddr()), since: now}
	s.mu.Lock()
	out, ok := s.makeRoomLocked(st)
	if ok {
		s.queue = append(s.queue, st)
		s.from[st.from]++
	}
	s.mu.Unlock()
	if out != nil {
		_ = out.conn.Close() // its goroutine's read fails and ends it
	}
	if !ok {
		return nil
	}
	return st
}

// makeRoomLocked finds room for st, if need be by putting one stale stranger out.
func (s *strangers) makeRoomLocked(st *stranger) (out *stranger, ok bool) {
	sameOnly := s.from[st.from] >= s.perAddr
	switch {
	case s.closed:
		return nil, false
	case !sameOnly && len(s.queue) < s.max:
		return nil, true
	}
	for _, old := range s.queue {
		if sameOnly && old.from != st.from {
			continue
		}
		if st.since.Sub(old.since) < s.stale {
			return nil, false // the queue is in order of age
		}
		s.removeLocked(old)
		return old, true
	}
	return nil, false
}

// leave ends the counting of st: it is a peer now, or closed. Idempotent.
func (s *strangers) leave(st *stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLocked(st)
}

func (s *strangers) removeLocked(st *stranger) {
	i := slices.Index(s.queue, st)
	if i < 0 {
		return
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	if s.from[st.from]--; s.from[st.from] == 0 {
		delete(s.from, st.from)
	}
}

// close puts all of them out and admits nobody any more.
func (s *strangers) close() {
	s.mu.Lock()
	s.closed = true
	queue := slices.Clone(s.queue)
	s.mu.Unlock()
	for _, st := range queue {
		_ = st.conn.Close()
	}
}

// neighbourhood is what one stranger can easily have all of.
func neighbourhood(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}
