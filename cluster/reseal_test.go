package cluster

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// What goes to a member that does not have the key in use yet is sealed with the first
// one that both have, packets and streams, with and without a label; what has no key in
// common stays as it is.
func TestMessageToAMemberWithAnOlderKeyIsSealedWithIt(t *testing.T) {
	older, newer := key(1), key(2)
	both := &secrets{[][]byte{newer, older}, []uint32{2, 1}}
	require.Nil(t, both.keyFor([]uint32{1, 2}), "it has the one in use")
	require.Equal(t, older, both.keyFor([]uint32{1}))
	require.Equal(t, older, both.keyFor([]uint32{3, 1}))
	require.Nil(t, both.keyFor([]uint32{3}))
	require.Nil(t, both.keyFor(nil), "nobody is known there")
	require.Nil(t, (&secrets{[][]byte{newer}, []uint32{2}}).keyFor([]uint32{1}))

	sealed, err := seal(newer, []byte("news"), []byte("web"))
	require.NoError(t, err)
	packet, err := memberlist.AddLabelHeaderToPacket(sealed, "web")
	require.NoError(t, err)
	packet = resealPacket(packet, both.keys, older)
	b, label, err := memberlist.RemoveLabelHeaderFromPacket(packet)
	require.NoError(t, err)
	_, ok := decrypt([][]byte{newer}, b, []byte(label))
	require.False(t, ok)
	plain, ok := decrypt([][]byte{older}, b, []byte(label))
	require.True(t, ok)
	require.Equal(t, "news", string(plain))
	foreign := []byte("what is not sealed with ours")
	require.Equal(t, foreign, resealPacket(foreign, both.keys, older))
	require.Equal(t, foreign, resealMessage(foreign, "web", both.keys, older))
}

// knownConn is a stream whose other end has proved a secret.
type knownConn struct {
	net.Conn
	sent bytes.Buffer
	key  []byte
}

func (c *knownConn) Write(b []byte) (int, error) { return c.sent.Write(b) }
func (c *knownConn) GossipKey() []byte           { return c.key }
func (c *knownConn) Close() error                { return nil }
func (c *knownConn) RemoteAddr() net.Addr        { return &net.TCPAddr{} }

func TestStreamsAreSealedWithAKeyThatTheOtherEndHas(t *testing.T) {
	older, newer := key(1), key(2)
	ring, err := memberlist.NewKeyring([][]byte{newer, older}, newer)
	require.NoError(t, err)
	g := newGuard(nil)
	g.keyring, g.label = ring, "web"
	message := func() []byte {
		head := []byte{typeEncrypt, 0, 0, 0, 33} // version, nonce, text and tag
		sealed, err := seal(newer, []byte("news"), append(bytes.Clone(head), "web"...))
		require.NoError(t, err)
		require.Len(t, sealed, 33)
		return append(head, sealed...)
	}
	for name, has := range map[string][]byte{"the older one": older, "the one in use": newer, "it is not known": nil} {
		conn := &knownConn{key: has}
		s := &stream{Conn: conn, guard: g}
		_, err := s.Write([]byte{typeLabel, 3, 'w', 'e', 'b'})
		require.NoError(t, err)
		n, err := s.Write(message())
		require.NoError(t, err)
		require.Equal(t, 38, n)
		want := newer
		if has != nil {
			want = has
		}
		b, err := io.ReadAll(&conn.sent)
		require.NoError(t, err)
		require.Equal(t, "\xf4\x03web", string(b[:5]))
		plain, ok := decrypt([][]byte{want}, b[10:], append(bytes.Clone(b[5:10]), "web"...))
		require.True(t, ok, name)
		require.Equal(t, "news", string(plain))
	}
}

// sinking is a transport that keeps the last packet.
type sinking struct {
	memberlist.NodeAwareTransport
	last []byte
}

func (s *sinking) WriteToAddress(b []byte, _ memberlist.Address) (time.Time, error) {
	s.last = b
	return time.Now(), nil
}

// Packets go by what the member at the address accepts, of several starts there the last.
func TestPacketsAreSealedWithAKeyThatTheMemberHas(t *testing.T) {
	older, newer := key(1), key(2)
	ring, err := memberlist.NewKeyring([][]byte{newer, older}, newer)
	require.NoError(t, err)
	c := &Cluster{table: newTable("self/1", nil)}
	c.secrets.Store(&secrets{[][]byte{newer, older}, []uint32{2, 1}})
	former, late, other := entry("late", 1), entry("late", 2), entry("other", 3)
	former.KeyIDs, late.KeyIDs, other.KeyIDs = []uint32{2}, []uint32{1}, []uint32{2, 1}
	former.gossip = late.gossip
	for _, r := range []record{late, former, other} {
		c.table.put(r)
	}
	sink := &sinking{}
	g := newGuard(sink)
	g.keyring, g.label, g.keyFor = ring, "web", c.keyFor
	for addr, want := range map[string][]byte{late.gossip: older, other.gossip: newer, "10.0.0.1:999": newer} {
		sealed, err := seal(newer, []byte("news"), []byte("web"))
		require.NoError(t, err)
		packet, err := memberlist.AddLabelHeaderToPacket(sealed, "web")
		require.NoError(t, err)
		_, err = g.WriteToAddress(packet, memberlist.Address{Addr: addr})
		require.NoError(t, err)
		plain, ok := decrypt([][]byte{want}, sink.last[5:], []byte("web"))
		require.True(t, ok, addr)
		require.Equal(t, "news", string(plain))
	}
}
