package handover

import (
	"sync"

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

const (
	maxBatch  = 4096     // messages in a batch
	maxQueued = 16 << 10 // messages about sessions that wait for one member
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
