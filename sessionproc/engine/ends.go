package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sessionproc/sessionproc/sessionproc"
	"github.com/sessionproc/sessionproc/sessionproc/internal/core"
)

// An ending is the remembered end of a session.
type ending struct {
	id          string
	incarnation sessionproc.Incarnation
	reason      sessionproc.Reason
	newID       string // of a session that was renewed
	publisher   publisher
	bytes       int
	at          int64 // since epoch
}

// reply returns the answer to a poll that comes after the end. Only a watch,
// which polls no event, is told the new ID.
func (e *ending) reply(event string, q poll) []byte {
	n := e.publisher.history(event).pollReply(e.incarnation, q.at)
	if last := e.publisher.history(event).offset; n.at.Offset >= last {
		n.reason = e.reason
		if q.renewal && event == "" {
			n.newID = e.newID
		}
	}
	return n.append(nil)
}

// The bounds of ends.
const (
	endsFor   = time.Minute
	maxEnds   = 16 << 10
	endsBytes = 16 << 20 // of the values that they kept
)

// ends remembers the ends of sessions that had subscribers, for nodes that had no poll open at that
// moment.
type ends struct {
	mu    sync.Mutex
	m     map[lifeKey]*ending // guarded by mu
	order fifo[*ending]       // guarded by mu
	bytes int                 // guarded by mu
}

type lifeKey struct {
	id string
	sessionproc.Incarnation
}

func (e *ends) add(end *ending) {
	for _, l := range end.publisher.events {
		end.bytes += l.bytes
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.m == nil {
		e.m = map[lifeKey]*ending{}
	}
	e.m[lifeKey{end.id, end.incarnation}] = end
	e.order.push(end)
	e.bytes += end.bytes
	for e.order.len() > maxEnds || e.bytes > endsBytes {
		e.forgetLocked()
	}
}

func (e *ends) forgetLocked() {
	end := e.order.pop()
	e.bytes -= end.bytes
	if key := (lifeKey{end.id, end.incarnation}); e.m[key] == end {
		delete(e.m, key)
	}
}

func (e *ends) find(id string, i sessionproc.Incarnation) *ending {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.m[lifeKey{id, i}]
}

// expire forgets ends older than endsFor.
func (e *ends) expire(now int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.order.len() > 0 && now-e.order.first().at > int64(endsFor) {
		e.forgetLocked()
	}
}

// remember remembers the end of a session that was polled, before the session leaves the table. In
// the other order a poll in between would learn nothing of the end.
func (p *process) remember(o core.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rememberLocked(o)
}

func (p *process) rememberLocked(o core.Outcome) {
	if p.ext == nil || p.ext.ending != nil || p.ext.publisher == nil || !p.ext.publisher.polled {
		return
	}
	reason := p.ext.reason
	if errors.Is(o.Err, sessionproc.ErrCrashed) {
		reason = sessionproc.ReasonCrashed
	}
	if reason == "" || silent(reason) {
		return
	}
	p.ext.ending = &ending{id: p.ID, incarnation: p.incarnationLocked(), reason: reason,
		publisher: publisher{events: p.ext.publisher.events}, at: p.table().clock.now.Load()}
	if m := p.ext.renewed; m != nil && reason == sessionproc.ReasonRenewed { // a Stop may have had that reason
		p.ext.ending.newID = m.newID
	}
	p.table().ends.add(p.ext.ending)
}

// findEnd is TableConfig.FindEnd.
type findEnd = func(ctx context.Context, id, event string, poll []byte) (news []byte, lives bool)

// LookupEnd answers a poll about a life of session id that has ended here; nil: its end is not
// known here. lives: it has not ended, and is here. It serves package node.
func (t *Table) LookupEnd(part int, id, event string, payload []byte) (news []byte, lives bool) {
	q, err := parsePoll(payload)
	if err != nil {
		return nil, false
	}
	end := t.ends.find(id, q.at.Incarnation)
	if end == nil {
		lives = t.lives(part, id, q.at.Incarnation)
	}
	if end == nil && !lives {
		end = t.ends.find(id, q.at.Incarnation) // it may have left the table in between
	}
	if end != nil {
		return end.reply(event, q), false
	}
	return nil, lives
}

// lives reports whether a life of session id goes on here, be it in a copy that has not
// met the session yet. One that ends goes on until it leaves the table: nobody may hear of an end before its
// record is durable.
func (t *Table) lives(part int, id string, i sessionproc.Incarnation) bool {
	p := t.findLocked(part, id)
	if p == nil {
		return false
	}
	defer p.mu.Unlock()
	if p.ext != nil && p.phase >= phaseEnding && p.ext.moved { // another copy comes in its place
		return true
	}
	return p.goesOnLocked(i) ||
		p.ext != nil && slices.ContainsFunc(p.ext.others, func(o *process) bool { return o.goesOnLocked(i) })
}

// goesOnLocked reports whether a life of the session goes on in this one.
func (p *process) goesOnLocked(i sessionproc.Incarnation) bool {
	renewed := p.ext != nil && p.ext.renewed != nil
	return !renewed && (p.incarnationLocked() == i || p.descendsLocked(i))
}

// descendsLocked reports whether the session includes all changes of an earlier
// incarnation that has not ended by itself.
func (p *process) descendsLocked(i sessionproc.Incarnation) bool {
	if p.ext == nil || p.ext.past == nil || p.table().ends.find(p.ID, i) != nil {
		return false
	}
	_, seen := p.ext.past.find(i)
	_, ended := p.ext.rarely().before.find(i)
	return seen && !ended
}
