package handover

import (
	"slices"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/node/internal/teststep"
	"github.com/sessionproc/sessionproc/transport"
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

// A mail is what is taken out of the inbox at a time. Its memory is used again.
type mail struct {
	batches []ownershipBatch
	parsed  [][]ownership.Message // of each batch
	all     []received
	drafts  []drafted
}

// received is a message of another member.
type received struct {
	from string
	msg  *ownership.Message
}

// handleBatches passes batches to the machine until the driver stops. One
// goroutine does so, because the machine handles one event at a time anyway.
// It takes what has come meanwhile along: on a busy machine each wait for the lock is long.
func (d *Driver) handleBatches() {
	var m mail
	for {
		select {
		case l := <-d.inbox:
			d.open(&m, l)
			for len(m.all) < turnsAtOnce && len(d.inbox) > 0 {
				d.open(&m, <-d.inbox)
			}
			d.handle(&m)
		case <-d.ctx.Done():
			return
		}
	}
}

// open decodes a batch.
func (d *Driver) open(m *mail, l ownershipBatch) {
	at := len(m.batches)
	m.batches = append(m.batches, l)
	if at == len(m.parsed) {
		m.parsed = append(m.parsed, nil)
	}
	messages, err := ownership.ParseInto(m.parsed[at], *l.body)
	if err != nil {
		d.env.Log.Warn("a member's messages are malformed", "peer", l.from, "err", err)
	}
	m.parsed[at] = messages
	for i := range messages {
		msg := &messages[i]
		if msg.Kind == ownership.Refused && msg.Cause != "" {
			d.refused("a member refused a session; it stays here", l.from, msg.Session, msg.Cause, false)
			d.noteRefusal(l.from, *msg)
		}
		m.all = append(m.all, received{l.from, msg})
	}
}

// handle passes messages to the machine, and acknowledges their batches.
func (d *Driver) handle(m *mail) {
	for some := range slices.Chunk(m.all, turnsAtOnce) {
		m.drafts = d.draft(m.drafts[:0], some)
		d.mu.Lock()
		d.adoptLocked(m.drafts)
		for _, r := range some {
			switch part := r.msg.Partition; {
			case d.closed || part >= len(d.parts):
			case part < 0:
				d.receiveLocked(farewell, r.from, r.msg)
			default:
				d.receiveLocked(part, r.from, r.msg)
			}
		}
		d.unlock()
	}
	clear(m.drafts)
	clear(m.all)
	m.all = m.all[:0]
	for i, l := range m.batches {
		clear(m.parsed[i])
		d.outbox.byteBuffers.Put(l.body)
		l.call.Ack()
	}
	clear(m.batches)
	m.batches = m.batches[:0]
}

// receiveLocked passes a message to the machine. If the last of the other
// members has answered a claim with it, receiveLocked sends the claim to the
// member that had to be last.
func (d *Driver) receiveLocked(part int, from string, msg *ownership.Message) {
	d.messageStep(msg.Kind, teststep.ActiveHeard, teststep.RecoverHeard, from)
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
