package handover

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/lifetime"
	"github.com/sessionproc/sessionproc/transport"
	"github.com/sessionproc/sessionproc/transport/wire"
)

const (
	laneRelease = 1 // the format of the stream's header and records; see largeRelease
	sendTimeout = 10 * time.Second
)

// dial opens the stream. The header names the boot of the target, so that a new
// process at its address does not take sessions for which the machine expects
// answers of the old one.
func (l *lane) dial() (*transport.Stream, error) {
	ctx, cancel := context.WithTimeout(l.d.ctx, sendTimeout)
	defer cancel()
	addr := l.d.Addr(l.to)
	if addr == "" {
		return nil, fmt.Errorf("unknown member %s", l.to)
	}
	header := wire.AppendArrayLen(nil, 2)
	header = wire.AppendUint(header, laneRelease)
	header = wire.AppendString(header, l.to)
	st, err := l.d.transport.Peer(addr).Open(ctx, header)
	if err != nil {
		return nil, err
	}
	l.d.life.Go(func() { l.readAcks(st) })
	return st, nil
}

// readAcks handles the member's answers until the stream ends. Each answer
// counts processed records, in the order in which they were sent.
func (l *lane) readAcks(st *transport.Stream) {
	for {
		b, err := st.Recv(l.d.ctx)
		if err != nil {
			lifetime.Signal(l.wake)
			return
		}
		r := wire.NewReader(b)
		n := r.Uint()
		l.d.mu.Lock()
		l.mu.Lock()
		if st.Err() == nil && n <= uint64(len(l.flight)) {
			now := time.Since(epoch)
			for i, h := range l.flight[:n] {
				h.busy, h.seen = false, now
				l.flight[i] = nil
			}
			l.flight = l.flight[n:]
		}
		l.mu.Unlock()
		l.d.mu.Unlock()
	}
}

// appendHeader appends the part of a record before the snapshot: the length of
// the header in four bytes, and an array.
func (h *handoff) appendHeader(b []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	elements := 5
	if h.late {
		elements++
	}
	if len(h.lives) > 0 {
		elements++
	}
	if h.replicated {
		elements++
	}
	b = wire.AppendArrayLen(b, elements)
	b = wire.AppendUint(b, uint64(h.part))
	b = wire.AppendUint(b, h.id)
	b = wire.AppendUint(b, uint64(h.form))
	b = wire.AppendString(b, h.session)
	b = wire.AppendUint(b, uint64(len(h.snapshot)))
	if h.late {
		b = wire.AppendBool(wire.AppendUint(wire.AppendBool(wire.AppendArrayLen(b, 3), false), lateEnd), true)
	}
	if len(h.lives) > 0 {
		b = wire.AppendBytes(wire.AppendUint(wire.AppendBool(wire.AppendArrayLen(b, 3), false), livesOf), h.lives)
	}
	if h.replicated {
		b = wire.AppendUint(wire.AppendBool(wire.AppendArrayLen(b, 3), false), holdOf)
		b = wire.AppendArrayLen(b, len(h.hold))
		for _, name := range h.hold {
			b = wire.AppendString(b, name)
		}
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// lateEnd is the tag of an element, [false, lateEnd, true], in the header of a tombstone that
// is told of later: a session that it does not overrule may be of another life, and takes
// nothing over from it. Members of earlier releases do not read it.
const lateEnd = 1

// livesOf is the tag of an element, [false, livesOf, bytes], in the header of a tombstone: which of
// the incarnations in its version were starts, as engine.ParseLives reads it. Without it, as from
// members of earlier releases, each of them counts as one.
const livesOf = 2

// holdOf is the tag of an element, [false, holdOf, [name, ...]], in the header of a session that has standbys: the
// members that may have one.
const holdOf = 3
