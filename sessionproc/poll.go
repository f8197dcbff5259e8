package sessionproc

import (
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/transport/wire"
)

// How values come to subscribers.
//
// A node that has subscribers of a session asks for news with a poll: a request
// like a call, OpSubscribe, that takes the same way, redirects and waits included.
// It names the event (none: only the end is of interest) and the Position up to
// which the node has everything. It is answered as soon as there is more: with all
// values after that position, or with the end of the session and its reason; then
// the node asks again. So
//
//   - the node has one request open for an event of a session, however many
//     subscribers it has, and is sent a value once;
//   - the session owes nobody anything: it keeps its newest values (see
//     EventConfig), and who asks too late finds a gap. A node that does not ask
//     gets nothing and costs nothing;
//   - an answer that is lost is asked for again, and one that came twice is known by
//     its offset;
//   - the kept values move with the session. Its open polls are answered as its
//     calls are, "it is there now", and are asked again there.
//
// A poll without a position, and one whose position cannot be continued, is given
// a value made of the state, in the session's goroutine. The latter is marked: it
// comes after a gap.
//
// Once a session has ended, its node knows why for some time, for nodes that did
// not have a poll open just then. Its partition may have another owner by then, which
// knows nothing: then they ask all nodes (TableConfig.FindEnd). One may have the
// session still, if its ID has had two owners for a while: then it is on its way, and
// they go on asking. When nobody knows any more, the reason is Lost.

// poll is the payload of an OpSubscribe.
type poll struct {
	wait    bool     // for news; else the answer comes at once
	at      Position // zero: none
	renewal bool     // a watch asks: the answer names the new ID of a session that was renewed
}

const (
	pollWaits = 1 // flag
	pollKnows = 2 // flag: a position follows
	pollNewID = 4 // flag: poll.renewal; a release without it does not see it

	// pollRoom is how many bytes of an answer are not values, if it has one.
	pollRoom = 128
	// pollBytes is about how many bytes of values are put into one answer.
	pollBytes = 256 << 10
)

func (q poll) append(b []byte) []byte {
	flags := uint64(0)
	if q.wait {
		flags |= pollWaits
	}
	if !q.at.IsZero() {
		flags |= pollKnows
	}
	if q.renewal {
		flags |= pollNewID
	}
	b = wire.AppendArrayLen(b, 4)
	b = wire.AppendUint(b, flags)
	return appendPosition(b, q.at)
}

func appendPosition(b []byte, at Position) []byte {
	b = wire.AppendUint(b, at.Incarnation.Boot)
	b = wire.AppendUint(b, at.Incarnation.Number)
	return wire.AppendUint(b, at.Offset)
}

func readPosition(r *wire.Reader) (at Position) {
	at.Incarnation.Boot = r.Uint()
	at.Incarnation.Number = r.Uint()
	at.Offset = r.Uint()
	return at
}

// parsePoll reads what append wrote. Elements that a later release may add are
// passed over.
func parsePoll(b []byte) (q poll, err error) {
	r := wire.NewReader(b)
	n, flags := r.ArrayLen(), r.Uint()
	at := readPosition(&r)
	switch {
	case r.Err() != nil:
		return q, r.Err()
	case n < 4:
		return q, errors.New("a poll that this release does not know")
	}
	q.wait, q.renewal = flags&pollWaits != 0, flags&pollNewID != 0
	if flags&pollKnows != 0 {
		q.at = at
	}
	return q, nil
}

// item is a value on its way to subscribers.
type item struct {
	published
	at      Position
	present bool // made of the state
	gap     bool // values before it are missing
}

const (
	itemRaw     = 1 // flag
	itemPresent = 2
	itemGap     = 4
)

// A pollReply is the answer to a poll.
type pollReply struct {
	at     Position // up to which the asker has everything now
	reason Reason   // why the session has ended; "": it has not
	items  []item
	newID  string // under which the session goes on; "": it does not, or the asker is not told
}

func (n *pollReply) append(b []byte) []byte {
	size := 5
	if n.newID != "" {
		size++
	}
	b = wire.AppendArrayLen(b, size)
	b = appendPosition(b, n.at)
	b = wire.AppendString(b, n.reason)
	b = wire.AppendArrayLen(b, len(n.items))
	for i := range n.items {
		it := &n.items[i]
		flags := uint64(0)
		if it.raw {
			flags |= itemRaw
		}
		if it.present {
			flags |= itemPresent
		}
		if it.gap {
			flags |= itemGap
		}
		b = wire.AppendArrayLen(b, 3)
		b = wire.AppendUint(b, it.at.Offset)
		b = wire.AppendUint(b, flags)
		b = wire.AppendBytes(b, it.payload)
	}
	if n.newID != "" {
		b = wire.AppendString(b, n.newID)
	}
	return b
}

// parseNews reads what append wrote; the values are views of b.
func parseNews(b []byte) (n pollReply, err error) {
	r := wire.NewReader(b)
	size := r.ArrayLen()
	n.at = readPosition(&r)
	n.reason = Reason(r.Str())
	n.items = make([]item, r.ArrayLen())
	for i := range n.items {
		it := &n.items[i]
		elements := r.ArrayLen()
		it.at = Position{n.at.Incarnation, r.Uint()}
		flags := r.Uint()
		it.raw, it.present, it.gap = flags&itemRaw != 0, flags&itemPresent != 0, flags&itemGap != 0
		if it.payload = r.Bytes(); r.Err() == nil && elements != 3 {
			return n, errors.New("values in a form that this release does not know")
		}
	}
	if size > 5 {
		n.newID = string(r.Str())
	}
	switch {
	case r.Err() != nil:
		return n, r.Err()
	case size < 5:
		return n, fmt.Errorf("an answer of %d elements", size)
	case n.newID != "" && ValidID(n.newID) != nil:
		return n, errors.New("an answer with an ID that is none")
	}
	return n, nil
}
