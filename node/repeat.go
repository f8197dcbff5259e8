package node

import (
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/engine"
)

// A call that was sent to the owner of a session of a kind with standbys may be lost with its answer:
// the owner dies. The session goes on elsewhere, with or without what the call has changed. So such a
// call has a key, and it is made again when its outcome is unknown, once. The session keeps the key
// with the reply, in the record that has the change: if the change is there, so is the reply.
//
// A call is made again once and not more often, because it may be the call that has its node die.
//
// The calls of a node are numbered, and each says which ones of its session are over: the replies to
// these are dropped. So a session keeps about as many replies as there are calls of it under way, however
// long those of others wait.

// numbers gives the calls of this node their keys. Those of several lanes do not wait for each other.
type numbers struct {
	caller [6]byte
	lanes  [16]lane
}

// A lane has the calls that are not over, by session, in the order of their numbers.
type lane struct {
	mu    sync.Mutex
	next  uint64          // guarded by mu: the number of the next one
	calls map[string]line // guarded by mu
}

// A line has the calls of one session.
type line struct{ first, last *ticket }

// A ticket is a call that is not over.
type ticket struct {
	of         *lane // nil: it is none
	prev, next *ticket
	session    string
	number     uint64
}

// begin names the calls after the node that makes them.
func (s *numbers) begin(name string) {
	sum := sha256.Sum256([]byte(name))
	copy(s.caller[:], sum[:])
}

// take gives t the next number of a lane. It returns the key, and below which number all calls of the session are
// over.
//
// The key names the session by a hash. So the calls that handlers of other sessions make on behalf of theirs, and
// the replies to these, are told apart: that the calls of one session are over says nothing about those.
func (s *numbers) take(t *ticket, session string) (key [16]byte, low uint64) {
	hash := crc32.ChecksumIEEE([]byte(session))
	l := &s.lanes[hash%uint32(len(s.lanes))]
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	calls := l.calls[session]
	*t = ticket{of: l, prev: calls.last, session: session, number: l.next}
	if calls.last != nil {
		calls.last.next = t
	} else {
		calls.first = t
	}
	calls.last = t
	if l.calls == nil {
		l.calls = map[string]line{}
	}
	l.calls[session] = calls
	return engine.NumberedKey(s.caller, hash, t.number), calls.first.number
}

// over says that the call of t is not made again, and none of it is under way.
func (t *ticket) over() {
	if l := t.of; l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		t.leaveLocked(nil)
	}
}

// doubt is over for a call that was made twice, while either of the two may still come to its node: the one that was
// lost with a connection does so when a cut network is mended. The session keeps the reply until that cannot be.
func (t *ticket) doubt() {
	l := t.of
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	stays := &ticket{of: l, session: t.session, number: t.number}
	t.leaveLocked(stays)
	time.AfterFunc(doubtful, stays.over)
}

// moveTo has another ticket take the place of t.
func (t *ticket) moveTo(place *ticket) {
	l := t.of
	l.mu.Lock()
	defer l.mu.Unlock()
	*place = ticket{of: l, session: t.session, number: t.number}
	t.leaveLocked(place)
}

// leaveLocked has another ticket take the place of t, or none.
func (t *ticket) leaveLocked(place *ticket) {
	calls := t.of.calls[t.session]
	before, behind := t.prev, t.next
	if place != nil {
		place.prev, place.next = t.prev, t.next
		before, behind = place, place
	}
	if t.prev != nil {
		t.prev.next = behind
	} else {
		calls.first = behind
	}
	if t.next != nil {
		t.next.prev = before
	} else {
		calls.last = before
	}
	if calls.first == nil {
		delete(t.of.calls, t.session)
	} else {
		t.of.calls[t.session] = calls
	}
	*t = ticket{}
}

// doubtful is how long the key of a call is kept that was made again. A session keeps replies for as long.
const doubtful = 2 * time.Minute

// repeats reports whether the call or start may be made again because of its key.
func (a *attempt) repeats() bool {
	return a.node.self.Standbys && a.node.table.Repeats(a.m.Op(), a.m.Kind(), a.m.Method())
}

// addKey adds the key to a request for a member, if it is to have one. Members of earlier releases know
// no keys, and have no standbys: a call goes to them without one, unless the user has given it the key.
// false: the call is made again, and to this member it cannot be. It may be one that this node has lost sight of.
func (a *attempt) addKey(knows bool) bool {
	n, out := a.node, a.out
	if a.ends() {
		a.addTime(knows)
		return true
	}
	knows = knows && !a.bare
	if out.once == nil && knows && a.repeats() {
		out.auto.Key, out.auto.Low = n.numbers.take(&out.ticket, a.id)
		out.auto.Root = out.auto.Key
		out.once = &out.auto
	}
	out.request.Once, a.keyed = nil, false
	if out.once == nil || out.once.Automatic() && !knows {
		return out.once == nil || !a.repeated
	}
	first := int64(0)
	if a.repeated {
		first = a.first
	} else {
		a.first = engine.SinceEpoch(time.Now())
	}
	out.request.Once = engine.AppendOnce(out.room[:0], out.once, first)
	a.keyed = true
	return true
}

// addTime adds to a Terminate that is made again for a member when it was first made: it does not end what was started
// since. Members that know no keys do not know that.
func (a *attempt) addTime(knows bool) {
	if a.out.request.Once = nil; !a.repeated {
		a.first = engine.SinceEpoch(time.Now())
	} else if knows {
		a.out.request.Once = engine.AppendOnce(a.out.room[:0], new(engine.Once), a.first)
	}
}

// repeat reports whether the request, of which it is not known whether it has run, is to be made again.
// That is so once.
func (a *attempt) repeat() bool {
	again := !a.repeated && (a.keyed && a.repeats() || a.ends())
	a.repeated = a.repeated || again
	return again
}

// rereads reports whether the request only reads a session that goes on elsewhere if its node is lost. Then it needs
// no key to be made again, and may be each time.
func (a *attempt) rereads() bool {
	return a.node.self.Standbys && a.m.Op() == engine.OpCall && a.node.table.Rereads(a.m.Kind(), a.m.Method())
}

// ends reports whether the request ends a session, which may have a standby.
func (a *attempt) ends() bool { return a.m.Op() == engine.OpTerminate && a.node.self.Standbys }

// terminated is v, or success if the first of two requests has ended the session.
func (a *attempt) terminated(v verdict) verdict {
	if a.repeated && a.ends() && errors.Is(v.err, sessionproc.ErrNotFound) {
		return verdict{}
	}
	return v
}

// knowsKeys reports whether the member at an address has standbys, and so knows keys. Of one that this node does not
// see, another node has said that it has the session. It is given a key, since it may be dead; if it is of an earlier
// release, it says that it does not know keys. A call that is made again does not rely on that.
func (a *attempt) knowsKeys(addr string) bool {
	for _, m := range a.node.routes.Load().View.Members {
		if m.Addr == addr {
			return m.Standbys
		}
	}
	return !a.repeated
}
