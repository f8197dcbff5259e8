package node

import (
	"net"
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

func TestStrangersAreLimitedInAllAndByAddress(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newStrangers(4, 2, time.Second)
	come := func(from string) (*fakeStranger, *stranger) {
		c := &fakeStranger{from: from}
		return c, s.admit(c, now)
	}
	_, first := come("10.0.0.1")
	require.NotNil(t, first)
	_, st := come("10.0.0.1")
	require.NotNil(t, st)
	_, st = come("10.0.0.1")
	require.Nil(t, st, "two of one address at most")
	_, st = come("::ffff:10.0.0.1")
	require.Nil(t, st, "the same address in IPv6's clothes")
	_, st = come("2001:db8::1")
	require.NotNil(t, st)
	_, st = come("2001:db8::2")
	require.NotNil(t, st)
	s.leave(first)
	s.leave(first)
	_, st = come("2001:db8::3")
	require.Nil(t, st, "one network of IPv6 counts as one address")
	_, st = come("10.0.0.2")
	require.NotNil(t, st)
	_, st = come("10.0.0.3")
	require.Nil(t, st, "four in all")
}

func TestSilentStrangerMakesRoomForANewOne(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newStrangers(3, 2, time.Second)
	var conns []*fakeStranger
	come := func(from string) bool {
		c := &fakeStranger{from: from}
		conns = append(conns, c)
		return s.admit(c, now) != nil
	}
	require.True(t, come("10.0.0.1"))
	now = now.Add(900 * time.Millisecond)
	require.True(t, come("10.0.0.2"))
	require.True(t, come("10.0.0.2"))
	require.False(t, come("10.0.0.3"))
	now = now.Add(200 * time.Millisecond) // the first is stale, those of 10.0.0.2 are not
	require.False(t, come("10.0.0.2"), "its own address is full of young ones")
	require.False(t, conns[0].closed)
	require.True(t, come("10.0.0.3"))
	require.True(t, conns[0].closed)
	now = now.Add(time.Second)
	require.True(t, come("10.0.0.2"))
	require.True(t, conns[1].closed)
	s.close()
	require.True(t, conns[2].closed)
	require.False(t, come("10.0.0.9"))
}
