package handover

import (
	"context"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport"
)

// CastOp is in the flags of the casts that carry messages, in place of engine.Op. It is on
// the wire.
const CastOp = 15

const (
	batchBytes  = 48 << 10 // size at which a batch ends, unless a quarter of MaxFrame is less
	castTimeout = 2 * time.Second

	// maxWriters is how many batches to one member may be on their way. A further one is
	// sent for a message about a session, since the source of the session waits for it.
	// All other messages can wait until the previous batch is processed.
	maxWriters = 4
)

// sendLocked queues a message. It does not block. If no goroutine flushes the
// queue, or a message about a session should not wait, it starts one.
func (d *Driver) sendLocked(to string, msg ownership.Message) {
	b := &d.outbox
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues == nil {
		b.queues = map[string]*messageQueue{}
	}
	p := b.queues[to]
	if p == nil {
		p = &messageQueue{messages: b.messageBuffer()}
		b.queues[to] = p
	}
	p.add(msg)
	if p.writers == 0 || p.sessions == 1 && p.writers < maxWriters {
		p.writers++
		d.life.Go(func() { d.flush(to) })
	}
}

// flush sends the queued messages for a member until none is left.
func (d *Driver) flush(to string) {
	b := &d.outbox
	buf := b.byteBuffer()
	defer b.byteBuffers.Put(buf)
	for {
		b.mu.Lock()
		p := b.queues[to]
		all := p.messages
		if len(all) == 0 || d.ctx.Err() != nil {
			if p.writers--; p.writers == 0 {
				delete(b.queues, to)
				b.reuse(all)
			}
			b.mu.Unlock()
			return
		}
		*p = messageQueue{writers: p.writers, messages: b.messageBuffer()}
		b.mu.Unlock()
		said := all
		for len(all) > 0 && d.ctx.Err() == nil {
			n := batchLen(all, min(batchBytes, d.env.MaxFrame/4))
			*buf, n = appendBatch((*buf)[:0], all[:n], d.env.MaxMessage/2)
			all = all[n:]
			addr := d.Addr(to)
			if addr == "" {
				break
			}
			ctx, cancel := context.WithTimeout(d.ctx, castTimeout)
			err := d.transport.Peer(addr).Cast(ctx, &transport.Request{Flags: CastOp, Key: to, Payload: *buf})
			cancel()
			if err != nil {
				break
			}
		}
		b.reuse(said)
	}
}

// asksLastLocked reports whether a claim must not be sent to member yet. Until
// the previous owner has promised, it has the partition and can start sessions.
// So it gets the claim after all others have promised, and no session can be
// started only for the time of its own answer.
func (d *Driver) asksLastLocked(part int, member string) bool {
	return member == d.lastLocked(part) && d.m.AwaitsOthers(part, member)
}

// lastLocked returns the member that gets a claim last, or "".
func (d *Driver) lastLocked(part int) string {
	if part < 0 || d.owned == nil || d.owned[part] == nil {
		return ""
	}
	return d.owned[part].Name()
}
