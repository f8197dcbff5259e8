package cluster

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"net"
	"slices"

	"github.com/hashicorp/memberlist"
)

// While a secret is replaced a member may come that knows only the old one. memberlist
// encrypts everything with one key, so what goes to such a member is sealed anew with the
// first key that both have. It gets to know nothing of the others.

// nonceLen is that of AES-GCM.
const nonceLen = 12

// secrets are the gossip keys and their public IDs, the used one first.
type secrets struct {
	keys [][]byte
	ids  []uint32
}

// keyFor is the key for who accepts the given ones; nil: the used one, or there is none
// that both have.
func (s *secrets) keyFor(accepted []uint32) []byte {
	if len(s.keys) < 2 || len(s.keys) != len(s.ids) || len(accepted) == 0 || slices.Contains(accepted, s.ids[0]) {
		return nil
	}
	for i, id := range s.ids {
		if slices.Contains(accepted, id) {
			return s.keys[i]
		}
	}
	return nil
}

// keyFor is the key that packets for an address are to be sealed with; nil: as they are.
func (c *Cluster) keyFor(addr string) []byte {
	s := c.secrets.Load()
	if s == nil || len(s.keys) < 2 {
		return nil
	}
	return s.keyFor(c.table.keyIDs(addr))
}

// keyIDs are those of the members at a gossip address, of several starts of the last one.
func (t *table) keyIDs(addr string) []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last record
	for _, r := range t.present {
		if r.gossip == addr && r.Boot >= last.Boot {
			last = r
		}
	}
	return last.KeyIDs
}

// resealPacket seals a packet anew with key; as it is, if it is none that was sealed with
// one of keys.
func resealPacket(packet []byte, keys [][]byte, key []byte) []byte {
	b, label, err := memberlist.RemoveLabelHeaderFromPacket(packet)
	if err != nil {
		return packet
	}
	plain, ok := decrypt(keys, b, []byte(label))
	if !ok {
		return packet
	}
	sealed, err := seal(key, plain, []byte(label))
	if err != nil {
		return packet
	}
	return append(slices.Clone(packet[:len(packet)-len(b)]), sealed...)
}

// resealMessage does the same with a message that goes out on a stream.
func resealMessage(b []byte, label string, keys [][]byte, key []byte) []byte {
	if len(b) <= 5 || b[0] != typeEncrypt || int(binary.BigEndian.Uint32(b[1:])) != len(b)-5 {
		return b
	}
	data := append(bytes.Clone(b[:5]), label...) // sealing does not change the length
	plain, ok := decrypt(keys, b[5:], data)
	if !ok {
		return b
	}
	sealed, err := seal(key, plain, data)
	if err != nil {
		return b
	}
	return append(bytes.Clone(b[:5]), sealed...)
}

// seal is the counterpart of decrypt.
func seal(key, plain, data []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 1+nonceLen, 1+nonceLen+len(plain)+gcm.Overhead())
	b[0] = 1
	_, _ = rand.Read(b[1:]) // it never fails
	return gcm.Seal(b, b[1:], plain, data), nil
}

// streamKey is the key of the secret that the other end of a stream has proved to have;
// nil: it is not known.
func streamKey(conn net.Conn) []byte {
	if c, ok := conn.(interface{ GossipKey() []byte }); ok {
		return c.GossipKey()
	}
	return nil
}
