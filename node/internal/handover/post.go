package handover

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport"
)

// An ownershipBatch is a batch of messages of another member's machine. It
// travels in a cast, which is acknowledged when the messages are processed. So
// the sender writes its next batch when this node can process it, and by then
// has replaced repeated messages by one.
type ownershipBatch struct {
	from string
	body *[]byte
	call *transport.Call
}

// An outbox holds the messages for other members' machines. Messages for one
// member travel together if they come together. The machine repeats messages
// that get lost.
type outbox struct {
	messageBuffers sync.Pool // of *[]ownership.Message
	byteBuffers    sync.Pool // of *[]byte, for batches that are sent or received

	mu     sync.Mutex
	queues map[string]*messageQueue // guarded by mu; a member has an entry while a goroutine runs flush for it
}

// A messageQueue holds the messages for one member.
type messageQueue struct {
	writers  int // goroutines that run flush for it
	sessions int // how many of messages are about a session
	messages []ownership.Message
	subjects map[subject]int // index of the message about each subject
}

// A subject is what a message without a session is about. Of two messages about
// the same subject only the later one matters.
type subject struct {
	kind ownership.Kind
	part int
}

// CastOp is in the flags of the casts that carry messages, in place of sessionproc.Op. It is on
// the wire.
const CastOp = 15

const (
	maxBatch    = 4096     // messages in a batch
	batchBytes  = 48 << 10 // size at which a batch ends, unless a quarter of MaxFrame is less
	maxQueued   = 16 << 10 // messages about sessions that wait for one member
	castTimeout = 2 * time.Second

	// maxWriters is how many batches to one member may be on their way. A further one is
	// sent for a message about a session, since the source of the session waits for it.
	// All other messages can wait until the previous batch is processed.
	maxWriters = 4
)

// add appends a message, or replaces an earlier one about the same subject. It
// reports false if there are too many; the machine repeats the message.
func (p *messageQueue) add(msg ownership.Message) bool {
	if msg.Session != "" {
		if len(p.messages) >= maxQueued {
			return false
		}
		p.messages = append(p.messages, msg)
		p.sessions++
		return true
	}
	about := subject{msg.Kind, msg.Partition}
	if i, said := p.subjects[about]; said {
		p.messages[i] = msg
		return true
	}
	if p.subjects == nil {
		p.subjects = map[subject]int{}
	}
	p.subjects[about] = len(p.messages)
	p.messages = append(p.messages, msg)
	return true
}

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

// byteBuffer returns a buffer for an encoded batch.
func (b *outbox) byteBuffer() *[]byte {
	if buf, _ := b.byteBuffers.Get().(*[]byte); buf != nil {
		return buf
	}
	return new([]byte)
}

// messageBuffer returns an empty slice of messages.
func (b *outbox) messageBuffer() []ownership.Message {
	if s, _ := b.messageBuffers.Get().(*[]ownership.Message); s != nil {
		return *s
	}
	return nil
}

// reuse keeps a slice of messages for messageBuffer, unless it is long.
func (b *outbox) reuse(messages []ownership.Message) {
	if c := cap(messages); c == 0 || c > maxBatch {
		return
	}
	clear(messages)
	messages = messages[:0]
	b.messageBuffers.Put(&messages)
}

// appendBatch appends as many messages as fit into most bytes, at least one,
// and returns how many. Batches are cut by an estimate (batchLen). A few
// messages can be large, because they list the sessions that stay at a member;
// so the estimate may be too low.
func appendBatch(b []byte, all []ownership.Message, most int) ([]byte, int) {
	for n := len(all); ; n /= 2 {
		if whole := ownership.AppendMessages(b, all[:n]); len(whole) <= most || n == 1 {
			return whole, n
		}
	}
}

// batchLen returns how many of the messages go into the next batch of about
// most bytes. It does not count the names in claims, which a batch contains
// once.
func batchLen(all []ownership.Message, most int) int {
	size := 0
	for i := range all {
		m := &all[i]
		size += messageRoom + len(m.Session) + len(m.Cause) + len(m.Filter) + keptRoom*len(m.Kept)
		if i == maxBatch || i > 0 && size > most {
			return i
		}
	}
	return len(all)
}

// The estimated bytes of a message, and of each session that it lists.
const (
	messageRoom = 24
	keptRoom    = 64
)

// Enqueue takes a batch in. It runs on a connection's reader, so it does not
// wait: if the inbox is full, it drops the batch, and the sender's machine
// repeats the messages.
func (d *Driver) Enqueue(c *transport.Call) {
	c.Tag = nil                      // a cancel of the cast means nothing
	if string(c.Key) != d.env.Name { // it is for an earlier boot at this address
		c.Ack()
		return
	}
	body := d.outbox.byteBuffer()
	*body = append((*body)[:0], c.Payload...)
	select {
	case d.inbox <- ownershipBatch{c.Peer, body, c}:
	default: // the machine repeats its messages
		d.outbox.byteBuffers.Put(body)
		c.Ack()
	}
}

// handleBatches passes batches to the machine until the driver stops. One
// goroutine does so, because the machine handles one event at a time anyway.
func (d *Driver) handleBatches() {
	var messages []ownership.Message // memory of the last batch, which is reused
	for {
		select {
		case l := <-d.inbox:
			messages = d.handleBatch(l, messages)
			d.outbox.byteBuffers.Put(l.body)
			l.call.Ack()
		case <-d.ctx.Done():
			return
		}
	}
}

// receiveLocked passes a message to the machine. If the last of the other
// members has answered a claim with it, receiveLocked sends the claim to the
// member that had to be last.
func (d *Driver) receiveLocked(part int, from string, msg *ownership.Message) {
	last := d.lastLocked(part)
	waits := last != "" && d.m.AwaitsOthers(part, last)
	loses := d.losesLocked(from, msg)
	if msg.Kind == ownership.Claim && msg.Cause == comeAll && part >= 0 {
		d.parts[part].told = claimed{from, msg.ID}
	}
	d.turnLocked(part, func(m *ownership.Machine) []ownership.Effect { return m.Receive(from, *msg) })
	if loses != nil {
		d.later = append(d.later, loses)
	}
	if waits && !d.m.AwaitsOthers(part, last) {
		d.turnLocked(part, func(m *ownership.Machine) []ownership.Effect { return m.Claim(part, last) })
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

// handleBatch passes the messages of a batch to the machine. It decodes them
// into memory, and returns memory for the next batch.
func (d *Driver) handleBatch(l ownershipBatch, memory []ownership.Message) []ownership.Message {
	messages, err := ownership.ParseInto(memory, *l.body)
	if err != nil {
		d.env.Log.Warn("a member's messages are malformed", "peer", l.from, "err", err)
		return nil
	}
	for _, msg := range messages {
		if msg.Kind == ownership.Refused && msg.Cause != "" {
			d.refused("a member refused a session; it stays here", l.from, msg.Session, msg.Cause, false)
			d.noteRefusal(l.from, msg)
		}
	}
	for some := range slices.Chunk(messages, turnsAtOnce) {
		d.draft(l.from, some)
		d.mu.Lock()
		for i := range some {
			msg := &some[i]
			switch part := msg.Partition; {
			case d.closed || part >= len(d.parts):
			case part < 0:
				d.receiveLocked(farewell, l.from, msg)
			default:
				d.receiveLocked(part, l.from, msg)
			}
		}
		d.unlock()
	}
	clear(messages)
	return messages
}
