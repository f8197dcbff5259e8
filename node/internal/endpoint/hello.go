package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/sessionproc/sessionproc/cluster"
	"github.com/sessionproc/sessionproc/transport/wire"
)

const (
	maxHello     = 4 << 10 // bytes; the limit of transport is a little lower
	maxName      = 255     // bytes of a slot, and of a cluster's name: memberlist's limit for a label
	maxRingText  = 512     // bytes of the description of a ring
	maxKindNames = 2 << 10 // bytes of kind names in a hello; further names are left out
	helloFields  = 12      // elements that every release sends
	codeSize     = 32      // HMAC-SHA256

	maxOtherCodes = 4 // proofs of secrets beside the one in use
)

// A keyCode is the proof of one secret, which it names by its public ID.
type keyCode struct {
	id   uint32
	code []byte
}

// A hello is what a node says about itself before anything else is exchanged on
// a connection. On the wire it is one msgpack array. A later release may append
// elements, and a reader skips elements that it does not know; so the meaning
// of the first helloFields elements never changes.
type hello struct {
	wire        [2]uint8 // lowest and highest wire version that the node speaks
	cluster     string
	slot        string
	boot        cluster.Boot
	addr        string // advertised, ip:port
	fingerprint uint64 // of the ring; equal in all members
	ring        string // the ring in words, for errors
	kinds       []string
	features    uint64
	keyed       bool // the node has a secret, and keyID and code are set
	keyID       uint32
	code        []byte
	others      []keyCode // proofs of its other secrets; earlier releases skip this element
}

// valid returns an error if h holds values that no node sends. A node also
// checks its own hello, so that a bad setting fails at the start and not at the
// first connection.
func (h *hello) valid() error {
	switch {
	case !goodName(h.cluster):
		return fmt.Errorf("cluster name %q: must be 1 to %d printable bytes", printable(h.cluster), maxName)
	case !goodName(h.slot) || strings.ContainsAny(h.slot, " /"):
		return fmt.Errorf("slot %q: must be 1 to %d printable bytes, no space and no slash", printable(h.slot), maxName)
	case h.boot == 0:
		return errors.New("boot 0")
	case h.wire[0] == 0 || h.wire[0] > h.wire[1]:
		return fmt.Errorf("wire versions %d to %d", h.wire[0], h.wire[1])
	case len(h.ring) > maxRingText || !utf8.ValidString(h.ring):
		return fmt.Errorf("ring description of %d bytes: at most %d of UTF-8", len(h.ring), maxRingText)
	case h.keyed && len(h.code) != codeSize:
		return fmt.Errorf("a code of %d bytes instead of %d", len(h.code), codeSize)
	}
	ap, err := netip.ParseAddrPort(h.addr)
	if err != nil || ap.Port() == 0 || ap.Addr().IsUnspecified() || ap.Addr().Zone() != "" {
		return fmt.Errorf("address %q: must be ip:port that others can dial", printable(h.addr))
	}
	return nil
}

// goodName reports whether s can name a cluster or a slot.
func goodName(s string) bool {
	return s != "" && len(s) <= maxName && s == printable(s)
}

// append appends the wire form of h to b. The last element is absent if there
// are no other proofs: the hello of a node with one secret is byte for byte
// that of earlier releases.
func (h *hello) append(b []byte) []byte {
	fields := helloFields
	if len(h.others) > 0 {
		fields++
	}
	b = wire.AppendArrayLen(b, fields)
	b = wire.AppendUint(b, uint64(h.wire[0]))
	b = wire.AppendUint(b, uint64(h.wire[1]))
	b = wire.AppendString(b, h.cluster)
	b = wire.AppendString(b, h.slot)
	b = wire.AppendUint(b, uint64(h.boot))
	b = wire.AppendString(b, h.addr)
	b = wire.AppendUint(b, h.fingerprint)
	b = wire.AppendString(b, h.ring)
	kinds := fittingKinds(h.kinds)
	b = wire.AppendArrayLen(b, len(kinds))
	for _, k := range kinds {
		b = wire.AppendString(b, k)
	}
	b = wire.AppendUint(b, h.features)
	if !h.keyed {
		b = wire.AppendNil(wire.AppendNil(b))
	} else {
		b = wire.AppendUint(b, uint64(h.keyID))
		b = wire.AppendBytes(b, h.code)
	}
	if len(h.others) > 0 {
		b = wire.AppendArrayLen(b, 2*len(h.others))
		for _, o := range h.others {
			b = wire.AppendBytes(wire.AppendUint(b, uint64(o.id)), o.code)
		}
	}
	return b
}

// fittingKinds returns as many of the first names as fit into maxKindNames.
func fittingKinds(kinds []string) []string {
	size := 0
	for i, k := range kinds {
		if size += len(k) + 5; size > maxKindNames {
			return kinds[:i]
		}
	}
	return kinds
}

// readHello decodes a hello of a stranger. Each length is checked against the
// bytes that are there, so the decoded form is at most some dozen times as
// large as b, which is at most maxHello. The codes of the result share memory
// with b.
func readHello(b []byte) (*hello, error) {
	if len(b) > maxHello {
		return nil, fmt.Errorf("hello of %d bytes: at most %d", len(b), maxHello)
	}
	if err := wire.Check(b); err != nil {
		return nil, fmt.Errorf("malformed hello: %w", err)
	}
	r := wire.NewReader(b)
	fields := r.ArrayLen()
	if r.Err() == nil && fields < helloFields {
		return nil, fmt.Errorf("malformed hello: %d elements, at least %d", fields, helloFields)
	}
	var h hello
	h.wire[0], h.wire[1] = smallUint(&r), smallUint(&r)
	h.cluster = string(r.Str())
	h.slot = string(r.Str())
	h.boot = cluster.Boot(r.Uint())
	h.addr = string(r.Str())
	h.fingerprint = r.Uint()
	h.ring = string(r.Str())
	for n := r.ArrayLen(); n > 0 && r.Err() == nil; n-- {
		h.kinds = append(h.kinds, string(r.Str()))
	}
	h.features = r.Uint()
	if h.keyed = !r.Nil(); h.keyed {
		h.keyID = r.Uint32()
		h.code = r.Bytes()
	} else {
		r.Skip()
	}
	if fields > helloFields && !r.Nil() {
		n := r.ArrayLen()
		for ; n >= 2 && r.Err() == nil; n -= 2 {
			h.others = append(h.others, keyCode{r.Uint32(), r.Bytes()})
		}
		if n == 1 {
			r.Skip()
		}
	}
	for ; fields > helloFields+1 && r.Err() == nil; fields-- {
		r.Skip()
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("malformed hello: %w", err)
	}
	return &h, nil
}

// smallUint reads a wire version. A number above 255 is no version that this
// project will ever use, so 255 stands for it.
func smallUint(r *wire.Reader) uint8 { return uint8(min(r.Uint(), 255)) }
