package endpoint

import (
	"io"
	"log"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// A mailbag is a memberlist delegate that keeps user messages.
type mailbag struct{ got chan string }

func (m mailbag) NodeMeta(int) []byte             { return nil }
func (m mailbag) NotifyMsg(b []byte)              { m.got <- string(b) }
func (m mailbag) GetBroadcasts(int, int) [][]byte { return nil }
func (m mailbag) LocalState(bool) []byte          { return nil }
func (m mailbag) MergeRemoteState([]byte, bool)   {}

var testMail = make(chan string, 8)

// startMembers runs a real memberlist over each endpoint, hurried, and joins them all to the first.
func startMembers(t *testing.T, ports ...*openPort) []*memberlist.Memberlist {
	t.Helper()
	var all []*memberlist.Memberlist
	for _, p := range ports {
		c := memberlist.DefaultLANConfig()
		c.Name, c.Label = p.Addr(), p.cfg.Cluster
		c.Transport = p.Gossip()
		c.Delegate = mailbag{testMail}
		c.Logger = log.New(p.log, "", 0)
		c.EnableCompression = false
		c.ProbeInterval, c.ProbeTimeout, c.SuspicionMult = 100*time.Millisecond, 50*time.Millisecond, 2
		c.GossipInterval, c.PushPullInterval, c.TCPTimeout = 20*time.Millisecond, 500*time.Millisecond, time.Second
		if keys := p.GossipKeys(); len(keys) > 0 {
			ring, err := memberlist.NewKeyring(keys, keys[0])
			require.NoError(t, err)
			c.Keyring = ring
		}
		m, err := memberlist.Create(c)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, m.Shutdown()) })
		all = append(all, m)
	}
	for _, m := range all[1:] {
		n, err := m.Join([]string{ports[0].Addr()})
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	return all
}

func TestMembersGossipOverTheOnePort(t *testing.T) {
	ca := newAuthority(t)
	secret := NewSecret()
	for mode, change := range map[string]func(*Config){
		"plain":        func(*Config) {},
		"secret":       func(c *Config) { c.Secret = secret },
		"rotation":     func(c *Config) { c.Secret, c.AcceptSecrets = secret, []string{NewSecret()} },
		"certificates": func(c *Config) { c.TLS = ca.config(t, "node.shop") },
	} {
		t.Run(mode, func(t *testing.T) {
			a, b := openEndpoint(t, change), openEndpoint(t, change)
			members := startMembers(t, a, b)
			sees := func(n int) func() bool { return func() bool { return members[0].NumMembers() == n } }
			require.Eventually(t, sees(2), 30*time.Second, 5*time.Millisecond)

			var peer *memberlist.Node
			for _, m := range members[1].Members() {
				if m.Name == a.Addr() {
					peer = m
				}
			}
			require.NotNil(t, peer)
			require.NoError(t, members[1].SendReliable(peer, []byte("by stream")))
			require.Equal(t, "by stream", <-testMail)
			require.NoError(t, members[1].SendBestEffort(peer, []byte("by packet")))
			require.Equal(t, "by packet", <-testMail)

			require.NoError(t, b.Close()) // as in a crash: nobody is told
			require.Eventually(t, sees(1), 30*time.Second, 10*time.Millisecond, "the crash is not detected")
		})
	}
}

// memberlist takes a peer for failed only on a bare *net.OpError of the right operation.
func TestFailedWriteLooksLikeAFailedPeer(t *testing.T) {
	a := openEndpoint(t, nil)
	g := a.Gossip()
	check := func(addr string) {
		t.Helper()
		_, err := g.WriteTo([]byte("x"), addr)
		op, ok := err.(*net.OpError)
		require.True(t, ok, "%T: %v", err, err)
		require.Equal(t, "write", op.Op)
		require.Contains(t, op.Net, "udp")
	}
	check("not an address")
	check("[::1]:9") // an IPv4 socket
	at, err := g.WriteTo([]byte("x"), a.Addr())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Second)
	require.NoError(t, g.Shutdown())
	require.NoError(t, g.Shutdown())
	check(a.Addr())
	start := time.Now()
	_, err = g.DialTimeout(a.Addr(), 30*time.Second)
	require.Error(t, err)
	require.Less(t, time.Since(start), 10*time.Second)
}

func TestForeignPacketsDoNotReachMemberlist(t *testing.T) {
	a := openEndpoint(t, nil)
	conn, err := net.Dial("udp", a.Addr())
	require.NoError(t, err)
	defer conn.Close()
	send := func(b []byte) { _, err := conn.Write(b); require.NoError(t, err) }
	for range 50 {
		send([]byte("GET / HTTP/1.1"))
		send(nil)
		send([]byte{244})
		send([]byte{244, 200, 'x'})
		other, err := memberlist.AddLabelHeaderToPacket([]byte("x"), "blog")
		require.NoError(t, err)
		send(other)
	}
	mine, err := memberlist.AddLabelHeaderToPacket([]byte("payload"), "shop")
	require.NoError(t, err)
	send(mine)
	select {
	case p := <-a.Gossip().PacketCh():
		require.Equal(t, mine, p.Buf)
		require.Equal(t, conn.LocalAddr().String(), p.From.String())
		require.WithinDuration(t, time.Now(), p.Timestamp, time.Second)
	case <-time.After(3 * time.Second):
		require.Fail(t, "the cluster's own packet did not come")
	}
	a.log.says(t, "not a gossip packet of sessionproc")
	a.log.says(t, "gossip packet of another cluster")
	require.LessOrEqual(t, countLines(a.log), 2)
}

func countLines(l *portLog) int {
	n := 0
	for _, c := range l.String() {
		if c == '\n' {
			n++
		}
	}
	return n
}

// Streams that memberlist holds end with Shutdown, on both sides, and those that nobody takes are not kept.
func TestStreamsEndWithShutdown(t *testing.T) {
	bothModes(t, func(c *Config) { c.HandshakeTimeout = 300 * time.Millisecond }, func(t *testing.T, a *openPort) {
		d := openEndpoint(t, func(c *Config) { c.Secret = a.cfg.Secret })
		out, err := d.Gossip().DialTimeout(a.Addr(), 3*time.Second)
		require.NoError(t, err)
		in := <-a.Gossip().StreamCh()
		_, err = out.Write([]byte("x"))
		require.NoError(t, err)
		b := make([]byte, 1)
		_, err = io.ReadFull(in, b)
		require.NoError(t, err)

		nobody, err := d.Gossip().DialTimeout(a.Addr(), 3*time.Second)
		require.NoError(t, err)
		_ = nobody.SetReadDeadline(time.Now().Add(3 * time.Second))
		_, err = nobody.Read(b)
		require.ErrorIs(t, err, io.EOF, "memberlist did not take it within the handshake's time")

		require.NoError(t, a.Gossip().Shutdown())
		_, err = in.Read(b)
		require.ErrorIs(t, err, net.ErrClosed)
		_ = out.SetReadDeadline(time.Now().Add(3 * time.Second))
		_, err = out.Read(b)
		require.ErrorIs(t, err, io.EOF)
		_, err = d.Gossip().DialTimeout(a.Addr(), 500*time.Millisecond)
		require.Error(t, err, "gossip is over, the port is still open for calls")
		_, _, err = d.meet(a.Addr(), 0)
		require.NoError(t, err)
	})
}

func TestMemberlistGetsTheAdvertisedAddress(t *testing.T) {
	a := openEndpoint(t, func(c *Config) { c.Advertise = "127.0.0.9:1234" })
	ip, port, err := a.Gossip().FinalAdvertiseAddr("10.0.0.1", 7946)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.9:1234", (&net.TCPAddr{IP: ip, Port: port}).String())
	require.Equal(t, "127.0.0.9:1234", a.Addr())
}

// Others have a bounded number of streams open; when one ends there is room for the next.
func TestGossipStreamsAreBounded(t *testing.T) {
	a := openEndpoint(t, func(c *Config) { c.HandshakeTimeout = time.Minute }) // nobody takes them
	d := openEndpoint(t, nil)
	var conns []net.Conn
	open := func() error {
		conn, err := d.Gossip().DialTimeout(a.Addr(), 3*time.Second)
		if err == nil {
			conns = append(conns, conn)
		}
		return err
	}
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	for range maxGossipStreams {
		require.NoError(t, open())
	}
	_ = open() // the dialer may hear of it later
	a.log.says(t, errGossipStreams.Error())
	a.gossip.mu.Lock()
	require.Equal(t, maxGossipStreams, a.gossip.came)
	var some net.Conn
	for s := range a.gossip.open {
		some = s
	}
	a.gossip.mu.Unlock()
	require.NoError(t, some.Close())
	require.NoError(t, open())
}
