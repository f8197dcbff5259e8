package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hashicorp/memberlist"
)

// A meta is the record that a member gossips about itself, within memberlist's
// 512 bytes:
//
//	format, 1 byte | boot, 8 | fingerprint, 8 | state, 1 | wire, 2 | flags, 1 |
//	slot, addr: length as uvarint, bytes | key IDs: count as uvarint, 4 bytes each |
//	optional fields, any number: tag, 1 byte | length as uvarint, bytes
//
// The field with tag 1 is Assigned: To, 8 bytes | numbers, 2 bytes each. The field with
// tag 2 is the Zone.
//
// Integers are big-endian. Later releases append optional fields, and a reader
// ignores those that it does not know. A reader refuses another format. So a
// new format is only for changes that old nodes must not live with.
type meta struct {
	Member
	leaving bool // the member leaves, so it must not count as missing afterwards
	vouches bool // the member answers Config.Word; earlier releases do not
}

const (
	metaFormat   = 1
	flagLeaving  = 1 << 0
	flagVouches  = 1 << 1
	flagStandbys = 1 << 2

	tagAssigned  = 1
	assignedRoom = 1 + 2 + 8 // bytes of the field beside its numbers
	tagZone      = 2
)

func (m meta) encode() []byte {
	b := make([]byte, 0, 64+len(m.Slot)+len(m.Addr)+4*len(m.KeyIDs)+len(m.Zone))
	b = append(b, metaFormat)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Boot))
	b = binary.BigEndian.AppendUint64(b, m.Fingerprint)
	var flags byte
	if m.leaving {
		flags |= flagLeaving
	}
	if m.vouches {
		flags |= flagVouches
	}
	if m.Standbys {
		flags |= flagStandbys
	}
	b = append(b, byte(m.State), m.Wire[0], m.Wire[1], flags)
	for _, s := range []string{m.Slot, m.Addr} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(len(m.KeyIDs)))
	for _, id := range m.KeyIDs {
		b = binary.BigEndian.AppendUint32(b, id)
	}
	if m.Zone != "" {
		b = append(b, tagZone)
		b = binary.AppendUvarint(b, uint64(len(m.Zone)))
		b = append(b, m.Zone...)
	}
	// SetKeys may have added key IDs since SetAssigned checked the size.
	if n := 2 * len(m.Assigned.Numbers); n > 0 && len(b)+assignedRoom+n <= memberlist.MetaMaxSize {
		b = append(b, tagAssigned)
		b = binary.AppendUvarint(b, uint64(8+n))
		b = binary.BigEndian.AppendUint64(b, m.Assigned.To)
		for _, n := range m.Assigned.Numbers {
			b = binary.BigEndian.AppendUint16(b, n)
		}
	}
	return b
}

// decodeMeta decodes a record that may come from anybody. The result shares no
// memory with b.
func decodeMeta(b []byte) (meta, error) {
	r := metaReader{rest: b}
	if format := r.bytes(1); len(format) == 1 && format[0] != metaFormat {
		return meta{}, fmt.Errorf("format %d, this release knows %d", format[0], metaFormat)
	}
	var m meta
	m.Boot = Boot(r.uint64())
	m.Fingerprint = r.uint64()
	if b := r.bytes(4); b != nil {
		m.State = State(b[0])
		m.Wire = [2]uint8{b[1], b[2]}
		m.leaving = b[3]&flagLeaving != 0
		m.vouches = b[3]&flagVouches != 0
		m.Standbys = b[3]&flagStandbys != 0
	}
	m.Slot = string(r.bytes(r.length(1)))
	m.Addr = string(r.bytes(r.length(1)))
	if n := r.length(4); n > 0 {
		m.KeyIDs = make([]uint32, n)
		for i := range m.KeyIDs {
			m.KeyIDs[i] = binary.BigEndian.Uint32(r.bytes(4))
		}
	}
	if r.short {
		return meta{}, errors.New("cut short")
	}
	for len(r.rest) > 0 && !r.short {
		tag := r.bytes(1)[0]
		field := r.bytes(r.length(1))
		switch {
		case tag == tagAssigned && len(field) >= 8:
			m.Assigned = decodeAssigned(field)
		case tag == tagZone && !r.short:
			m.Zone = string(field)
		}
	}
	return m, m.check()
}

func decodeAssigned(field []byte) Assigned {
	r := metaReader{rest: field}
	a := Assigned{To: r.uint64()}
	for len(r.rest) >= 2 {
		a.Numbers = append(a.Numbers, binary.BigEndian.Uint16(r.bytes(2)))
	}
	return a
}

// A metaReader never reads beyond its bytes. It returns zeros instead and sets
// short.
type metaReader struct {
	rest  []byte
	short bool
}

func (r *metaReader) bytes(n int) []byte {
	if r.short || n > len(r.rest) {
		r.short = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *metaReader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// length reads a count of elements of the given size. All of them must be
// there.
func (r *metaReader) length(size int) int {
	n, used := binary.Uvarint(r.rest)
	if r.short || used <= 0 || n > uint64((len(r.rest)-used)/size) {
		r.short = true
		return 0
	}
	r.rest = r.rest[used:]
	return int(n)
}
