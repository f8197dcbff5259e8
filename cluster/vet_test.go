package cluster

import (
	"bytes"
	"compress/lzw"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// pushPull is the message that claims so much and has n records of those bytes.
func pushPull(nodes, user uint64, n int, record []byte) []byte {
	b := wire.AppendUint(wire.AppendString([]byte{typePushPull, 0x83}, "Nodes"), nodes)
	b = wire.AppendUint(wire.AppendString(b, "UserStateLen"), user)
	b = append(wire.AppendString(b, "Join"), 0xc3)
	return append(b, bytes.Repeat(record, n)...)
}

func anyRecord(size int) []byte {
	return wire.AppendString(wire.AppendString([]byte{0x81}, "Name"), strings.Repeat("x", size))
}

func compressed(b []byte) []byte {
	var buf bytes.Buffer
	w := lzw.NewWriter(&buf, lzw.LSB, 8)
	_, _ = w.Write(b)
	_ = w.Close()
	out := append(wire.AppendString([]byte{typeCompress, 0x82}, "Algo"), 0)
	return wire.AppendBytes(wire.AppendString(out, "Buf"), buf.Bytes())
}

// sealed is what memberlist sends of b with a key.
func sealed(key, b []byte) []byte {
	head := binary.BigEndian.AppendUint32([]byte{typeEncrypt}, uint32(1+12+len(b)+16))
	return append(head, sealedPacket(key, b, head)...)
}

func sealedPacket(key, b, data []byte) []byte {
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCM(block)
	out := append([]byte{1}, make([]byte, 12)...)
	return gcm.Seal(out, out[1:], b, data)
}

// What a member claims in a stream and does not send is refused before memory is taken
// for it, in clear and encrypted; what is there passes.
func TestStreamThatClaimsMoreThanItSendsIsRefused(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	record := anyRecord(40)
	for _, row := range []struct {
		name    string
		message []byte
		ok      bool
	}{
		{"a push/pull", pushPull(3, 0, 3, record), true},
		{"with a user's state", append(pushPull(1, 5, 1, record), "state"...), true},
		{"of nobody", pushPull(0, 0, 0, nil), true},
		{"a ping", append([]byte{typePing}, record...), true},
		{"an answer", append([]byte{typeAck}, record...), true},
		{"a compressed push/pull", compressed(pushPull(3, 0, 3, record)), true},
		{"a million members", pushPull(1<<20, 0, 0, nil), false},
		{"more members than can be", pushPull(1<<40, 0, 0, nil), false},
		{"a million members, one there", pushPull(1<<20, 0, 1, record), false},
		{"members of a byte", pushPull(100_000, 0, 100_000, []byte{0x80}), false},
		{"a large member", pushPull(1, 0, 1, anyRecord(maxRecord)), false},
		{"20 MiB of a user's state", pushPull(0, 20<<20, 0, nil), false},
		{"a user's message", append([]byte{8, 0x81}, wire.AppendUint(wire.AppendString(nil, "UserMsgLen"), 20<<20)...),
			false},
		{"a bomb", compressed(make([]byte, 30<<20)), false},
		{"a bomb in a bomb", compressed(compressed(make([]byte, 1<<20))), false},
		{"a header in an array", append([]byte{typePushPull, 0x93}, 1, 2, 3), false},
		{"no message", []byte{200}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			for mode, keys := range map[string][][]byte{"clear": nil, "encrypted": {bytes.Repeat([]byte{1}, 32), key}} {
				message := row.message
				if keys != nil {
					message = sealed(key, message)
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				got, err := readMessage(bytes.NewReader(message), keys)
				runtime.ReadMemStats(&after)
				if row.ok {
					require.NoError(t, err, mode)
					require.Equal(t, message, got)
				} else {
					require.Error(t, err, mode)
				}
				require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8*maxStream+8*len(message)), mode)
			}
		})
	}
	_, err := readMessage(bytes.NewReader(binary.BigEndian.AppendUint32([]byte{typeEncrypt}, 20<<20)), [][]byte{key})
	require.ErrorIs(t, err, errClaims)
}

// A message passes in whatever pieces it comes, and nothing behind it is waited for.
func TestStreamThatComesByteByByteIsAccepted(t *testing.T) {
	message := pushPull(3, 5, 3, anyRecord(300))
	message = append(append([]byte{typeLabel, 4}, "test"...), append(message, "state"...)...)
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go func() {
		for i := range message {
			_, _ = theirs.Write(message[i : i+1])
		}
	}()
	got, err := readMessage(ours, nil)
	require.NoError(t, err)
	require.Equal(t, message, got)
}

func TestPacketsThatUnpackToTooMuchAreRefused(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	alive := append([]byte{4}, anyRecord(40)...)
	compound := func(parts ...[]byte) []byte {
		b := []byte{typeCompound, byte(len(parts))}
		for _, p := range parts {
			b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
		}
		return append(b, bytes.Join(parts, nil)...)
	}
	crc := func(b []byte) []byte { return append([]byte{typeCRC, 0, 0, 0, 0}, b...) }
	for _, row := range []struct {
		name   string
		packet []byte
		ok     bool
	}{
		{"one", alive, true},
		{"several", compound(alive, alive), true},
		{"with a checksum", crc(compound(alive, alive)), true},
		{"cut off", compound(alive, alive)[:30], true}, // memberlist says so
		{"compressed", compressed(compound(alive, alive)), true},
		{"a bomb", compressed(make([]byte, 5<<20)), false},
		{"a bomb among others", crc(compound(alive, compressed(make([]byte, 1<<20)))), false},
		{"a bomb in a bomb", compressed(compressed(make([]byte, 1<<15))), false},
		{"several in several", compound(alive, compound(alive)), false},
		{"a long one", make([]byte, maxPacket+1), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, keys := range [][][]byte{nil, {key}} {
				b := row.packet
				if keys != nil {
					b = sealedPacket(key, b, []byte("test"))
				}
				b, err := memberlist.AddLabelHeaderToPacket(b, "test")
				require.NoError(t, err)
				require.Equal(t, row.ok, vetPacket(b, keys) == nil)
			}
		})
	}
}

// listening is a transport of which only what comes in matters.
type listening struct {
	memberlist.NodeAwareTransport
	streams chan net.Conn
	packets chan *memberlist.Packet
}

func (l listening) StreamCh() <-chan net.Conn           { return l.streams }
func (l listening) PacketCh() <-chan *memberlist.Packet { return l.packets }
func (listening) Shutdown() error                       { return nil }

// A few streams of others are open at a time; the next one has its turn when one ends.
func TestInboundStreamsBeyondTheBoundWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listening{streams: make(chan net.Conn, 100), packets: make(chan *memberlist.Packet)}
		g := newGuard(l)
		var refused []error
		g.begin(nil, "", nil, func(_ net.Addr, why error) { refused = append(refused, why) })
		for range 3 * maxInbound {
			ours, _ := net.Pipe()
			l.streams <- ours
		}
		var open []net.Conn
		take := func() {
			for {
				select {
				case conn := <-g.StreamCh():
					open = append(open, conn)
				case <-time.After(time.Second):
					return
				}
			}
		}
		take()
		require.Len(t, open, maxInbound)
		for _, conn := range open {
			require.NoError(t, conn.Close())
			_ = conn.Close()
		}
		take()
		require.Len(t, open, 2*maxInbound)
		l.packets <- &memberlist.Packet{Buf: make([]byte, maxPacket+1)}
		synctest.Wait()
		require.Len(t, refused, 1)
		require.NoError(t, g.Shutdown())
		_, err := open[len(open)-1].Read(make([]byte, 1))
		require.Error(t, err)
	})
}

func FuzzReadMessage(f *testing.F) {
	key := bytes.Repeat([]byte{7}, 32)
	f.Add(pushPull(3, 0, 3, anyRecord(40)), false)
	f.Add(sealed(key, pushPull(3, 0, 3, anyRecord(40))), true)
	f.Add(compressed(pushPull(1, 0, 1, anyRecord(40))), false)
	f.Add([]byte{typeLabel, 4, 't', 'e', 's', 't', typePing, 0x80}, false)
	f.Fuzz(func(t *testing.T, b []byte, encrypted bool) {
		var keys [][]byte
		if encrypted {
			keys = [][]byte{key}
		}
		got, err := readMessage(bytes.NewReader(b), keys)
		if err == nil && !bytes.HasPrefix(b, got) {
			t.Fatalf("%x is not the beginning of %x", got, b)
		}
		if errors.Is(err, errClaims) && got != nil && len(got) > len(b) {
			t.Fatal("more than there was")
		}
		_ = vetPacket(b, keys)
	})
}
