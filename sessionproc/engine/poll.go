package engine

import (
	"errors"
	"fmt"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/transport/wire"
)

// This file contains the protocol by which values reach subscribers.
//
// A node that has subscribers of a session polls the session. A poll is a request like a call,
// OpSubscribe, and is routed in the same way, including redirects and waits. It names the event
// (or none, if only the end of the session matters) and the Position up to which the node has
// everything. The session answers as soon as it has more: with all values after that position, or
// with its end and the reason. Then the node polls again. This has four consequences:
//
//   - A node has one request open for an event of a session, however many subscribers it has,
//     and receives each value once.
//   - The session keeps no state for subscribers. It keeps its newest values (see EventConfig),
//     and a poll that comes too late finds a gap. A node that does not poll costs nothing.
//   - A node repeats a poll whose answer is lost, and recognizes a repeated answer by its
//     offset.
//   - The kept values move with the session. Its open polls get the same error as its calls, and
//     the nodes poll again at the session's new place.
//
// A poll without a position gets a value made from the state, in the session's goroutine. So does a
// poll whose position cannot be continued; that value is marked as following a gap.
//
// After the end of a session its node remembers the reason for some time, for nodes that had no
// poll open at that moment. By then the partition may have another owner, which knows nothing of
// the end. Then the nodes ask all others (TableConfig.FindEnd). If one of them still has the
// session, because its ID had two owners for a while, the session is on its way, and the nodes poll
// on. When no node remembers the end any more, the reason is Lost.

// poll is the payload of an OpSubscribe.
type poll struct {
	wait    bool                 // wait for a value; otherwise the answer comes at once
	at      sessionproc.Position // zero for none
	renewal bool                 // for a watch: the answer names the new ID of a renewed session
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

func appendPosition(b []byte, at sessionproc.Position) []byte {
	b = wire.AppendUint(b, at.Incarnation.Boot)
	b = wire.AppendUint(b, at.Incarnation.Number)
	return wire.AppendUint(b, at.Offset)
}

func readPosition(r *wire.Reader) (at sessionproc.Position) {
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
	at      sessionproc.Position
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
	at     sessionproc.Position // the position up to which the poller has everything now
	reason sessionproc.Reason   // why the session has ended; "" if it has not
	items  []item
	newID  string // the ID under which the session goes on; "" if it does not, or must not be told
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
	n.reason = sessionproc.Reason(r.Str())
	n.items = make([]item, r.ArrayLen())
	for i := range n.items {
		it := &n.items[i]
		elements := r.ArrayLen()
		it.at = sessionproc.Position{Incarnation: n.at.Incarnation, Offset: r.Uint()}
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
	case n.newID != "" && sessionproc.ValidID(n.newID) != nil:
		return n, errors.New("an answer with an ID that is none")
	}
	return n, nil
}

// published is an encoded value. Nobody changes it.
type published struct {
	payload []byte
	raw     bool
}
