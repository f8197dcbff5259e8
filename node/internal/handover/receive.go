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
