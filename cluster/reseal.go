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

// While a secret is replaced, a member may join that knows only the old one. memberlist
// encrypts everything with one key. So messages to such a member are decrypted and encrypted
// again with the first key that both nodes have. The member learns nothing about the other
// keys.

// nonceLen is the length of a nonce of AES-GCM in bytes.
const nonceLen = 12

// keyFor returns the key for a member that accepts the given IDs. It returns
// nil if that is the key in use, or if there is no common key.
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

// keyFor returns the key for packets to addr, or nil to leave them as they are.
func (c *Cluster) keyFor(addr string) []byte {
	s := c.secrets.Load()
	if s == nil || len(s.keys) < 2 {
		return nil
	}
	return s.keyFor(c.table.keyIDs(addr))
}

// keyIDs returns the key IDs of the member at a gossip address. Of several
// boots there it uses the last one.
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

// resealPacket encrypts a packet again, with key. It returns a packet as it is
// that was not encrypted with one of keys.
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

// resealMessage is resealPacket for a message on a stream.
func resealMessage(b []byte, label string, keys [][]byte, key []byte) []byte {
	if len(b) <= 5 || b[0] != typeEncrypt || int(binary.BigEndian.Uint32(b[1:])) != len(b)-5 {
		return b
	}
	data := append(bytes.Clone(b[:5]), label...) // the length stays the same
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

// seal encrypts as decrypt decrypts.
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
	_, _ = rand.Read(b[1:]) // never fails
	return gcm.Seal(b, b[1:], plain, data), nil
}

// streamKey returns the key of the secret that the other end of a stream has
// proved, or nil if that is unknown.
func streamKey(conn net.Conn) []byte {
	if c, ok := conn.(interface{ GossipKey() []byte }); ok {
		return c.GossipKey()
	}
	return nil
}
