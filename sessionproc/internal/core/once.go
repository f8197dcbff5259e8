package core

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// A Once is the key of a call whose handler runs once, however often the call is made: the session
// keeps its reply for the next one with that key. A key has 16 bytes, whatever it was made of.
type Once struct {
	Key     [16]byte
	Derived bool  // made for a call by a keyed handler; a session that keeps no replies ignores it
	First   int64 // since epoch: when the call was first made, if this may be a repeat; 0: it is not known

	// Root is set if a node has made the key, so that it can make the call again: it is the key of
	// the call that the node made, of which Key may be derived. See NumberedKey.
	Root [16]byte
	Low  uint64 // the calls of Root's line with lower numbers are over, and are not made again

	mu    sync.Mutex
	calls map[string]uint64 // guarded by mu: see Next
}

// MaxReply is the size, in bytes, of the largest reply that a session keeps.
const MaxReply = 1 << 10

// NewOnce makes the key of a text.
func NewOnce(text string) *Once { return &Once{Key: digest("key", text)} }

// digest returns a key for a list of texts.
func digest(texts ...string) (key [16]byte) {
	h := sha256.New()
	var size [8]byte
	for _, text := range texts {
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		h.Write(size[:])
		h.Write([]byte(text))
	}
	copy(key[:], h.Sum(nil))
	return key
}

// Automatic reports whether a node has made the key, and not its user.
func (o *Once) Automatic() bool { return o.Root != [16]byte{} }

// Numbered reports whether a node has numbered the call. No two requests have such a key: only the node
// makes a call with it again, and then with the same request.
func (o *Once) Numbered() bool { return o.Automatic() && !o.Derived }

// lineSize is how many bytes of a numbered key say which node has numbered it, in which line.
const lineSize = 10

// NumberedKey returns the key of a call that a node has numbered in one of its lines: that of a session. A
// number has 48 bits.
func NumberedKey(caller [6]byte, line uint32, number uint64) (key [16]byte) {
	binary.BigEndian.PutUint64(key[8:], number)
	copy(key[:], caller[:])
	binary.BigEndian.PutUint32(key[6:], line)
	return key
}

// Over reports whether the numbered call with the key root is over by what o says, whose key is
// automatic: nobody makes it again.
func (o *Once) Over(root *[16]byte) bool {
	return [lineSize]byte(root[:]) == [lineSize]byte(o.Root[:]) &&
		binary.BigEndian.Uint64(root[8:])&(1<<48-1) < o.Low
}

// Next returns the key of the next call of a method of session id, for calls that are made on behalf
// of the one that o is the key of. When all is done again, it is the same. It is made of how many
// calls of that method of that session there were before, so that it does not matter in which order
// other calls are made, nor that a session has another ID by then.
func (o *Once) Next(id, method string) *Once {
	at := id + "\x00" + method
	o.mu.Lock()
	if o.calls == nil {
		o.calls = map[string]uint64{}
	}
	n := o.calls[at]
	o.calls[at]++
	o.mu.Unlock()
	var ordinal [8]byte
	binary.BigEndian.PutUint64(ordinal[:], n)
	return &Once{Key: digest("next", string(o.Key[:]), string(ordinal[:])), Derived: true, Root: o.Root, Low: o.Low}
}
