package node

import (
	"context"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/ownership"
	"github.com/sessionproc/sessionproc/transport"
)

// letter is messages of another member's machine.
type letter struct {
	from string
	body []byte
}

// postbox holds the messages for other members' machines. All for one member
// that come together travel together; what does not arrive is said again.
type postbox struct {
	mu  sync.Mutex
	out map[string][]ownership.Message // guarded by mu; an entry: its goroutine runs
}

const (
	maxLetter   = 256 // messages
	maxPost     = 16 << 10
	postTimeout = 2 * time.Second
)

// sendLocked posts a message. It does not block.
func (d *driver) sendLocked(to string, msg ownership.Message) {
	b := &d.post
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out == nil {
		b.out = map[string][]ownership.Message{}
	}
	all, runs := b.out[to]
	if len(all) < maxPost {
		b.out[to] = append(all, msg)
	}
	if !runs {
		d.wait.Go(func() { d.deliver(to) })
	}
}

// deliver sends what there is for a member.
func (d *driver) deliver(to string) {
	b := &d.post
	var buf []byte
	for {
		b.mu.Lock()
		all := b.out[to]
		if len(all) == 0 || d.ctx.Err() != nil {
			delete(b.out, to)
			b.mu.Unlock()
			return
		}
		b.out[to] = nil
		b.mu.Unlock()
		for len(all) > 0 && d.ctx.Err() == nil {
			var n int
			buf, n = appendLetter(buf[:0], all, (d.n.cfg.MaxFrame-headerRoom)/2)
			all = all[n:]
			addr := d.addr(to)
			if addr == "" {
				break
			}
			ctx, cancel := context.WithTimeout(d.ctx, postTimeout)
			err := d.n.transport.Peer(addr).Cast(ctx, &transport.Request{Flags: opOwnership, Key: to, Payload: buf})
			cancel()
			if err != nil {
				break
			}
		}
	}
}

// appendLetter appends as many messages as fit into a letter of so many bytes, one at
// least, and returns how many they are. What stays at a member is named, so a few
// messages can be large.
func appendLetter(b []byte, all []ownership.Message, most int) ([]byte, int) {
	for n := min(len(all), maxLetter); ; n /= 2 {
		if whole := ownership.AppendMessages(b, all[:n]); len(whole) <= most || n == 1 {
			return whole, n
		}
	}
}

// hear takes messages in. It runs on a connection's reader.
func (d *driver) hear(c *transport.Call) {
	if view(c.Key) != d.n.self.Name() { // it is for a former boot at this address
		c.Ack()
		return
	}
	select {
	case d.inbox <- letter{c.Peer, append([]byte(nil), c.Payload...)}:
	default: // it comes again
	}
	c.Ack()
}

// listen gives what members say to the machine, until the driver stops.
func (d *driver) listen() {
	for {
		select {
		case l := <-d.inbox:
			d.read(l)
		case <-d.ctx.Done():
			return
		}
	}
}

// receiveLocked gives a message to the machine. Who is to be asked last is asked
// when the last of the others has answered.
func (d *driver) receiveLocked(part int, from string, msg ownership.Message) {
	last := d.lastLocked(part)
	waits := last != "" && d.m.AwaitsOthers(part, last)
	d.turnLocked(part, func(m *ownership.Machine) []ownership.Effect { return m.Receive(from, msg) })
	if waits && !d.m.AwaitsOthers(part, last) {
		d.turnLocked(part, func(m *ownership.Machine) []ownership.Effect { return m.Claim(part, last) })
	}
}

// asksLastLocked: a claim is not to be said to this member yet. Until the owner of
// before has promised, it has the partition, and sessions can be started there; so
// that ends when all others have promised, and not by who answers first.
func (d *driver) asksLastLocked(part int, member string) bool {
	return member == d.lastLocked(part) && d.m.AwaitsOthers(part, member)
}

// lastLocked is the member that is to be asked last for a partition; "": nobody.
func (d *driver) lastLocked(part int) string {
	if part < 0 || d.owned == nil || d.owned[part] == nil {
		return ""
	}
	return d.owned[part].name
}

func (d *driver) read(l letter) {
	messages, err := ownership.ParseMessages(l.body)
	if err != nil {
		d.n.log.Warn("a member's messages are malformed", "peer", l.from, "err", err)
		return
	}
	for _, msg := range messages {
		if msg.Kind == ownership.Refused && msg.Cause != "" {
			d.refused("a session was refused, it stays here", l.from, msg.Session, msg.Cause, false)
			d.noteRefusal(l.from, msg)
		}
	}
	for len(messages) > 0 {
		n := min(len(messages), turnsAtOnce)
		d.mu.Lock()
		for _, msg := range messages[:n] {
			if part := msg.Partition; !d.closed && part < len(d.parts) {
				d.receiveLocked(max(part, ownership.NoPartition), l.from, msg)
			}
		}
		d.unlock()
		messages = messages[n:]
	}
}
