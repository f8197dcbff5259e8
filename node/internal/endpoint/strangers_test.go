package endpoint

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A fakeStranger is a connection from somewhere.
type fakeStranger struct {
	net.Conn
	from   string
	closed bool
}

func (c *fakeStranger) Close() error { c.closed = true; return nil }

func (c *fakeStranger) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(c.from), Port: 1}
}

// come has a connection come from an address, and returns it and whom it has
// put out.
func (s *strangers) come(from string) (c *fakeStranger, st, out *stranger) {
	c = &fakeStranger{from: from}
	st, out = s.admit(c)
	return c, st, out
}

// The fullest network loses its oldest connection first. A connection from elsewhere gets in
// and stays.
func TestFullestNetworkLosesItsOldestStranger(t *testing.T) {
	for _, row := range []struct {
		name  string
		crowd func(i int) string
		loner string
	}{
		{"one address", func(int) string { return "10.0.0.1" }, "10.0.0.2"},
		{"twelve addresses of a network", func(i int) string { return fmt.Sprintf("10.0.0.%d", 1+i%12) }, "10.0.0.99"},
		{"a network of addresses", func(i int) string { return fmt.Sprintf("10.0.0.%d", 1+i%250) }, "10.0.1.1"},
		{"a network of networks", func(i int) string { return fmt.Sprintf("10.0.%d.1", i%250) }, "10.1.0.1"},
		{"an IPv6 /64", func(i int) string { return fmt.Sprintf("2001:db8::%x", 1+i%4000) }, "2001:db8:0:1::1"},
		{"an IPv6 /48", func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i%4000) }, "2001:db8:1::1"},
		{"IPv4 in IPv6's clothes", func(int) string { return "::ffff:10.0.0.1" }, "10.0.0.2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStrangers(64, 4)
			for i := range 100 {
				_, st, _ := s.come(row.crowd(i))
				require.NotNil(t, st)
			}
			require.Len(t, s.queue, 64)
			oldest := s.queue[0]
			loner, st, out := s.come(row.loner)
			require.Same(t, oldest, out)
			require.True(t, out.conn.(*fakeStranger).closed)
			require.True(t, out.isEvicted())
			for i := range 1000 {
				c, _, out := s.come(row.crowd(i))
				require.NotNil(t, out)
				require.False(t, c.closed, "a newcomer always gets in")
			}
			require.False(t, loner.closed)
			s.leave(st)
			s.leave(st)
			require.Len(t, s.queue, 63)
			s.close()
			require.Empty(t, s.queue)
			require.Empty(t, s.crowds)
			_, st, _ = s.come("10.9.9.9")
			require.Nil(t, st)
		})
	}
}

// Who comes from the midst of a crowd stays until the crowd has filled all places
// anew.
func TestStrangerInACrowdStaysUntilAllPlacesAreRefilled(t *testing.T) {
	s := newStrangers(64, 4)
	for range 100 {
		s.come("10.0.0.1")
	}
	c, _, _ := s.come("10.0.0.1")
	for range 63 {
		s.come("10.0.0.1")
	}
	require.False(t, c.closed)
	s.come("10.0.0.1")
	require.True(t, c.closed)
}

// The addresses of members, those advertised and those proved, have places that
// nobody else can take; beyond them they are as others.
func TestMembersHavePlacesOfTheirOwn(t *testing.T) {
	s := newStrangers(8, 2)
	_, proved, _ := s.come("10.0.0.3")
	s.prove(proved)
	s.leave(proved)
	s.expect([]netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")})
	for _, from := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
		var conns []*fakeStranger
		for range 2 {
			c, st, out := s.come(from)
			require.Nil(t, out)
			require.NotNil(t, st.at)
			conns = append(conns, c)
		}
		for i := range 100 {
			s.come(fmt.Sprintf("10.0.0.%d", 4+i%12))
			_, st, _ := s.come(from)
			require.Nil(t, st.at)
		}
		for _, c := range conns {
			require.False(t, c.closed)
		}
	}
	s.expect(nil)
	require.Len(t, s.members, 3, "two still have connections, one has proved itself")
	for st := range s.inside {
		s.leave(st)
	}
	require.Len(t, s.members, 1)
	for i := range 2 * maxProved {
		_, st, _ := s.come(fmt.Sprintf("10.1.%d.%d", i/250, i%250))
		s.prove(st)
		s.leave(st)
	}
	require.Len(t, s.members, maxProved)
	require.Len(t, s.proved, maxProved)
}

// One stranger at a time has the turn, and members pass without one. The next turn goes to the
// last waiter of the smallest crowd. An evicted stranger stops waiting.
func TestTurnstilePrefersTheSmallestCrowd(t *testing.T) {
	s := newStrangers(8, 2)
	s.expect([]netip.Addr{netip.MustParseAddr("10.0.0.9")})
	ts := &turnstile{strangers: s}
	soon := time.Now().Add(time.Minute)
	_, first, _ := s.come("10.0.0.1")
	require.True(t, ts.enter(first, false, soon))
	_, member, _ := s.come("10.0.0.9")
	require.True(t, ts.enter(member, false, soon))
	ts.leave(member)

	type arrival struct {
		from string
		in   bool
	}
	order := make(chan arrival)
	enter := func(from string, until time.Time) *stranger {
		_, st, _ := s.come(from)
		n := len(ts.waiting)
		go func() {
			in := ts.enter(st, false, until)
			order <- arrival{from, in}
			if in {
				ts.leave(st)
			}
		}()
		require.Eventually(t, func() bool {
			ts.mu.Lock()
			defer ts.mu.Unlock()
			return len(ts.waiting) == n+1
		}, 30*time.Second, time.Millisecond)
		return st
	}
	enter("10.0.0.1", soon)
	enter("10.0.0.2", soon)
	gone := enter("10.0.0.1", soon)
	s.leave(gone)
	close(gone.gone)
	require.Equal(t, arrival{"10.0.0.1", false}, <-order)
	_, _, _ = s.come("10.0.0.1")
	go func() { order <- arrival{"late", ts.enter(first, false, time.Now())} }()
	require.Equal(t, arrival{"late", false}, <-order)
	ts.leave(first)
	require.Equal(t, arrival{"10.0.0.2", true}, <-order)
	require.Equal(t, arrival{"10.0.0.1", true}, <-order)
	require.Eventually(t, func() bool {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		return !ts.taken
	}, 30*time.Second, time.Millisecond)
}

// Who knocks gives its place to others and is not crowded out; there are not any number
// of these.
func TestStrangerThatKnocksTakesNoPlace(t *testing.T) {
	s := newStrangers(2, 1)
	_, first, _ := s.come("10.0.0.1")
	require.True(t, s.trust(first))
	require.True(t, first.passes())
	require.Empty(t, s.queue)
	require.Empty(t, s.crowds)
	for range 3 {
		s.come("10.0.0.1")
	}
	require.False(t, first.isEvicted())
	s.leave(first)
	s.leave(first)
	require.Zero(t, s.trusted)
	require.False(t, s.trust(first), "it is not here any more")
	s.expect([]netip.Addr{netip.MustParseAddr("10.0.0.9")})
	_, member, _ := s.come("10.0.0.9")
	require.True(t, s.trust(member))
	require.Zero(t, s.members[member.addr].taken, "its place is free for another")
	var all []*stranger
	for range trustedMost {
		_, st, _ := s.come("10.0.0.1")
		all = append(all, st)
		s.trust(st)
	}
	require.Equal(t, trustedMost, s.trusted)
	require.False(t, all[len(all)-1].passes())
	s.close()
	require.Zero(t, s.trusted)
}

// Who has had a turn before is first, whatever crowd it is of.
func TestTurnstilePrefersStrangersThatHadATurn(t *testing.T) {
	s := newStrangers(8, 2)
	ts := &turnstile{strangers: s}
	soon := time.Now().Add(time.Minute)
	_, first, _ := s.come("10.0.0.1")
	require.True(t, ts.enter(first, false, soon))
	order := make(chan string)
	for i, w := range []struct {
		from  string
		again bool
	}{{"10.0.0.1", false}, {"10.0.0.1", true}, {"10.0.0.2", false}} {
		_, st, _ := s.come(w.from)
		go func() {
			if ts.enter(st, w.again, soon) {
				order <- fmt.Sprint(w.from, w.again)
				ts.leave(st)
			}
		}()
		require.Eventually(t, func() bool {
			ts.mu.Lock()
			defer ts.mu.Unlock()
			return len(ts.waiting) == i+1
		}, 30*time.Second, time.Millisecond)
	}
	ts.leave(first)
	require.Equal(t, "10.0.0.1true", <-order)
	require.Equal(t, "10.0.0.2false", <-order)
	require.Equal(t, "10.0.0.1false", <-order)
}
