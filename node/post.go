package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/node/internal/ownership"
	"github.com/sessionproc/sessionproc/transport"
)

// letter is messages of another member's machine, on a cast that is acknowledged when
// they have been read: so its sender writes the next letter when this node can read it,
// and what is said again meanwhile is said once.
type letter struct {
	from string
	body *[]byte
	call *transport.Call
}

// postbox holds the messages for other members' machines. All for one member
// that come together travel together; what does not arrive is said again.
type postbox struct {
	spare sync.Pool // of *[]ownership.Message
	ink   sync.Pool // of *[]byte, for letters that are written, and that have come

	mu  sync.Mutex
	out map[string]*post // guarded by mu; an entry: it is being delivered
}

// post is what is to be said to one member.
type post struct {
	writers  int // goroutines that deliver it
	sessions int // of messages, those about one session
	messages []ownership.Message
	subjects map[subject]int // where in messages; of what may be said many times
}

// subject is what a message is about. Of two messages about the same the later one
// counts.
type subject struct {
	kind ownership.Kind
	part int
}

const (
	maxLetter   = 4096     // messages
	letterBytes = 48 << 10 // after which a letter ends, or at a quarter of MaxFrame
	maxPost     = 16 << 10 // messages
	postTimeout = 2 * time.Second

	// maxWriters is how many letters to one member may be on their way. A second one is
	// written when there is news of a session: its source waits for that. All else can wait
	// until the one before has been read.
	maxWriters = 4
)

// add puts a message behind the others, or in place of an earlier one. false: there are
// too many.
func (p *post) add(msg ownership.Message) bool {
	if msg.Session != "" {
		if len(p.messages) >= maxPost {
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

// sendLocked posts a message. It does not block.
func (d *driver) sendLocked(to string, msg ownership.Message) {
	b := &d.post
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out == nil {
		b.out = map[string]*post{}
	}
	p := b.out[to]
	if p == nil {
		p = &post{messages: b.sheet()}
		b.out[to] = p
	}
	p.add(msg)
	if p.writers == 0 || p.sessions == 1 && p.writers < maxWriters {
		p.writers++
		d.wait.Go(func() { d.deliver(to) })
	}
}

// deliver sends what there is for a member.
func (d *driver) deliver(to string) {
	b := &d.post
	buf := b.page()
	defer b.ink.Put(buf)
	for {
		b.mu.Lock()
		p := b.out[to]
		all := p.messages
		if len(all) == 0 || d.ctx.Err() != nil {
			if p.writers--; p.writers == 0 {
				delete(b.out, to)
				b.reuse(all)
			}
			b.mu.Unlock()
			return
		}
		*p = post{writers: p.writers, messages: b.sheet()}
		b.mu.Unlock()
		said := all
		for len(all) > 0 && d.ctx.Err() == nil {
			n := letterLen(all, min(letterBytes, d.n.cfg.MaxFrame/4))
			*buf, n = appendLetter((*buf)[:0], all[:n], d.n.maxMessage()/2)
			all = all[n:]
			addr := d.addr(to)
			if addr == "" {
				break
			}
			ctx, cancel := context.WithTimeout(d.ctx, postTimeout)
			err := d.n.transport.Peer(addr).Cast(ctx, &transport.Request{Flags: opOwnership, Key: to, Payload: *buf})
			cancel()
			if err != nil {
				break
			}
		}
		b.reuse(said)
	}
}

// page is memory for a letter.
func (b *postbox) page() *[]byte {
	if buf, _ := b.ink.Get().(*[]byte); buf != nil {
		return buf
	}
	return new([]byte)
}

// sheet is an empty list of messages to be filled.
func (b *postbox) sheet() []ownership.Message {
	if s, _ := b.spare.Get().(*[]ownership.Message); s != nil {
		return *s
	}
	return nil
}

// reuse keeps a list that nobody needs any more, unless it is long.
func (b *postbox) reuse(messages []ownership.Message) {
	if c := cap(messages); c == 0 || c > maxLetter {
		return
	}
	clear(messages)
	messages = messages[:0]
	b.spare.Put(&messages)
}

// appendLetter appends as many messages as fit into a letter of so many bytes, one at
// least, and returns how many they are. What stays at a member is named, so a few
// messages can be large.
func appendLetter(b []byte, all []ownership.Message, most int) ([]byte, int) {
	for n := len(all); ; n /= 2 {
		if whole := ownership.AppendMessages(b, all[:n]); len(whole) <= most || n == 1 {
			return whole, n
		}
	}
}

// letterLen is how many of the messages go into the next letter, of about so many bytes
// at most. The names in claims, which a letter has once, are not counted.
func letterLen(all []ownership.Message, most int) int {
	size := 0
	for i := range all {
		m := &all[i]
		size += messageRoom + len(m.Session) + len(m.Cause) + len(m.Filter) + keptRoom*len(m.Kept)
		if i == maxLetter || i > 0 && size > most {
			return i
		}
	}
	return len(all)
}

// What is reckoned for a message, and for each session that it lists, in bytes.
const (
	messageRoom = 24
	keptRoom    = 64
)

// hear takes messages in. It runs on a connection's reader.
func (d *driver) hear(c *transport.Call) {
	c.Tag = nil                                 // its sender may cancel it, and that means nothing
	if unsafeString(c.Key) != d.n.self.Name() { // it is for a former boot at this address
		c.Ack()
		return
	}
	body := d.post.page()
	*body = append((*body)[:0], c.Payload...)
	select {
	case d.inbox <- letter{c.Peer, body, c}:
	default: // it comes again
		d.post.ink.Put(body)
		c.Ack()
	}
}

// listen gives what members say to the machine, until the driver stops.
func (d *driver) listen() {
	var messages []ownership.Message // of the last letter, whose memory is used again
	for {
		select {
		case l := <-d.inbox:
			messages = d.read(l, messages)
			d.post.ink.Put(l.body)
			l.call.Ack()
		case <-d.ctx.Done():
			return
		}
	}
}

// receiveLocked gives a message to the machine. Who is to be asked last is asked
// when the last of the others has answered.
func (d *driver) receiveLocked(part int, from string, msg *ownership.Message) {
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

// read gives the messages of a letter to the machine. It reads them into memory that is
// not used any more, and returns what is not used then.
func (d *driver) read(l letter, memory []ownership.Message) []ownership.Message {
	messages, err := ownership.ParseInto(memory, *l.body)
	if err != nil {
		d.n.log.Warn("a member's messages are malformed", "peer", l.from, "err", err)
		return nil
	}
	for _, msg := range messages {
		if msg.Kind == ownership.Refused && msg.Cause != "" {
			d.refused("a session was refused, it stays here", l.from, msg.Session, msg.Cause, false)
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
